/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Closed-loop experiments of several seeds and decoders, in parallel processes. */
#ifndef TRAJCTL_LOOP_JOBS_H
#define TRAJCTL_LOOP_JOBS_H

#include "clients/trajctl/loop_run.h"
#include "clients/trajctl/progress.h"

struct loop_jobs {
    const struct loop_setup *setup;
    const uint64_t *seed;
    size_t seeds;
    const enum loop_decoder *decoder;
    size_t decoders;
    size_t processes; /* at a time, at least 1 */
    struct progress *progress;
};

/*
 * Runs every decoder with every seed, begun in the order of seeds, each in a process of its own, so
 * that the result does not depend on how many run at a time.
 * result[decoders][seeds] takes what came out.  Ends all that it started when one fails or the user
 * interrupts.  0, or -1 with the first one's sentence.
 */
int loop_jobs_run(const struct loop_jobs *jobs, struct loop_result *result,
                  struct traj_error *error);

#endif
