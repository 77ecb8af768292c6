/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Fits the filter over an unbroken recording: places on courses where the session has targets and
 * trials that begin at one place, free places everywhere (session_states.h, session_links.h).  Runs
 * on the engine of the filter over courses.  Internal to this room.
 */
#ifndef TRAJ_LEARN_SESSION_FIT_H
#define TRAJ_LEARN_SESSION_FIT_H

#include "daemon/learn/bench.h"
#include "daemon/learn/fit.h"

/* NULL if these data can teach it, else why not in a few words. */
const char *traj_session_fit_obstacle(const struct traj_training *training);

/*
 * Held-out error of a family on an unbroken recording: the share of the variance that is left
 * unexplained, the mean of that of position and that of velocity, with trial marks and (where the
 * session has trials) without, averaged.  *rmse: of position, with marks and without.  Too few data
 * to hold any out: INFINITY.
 */
int traj_session_unexplained(const struct traj_bench *bench, const struct traj_maker *maker,
                             double *unexplained, double rmse[2], struct traj_error *error);

/* Held-out bins that families are compared by. */
#define TRAJ_SESSION_BENCH_BINS 6000

struct traj_session_fit;

/*
 * Everything but calibration.  with_courses: courses may be learned too, and are where the family
 * is asked for by name or held-out decoding says that they help; else free places alone.  bench: of
 * these folds, NULL where the data are too few to hold any out.  NULL with a sentence.
 */
struct traj_session_fit *traj_session_fit_new(const struct traj_training *training,
                                              const struct traj_bench *bench, bool with_courses,
                                              const struct traj_fit_options *options,
                                              struct traj_error *error);
double traj_session_fit_unexplained(const struct traj_session_fit *fit);

/* Calibrates and makes the model; NULL with a sentence. */
struct traj_model *traj_session_fit_finish(struct traj_session_fit *fit, size_t prior_count,
                                           struct traj_error *error);
void traj_session_fit_free(struct traj_session_fit *fit); /* NULL is allowed */

#endif
