/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Two models on one session: which decodes it better? */
#ifndef TRAJ_EVALUATE_COMPARE_H
#define TRAJ_EVALUATE_COMPARE_H

#include "clients/evaluate/bins.h"
#include "clients/evaluate/method.h"

struct traj_comparison {
    bool by_trial; /* paired over trials, else over stretches of time */
    struct traj_score score[2];
    struct traj_measure stat[2][TRAJ_STATS];
    struct traj_paired of[TRAJ_PAIRED]; /* the first against the second */
};

/* Decodes the session with both and compares.  0, or -1 with a sentence. */
int traj_compare_models(const struct traj_model *const model[2], const struct traj_session *session,
                        const struct traj_window *window, const struct traj_decode_options *options,
                        size_t resamples, struct traj_comparison *out, struct traj_error *error);

/* 0 or 1 where the first or second model is better at it with p below .05, 2 where that cannot be
 * told. */
size_t traj_better(const struct traj_paired *paired, enum traj_paired_of of);

#endif
