/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * By how much what the posterior leaves unexplained of the recent past's answer is to move the
 * published mean (traj_recent_model.gain): least squares of the error of position and velocity on
 * it times how far it may reach (traj_recent_reach), over held-out bins.  Each fold is judged with
 * the gain of the others.  Internal to this room.
 */
#ifndef TRAJ_LEARN_SESSION_GAIN_H
#define TRAJ_LEARN_SESSION_GAIN_H

#include <stdbool.h>
#include <stddef.h>

#include "daemon/learn/training.h"

#define TRAJ_SESSION_RUNS 2 /* with trial marks, and without */

struct traj_session_gain {
    size_t dim, out, folds;
    double *moment; /* [runs][folds][2 parts] of moments */
};

/* -1 when memory is short; to be freed in either case. */
int traj_session_gain_init(struct traj_session_gain *gain, size_t dim, size_t folds);
void traj_session_gain_free(struct traj_session_gain *gain);

/* One held-out bin: what is unexplained[2 dim] (NULL = nothing is known of it), how far it
 * may reach in position and in velocity (traj_recent_reach), and the error e[2 dim] of both, truth
 * less estimate. */
void traj_session_gain_add(struct traj_session_gain *gain, size_t run, unsigned fold,
                           const double *unexplained, const double spread[2], const double *e);

/*
 * Squared errors left[run][part] of position (0) and velocity (1), each with the gain where that
 * leaves less, without it else; matrix[2 dim][2 dim] is the gain of all folds, 0 in the columns of
 * a part that is better without.
 */
int traj_session_gain_settle(const struct traj_session_gain *gain,
                             double left[TRAJ_SESSION_RUNS][2], double *matrix);

#endif
