/* SPDX-License-Identifier: GPL-3.0-or-later */
/* How well a block went; see figures.h. */
#include "clients/rig/figures.h"

#include <math.h>
#include <stdlib.h>

#include "daemon/learn/random.h"

#define RESAMPLES 2000
#define UPSET_S 120.0 /* after a change of the units, until they ought to be known again */
#define SPELL_S 0.2   /* shorter rest and shorter intents are neither */

static const char *const names[TRAJ_FIGURES] = {
    "success",  "time_to_target", "dial_in",       "path_efficiency", "bits_per_s", "jump_follow",
    "tracking", "success_before", "success_upset", "success_later",   "trials"};

const char *traj_figure_name(enum traj_figure figure)
{
    return names[figure];
}

double traj_fitts_bits(double distance, double radius)
{
    return log2(distance / (2.0 * radius) + 1.0);
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *value, size_t count)
{
    if (count == 0) {
        return NAN;
    }
    qsort(value, count, sizeof *value, ascending);
    return 0.5 * (value[(count - 1) / 2] + value[count / 2]);
}

/* Share of success of the trials that started in [from, to). */
static double success_within(const struct traj_block *block, double from, double to)
{
    size_t count = 0, good = 0;
    for (size_t i = block->counted; i < block->trials; i++) {
        bool within = block->trial[i].start >= from && block->trial[i].start < to;
        count += within;
        good += within && block->trial[i].success;
    }
    return count ? (double)good / (double)count : NAN;
}

static void figures_of_changes(const struct traj_block *block,
                               const struct traj_block_options *options,
                               double figure[TRAJ_FIGURES])
{
    double first = INFINITY, last = -INFINITY;
    for (size_t i = 0; i < options->changes; i++) {
        first = fmin(first, options->change[i].at_s);
        last = fmax(last, options->change[i].at_s);
    }
    bool any = options->changes > 0;
    figure[TRAJ_FIGURE_BEFORE] = any ? success_within(block, 0.0, first) : NAN;
    figure[TRAJ_FIGURE_UPSET] = any ? success_within(block, last, last + UPSET_S) : NAN;
    figure[TRAJ_FIGURE_LATER] = any ? success_within(block, last + UPSET_S, INFINITY) : NAN;
}

/* A run of bins in which the user does one thing. */
struct spell {
    size_t from, to;
};

static struct spell spell_at(const struct traj_block *block, size_t from)
{
    size_t to = from + 1;
    while (to < block->session->bins && block->active[to] == block->active[from]) {
        to++;
    }
    return (struct spell){from, to};
}

/* How often the probability rises above the threshold within, and when first; NaN = never. */
static double first_rise(const struct traj_block *block, struct spell s, double threshold,
                         bool above, size_t *rises)
{
    const struct traj_session *session = block->session;
    double first = NAN, origin = session->t_end[s.from] - session->dt[s.from];
    for (size_t k = s.from; k < s.to; k++) {
        bool now = (double)block->moving[k] > threshold;
        if (now && !above) {
            (*rises)++;
            first = isnan(first) ? session->t_end[k] - origin : first;
        }
        above = now;
    }
    return first;
}

/* delay has room for one number a bin. */
static struct traj_starts starts_at(const struct traj_block *block, double until, double threshold,
                                    double *delay)
{
    const struct traj_session *s = block->session;
    size_t rises = 0, found = 0, intents = 0, ignored = 0;
    double rest = 0.0;
    struct spell spell;
    for (size_t k = 0; k < s->bins; k = spell.to) {
        spell = spell_at(block, k);
        double length = s->t_end[spell.to - 1] - s->t_end[k];
        if (s->t_end[spell.to - 1] > until || length < SPELL_S) {
            continue;
        }
        if (block->active[k]) {
            delay[found] = first_rise(block, spell, threshold, false, &ignored);
            found += isnan(delay[found]) ? 0 : 1;
            intents++;
        } else {
            bool before = k > 0 && (double)block->moving[k - 1] > threshold;
            (void)first_rise(block, spell, threshold, before, &rises);
            rest += length;
        }
    }
    return (struct traj_starts){.threshold = threshold,
                                .false_a_minute = rest > 0.0 ? 60.0 * (double)rises / rest : NAN,
                                .delay = median(delay, found),
                                .missed = intents ? 1.0 - (double)found / (double)intents : NAN};
}

