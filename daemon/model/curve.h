/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Piecewise linear functions of one number (struct traj_curve). */
#ifndef TRAJ_MODEL_CURVE_H
#define TRAJ_MODEL_CURVE_H

#include "traj/model.h"

/* The curve at x; constant beyond its first and last knot, that of the first for NaN. */
double traj_curve_value(const struct traj_curve *curve, double x);

#endif
