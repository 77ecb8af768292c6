/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Ridge regression by normal equations, for decoders with thousands of regressors. */
#ifndef TRAJ_EVALUATE_REGRESSION_H
#define TRAJ_EVALUATE_REGRESSION_H

#include <stddef.h>

/* Sums over samples of x x' [inputs][inputs] (upper triangle), x y' [inputs][outputs]; from zero.
 */
struct traj_regression {
    size_t inputs, outputs, samples;
    double *xx; /* [inputs][inputs]; only j >= i is kept */
    double *xy; /* [inputs][outputs] */
};

/* 0, or -1 when memory is short. */
int traj_regression_init(struct traj_regression *moments, size_t inputs, size_t outputs);
void traj_regression_free(struct traj_regression *moments);

/* Adds count samples: x [count][inputs], y [count][outputs]. */
void traj_regression_add(struct traj_regression *moments, const double *x, const double *y,
                         size_t count);

/* Adds the sums of another set of samples. */
void traj_regression_merge(struct traj_regression *moments, const struct traj_regression *other);

/*
 * Solves (X'X + ridge * mean diagonal * I) B = X'Y by Cholesky; B [inputs][outputs].
 * 0, or -1 when memory is short or the matrix is not positive definite.
 */
int traj_regression_solve(const struct traj_regression *moments, double ridge, double *b);

#endif
