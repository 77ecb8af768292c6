/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Ridge regression by normal equations, for decoders with thousands of regressors. */
#ifndef TRAJ_EVALUATE_REGRESSION_H
#define TRAJ_EVALUATE_REGRESSION_H

#include <stddef.h>

/* Sums over samples of x x' [inputs][inputs] (upper triangle), x y' [inputs][outputs]; from zero.
 */
struct traj_moments {
    size_t inputs, outputs, samples;
    double *xx; /* [inputs][inputs]; only j >= i is kept */
    double *xy; /* [inputs][outputs] */
};

/* 0, or -1 when memory is short. */
int traj_moments_init(struct traj_moments *moments, size_t inputs, size_t outputs);
void traj_moments_free(struct traj_moments *moments);

/* Adds count samples: x [count][inputs], y [count][outputs]. */
void traj_moments_add(struct traj_moments *moments, const double *x, const double *y, size_t count);

/* Adds the sums of another set of samples. */
void traj_moments_merge(struct traj_moments *moments, const struct traj_moments *other);

/*
 * Solves (X'X + ridge * mean diagonal * I) B = X'Y by Cholesky; B [inputs][outputs].
 * 0, or -1 when memory is short or the matrix is not positive definite.
 */
int traj_moments_solve(const struct traj_moments *moments, double ridge, double *b);

#endif
