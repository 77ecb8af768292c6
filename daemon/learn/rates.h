/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Firing rates along courses, shrunk over direction and phase: a Gaussian process on log rates,
 *     eta = eta0_n + F a,  a ~ N(0, I),  F F' = K,
 *     K = J x (vb O + vt S) + C1 x (vc S4 + vct S) + C2 x (v2 S4 + v2t S) + I x (vi S4 + vit S)
 * (x: target by phase), J, O ones, I identity, C1 the cosine between the targets' directions, C2
 * twice its square, S a squared exponential over phase of length ell, S4 of four times that.
 * What all directions share is learned from all, and a direction borrows from its neighbours.
 * Slow gains: factors of the log rate that are constant within a trial, found where the trials'
 * residuals are correlated beyond the Marchenko-Pastur edge.  Internal to this room.
 */
#ifndef TRAJ_LEARN_RATES_H
#define TRAJ_LEARN_RATES_H

#include "daemon/learn/reach.h"

struct traj_rates {
    size_t targets, phases, units, nodes; /* nodes = targets * phases */
    size_t gains;
    double *log_rate; /* [nodes][units] log spikes/s */
    double *gain;     /* [units][gains], NULL when gains = 0 */
};

/* The kernel's factor depends on targets and phases alone, so that folds share it. */
struct traj_rate_kernel {
    size_t targets, phases, columns;
    double *factor; /* [targets * phases][columns] F */
};
int traj_rate_kernel_init(struct traj_rate_kernel *kernel, const struct traj_reach *reach,
                          struct traj_error *error);
void traj_rate_kernel_free(struct traj_rate_kernel *kernel);

/* Fits rates and gains of every unit.  0, or -1 with a sentence. */
int traj_rates_fit(struct traj_rates *rates, const struct traj_reach *reach,
                   const struct traj_rate_kernel *kernel, struct traj_error *error);
void traj_rates_free(struct traj_rates *rates);

#endif
