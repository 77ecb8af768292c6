/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The last lag + 1 training bins of counts, newest last: unit n contributes what it did lag_n bins
 * ago.  A bin that never came (gap, start, reset) is unobserved, and so is a frame without counts.
 */
#ifndef TRAJ_MODEL_HISTORY_H
#define TRAJ_MODEL_HISTORY_H

#include "daemon/model/arena.h"
#include "traj/decoder.h"

struct traj_history_bin {
    const uint16_t *counts; /* [N], NULL = unobserved */
    double width;           /* s, dt of the frame that the counts came with */
    double log_width;
};

struct traj_history {
    size_t units;
    size_t bins;       /* lag + 1 */
    size_t newest;     /* slot of the newest bin */
    uint16_t *counts;  /* [bins][N] */
    double *width;     /* [bins], 0 = unobserved */
    double *log_width; /* [bins] */
    uint8_t *plan;     /* [bins] 1 = the counts have already spoken through the plan */
};

void traj_history_lay_out(struct traj_history *history, struct traj_arena *arena,
                          const struct traj_dims *dims);

/* Every bin unobserved. */
void traj_history_clear(struct traj_history *history);

/* Takes a frame that ends `steps` bins after the last; the bins between are unobserved. */
void traj_history_push(struct traj_history *history, const uint16_t *counts, double width,
                       size_t steps, bool plan);

/* What is known of the bin `lag` bins ago; bins of the plan count as unobserved unless asked
 * for. */
struct traj_history_bin traj_history_bin(const struct traj_history *history, size_t lag,
                                         bool with_plan);

#endif
