/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Factors on covariances; see regions.h. */
#include "daemon/learn/regions.h"

#include <gsl/gsl_cdf.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/model/curve.h"

/* Regions that must hold what they say, and how far each may miss. */
static const double level[2] = {0.5, 0.9};
static const double tolerance[2] = {0.05, 0.04};

#define LOG_FACTOR_MAX 12.0
#define HALVINGS 40
#define KNOTS_APART 0.1 /* least distance of two knots */

static void limits_of(size_t dim, double limit[2])
{
    for (size_t i = 0; i < 2; i++)
        limit[i] = gsl_cdf_chisq_Pinv(level[i], (double)dim);
}

/* Sum over the regions of by how many tolerances more than stated lies inside. */
static double surplus(const double *distance, const double *weight, size_t count,
                      const double limit[2], double factor)
{
    double inside[2] = {0, 0}, total = 0;
    for (size_t i = 0; i < count; i++) {
        if (!isfinite(distance[i]))
            continue;
        double w = weight ? weight[i] : 1;
        total += w;
        for (size_t r = 0; r < 2; r++)
            if (distance[i] <= limit[r] * factor)
                inside[r] += w;
    }
    if (!(total > 0))
        return 0;
    return (inside[0] / total - level[0]) / tolerance[0] +
           (inside[1] / total - level[1]) / tolerance[1];
}

double traj_regions_balance(const double *distance, const double *weight, size_t count, size_t dim)
{
    double limit[2], low = -LOG_FACTOR_MAX, high = LOG_FACTOR_MAX;
    limits_of(dim, limit);
    if (surplus(distance, weight, count, limit, 0) == 0)
        return 0; /* nothing is finite */
    for (int i = 0; i < HALVINGS; i++) {
        double middle = (low + high) / 2;
        if (surplus(distance, weight, count, limit, exp(middle)) < 0)
            low = middle;
        else
            high = middle;
    }
    return high;
}

void traj_regions_coverage(const double *distance, size_t count, size_t dim, double coverage[2])
{
    double limit[2], finite = 0, inside[2] = {0, 0};
    limits_of(dim, limit);
    for (size_t i = 0; i < count; i++) {
        finite += isfinite(distance[i]);
        for (size_t r = 0; r < 2; r++)
            inside[r] += distance[i] <= limit[r];
    }
    for (size_t r = 0; r < 2; r++)
        coverage[r] = finite > 0 ? inside[r] / finite : (double)NAN;
}

static int compare(const void *a, const void *b)
{
    double x, y;
    memcpy(&x, a, sizeof x);
    memcpy(&y, b, sizeof y);
    return (x > y) - (x < y);
}

/* Knots at the middle quantiles of x, those that nearly meet left out; returns how many. */
static size_t place_knots(const double *x, size_t count, double *sorted, double *at)
{
    size_t finite = 0, knots = 0;
    for (size_t i = 0; i < count; i++)
        if (isfinite(x[i]))
            sorted[finite++] = x[i];
    qsort(sorted, finite, sizeof *sorted, compare);
    for (size_t k = 0; k < TRAJ_CURVE_KNOTS && finite > 0; k++) {
        double share = ((double)k + 0.5) / TRAJ_CURVE_KNOTS;
        double candidate = sorted[(size_t)(share * (double)(finite - 1))];
        if (knots == 0 || candidate > at[knots - 1] + KNOTS_APART)
            at[knots++] = candidate;
    }
    return knots;
}

/* How much knot k says about x: the tent between its neighbours. */
static double tent(const double *at, size_t knots, size_t k, double x)
{
    if (x <= at[k])
        return k == 0 ? 1 : !(x > at[k - 1]) ? 0 : (x - at[k - 1]) / (at[k] - at[k - 1]);
    return k + 1 == knots ? 1 : !(x < at[k + 1]) ? 0 : (at[k + 1] - x) / (at[k + 1] - at[k]);
}

void traj_regions_fit(const double *x, const double *distance, size_t count, size_t dim,
                      double trials, struct traj_curve *curve)
{
    double *weight = malloc((count + 1) * sizeof *weight);
    memset(curve, 0, sizeof *curve);
    size_t knots = weight ? place_knots(x, count, weight, curve->at) : 0;
    double overall = knots > 1 ? traj_regions_balance(distance, NULL, count, dim) : 0;
    for (size_t k = 0; k < knots && knots > 1; k++) {
        double share = 0;
        for (size_t i = 0; i < count; i++)
            share += weight[i] = isnan(x[i]) ? 0 : tent(curve->at, knots, k, x[i]);
        double seen = trials * share / (double)count;
        double own = traj_regions_balance(distance, weight, count, dim) - overall;
        curve->value[k] = own * seen / (seen + TRAJ_REGIONS_PRIOR);
    }
    /* The knots that are left stand on the last. */
    for (size_t k = knots > 0 ? knots : 1; k < TRAJ_CURVE_KNOTS; k++) {
        curve->at[k] = curve->at[k - 1];
        curve->value[k] = curve->value[k - 1];
    }
    free(weight);
}

void traj_regions_apply(const struct traj_curve *curve, const double *x, double *distance,
                        size_t count)
{
    for (size_t i = 0; i < count; i++)
        distance[i] *= exp(-traj_curve_value(curve, x[i]));
}
