/* SPDX-License-Identifier: GPL-3.0-or-later */
/* How good target probabilities are: share right against time, log score, calibration. */
#include "clients/evaluate/scoring.h"

#define GRACE 1e-9
#define LEAST 1e-9 /* a smaller probability counts as this in the log score */

static size_t most_probable(const double *p, size_t targets)
{
    size_t best = 0;
    for (size_t m = 1; m < targets; m++) {
        best = p[m] > p[best] ? m : best;
    }
    return best;
}

/* Share of trials whose most probable target is the true one, in the last bin with an answer that
 * ends within `until` s after the trial's start. */
static double share_right(const struct scoring *c, double until)
{
    const struct traj_session *s = c->session;
    size_t targets = c->decoded->targets, hit = 0, count = 0;
    for (size_t i = 0; i < s->bins;) {
        size_t trial = c->truth->trial[i], last = (size_t)-1;
        for (; i < s->bins && c->truth->trial[i] == trial; i++) {
            if (trial != (size_t)-1 && s->t_end[i] - s->start[trial] <= until + GRACE &&
                traj_finite_row(c->decoded->target_prob + i * targets, targets)) {
                last = i;
            }
        }
        if (last == (size_t)-1 || s->target[trial] < 0) {
            continue; /* nothing was said, or nobody knows what is right */
        }
        count++;
        hit += s->target[trial] ==
               (int32_t)most_probable(c->decoded->target_prob + last * targets, targets);
    }
    return count ? (double)hit / (double)count : NAN;
}

double traj_calibration_error(const struct traj_reliability *r)
{
    double count = 0.0, sum = 0.0;
    for (size_t k = 0; k < TRAJ_RELIABILITY_BINS; k++) {
        count += r[k].count;
        sum += fabs(r[k].right - r[k].confidence);
    }
    return count > 0.0 ? sum / count : NAN;
}

void traj_score_targets(const struct scoring *c, struct traj_score *score)
{
    const struct traj_session *s = c->session;
    size_t targets = c->decoded->targets, count = 0;
    double sum = 0.0;
    if (!s->target || targets == 0) {
        return;
    }
    for (size_t k = 0; k < TRAJ_SCORE_TIMES; k++) {
        score->target[k] = share_right(c, traj_score_times[k]);
    }
    score->wrong_end = 1.0 - share_right(c, INFINITY);
    for (size_t i = 0; i < s->bins; i++) {
        const double *p = c->decoded->target_prob + i * targets;
        size_t trial = c->truth->trial[i];
        if (!c->keep[i] || trial == (size_t)-1 || s->target[trial] < 0 ||
            (size_t)s->target[trial] >= targets || !traj_finite_row(p, targets)) {
            continue;
        }
        size_t best = most_probable(p, targets), right = (size_t)s->target[trial];
        double tenth = p[best] * TRAJ_RELIABILITY_BINS;
        size_t k = tenth < TRAJ_RELIABILITY_BINS ? (size_t)tenth : TRAJ_RELIABILITY_BINS - 1;
        score->reliability[k].count += 1.0;
        score->reliability[k].confidence += p[best];
        score->reliability[k].right += best == right;
        sum += log(p[right] > LEAST ? p[right] : LEAST);
        count++;
    }
    score->log_score = count ? sum / (double)count : NAN;
    score->calibration = traj_calibration_error(score->reliability);
}
