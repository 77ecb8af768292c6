/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * How fast each trial's movement was made, against the others: the logarithm s of the factor by
 * which its time must be stretched about the movement's onset to lay it over the common course of
 * progress from start to end (Corbett et al. 2010 resample reaches to common duration).  Not by
 * when the trial ends: the hand that holds at the target does not move slowly.
 * Internal to this room.
 */
#ifndef TRAJ_LEARN_SPEEDS_H
#define TRAJ_LEARN_SPEEDS_H

#include "daemon/learn/training.h"

struct traj_speeds {
    size_t trials;
    double *speed; /* [trials] s; over all trials that move their mean is 0 */
    double *onset; /* [trials] bins from the movement's begin to its onset */
    uint8_t *used; /* [trials] 1 = s rests on a movement, 0 = there was none, and s is 0 */
};

/* plan_end: of the plan window, after which movements begin.  -1 without memory. */
int traj_speeds_make(struct traj_speeds *speeds, const struct traj_training *training,
                     double plan_end, struct traj_error *error);
void traj_speeds_free(struct traj_speeds *speeds);

/* Mean and variance of s over the trials that train without a fold. */
void traj_speeds_prior(const struct traj_speeds *speeds, const struct traj_training *training,
                       unsigned without, double *mean, double *variance);

#endif
