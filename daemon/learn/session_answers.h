/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the regression on the recent past (session_recent.h) answers in each state.  Internal. */
#ifndef TRAJ_LEARN_SESSION_ANSWERS_H
#define TRAJ_LEARN_SESSION_ANSWERS_H

#include "daemon/learn/session_states.h"

/*
 * Mean answer in a state, states->answer[states][2 dim]: what the answers are in bins of such
 * position and velocity by regression at the state's centre, and what its own bins add, shrunk; and
 * states->answer_noise[2 dim][2 dim], the covariance of the answers about those.  From the bins
 * that train, by the answers of a regression that has seen neither fold `without` nor the bin's
 * own.  -1 when memory is short.
 */
int traj_session_answers_fit(struct traj_session_states *states);

#endif
