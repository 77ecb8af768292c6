/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Small dense linear algebra for fitting: row-major, own fixed-order loops, so that a fit gives the
 * same bytes whatever BLAS is installed.  Internal to this room.
 */
#ifndef TRAJ_LEARN_MATRIX_H
#define TRAJ_LEARN_MATRIX_H

#include <stddef.h>

/* Cholesky factor of a symmetric positive definite a[n][n] in place (lower); -1 if it is not. */
int traj_matrix_cholesky(double *a, size_t n);

/* Solves l l' x = b in place for a factor from traj_matrix_cholesky and right sides
 * b[n][columns]. */
void traj_matrix_cholesky_solve(const double *l, size_t n, double *b, size_t columns);

/*
 * Ridge regression from moments: solves (gram + ridge) w = cross for w[n][columns], where
 * gram[n][n] is symmetric and ridge[n] is added to its diagonal (NULL = nothing).  work[n][n].
 * Tiny multiples of the diagonal are added until the system can be solved.  cross is overwritten by
 * w.
 */
void traj_matrix_solve_moments(const double *gram, const double *ridge, size_t n, double *cross,
                               size_t columns, double *work);

/* c[rows][columns] = a[rows][inner] b[inner][columns]; c must not overlap them. */
void traj_matrix_multiply(const double *a, const double *b, size_t rows, size_t inner,
                          size_t columns, double *c);

/* c[n][n] = t a t' for t[n][n] and symmetric a[n][n], symmetric to the bit; work[n][n]. */
void traj_matrix_congruence(const double *t, const double *a, size_t n, double *c, double *work);

/*
 * Raises a covariance's diagonal until its smallest pivot is safely positive: first by floor[n]
 * (variances, may be NULL), then by doubling multiples of the mean variance.
 */
void traj_matrix_make_positive(double *covariance, size_t n, const double *floor, double *work);

#endif
