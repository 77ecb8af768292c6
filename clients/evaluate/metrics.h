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
 * s. Velocity is the central difference of the position over 100 ms.  A bin whose nearest sample is
 * more than 0.5 s away has no truth (known = false) and is never scored.
 */
struct traj_truth {
    size_t bins, dim;
    double *position; /* [bins][dim] */
    double *velocity; /* [bins][dim], length/s */
    size_t *trial;    /* [bins], (size_t)-1 = in no trial */
    bool *known;      /* [bins] */
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

/* How right target probabilities are that say about the same: the most probable target's. */
#define TRAJ_RELIABILITY_BINS 10
struct traj_reliability {
    double count;      /* bins of time whose most probable target has a probability in this tenth */
    double confidence; /* sum of those probabilities */
    double right;      /* in so many of them it was the true target */
};

struct traj_score {
    size_t frames;   /* bins scored */
    size_t missing;  /* of these, bins for which nothing finite was decoded, which cost the whole
                        distance to the mean position */
    size_t excluded; /* bins left out because no kinematics lie within 0.5 s of them */
    double rmse;     /* sqrt(mean over bins of the squared Euclidean distance) */
    double mvaf;     /* 1 - squared errors over all axes / squared deviations from the mean */
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
        coverage90; /* share of bins inside the stated normal region; NaN if none was stated */
    /* Share of trials whose most probable target is the true one, so long after their start. */
    double target[TRAJ_SCORE_TIMES];
    double wrong_end; /* share of trials whose most probable target is a wrong one in their last bin
                         with an answer */
    double log_score; /* mean over scored bins in trials of ln(probability of the true target); less
                         than 1e-9 counts as 1e-9 */
    double calibration; /* expected calibration error: mean over those bins of |share right - mean
                           probability| within tenths of the most probable target's probability */
    struct traj_reliability reliability[TRAJ_RELIABILITY_BINS];
};

/* The expected calibration error of a table; NaN where it is empty. */
double traj_calibration_error(const struct traj_reliability *reliability);

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

/* The same with the session's truth, and with keep[bins] saying which bins count. */
int traj_score_bins(const struct traj_session *session, const struct traj_truth *truth,
                    const struct traj_decoded *decoded, const bool *keep, struct traj_score *score,
                    struct traj_error *error);

/* The squared Mahalanobis distance of an error e[dim] under cov[dim][dim] (1e-9 is added to its
 * diagonal); NaN if it is not positive definite. */
double traj_mahalanobis(const double *e, const double *cov, size_t dim);

#endif
