/* SPDX-License-Identifier: GPL-3.0-or-later */
/* How well a block went, and how sure that is over several seeds. */
#ifndef TRAJ_RIG_FIGURES_H
#define TRAJ_RIG_FIGURES_H

#include <stdint.h>

#include "clients/rig/block.h"

enum traj_figure {
    TRAJ_FIGURE_SUCCESS,    /* share of trials */
    TRAJ_FIGURE_TIME,       /* s, median time to target; a trial that failed counts with the time
                               limit */
    TRAJ_FIGURE_DIAL_IN,    /* s, mean of successful trials, from first entry to the one held */
    TRAJ_FIGURE_EFFICIENCY, /* mean path efficiency of successful trials */
    TRAJ_FIGURE_BITS,       /* bits/s: sum of log2(distance / (2 radius) + 1) over successful trials
                               (MacKenzie 1992, Human-Computer Interaction 7:91), divided by the
                               time spent in all, holds apart */
    TRAJ_FIGURE_FOLLOW,     /* s, median from a jump until its target's probability passes a half;
                               never counts with the time limit */
    TRAJ_FIGURE_TRACKING,   /* length, rms distance to the drawn goal */
    TRAJ_FIGURE_TRIALS,     /* how many counted */
    TRAJ_FIGURES
};
const char *traj_figure_name(enum traj_figure figure); /* "success", ... */

/* Of the trials after practice; NaN where there is nothing to tell from. */
void traj_figures_of(const struct traj_block *block, const struct traj_task_options *task,
                     double figure[TRAJ_FIGURES]);

/* Bits of a trial of that distance and radius. */
double traj_fitts_bits(double distance, double radius);

/* A mean over seeds with the percentile interval of a bootstrap over them (95 %). */
struct traj_interval {
    double value, low, high;
};
struct traj_interval traj_interval_mean(const double *value, size_t seeds);

/* Ratio of two means over the same seeds, drawn together. */
struct traj_interval traj_interval_ratio(const double *above, const double *below, size_t seeds);

#endif
