/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A component: one hypothesis about how the movement goes on (towards this target, freely, ...),
 * seen by the mixture through this table alone.  Another family of trajectory models is another
 * table; traj_component_of is the one place that knows which component is of which family.
 *
 * Means and covariances that cross the table are those of the kinematic state (position, velocity
 * [, acceleration]; S of traj_dims), whatever a family keeps besides.
 */
#ifndef TRAJ_MODEL_COMPONENT_H
#define TRAJ_MODEL_COMPONENT_H

#include "daemon/model/observe.h"
#include "traj/decoder.h"

struct traj_component_table {
    /* Bytes of one component, and of the scratch that all components of a decoder share: one
     * block for all families, which begins with what traj_laplace_shared takes. */
    size_t (*size)(const struct traj_dims *dims);
    size_t (*scratch)(const struct traj_dims *dims);

    /* Component k of the model; what is handed over is borrowed for good.  Leaves it as reset. */
    void (*init)(void *self, const struct traj_model *model, size_t k,
                 const struct traj_settings *settings, void *scratch);

    /* To the distribution of x_1: the state in the first bin, before that bin is observed. */
    void (*reset)(void *self);

    /* On by so many training bins, at least 1. */
    void (*predict)(void *self, size_t steps);

    /* Conditions on a frame; returns log p(frame | frames before), NaN where it could not. */
    double (*update)(void *self, const struct traj_observed *observed);

    /* mean[S] and cov[S][S]. */
    void (*moments)(const void *self, double *mean, double *cov);

    /*
     * A share (0..1] of the component's probability is taken by newcomers distributed as
     * N(mean, cov), or, with mean NULL, as x_1.  A share of 1 sets the state.
     */
    void (*enter)(void *self, double share, const double *mean, const double *cov);

    /* Whether all its numbers are finite. */
    bool (*sound)(const void *self);
};

/* The table of component k of a model. */
const struct traj_component_table *traj_component_of(const struct traj_model *model, size_t k);

/* The most that any family needs. */
size_t traj_component_size(const struct traj_dims *dims);
size_t traj_component_scratch(const struct traj_dims *dims);

#endif
