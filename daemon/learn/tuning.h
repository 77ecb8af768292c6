/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Tuning of all units: regularisation and lag by cross-validation, weights in natural units.
 *
 * Beside the tuning that all components share, each target may have a set of its own.  What a unit
 * does with speed or with progress, whatever the direction, is not linear in the state, but along
 * the course to one target it is.  Such a set is made in two steps: the components of position and
 * velocity along the direction to the target enter as further regressors, one coefficient a unit
 * for all targets, which one trial a target suffices for; then each target's weights may depart
 * from what that gives, as far as cross-validation allows.  Internal to this room.
 */
#ifndef TRAJ_LEARN_TUNING_H
#define TRAJ_LEARN_TUNING_H

#include "daemon/learn/training.h"

/* What cross-validation chose about tuning. */
struct traj_tuning_choice {
    size_t columns; /* state variables that have weights: 2 D or 3 D */
    double ridge;   /* precision of the prior on a weight, state in units of its spread */
    int32_t *lag;   /* [units] bins */
    size_t lag_max; /* the largest of them */
    /* Held-out nats per second gained over constant rates, all units; NaN = not measured. */
    double gain;
    bool own;         /* each target has a set of its own */
    double own_ridge; /* precision of a target's departure */
    /* Held-out nats per second of movement gained by own sets over the shared one. */
    double own_gain;
    bool root;   /* Gaussian tuning of the roots of counts in place of Poisson tuning */
    size_t rank; /* then, of the low-rank part of the noise */
};

/* Called with the share that is done. */
typedef void traj_tuning_progress(void *context, double share);

/*
 * Chooses each unit's lag, then the ridge, by held-out log likelihood; choice->columns is given and
 * choice->lag is the caller's array.  With too few data to hold any out: a lag of 0.1 s and a
 * middling ridge.
 */
int traj_tuning_choose(const struct traj_training *training, struct traj_tuning_choice *choice,
                       traj_tuning_progress *progress, void *context, struct traj_error *error);

/* Chooses choice->own_ridge likewise, and sets choice->own where targets are known at all. */
int traj_tuning_choose_own(const struct traj_training *training, struct traj_tuning_choice *choice,
                           struct traj_error *error);

/* Fits weight[units][state] and offset[units] (traj/model.h) on all data but fold `without`. */
int traj_tuning_fit(const struct traj_training *training, size_t state,
                    const struct traj_tuning_choice *choice, unsigned without, double *weight,
                    double *offset, struct traj_error *error);

/* Fits own_weight[targets][units][state] and own_offset[targets][units]. */
int traj_tuning_fit_own(const struct traj_training *training, size_t state,
                        const struct traj_tuning_choice *choice, unsigned without,
                        double *own_weight, double *own_offset, struct traj_error *error);

#endif
