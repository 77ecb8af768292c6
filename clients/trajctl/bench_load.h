/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * An open-loop load: frames leave at absolute times whatever becomes of them, and each latency
 * counts from the time at which the frame should have left, so that a stall is felt by every frame
 * that it delays (no co-ordinated omission).
 */
#ifndef TRAJCTL_BENCH_LOAD_H
#define TRAJCTL_BENCH_LOAD_H

#include <stdbool.h>

#include "clients/trajctl/bench_model.h"

struct bench_load {
    const char *frames_endpoint, *intents_endpoint;
    const struct bench_frames *frames;
    double bin;    /* s, between two frames */
    size_t count;  /* frames to be measured */
    size_t warmup; /* frames before those */

    /* Called, unless NULL, by the sending thread: once a moment before the first measured frame,
     * and, with `end`, when the last one has left and whenever an intent has come since. */
    void (*look)(void *context, bool end);
    void *context;

    /* results */
    float *latency; /* [count] s, planned send to receipt; NaN = no intent came */
    float *late;    /* [count] s, by which the frame left after its time */
    size_t sent;    /* of count; fewer when it was interrupted or given up */
    bool given_up;  /* it fell so far behind that sending was stopped */
};

/* 0, or -1 with a sentence.  bench_load_free gives the results back in any case. */
int bench_load_run(struct bench_load *load, struct traj_error *error);
void bench_load_free(struct bench_load *load);

#endif
