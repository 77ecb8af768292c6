/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What each unit does with the direction of movement, from a session alone: the field's first look
 * at a population (Georgopoulos, Kalaska, Caminiti, Massey 1982, J Neurosci 2:1527).
 */
#ifndef TRAJ_EVALUATE_TUNING_H
#define TRAJ_EVALUATE_TUNING_H

#include <stdbool.h>
#include <stddef.h>

#include "daemon/learn/session.h"

/*
 * Least squares of a unit's rate on the velocity of the first two dimensions and on speed, over
 * bins whose movement is known:
 *
 *     rate(t - lag) = a + b_x v_x(t) + b_y v_y(t) + c |v(t)|
 *
 * at the lag, 0 to TRAJ_TUNING_LAG_S, that explains most.
 */
#define TRAJ_TUNING_LAG_S 0.3
struct traj_unit_tuning {
    double rate;      /* mean, spikes/s */
    double direction; /* preferred, rad, of (b_x, b_y) */
    double depth; /* |b| times the 95th percentile of speed, spikes/s: how much direction does */
    double lag;   /* s by which activity leads movement */
    double explained; /* share of the rate's variance, 0..1, less what chance explains (adjusted) */
};

/* [units], the caller's to free; NULL with a sentence where there are no counts or no movement in
 * at least two dimensions. */
struct traj_unit_tuning *traj_tuning_of(const struct traj_session *session,
                                        struct traj_error *error);

#endif
