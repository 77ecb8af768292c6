/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "clients/evaluate/resample.h"

#include <gsl/gsl_rng.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define FLIPS 20000
#define EXACT 16       /* up to so many differences every assignment of signs is tried */
#define LEAST 1e-9     /* a smaller probability counts as this in the log score */
#define ROUNDING 1e-12 /* relative: sums of the same numbers in another order are equal */

/* ---- sums ------------------------------------------------------------------------------------ */

static void means(const struct traj_truth *truth, const bool *keep, double *position,
                  double *velocity)
{
    double count = 0.0;
    memset(position, 0, truth->dim * sizeof *position);
    memset(velocity, 0, truth->dim * sizeof *velocity);
    for (size_t i = 0; i < truth->bins; i++) {
        for (size_t d = 0; keep[i] && d < truth->dim; d++) {
            position[d] += truth->position[i * truth->dim + d];
            velocity[d] += truth->velocity[i * truth->dim + d];
        }
        count += keep[i];
    }
    for (size_t d = 0; d < truth->dim; d++) {
        position[d] /= count > 0.0 ? count : 1.0;
        velocity[d] /= count > 0.0 ? count : 1.0;
    }
}

/* Squared distances of a bin: of what was said (or of `instead`) and of the mean from the truth. */
static void add_square(const double *said, const double *instead, const double *truth,
                       const double *mean, size_t dim, double *square, double *spread)
{
    bool whole = true;
    for (size_t d = 0; d < dim; d++) {
        whole = whole && isfinite(said[d]);
    }
    for (size_t d = 0; d < dim; d++) {
        double e = (whole ? said[d] : instead ? instead[d] : 0.0) - truth[d];
        *square += e * e;
        *spread += (truth[d] - mean[d]) * (truth[d] - mean[d]);
    }
}

int traj_group_sums_init(struct traj_group_sums *t, const struct traj_session *s,
                         const struct traj_truth *truth, const struct traj_decoded *decoded,
                         const bool *keep, const size_t *group, size_t groups)
{
    size_t dim = truth->dim, targets = decoded->targets;
    double position[TRAJ_DIM_MAX], velocity[TRAJ_DIM_MAX];
    memset(t, 0, sizeof *t);
    t->groups = groups;
    t->sum = calloc(groups ? groups : 1, sizeof *t->sum);
    if (!t->sum) {
        return -1;
    }
    means(truth, keep, position, velocity);
    for (size_t i = 0; i < s->bins; i++) {
        if (!keep[i] || group[i] >= groups) {
            continue;
        }
        double *sum = t->sum[group[i]];
        const double *v = decoded->velocity + i * dim;
        sum[TRAJ_SUM_BINS] += 1.0;
        add_square(decoded->position + i * dim, position, truth->position + i * dim, position, dim,
                   &sum[TRAJ_SUM_SQUARE], &sum[TRAJ_SUM_SPREAD]);
        add_square(v, NULL, truth->velocity + i * dim, velocity, dim,
                   &sum[TRAJ_SUM_VELOCITY_SQUARE], &sum[TRAJ_SUM_VELOCITY_SPREAD]);
        t->velocity = t->velocity || isfinite(v[0]);
        size_t r = truth->trial[i];
        if (!s->target || r == (size_t)-1 || s->target[r] < 0 || (size_t)s->target[r] >= targets) {
            continue;
        }
        double p = decoded->target_prob[i * targets + (size_t)s->target[r]];
        if (isfinite(p)) {
            sum[TRAJ_SUM_LOG] += log(p > LEAST ? p : LEAST);
            sum[TRAJ_SUM_LOG_BINS] += 1.0;
        }
    }
    return 0;
}

void traj_group_sums_free(struct traj_group_sums *t)
{
    free(t->sum);
    memset(t, 0, sizeof *t);
}

/* ---- bootstrap ------------------------------------------------------------------------------- */

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* 95 % percentile interval of finite values; sorts them. */
static void interval(double *value, size_t count, struct traj_measure *out)
{
    size_t n = 0;
    for (size_t i = 0; i < count; i++) {
        if (isfinite(value[i])) {
            value[n++] = value[i];
        }
    }
    out->low = out->high = out->value;
    if (n > 0) {
        qsort(value, n, sizeof *value, ascending);
        out->low = value[(size_t)(0.025 * (double)(n - 1))];
        out->high = value[(size_t)(0.975 * (double)(n - 1) + 0.5)];
    }
}

