/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Tuning of all units. */
#include "daemon/learn/tuning.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/learn/poisson.h"

#define LAG_LONGEST 0.2 /* s: cortex leads the hand by less than this */
#define LAG_DEFAULT 0.1 /* s, where the data cannot say */
#define RIDGE_DEFAULT 30.0
#define LAG_ROWS 8000 /* rows that suffice to tell lags apart */
#define RIDGE_ROWS 12000
#define OWN_ROWS 8000
/* Nats by which a unit's own lag must beat the lag that is best for all: one unit's curve is flat
 * and noisy, and the largest of several equal values would otherwise be drawn at random. */
#define LAG_MARGIN 2.0

#define OFFSET_PRECISION 1.0 /* of the prior on d, 1 / nats^2 */
#define OWN_RIDGE_DEFAULT 100.0
#define OWN_TRIALS 3 /* a target, below which its departure cannot be judged */
#define NEAR 0.2     /* a target nearer to the start than this share of the mean has no direction */

#define PARAMETERS TRAJ_POISSON_PARAMETERS

static size_t longest_lag(const struct traj_training *training)
{
    size_t lag = (size_t)floor(LAG_LONGEST / training->bin + 1e-9);
    lag = lag < TRAJ_LAG_MAX ? lag : TRAJ_LAG_MAX;
    /* At least half of the bins must keep their history, else the comparison rests on too
     * little. */
    for (; lag > 0; lag--) {
        size_t known = 0, usable = 0;
        for (size_t b = 0; b < training->bins; b++) {
            known += training->known[b] && training->history[b] <= b;
            usable += training->known[b] && b >= training->history[b] + lag;
        }
        if (2 * usable >= known)
            break;
    }
    return lag;
}

/* A regression of one unit on all rows. */
static struct traj_poisson_task shared_task(const struct traj_poisson_rows *rows, size_t columns,
                                            size_t unit, size_t lag, double ridge, unsigned without,
                                            bool root)
{
    return (struct traj_poisson_task){.rows = rows,
                                      .columns = columns,
                                      .unit = unit,
                                      .lag = lag,
                                      .target = -1,
                                      .without = without,
                                      .ridge = ridge,
                                      .precision = OFFSET_PRECISION,
                                      .root = root};
}

/* Held-out gain of one unit at one lag or ridge, over all folds. */
static double held_out(const struct traj_poisson_rows *rows, size_t unit, size_t lag, double ridge,
                       double *parameter, bool warm)
{
    double sum = 0;
    for (size_t f = 0; f < rows->training->folds; f++) {
        struct traj_poisson_task task =
            shared_task(rows, rows->columns, unit, lag, ridge, (unsigned)f, false);
        traj_poisson_fit(&task, warm, parameter + f * PARAMETERS);
        sum += traj_poisson_score(&task, parameter + f * PARAMETERS);
    }
    return sum;
}

static size_t best_of(const double *score, size_t count)
{
    size_t best = 0;
    for (size_t i = 1; i < count; i++)
        if (score[i] > score[best])
            best = i;
    return best;
}

/* score[units][lags], then each unit's own choice. */
static void settle_lags(const double *score, size_t units, size_t lags, int32_t *lag)
{
    double total[TRAJ_LAG_MAX + 1] = {0};
    for (size_t n = 0; n < units; n++)
        for (size_t l = 0; l < lags; l++)
            total[l] += score[n * lags + l];
    size_t common = best_of(total, lags);
    for (size_t n = 0; n < units; n++) {
        const double *own = score + n * lags;
        size_t best = best_of(own, lags);
        lag[n] = (int32_t)(own[best] > own[common] + LAG_MARGIN ? best : common);
    }
}

/* What the two searches share. */
struct search {
    const struct traj_training *training;
    struct traj_tuning_choice *choice;
    traj_tuning_progress *progress;
    void *context;
};

static void tell(const struct search *search, double share)
{
    if (search->progress)
        search->progress(search->context, share);
}

