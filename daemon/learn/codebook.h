/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A filter over free places for unbroken recordings: the states are clusters of position and
 * velocity, with transitions that were counted, and correlated Gaussian noise on square roots of
 * counts
 *     sqrt(y D / dt + 1/4) | j ~ N(f_j, diag + U U')
 * f_j a quadratic regression on the cluster's centre plus its shrunk residual.  Knows no targets
 * and needs no trial marks; runs on the engine of the filter over courses.  Internal to this room.
 */
#ifndef TRAJ_LEARN_CODEBOOK_H
#define TRAJ_LEARN_CODEBOOK_H

#include "daemon/learn/fit.h"
#include "daemon/learn/training.h"

/* NULL if these data can teach it, else why not in a few words. */
const char *traj_codebook_obstacle(const struct traj_training *training);

/*
 * A model, or NULL with a sentence; *rmse: held-out root mean square position error over all
 * bins, trial marks or not, NaN where the data are too few to hold any out.
 */
struct traj_model *traj_codebook_fit(const struct traj_training *training, size_t prior_count,
                                     const struct traj_fit_options *options, double *rmse,
                                     struct traj_error *error);

#endif
