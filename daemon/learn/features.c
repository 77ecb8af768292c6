/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The Gaussian observation of continuous features. */
#include "daemon/learn/features.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/learn/matrix.h"

#define RIDGE 1.0 /* rows of pseudo-data in which a feature does not depend on the state */
#define TO_DIAGONAL_DEFAULT 0.2

#define EXTENDED (TRAJ_STATE_MAX + 1)

/* (centred and scaled state, 1) of a bin. */
static void regressors(const struct traj_training *training, size_t bin, size_t state, double *u)
{
    const double *x = training->x + bin * 3 * training->dim;
    for (size_t j = 0; j < state; j++)
        u[j] = (x[j] - (j < training->dim ? training->center[j] : 0)) /
               training->scale[j / training->dim];
    u[state] = 1;
}

static bool usable(const struct traj_training *training, size_t bin, size_t feature,
                   unsigned without)
{
    return training->known[bin] && traj_fold_used(training->fold[bin], without) &&
           isfinite(training->feature[bin * training->features + feature]);
}

/* Coefficients of one feature on standardised regressors. */
static void regress(const struct traj_training *training, size_t state, size_t feature,
                    unsigned without, double *coefficient)
{
    size_t extended = state + 1;
    double gram[EXTENDED * EXTENDED] = {0}, work[EXTENDED * EXTENDED], ridge[EXTENDED], u[EXTENDED];
    memset(coefficient, 0, extended * sizeof *coefficient);
    for (size_t b = 0; b < training->bins; b++) {
        if (!usable(training, b, feature, without))
            continue;
        double value = (double)training->feature[b * training->features + feature];
        regressors(training, b, state, u);
        for (size_t i = 0; i < extended; i++) {
            coefficient[i] += u[i] * value;
            for (size_t j = 0; j <= i; j++)
                gram[i * extended + j] += u[i] * u[j];
        }
    }
    for (size_t i = 0; i < extended; i++)
        ridge[i] = i < state ? RIDGE : 1e-9;
    traj_matrix_solve_moments(gram, ridge, extended, coefficient, 1, work);
}

/* Residuals of all features of a bin; NaN where a feature was not observed. */
static void residuals(const struct traj_training *training, size_t bin, size_t state,
                      const double *coefficient, double *out)
{
    double u[EXTENDED];
    regressors(training, bin, state, u);
    for (size_t f = 0; f < training->features; f++) {
        double sum = (double)training->feature[bin * training->features + f];
        for (size_t i = 0; i <= state; i++)
            sum -= coefficient[f * (state + 1) + i] * u[i];
        out[f] = isfinite(sum) ? sum : NAN;
    }
}

static void draw_to_diagonal(double *noise, size_t features, double share)
{
    for (size_t i = 0; i < features; i++)
        for (size_t j = 0; j < features; j++)
            noise[i * features + j] *= i == j ? 1 : 1 - share;
}

/* Covariance of residuals over the bins in which both features were observed. */
static int residual_covariance(const struct traj_training *training, size_t state,
                               const double *coefficient, unsigned without, double *noise,
                               struct traj_error *error)
{
    size_t features = training->features;
    double *pairs = calloc(features * features, sizeof *pairs);
    double *residual = malloc(features * sizeof *residual);
    int status = 0;
    if (!pairs || !residual)
        status = traj_error_set(error, "no memory for the noise of %zu features", features);
    memset(noise, 0, features * features * sizeof *noise);
    for (size_t b = 0; b < training->bins && status == 0; b++) {
        if (!training->known[b] || !traj_fold_used(training->fold[b], without))
            continue;
        residuals(training, b, state, coefficient, residual);
        for (size_t i = 0; i < features; i++)
            for (size_t j = 0; j <= i && !isnan(residual[i]); j++)
                if (!isnan(residual[j])) {
                    noise[i * features + j] += residual[i] * residual[j];
                    pairs[i * features + j] += 1;
                }
    }
    for (size_t i = 0; i < features && status == 0; i++)
        for (size_t j = 0; j <= i; j++) {
            double count = pairs[i * features + j] - (double)(state + 1);
            double value = noise[i * features + j] / fmax(count, 1);
            noise[i * features + j] = value;
            noise[j * features + i] = value;
        }
    free(pairs);
    free(residual);
    return status;
}

