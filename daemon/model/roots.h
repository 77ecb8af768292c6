/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Gaussian observation of the roots of counts, with noise that is correlated over units:
 *     z = C x + d + N(0, R),  R = diag + U U'.
 * With R^-1 by Woodbury's identity the cost is linear in units, and units that are not observed
 * drop out exactly.  A frame's log likelihood is a quadratic in x, the same for all components that
 * share a tuning set: prepared once a frame, evaluated without a look at any unit.
 */
#ifndef TRAJ_MODEL_ROOTS_H
#define TRAJ_MODEL_ROOTS_H

#include "daemon/model/arena.h"
#include "traj/model.h"

#include <stdbool.h>

struct traj_roots {
    const struct traj_model *model;
    size_t state;      /* S */
    size_t factors;    /* r, 0 = the model's counts are Poisson and the rest is not there */
    size_t sets;       /* of tuning, the shared one first */
    size_t units;      /* n, for which the next five were made; SIZE_MAX = none yet */
    uint32_t *unit;    /* [n] which */
    double *inner;     /* [r][r] Cholesky factor of I + U' D^-1 U */
    double *loading;   /* [sets][n][S] R^-1 C */
    double *curvature; /* [sets][S][S] C' R^-1 C */
    double constant;   /* -log|R|/2 - n log(2 pi)/2 */
    double *slope;     /* [sets][S] C' R^-1 (z - d), of the frame */
    double *square;    /* [sets] (z - d)' R^-1 (z - d), of the frame */
    double *apart;     /* [N] scratch */
    double *shared;    /* [r] scratch */
};

void traj_roots_lay_out(struct traj_roots *roots, struct traj_arena *arena,
                        const struct traj_dims *dims);
void traj_roots_init(struct traj_roots *roots, const struct traj_model *model);

/*
 * Takes a frame: root[n] of the units unit[n], in the order of the model's units.  False where the
 * numbers of the model make no finite answer.
 */
bool traj_roots_prepare(struct traj_roots *roots, const uint32_t *unit, const double *root,
                        size_t units);

/* log p(z | x) but for the constant; adds to gradient[S] and information[S][S]. */
double traj_roots_evaluate(const struct traj_roots *roots, size_t set, const double *x,
                           double *gradient, double *information);

#endif