static int choose_lags(const struct search *search, size_t lag_max, struct traj_error *error)
{
    const struct traj_training *training = search->training;
    size_t lags = lag_max + 1, units = training->units;
    struct traj_poisson_rows rows;
    if (traj_poisson_rows_new(&rows, training, search->choice->columns, lag_max, LAG_ROWS, error))
        return -1;
    double *score = malloc(units * lags * sizeof *score);
    double *parameter = malloc(TRAJ_FOLDS_MAX * PARAMETERS * sizeof *parameter);
    int status = 0;
    if (!score || !parameter)
        status = traj_error_set(error, "no memory for the lags of %zu units", units);
    for (size_t n = 0; n < units && status == 0; n++) {
        for (size_t l = 0; l < lags; l++)
            score[n * lags + l] = held_out(&rows, n, l, RIDGE_DEFAULT, parameter, l > 0);
        tell(search, 0.7 * (double)(n + 1) / (double)units);
    }
    if (status == 0)
        settle_lags(score, units, lags, search->choice->lag);
    free(score);
    free(parameter);
    traj_poisson_rows_free(&rows);
    return status;
}

static int choose_ridge(const struct search *search, struct traj_error *error)
{
    static const double grid[] = {1, 10, 30, 100, 300, 1000, 3000};
    enum { GRID = sizeof grid / sizeof grid[0] };
    const struct traj_training *training = search->training;
    struct traj_poisson_rows rows;
    if (traj_poisson_rows_new(&rows, training, search->choice->columns, 0, RIDGE_ROWS, error))
        return -1;
    double *parameter = malloc(TRAJ_FOLDS_MAX * PARAMETERS * sizeof *parameter);
    if (!parameter) {
        traj_poisson_rows_free(&rows);
        return traj_error_set(error, "no memory for the tuning of %zu units", training->units);
    }
    double score[GRID] = {0}, seconds = 0;
    for (size_t i = 0; i < rows.rows; i++)
        seconds += rows.fold[i] < TRAJ_FOLD_NEVER ? training->dt[rows.bin[i]] : 0;
    for (size_t n = 0; n < training->units; n++) {
        size_t lag = (size_t)search->choice->lag[n];
        for (size_t g = 0; g < GRID; g++)
            score[g] += held_out(&rows, n, lag, grid[g], parameter, g > 0);
        tell(search, 0.7 + 0.3 * (double)(n + 1) / (double)training->units);
    }
    size_t best = best_of(score, GRID);
    search->choice->ridge = grid[best];
    search->choice->gain = seconds > 0 ? score[best] / seconds : 0;
    free(parameter);
    traj_poisson_rows_free(&rows);
    return 0;
}

int traj_tuning_choose(const struct traj_training *training, struct traj_tuning_choice *choice,
                       traj_tuning_progress *progress, void *context, struct traj_error *error)
{
    struct search search = {training, choice, progress, context};
    size_t lag_max = longest_lag(training);
    size_t usual = (size_t)floor(LAG_DEFAULT / training->bin + 0.5);
    choice->ridge = RIDGE_DEFAULT;
    choice->gain = NAN;
    for (size_t n = 0; n < training->units; n++)
        choice->lag[n] = (int32_t)(usual < lag_max ? usual : lag_max);
    if (training->folds > 0 && training->units > 0 &&
        (choose_lags(&search, lag_max, error) || choose_ridge(&search, error)))
        return -1;
    choice->lag_max = 0;
    for (size_t n = 0; n < training->units; n++)
        if ((size_t)choice->lag[n] > choice->lag_max)
            choice->lag_max = (size_t)choice->lag[n];
    return 0;
}

/* Parameters on standardised columns as weight[state] and offset in natural units. */
static void to_natural(const struct traj_training *training, size_t state, size_t columns,
                       const double *parameter, double offset_parameter, double *weight,
                       double *offset)
{
    *offset = offset_parameter;
    memset(weight, 0, state * sizeof *weight);
    for (size_t j = 0; j < columns; j++) {
        weight[j] = parameter[j] / training->scale[j / training->dim];
        *offset -= j < training->dim ? weight[j] * training->center[j] : 0;
    }
}

