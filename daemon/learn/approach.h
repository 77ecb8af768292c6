/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Approaches: movements from anywhere to a target, for whoever sees where the output is and
 * corrects it.  A calibration by hand holds none: every movement begins where reaches begin.  Yet
 * what such a movement looks like is known, and how channels follow a movement (places.h).
 *
 * The space about the targets is cut into cells, a lattice of about CELLS points.  A state is a
 * cell and a goal: none (the output is astray, and whoever steers it stands by), where reaches
 * begin, or a target.  With d the distance to the goal, R that of the targets from where reaches
 * begin and A the time that a reach takes, its velocity is towards the goal, of
 *     v = R / A sqrt(d / R):
 * movements take longer as the square root of their length.  Internal to this room.
 */
#ifndef TRAJ_LEARN_APPROACH_H
#define TRAJ_LEARN_APPROACH_H

#include "daemon/learn/labels.h"

/* Goals that are no target: none, and where reaches begin. */
enum { TRAJ_APPROACH_ASTRAY, TRAJ_APPROACH_HOME, TRAJ_APPROACH_GOALS };

#define TRAJ_APPROACH_CELLS 256 /* at most */

/* Cells as rows of position into cell[TRAJ_APPROACH_CELLS][dim] and the distance between
 * neighbours; returns how many, 0 where there are too many dimensions. */
size_t traj_approach_lay(const struct traj_labels *labels, size_t dim, double *cell,
                         double *spacing);

/* Position of a goal: target goal - TRAJ_APPROACH_GOALS, or where reaches begin. */
const double *traj_approach_goal(const struct traj_labels *labels,
                                 const struct traj_training *training, size_t goal);

/* Velocity of an approach from `cell` into velocity[dim]; returns the distance to its goal. */
double traj_approach_velocity(const struct traj_labels *labels,
                              const struct traj_training *training, const double *cell, size_t goal,
                              double *velocity);

#endif
