/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The decoders that trajd is measured against.  Each is trained on one session and decodes another;
 * what it has to choose it chooses on the last fifth of the training data, and is then fitted on
 * all of it. Both are causal, and neither is told of trials.
 */
#ifndef TRAJ_EVALUATE_BASELINE_H
#define TRAJ_EVALUATE_BASELINE_H

#include "clients/evaluate/metrics.h"

/*
 * Ridge Wiener filter: position and velocity by linear regression on the counts (and features) of
 * the last 650 ms, in windows of at least 50 ms; ridge by validation.  Bins before a gap count as
 * the mean. Returns what it decoded for every bin of test, or NULL with a sentence.
 */
struct traj_decoded *traj_wiener(const struct traj_session *train, const struct traj_session *test,
                                 struct traj_error *error);

/*
 * Kalman filter of position, velocity and acceleration (Wu et al. 2006, Neural Computation 18:80)
 * with a full noise covariance over units; lag and the transform of counts (none or square root) by
 * validation.
 */
struct traj_decoded *traj_kalman(const struct traj_session *train, const struct traj_session *test,
                                 struct traj_error *error);

#endif
