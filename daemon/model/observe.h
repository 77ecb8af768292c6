/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What a frame says about the state, the same for every component: prepared once a frame, then
 * evaluated at as many states as the components like.
 *
 *     counts     y_n ~ Poisson(dt exp(eta_n)),  eta_n = c_n' x + d_n     (Yu et al. 2007)
 *                or their roots, Gaussian with correlated noise (roots.h)
 *     features   f = C x + d + N(0, R)
 *
 * Above TRAJ_LOG_RATE_CEILING the exponential of the Poisson model goes on as its own second-order
 * Taylor polynomial, in value, gradient and Hessian alike: the likelihood stays concave and smooth
 * and cannot overflow, and no neuron is within orders of magnitude of that rate.
 */
#ifndef TRAJ_MODEL_OBSERVE_H
#define TRAJ_MODEL_OBSERVE_H

#include "daemon/model/arena.h"
#include "daemon/model/history.h"
#include "daemon/model/kernel.h"
#include "daemon/model/roots.h"
#include "traj/decoder.h"

#define TRAJ_LOG_RATE_CEILING 20.0 /* log spikes/s */

struct traj_observed {
    const struct traj_model *model;
    size_t state; /* S */
    traj_block_kernel *kernel;

    /* Counts of the units observed in this frame, in the order of the model's units; arrays are
     * padded to a multiple of 8 by units that say nothing. */
    size_t units;       /* how many are observed */
    size_t padded;      /* units, rounded up */
    size_t stride;      /* row length of weight */
    uint32_t *unit;     /* [units] which */
    uint32_t *gathered; /* [units] those that weight and offset were gathered for */
    size_t gathered_units;
    size_t tunings;          /* sets of tuning, the shared one first */
    double *weight;          /* [tunings][S][stride] tuning, one row a state variable */
    double *offset;          /* [tunings][stride] */
    double *count;           /* [padded]; or [units] roots */
    double *exposure;        /* [padded] s */
    struct traj_roots roots; /* in place of the last four where the model has factors */

    /* Features observed in this frame, whitened by the Cholesky factor of their part of R. */
    size_t features;
    uint32_t *feature;        /* [features] which */
    uint32_t *whitened;       /* [features] those that the next three were made for */
    size_t whitened_features; /* SIZE_MAX = none yet */
    double *factor;           /* [features][features] l, R = l l' */
    double *loading;          /* [features][S] l^-1 C */
    double *information;      /* [S][S] C' R^-1 C */
    double factor_constant;   /* -log|R|/2 - features log(2 pi)/2 */
    double *residual;         /* [features] l^-1 (f - d) */

    double constant; /* terms of the log likelihood that do not depend on x */
};

void traj_observed_lay_out(struct traj_observed *observed, struct traj_arena *arena,
                           const struct traj_dims *dims);

/* Takes the model; TRAJ_E_NOT_PD where the features' noise is not positive definite. */
enum traj_status traj_observed_init(struct traj_observed *observed, const struct traj_model *model);

/*
 * Gathers the lagged counts and whitens the features of a frame; features NULL = none observed, a
 * number that is not finite = that one not observed.
 */
void traj_observed_prepare(struct traj_observed *observed, const struct traj_history *history,
                           bool with_plan, const float *features);

/* Whether the frame says anything. */
bool traj_observed_any(const struct traj_observed *observed);

/*
 * log p(frame | x) but for observed->constant, by tuning set `tuning` (0 = the shared one, 1 + i =
 * own set i).  Fills gradient[S] and the negative Hessian
 * information[S][S] (symmetric, positive semidefinite).
 */
double traj_observed_evaluate(const struct traj_observed *observed, size_t tuning, const double *x,
                              double *gradient, double *information);

#endif
