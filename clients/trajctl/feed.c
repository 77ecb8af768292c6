/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What a replay sends to trajd; see feed.h. */
#include "clients/trajctl/feed.h"

#include <errno.h>
#include <math.h>
#include <string.h>
#include <time.h>

#include "clients/trajctl/interrupt.h"
#include "clients/trajctl/options.h"

#define WAIT_S 10       /* for the daemon's subscription */
#define STUCK_S 10.0    /* a daemon that takes nothing for so long is given up */
#define LINGER_MS 30000 /* for what is queued at the end */

/* Waits until the daemon listens. */
static int wait_for_daemon(struct feed *feed, struct traj_error *error)
{
    double began = monotonic_seconds();
    progress_update(feed->progress, "waiting for trajd to subscribe", NAN);
    for (;;) {
        int rc = traj_source_wait(feed->source, 200);
        if (rc == 0) {
            return 0;
        }
        if (rc != -ETIMEDOUT && rc != -EINTR) {
            return traj_error_set(error, "%s: %s", feed->frames, strerror(-rc));
        }
        if (interrupted()) {
            return 1;
        }
        if (monotonic_seconds() - began > WAIT_S) {
            return traj_error_set(error,
                                  "no trajd has subscribed at %s within %d s: one must run "
                                  "with --frames at this endpoint%s",
                                  feed->frames, WAIT_S, options_keys_doubt(feed->frames));
        }
    }
}

int feed_open(struct feed *feed, struct traj_error *error)
{
    feed->first_t = NAN;
    int rc = traj_source_open_with(feed->frames, options_keys(), &feed->source);
    if (rc != 0) {
        return traj_error_set(error, "%s: %s", feed->frames, strerror(-rc));
    }
    return wait_for_daemon(feed, error);
}

int feed_wait(struct feed *feed, double t, bool frame)
{
    if (feed->speed == 0.0 || isnan(t)) {
        return interrupted() ? 1 : 0;
    }
    if (isnan(feed->first_t)) {
        feed->first_t = t;
        feed->origin = monotonic_seconds();
    }
    double due = feed->origin + (t - feed->first_t) / feed->speed;
    struct timespec at = {.tv_sec = (time_t)due};
    at.tv_nsec = (long)((due - (double)at.tv_sec) * 1e9);
    while (!interrupted() && clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL) == EINTR) {
    }
    double late = monotonic_seconds() - due;
    feed->late = frame && late > feed->late ? late : feed->late;
    return interrupted() ? 1 : 0;
}

int feed_publish(struct feed *feed, bool frame, const void *body, size_t size,
                 struct traj_error *error)
{
    double began = monotonic_seconds();
    for (;;) {
        int rc = frame ? traj_source_frame(feed->source, body, size)
                       : traj_source_event(feed->source, body, size);
        if (rc == 0) {
            return 0;
        }
        if (rc != -EINTR && rc != -EAGAIN) {
            return traj_error_set(error, "%s: %s", feed->frames, strerror(-rc));
        }
        if (interrupted()) {
            return 1;
        }
        if (monotonic_seconds() - began > STUCK_S) {
            return traj_error_set(error,
                                  "%s: the daemon has taken nothing for %g s after frame %zu",
                                  feed->frames, STUCK_S, feed->sent);
        }
    }
}

void feed_close(struct feed *feed, int result)
{
    if (feed->source) {
        traj_source_close(&feed->source, result == 0 ? LINGER_MS : 0);
    }
}
