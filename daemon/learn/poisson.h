/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Poisson regression of one unit's counts on the state, with a Gaussian prior (Yu et al. 2007,
 * eq. for y_n; the prior is MAP shrinkage):
 *     y(b - lag) ~ Poisson(dt exp(c' z_b + d)),   c ~ N(0, I / ridge),   d ~ N(log mean rate, 1)
 * on states z that are centred and scaled.  Internal to this room.
 */
#ifndef TRAJ_LEARN_POISSON_H
#define TRAJ_LEARN_POISSON_H

#include "daemon/learn/training.h"

/* The rows of a regression: bins whose state is known, standardised. */
struct traj_poisson_rows {
    const struct traj_training *training;
    size_t state; /* S of the model that is fitted: 2 D or 3 D */
    size_t rows;
    double *z;     /* [rows][S] */
    size_t *bin;   /* [rows] */
    uint8_t *fold; /* [rows] */
};

/*
 * Takes the bins whose counts of 0 to lag_max bins ago are all there; at most rows_max of them,
 * evenly picked.  0, or -1 without memory.
 */
int traj_poisson_rows_new(struct traj_poisson_rows *rows, const struct traj_training *training,
                          size_t state, size_t lag_max, size_t rows_max, struct traj_error *error);
void traj_poisson_rows_free(struct traj_poisson_rows *rows);

/*
 * Fits one unit on the rows outside fold `without`: parameter[S + 1] = c, d.  Newton from d = log
 * mean rate and c = 0, or from *parameter where warm.
 */
void traj_poisson_fit(const struct traj_poisson_rows *rows, size_t unit, size_t lag, double ridge,
                      unsigned without, bool warm, double *parameter);

/*
 * Log likelihood of the rows of one fold under the parameters, minus that of a constant rate (that
 * of the rows outside the fold): nats gained by knowing the state.
 */
double traj_poisson_score(const struct traj_poisson_rows *rows, size_t unit, size_t lag,
                          unsigned fold, const double *parameter);

#endif
