/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Firing rates in the delay before movement. */
#include "daemon/learn/plan.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define GRACE 1e-6
#define TEMPER_DEFAULT 0.25
#define SHRINKAGE_DEFAULT 1.0 /* s */
#define RATE_FLOOR 0.02       /* spikes/s; a unit that was silent says little by being silent */

/* Counts and time of one trial in the window. */
struct window {
    double *count; /* [units] */
    double *time;  /* [units] s in which the unit was observed */
};

/* Whole bins in a time, as the decoder counts them. */
static size_t whole_bins(const struct traj_training *training, double seconds)
{
    return (size_t)(seconds / training->bin + 1e-6);
}

/* Adds up a trial's bins in the window; returns how many there were. */
static size_t add_window(const struct traj_training *training, const struct traj_course *trial,
                         double begin, double end, const struct window *window)
{
    size_t first = whole_bins(training, begin), last = whole_bins(training, end), used = 0;
    for (size_t i = 0; i < trial->bin_count; i++) {
        size_t b = trial->bin_first + i;
        double since = training->t_end[b] - training->t_end[trial->bin_first];
        size_t elapsed = 1 + (size_t)(since / training->bin + 0.5);
        double start = trial->t - trial->offset;
        if (elapsed <= first)
            continue;
        if (elapsed > last || training->t_end[b] > start + trial->go + GRACE)
            break; /* an unknown go cue is NaN and compares false */
        used++;
        for (size_t n = 0; n < training->units; n++) {
            uint16_t value = training->counts[n * training->bins + b];
            if (value == TRAJ_COUNT_MISSING)
                continue;
            window->count[n] += value;
            window->time[n] += training->dt[b];
        }
    }
    return used;
}

static bool teaches(const struct traj_course *trial)
{
    return trial->target >= 0 && trial->bin_count > 0;
}

bool traj_plan_possible(const struct traj_training *training, double end)
{
    if (training->units == 0 || training->targets < 2)
        return false;
    for (size_t r = 0; r < training->trials; r++)
        if (teaches(&training->trial[r]) &&
            traj_movement_begin(training, &training->trial[r], end) > 0)
            return true;
    return false;
}

/* Every trial's counts and times in one window: row r of count and time is trial r. */
struct table {
    double *count, *time; /* [trials][units] */
    size_t *used;         /* [trials] bins */
    double *rate;         /* [targets][units] scratch */
};

static void free_table(struct table *table)
{
    free(table->count);
    free(table->time);
    free(table->used);
    free(table->rate);
}

static int make_table(const struct traj_training *training, struct table *table,
                      struct traj_error *error)
{
    size_t cells = training->trials * training->units;
    *table = (struct table){malloc((cells + 1) * sizeof *table->count),
                            malloc((cells + 1) * sizeof *table->time),
                            malloc((training->trials + 1) * sizeof *table->used),
                            malloc((training->targets * training->units + 1) * sizeof(double))};
    if (table->count && table->time && table->used && table->rate)
        return 0;
    free_table(table);
    return traj_error_set(error, "no memory for the plan windows of %zu trials", training->trials);
}

static void fill_table(const struct traj_training *training, double begin, double end,
                       struct table *table)
{
    size_t units = training->units;
    memset(table->count, 0, training->trials * units * sizeof *table->count);
    memset(table->time, 0, training->trials * units * sizeof *table->time);
    for (size_t r = 0; r < training->trials; r++) {
        struct window window = {table->count + r * units, table->time + r * units};
        table->used[r] = teaches(&training->trial[r])
                             ? add_window(training, &training->trial[r], begin, end, &window)
                             : 0;
    }
}

/* Gamma posterior means of the rates from the trials that train. */
static void rates_from(const struct traj_training *training, const struct table *table,
                       double shrinkage, unsigned without, double *rate)
{
    size_t units = training->units;
    for (size_t n = 0; n < units; n++) {
        double count[TRAJ_TARGETS_MAX] = {0}, time[TRAJ_TARGETS_MAX] = {0};
        double spikes = 0.5, seconds = 0;
        for (size_t r = 0; r < training->trials; r++) {
            const struct traj_course *trial = &training->trial[r];
            if (!teaches(trial) || !traj_fold_used(trial->fold, without))
                continue;
            count[trial->target] += table->count[r * units + n];
            time[trial->target] += table->time[r * units + n];
            spikes += table->count[r * units + n];
            seconds += table->time[r * units + n];
        }
        double pooled = fmax(spikes / fmax(seconds, 0.5), RATE_FLOOR);
        for (size_t m = 0; m < training->targets; m++)
            rate[m * units + n] =
                fmax((count[m] + shrinkage * pooled) / (time[m] + shrinkage), RATE_FLOOR);
    }
}

