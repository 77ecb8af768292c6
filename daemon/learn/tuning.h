/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Tuning of all units: regularisation and lag by cross-validation, weights in natural units. */
#ifndef TRAJ_LEARN_TUNING_H
#define TRAJ_LEARN_TUNING_H

#include "daemon/learn/training.h"

/* What cross-validation chose about tuning. */
struct traj_tuning_choice {
    double ridge;   /* precision of the prior on a weight, state in units of its spread */
    int32_t *lag;   /* [units] bins */
    size_t lag_max; /* the largest of them */
    /* Held-out nats per second gained over constant rates, all units; NaN = not measured. */
    double gain;
};

/* Called with the share that is done. */
typedef void traj_tuning_progress(void *context, double share);

/*
 * Chooses each unit's lag, then the ridge, by held-out log likelihood.  choice->lag is the caller's
 * array.  state = S.  With too few data to hold any out: a lag of 0.1 s and a middling ridge.
 */
int traj_tuning_choose(const struct traj_training *training, size_t state,
                       struct traj_tuning_choice *choice, traj_tuning_progress *progress,
                       void *context, struct traj_error *error);

/* Fits weight[units][state] and offset[units] (traj/model.h) on all data but fold `without`. */
int traj_tuning_fit(const struct traj_training *training, size_t state,
                    const struct traj_tuning_choice *choice, unsigned without, double *weight,
                    double *offset, struct traj_error *error);

#endif
