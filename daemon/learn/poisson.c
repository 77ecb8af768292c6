/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Poisson regression by Newton's method. */
#include "daemon/learn/poisson.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/learn/matrix.h"

#define STEPS 30
#define HALVINGS 20
#define TOLERANCE 1e-9     /* Newton decrement at which the fit has arrived, nats */
#define ROOT_VARIANCE 1e-3 /* at least, of the roots of one unit's counts */
#define CEILING 20.0       /* log spikes/s; nothing fires so fast, and exp must not overflow */

#define PARAMETERS TRAJ_POISSON_PARAMETERS

/* ---- rows ------------------------------------------------------------------------------------ */

static int allocate(struct traj_poisson_rows *rows, size_t room, struct traj_error *error)
{
    rows->z = malloc((room * rows->columns + 1) * sizeof *rows->z);
    rows->bin = malloc((room + 1) * sizeof *rows->bin);
    rows->fold = malloc(room + 1);
    rows->target = malloc((room + 1) * sizeof *rows->target);
    if (rows->z && rows->bin && rows->fold && rows->target)
        return 0;
    traj_poisson_rows_free(rows);
    return traj_error_set(error, "no memory for %zu rows of a regression", room);
}

/* Appends a bin; toward is NULL or the direction whose components are appended. */
static void add_row(struct traj_poisson_rows *rows, size_t bin, int32_t target, size_t state,
                    const double *toward)
{
    const struct traj_training *training = rows->training;
    size_t dim = training->dim;
    const double *x = training->x + bin * 3 * dim;
    double *z = rows->z + rows->rows * rows->columns;
    for (size_t j = 0; j < state; j++)
        z[j] = (x[j] - (j < dim ? training->center[j] : 0)) / training->scale[j / dim];
    for (size_t o = 0; toward && o < state / dim; o++) {
        z[state + o] = 0;
        for (size_t d = 0; d < dim; d++)
            z[state + o] += toward[d] * z[o * dim + d];
    }
    rows->bin[rows->rows] = bin;
    rows->target[rows->rows] = target;
    rows->fold[rows->rows++] = training->fold[bin];
}

int traj_poisson_rows_new(struct traj_poisson_rows *rows, const struct traj_training *training,
                          size_t columns, size_t lag_max, size_t rows_max, struct traj_error *error)
{
    *rows = (struct traj_poisson_rows){.training = training, .columns = columns};
    size_t usable = 0, seen = 0;
    for (size_t b = 0; b < training->bins; b++)
        usable += training->known[b] && b >= training->history[b] + lag_max;
    size_t every = usable > rows_max ? (usable + rows_max - 1) / rows_max : 1;
    if (allocate(rows, usable / every + 1, error))
        return -1;
    for (size_t b = 0; b < training->bins; b++)
        if (training->known[b] && b >= training->history[b] + lag_max && seen++ % every == 0)
            add_row(rows, b, -1, columns, NULL);
    return 0;
}

/* Bins of movements to known targets; with rows it adds every so many of them. */
static size_t reach_bins(const struct traj_training *training, size_t lag_max, size_t every,
                         size_t columns, const double *toward, struct traj_poisson_rows *rows)
{
    size_t seen = 0;
    for (size_t r = 0; r < training->trials; r++) {
        const struct traj_course *trial = &training->trial[r];
        for (size_t i = 0; i < trial->bin_count && trial->target >= 0; i++) {
            size_t b = trial->bin_first + i;
            if (!training->known[b] || b < training->history[b] + lag_max)
                continue;
            if (rows && seen % every == 0)
                add_row(rows, b, trial->target, columns,
                        toward + (size_t)trial->target * training->dim);
            seen++;
        }
    }
    return seen;
}

int traj_poisson_rows_reach(struct traj_poisson_rows *rows, const struct traj_training *training,
                            size_t columns, const double *toward, size_t lag_max, size_t rows_max,
                            struct traj_error *error)
{
    size_t usable = reach_bins(training, lag_max, 1, columns, toward, NULL);
    size_t every = usable > rows_max ? (usable + rows_max - 1) / rows_max : 1;
    *rows = (struct traj_poisson_rows){.training = training,
                                       .columns = columns + columns / training->dim};
    if (allocate(rows, usable / every + 1, error))
        return -1;
    reach_bins(training, lag_max, every, columns, toward, rows);
    return 0;
}

