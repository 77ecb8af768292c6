/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * When the next frame will come, so that a thread can be awake by then.  Sources send a frame a
 * bin; what delays one does not delay those after it.  So the schedule is the early edge of what
 * was received: a frame that comes earlier than it moves it at once, one that comes later by
 * little, one that comes at another time altogether anew.
 */
#ifndef TRAJ_CORE_EXPECT_H
#define TRAJ_CORE_EXPECT_H

#include <stdbool.h>

struct traj_expect {
    double next;   /* s: when the next frame is expected; NaN before the first */
    double window; /* s before and after it within which it is met */
    unsigned kept; /* a bit for each of the last frames: 1 = it came within its window */
};

void traj_expect_clear(struct traj_expect *expect);

/* A frame of length dt was received. */
void traj_expect_frame(struct traj_expect *expect, double recv, double dt);

/* Whether frames have lately kept to their schedule: only then is it worth being awake for one. */
bool traj_expect_regular(const struct traj_expect *expect);

/* From when until when to look for the next frame. */
double traj_expect_from(const struct traj_expect *expect);
double traj_expect_until(const struct traj_expect *expect);

#endif
