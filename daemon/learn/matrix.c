/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Small dense linear algebra for fitting. */
#include "daemon/learn/matrix.h"

#include <math.h>
#include <string.h>

#define ATTEMPTS 40 /* tenfold each: from rounding to far beyond the matrix itself */

int traj_matrix_cholesky(double *a, size_t n)
{
    for (size_t j = 0; j < n; j++) {
        double pivot = a[j * n + j];
        for (size_t k = 0; k < j; k++)
            pivot -= a[j * n + k] * a[j * n + k];
        if (!(pivot > 0) || !isfinite(pivot))
            return -1;
        double root = sqrt(pivot);
        a[j * n + j] = root;
        for (size_t i = j + 1; i < n; i++) {
            double sum = a[i * n + j];
            for (size_t k = 0; k < j; k++)
                sum -= a[i * n + k] * a[j * n + k];
            a[i * n + j] = sum / root;
        }
    }
    return 0;
}

void traj_matrix_cholesky_solve(const double *l, size_t n, double *b, size_t columns)
{
    for (size_t i = 0; i < n; i++)
        for (size_t c = 0; c < columns; c++) {
            double sum = b[i * columns + c];
            for (size_t k = 0; k < i; k++)
                sum -= l[i * n + k] * b[k * columns + c];
            b[i * columns + c] = sum / l[i * n + i];
        }
    for (size_t i = n; i-- > 0;)
        for (size_t c = 0; c < columns; c++) {
            double sum = b[i * columns + c];
            for (size_t k = i + 1; k < n; k++)
                sum -= l[k * n + i] * b[k * columns + c];
            b[i * columns + c] = sum / l[i * n + i];
        }
}

static double mean_diagonal(const double *a, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += a[i * n + i];
    return n > 0 ? sum / (double)n : 0;
}

void traj_matrix_solve_moments(const double *gram, const double *ridge, size_t n, double *cross,
                               size_t columns, double *work)
{
    double jitter = 0, mean = mean_diagonal(gram, n);
    for (int attempt = 0; attempt < ATTEMPTS; attempt++) {
        memcpy(work, gram, n * n * sizeof *work);
        for (size_t i = 0; i < n; i++)
            work[i * n + i] += (ridge ? ridge[i] : 0) + jitter;
        if (traj_matrix_cholesky(work, n) == 0) {
            traj_matrix_cholesky_solve(work, n, cross, columns);
            return;
        }
        jitter = jitter > 0 ? 10 * jitter : 1e-12 * mean + 1e-300;
    }
    /* Moments that are not finite, or all zero: nothing can be learned from them. */
    memset(cross, 0, n * columns * sizeof *cross);
}

void traj_matrix_multiply(const double *a, const double *b, size_t rows, size_t inner,
                          size_t columns, double *c)
{
    for (size_t i = 0; i < rows; i++)
        for (size_t j = 0; j < columns; j++) {
            double sum = 0;
            for (size_t k = 0; k < inner; k++)
                sum += a[i * inner + k] * b[k * columns + j];
            c[i * columns + j] = sum;
        }
}

void traj_matrix_congruence(const double *t, const double *a, size_t n, double *c, double *work)
{
    traj_matrix_multiply(t, a, n, n, n, work);
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j <= i; j++) {
            double sum = 0;
            for (size_t k = 0; k < n; k++)
                sum += work[i * n + k] * t[j * n + k];
            c[i * n + j] = sum;
            c[j * n + i] = sum;
        }
}

void traj_matrix_make_positive(double *covariance, size_t n, const double *floor, double *work)
{
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < i; j++) {
            double mean = (covariance[i * n + j] + covariance[j * n + i]) / 2;
            covariance[i * n + j] = mean;
            covariance[j * n + i] = mean;
        }
    for (size_t i = 0; i < n && floor; i++)
        covariance[i * n + i] += floor[i];
    double jitter = 0, mean = mean_diagonal(covariance, n);
    for (int attempt = 0; attempt < ATTEMPTS; attempt++) {
        memcpy(work, covariance, n * n * sizeof *work);
        if (traj_matrix_cholesky(work, n) == 0)
            return;
        double next = jitter > 0 ? 10 * jitter : 1e-12 * mean + 1e-300;
        for (size_t i = 0; i < n; i++)
            covariance[i * n + i] += next - jitter;
        jitter = next;
    }
}