void traj_poisson_rows_free(struct traj_poisson_rows *rows)
{
    free(rows->z);
    free(rows->bin);
    free(rows->fold);
    free(rows->target);
    *rows = (struct traj_poisson_rows){.training = NULL};
}

/* ---- likelihood ------------------------------------------------------------------------------ */

/* The count that row i explains; false where it was not observed or does not belong to the task. */
static inline bool row_count(const struct traj_poisson_task *task, size_t i, double *count,
                             double *dt)
{
    const struct traj_poisson_rows *rows = task->rows;
    const struct traj_training *training = rows->training;
    size_t b = rows->bin[i];
    if ((task->target >= 0 && rows->target[i] != task->target) ||
        b < training->history[b] + task->lag)
        return false;
    uint16_t value = training->counts[task->unit * training->bins + b - task->lag];
    *count = value;
    *dt = training->dt[b - task->lag];
    return value != TRAJ_COUNT_MISSING;
}

bool traj_poisson_root(const struct traj_poisson_task *task, size_t i, double *root)
{
    double count, dt;
    if (!row_count(task, i, &count, &dt))
        return false;
    *root = sqrt(count * task->rows->training->bin / dt + 0.25);
    return true;
}

/* Mean of the roots of the rows that train, and their variance. */
static double mean_root(const struct traj_poisson_task *task, double *variance)
{
    double sum = 0, square = 0, count = 0, root;
    for (size_t i = 0; i < task->rows->rows; i++)
        if (traj_fold_used(task->rows->fold[i], task->without) &&
            traj_poisson_root(task, i, &root)) {
            sum += root;
            square += root * root;
            count++;
        }
    double mean = count > 0 ? sum / count : 0.5;
    *variance = count > 1 ? fmax(square / count - mean * mean, ROOT_VARIANCE) : ROOT_VARIANCE;
    return mean;
}

static inline double linear(const double *parameter, const double *z, size_t columns)
{
    double sum = parameter[columns];
    for (size_t j = 0; j < columns; j++)
        sum += parameter[j] * z[j];
    return sum;
}

static inline double log_rate(const double *parameter, const double *z, size_t columns)
{
    double eta = parameter[columns];
    for (size_t j = 0; j < columns; j++)
        eta += parameter[j] * z[j];
    return eta < CEILING ? eta : CEILING;
}

static double log_mean_rate(const struct traj_poisson_task *task)
{
    double spikes = 0.5, seconds = 1.0, count, dt;
    for (size_t i = 0; i < task->rows->rows; i++)
        if (traj_fold_used(task->rows->fold[i], task->without) && row_count(task, i, &count, &dt)) {
            spikes += count;
            seconds += dt;
        }
    return log(spikes / seconds);
}

/* Adds the prior's part to value, gradient and negative Hessian. */
static double add_prior(const struct traj_poisson_task *task, const double *center,
                        const double *parameter, double *gradient, double *hessian)
{
    size_t size = task->columns + 1;
    double value = 0;
    for (size_t j = 0; j < size; j++) {
        double precision = j < task->columns ? task->ridge : task->precision;
        double apart = parameter[j] - center[j];
        value -= precision * apart * apart / 2;
        if (gradient) {
            gradient[j] -= precision * apart;
            hessian[j * size + j] += precision;
        }
    }
    return value;
}

/* Log posterior without constants; with gradient and negative Hessian (lower half) where wanted. */
static double evaluate(const struct traj_poisson_task *task, const double *center,
                       const double *parameter, double *gradient, double *hessian)
{
    const struct traj_poisson_rows *rows = task->rows;
    size_t columns = task->columns, size = columns + 1;
    double value = 0, count, dt;
    if (gradient) {
        memset(gradient, 0, size * sizeof *gradient);
        memset(hessian, 0, size * size * sizeof *hessian);
    }
    for (size_t i = 0; i < rows->rows; i++) {
        if (!traj_fold_used(rows->fold[i], task->without) || !row_count(task, i, &count, &dt))
            continue;
        const double *z = rows->z + i * rows->columns;
        double eta = log_rate(parameter, z, columns), expected = dt * exp(eta);
        value += count * eta - expected;
        if (!gradient)
            continue;
        for (size_t j = 0; j < columns; j++) {
            double weighted = expected * z[j];
            gradient[j] += (count - expected) * z[j];
            for (size_t k = 0; k <= j; k++)
                hessian[j * size + k] += weighted * z[k];
            hessian[columns * size + j] += weighted;
        }
        gradient[columns] += count - expected;
        hessian[columns * size + columns] += expected;
    }
    return value + add_prior(task, center, parameter, gradient, hessian);
}

