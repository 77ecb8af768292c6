/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Is it the unit of yesterday? */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/learn/adapt_parts.h"

#define SAME_PRIOR 0.7   /* of a unit, before the others have spoken */
#define SAME_WEIGHT 10.0 /* units that this counts for */
#define DRIFT_WEIGHT 1.0 /* units that each grade of drift has beforehand */
#define ROUNDS 20
#define SHIFT_WEIGHT 30.0 /* spikes beyond which a unit's ratio weighs no more */
#define SPREAD_MIN 0.1
#define SPREAD_MAX 0.5
#define SPREAD_DEFAULT 0.25

const double traj_drift[TRAJ_DRIFTS] = {0.05, 0.1, 0.2, 0.4};

size_t traj_adapt_slots(const struct traj_adapt *adapt)
{
    return (adapt->training ? adapt->training->folds : 0) + 1;
}

size_t traj_adapt_slot(const struct traj_adapt *adapt, size_t bin)
{
    size_t last = traj_adapt_slots(adapt) - 1;
    size_t fold = adapt->training ? adapt->training->fold[bin] : last;
    return fold < last ? fold : last;
}

void traj_adapt_tell(const struct traj_adapt *adapt, const char *stage, double share)
{
    if (adapt->options->progress)
        adapt->options->progress(adapt->options->progress_context, stage, share);
}

/* ---- one unit -------------------------------------------------------------------------------- */

int traj_heir_init(struct traj_heir *heir, size_t rows_max, size_t columns)
{
    *heir = (struct traj_heir){.columns = columns, .temper = 1};
    heir->base = calloc(rows_max + 1, sizeof *heir->base);
    for (size_t k = 0; k < columns; k++)
        heir->scale_other[k] = 1;
    if (heir->base && traj_unit_fit_init(&heir->same, rows_max, columns) == 0 &&
        traj_unit_fit_init(&heir->other, rows_max, columns) == 0)
        return 0;
    traj_heir_free(heir);
    return -1;
}

void traj_heir_free(struct traj_heir *heir)
{
    free(heir->base);
    heir->base = NULL;
    traj_unit_fit_free(&heir->same);
    traj_unit_fit_free(&heir->other);
}

static double log_sum(double a, double b)
{
    double most = fmax(a, b);
    return isinf(most) ? most : most + log(exp(a - most) + exp(b - most));
}

static int fit_same(struct traj_heir *heir, const struct traj_adapt *adapt,
                    const struct traj_heir_data *data, double drift)
{
    const struct traj_unit_data *rows = &data->same;
    size_t columns = rows->columns;
    for (size_t k = 0; k < columns; k++)
        heir->scale_same[k] = k + 1 < columns ? drift : heir->level_same;
    for (size_t i = 0; i < rows->rows; i++) {
        const double *row = rows->factor + i * columns;
        double variance = 0;
        heir->base[i] = data->base_same[i];
        if (rows->variance > 0)
            continue;
        for (size_t k = 0; k < columns; k++)
            variance += heir->scale_same[k] * heir->scale_same[k] * row[k] * row[k];
        heir->base[i] += adapt->shift - (heir->mean_rates ? variance / 2 : 0);
    }
    return traj_unit_fit_run(&heir->same, rows, heir->base, heir->scale_same);
}

int traj_heir_fit(struct traj_heir *heir, const struct traj_adapt *adapt,
                  const struct traj_heir_data *data)
{
    double sum = -INFINITY, best = -INFINITY;
    size_t chosen = 0;
    heir->probability = 0;
    heir->scale_other[heir->columns - 1] = heir->level_other;
    if (traj_unit_fit_run(&heir->other, &data->other, data->base_other, heir->scale_other))
        return -1;
    heir->evidence_other = heir->temper * (heir->other.evidence + data->offset_other);
    for (size_t g = 0; g < TRAJ_DRIFTS && data->base_same; g++) {
        if (fit_same(heir, adapt, data, traj_drift[g]))
            return -1;
        heir->evidence_same[g] = heir->temper * (heir->same.evidence + data->offset_same);
        double value = heir->evidence_same[g] + log(adapt->drift[g]);
        sum = log_sum(sum, value);
        if (value > best) {
            best = value;
            chosen = g;
        }
    }
    if (!data->base_same)
        return 0;
    double odds = log(adapt->prior / (1 - adapt->prior)) + sum - heir->evidence_other;
    heir->probability = odds > 0 ? 1 / (1 + exp(-odds)) : exp(odds) / (1 + exp(odds));
    return chosen + 1 == TRAJ_DRIFTS ? 0 : fit_same(heir, adapt, data, traj_drift[chosen]);
}

