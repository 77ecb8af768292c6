/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * How good a decoded trajectory is: the field's measures, from a session with kinematics and what
 * was decoded for its bins.  Definitions stand at each field of struct traj_score.
 */
#ifndef TRAJ_EVALUATE_METRICS_H
#define TRAJ_EVALUATE_METRICS_H

#include <stdbool.h>
#include <stddef.h>

#include "daemon/learn/session.h"

/*
 * The movement at the end of each bin.  Position is interpolated linearly, carried on with the last
 * velocity after the end of a stretch of samples, never interpolated across a gap of more than 0.5
 * s. Velocity is the central difference of the position over 100 ms.
 */
struct traj_truth {
    size_t bins, dim;
    double *position; /* [bins][dim] */
    double *velocity; /* [bins][dim], length/s */
    size_t *trial;    /* [bins], (size_t)-1 = in no trial */
};

struct traj_truth *traj_truth_new(const struct traj_session *session, struct traj_error *error);
void traj_truth_free(struct traj_truth *truth);

/* What a decoder said for each bin of a session; NaN = nothing was said. */
struct traj_decoded {
    size_t bins, dim, targets;
    double *position;     /* [bins][dim] */
    double *position_cov; /* [bins][dim][dim] */
    double *velocity;     /* [bins][dim] */
    double *target_prob;  /* [bins][targets]; NULL when targets = 0 */
};

/* All NaN; NULL when memory is short. */
struct traj_decoded *traj_decoded_new(size_t bins, size_t dim, size_t targets);
void traj_decoded_free(struct traj_decoded *decoded);

#define TRAJ_SCORE_TIMES 5
extern const double
    traj_score_times[TRAJ_SCORE_TIMES]; /* s after trial start: 0.1 0.2 0.32 0.5 0.8 */

struct traj_score {
    size_t frames, missing; /* bins scored; of these, bins for which nothing finite was decoded,
                               which cost the whole distance to the mean position */
    double rmse;            /* sqrt(mean over bins of the squared Euclidean distance) */
    double mvaf; /* 1 - squared errors over all axes / squared deviations from the mean */
    double r2[TRAJ_DIM_MAX]; /* the same for each axis */
    double velocity_mvaf;
    double velocity_angle; /* degrees, median while the true speed exceeds 1/4 of its 95th
                              percentile */
    double idle_speed; /* percent of that percentile: mean decoded speed while the true one is below
                          1/20 of it */
    double velocity_lag; /* ms at which decoded velocity fits the truth best; negative = ahead */
    size_t trials;       /* trials with at least one scored bin */
    double rmse_trial;   /* mean over trials of the trial's own rmse */
    double coverage50,
        coverage90; /* share of bins inside the stated region (2-D); NaN if not stated */
    double target[TRAJ_SCORE_TIMES]; /* share of trials whose most probable target is the true one;
                                        NaN */
};

/* Which bins count: from seconds after their trial's start where the session has trials; NaN = all
 * bins. */
struct traj_score_options {
    double from;
    const bool *keep; /* [bins] or NULL: takes the place of from */
};

/* Scores one session.  Fields that cannot be computed are NaN.  0, or -1 with a sentence. */
int traj_score(const struct traj_session *session, const struct traj_decoded *decoded,
               const struct traj_score_options *options, struct traj_score *score,
               struct traj_error *error);

#endif
