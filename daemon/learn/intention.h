/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What was intended while a subject steered: in a closed loop the cursor's velocity is the
 * decoder's, errors and all, while the subject meant to go to the target.  Inside trials with a
 * known target the velocity of every sample is turned towards the target, its speed kept, and zero
 * at the target (Gilja et al. 2012, ReFIT):
 *     v <- |v| (target - p) / |target - p|,   v <- 0 where |target - p| <= r,
 * r the distance within which nine of ten rewarded trials ended.  Positions stay.
 */
#ifndef TRAJ_LEARN_INTENTION_H
#define TRAJ_LEARN_INTENTION_H

#include "daemon/learn/error.h"
#include "daemon/learn/session.h"

/* What became of a session. */
struct traj_relabelling {
    size_t turned, stilled; /* samples */
    size_t trials;          /* with a known target */
    double radius;          /* r, length unit */
};

/*
 * Relabels a session with kinematics and trials of known targets in place; it gains velocities
 * where it had none.  0, or -1 with a sentence.
 */
int traj_intention_relabel(struct traj_session *session, struct traj_relabelling *done,
                           struct traj_error *error);

/*
 * Gives a session of a recording that told no kinematics those of its `effector` events; nothing
 * happens where there are none, or kinematics already.  0, or -1 with a sentence.
 */
int traj_intention_effector(struct traj_session *session, const char *recording,
                            struct traj_error *error);

/*
 * Gives a session without kinematics those of a model's smoothed posterior (learn/smooth.h).  0, or
 * -1 with a sentence.
 */
int traj_intention_decoded(struct traj_session *session, const struct traj_model *model,
                           struct traj_error *error);

#endif
