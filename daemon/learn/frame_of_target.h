/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Coordinates in which movements to different targets look alike.  Internal to this room. */
#ifndef TRAJ_LEARN_FRAME_OF_TARGET_H
#define TRAJ_LEARN_FRAME_OF_TARGET_H

#include <stddef.h>

/*
 * The proper rotation of dim dimensions that carries the first axis to the direction of vector[dim]
 * and leaves what is perpendicular to both in place; out[dim][dim].  One dimension: the sign.
 */
void traj_rotation_to(const double *vector, size_t dim, double *out);

/*
 * Maps of (x, 1), E = order * dim + 1 numbers: into[E][E] takes world coordinates to
 * z = rotation' (x - origin) / scale for position and rotation' x / scale for its derivatives,
 * back[E][E] takes them back.
 */
void traj_frame_maps(const double *rotation, const double *origin, double scale, size_t dim,
                     size_t order, double *into, double *back);

#endif