int traj_tuning_fit(const struct traj_training *training, size_t state,
                    const struct traj_tuning_choice *choice, unsigned without, double *weight,
                    double *offset, struct traj_error *error)
{
    struct traj_poisson_rows rows;
    size_t columns = choice->columns;
    if (traj_poisson_rows_new(&rows, training, columns, 0, (size_t)-1, error))
        return -1;
    double parameter[PARAMETERS];
    for (size_t n = 0; n < training->units; n++) {
        struct traj_poisson_task task = shared_task(&rows, columns, n, (size_t)choice->lag[n],
                                                    choice->ridge, without, choice->root);
        traj_poisson_fit(&task, false, parameter);
        to_natural(training, state, columns, parameter, parameter[columns], weight + n * state,
                   &offset[n]);
    }
    traj_poisson_rows_free(&rows);
    return 0;
}

/* ---- sets of their own ----------------------------------------------------------------------- */

/* Unit vectors from where trials begin to the targets, zero for a target that lies there. */
static void directions(const struct traj_training *training, double *toward)
{
    size_t dim = training->dim, begun = 0;
    double origin[TRAJ_DIM_MAX] = {0}, mean = 0;
    for (size_t r = 0; r < training->trials; r++) {
        const struct traj_course *trial = &training->trial[r];
        if (trial->count == 0 || !training->state_known[trial->first])
            continue;
        begun++;
        for (size_t d = 0; d < dim; d++)
            origin[d] += training->state[trial->first * 3 * dim + d];
    }
    for (int pass = 0; pass < 2; pass++) /* the mean distance, then the vectors */
        for (size_t m = 0; m < training->targets; m++) {
            double apart[TRAJ_DIM_MAX], length = 0;
            for (size_t d = 0; d < dim; d++) {
                apart[d] = training->target_position[m * dim + d] -
                           origin[d] / (double)(begun > 0 ? begun : 1);
                length += apart[d] * apart[d];
            }
            length = sqrt(length);
            if (pass == 0)
                mean += length / (double)training->targets;
            for (size_t d = 0; d < dim && pass == 1; d++)
                toward[m * dim + d] = length > NEAR * mean ? apart[d] / length : 0;
        }
}

/* What the fits of one unit's own sets share. */
struct own {
    const struct traj_training *training;
    const struct traj_tuning_choice *choice;
    struct traj_poisson_rows all, reach;
    double *toward; /* [targets][dim] */
};

static void free_own(struct own *own)
{
    traj_poisson_rows_free(&own->all);
    traj_poisson_rows_free(&own->reach);
    free(own->toward);
}

static int make_own(struct own *own, const struct traj_training *training,
                    const struct traj_tuning_choice *choice, size_t rows_max,
                    struct traj_error *error)
{
    *own = (struct own){.training = training, .choice = choice};
    own->toward = calloc(training->targets * training->dim + 1, sizeof *own->toward);
    if (!own->toward)
        return traj_error_set(error, "no memory for %zu targets", training->targets);
    directions(training, own->toward);
    if (traj_poisson_rows_new(&own->all, training, choice->columns, 0, rows_max, error) ||
        traj_poisson_rows_reach(&own->reach, training, choice->columns, own->toward, 0, rows_max,
                                error)) {
        free_own(own);
        return -1;
    }
    return 0;
}

/*
 * The first step: from the shared weights, with the components along the reach as further
 * regressors, to what every target's set is drawn towards, center[targets][columns + 1].  shared
 * (may be NULL) receives the shared parameters.
 */
static void fit_along(const struct own *own, size_t unit, unsigned without, double *shared,
                      double *center)
{
    const struct traj_training *training = own->training;
    size_t columns = own->choice->columns, dim = training->dim, extended = own->reach.columns;
    size_t lag = (size_t)own->choice->lag[unit];
    double first[PARAMETERS], prior[PARAMETERS] = {0}, second[PARAMETERS];
    struct traj_poisson_task task =
        shared_task(&own->all, columns, unit, lag, own->choice->ridge, without, own->choice->root);
    traj_poisson_fit(&task, false, first);
    if (shared)
        memcpy(shared, first, (columns + 1) * sizeof *shared);
    memcpy(prior, first, columns * sizeof *prior);
    prior[extended] = first[columns];
    task = shared_task(&own->reach, extended, unit, lag, own->choice->ridge, without,
                       own->choice->root);
    task.center = prior;
    traj_poisson_fit(&task, false, second);
    for (size_t m = 0; m < training->targets; m++) {
        double *out = center + m * (columns + 1);
        for (size_t j = 0; j < columns; j++)
            out[j] = second[j] + second[columns + j / dim] * own->toward[m * dim + j % dim];
        out[columns] = second[extended];
    }
}

