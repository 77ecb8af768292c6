/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The decoders that closed-loop experiments compare with, each tuned as its paper says on the same
 * calibration, and each driving the cursor's velocity, as there:
 *
 * kalman: velocity Kalman filter (Kim, Simeral, Hochberg, Donoghue and Black 2008, Journal of
 *     Neural Engineering 5:455):  v' = A v + w,  y = C v + c + q,  w ~ N(0, W), q ~ N(0, Q), all
 *     by least squares, with the gain of the steady state.
 * refit: ReFIT-KF (Gilja et al. 2012, Nature Neuroscience 15:1752): trained anew on a closed-loop
 *     block that `kalman` drove, whose velocities are turned towards the target that was to be
 *     reached and are zero while the cursor is on it (intention); and y = P p + C v + c + q, where
 *     the user is taken to know the cursor's position p, so that it has no uncertainty and what it
 *     does to the counts is taken off.
 * wiener: ridge regression on the counts of the last 650 ms in windows of 50 ms
 *     (clients/evaluate/wiener.c); the ridge by validation.
 *
 * Counts that lead the hand by `lead` bins are paired with where the hand will be then, so that
 * what is decoded is what is being intended and no delay of the arm stays in the loop; the lead (0
 * to 200 ms) and, for `kalman`, the transform of counts (none or square root) are those that decode
 * the velocity of the last fifth of the calibration best.
 */
#ifndef TRAJ_RIG_RIVAL_H
#define TRAJ_RIG_RIVAL_H

#include "clients/rig/plant.h"
#include "daemon/learn/session.h"

enum traj_rival_kind { TRAJ_RIVAL_KALMAN, TRAJ_RIVAL_REFIT, TRAJ_RIVAL_WIENER, TRAJ_RIVALS };
const char *traj_rival_name(enum traj_rival_kind kind);
int traj_rival_parse(const char *name, enum traj_rival_kind *kind);

struct traj_rival;

/*
 * Trains on a calibration; refit also on `second`, a closed-loop session of targets of that radius
 * (elsewhere NULL and 0).  NULL with a sentence; traj_rival_free.
 */
struct traj_rival *traj_rival_train(enum traj_rival_kind kind,
                                    const struct traj_session *calibration,
                                    const struct traj_session *second, double radius,
                                    struct traj_error *error);
void traj_rival_free(struct traj_rival *rival); /* NULL is allowed */

size_t traj_rival_units(const struct traj_rival *rival);
size_t traj_rival_dim(const struct traj_rival *rival);
size_t traj_rival_lead(const struct traj_rival *rival); /* bins */

/* A new run begins. */
void traj_rival_reset(struct traj_rival *rival);

/* Where the cursor is. */
void traj_rival_effector(struct traj_rival *rival, const double *position);

/* The next bin's counts [units]; 65535 = not observed, which counts as the mean. */
void traj_rival_step(struct traj_rival *rival, const uint16_t *counts, double *velocity);

#endif
