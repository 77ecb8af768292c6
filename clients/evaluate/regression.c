/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Normal equations accumulated in tiles that stay in the first-level cache. */
#include "clients/evaluate/regression.h"

#include <gsl/gsl_linalg.h>
#include <stdlib.h>
#include <string.h>

#define TILE 512 /* columns of X'X that are worked on together: 4 KiB a row */

int traj_regression_init(struct traj_regression *m, size_t inputs, size_t outputs)
{
    m->inputs = inputs;
    m->outputs = outputs;
    m->samples = 0;
    m->xx = calloc(inputs * inputs, sizeof *m->xx);
    m->xy = calloc(inputs * outputs, sizeof *m->xy);
    if (!m->xx || !m->xy) {
        traj_regression_free(m);
        return -1;
    }
    return 0;
}

void traj_regression_free(struct traj_regression *m)
{
    free(m->xx);
    free(m->xy);
    m->xx = NULL;
    m->xy = NULL;
}

/* One tile of columns of X'X for four samples at a time, so that each sum is loaded once for four
 * products. */
static void add_tile(struct traj_regression *m, const double *x, size_t count, size_t from,
                     size_t to)
{
    size_t d = m->inputs;
    for (size_t i = 0; i < to; i++) {
        double *restrict row = m->xx + i * d;
        size_t first = i > from ? i : from, s = 0;
        for (; s + 4 <= count; s += 4) {
            const double *restrict a = x + s * d, *restrict b = a + d, *restrict e = b + d,
                                   *restrict f = e + d;
            double ai = a[i], bi = b[i], ei = e[i], fi = f[i];
            for (size_t j = first; j < to; j++) {
                row[j] += ai * a[j] + bi * b[j] + ei * e[j] + fi * f[j];
            }
        }
        for (; s < count; s++) {
            const double *restrict a = x + s * d;
            for (size_t j = first; j < to; j++) {
                row[j] += a[i] * a[j];
            }
        }
    }
}

void traj_regression_add(struct traj_regression *m, const double *x, const double *y, size_t count)
{
    for (size_t from = 0; from < m->inputs; from += TILE) {
        add_tile(m, x, count, from, from + TILE < m->inputs ? from + TILE : m->inputs);
    }
    for (size_t s = 0; s < count; s++) {
        for (size_t i = 0; i < m->inputs; i++) {
            for (size_t k = 0; k < m->outputs; k++) {
                m->xy[i * m->outputs + k] += x[s * m->inputs + i] * y[s * m->outputs + k];
            }
        }
    }
    m->samples += count;
}

void traj_regression_merge(struct traj_regression *m, const struct traj_regression *other)
{
    for (size_t i = 0; i < m->inputs * m->inputs; i++) {
        m->xx[i] += other->xx[i];
    }
    for (size_t i = 0; i < m->inputs * m->outputs; i++) {
        m->xy[i] += other->xy[i];
    }
    m->samples += other->samples;
}

int traj_regression_solve(const struct traj_regression *m, double ridge, double *b)
{
    size_t d = m->inputs;
    gsl_matrix *a = gsl_matrix_alloc(d, d);
    gsl_vector *x = gsl_vector_alloc(d);
    int result = a && x ? 0 : -1;
    if (result == 0) {
        double trace = 0.0;
        for (size_t i = 0; i < d; i++) {
            trace += m->xx[i * d + i];
            for (size_t j = i; j < d; j++) {
                gsl_matrix_set(a, i, j, m->xx[i * d + j]);
                gsl_matrix_set(a, j, i, m->xx[i * d + j]);
            }
        }
        for (size_t i = 0; i < d; i++) {
            gsl_matrix_set(a, i, i, m->xx[i * d + i] + ridge * trace / (double)d);
        }
        result = gsl_linalg_cholesky_decomp1(a) ? -1 : 0;
    }
    for (size_t k = 0; result == 0 && k < m->outputs; k++) {
        gsl_vector_const_view y = gsl_vector_const_view_array_with_stride(m->xy + k, m->outputs, d);
        result = gsl_linalg_cholesky_solve(a, &y.vector, x) ? -1 : 0;
        for (size_t i = 0; i < d; i++) {
            b[i * m->outputs + k] = gsl_vector_get(x, i);
        }
    }
    gsl_matrix_free(a);
    gsl_vector_free(x);
    return result;
}
