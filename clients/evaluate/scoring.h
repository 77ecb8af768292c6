/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the measures share: the session, truth, answers and which bins count.  Internal. */
#ifndef TRAJ_EVALUATE_SCORING_H
#define TRAJ_EVALUATE_SCORING_H

#include <math.h>

#include "clients/evaluate/metrics.h"

struct scoring {
    const struct traj_session *session;
    const struct traj_truth *truth;
    const struct traj_decoded *decoded;
    const bool *keep;
    double *scratch; /* [bins] */
};

static inline bool traj_finite_row(const double *x, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (!isfinite(x[i])) {
            return false;
        }
    }
    return true;
}

/* Everything about target probabilities. */
void traj_score_targets(const struct scoring *scoring, struct traj_score *score);

#endif
