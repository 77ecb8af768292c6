/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The only caller of clock_gettime; see clock.h. */
#include "daemon/io/clock.h"

#include <math.h>
#include <sys/timerfd.h>
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

int traj_clock_timer(void)
{
    return timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
}

void traj_clock_arm(int timer, double when)
{
    struct itimerspec at = {.it_value = {.tv_sec = (time_t)when}};

    at.it_value.tv_nsec = (long)((when - (double)at.it_value.tv_sec) * 1e9);
    /* A time of 0 would disarm it. */
    if (at.it_value.tv_sec == 0 && at.it_value.tv_nsec == 0) {
        at.it_value.tv_nsec = 1;
    }
    (void)timerfd_settime(timer, TFD_TIMER_ABSTIME, &at, NULL);
}

void traj_clock_disarm(int timer)
{
    const struct itimerspec never = {.it_value = {.tv_sec = 0}};

    (void)timerfd_settime(timer, 0, &never, NULL);
}
