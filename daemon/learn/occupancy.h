/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Which emission nodes of a filter over courses each bin of a new day belongs to: the smoothed
 * posterior of the model's own states (forward-backward over its own transitions) given the
 * movement where it is known, else given what the channels did under tables that are believed.
 * Internal to this room.
 */
#ifndef TRAJ_LEARN_OCCUPANCY_H
#define TRAJ_LEARN_OCCUPANCY_H

#include "daemon/learn/today.h"

/* Sparse rows: bin b lies at node[i] with weight[i] for first[b] <= i < first[b + 1]. */
struct traj_occupancy {
    size_t bins, count, room;
    size_t *first; /* [bins + 1] */
    int32_t *node;
    double *weight; /* a bin's sum to 1, or to less where it is only guessed at */
    bool inferred;  /* some bins without movement were placed by their activity */
};

/*
 * mean[nodes][channels] and noise[channels][channels] (the inverse covariance; NULL = Poisson) are
 * the tables that bins of unknown movement are judged by; mean NULL = by the states' prior alone.
 * 0, or -1 without memory.
 */
int traj_occupancy_make(struct traj_occupancy *occupancy, const struct traj_today *today,
                        const double *mean, const double *precision, struct traj_error *error);
void traj_occupancy_free(struct traj_occupancy *occupancy);

#endif
