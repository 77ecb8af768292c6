/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The ridge Wiener filter, for the decoders that build on it.  Internal. */
#ifndef TRAJ_EVALUATE_WIENER_H
#define TRAJ_EVALUATE_WIENER_H

#include "clients/evaluate/metrics.h"

struct traj_wiener_filter {
    size_t channels, window, windows, inputs, dim;
    double *mean;                    /* [channels] of the training data */
    double *weight;                  /* [inputs][2 dim] */
    double centre[2 * TRAJ_DIM_MAX]; /* mean position and velocity of the training data */
};

/* Fits a filter that starts as {0}; 0, or -1 with a sentence. Free it in either case. */
int traj_wiener_train(struct traj_wiener_filter *filter, const struct traj_session *train,
                      struct traj_error *error);
void traj_wiener_free(struct traj_wiener_filter *filter);

/* What it decodes for every bin; NULL when memory is short. */
struct traj_decoded *traj_wiener_run(const struct traj_wiener_filter *filter,
                                     const struct traj_session *test);

#endif
