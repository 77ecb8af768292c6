/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The passes of the filter over courses over all of its states that have probability
 * (course_filter.h).  Like kernel.h each is compiled twice, for any x86-64 and for wide registers,
 * from one source that writes out the order of operations; both give the same bits
 * (tests/unit/test_course_kernel.c).
 */
#ifndef TRAJ_MODEL_COURSE_KERNEL_H
#define TRAJ_MODEL_COURSE_KERNEL_H

#include <stdbool.h>
#include <stddef.h>

struct traj_course_filter;
struct traj_plane;

struct traj_course_kernels {
    /* next <- T' (prob, row) of the states now; what it reaches is marked. */
    void (*transition)(struct traj_course_filter *filter, const double *link_prob);
    /*
     * The marked states of next become those ahead, in order, and next is 0 again.  Their rows get
     * what is owed, and what a frame of length dt adds to residuals and curvatures whatever is
     * counted in it.
     */
    void (*gather)(struct traj_course_filter *filter, double dt);
    /* H of each state ahead is factored. */
    void (*factor)(struct traj_course_filter *filter);
    /* likely and evidence of each state ahead, from the nodes' log likelihood and G'y. */
    void (*observe)(struct traj_course_filter *filter, const double *counts);
    /*
     * The states ahead become those now: prob <- normalise(prob exp(temper likely)), weight <-
     * normalise(prob exp(temper evidence)), with gains; where the recent past weighs states,
     * evidence is its factor's logarithm, on both.  Those that weigh nothing are dropped.
     * *log_evidence is log of sum prob exp(likely).  False where no state is possible, or
     * something is not a number.
     */
    bool (*weigh)(struct traj_course_filter *filter, double *log_evidence);
    /* Moments in a plane: see traj_course_filter_moments. */
    void (*plane)(const struct traj_course_filter *filter, struct traj_plane *plane);
};

/* The faster ones that this processor can run, and those for any. */
const struct traj_course_kernels *traj_course_kernels_choose(void);
const struct traj_course_kernels *traj_course_kernels_plain(void);

#endif
