/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Measures of a decoded trajectory; see metrics.h for their definitions. */
#include "clients/evaluate/metrics.h"

#include <gsl/gsl_cdf.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "clients/evaluate/scoring.h"

const double traj_score_times[TRAJ_SCORE_TIMES] = {0.1, 0.2, 0.32, 0.5, 0.8};

#define GAP_S 0.5          /* samples further apart than this belong to two stretches */
#define VELOCITY_HALF 0.05 /* s: the true velocity is a central difference over twice this */
#define GRACE 1e-9

/* A stretch of kinematic samples without a gap: [first, last]. */
struct stretch {
    size_t first, last;
};

static size_t find_stretches(const struct traj_session *s, struct stretch *out)
{
    size_t count = 0;
    for (size_t i = 0; i < s->samples; i++) {
        if (i == 0 || s->kin_t[i] - s->kin_t[i - 1] > GAP_S) {
            out[count++].first = i;
        }
        out[count - 1].last = i;
    }
    return count;
}

/* The last stretch that begins at or before t, or the first. */
static const struct stretch *stretch_at(const struct traj_session *s, const struct stretch *all,
                                        size_t count, double t)
{
    size_t low = 0, high = count;
    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;
        if (s->kin_t[all[middle].first] <= t + GRACE) {
            low = middle;
        } else {
            high = middle;
        }
    }
    return &all[low];
}

/* Position inside a stretch, held at its ends; `carry` continues with the last velocity instead. */
static void position_at(const struct traj_session *s, const struct stretch *w, double t, bool carry,
                        double *out)
{
    size_t low = w->first, high = w->last, dim = s->dim;
    const double *x = s->position;
    if (t >= s->kin_t[high]) {
        bool can = carry && high > low;
        double over = can ? (t - s->kin_t[high]) / (s->kin_t[high] - s->kin_t[high - 1]) : 0.0;
        for (size_t d = 0; d < dim; d++) {
            double step = can ? x[high * dim + d] - x[(high - 1) * dim + d] : 0.0;
            out[d] = x[high * dim + d] + over * step;
        }
        return;
    }
    if (t <= s->kin_t[low]) {
        memcpy(out, x + low * dim, dim * sizeof *out);
        return;
    }
    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;
        if (s->kin_t[middle] <= t) {
            low = middle;
        } else {
            high = middle;
        }
    }
    double share = (t - s->kin_t[low]) / (s->kin_t[high] - s->kin_t[low]);
    for (size_t d = 0; d < dim; d++) {
        out[d] = x[low * dim + d] + share * (x[high * dim + d] - x[low * dim + d]);
    }
}

/* Velocity of the truth at t, within the stretch of the bin that asks. */
static void velocity_at(const struct traj_session *s, const struct stretch *w, double t,
                        double *out)
{
    double before[TRAJ_DIM_MAX], after[TRAJ_DIM_MAX];
    position_at(s, w, t - VELOCITY_HALF, false, before);
    position_at(s, w, t + VELOCITY_HALF, false, after);
    for (size_t d = 0; d < s->dim; d++) {
        out[d] = (after[d] - before[d]) / (2.0 * VELOCITY_HALF);
    }
}

/* Whether a sample lies within GAP_S of t, which is no earlier than the stretch or before them all.
 */
static bool has_kinematics(const struct traj_session *s, const struct stretch *w, double t)
{
    const double *at = s->kin_t;
    if (t >= at[w->first] && t <= at[w->last] + GAP_S) {
        return true;
    }
    if (t < at[w->first]) {
        return at[w->first] - t <= GAP_S;
    }
    return w->last + 1 < s->samples && at[w->last + 1] - t <= GAP_S;
}

static size_t trial_of(const struct traj_session *s, double t)
{
    size_t low = 0, high = s->trials; /* the number of starts before t - GRACE */
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (s->start[middle] < t - GRACE) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    if (low == 0 || t > s->stop[low - 1] + 1e-6) {
        return (size_t)-1;
    }
    return low - 1;
}

