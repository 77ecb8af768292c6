/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What a model says of a subject that steers an effector (daemon/model/steer.h), from a recording
 * of a hand that reaches.  Every channel is regressed on the place, the velocity and the speed some
 * time later, and on what is planned meanwhile,
 *     s(t) = b_0 + b_p' p(t + lag) + b_v' v(t + lag) + b_s |v(t + lag)| + plan(t) (w' g + w_0),
 * where plan is 1 from a trial's start to the movement's onset and g its target.  One lag serves
 * all channels, that of the greatest likelihood: each channel's own would be that at which the
 * course of a trial, and not its movement, explains it.  Internal to this room.
 */
#ifndef TRAJ_LEARN_SESSION_STEER_H
#define TRAJ_LEARN_SESSION_STEER_H

#include "daemon/learn/session_states.h"

#define TRAJ_STEER_PACES 4

/* Fills model->steer, which has TRAJ_STEER_PACES paces, from states that know courses and the bins
 * that they were fitted to; 0, or -1 without memory. */
int traj_session_steer(const struct traj_session_states *states, struct traj_model *model);

#endif
