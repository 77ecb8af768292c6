/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Limits on what is published: a speed and a workspace. */
#ifndef TRAJ_CORE_LIMITS_H
#define TRAJ_CORE_LIMITS_H

#include <stdbool.h>
#include <stddef.h>

/*
 * Scales velocity[dim] down to the norm `limit` (> 0), a rounding error less; true if it was
 * longer.
 */
bool traj_limit_speed(double *velocity, size_t dim, double limit);

/*
 * Holds position[dim] inside [low, high], coordinate by coordinate; true if it lay outside.  A
 * coordinate without a range (low not below high) is left alone.
 */
bool traj_limit_workspace(double *position, size_t dim, const double *low, const double *high);

#endif
