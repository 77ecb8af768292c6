/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Movements from anywhere to a target; see approach.h. */
#include "daemon/learn/approach.h"

#include <math.h>
#include <string.h>

#define DIM_MAX 3   /* beyond, cells are too many or too far apart */
#define RADIUS 1.25 /* of the space that is cut into cells, distances of the targets */
#define CELLS 30.0  /* about as many */
#define SPACING 0.3 /* distance of neighbours at least, distances of the targets */

/* Volume of a ball of radius 1. */
static double ball(size_t dim)
{
    static const double volume[] = {1, 2, 3.14159265358979, 4.18879020478639};
    return volume[dim];
}

size_t traj_approach_lay(const struct traj_labels *labels, size_t dim, double *cell,
                         double *spacing)
{
    if (dim > DIM_MAX)
        return 0;
    double each = RADIUS * pow(ball(dim) / CELLS, 1.0 / (double)dim);
    each = fmax(each, SPACING);
    long side = (long)(RADIUS / each);
    long step[DIM_MAX], points = 1;
    size_t count = 0;
    for (size_t d = 0; d < dim; d++)
        points *= 2 * side + 1;
    *spacing = each * labels->reach;
    for (long i = 0; i < points && count < TRAJ_APPROACH_CELLS; i++) {
        long rest = i, square = 0;
        for (size_t d = 0; d < dim; d++, rest /= 2 * side + 1) {
            step[d] = rest % (2 * side + 1) - side;
            square += step[d] * step[d];
        }
        if ((double)square * each * each > RADIUS * RADIUS)
            continue;
        for (size_t d = 0; d < dim; d++)
            cell[count * dim + d] = labels->origin[d] + (double)step[d] * *spacing;
        count++;
    }
    return count;
}

const double *traj_approach_goal(const struct traj_labels *labels,
                                 const struct traj_training *training, size_t goal)
{
    return goal < TRAJ_APPROACH_GOALS
               ? labels->origin
               : training->target_position + (goal - TRAJ_APPROACH_GOALS) * training->dim;
}

double traj_approach_velocity(const struct traj_labels *labels,
                              const struct traj_training *training, const double *cell, size_t goal,
                              double *velocity)
{
    const size_t dim = training->dim;
    const double *to = traj_approach_goal(labels, training, goal);
    double square = 0;
    for (size_t d = 0; d < dim; d++) {
        velocity[d] = goal == TRAJ_APPROACH_ASTRAY ? 0 : to[d] - cell[d];
        square += velocity[d] * velocity[d];
    }
    const double far = sqrt(square);
    const double speed =
        labels->reach / fmax(labels->arrival, training->bin) * sqrt(far / labels->reach);
    for (size_t d = 0; d < dim && far > 0; d++)
        velocity[d] *= speed / far;
    return far;
}
