/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Counts and features of a session as one table of numbers, and the stretches without a gap in it.
 */
#ifndef TRAJ_EVALUATE_CHANNELS_H
#define TRAJ_EVALUATE_CHANNELS_H

#include <stdbool.h>

#include "daemon/learn/session.h"

struct traj_channels {
    size_t bins, channels; /* units, then features */
    double *value;         /* [bins][channels]; NaN = not observed */
    size_t *first; /* [bins]: the first bin of the stretch without a gap that a bin lies in */
};

/* root: square root of counts in place of counts.  0, or -1 when memory is short. */
int traj_channels_init(struct traj_channels *channels, const struct traj_session *session,
                       bool root);
void traj_channels_free(struct traj_channels *channels);

/* Mean of each channel over the bins in which it was observed (0 if in none). */
void traj_channels_mean(const struct traj_channels *channels, double *mean);

/*
 * The first bin of the part that choices are validated on: the last fifth, beginning with a stretch
 * of its own where there are several.
 */
size_t traj_validation_bin(const struct traj_channels *channels);

/* The usual bin width: the median of dt, s. */
double traj_bin_width(const struct traj_session *session);

/*
 * Movement at the end of each bin: x [bins][order * dim] = position, velocity (central difference
 * over 100 ms) and with order 3 acceleration; known[bins] says where kinematics exist.
 */
void traj_movement(const struct traj_session *session, size_t order, double *x, bool *known);

#endif
