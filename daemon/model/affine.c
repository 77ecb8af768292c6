/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Affine maps of Gaussians; see affine.h. */
#include "daemon/model/affine.h"

#include "daemon/model/linalg.h"

#include <string.h>

size_t traj_affine_scratch(size_t size)
{
    return 4 * size * size + 2 * size;
}

void traj_affine_step(const struct traj_affine *map, double *mean, double *cov, double *scratch)
{
    const size_t n = map->size;
    double *moved = scratch + n * n;
    traj_multiply_vector(n, n, map->transition, mean, moved);
    for (size_t i = 0; i < n; i++)
        mean[i] = moved[i] + map->drift[i];
    traj_congruence(n, map->transition, cov, cov, scratch);
    for (size_t i = 0; i < n * n; i++)
        cov[i] += map->noise[i];
}

void traj_affine_far(const struct traj_affine *map, size_t steps, double *mean, double *cov,
                     double *scratch)
{
    const size_t n = map->size, square = n * n;
    double *transition = scratch;
    double *noise = transition + square;
    double *work = noise + square; /* n n + n */
    double *next = work + square + n;
    double *drift = next + square;
    memcpy(transition, map->transition, square * sizeof(double));
    memcpy(noise, map->noise, square * sizeof(double));
    memcpy(drift, map->drift, n * sizeof(double));
    const struct traj_affine power = {n, transition, drift, noise};
    for (size_t left = steps; left > 0; left >>= 1) {
        if (left & 1u)
            traj_affine_step(&power, mean, cov, work);
        if (left == 1)
            break;
        traj_congruence(n, transition, noise, next, work);
        for (size_t i = 0; i < square; i++)
            noise[i] += next[i];
        traj_multiply_vector(n, n, transition, drift, work);
        for (size_t i = 0; i < n; i++)
            drift[i] += work[i];
        traj_multiply(n, transition, transition, next);
        memcpy(transition, next, square * sizeof(double));
    }
}
