/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Tuning of all units. */
#include "daemon/learn/tuning.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/learn/poisson.h"

#define LAG_LONGEST 0.3  /* s: cortex leads the hand by less than this */
#define LAG_DEFAULT 0.1  /* s, where the data cannot say */
#define RIDGE_DEFAULT 30.0
#define LAG_ROWS 8000    /* rows that suffice to tell lags apart */
#define RIDGE_ROWS 12000
/* Nats by which a unit's own lag must beat the lag that is best for all: one unit's curve is flat
 * and noisy, and the largest of several equal values would otherwise be drawn at random. */
#define LAG_MARGIN 2.0

#define PARAMETERS (TRAJ_STATE_MAX + 1)

static size_t longest_lag(const struct traj_training *training)
{
    size_t lag = (size_t)floor(LAG_LONGEST / training->bin + 1e-9);
    lag = lag < TRAJ_LAG_MAX ? lag : TRAJ_LAG_MAX;
    /* At least half of the bins must keep their history, else the comparison rests on too little. */
    for (; lag > 0; lag--) {
        size_t known = 0, usable = 0;
        for (size_t b = 0; b < training->bins; b++) {
            known += training->known[b];
            usable += training->known[b] && b >= training->run_start[b] + lag;
        }
        if (2 * usable >= known)
            break;
    }
    return lag;
}

/* Held-out gain of one unit at one lag or ridge, over all folds. */
static double held_out(const struct traj_poisson_rows *rows, size_t unit, size_t lag, double ridge,
                       double *parameter, bool warm)
{
    double sum = 0;
    size_t size = rows->state + 1;
    for (size_t f = 0; f < rows->training->folds; f++) {
        traj_poisson_fit(rows, unit, lag, ridge, (unsigned)f, warm, parameter + f * size);
        sum += traj_poisson_score(rows, unit, lag, (unsigned)f, parameter + f * size);
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
    size_t state;
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
    if (traj_poisson_rows_new(&rows, training, search->state, lag_max, LAG_ROWS, error))
        return -1;
    double *score = malloc(units * lags * sizeof *score);
    double *parameter = malloc(TRAJ_FOLDS_MAX * PARAMETERS * sizeof *parameter);
    int status = 0;
    if (!score || !parameter)
        status = traj_error_set(error, "no memory for the lags of %zu units", units);
    for (size_t n = 0; n < units && status == 0; n++) {
        for (size_t l = 0; l < lags; l++)
            score[n * lags + l] =
                held_out(&rows, n, l, RIDGE_DEFAULT, parameter, l > 0);
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
    if (traj_poisson_rows_new(&rows, training, search->state, 0, RIDGE_ROWS, error))
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

int traj_tuning_choose(const struct traj_training *training, size_t state,
                       struct traj_tuning_choice *choice, traj_tuning_progress *progress,
                       void *context, struct traj_error *error)
{
    struct search search = {training, state, choice, progress, context};
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

int traj_tuning_fit(const struct traj_training *training, size_t state,
                    const struct traj_tuning_choice *choice, unsigned without, double *weight,
                    double *offset, struct traj_error *error)
{
    struct traj_poisson_rows rows;
    if (traj_poisson_rows_new(&rows, training, state, 0, (size_t)-1, error))
        return -1;
    double parameter[PARAMETERS];
    for (size_t n = 0; n < training->units; n++) {
        traj_poisson_fit(&rows, n, (size_t)choice->lag[n], choice->ridge, without, false, parameter);
        offset[n] = parameter[state];
        for (size_t j = 0; j < state; j++) {
            double natural = parameter[j] / training->scale[j / training->dim];
            weight[n * state + j] = natural;
            offset[n] -= j < training->dim ? natural * training->center[j] : 0;
        }
    }
    traj_poisson_rows_free(&rows);
    return 0;
}