/* ---- all units ------------------------------------------------------------------------------- */

/* One unit's share in a round of expectation: of the grades of drift, and of being the same. */
static void expect(const struct traj_adapt *adapt, const double *same, double other, double *drift,
                   double *stay)
{
    double value[TRAJ_DRIFTS], sum = -INFINITY, all;
    for (size_t g = 0; g < TRAJ_DRIFTS; g++) {
        value[g] = log(adapt->prior) + log(adapt->drift[g]) + same[g];
        sum = log_sum(sum, value[g]);
    }
    all = log_sum(sum, log(1 - adapt->prior) + other);
    *stay += exp(sum - all);
    for (size_t g = 0; g < TRAJ_DRIFTS; g++)
        drift[g] += exp(value[g] - all);
}

void traj_adapt_settle(struct traj_adapt *adapt, const double *same, const double *other,
                       size_t units)
{
    for (int round = 0; round < ROUNDS; round++) {
        double stay = SAME_WEIGHT * SAME_PRIOR, count = SAME_WEIGHT, total = 0;
        double drift[TRAJ_DRIFTS];
        for (size_t g = 0; g < TRAJ_DRIFTS; g++)
            drift[g] = DRIFT_WEIGHT;
        for (size_t n = 0; n < units; n++)
            if (!isnan(other[n])) {
                expect(adapt, same + n * TRAJ_DRIFTS, other[n], drift, &stay);
                count++;
            }
        adapt->prior = fmin(stay / count, 0.99);
        for (size_t g = 0; g < TRAJ_DRIFTS; g++)
            total += drift[g];
        for (size_t g = 0; g < TRAJ_DRIFTS; g++)
            adapt->drift[g] = drift[g] / total;
    }
}

void traj_adapt_usual(struct traj_adapt *adapt)
{
    adapt->prior = SAME_PRIOR;
    adapt->shift = 0;
    adapt->spread = SPREAD_DEFAULT;
    for (size_t g = 0; g < TRAJ_DRIFTS; g++)
        adapt->drift[g] = 1.0 / TRAJ_DRIFTS;
}

struct ratio {
    double log, weight;
};

static int compare_ratios(const void *a, const void *b)
{
    const struct ratio *x = a, *y = b;
    return (x->log > y->log) - (x->log < y->log);
}

static double weighted_median(struct ratio *ratio, size_t count)
{
    double total = 0, sum = 0;
    qsort(ratio, count, sizeof *ratio, compare_ratios);
    for (size_t i = 0; i < count; i++)
        total += ratio[i].weight;
    for (size_t i = 0; i < count; i++) {
        sum += ratio[i].weight;
        if (sum >= total / 2)
            return ratio[i].log;
    }
    return 0;
}

void traj_adapt_shift(struct traj_adapt *adapt, const double *spikes, const double *expected,
                      size_t units)
{
    struct ratio *ratio = calloc(units + 1, sizeof *ratio);
    size_t count = 0;
    double noise = 0, total = 0;
    adapt->shift = 0;
    adapt->spread = SPREAD_DEFAULT;
    for (size_t n = 0; ratio && n < units; n++) {
        if (!(expected[n] > 1))
            continue;
        double weight = fmin(expected[n], SHIFT_WEIGHT);
        ratio[count++] = (struct ratio){log((spikes[n] + 0.5) / (expected[n] + 0.5)), weight};
        noise += weight / expected[n];
        total += weight;
    }
    if (count >= 5) {
        adapt->shift = weighted_median(ratio, count);
        for (size_t i = 0; i < count; i++)
            ratio[i].log = fabs(ratio[i].log - adapt->shift);
        double off = 1.4826 * weighted_median(ratio, count);
        off = sqrt(fmax(off * off - noise / total, 0));
        adapt->spread = fmin(fmax(off, SPREAD_MIN), SPREAD_MAX);
    }
    free(ratio);
}
