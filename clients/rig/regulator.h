/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The two halves of linear-quadratic-Gaussian control (e.g. Anderson and Moore 1990, Optimal
 * Control; Todorov and Jordan 2002, Nature Neuroscience 5:1226, for movement): feedback gains and
 * the gain of a Kalman filter in its steady state.  Internal to clients/rig.
 */
#ifndef TRAJ_RIG_REGULATOR_H
#define TRAJ_RIG_REGULATOR_H

#include <stddef.h>

#define TRAJ_REGULATOR_STATES 6 /* most states of a system */

/* x' = a x + b u with one input u; a [states][states] and b [states] are row by row. */
struct traj_linear {
    size_t states;
    double a[TRAJ_REGULATOR_STATES * TRAJ_REGULATOR_STATES];
    double b[TRAJ_REGULATOR_STATES];
};

/*
 * Gains of least  sum_k effort u_k^2 + x_end' diag(end) x_end:  with k + 1 steps left the best
 * input is u = -gain[k] x.  gain [steps][states], end [states] >= 0, effort > 0.  The backward
 * Riccati recursion  K = b'P a / (effort + b'P b),  P <- a'P (a - b K).
 */
void traj_regulator_gains(const struct traj_linear *system, const double *end, double effort,
                          size_t steps, double *gain);

/*
 * Gain [states][states] by which a Kalman filter that sees the whole state follows it in the end:
 * x <- x + gain (seen - x), process noise diag(process), sight noise diag(sight), variances, sight
 * positive.  Iterates the filter's own Riccati recursion until it stands still.
 */
void traj_regulator_sight(const struct traj_linear *system, const double *process,
                          const double *sight, double *gain);

#endif
