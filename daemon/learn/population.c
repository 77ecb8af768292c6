/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A population as the prior of a unit; see population.h. */
#include "daemon/learn/population.h"

#include <gsl/gsl_eigen.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/learn/matrix.h"

#define UNITS_MAX 400  /* of a larger population every so many units are taken */
#define SHARE_MIN 1e-4 /* of the variance: directions with less are left out */
#define STEPS 30
#define HALVINGS 12
#define TOLERANCE 1e-7 /* Newton decrement at which the fit has arrived, nats */
#define CEILING 12.0   /* log spikes/s: nothing fires so fast, and exp must not overflow */
#define STEP_MAX 4.0   /* sd by which a coefficient may move in one step */

/* ---- the population -------------------------------------------------------------------------- */

static void settle_mean(struct traj_population *population, const double *table, size_t units,
                        size_t every, const double *level)
{
    size_t rows = population->rows, count = (units + every - 1) / every;
    double length = 0, sum = 0, square = 0;
    for (size_t i = 0; i < rows; i++)
        length += level[i] * level[i];
    for (size_t n = 0; n < units; n += every) {
        double along = 0;
        for (size_t i = 0; i < rows; i++) {
            population->mean[i] += table[n * rows + i] / (double)count;
            along += level[i] * table[n * rows + i] / fmax(length, 1e-300);
        }
        sum += along;
        square += along * along;
    }
    double mean = sum / (double)count;
    population->level_sd =
        count > 1 ? sqrt(fmax(square / (double)count - mean * mean, 0)) : fabs(mean);
}

/* F from the eigenvectors of the units' own products: F_k = X' u_k / sqrt(units - 1). */
static int settle_factor(struct traj_population *population, const double *table, size_t units,
                         size_t every, const double *level, size_t rank)
{
    size_t rows = population->rows, count = (units + every - 1) / every;
    gsl_matrix *gram = gsl_matrix_calloc(count, count), *vector = gsl_matrix_alloc(count, count);
    gsl_vector *value = gsl_vector_alloc(count);
    gsl_eigen_symmv_workspace *work = gsl_eigen_symmv_alloc(count);
    int status = gram && vector && value && work ? 0 : -1;
    for (size_t n = 0; n < count && status == 0; n++)
        for (size_t m = 0; m <= n; m++) {
            const double *a = table + n * every * rows, *b = table + m * every * rows;
            double sum = 0;
            for (size_t i = 0; i < rows; i++)
                sum += (a[i] - population->mean[i]) * (b[i] - population->mean[i]);
            gsl_matrix_set(gram, n, m, sum);
            gsl_matrix_set(gram, m, n, sum);
        }
    if (status == 0 && (gsl_eigen_symmv(gram, value, vector, work) ||
                        gsl_eigen_symmv_sort(value, vector, GSL_EIGEN_SORT_VAL_DESC)))
        status = -1;
    size_t keep = 0;
    double total = 0;
    for (size_t k = 0; k < count && status == 0; k++)
        total += fmax(gsl_vector_get(value, k), 0);
    while (status == 0 && keep + 1 < count && keep < rank &&
           gsl_vector_get(value, keep) > SHARE_MIN * total && total > 0)
        keep++;
    population->columns = keep + 1;
    population->factor = calloc(rows * population->columns + 1, sizeof *population->factor);
    if (!population->factor)
        status = -1;
    for (size_t i = 0; i < rows && status == 0; i++) {
        double *row = population->factor + i * population->columns;
        for (size_t k = 0; k < keep; k++)
            for (size_t n = 0; n < count; n++)
                row[k] += (table[n * every * rows + i] - population->mean[i]) *
                          gsl_matrix_get(vector, n, k) / sqrt((double)count - 1);
        row[keep] = level[i];
    }
    gsl_matrix_free(gram);
    gsl_matrix_free(vector);
    gsl_vector_free(value);
    gsl_eigen_symmv_free(work);
    return status;
}

int traj_population_make(struct traj_population *population, const double *table, size_t units,
                         size_t rows, const double *level, size_t rank, struct traj_error *error)
{
    size_t every = units > UNITS_MAX ? (units + UNITS_MAX - 1) / UNITS_MAX : 1;
    *population = (struct traj_population){.rows = rows};
    population->mean = calloc(rows + 1, sizeof *population->mean);
    if (population->mean && units > 0) {
        settle_mean(population, table, units, every, level);
        if (settle_factor(population, table, units, every, level,
                          rank < TRAJ_POPULATION_RANK ? rank : TRAJ_POPULATION_RANK) == 0)
            return 0;
    }
    traj_population_free(population);
    return traj_error_set(error, "no memory for the tuning of %zu units", units);
}

void traj_population_free(struct traj_population *population)
{
    free(population->mean);
    free(population->factor);
    *population = (struct traj_population){.rows = 0};
}

/* ---- one unit -------------------------------------------------------------------------------- */

int traj_unit_fit_init(struct traj_unit_fit *fit, size_t rows_max, size_t columns)
{
    *fit = (struct traj_unit_fit){.columns = columns};
    fit->a = calloc(2 * columns + columns * columns + rows_max + 1, sizeof *fit->a);
    if (!fit->a)
        return -1;
    fit->work = fit->a + columns;
    fit->hessian = fit->work + columns;
    fit->whole = fit->hessian + columns * columns;
    return 0;
}

