/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Poisson regression of one unit's counts on the state, with a Gaussian prior (Yu et al. 2007,
 * eq. for y_n; the prior is MAP shrinkage):
 *     y(b - lag) ~ Poisson(dt exp(c' z_b + d)),   c ~ N(c_0, I / ridge),   d ~ N(d_0, 1 /
 precision)
 * on states z that are centred and scaled.  Or, for Gaussian observations (traj/model.h), ridge
 * regression of the roots,
 *     sqrt(y(b - lag) D / dt + 1/4) = c' z_b + d + N(0, v),   c ~ N(c_0, v I / ridge),
 * D the training bin.  Internal to this room.
 */
#ifndef TRAJ_LEARN_POISSON_H
#define TRAJ_LEARN_POISSON_H

#include "daemon/learn/training.h"

#define TRAJ_POISSON_PARAMETERS (TRAJ_STATE_MAX + 4) /* the most that c and d can be */

/* The rows of a regression: bins whose state is known, standardised. */
struct traj_poisson_rows {
    const struct traj_training *training;
    size_t columns; /* of z */
    size_t rows;
    double *z;       /* [rows][columns] */
    size_t *bin;     /* [rows] */
    uint8_t *fold;   /* [rows] */
    int32_t *target; /* [rows] of the trial whose movement the bin belongs to, -1 = none */
};

/*
 * Takes the bins whose counts of 0 to lag_max bins ago are all there; at most rows_max of them,
 * evenly picked; columns = the first `columns` state variables (2 D or 3 D).  0, or -1 without
 * memory.
 */
int traj_poisson_rows_new(struct traj_poisson_rows *rows, const struct traj_training *training,
                          size_t columns, size_t lag_max, size_t rows_max,
                          struct traj_error *error);

/*
 * Takes the bins of movements to known targets; after the state variables come the components of
 * position, velocity (and acceleration) along toward[targets][dim], unit vectors or zero.
 */
int traj_poisson_rows_reach(struct traj_poisson_rows *rows, const struct traj_training *training,
                            size_t columns, const double *toward, size_t lag_max, size_t rows_max,
                            struct traj_error *error);
void traj_poisson_rows_free(struct traj_poisson_rows *rows);

/* One regression. */
struct traj_poisson_task {
    const struct traj_poisson_rows *rows;
    size_t columns; /* the first so many of the rows' columns enter */
    size_t unit, lag;
    int32_t target;   /* rows of this target alone, -1 = all rows */
    unsigned without; /* fold that is left out */
    double ridge;
    const double *center; /* c_0, d_0 [columns + 1], or NULL: 0 and the log of the mean rate */
    double precision;     /* of d */
    bool root;            /* of the roots of counts */
};

/* Fits parameter[columns + 1] = c, d by Newton's method from the prior's mean, or *parameter where
 * warm. */
void traj_poisson_fit(const struct traj_poisson_task *task, bool warm, double *parameter);

/* The root of the count that row i explains; false where it was not observed. */
bool traj_poisson_root(const struct traj_poisson_task *task, size_t i, double *root);

/*
 * Log likelihood of the task's rows in the fold that it leaves out, minus that of a constant rate
 * (of the rows outside the fold): nats gained by knowing the state.
 */
double traj_poisson_score(const struct traj_poisson_task *task, const double *parameter);

#endif
