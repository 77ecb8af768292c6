/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What the filter over courses looks up: what never changes of the states, and the tables over
 * nodes for the channels that are observed now, from which a frame's l is summed (course_filter.h).
 */
#ifndef TRAJ_MODEL_COURSE_TABLES_H
#define TRAJ_MODEL_COURSE_TABLES_H

#include "daemon/model/course_filter.h"

/* Once, after the arrays are laid out and zero, observed[C] is 1 throughout, and add_rows is
 * chosen: the states, and the rates or means of all channels. */
void traj_course_tables_make(struct traj_course_filter *filter);

/* Tables for the channels that are observed[C]; what was observed before has no part in them.
 * False where the noise over them is not positive definite, which fewer channels never make it. */
bool traj_course_tables_follow(struct traj_course_filter *filter);

/* The rows whose sum, less the offset, is l of every node for the values seen[C] of the channels
 * observed (0 where they are not) in a frame of length dt; they stand in row_of and value_of until
 * these are used again.  What l lacks of log p(frame | node), which is the frame's alone, is left
 * in frame_alone. */
struct traj_rows traj_course_tables_weigh(struct traj_course_filter *filter, double dt);

#endif
