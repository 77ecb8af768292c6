/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Linear dynamics whose mean follows the mean course of a reach, the other way to fit a target's
 * component (dynamics.h regresses pairs).  A regression of one bin on the bin before pushes the
 * hand off at once, through the whole reaction time, because no linear rule can tell rest before a
 * reach from rest after it.  But a few damped modes with a free first state can follow the course
 * as a whole: per axis
 *     p_t = e + (M^(t-1) x_1)_p
 * with one M of order 2 or 3 for all axes and targets, its integrating rows as always and its last
 * row given by its poles; e is where the courses end.  Poles minimise the squared distance to the
 * pooled mean course, first states to each target's own mean course, drawn towards the pooled one
 * turned and scaled.  Noise enters the highest derivative alone, with the covariance over axes that
 * makes positions spread about the mean course as they did.  Internal to this room.
 */
#ifndef TRAJ_LEARN_COURSES_H
#define TRAJ_LEARN_COURSES_H

#include "daemon/learn/dynamics.h"
#include "daemon/learn/speeds.h"

struct traj_courses;

/* What is common to all targets. */
struct traj_course_shape {
    double pole[3]; /* decay of the real mode, frequency and damping of the pair, 1/s, 1/s, 1 */
    double row[3];  /* last row of M */
    double spread;  /* mean position variance per unit of noise variance */
    double misfit;  /* root mean square of fitted minus mean course, in reach lengths */
};

/*
 * delays > 1: reaction times differ so much that each target gets as many components, which wait
 * for the quantiles of the reaction time; trials are then laid over each other by their onset.
 */
/*
 * speeds (borrowed while it is called; or NULL):
 * trials are resampled from their onset on to the speed s = 0, so that all take the same time;
 * every component then waits for its reaction time, the first as well.
 */
struct traj_courses *traj_courses_new(const struct traj_training *training, size_t state,
                                      double plan_end, size_t delays,
                                      const struct traj_speeds *speeds, struct traj_error *error);

/* Bins that component l of a target waits, rising from 0 or, with speeds, the first quantile. */
size_t traj_courses_delay(const struct traj_courses *courses, size_t l);
void traj_courses_free(struct traj_courses *courses);

/* Fits the shape on all folds but `without`; -1 where no trial with a known target trains. */
int traj_courses_shape(struct traj_courses *courses, unsigned without,
                       struct traj_course_shape *shape);

/* The largest s at which the shape, its clock at e^s, still comes to rest. */
double traj_course_shape_limit(const struct traj_course_shape *shape, size_t order, double bin);

/* One target's component; shrinkage in trials. */
void traj_courses_target(struct traj_courses *courses, const struct traj_course_shape *shape,
                         double shrinkage, unsigned without, size_t target,
                         const struct traj_dynamics_part *part);

#endif
