/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Limits on what is published. */
#include "daemon/core/limits.h"

#include <float.h>
#include <math.h>

/*
 * What is published ends so little below the limit, relative to it, that no reader's own rounding
 * finds it above: what is nearer is scaled down too.
 */
#define MARGIN (4 * DBL_EPSILON)

bool traj_limit_speed(double *velocity, size_t dim, double limit)
{
    /* Divided by the largest coordinate first, so that no square overflows. */
    double largest = 0;
    for (size_t d = 0; d < dim; d++) {
        if (fabs(velocity[d]) > largest)
            largest = fabs(velocity[d]);
    }
    if (!(largest > 0))
        return false;
    double sum = 0;
    for (size_t d = 0; d < dim; d++) {
        double share = velocity[d] / largest;
        sum += share * share;
    }
    double relative = limit / largest; /* the limit in units of the largest coordinate */
    if (sqrt(sum) <= relative * (1 - MARGIN))
        return false;
    double factor = limit * (1 - MARGIN) / sqrt(sum);
    for (size_t d = 0; d < dim; d++)
        velocity[d] = velocity[d] / largest * factor;
    return true;
}

bool traj_limit_workspace(double *position, size_t dim, const double *low, const double *high)
{
    bool held = false;
    for (size_t d = 0; d < dim; d++) {
        if (!(low[d] < high[d]))
            continue;
        if (position[d] < low[d]) {
            position[d] = low[d];
            held = true;
        } else if (position[d] > high[d]) {
            position[d] = high[d];
            held = true;
        }
    }
    return held;
}
