/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Firing rates along courses, shrunk over direction and phase: what all directions share is learned
 * from all, and a direction borrows from its neighbours (rate_kernel.h).
 * Slow gains: factors of the log rate that are constant within a trial.  One is common to all
 * units, and is believed in before any trial was seen; others are found where the residuals are
 * correlated beyond the Marchenko-Pastur edge.  Internal to this room.
 */
#ifndef TRAJ_LEARN_RATES_H
#define TRAJ_LEARN_RATES_H

#include "daemon/learn/rate_kernel.h"

struct traj_rates {
    size_t targets, phases, units, nodes; /* nodes = targets * phases */
    size_t gains;                         /* at least 1 */
    double *log_rate;                     /* [nodes][units] log spikes/s */
    double *doubt;                        /* [nodes] nats/s, see traj/model.h */
    double *gain;                         /* [units][gains], the common one last */
    double square[TRAJ_RATE_PARTS], known[TRAJ_RATE_PARTS]; /* of all units, see rate_kernel.h */
    size_t coefficients;                                    /* of a unit */
    double *mode;    /* [units][coefficients] where the fits ended */
    double evidence; /* log marginal likelihood of all units */
};

/*
 * Fits rates and gains of every unit.  near: rates of much the same trials, to begin from; NULL =
 * none.  0, or -1 with a sentence.
 */
int traj_rates_fit(struct traj_rates *rates, const struct traj_reach *reach,
                   const struct traj_rate_kernel *kernel, const struct traj_rates *near,
                   struct traj_error *error);
void traj_rates_free(struct traj_rates *rates);

#endif
