/* SPDX-License-Identifier: GPL-3.0-or-later */
/* How well a block went; see figures.h. */
#include "clients/rig/figures.h"

#include <math.h>
#include <stdlib.h>

#include "daemon/learn/random.h"

#define RESAMPLES 2000

static const char *const names[TRAJ_FIGURES] = {"success",         "time_to_target", "dial_in",
                                                "path_efficiency", "bits_per_s",     "jump_follow",
                                                "tracking",        "trials"};

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

void traj_figures_of(const struct traj_block *block, const struct traj_task_options *task,
                     double figure[TRAJ_FIGURES])
{
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
