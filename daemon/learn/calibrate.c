/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Calibration on held-out folds: the factor by which a covariance must grow so that its 90 % region
 * holds 90 % of the movement, and the power of the target probabilities that scores best.
 */
#include <gsl/gsl_cdf.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/learn/matrix.h"
#include "daemon/learn/select.h"

#define REGION 0.9
#define BINS_MAX 20000
#define PROBABILITY_FLOOR 1e-300

/* What is kept of every held-out bin. */
struct tally {
    size_t bins, cap;
    double *position; /* [bins] squared Mahalanobis distance of the true position */
    double *velocity; /* [bins] of the true velocity, NaN = not known */
    size_t labelled, targets;
    double *log_prob; /* [labelled][targets + 1] of each target and of free */
    int32_t *target;  /* [labelled] */
};

/* Squared distance of truth from mean in units of cov; NaN where cov is not usable. */
static double mahalanobis(const double *mean, const double *cov, const double *truth, size_t dim)
{
    double factor[TRAJ_DIM_MAX * TRAJ_DIM_MAX], apart[TRAJ_DIM_MAX], solved[TRAJ_DIM_MAX], sum = 0;
    memcpy(factor, cov, dim * dim * sizeof *factor);
    if (traj_matrix_cholesky(factor, dim))
        return NAN;
    for (size_t d = 0; d < dim; d++)
        apart[d] = solved[d] = truth[d] - mean[d];
    traj_matrix_cholesky_solve(factor, dim, solved, 1);
    for (size_t d = 0; d < dim; d++)
        sum += apart[d] * solved[d];
    return sum;
}

static void add_bin(void *context, const struct traj_held *held, size_t bin,
                    const struct traj_intent *intent)
{
    struct tally *tally = context;
    size_t dim = intent->dim;
    if (tally->bins == tally->cap || !intent->position || !intent->position_cov)
        return;
    size_t i = tally->bins++;
    tally->position[i] =
        mahalanobis(intent->position, intent->position_cov, held->position + bin * dim, dim);
    tally->velocity[i] = NAN;
    if (intent->velocity && intent->velocity_cov)
        tally->velocity[i] =
            mahalanobis(intent->velocity, intent->velocity_cov, held->velocity + bin * dim, dim);
    if (held->target[bin] < 0 || !intent->target_prob || intent->targets != tally->targets)
        return;
    double *row = tally->log_prob + tally->labelled * (tally->targets + 1);
    for (size_t m = 0; m < tally->targets; m++)
        row[m] = log(intent->target_prob[m] + PROBABILITY_FLOOR);
    row[tally->targets] =
        isnan(intent->free_prob) ? -INFINITY : log(intent->free_prob + PROBABILITY_FLOOR);
    tally->target[tally->labelled++] = held->target[bin];
}

static int compare_doubles(const void *a, const void *b)
{
    double x, y;
    memcpy(&x, a, sizeof x);
    memcpy(&y, b, sizeof y);
    return (x > y) - (x < y);
}

/* The factor for one kind of distance; 1 where there are too few. */
static double region_factor(double *distance, size_t count, size_t dim, double *coverage)
{
    size_t kept = 0, inside = 0;
    double limit = gsl_cdf_chisq_Pinv(REGION, (double)dim);
    for (size_t i = 0; i < count; i++)
        if (isfinite(distance[i]))
            distance[kept++] = distance[i];
    for (size_t i = 0; i < kept; i++)
        inside += distance[i] <= limit;
    *coverage = kept > 0 ? (double)inside / (double)kept : NAN;
    if (kept < 20)
        return 1;
    qsort(distance, kept, sizeof *distance, compare_doubles);
    double factor = distance[(size_t)(REGION * (double)(kept - 1))] / limit;
    return fmin(fmax(factor, 1e-3), 1e3);
}

/* Mean log probability of the true target when all are raised to a power. */
static double log_score(const struct tally *tally, double power)
{
    double sum = 0;
    for (size_t i = 0; i < tally->labelled; i++) {
        const double *row = tally->log_prob + i * (tally->targets + 1);
        double most = -INFINITY, total = 0;
        for (size_t m = 0; m <= tally->targets; m++)
            most = fmax(most, row[m]);
        for (size_t m = 0; m <= tally->targets; m++)
            total += exp(power * (row[m] - most));
        sum += power * (row[tally->target[i]] - most) - log(total);
    }
    return sum / (double)tally->labelled;
}

static double best_power(const struct tally *tally)
{
    double best = -INFINITY, chosen = 1;
    for (int i = -20; i <= 10; i++) {
        double power = pow(2, (double)i / 5), score = log_score(tally, power);
        if (score > best) {
            best = score;
            chosen = power;
        }
    }
    return chosen;
}

static int make_tally(struct tally *tally, const struct traj_training *training,
                      const struct traj_bench *bench, struct traj_error *error)
{
    size_t bins = 0;
    for (size_t i = 0; i < bench->count; i++)
        bins += bench->held[i].session->bins;
    *tally = (struct tally){.cap = bins, .targets = training->targets};
    tally->position = malloc((bins + 1) * sizeof(double));
    tally->velocity = malloc((bins + 1) * sizeof(double));
    tally->log_prob = malloc((bins + 1) * (training->targets + 1) * sizeof(double));
    tally->target = malloc((bins + 1) * sizeof *tally->target);
    if (tally->position && tally->velocity && tally->log_prob && tally->target)
        return 0;
    return traj_error_set(error, "no memory to calibrate on %zu bins", bins);
}

static void settle(struct tally *tally, size_t dim, struct traj_calibration *calibration,
                   struct traj_calibrated *calibrated)
{
    double ignored;
    calibrated->bins = tally->bins;
    calibration->position_scale =
        region_factor(tally->position, tally->bins, dim, &calibrated->coverage_before);
    calibration->velocity_scale = region_factor(tally->velocity, tally->bins, dim, &ignored);
    if (tally->labelled >= 20) {
        calibration->target_power = best_power(tally);
        calibrated->log_score_before = log_score(tally, 1);
        calibrated->log_score_after = log_score(tally, calibration->target_power);
    }
}

int traj_calibrate(const struct traj_maker *maker, struct traj_calibration *calibration,
                   struct traj_calibrated *calibrated, struct traj_error *error)
{
    const struct traj_training *training = maker->training;
    *calibrated = (struct traj_calibrated){NAN, NAN, NAN, 0};
    *calibration = (struct traj_calibration){1, 1, 1};
    if (training->folds == 0)
        return 0;
    struct traj_bench bench;
    struct tally tally = {.cap = 0};
    int status = traj_bench_make(&bench, training, BINS_MAX, error);
    if (status == 0)
        status = make_tally(&tally, training, &bench, error);
    if (status == 0)
        status = traj_bench_run(&bench, maker, true, add_bin, &tally, error);
    if (status == 0)
        settle(&tally, training->dim, calibration, calibrated);
    free(tally.position);
    free(tally.velocity);
    free(tally.log_prob);
    free(tally.target);
    traj_bench_free(&bench);
    return status;
}