int traj_features_fit(const struct traj_training *training, size_t state, double to_diagonal,
                      unsigned without, double *weight, double *offset, double *noise,
                      struct traj_error *error)
{
    size_t features = training->features, extended = state + 1;
    double *coefficient = malloc(features * extended * sizeof *coefficient);
    double *work = malloc(features * features * sizeof *work);
    double *floor = malloc(features * sizeof *floor);
    int status = 0;
    if (!coefficient || !work || !floor)
        status = traj_error_set(error, "no memory for %zu features", features);
    for (size_t f = 0; f < features && status == 0; f++)
        regress(training, state, f, without, coefficient + f * extended);
    if (status == 0)
        status = residual_covariance(training, state, coefficient, without, noise, error);
    if (status == 0) {
        double mean = 0;
        for (size_t f = 0; f < features; f++)
            mean += noise[f * features + f] / (double)features;
        /* A constant feature has no noise at all; it must not become infinitely credible. */
        for (size_t f = 0; f < features; f++)
            floor[f] = 1e-6 * mean + (noise[f * features + f] > 0 ? 0 : mean) + 1e-300;
        draw_to_diagonal(noise, features, to_diagonal);
        traj_matrix_make_positive(noise, features, floor, work);
        for (size_t f = 0; f < features; f++) {
            offset[f] = coefficient[f * extended + state];
            for (size_t j = 0; j < state; j++) {
                double natural = coefficient[f * extended + j] / training->scale[j / training->dim];
                weight[f * state + j] = natural;
                offset[f] -= j < training->dim ? natural * training->center[j] : 0;
            }
        }
    }
    free(coefficient);
    free(work);
    free(floor);
    return status;
}

/* ---- choice ---------------------------------------------------------------------------------- */

/* Log likelihood of the bins of a fold whose features are all there, without the constant. */
static double score_fold(const struct traj_training *training, size_t state, unsigned fold,
                         const double *weight, const double *offset, double *noise,
                         double *residual)
{
    size_t features = training->features;
    double score = 0, log_determinant = 0;
    if (traj_matrix_cholesky(noise, features))
        return -INFINITY;
    for (size_t f = 0; f < features; f++)
        log_determinant += 2 * log(noise[f * features + f]);
    for (size_t b = 0; b < training->bins; b++) {
        if (!training->known[b] || training->fold[b] != fold)
            continue;
        const double *x = training->x + b * 3 * training->dim;
        bool whole = true;
        for (size_t f = 0; f < features; f++) {
            double sum = (double)training->feature[b * features + f] - offset[f];
            for (size_t j = 0; j < state; j++)
                sum -= weight[f * state + j] * x[j];
            for (size_t k = 0; k < f; k++)
                sum -= noise[f * features + k] * residual[k];
            residual[f] = sum / noise[f * features + f];
            whole = whole && isfinite(sum);
        }
        if (!whole)
            continue;
        for (size_t f = 0; f < features; f++)
            score -= residual[f] * residual[f] / 2;
        score -= log_determinant / 2;
    }
    return score;
}

int traj_features_choose(const struct traj_training *training, size_t state, double *to_diagonal,
                         struct traj_error *error)
{
    static const double grid[] = {0.01, 0.03, 0.1, 0.2, 0.4, 0.7, 1};
    size_t features = training->features;
    *to_diagonal = TO_DIAGONAL_DEFAULT;
    if (training->folds == 0 || features == 0)
        return 0;
    double *weight = malloc((features * (state + 2)) * sizeof *weight);
    double *noise = malloc(features * features * sizeof *noise);
    double *residual = malloc(features * sizeof *residual);
    int status = 0;
    if (!weight || !noise || !residual)
        status = traj_error_set(error, "no memory for %zu features", features);
    double best = -INFINITY;
    for (size_t g = 0; g < sizeof grid / sizeof grid[0] && status == 0; g++) {
        double score = 0;
        for (unsigned f = 0; f < training->folds && status == 0; f++) {
            double *offset = weight + features * state;
            status = traj_features_fit(training, state, grid[g], f, weight, offset, noise, error);
            if (status == 0)
                score += score_fold(training, state, f, weight, offset, noise, residual);
        }
        if (score > best) {
            best = score;
            *to_diagonal = grid[g];
        }
    }
    free(weight);
    free(noise);
    free(residual);
    return status;
}