/* The mode of the regression of roots: its normal equations. */
static void fit_root(const struct traj_poisson_task *task, const double *center, double *parameter)
{
    const struct traj_poisson_rows *rows = task->rows;
    size_t columns = task->columns, size = columns + 1;
    double gradient[PARAMETERS] = {0}, hessian[PARAMETERS * PARAMETERS] = {0}, root;
    memcpy(parameter, center, size * sizeof *parameter);
    for (size_t i = 0; i < rows->rows; i++) {
        if (!traj_fold_used(rows->fold[i], task->without) || !traj_poisson_root(task, i, &root))
            continue;
        const double *z = rows->z + i * rows->columns;
        double apart = root - linear(center, z, columns);
        for (size_t j = 0; j < columns; j++) {
            gradient[j] += apart * z[j];
            for (size_t k = 0; k <= j; k++)
                hessian[j * size + k] += z[j] * z[k];
            hessian[columns * size + j] += z[j];
        }
        gradient[columns] += apart;
        hessian[columns * size + columns] += 1;
    }
    (void)add_prior(task, center, center, gradient, hessian);
    if (traj_matrix_cholesky(hessian, size))
        return;
    traj_matrix_cholesky_solve(hessian, size, gradient, 1);
    for (size_t j = 0; j < size; j++)
        parameter[j] += gradient[j];
}

/* ---- fit ------------------------------------------------------------------------------------- */

void traj_poisson_fit(const struct traj_poisson_task *task, bool warm, double *parameter)
{
    size_t size = task->columns + 1;
    double gradient[PARAMETERS], hessian[PARAMETERS * PARAMETERS], next[PARAMETERS],
        step[PARAMETERS], usual[PARAMETERS] = {0};
    const double *center = task->center;
    if (!center) {
        double variance;
        usual[size - 1] = task->root ? mean_root(task, &variance) : log_mean_rate(task);
        center = usual;
    }
    if (task->root) {
        fit_root(task, center, parameter);
        return;
    }
    if (!warm)
        memcpy(parameter, center, size * sizeof *parameter);
    for (size_t s = 0; s < STEPS; s++) {
        double value = evaluate(task, center, parameter, gradient, hessian);
        if (traj_matrix_cholesky(hessian, size))
            return;
        memcpy(step, gradient, size * sizeof *step);
        traj_matrix_cholesky_solve(hessian, size, step, 1);
        double decrement = 0, length = 1;
        for (size_t j = 0; j < size; j++)
            decrement += gradient[j] * step[j] / 2;
        if (decrement < TOLERANCE)
            return;
        for (size_t h = 0; h < HALVINGS; h++, length /= 2) {
            for (size_t j = 0; j < size; j++)
                next[j] = parameter[j] + length * step[j];
            /* Near the mode a full Newton step cannot fail, and another pass would cost as much. */
            if (decrement < 1e-2 || evaluate(task, center, next, NULL, NULL) >= value)
                break;
        }
        memcpy(parameter, next, size * sizeof *parameter);
        if (decrement < 1e-5) /* the step just made squares the error */
            return;
    }
}

static double score_root(const struct traj_poisson_task *task, const double *parameter)
{
    const struct traj_poisson_rows *rows = task->rows;
    double variance, mean = mean_root(task, &variance), score = 0, root;
    for (size_t i = 0; i < rows->rows; i++) {
        if (rows->fold[i] != task->without || !traj_poisson_root(task, i, &root))
            continue;
        double apart = root - linear(parameter, rows->z + i * rows->columns, task->columns);
        score += (root - mean) * (root - mean) - apart * apart;
    }
    return score / (2 * variance);
}

double traj_poisson_score(const struct traj_poisson_task *task, const double *parameter)
{
    const struct traj_poisson_rows *rows = task->rows;
    if (task->root)
        return score_root(task, parameter);
    double constant = log_mean_rate(task), rate = exp(constant), score = 0, count, dt;
    for (size_t i = 0; i < rows->rows; i++) {
        if (rows->fold[i] != task->without || !row_count(task, i, &count, &dt))
            continue;
        double eta = log_rate(parameter, rows->z + i * rows->columns, task->columns);
        score += count * (eta - constant) - dt * (exp(eta) - rate);
    }
    return score;
}
