/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The only caller of clock_gettime; see clock.h. */
#include "daemon/io/clock.h"

#include <math.h>
#include <time.h>

static double seconds(const struct timespec *time)
{
    return (double)time->tv_sec + 1e-9 * (double)time->tv_nsec;
}

double traj_clock_now(void)
{
    struct timespec now;

    /* CLOCK_MONOTONIC cannot fail on a system that has it, and Linux has. */
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return seconds(&now);
}

double traj_clock_wall(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_REALTIME, &now);
    return seconds(&now);
}

double traj_clock_thread(pthread_t thread)
{
    struct timespec used;
    clockid_t clock;

    if (pthread_getcpuclockid(thread, &clock) != 0 || clock_gettime(clock, &used) != 0) {
        return NAN;
    }
    return seconds(&used);
}
