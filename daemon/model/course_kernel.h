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
    /* next <- T' (prob, row); what it reaches is marked. */
    void (*transition)(struct traj_course_filter *filter, const double *link_prob);
    /*
     * The marked states of next become the active ones, in order, and next is 0 again.  Where add
     * is given, [width], a frame's residuals and curvatures are added: add + dt times the nodes'
     * own, and likely becomes the log likelihood of each.
     */
    void (*gather)(struct traj_course_filter *filter, const double *add, double dt);
    /* evidence <- what the gains say of each active state. */
    void (*gains)(struct traj_course_filter *filter);
    /* prob <- normalise(prob exp(temper likely)); log of sum prob exp(likely), NaN where nothing
     * is left. */
    double (*condition)(struct traj_course_filter *filter);
    /* weight <- normalise(prob exp(temper evidence)); states that weigh nothing are dropped.  False
     * where nothing is left. */
    bool (*weigh)(struct traj_course_filter *filter);
    /* Moments in a plane: see traj_course_filter_moments. */
    void (*plane)(const struct traj_course_filter *filter, struct traj_plane *plane);
};

/* The faster ones that this processor can run, and those for any. */
const struct traj_course_kernels *traj_course_kernels_choose(void);
const struct traj_course_kernels *traj_course_kernels_plain(void);

#endif
