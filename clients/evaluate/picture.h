/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * One run of one method, kept in enough detail to be drawn: how the error and the choice of target
 * go on from each trial's start, which targets are taken for which, how often regions of each size
 * hold the truth, and some decoded trajectories beside the true ones.
 */
#ifndef TRAJ_EVALUATE_PICTURE_H
#define TRAJ_EVALUATE_PICTURE_H

#include "clients/evaluate/bins.h"
#include "clients/evaluate/metrics.h"

#define TRAJ_PICTURE_TIMES 40
#define TRAJ_PICTURE_STEP_S 0.05 /* the k-th interval begins k steps after a trial's start */
#define TRAJ_PICTURE_LEVELS 19   /* regions of 5 % to 95 % */
#define TRAJ_PICTURE_PATHS 4     /* trials of each target */

struct traj_picture_time {
    double squares;              /* sum of squared errors over bins */
    double bins, right, answers; /* scored bins; those whose most probable target is right; those
                                    with any */
};

struct traj_picture_path {
    size_t target, points;
    double *truth, *decoded; /* [points][2] */
};

struct traj_picture {
    size_t targets;
    struct traj_picture_time time[TRAJ_PICTURE_TIMES];
    double held[TRAJ_PICTURE_LEVELS]; /* bins whose region of (k + 1) / 20 holds the truth */
    double regions;                   /* bins that state a region */
    double *confusion; /* [targets][targets] trials: true target, most probable at the end */
    struct traj_picture_path *path;
    size_t paths;
};

/* NULL when memory is short. */
struct traj_picture *traj_picture_new(const struct traj_session *session,
                                      const struct traj_bins *bins,
                                      const struct traj_decoded *decoded);
void traj_picture_free(struct traj_picture *picture);

#endif