void traj_truth_free(struct traj_truth *truth)
{
    if (truth) {
        free(truth->position);
        free(truth->velocity);
        free(truth->trial);
        free(truth->known);
        free(truth);
    }
}

struct traj_truth *traj_truth_new(const struct traj_session *s, struct traj_error *error)
{
    if (s->samples == 0 || s->bins == 0) {
        traj_error_set(error, "%s: scoring needs both /frames and /kinematics", s->path);
        return NULL;
    }
    struct stretch *all = calloc(s->samples, sizeof *all);
    struct traj_truth *truth = calloc(1, sizeof *truth);
    if (truth) {
        truth->bins = s->bins;
        truth->dim = s->dim;
        truth->position = calloc(s->bins * s->dim, sizeof *truth->position);
        truth->velocity = calloc(s->bins * s->dim, sizeof *truth->velocity);
        truth->trial = calloc(s->bins, sizeof *truth->trial);
        truth->known = calloc(s->bins, sizeof *truth->known);
    }
    if (!all || !truth || !truth->position || !truth->velocity || !truth->trial || !truth->known) {
        traj_error_set(error, "%s: not enough memory to score %zu bins", s->path, s->bins);
        free(all);
        traj_truth_free(truth);
        return NULL;
    }
    size_t stretches = find_stretches(s, all);
    for (size_t i = 0; i < s->bins; i++) {
        const struct stretch *w = stretch_at(s, all, stretches, s->t_end[i]);
        position_at(s, w, s->t_end[i], true, truth->position + i * s->dim);
        velocity_at(s, w, s->t_end[i], truth->velocity + i * s->dim);
        truth->trial[i] = trial_of(s, s->t_end[i]);
        truth->known[i] = has_kinematics(s, w, s->t_end[i]);
    }
    free(all);
    return truth;
}

void traj_decoded_free(struct traj_decoded *decoded)
{
    if (decoded) {
        free(decoded->position);
        free(decoded->position_cov);
        free(decoded->velocity);
        free(decoded->target_prob);
        free(decoded);
    }
}

static double *all_nan(size_t count)
{
    double *x = malloc((count ? count : 1) * sizeof *x);
    for (size_t i = 0; x && i < count; i++) {
        x[i] = NAN;
    }
    return x;
}

