/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The daemon's clock.  Nothing else in it reads one: time is an argument everywhere else, which is
 * what makes a replay exact.
 */
#ifndef TRAJ_IO_CLOCK_H
#define TRAJ_IO_CLOCK_H

#include <pthread.h>

/* Seconds on the monotonic clock. */
double traj_clock_now(void);

/* Seconds since 1970-01-01 00:00 UTC: for people to read, never to reckon with. */
double traj_clock_wall(void);

/* A file descriptor that can be polled and becomes readable at a time; -1 where there is none. */
int traj_clock_timer(void);

/* Readable from then on, a time of the monotonic clock; and not readable any more. */
void traj_clock_arm(int timer, double when);
void traj_clock_disarm(int timer);

/* Seconds of processor time that a thread has used; NaN where the system cannot say. */
double traj_clock_thread(pthread_t thread);

#endif
