/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A decoder that decodes nothing: it writes down what it is told, in order, and answers with an
 * estimate that the test has set.  Linked in the place of traj_model, it shows what the pipeline
 * makes of frames and events without any numbers in between.
 *
 * The log is words with a blank after each: reset, marks0, marks1, start, go, stop, prior, gaze,
 * targetsM, opinionK, stepK for a frame over K bins and blindK for a step over K bins that observes
 * nothing.
 */
#ifndef TESTS_COMMON_SPY_DECODER_H
#define TESTS_COMMON_SPY_DECODER_H

#include "traj/decoder.h"

struct traj_decoder {
    const struct traj_model *model;
    char log[8192];
    size_t length;
    size_t calibrated;              /* calls of calibrate */
    double dt;                      /* of the last step that observed something */
    double prior[TRAJ_TARGETS_MAX]; /* the last one */
    enum traj_status answer;        /* what step returns */
    struct traj_estimate estimate;  /* what step fills in; points to the arrays below */
    double position[TRAJ_DIM_MAX];
    double velocity[TRAJ_DIM_MAX];
    double position_cov[TRAJ_DIM_MAX * TRAJ_DIM_MAX];
    double velocity_cov[TRAJ_DIM_MAX * TRAJ_DIM_MAX];
    double target_prob[TRAJ_TARGETS_MAX];
};

void spy_init(struct traj_decoder *spy, const struct traj_model *model);

/* What was told since the last call; the log starts anew. */
const char *spy_take(struct traj_decoder *spy);

#endif