struct traj_decoded *traj_decoded_new(size_t bins, size_t dim, size_t targets)
{
    struct traj_decoded *decoded = calloc(1, sizeof *decoded);
    if (!decoded) {
        return NULL;
    }
    decoded->bins = bins;
    decoded->dim = dim;
    decoded->targets = targets;
    decoded->position = all_nan(bins * dim);
    decoded->position_cov = all_nan(bins * dim * dim);
    decoded->velocity = all_nan(bins * dim);
    decoded->target_prob = targets ? all_nan(bins * targets) : NULL;
    if (!decoded->position || !decoded->position_cov || !decoded->velocity ||
        (targets && !decoded->target_prob)) {
        traj_decoded_free(decoded);
        return NULL;
    }
    return decoded;
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Quantile with linear interpolation between order statistics; sorts x. */
static double quantile(double *x, size_t count, double q)
{
    if (count == 0) {
        return NAN;
    }
    qsort(x, count, sizeof *x, ascending);
    double at = q * (double)(count - 1);
    size_t low = (size_t)at;
    size_t high = low + 1 < count ? low + 1 : low;
    return x[low] + (at - (double)low) * (x[high] - x[low]);
}

static double norm(const double *x, size_t dim)
{
    double sum = 0.0;
    for (size_t d = 0; d < dim; d++) {
        sum += x[d] * x[d];
    }
    return sqrt(sum);
}

static void mean_of(const struct scoring *c, const double *x, double *mean)
{
    size_t dim = c->truth->dim, count = 0;
    memset(mean, 0, dim * sizeof *mean);
    for (size_t i = 0; i < c->truth->bins; i++) {
        if (c->keep[i]) {
            for (size_t d = 0; d < dim; d++) {
                mean[d] += x[i * dim + d];
            }
            count++;
        }
    }
    for (size_t d = 0; d < dim; d++) {
        mean[d] /= (double)count;
    }
}

static void score_position(const struct scoring *c, struct traj_score *score)
{
    size_t dim = c->truth->dim;
    double mean[TRAJ_DIM_MAX], error[TRAJ_DIM_MAX] = {0}, spread[TRAJ_DIM_MAX] = {0};
    mean_of(c, c->truth->position, mean);
    for (size_t i = 0; i < c->truth->bins; i++) {
        if (!c->keep[i]) {
            continue;
        }
        const double *said = c->decoded->position + i * dim;
        bool miss = !traj_finite_row(said, dim);
        score->frames++;
        score->missing += miss;
        for (size_t d = 0; d < dim; d++) {
            double x = c->truth->position[i * dim + d];
            double e = (miss ? mean[d] : said[d]) - x;
            error[d] += e * e;
            spread[d] += (x - mean[d]) * (x - mean[d]);
        }
    }
    double error_sum = 0.0, spread_sum = 0.0;
    for (size_t d = 0; d < dim; d++) {
        score->r2[d] = 1.0 - error[d] / spread[d];
        error_sum += error[d];
        spread_sum += spread[d];
    }
    score->rmse = sqrt(error_sum / (double)score->frames);
    score->mvaf = 1.0 - error_sum / spread_sum;
}

static void score_trials(const struct scoring *c, struct traj_score *score)
{
    size_t dim = c->truth->dim;
    double mean[TRAJ_DIM_MAX], sum = 0.0;
    mean_of(c, c->truth->position, mean);
    for (size_t i = 0; i < c->truth->bins;) {
        size_t trial = c->truth->trial[i], count = 0;
        double square = 0.0;
        for (; i < c->truth->bins && c->truth->trial[i] == trial; i++) {
            if (trial == (size_t)-1 || !c->keep[i]) {
                continue;
            }
            const double *said = c->decoded->position + i * dim;
            bool miss = !traj_finite_row(said, dim);
            for (size_t d = 0; d < dim; d++) {
                double e = (miss ? mean[d] : said[d]) - c->truth->position[i * dim + d];
                square += e * e;
            }
            count++;
        }
        if (count > 0) {
            sum += sqrt(square / (double)count);
            score->trials++;
        }
    }
    score->rmse_trial = score->trials ? sum / (double)score->trials : NAN;
}

/* Sum over kept bins of the squared distance between decoded velocity (0 where none) and the truth
 * `lag` s ago. */
static double velocity_misfit(const struct scoring *c, const struct stretch *all, size_t stretches,
                              double lag)
{
    size_t dim = c->truth->dim;
    double sum = 0.0, v[TRAJ_DIM_MAX];
    for (size_t i = 0; i < c->truth->bins; i++) {
        if (!c->keep[i]) {
            continue;
        }
        double t = c->session->t_end[i];
        velocity_at(c->session, stretch_at(c->session, all, stretches, t), t - lag, v);
        for (size_t d = 0; d < dim; d++) {
            double said = c->decoded->velocity[i * dim + d];
            double e = (isfinite(said) ? said : 0.0) - v[d];
            sum += e * e;
        }
    }
    return sum;
}

static int score_lag(const struct scoring *c, struct traj_score *score)
{
    struct stretch *all = calloc(c->session->samples, sizeof *all);
    if (!all) {
        return -1;
    }
    size_t stretches = find_stretches(c->session, all);
    double best = INFINITY;
    for (int ms = -200; ms <= 200; ms += 20) {
        double misfit = velocity_misfit(c, all, stretches, ms / 1000.0);
        if (misfit < best) {
            best = misfit;
            score->velocity_lag = ms;
        }
    }
    free(all);
    return 0;
}

static void score_velocity_angle(const struct scoring *c, double fast, struct traj_score *score)
{
    size_t dim = c->truth->dim, count = 0;
    for (size_t i = 0; i < c->truth->bins; i++) {
        const double *v = c->truth->velocity + i * dim;
        double speed = norm(v, dim), said[TRAJ_DIM_MAX], dot = 0.0;
        if (!c->keep[i] || speed <= 0.25 * fast) {
            continue;
        }
        for (size_t d = 0; d < dim; d++) {
            double u = c->decoded->velocity[i * dim + d];
            said[d] = isfinite(u) ? u : 0.0;
            dot += said[d] * v[d];
        }
        double cosine = dot / (norm(said, dim) * speed + 1e-12);
        cosine = cosine > 1.0 ? 1.0 : cosine < -1.0 ? -1.0 : cosine;
        c->scratch[count++] = acos(cosine) * 180.0 / 3.14159265358979323846;
    }
    score->velocity_angle = quantile(c->scratch, count, 0.5);
}

static int score_velocity(const struct scoring *c, struct traj_score *score)
{
    size_t dim = c->truth->dim, count = 0, idle = 0;
    bool any = false;
    double mean[TRAJ_DIM_MAX], error = 0.0, spread = 0.0, idle_sum = 0.0;
    mean_of(c, c->truth->velocity, mean);
    for (size_t i = 0; i < c->truth->bins; i++) {
        any = any || (c->keep[i] && traj_finite_row(c->decoded->velocity + i * dim, dim));
        if (c->keep[i]) {
            c->scratch[count++] = norm(c->truth->velocity + i * dim, dim);
        }
    }
    if (!any) {
        return 0;
    }
    double fast = quantile(c->scratch, count, 0.95);
    for (size_t i = 0; i < c->truth->bins; i++) {
        if (!c->keep[i]) {
            continue;
        }
        double square = 0.0;
        for (size_t d = 0; d < dim; d++) {
            double v = c->truth->velocity[i * dim + d], u = c->decoded->velocity[i * dim + d];
            u = isfinite(u) ? u : 0.0;
            square += u * u;
            error += (u - v) * (u - v);
            spread += (v - mean[d]) * (v - mean[d]);
        }
        if (norm(c->truth->velocity + i * dim, dim) < 0.05 * fast) {
            idle_sum += sqrt(square);
            idle++;
        }
    }
    score->velocity_mvaf = 1.0 - error / spread;
    score->idle_speed = idle ? 100.0 * idle_sum / (double)idle / fast : NAN;
    score_velocity_angle(c, fast, score);
    return score_lag(c, score);
}

double traj_mahalanobis(const double *e, const double *cov, size_t dim)
{
    double low[TRAJ_DIM_MAX][TRAJ_DIM_MAX], z[TRAJ_DIM_MAX], sum = 0.0;
    for (size_t i = 0; i < dim; i++) { /* Cholesky, and z = L^-1 e on the way */
        z[i] = e[i];
        for (size_t j = 0; j <= i; j++) {
            /* The mean of both halves, as a quadratic form takes them. */
            double x = 0.5 * (cov[i * dim + j] + cov[j * dim + i]) + (i == j ? 1e-9 : 0.0);
            for (size_t k = 0; k < j; k++) {
                x -= low[i][k] * low[j][k];
            }
            if (i == j && !(x > 0.0)) {
                return NAN;
            }
            low[i][j] = i == j ? sqrt(x) : x / low[j][j];
            z[i] -= j < i ? low[i][j] * z[j] : 0.0;
        }
        z[i] /= low[i][i];
        sum += z[i] * z[i];
    }
    return sum;
}

static void score_coverage(const struct scoring *c, struct traj_score *score)
{
    size_t count = 0, in50 = 0, in90 = 0, dim = c->truth->dim;
    double e[TRAJ_DIM_MAX];
    /* In two dimensions 1.3863 and 4.6052, to the digits of the reference scorer. */
    double q50 = dim == 2 ? 1.3863 : gsl_cdf_chisq_Pinv(0.5, (double)dim);
    double q90 = dim == 2 ? 4.6052 : gsl_cdf_chisq_Pinv(0.9, (double)dim);
    for (size_t i = 0; i < c->truth->bins; i++) {
        const double *said = c->decoded->position + dim * i;
        const double *cov = c->decoded->position_cov + dim * dim * i;
        if (!c->keep[i] || !traj_finite_row(said, dim) || !traj_finite_row(cov, dim * dim)) {
            continue;
        }
        for (size_t d = 0; d < dim; d++) {
            e[d] = c->truth->position[i * dim + d] - said[d];
        }
        double q = traj_mahalanobis(e, cov, dim);
        count++;
        in50 += q <= q50;
        in90 += q <= q90;
    }
    if (count) {
        score->coverage50 = (double)in50 / (double)count;
        score->coverage90 = (double)in90 / (double)count;
    }
}

static void choose_bins(const struct traj_session *s, const struct traj_truth *truth,
                        const struct traj_score_options *options, bool *keep)
{
    for (size_t i = 0; i < s->bins; i++) {
        if (options && options->keep) {
            keep[i] = options->keep[i];
        } else if (options && !isnan(options->from) && s->trials > 0) {
            size_t r = truth->trial[i];
            keep[i] = r != (size_t)-1 && s->t_end[i] - s->start[r] >= options->from - GRACE;
        } else {
            keep[i] = true;
        }
        keep[i] = keep[i] && truth->known[i];
    }
}

static void score_empty(struct traj_score *score)
{
    memset(score, 0, sizeof *score);
    score->rmse = score->mvaf = score->velocity_mvaf = score->velocity_angle = NAN;
    score->idle_speed = score->velocity_lag = score->rmse_trial = NAN;
    score->coverage50 = score->coverage90 = NAN;
    score->wrong_end = score->log_score = score->calibration = NAN;
    for (size_t k = 0; k < TRAJ_SCORE_TIMES; k++) {
        score->target[k] = NAN;
    }
}

int traj_score_bins(const struct traj_session *session, const struct traj_truth *truth,
                    const struct traj_decoded *decoded, const bool *keep, struct traj_score *score,
                    struct traj_error *error)
{
    score_empty(score);
    if (decoded->bins != session->bins || decoded->dim != session->dim) {
        return traj_error_set(
            error, "%s: %zu bins of %zu dimensions were decoded where the session has %zu of %zu",
            session->path, decoded->bins, decoded->dim, session->bins, session->dim);
    }
    bool any = false;
    for (size_t i = 0; i < truth->bins; i++) {
        any = any || keep[i];
        score->excluded += !truth->known[i];
    }
    if (!any) {
        return traj_error_set(error, "%s: no bin lies in the part that is to be scored",
                              session->path);
    }
    double *scratch = calloc(session->bins, sizeof *scratch);
    struct scoring c = {session, truth, decoded, keep, scratch};
    int result = scratch ? 0 : -1;
    if (result == 0) {
        score_position(&c, score);
        score_trials(&c, score);
        score_coverage(&c, score);
        traj_score_targets(&c, score);
        result = score_velocity(&c, score);
    }
    free(scratch);
    return result ? traj_error_set(error, "%s: not enough memory to score", session->path) : 0;
}

int traj_score(const struct traj_session *session, const struct traj_decoded *decoded,
               const struct traj_score_options *options, struct traj_score *score,
               struct traj_error *error)
{
    struct traj_truth *truth = traj_truth_new(session, error);
    if (!truth) {
        return -1;
    }
    bool *keep = calloc(session->bins, sizeof *keep);
    int result = -1;
    if (keep) {
        choose_bins(session, truth, options, keep);
        result = traj_score_bins(session, truth, decoded, keep, score, error);
    } else {
        traj_error_set(error, "%s: not enough memory to score", session->path);
    }
    free(keep);
    traj_truth_free(truth);
    return result;
}
