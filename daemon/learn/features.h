/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The Gaussian observation of continuous features, f = C x + d + N(0, R): ridge regression on the
 * state, and the full covariance of the residuals, drawn towards its diagonal.
 * Internal to this room.
 */
#ifndef TRAJ_LEARN_FEATURES_H
#define TRAJ_LEARN_FEATURES_H

#include "daemon/learn/training.h"

/* Chooses by held-out likelihood how far R is drawn towards its diagonal (0..1). */
int traj_features_choose(const struct traj_training *training, size_t state, double *to_diagonal,
                         struct traj_error *error);

/* Fits weight[F][S], offset[F] and noise[F][F] on all bins but those of fold `without`. */
int traj_features_fit(const struct traj_training *training, size_t state, double to_diagonal,
                      unsigned without, double *weight, double *offset, double *noise,
                      struct traj_error *error);

#endif
