/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Gaussian approximation of a posterior, and its evidence (Laplace), by Newton's method.
 *
 * With the prediction N(m, P), P = L L', the state is written x = m + L u with u ~ N(0, I), and
 *     l(u) = log p(frame | x) - u'u/2
 * is concave.  Newton steps from u = 0 solve (I + L' G L) du = grad l, G the negative Hessian of
 * log p(frame | x); a step is halved while l falls.  At the maximum u*, with M = I + L' G L = T T':
 *     mean m + L u*,  covariance (L T'^-1)(L T'^-1)',  log evidence l(u*) - log|M|/2.
 * In these coordinates no covariance is inverted: M has no eigenvalue below 1, and the two
 * log determinants of the usual formula have met beforehand.  With Gaussian observations alone this
 * is the Kalman update and its exact evidence.
 */
#ifndef TRAJ_MODEL_LAPLACE_H
#define TRAJ_MODEL_LAPLACE_H

#include "daemon/model/observe.h"

/* Scratch of one update, S = state. */
struct traj_laplace {
    size_t state;
    size_t tuning;        /* the set that the update in hand reads the counts by */
    double *prior_factor; /* [S][S] L */
    double *information;  /* [S][S] G */
    double *precision;    /* [S][S] M, then T */
    double *product;      /* [S][S] */
    double *point;        /* [S] u */
    double *trial;        /* [S] */
    double *step;         /* [S] */
    double *slope;        /* [S] gradient of l in u */
    double *x;            /* [S] */
    double *gradient;     /* [S] gradient of log p(frame | x) in x */
};

/*
 * Takes all of it from the beginning of an arena, NULL while counting.  Families of components
 * whose scratch is one block must begin theirs with it: then they share this one.
 */
struct traj_laplace *traj_laplace_shared(struct traj_arena *arena, size_t state);

/*
 * Conditions N(mean, cov) on the frame by a tuning set (traj_observed_evaluate), in place; returns
 * the log evidence.  A frame without observations changes nothing and has evidence 0.  NaN where
 * cov is not positive definite or a number is not finite; mean and cov are then as they were.
 */
double traj_laplace_update(struct traj_laplace *laplace, const struct traj_observed *observed,
                           const struct traj_settings *settings, size_t tuning, double *mean,
                           double *cov);

#endif
