/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A new day: brings the tuning of a trained model up to date from a few trials, or from rest alone,
 * and keeps what it knows of movement (courses, transitions, dynamics, targets, timing).
 *
 * Every unit of today is judged under two hypotheses, weighed by their evidence: it is the unit of
 * yesterday, whose tuning has drifted a little, or it is another one, of which only the population
 * of yesterday's units tells (daemon/learn/population.h).  What bins say about which tuning follows
 * from their movement; where that was not recorded, from the posterior of the model itself
 * (daemon/learn/occupancy.h), which is then refined together with the tuning.  What was regressed
 * on the recent past is read from today's channels as far as these are like yesterday's, and
 * believed by that share (daemon/learn/adapt_recent.c).
 */
#ifndef TRAJ_LEARN_ADAPT_H
#define TRAJ_LEARN_ADAPT_H

#include "daemon/learn/fit.h"

/*
 * sessions[count] have frames; kinematics and trials where there are any.  Of the options, folds,
 * seed, calibrate and progress count.  Units are matched by name where both name them, else by
 * order where their numbers agree; the model's units that the sessions lack are left out of the new
 * one.  A unit that was never observed keeps yesterday's tuning.  Returns a new model
 * (traj_model_free), or NULL with a sentence.
 */
struct traj_model *traj_adapt(const struct traj_model *from,
                              const struct traj_session *const *sessions, size_t count,
                              const struct traj_fit_options *options, struct traj_error *error);

#endif
