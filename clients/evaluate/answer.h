/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Answers to units of work as bytes: what was decoded for each bin, or why nothing was.  They pass
 * between processes of one machine and are kept in its cache; a checksum tells a whole one.
 */
#ifndef TRAJ_EVALUATE_ANSWER_H
#define TRAJ_EVALUATE_ANSWER_H

#include "clients/evaluate/evaluate.h"

/* From the ends of the bins and what was decoded, or (decoded = NULL) a reason.  0, or -1 with a
 * sentence when memory is short. */
int traj_answer_make(struct traj_answer *answer, const double *t_end,
                     const struct traj_decoded *decoded, const char *reason,
                     struct traj_error *error);

void traj_answer_reason(const struct traj_answer *answer, char *out, size_t cap);
size_t traj_answer_targets(const struct traj_answer *answer);

/* Puts what was decoded in its place among the bins of a session.  0, or -1 if sizes disagree. */
int traj_answer_place(const struct traj_answer *answer, const struct traj_session *session,
                      struct traj_decoded *to);

#endif
