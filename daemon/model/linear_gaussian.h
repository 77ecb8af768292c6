/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The linear-Gaussian trajectory model as a component (Yu et al. 2007):
 *     x_1 ~ N(pi, V),  x_t ~ N(A x_{t-1} + b, Q),  counts and features as in observe.h
 * filtered with a Gaussian approximation of each posterior (laplace.h).
 */
#ifndef TRAJ_MODEL_LINEAR_GAUSSIAN_H
#define TRAJ_MODEL_LINEAR_GAUSSIAN_H

#include "daemon/model/component.h"

extern const struct traj_component_table traj_linear_gaussian;

#endif