/* How often each of the live groups is drawn; the groups that no draw has scored are never. */
struct drawer {
    gsl_rng *rng;
    size_t groups, live;
    size_t *which; /* [live] */
    double *times; /* [groups] */
};

static int drawer_init(struct drawer *d, const struct traj_group_sums *const *draw, size_t draws)
{
    d->groups = draw[0]->groups;
    d->live = 0;
    d->rng = gsl_rng_alloc(gsl_rng_mt19937);
    d->which = malloc((d->groups + 1) * sizeof *d->which);
    d->times = calloc(d->groups + 1, sizeof *d->times);
    for (size_t g = 0; d->which && g < d->groups; g++) {
        bool live = false;
        for (size_t i = 0; i < draws; i++) {
            live = live || draw[i]->sum[g][TRAJ_SUM_BINS] > 0.0;
        }
        if (live) {
            d->which[d->live++] = g;
        }
    }
    return d->rng && d->which && d->times ? 0 : -1;
}

static void drawer_free(struct drawer *d)
{
    gsl_rng_free(d->rng);
    free(d->which);
    free(d->times);
}

/* Every live group once, or as many as there are with replacement. */
static void draw_groups(struct drawer *d, bool all)
{
    memset(d->times, 0, d->groups * sizeof *d->times);
    for (size_t i = 0; i < d->live; i++) {
        size_t pick = all ? i : gsl_rng_uniform_int(d->rng, (unsigned long)d->live);
        d->times[d->which[pick]] += 1.0;
    }
}

static double group_rmse(const double *sum, enum traj_sum square)
{
    return sqrt(sum[square] / sum[TRAJ_SUM_BINS]);
}

/* The statistics of one draw with groups counted so many times. */
static void statistics(const struct traj_group_sums *t, const double *times, double out[TRAJ_STATS])
{
    double total[TRAJ_SUMS] = {0}, own = 0.0, groups = 0.0;
    for (size_t g = 0; g < t->groups; g++) {
        const double *sum = t->sum[g];
        if (times[g] == 0.0 || sum[TRAJ_SUM_BINS] == 0.0) {
            continue;
        }
        for (size_t k = 0; k < TRAJ_SUMS; k++) {
            total[k] += times[g] * sum[k];
        }
        own += times[g] * group_rmse(sum, TRAJ_SUM_SQUARE);
        groups += times[g];
    }
    out[TRAJ_STAT_RMSE] = group_rmse(total, TRAJ_SUM_SQUARE);
    out[TRAJ_STAT_RMSE_GROUP] = own / groups;
    out[TRAJ_STAT_MVAF] = 1.0 - total[TRAJ_SUM_SQUARE] / total[TRAJ_SUM_SPREAD];
    out[TRAJ_STAT_VELOCITY_MVAF] =
        t->velocity ? 1.0 - total[TRAJ_SUM_VELOCITY_SQUARE] / total[TRAJ_SUM_VELOCITY_SPREAD] : NAN;
    out[TRAJ_STAT_LOG_SCORE] = total[TRAJ_SUM_LOG] / total[TRAJ_SUM_LOG_BINS];
}

static void mean_statistics(const struct traj_group_sums *const *draw, size_t draws,
                            const double *times, double out[TRAJ_STATS])
{
    double one[TRAJ_STATS], count[TRAJ_STATS] = {0};
    memset(out, 0, TRAJ_STATS * sizeof *out);
    for (size_t i = 0; i < draws; i++) {
        statistics(draw[i], times, one);
        for (size_t k = 0; k < TRAJ_STATS; k++) {
            out[k] += isfinite(one[k]) ? one[k] : 0.0;
            count[k] += isfinite(one[k]);
        }
    }
    for (size_t k = 0; k < TRAJ_STATS; k++) {
        out[k] = count[k] > 0.0 ? out[k] / count[k] : NAN;
    }
}

