/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Fits the filter over courses: courses and rates for every fold, then temper and switching rate by
 * held-out decoding, then the calibration.  Internal to this room.
 */
#ifndef TRAJ_LEARN_COURSE_FIT_H
#define TRAJ_LEARN_COURSE_FIT_H

#include "daemon/learn/fit.h"
#include "daemon/learn/training.h"

/*
 * NULL if these data can teach it; else why not, in a few words: trials that are cut out of a
 * recording, with known targets, and counts are needed.
 */
const char *traj_course_fit_obstacle(const struct traj_training *training);

/* A model, or NULL with a sentence. */
struct traj_model *traj_course_fit(const struct traj_training *training, size_t prior_count,
                                   const struct traj_fit_options *options,
                                   struct traj_error *error);

#endif