void traj_unit_fit_free(struct traj_unit_fit *fit)
{
    free(fit->a);
    *fit = (struct traj_unit_fit){.columns = 0};
}

/* Log posterior of a without constants; whole[i] becomes the expectation of row i. */
static double evaluate(struct traj_unit_fit *fit, const struct traj_unit_data *data,
                       const double *base, const double *scale, const double *a)
{
    size_t columns = data->columns;
    double value = 0;
    for (size_t i = 0; i < data->rows; i++) {
        const double *row = data->factor + i * columns;
        double eta = base[i];
        if (!(data->e[i] > 0))
            continue;
        for (size_t k = 0; k < columns; k++)
            eta += row[k] * a[k];
        if (data->variance > 0) {
            fit->whole[i] = data->e[i] * eta;
            value += (data->y[i] * eta - data->e[i] * eta * eta / 2) / data->variance;
        } else {
            eta = fmin(eta, CEILING);
            fit->whole[i] = data->e[i] * exp(eta);
            value += data->y[i] * eta - fit->whole[i];
        }
    }
    for (size_t k = 0; k < columns; k++)
        if (scale[k] > 0)
            value -= a[k] * a[k] / (2 * scale[k] * scale[k]);
    return value;
}

/* Gradient into work, negative Hessian's factor; whole[] belongs to a. */
static int differentiate(struct traj_unit_fit *fit, const struct traj_unit_data *data,
                         const double *scale)
{
    size_t columns = data->columns;
    memset(fit->hessian, 0, columns * columns * sizeof *fit->hessian);
    memset(fit->work, 0, columns * sizeof *fit->work);
    for (size_t i = 0; i < data->rows; i++) {
        const double *row = data->factor + i * columns;
        if (!(data->e[i] > 0))
            continue;
        double per = data->variance > 0 ? data->variance : 1;
        double curve = (data->variance > 0 ? data->e[i] : fit->whole[i]) / per;
        double off = (data->y[i] - fit->whole[i]) / per;
        for (size_t k = 0; k < columns; k++) {
            double weighted = curve * row[k];
            double *into = fit->hessian + k * columns;
            fit->work[k] += off * row[k];
            for (size_t l = 0; l <= k; l++)
                into[l] += weighted * row[l];
        }
    }
    for (size_t k = 0; k < columns; k++) {
        double precision = scale[k] > 0 ? 1 / (scale[k] * scale[k]) : 1e12;
        fit->work[k] -= precision * fit->a[k];
        fit->hessian[k * columns + k] += precision;
    }
    return traj_matrix_cholesky(fit->hessian, columns);
}

/* Moves a by the Newton step in work, halved while the posterior falls; returns the decrement. */
static double move(struct traj_unit_fit *fit, const struct traj_unit_data *data, const double *base,
                   const double *scale, double *value, double *next)
{
    size_t columns = fit->columns;
    double decrement = 0, most = 0, length;
    for (size_t k = 0; k < columns; k++)
        next[k] = fit->work[k];
    traj_matrix_cholesky_solve(fit->hessian, columns, fit->work, 1);
    for (size_t k = 0; k < columns; k++) {
        decrement += next[k] * fit->work[k] / 2;
        most = fmax(most, fabs(fit->work[k]) / fmax(scale[k], 1e-6));
    }
    length = most > STEP_MAX && !(data->variance > 0) ? STEP_MAX / most : 1;
    for (int h = 0; h < HALVINGS; h++, length /= 2) {
        for (size_t k = 0; k < columns; k++)
            next[k] = fit->a[k] + length * fit->work[k];
        double reached = evaluate(fit, data, base, scale, next);
        if (reached >= *value || decrement < TOLERANCE) {
            memcpy(fit->a, next, columns * sizeof *next);
            *value = reached;
            return decrement;
        }
    }
    *value = evaluate(fit, data, base, scale, fit->a);
    return 0;
}

int traj_unit_fit_run(struct traj_unit_fit *fit, const struct traj_unit_data *data,
                      const double *base, const double *scale)
{
    double next[TRAJ_POPULATION_RANK + 1], total = 0;
    memset(fit->a, 0, fit->columns * sizeof *fit->a);
    double value = evaluate(fit, data, base, scale, fit->a);
    for (int s = 0; s < STEPS; s++) {
        if (differentiate(fit, data, scale))
            return -1;
        if (move(fit, data, base, scale, &value, next) < TOLERANCE)
            break;
    }
    if (differentiate(fit, data, scale))
        return -1;
    fit->evidence = value;
    for (size_t k = 0; k < fit->columns; k++)
        fit->evidence -= log(fit->hessian[k * fit->columns + k] * fmax(scale[k], 1e-6));
    if (data->variance > 0) {
        for (size_t i = 0; i < data->rows; i++)
            total += data->e[i];
        fit->evidence -= data->squares / (2 * data->variance) + total * log(data->variance) / 2;
    }
    return 0;
}

double traj_unit_fit_at(struct traj_unit_fit *fit, const double *row, double *variance)
{
    size_t columns = fit->columns;
    double mean = 0, sum = 0;
    for (size_t k = 0; k < columns; k++) {
        double left = row[k];
        for (size_t l = 0; l < k; l++)
            left -= fit->hessian[k * columns + l] * fit->work[l];
        fit->work[k] = left / fit->hessian[k * columns + k];
        sum += fit->work[k] * fit->work[k];
        mean += row[k] * fit->a[k];
    }
    if (variance)
        *variance = sum;
    return mean;
}