int traj_bootstrap(const struct traj_group_sums *const *draw, size_t draws, size_t resamples,
                   struct traj_measure out[TRAJ_STATS])
{
    struct drawer d = {0};
    double *value = malloc((resamples + 1) * TRAJ_STATS * sizeof *value), one[TRAJ_STATS];
    int result = drawer_init(&d, draw, draws) || !value ? -1 : 0;
    if (result == 0) {
        draw_groups(&d, true);
        mean_statistics(draw, draws, d.times, one);
        for (size_t k = 0; k < TRAJ_STATS; k++) {
            out[k].value = one[k];
        }
        for (size_t i = 0; i < resamples; i++) {
            draw_groups(&d, false);
            mean_statistics(draw, draws, d.times, one);
            for (size_t k = 0; k < TRAJ_STATS; k++) {
                value[k * resamples + i] = one[k];
            }
        }
        for (size_t k = 0; k < TRAJ_STATS; k++) {
            interval(value + k * resamples, resamples, &out[k]);
        }
    }
    drawer_free(&d);
    free(value);
    return result;
}

/* ---- pairs ----------------------------------------------------------------------------------- */

/* Whether a sum of differences with these signs is at least as far from 0 as the observed one. */
static bool as_far(double sum, double observed)
{
    return fabs(sum) >= fabs(observed) * (1.0 - ROUNDING);
}

static double exact_flip(const double *difference, size_t count, double observed)
{
    size_t all = (size_t)1 << count, far = 0;
    for (size_t signs = 0; signs < all; signs++) {
        double sum = 0.0;
        for (size_t i = 0; i < count; i++) {
            sum += signs >> i & 1 ? -difference[i] : difference[i];
        }
        far += as_far(sum, observed);
    }
    return (double)far / (double)all;
}

double traj_sign_flip(const double *difference, size_t count)
{
    double observed = 0.0;
    for (size_t i = 0; i < count; i++) {
        observed += difference[i];
    }
    if (count == 0) {
        return NAN;
    }
    if (count <= EXACT) {
        return exact_flip(difference, count, observed);
    }
    gsl_rng *rng = gsl_rng_alloc(gsl_rng_mt19937);
    size_t far = 1;
    for (size_t f = 0; rng && f < FLIPS; f++) {
        double sum = 0.0;
        unsigned long bits = 0;
        for (size_t i = 0; i < count; i++) {
            if (i % 32 == 0) {
                bits = gsl_rng_get(rng);
            }
            sum += bits >> (i % 32) & 1 ? -difference[i] : difference[i];
        }
        far += as_far(sum, observed);
    }
    double p = rng ? (double)far / (double)(FLIPS + 1) : NAN;
    gsl_rng_free(rng);
    return p;
}

/* A group's value in one draw: rmse of position or velocity, or mean log score; NaN if none. */
static double group_value(const struct traj_group_sums *t, size_t g, enum traj_paired_of of)
{
    const double *sum = t->sum[g];
    switch (of) {
    case TRAJ_PAIRED_POSITION:
        return group_rmse(sum, TRAJ_SUM_SQUARE);
    case TRAJ_PAIRED_VELOCITY:
        return t->velocity ? group_rmse(sum, TRAJ_SUM_VELOCITY_SQUARE) : NAN;
    default:
        return sum[TRAJ_SUM_LOG] / sum[TRAJ_SUM_LOG_BINS];
    }
}

/* Differences of the groups that both have, averaged over draws; returns how many. */
static size_t differences(const struct traj_group_sums *const *a,
                          const struct traj_group_sums *const *b, size_t draws,
                          enum traj_paired_of of, double *out)
{
    size_t count = 0;
    for (size_t g = 0; g < a[0]->groups; g++) {
        double sum = 0.0, n = 0.0;
        for (size_t i = 0; i < draws; i++) {
            double d = group_value(a[i], g, of) - group_value(b[i], g, of);
            sum += isfinite(d) ? d : 0.0;
            n += isfinite(d);
        }
        if (n > 0.0) {
            out[count++] = sum / n;
        }
    }
    return count;
}

