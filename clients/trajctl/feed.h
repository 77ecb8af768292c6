/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What a replay sends to trajd: at absolute deadlines or as fast as it goes; nothing is lost. */
#ifndef TRAJCTL_FEED_H
#define TRAJCTL_FEED_H

#include <stdbool.h>
#include <stddef.h>

#include "clients/trajctl/progress.h"
#include "daemon/learn/error.h"
#include "traj/client.h"

struct feed {
    const char *frames;        /* endpoint */
    double speed;              /* recorded seconds a second; 0 = as fast as possible */
    struct progress *progress; /* borrowed */
    struct traj_source *source;
    double first_t; /* s, recorded clock, of the first item that has a time; NaN before */
    double origin;  /* s, monotonic clock, at which first_t is due */
    double late;    /* s, the most by which a frame was sent after its deadline */
    size_t sent, events;
};

/*
 * All three return 0, 1 when interrupted, or -1 with a sentence.
 * open: makes the source and waits until the daemon listens.  wait: sleeps until what is recorded
 * at t (s, may be NaN) is due.  publish: sends one body.
 */
int feed_open(struct feed *feed, struct traj_error *error);
int feed_wait(struct feed *feed, double t, bool frame);
int feed_publish(struct feed *feed, bool frame, const void *body, size_t size,
                 struct traj_error *error);

/* Sends what is queued if all went well (result 0), else drops it. */
void feed_close(struct feed *feed, int result);

#endif
