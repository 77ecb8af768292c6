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
    TRAJ_FIGURE_BEFORE,     /* share of success before the first change of the units, */
    TRAJ_FIGURE_UPSET,      /* in the two minutes after the last, */
    TRAJ_FIGURE_LATER,      /* and from then on; NaN where nothing changes */
    TRAJ_FIGURE_TRIALS,     /* how many counted */
    TRAJ_FIGURES
};
const char *traj_figure_name(enum traj_figure figure); /* "success", ... */

/* Of the trials after practice; NaN where there is nothing to tell from. */
void traj_figures_of(const struct traj_block *block, const struct traj_block_options *options,
                     double figure[TRAJ_FIGURES]);

/*
 * Starts at a threshold on the probability that a movement is under way: how many times a minute of
 * rest it rises above (false starts; a rise that was there when the user came to rest is none), the
 * median time from an intent to move until it is above, and the share of intents in which it never
 * is.  An intent counts from the moment that the user begins to intend a velocity, so that the
 * units' own latencies are in the delay.  Rest and intents of less than 0.2 s do not count.
 * Counted is what begins before `until`, s of the block: while the user moves by hand and the
 * decoder decodes along.  A user who sees the decoded cursor corrects it without end and never
 * rests.
 */
struct traj_starts {
    double threshold, false_a_minute, delay, missed;
};
#define TRAJ_STARTS 13
void traj_starts_of(const struct traj_block *block, double until,
                    struct traj_starts starts[TRAJ_STARTS]);

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
