/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Poisson regression by Newton's method. */
#include "daemon/learn/poisson.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/learn/matrix.h"

#define STEPS 30
#define HALVINGS 20
#define TOLERANCE 1e-9       /* Newton decrement at which the fit has arrived, nats */
#define OFFSET_PRECISION 1.0 /* of the prior on d, 1 / nats^2 */
#define CEILING 20.0         /* log spikes/s; nothing fires so fast, and exp must not overflow */

#define PARAMETERS (TRAJ_STATE_MAX + 1)

int traj_poisson_rows_new(struct traj_poisson_rows *rows, const struct traj_training *training,
                          size_t state, size_t lag_max, size_t rows_max, struct traj_error *error)
{
    *rows = (struct traj_poisson_rows){.training = training, .state = state};
    size_t usable = 0, stride = 3 * training->dim, dim = training->dim;
    for (size_t b = 0; b < training->bins; b++)
        usable += training->known[b] && b >= training->run_start[b] + lag_max;
    size_t every = usable > rows_max ? (usable + rows_max - 1) / rows_max : 1;
    size_t room = usable / every + 1;
    rows->z = malloc(room * state * sizeof *rows->z);
    rows->bin = malloc(room * sizeof *rows->bin);
    rows->fold = malloc(room);
    if (!rows->z || !rows->bin || !rows->fold) {
        traj_poisson_rows_free(rows);
        return traj_error_set(error, "no memory for %zu rows of a regression", room);
    }
    size_t seen = 0;
    for (size_t b = 0; b < training->bins; b++) {
        if (!training->known[b] || b < training->run_start[b] + lag_max || seen++ % every != 0)
            continue;
        const double *x = training->x + b * stride;
        double *z = rows->z + rows->rows * state;
        for (size_t j = 0; j < state; j++)
            z[j] = (x[j] - (j < dim ? training->center[j] : 0)) / training->scale[j / dim];
        rows->bin[rows->rows] = b;
        rows->fold[rows->rows++] = training->fold[b];
    }
    return 0;
}

void traj_poisson_rows_free(struct traj_poisson_rows *rows)
{
    free(rows->z);
    free(rows->bin);
    free(rows->fold);
    *rows = (struct traj_poisson_rows){.training = NULL};
}

/* The count that row i explains; false where it was not observed. */
static inline bool row_count(const struct traj_poisson_rows *rows, size_t i, size_t unit, size_t lag,
                             double *count, double *dt)
{
    const struct traj_training *training = rows->training;
    size_t b = rows->bin[i];
    if (b < training->run_start[b] + lag)
        return false;
    uint16_t value = training->counts[unit * training->bins + b - lag];
    *count = value;
    *dt = training->dt[b - lag];
    return value != TRAJ_COUNT_MISSING;
}

static inline double log_rate(const double *parameter, const double *z, size_t state)
{
    double eta = parameter[state];
    for (size_t j = 0; j < state; j++)
        eta += parameter[j] * z[j];
    return eta < CEILING ? eta : CEILING;
}

/* What one pass over the rows of one unit works on. */
struct problem {
    const struct traj_poisson_rows *rows;
    size_t unit, lag;
    unsigned without;
    double ridge;
    double offset; /* prior mean of d */
};

static double log_mean_rate(const struct traj_poisson_rows *rows, size_t unit, size_t lag,
                            unsigned without)
{
    double spikes = 0.5, seconds = 1.0, count, dt;
    for (size_t i = 0; i < rows->rows; i++)
        if (traj_fold_used(rows->fold[i], without) && row_count(rows, i, unit, lag, &count, &dt)) {
            spikes += count;
            seconds += dt;
        }
    return log(spikes / seconds);
}

static double log_prior(const struct problem *problem, const double *parameter)
{
    size_t state = problem->rows->state;
    double sum = 0, apart = parameter[state] - problem->offset;
    for (size_t j = 0; j < state; j++)
        sum += parameter[j] * parameter[j];
    return -(problem->ridge * sum + OFFSET_PRECISION * apart * apart) / 2;
}

/* Log posterior without constants; with gradient and negative Hessian (lower half) where wanted. */
static double evaluate(const struct problem *problem, const double *parameter, double *gradient,
                       double *hessian)
{
    const struct traj_poisson_rows *rows = problem->rows;
    size_t state = rows->state, size = state + 1;
    double value = log_prior(problem, parameter), count, dt;
    if (gradient) {
        memset(gradient, 0, size * sizeof *gradient);
        memset(hessian, 0, size * size * sizeof *hessian);
    }
    for (size_t i = 0; i < rows->rows; i++) {
        if (!traj_fold_used(rows->fold[i], problem->without) ||
            !row_count(rows, i, problem->unit, problem->lag, &count, &dt))
            continue;
        const double *z = rows->z + i * state;
        double eta = log_rate(parameter, z, state), expected = dt * exp(eta);
        value += count * eta - expected;
        if (!gradient)
            continue;
        for (size_t j = 0; j < state; j++) {
            double weighted = expected * z[j];
            gradient[j] += (count - expected) * z[j];
            for (size_t k = 0; k <= j; k++)
                hessian[j * size + k] += weighted * z[k];
            hessian[state * size + j] += weighted;
        }
        gradient[state] += count - expected;
        hessian[state * size + state] += expected;
    }
    if (gradient) {
        for (size_t j = 0; j < state; j++) {
            gradient[j] -= problem->ridge * parameter[j];
            hessian[j * size + j] += problem->ridge;
        }
        gradient[state] -= OFFSET_PRECISION * (parameter[state] - problem->offset);
        hessian[state * size + state] += OFFSET_PRECISION;
    }
    return value;
}

void traj_poisson_fit(const struct traj_poisson_rows *rows, size_t unit, size_t lag, double ridge,
                      unsigned without, bool warm, double *parameter)
{
    size_t size = rows->state + 1;
    double gradient[PARAMETERS], hessian[PARAMETERS * PARAMETERS], next[PARAMETERS], step[PARAMETERS];
    struct problem problem = {rows, unit, lag, without, ridge,
                              log_mean_rate(rows, unit, lag, without)};
    if (!warm) {
        memset(parameter, 0, size * sizeof *parameter);
        parameter[size - 1] = problem.offset;
    }
    for (size_t s = 0; s < STEPS; s++) {
        double value = evaluate(&problem, parameter, gradient, hessian);
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
            if (decrement < 1e-2 || evaluate(&problem, next, NULL, NULL) >= value)
                break;
        }
        memcpy(parameter, next, size * sizeof *parameter);
        if (decrement < 1e-5) /* the step just made squares the error */
            return;
    }
}

double traj_poisson_score(const struct traj_poisson_rows *rows, size_t unit, size_t lag,
                          unsigned fold, const double *parameter)
{
    double constant = log_mean_rate(rows, unit, lag, fold), rate = exp(constant);
    double score = 0, count, dt;
    for (size_t i = 0; i < rows->rows; i++) {
        if (rows->fold[i] != fold || !row_count(rows, i, unit, lag, &count, &dt))
            continue;
        double eta = log_rate(parameter, rows->z + i * rows->state, rows->state);
        score += count * (eta - constant) - dt * (exp(eta) - rate);
    }
    return score;
}
