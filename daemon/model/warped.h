/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The time-warped trajectory model as a component (Corbett, Perreault, Koerding 2010): a course
 * that is run through faster or slower.  The state is (x, s), s the logarithm of the speed of the
 * component's clock.  With A, b, Q, pi, V the linear-Gaussian model of the course at s = 0, and
 * D(s) = diag(1, e^s, e^2s) over position, velocity and acceleration,
 *     x_1 | s        ~ N(D pi, D V D),                                  s_1 ~ N(mean, variance)
 *     x_t | x_{t-1}, s ~ N(x + e^s D ((A - I) D^-1 x + b), e^s D Q D),  s_t ~ N(s_{t-1}, walk)
 * linearised jointly in (x, s) about the mean, as an extended Kalman filter does.  Where an
 * update takes |s| beyond `limit`, the mean is the one given s at the limit: a linearisation far
 * off would lead anywhere.
 *
 * Observations depend on x alone: the update of (x, s) is that of x (laplace.h), and s follows
 * through its regression on x, exactly what the joint update would give.
 */
#ifndef TRAJ_MODEL_WARPED_H
#define TRAJ_MODEL_WARPED_H

#include "daemon/model/component.h"

extern const struct traj_component_table traj_warped;

/* What a component of this family believes about s, for tests and analysis. */
void traj_warped_speed(const void *self, double *mean, double *variance);

#endif
