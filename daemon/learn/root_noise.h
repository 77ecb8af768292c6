/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Noise of the roots of counts about their tuning: correlated over units, as a diagonal and a
 * low-rank part (factor analysis), whose rank held-out likelihood chooses.  Internal to this room.
 */
#ifndef TRAJ_LEARN_ROOT_NOISE_H
#define TRAJ_LEARN_ROOT_NOISE_H

#include "daemon/learn/tuning.h"

#define TRAJ_ROOT_UNITS_MAX 512u /* more have no covariance worth its estimation */

/* Chooses choice->rank, at least 1; choice->root must be set. */
int traj_root_noise_choose(const struct traj_training *training, struct traj_tuning_choice *choice,
                           struct traj_error *error);

/*
 * Fits noise[units] and factor[units][choice->rank] about the tuning weight[units][columns],
 * offset[units], on all data but fold `without`.
 */
int traj_root_noise_fit(const struct traj_training *training,
                        const struct traj_tuning_choice *choice, unsigned without,
                        const double *weight, const double *offset, double *noise, double *factor,
                        struct traj_error *error);

#endif
