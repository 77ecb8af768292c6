/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Firing rates in the delay before movement, by target (Yu et al. 2007): z_n ~ Poisson(r_nm T).
 * A target's rates are drawn towards what the direction of the target predicts by as many seconds
 * of pseudo-data as cross-validation likes (the gamma prior of a Poisson rate).
 * Internal to this room.
 */
#ifndef TRAJ_LEARN_PLAN_H
#define TRAJ_LEARN_PLAN_H

#include "daemon/learn/training.h"

struct traj_plan_choice {
    double begin, end; /* s after the trial's start (traj/model.h) */
    double temper;
    double shrinkage; /* s of data */
    double score;     /* held-out nats a trial gained over a uniform prior; NaN = not measured */
    bool rates;       /* whether the window's counts speak about the target at all */
};

/* Whether trials with frames and known targets have bins in the window up to end. */
bool traj_plan_possible(const struct traj_training *training, double end);

/* For a window that ends at choice->end: chooses begin, temper and shrinkage. */
int traj_plan_choose(const struct traj_training *training, struct traj_plan_choice *choice,
                     struct traj_error *error);

/* Rates [targets][units], all positive, from all folds but `without`. */
int traj_plan_rates(const struct traj_training *training, const struct traj_plan_choice *choice,
                    unsigned without, double *rate, struct traj_error *error);

#endif
