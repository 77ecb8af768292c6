/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A recording to a running trajd: what came in, in the order in which it came. */
#ifndef TRAJCTL_REPLAY_RECORDING_H
#define TRAJCTL_REPLAY_RECORDING_H

#include <stdbool.h>
#include <stdint.h>

#include "clients/trajctl/feed.h"
#include "daemon/learn/error.h"

struct recorded_replay {
    const char *path;
    const char *control; /* endpoint */
    const char *asked;   /* the same, where it is known to be of the daemon that takes the frames */
    uint64_t from;       /* the first decoded frame that is wanted; 0 = all */
    bool quiet;
    struct feed *feed; /* not open yet */
};

/* 0, 1 when interrupted, or -1 with a sentence. */
int replay_recording(struct recorded_replay *replay, struct traj_error *error);

#endif
