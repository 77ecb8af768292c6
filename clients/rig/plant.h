/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What moves the cursor.  A hand, for calibration; or decoded intents, through one of three plants:
 *
 *     velocity   c' = c + dt v                              the decoded velocity, integrated
 *     position   c' = x                                     the decoded position itself
 *     blend      c' = c + dt v + (1 - e^(-dt/tau)) (x - c - dt v)
 *                the decoded velocity, and a pull of time constant tau to the decoded position: at
 *                tau = 0 it is the position plant and at tau = infinity the velocity plant
 *
 * An intent that is not valid leaves the cursor where it is.  The cursor stays in a box.
 */
#ifndef TRAJ_RIG_PLANT_H
#define TRAJ_RIG_PLANT_H

#include <stdbool.h>
#include <stddef.h>

#include "clients/rig/user.h"

enum traj_plant_kind { TRAJ_PLANT_VELOCITY, TRAJ_PLANT_POSITION, TRAJ_PLANT_BLEND };
const char *traj_plant_kind_name(enum traj_plant_kind kind);
int traj_plant_kind_parse(const char *name, enum traj_plant_kind *kind);

struct traj_plant_options {
    enum traj_plant_kind kind;
    double blend_s; /* tau */
};

/* An intent as a plant reads it; NaN = not said. */
struct traj_answer {
    bool valid;
    double position[TRAJ_RIG_DIM], velocity[TRAJ_RIG_DIM];
    double target_prob[64]; /* of the first targets; targets = how many were said */
    size_t targets;
    double moving; /* probability that a movement is under way, out or back or anywhere */
};

struct traj_cursor {
    size_t dim;
    double bin_s, box; /* length, half the side */
    double position[TRAJ_RIG_DIM], velocity[TRAJ_RIG_DIM];
};

void traj_plant_step(const struct traj_plant_options *plant, const struct traj_answer *answer,
                     struct traj_cursor *cursor);

/*
 * A hand follows an intended velocity after delay_s, and smoothly: w' = s w + (1 - s) u(-delay),
 * s = exp(-dt / smoothing_s).
 */
struct traj_hand {
    double delay_s, smoothing_s;
    double past[TRAJ_USER_MEMORY][TRAJ_RIG_DIM]; /* [bin % memory] */
    size_t bin;
};
void traj_hand_step(struct traj_hand *hand, const double *intended, struct traj_cursor *cursor);

/* What somebody who knows this hand believes. */
struct traj_belief traj_hand_belief(const struct traj_hand *hand, double bin_s);

#endif
