/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A basis for functions along courses; see course_basis.h. */
#include "daemon/learn/course_basis.h"

#include <gsl/gsl_eigen.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define ELL_S 0.125      /* s, length over which a unit's activity is alike */
#define EIGEN_FLOOR 1e-3 /* directions of less variance are left out */
#define TERMS 4
#define ALONE_MAX 16 /* targets up to which each may differ from all others */

/* Variances of the part that is alike over 4 ell (the first: throughout), and over ell. */
static const double variance[TERMS][2] = {{1, 0.1}, {0.15, 0.15}, {0.03, 0.03}, {0.02, 0.02}};

/* Eigenvectors of one factor of a term, scaled to sd; those of variance above the floor. */
struct directions {
    size_t count;
    double *vector; /* [count][n] */
};

static double cosine(const struct traj_labels *labels, const struct traj_training *training,
                     size_t a, size_t b)
{
    double dot = 0, aa = 0, bb = 0;
    for (size_t d = 0; d < training->dim; d++) {
        double u = training->target_position[a * training->dim + d] - labels->origin[d];
        double v = training->target_position[b * training->dim + d] - labels->origin[d];
        dot += u * v;
        aa += u * u;
        bb += v * v;
    }
    return aa > 0 && bb > 0 ? dot / sqrt(aa * bb) : 1;
}

static double target_term(const struct traj_labels *labels, const struct traj_training *training,
                          size_t term, size_t a, size_t b)
{
    double c = cosine(labels, training, a, b);
    const double of[TERMS] = {1, c, 2 * c * c, a == b ? 1 : 0};
    return of[term];
}

static double place_term(double ell, size_t term, size_t g, size_t h)
{
    double apart = ((double)g - (double)h) / ell, s = exp(-0.5 * apart * apart);
    double slow = term == 0 ? 1 : exp(-0.5 * apart * apart / 16);
    return variance[term][0] * slow + variance[term][1] * s;
}

static int decompose(gsl_matrix *k, double floor, struct directions *out)
{
    size_t n = k->size1;
    gsl_matrix *vector = gsl_matrix_alloc(n, n);
    gsl_vector *value = gsl_vector_alloc(n);
    gsl_eigen_symmv_workspace *work = gsl_eigen_symmv_alloc(n);
    *out = (struct directions){0, malloc(n * n * sizeof *out->vector)};
    int status = vector && value && work && out->vector &&
                         gsl_eigen_symmv(k, value, vector, work) == 0 &&
                         gsl_eigen_symmv_sort(value, vector, GSL_EIGEN_SORT_VAL_DESC) == 0
                     ? 0
                     : -1;
    for (size_t i = 0; status == 0 && i < n && gsl_vector_get(value, i) > floor; i++) {
        for (size_t j = 0; j < n; j++)
            out->vector[out->count * n + j] =
                gsl_matrix_get(vector, j, i) * sqrt(gsl_vector_get(value, i));
        out->count++;
    }
    gsl_matrix_free(vector);
    gsl_vector_free(value);
    gsl_eigen_symmv_free(work);
    return status;
}

/* Directions over targets and over places of one term. */
static int decompose_term(const struct traj_labels *labels, const struct traj_training *training,
                          size_t term, struct directions *target, struct directions *place)
{
    size_t m = labels->targets, row = labels->row;
    double ell = ELL_S / labels->step;
    gsl_matrix *k = gsl_matrix_alloc(m, m), *l = gsl_matrix_alloc(row, row);
    int status = k && l ? 0 : -1;
    for (size_t i = 0; status == 0 && i < m * m; i++)
        gsl_matrix_set(k, i / m, i % m, target_term(labels, training, term, i / m, i % m));
    for (size_t i = 0; status == 0 && i < row * row; i++)
        gsl_matrix_set(l, i / row, i % row, place_term(ell, term, i / row, i % row));
    if (status == 0 && (decompose(k, 1e-6, target) || decompose(l, EIGEN_FLOOR, place)))
        status = -1;
    gsl_matrix_free(k);
    gsl_matrix_free(l);
    return status;
}

double *traj_course_basis(const struct traj_labels *labels, const struct traj_training *training,
                          size_t *columns, struct traj_error *error)
{
    size_t m = labels->targets, row = labels->row, at = 0;
    struct directions target[TERMS] = {{0, NULL}}, place[TERMS] = {{0, NULL}};
    double *factor = NULL;
    int status = 0;
    *columns = 0;
    for (size_t t = 0; t < TERMS && status == 0; t++) {
        if (t + 1 == TERMS && m > ALONE_MAX)
            continue;
        status = decompose_term(labels, training, t, &target[t], &place[t]);
        *columns += target[t].count * place[t].count;
    }
    if (status == 0)
        factor = malloc((m * row * *columns + 1) * sizeof *factor);
    for (size_t t = 0; factor && t < TERMS; t++)
        for (size_t a = 0; a < target[t].count; a++)
            for (size_t b = 0; b < place[t].count; b++, at++)
                for (size_t i = 0; i < m * row; i++)
                    factor[i * *columns + at] =
                        target[t].vector[a * m + i / row] * place[t].vector[b * row + i % row];
    for (size_t t = 0; t < TERMS; t++) {
        free(target[t].vector);
        free(place[t].vector);
    }
    if (!factor)
        traj_error_set(error, "the prior over %zu targets by %zu places could not be made", m, row);
    return factor;
}