/* Log likelihood of a trial's window under each target's rates. */
static void likelihoods(const struct traj_training *training, const struct table *table,
                        const double *log_rate, const double *rate, size_t trial, double *out)
{
    size_t units = training->units;
    const double *count = table->count + trial * units, *time = table->time + trial * units;
    for (size_t m = 0; m < training->targets; m++) {
        out[m] = 0;
        for (size_t n = 0; n < units; n++)
            out[m] += count[n] * log_rate[m * units + n] - time[n] * rate[m * units + n];
    }
}

static double log_posterior(const double *likelihood, size_t targets, double temper, size_t target)
{
    double most = -INFINITY, sum = 0;
    for (size_t m = 0; m < targets; m++)
        most = fmax(most, likelihood[m]);
    for (size_t m = 0; m < targets; m++)
        sum += exp(temper * (likelihood[m] - most));
    return temper * (likelihood[target] - most) - log(sum);
}

static const double tempers[] = {1, 0.7, 0.5, 0.35, 0.25, 0.15, 0.1, 0.05, 0.02};
#define TEMPERS (sizeof tempers / sizeof tempers[0])

/* Adds up held-out log posteriors of the true targets at every temper; returns the trials
 * scored. */
static size_t held_out(const struct traj_training *training, struct table *table, double *log_rate,
                       double shrinkage, double score[TEMPERS])
{
    size_t scored = 0, targets = training->targets;
    double likelihood[TRAJ_TARGETS_MAX];
    memset(score, 0, TEMPERS * sizeof *score);
    for (unsigned f = 0; f < training->folds; f++) {
        rates_from(training, table, shrinkage, f, table->rate);
        for (size_t i = 0; i < targets * training->units; i++)
            log_rate[i] = log(table->rate[i]);
        for (size_t r = 0; r < training->trials; r++) {
            const struct traj_course *trial = &training->trial[r];
            if (!teaches(trial) || trial->fold != f)
                continue;
            likelihoods(training, table, log_rate, table->rate, r, likelihood);
            for (size_t t = 0; t < TEMPERS; t++)
                score[t] += log_posterior(likelihood, targets, tempers[t], (size_t)trial->target);
            scored++;
        }
    }
    return scored;
}

static void try_begin(const struct traj_training *training, struct table *table, double *log_rate,
                      double begin, struct traj_plan_choice *choice, double *best)
{
    static const double shrinkage[] = {0.05, 0.2, 0.5, 1, 2, 5};
    fill_table(training, begin, choice->end, table);
    for (size_t s = 0; s < sizeof shrinkage / sizeof shrinkage[0]; s++) {
        double score[TEMPERS];
        size_t scored = held_out(training, table, log_rate, shrinkage[s], score);
        for (size_t t = 0; t < TEMPERS; t++) {
            if (scored == 0 || score[t] <= *best)
                continue;
            *best = score[t];
            choice->begin = begin;
            choice->shrinkage = shrinkage[s];
            choice->temper = tempers[t];
            choice->score = score[t] / (double)scored + log((double)training->targets);
        }
    }
}

int traj_plan_choose(const struct traj_training *training, struct traj_plan_choice *choice,
                     struct traj_error *error)
{
    choice->begin = 0;
    choice->temper = TEMPER_DEFAULT;
    choice->shrinkage = SHRINKAGE_DEFAULT;
    choice->score = NAN;
    if (training->folds == 0 || training->per_target < 3)
        return 0;
    struct table table;
    if (make_table(training, &table, error))
        return -1;
    double *log_rate = malloc((training->targets * training->units + 1) * sizeof *log_rate);
    double best = -INFINITY;
    if (log_rate)
        /* The visual response to the cue comes first and says other things than the plan. */
        for (double begin = 0; begin < choice->end - training->bin / 2 && begin < 0.45;
             begin += 0.05)
            try_begin(training, &table, log_rate, begin, choice, &best);
    free_table(&table);
    free(log_rate);
    return log_rate ? 0 : traj_error_set(error, "no memory for plan rates");
}

int traj_plan_rates(const struct traj_training *training, const struct traj_plan_choice *choice,
                    unsigned without, double *rate, struct traj_error *error)
{
    struct table table;
    if (make_table(training, &table, error))
        return -1;
    fill_table(training, choice->begin, choice->end, &table);
    rates_from(training, &table, choice->shrinkage, without, rate);
    free_table(&table);
    return 0;
}
