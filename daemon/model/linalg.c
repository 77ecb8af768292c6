/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Fixed-order small dense kernels; see linalg.h. */
#include "daemon/model/linalg.h"

#include "daemon/model/elementary.h"

#include <float.h>
#include <math.h>
#include <string.h>

bool traj_cholesky(size_t n, const double *a, double *l)
{
    for (size_t i = 0; i < n; i++) {
        for (size_t j = 0; j < i; j++) {
            double sum = a[i * n + j];
            for (size_t t = 0; t < j; t++)
                sum -= l[i * n + t] * l[j * n + t];
            l[i * n + j] = sum / l[j * n + j];
        }
        double pivot = a[i * n + i];
        for (size_t t = 0; t < i; t++)
            pivot -= l[i * n + t] * l[i * n + t];
        /* Written so that a NaN fails too. */
        if (!(pivot > 0.0 && pivot <= DBL_MAX))
            return false;
        l[i * n + i] = sqrt(pivot);
        for (size_t j = i + 1; j < n && l != a; j++)
            l[i * n + j] = 0.0;
    }
    for (size_t i = 0; i < n && l == a; i++)
        for (size_t j = i + 1; j < n; j++)
            l[i * n + j] = 0.0;
    return true;
}

void traj_solve_lower(size_t n, const double *l, double *b)
{
    for (size_t i = 0; i < n; i++) {
        double sum = b[i];
        for (size_t j = 0; j < i; j++)
            sum -= l[i * n + j] * b[j];
        b[i] = sum / l[i * n + i];
    }
}

void traj_solve_lower_transposed(size_t n, const double *l, double *b)
{
    for (size_t i = n; i-- > 0;) {
        b[i] /= l[i * n + i];
        for (size_t j = 0; j < i; j++)
            b[j] -= l[i * n + j] * b[i];
    }
}

void traj_multiply_vector(size_t n, size_t m, const double *a, const double *x, double *out)
{
    for (size_t i = 0; i < n; i++) {
        double sum = 0.0;
        for (size_t j = 0; j < m; j++)
            sum += a[i * m + j] * x[j];
        out[i] = sum;
    }
}

void traj_multiply_transposed(size_t n, size_t m, const double *a, const double *x, double *out)
{
    for (size_t j = 0; j < m; j++)
        out[j] = 0.0;
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < m; j++)
            out[j] += a[i * m + j] * x[i];
}

void traj_multiply(size_t n, const double *a, const double *b, double *out)
{
    for (size_t i = 0; i < n; i++) {
        for (size_t j = 0; j < n; j++)
            out[i * n + j] = 0.0;
        for (size_t t = 0; t < n; t++)
            for (size_t j = 0; j < n; j++)
                out[i * n + j] += a[i * n + t] * b[t * n + j];
    }
}

void traj_congruence(size_t n, const double *a, const double *s, double *out, double *scratch)
{
    traj_multiply(n, a, s, scratch);
    for (size_t i = 0; i < n; i++) {
        for (size_t j = 0; j <= i; j++) {
            double sum = 0.0;
            for (size_t t = 0; t < n; t++)
                sum += scratch[i * n + t] * a[j * n + t];
            out[i * n + j] = sum;
            out[j * n + i] = sum;
        }
    }
}

void traj_congruence_lower(size_t n, const double *l, const double *s, double *out, double *scratch)
{
    for (size_t i = 0; i < n; i++) {
        for (size_t j = 0; j < n; j++)
            scratch[i * n + j] = 0.0;
        for (size_t t = 0; t < n; t++)
            for (size_t j = 0; j <= t; j++)
                scratch[i * n + j] += s[i * n + t] * l[t * n + j];
    }
    for (size_t i = 0; i < n; i++) {
        for (size_t j = 0; j <= i; j++) {
            double sum = 0.0;
            for (size_t t = i; t < n; t++)
                sum += l[t * n + i] * scratch[t * n + j];
            out[i * n + j] = sum;
            out[j * n + i] = sum;
        }
    }
}

double traj_log_diagonal(size_t n, const double *l)
{
    double sum = 0.0;
    for (size_t i = 0; i < n; i++)
        sum += traj_log(l[i * n + i]);
    return sum;
}

bool traj_all_finite(size_t n, const double *x)
{
    for (size_t i = 0; i < n; i++)
        if (!(x[i] >= -DBL_MAX && x[i] <= DBL_MAX))
            return false;
    return true;
}
