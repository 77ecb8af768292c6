/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Small dense linear algebra of the decode path: plain loops whose order of additions is fixed by
 * the source, so that the bits do not depend on compiler or machine.  Matrices are row-major.
 */
#ifndef TRAJ_MODEL_LINALG_H
#define TRAJ_MODEL_LINALG_H

#include <stdbool.h>
#include <stddef.h>

/*
 * Lower Cholesky factor of a symmetric a[n][n], whose lower triangle alone is read: a = l l'.
 * The upper triangle of l is zeroed.  l may be a.  False where a is not positive definite or not
 * finite; l then holds rubbish.
 */
bool traj_cholesky(size_t n, const double *a, double *l);

/* b <- l^-1 b and b <- l'^-1 b for a lower triangular l[n][n]. */
void traj_solve_lower(size_t n, const double *l, double *b);
void traj_solve_lower_transposed(size_t n, const double *l, double *b);

/* out[n] = a[n][m] x[m]; out is not x. */
void traj_multiply_vector(size_t n, size_t m, const double *a, const double *x, double *out);

/* out[m] = a[n][m]' x[n]; out is not x. */
void traj_multiply_transposed(size_t n, size_t m, const double *a, const double *x, double *out);

/* out[n][n] = a[n][n] b[n][n]; out is neither a nor b. */
void traj_multiply(size_t n, const double *a, const double *b, double *out);

/* out[n][n] = a s a' for symmetric s, exactly symmetric; out may be s; scratch[n][n]. */
void traj_congruence(size_t n, const double *a, const double *s, double *out, double *scratch);

/* The same for l' s l with a lower triangular l. */
void traj_congruence_lower(size_t n, const double *l, const double *s, double *out,
                           double *scratch);

/* Sum of the logarithms of a factor's diagonal: half the log determinant of the matrix. */
double traj_log_diagonal(size_t n, const double *l);

/* Whether all n numbers are finite. */
bool traj_all_finite(size_t n, const double *x);

#endif