/* The second step: one target's own parameters from its trials and what it is drawn towards. */
static struct traj_poisson_task own_task(const struct own *own, size_t unit, size_t target,
                                         unsigned without, double ridge, const double *center)
{
    size_t columns = own->choice->columns;
    struct traj_poisson_task task =
        shared_task(&own->reach, columns, unit, (size_t)own->choice->lag[unit], ridge, without,
                    own->choice->root);
    task.target = (int32_t)target;
    task.precision = ridge;
    task.center = center + target * (columns + 1);
    return task;
}

static const double own_grid[] = {10, 30, 100, 300, 1000, 10000};
#define OWN_GRID (sizeof own_grid / sizeof own_grid[0])

/* Adds one unit's held-out gains at every ridge, over the shared parameters' own. */
static void score_own(const struct own *own, size_t unit, double *center, double score[OWN_GRID])
{
    double shared[PARAMETERS], parameter[PARAMETERS];
    for (unsigned f = 0; f < own->training->folds; f++) {
        fit_along(own, unit, f, shared, center);
        for (size_t m = 0; m < own->training->targets; m++)
            for (size_t g = 0; g < OWN_GRID; g++) {
                struct traj_poisson_task task = own_task(own, unit, m, f, own_grid[g], center);
                traj_poisson_fit(&task, g > 0, parameter);
                score[g] +=
                    traj_poisson_score(&task, parameter) - traj_poisson_score(&task, shared);
            }
    }
}

int traj_tuning_choose_own(const struct traj_training *training, struct traj_tuning_choice *choice,
                           struct traj_error *error)
{
    choice->own = training->labelled > 0 && training->units > 0;
    choice->own_ridge = OWN_RIDGE_DEFAULT;
    choice->own_gain = NAN;
    if (!choice->own || training->folds == 0 || training->per_target < OWN_TRIALS)
        return 0;
    struct own own;
    if (make_own(&own, training, choice, OWN_ROWS, error))
        return -1;
    double score[OWN_GRID] = {0}, seconds = 0;
    double *center = malloc(training->targets * PARAMETERS * sizeof *center);
    for (size_t n = 0; n < training->units && center; n++)
        score_own(&own, n, center, score);
    for (size_t i = 0; i < own.reach.rows; i++)
        seconds += training->dt[own.reach.bin[i]];
    size_t best = best_of(score, OWN_GRID);
    choice->own_ridge = own_grid[best];
    choice->own_gain = seconds > 0 ? score[best] / seconds : NAN;
    free_own(&own);
    free(center);
    return center ? 0
                  : traj_error_set(error, "no memory for the tuning of %zu targets",
                                   training->targets);
}

int traj_tuning_fit_own(const struct traj_training *training, size_t state,
                        const struct traj_tuning_choice *choice, unsigned without,
                        double *own_weight, double *own_offset, struct traj_error *error)
{
    struct own own;
    size_t columns = choice->columns, units = training->units;
    double *center = malloc((training->targets * PARAMETERS + 1) * sizeof *center);
    if (!center)
        return traj_error_set(error, "no memory for the tuning of %zu targets", training->targets);
    if (make_own(&own, training, choice, (size_t)-1, error)) {
        free(center);
        return -1;
    }
    double parameter[PARAMETERS];
    for (size_t n = 0; n < units; n++) {
        fit_along(&own, n, without, NULL, center);
        for (size_t m = 0; m < training->targets; m++) {
            struct traj_poisson_task task =
                own_task(&own, n, m, without, choice->own_ridge, center);
            traj_poisson_fit(&task, false, parameter);
            to_natural(training, state, columns, parameter, parameter[columns],
                       own_weight + (m * units + n) * state, &own_offset[m * units + n]);
        }
    }
    free_own(&own);
    free(center);
    return 0;
}
