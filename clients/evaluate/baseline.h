/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The decoders that trajd is measured against.  Each is trained on one session and decodes another;
 * what it has to choose it chooses inside the training data.  All are causal.  Equations and
 * sources stand at the head of each one's file.
 *
 * All return what they decoded for every bin of test, or NULL with a sentence.
 */
#ifndef TRAJ_EVALUATE_BASELINE_H
#define TRAJ_EVALUATE_BASELINE_H

#include "clients/evaluate/metrics.h"

/*
 * Ridge Wiener filter: position and velocity by linear regression on the counts (and features) of
 * the last 650 ms, in windows of at least 50 ms; ridge by validation.  Bins before a gap count as
 * the mean.  Is not told of trials.
 */
struct traj_decoded *traj_wiener(const struct traj_session *train, const struct traj_session *test,
                                 struct traj_error *error);

/*
 * Wiener cascade: the same, each output then passed through a polynomial; its degree (1 to 3) by
 * validation.
 */
struct traj_decoded *traj_cascade(const struct traj_session *train, const struct traj_session *test,
                                  struct traj_error *error);

/*
 * Kalman filter of position, velocity and acceleration with a full noise covariance over units; lag
 * and the transform of counts (none or square root) by validation.  Is not told of trials.
 */
struct traj_decoded *traj_kalman(const struct traj_session *train, const struct traj_session *test,
                                 struct traj_error *error);

/*
 * Naive Bayes: units independent given position and velocity; window of counts, width of the step
 * from one estimate to the next, and weight of the counts by validation.  Needs counts.  Is not
 * told of trials.
 */
struct traj_decoded *traj_naive_bayes(const struct traj_session *train,
                                      const struct traj_session *test, struct traj_error *error);

/*
 * Class by linear discriminant analysis with a growing window, and mean course: the target's
 * posterior from all counts since the trial's start, position and velocity as the mean of the
 * targets' mean courses under it.  Is told when trials start (and in training what their targets
 * were); outside trials it says the mean of what the training data did outside them.
 */
struct traj_decoded *traj_lda(const struct traj_session *train, const struct traj_session *test,
                              struct traj_error *error);

#endif