static double total_rmse(const struct traj_group_sums *t, const double *times, enum traj_sum square)
{
    double sum = 0.0, bins = 0.0;
    for (size_t g = 0; g < t->groups; g++) {
        sum += times[g] * t->sum[g][square];
        bins += times[g] * t->sum[g][TRAJ_SUM_BINS];
    }
    return sqrt(sum / bins);
}

static double mean_rmse(const struct traj_group_sums *const *draw, size_t draws,
                        const double *times, enum traj_sum square)
{
    double sum = 0.0, n = 0.0;
    for (size_t i = 0; i < draws; i++) {
        double x = total_rmse(draw[i], times, square);
        sum += isfinite(x) ? x : 0.0;
        n += isfinite(x);
    }
    return sum / n;
}

static int ratio_of(const struct traj_group_sums *const *a, const struct traj_group_sums *const *b,
                    size_t draws, enum traj_sum square, size_t resamples, struct traj_measure *out)
{
    struct drawer d = {0};
    double *value = malloc((resamples + 1) * sizeof *value);
    int result = drawer_init(&d, a, draws) || !value ? -1 : 0;
    for (size_t i = 0; result == 0 && i <= resamples; i++) {
        draw_groups(&d, i == 0);
        double ratio = mean_rmse(a, draws, d.times, square) / mean_rmse(b, draws, d.times, square);
        if (i == 0) {
            out->value = ratio;
        } else {
            value[i - 1] = ratio;
        }
    }
    if (result == 0) {
        interval(value, resamples, out);
    }
    drawer_free(&d);
    free(value);
    return result;
}

/* Interval of the mean of differences. */
static int difference_of(const double *difference, size_t count, size_t resamples,
                         struct traj_measure *out)
{
    double *value = malloc((resamples + 1) * sizeof *value);
    gsl_rng *rng = gsl_rng_alloc(gsl_rng_mt19937);
    int result = value && rng ? 0 : -1;
    for (size_t r = 0; result == 0 && r <= resamples; r++) {
        double sum = 0.0;
        for (size_t i = 0; i < count; i++) {
            sum += difference[r == 0 ? i : gsl_rng_uniform_int(rng, (unsigned long)count)];
        }
        if (r == 0) {
            out->value = sum / (double)count;
        } else {
            value[r - 1] = sum / (double)count;
        }
    }
    if (result == 0) {
        interval(value, resamples, out);
    }
    free(value);
    gsl_rng_free(rng);
    return result;
}

static int compare_one(const struct traj_group_sums *const *a,
                       const struct traj_group_sums *const *b, size_t draws, enum traj_paired_of of,
                       size_t resamples, struct traj_paired *out)
{
    double *difference = malloc((a[0]->groups + 1) * sizeof *difference);
    if (!difference) {
        return -1;
    }
    size_t count = differences(a, b, draws, of, difference), better = 0;
    int result = 0;
    for (size_t i = 0; i < count; i++) {
        better += of == TRAJ_PAIRED_LOG ? difference[i] > 0.0 : difference[i] < 0.0;
    }
    out->groups = count;
    if (count > 0) {
        out->better = (double)better / (double)count;
        out->p = traj_sign_flip(difference, count);
        result = difference_of(difference, count, resamples, &out->difference);
    }
    if (result == 0 && count > 0 && of != TRAJ_PAIRED_LOG) {
        result = ratio_of(a, b, draws,
                          of == TRAJ_PAIRED_POSITION ? TRAJ_SUM_SQUARE : TRAJ_SUM_VELOCITY_SQUARE,
                          resamples, &out->ratio);
    }
    free(difference);
    return result;
}

int traj_compare(const struct traj_group_sums *const *a, const struct traj_group_sums *const *b,
                 size_t draws, size_t resamples, struct traj_paired out[TRAJ_PAIRED])
{
    const struct traj_measure none = {NAN, NAN, NAN};
    int result = 0;
    for (size_t k = 0; result == 0 && k < TRAJ_PAIRED; k++) {
        out[k] = (struct traj_paired){0, none, none, NAN, NAN};
        result = compare_one(a, b, draws, (enum traj_paired_of)k, resamples, &out[k]);
    }
    return result;
}
