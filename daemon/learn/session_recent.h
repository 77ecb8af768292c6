/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Regression of position and velocity on the recent past of all channels (daemon/model/recent.h) by
 * ridge, for every fold that may be left out.  What states are to expect of its answers is learned
 * from answers that did not know the bin's own fold: what a regression says of its own training
 * data is too good.  Internal to this room.
 */
#ifndef TRAJ_LEARN_SESSION_RECENT_H
#define TRAJ_LEARN_SESSION_RECENT_H

#include "daemon/learn/training.h"

struct traj_session_recent {
    const struct traj_training *training;
    const float *value;    /* [bins][channels], NaN = not observed; borrowed */
    size_t channels, out;  /* out = 2 dim */
    size_t stages, inputs; /* inputs = stages channels + 1, the last of which is 1 */
    double follow, ridge;
    double *center; /* [channels] */
    double *
        weight; /* [(folds + 1)^2][inputs][out] without two folds; see traj_session_recent_weight */
};

/* stages = 0 in the result: there are too few data, or too many channels.  -1 with a sentence. */
int traj_session_recent_fit(struct traj_session_recent *recent,
                            const struct traj_training *training, const float *value,
                            size_t channels, struct traj_error *error);
void traj_session_recent_free(struct traj_session_recent *recent);

/* [inputs][out] that has seen neither of two folds (which may be the same, or TRAJ_FOLD_NONE). */
const double *traj_session_recent_weight(const struct traj_session_recent *recent, unsigned one,
                                         unsigned two);

/* The answer to every bin, of the regression without fold `without` and the bin's own: [bins][out]
 * in new memory (free), or NULL. */
double *traj_session_recent_answers(const struct traj_session_recent *recent, unsigned without);

#endif