void traj_starts_of(const struct traj_block *block, double until,
                    struct traj_starts starts[TRAJ_STARTS])
{
    static const double threshold[TRAJ_STARTS] = {0.01, 0.02, 0.05, 0.1,  0.2,  0.3, 0.5,
                                                  0.7,  0.8,  0.9,  0.95, 0.98, 0.99};
    double *delay = malloc((block->session->bins + 1) * sizeof *delay);
    for (size_t i = 0; i < TRAJ_STARTS; i++) {
        starts[i] = delay ? starts_at(block, until, threshold[i], delay)
                          : (struct traj_starts){threshold[i], NAN, NAN, NAN};
    }
    free(delay);
}

void traj_figures_of(const struct traj_block *block, const struct traj_block_options *options,
                     double figure[TRAJ_FIGURES])
{
    const struct traj_task_options *task = &options->task;
    size_t count = block->trials - block->counted, good = 0, jumps = 0;
    const struct traj_trial_result *trial = block->trial + block->counted;
    double *time = malloc((count + 1) * sizeof *time), *follow = malloc((count + 1) * sizeof *time);
    double bits = 0.0, spent = 0.0, dial_in = 0.0, efficiency = 0.0;
    for (size_t i = 0; time && follow && i < count; i++) {
        const struct traj_trial_result *r = &trial[i];
        time[i] = r->success ? r->time_to_target : task->timeout_s;
        spent += time[i];
        if (r->success) {
            good++;
            bits += traj_fitts_bits(r->distance, task->radius);
            dial_in += r->dial_in;
            efficiency += r->path_efficiency;
        }
        if (r->jumped) {
            follow[jumps++] = isnan(r->follow) ? task->timeout_s : r->follow;
        }
    }
    figure[TRAJ_FIGURE_TRIALS] = (double)count;
    figure[TRAJ_FIGURE_SUCCESS] = count ? (double)good / (double)count : NAN;
    figure[TRAJ_FIGURE_TIME] = time ? median(time, count) : NAN;
    figure[TRAJ_FIGURE_DIAL_IN] = good ? dial_in / (double)good : NAN;
    figure[TRAJ_FIGURE_EFFICIENCY] = good ? efficiency / (double)good : NAN;
    figure[TRAJ_FIGURE_BITS] = spent > 0.0 ? bits / spent : NAN;
    figure[TRAJ_FIGURE_FOLLOW] = follow ? median(follow, jumps) : NAN;
    figure[TRAJ_FIGURE_TRACKING] = block->tracking;
    figures_of_changes(block, options, figure);
    free(time);
    free(follow);
}

/* Mean of above over the drawn seeds, over that of below where there is one. */
static double statistic(const double *above, const double *below, const size_t *drawn, size_t seeds)
{
    double a = 0.0, b = 0.0;
    for (size_t i = 0; i < seeds; i++) {
        size_t k = drawn ? drawn[i] : i;
        a += above[k];
        b += below ? below[k] : 1.0;
    }
    return a / b;
}

static struct traj_interval bootstrap(const double *above, const double *below, size_t seeds)
{
    struct traj_interval out = {NAN, NAN, NAN};
    double *value = malloc(RESAMPLES * sizeof *value);
    size_t *drawn = malloc((seeds + 1) * sizeof *drawn);
    uint64_t state = 1;
    if (value && drawn && seeds > 0) {
        for (size_t r = 0; r < RESAMPLES; r++) {
            for (size_t i = 0; i < seeds; i++) {
                drawn[i] = (size_t)(traj_random_next(&state) % seeds);
            }
            value[r] = statistic(above, below, drawn, seeds);
        }
        qsort(value, RESAMPLES, sizeof *value, ascending);
        out = (struct traj_interval){statistic(above, below, NULL, seeds), value[RESAMPLES / 40],
                                     value[RESAMPLES - RESAMPLES / 40 - 1]};
    }
    free(value);
    free(drawn);
    return out;
}

struct traj_interval traj_interval_mean(const double *value, size_t seeds)
{
    return bootstrap(value, NULL, seeds);
}

struct traj_interval traj_interval_ratio(const double *above, const double *below, size_t seeds)
{
    return bootstrap(above, below, seeds);
}
