/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Factors on covariances by which the regions that they state hold what they say: the 50 % and the
 * 90 % region alike, at every size of the covariance.  Internal to this room.
 */
#ifndef TRAJ_LEARN_REGIONS_H
#define TRAJ_LEARN_REGIONS_H

#include <stddef.h>

#include "traj/model.h"

/*
 * distance[count] are squared Mahalanobis distances of the truth in dim dimensions, those that are
 * not finite are passed over; weight[count] >= 0, NULL = all alike.  Returns the log of the factor
 * at which the 50 % and the 90 % region miss by the same number of their tolerances, on opposite
 * sides: tails are heavier than a Gaussian's, and no factor serves both regions exactly.  0 where
 * nothing is finite.
 */
double traj_regions_balance(const double *distance, const double *weight, size_t count, size_t dim);

/* Shares inside the 50 % and the 90 % region. */
void traj_regions_coverage(const double *distance, size_t count, size_t dim, double coverage[2]);

/*
 * Fits log factors over x[count] (knots at its quantiles), each drawn towards their mean as if that
 * had been seen in TRAJ_REGIONS_PRIOR trials; `trials` are the independent pieces that the count
 * stands for.  The curve is relative: it takes nothing from the overall factor, which
 * traj_regions_balance finds after traj_regions_apply.
 */
#define TRAJ_REGIONS_PRIOR 8.0
void traj_regions_fit(const double *x, const double *distance, size_t count, size_t dim,
                      double trials, struct traj_curve *curve);

/* Divides the distances by exp(curve(x)). */
void traj_regions_apply(const struct traj_curve *curve, const double *x, double *distance,
                        size_t count);

#endif
