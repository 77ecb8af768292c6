/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What a model says about its own making, as JSON text.  Internal to this room. */
#ifndef TRAJ_LEARN_SUMMARY_H
#define TRAJ_LEARN_SUMMARY_H

#include "daemon/learn/select.h"

/* The text in new memory (free), or NULL with a sentence. */
char *traj_summary(const struct traj_training *training, size_t prior_count,
                   const struct traj_fit_options *options, const struct traj_choice *choice,
                   const struct traj_selection *selection, const struct traj_calibrated *calibrated,
                   struct traj_error *error);

#endif
