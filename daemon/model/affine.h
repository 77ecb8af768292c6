/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Gaussians under affine maps with noise, x <- A x + b + N(0, Q): one step, and many at once.
 */
#ifndef TRAJ_MODEL_AFFINE_H
#define TRAJ_MODEL_AFFINE_H

#include <stddef.h>

struct traj_affine {
    size_t size;              /* n */
    const double *transition; /* A [n][n] */
    const double *drift;      /* b [n] */
    const double *noise;      /* Q [n][n] */
};

/* Doubles of scratch that the two need. */
size_t traj_affine_scratch(size_t size);

/* mean[n] and cov[n][n] one step on. */
void traj_affine_step(const struct traj_affine *map, double *mean, double *cov, double *scratch);

/*
 * So many steps on: the map taken twice is again such a map, with A A, A b + b and A Q A' + Q, so
 * that the binary digits of `steps` say which powers to apply.
 */
void traj_affine_far(const struct traj_affine *map, size_t steps, double *mean, double *cov,
                     double *scratch);

#endif
