/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Held-out decoding: each fold is decoded, by the very code that the daemon runs, with a model that
 * has not seen it, and compared with the movement that was recorded.  Internal to this room.
 */
#ifndef TRAJ_LEARN_BENCH_H
#define TRAJ_LEARN_BENCH_H

#include "daemon/learn/training.h"
#include "proto/intent.h"
#include "traj/decoder.h"

/* What one fold leaves out of one session, with the truth at each of its bins. */
struct traj_held {
    struct traj_session *session;
    unsigned fold;
    double *position; /* [bins][dim] */
    double *velocity; /* [bins][dim] */
    uint8_t *known;   /* [bins] */
    uint8_t *trial;   /* [bins] 1 = inside a trial */
    int32_t *target;  /* [bins] the trial's target, -1 = none or not known */
};

struct traj_bench {
    const struct traj_training *training;
    size_t count;
    struct traj_held *held;
};

/* Cuts the folds out; about bins_max bins in all. */
int traj_bench_make(struct traj_bench *bench, const struct traj_training *training, size_t bins_max,
                    struct traj_error *error);
void traj_bench_free(struct traj_bench *bench);

/* Makes the model, of whatever family, that has not seen a fold; traj_model_free gives it back. */
struct traj_maker {
    const struct traj_training *training;
    struct traj_model *(*make)(void *context, unsigned without, struct traj_error *error);
    void *context;
};

/* decoder: as it stands after the bin. */
typedef void traj_bench_sink(void *context, const struct traj_held *held, size_t bin,
                             const struct traj_intent *intent, const struct traj_decoder *decoder);

/* Decodes all of it, with trial marks or without; calls sink for every decoded bin whose truth is
 * known. */
int traj_bench_run(const struct traj_bench *bench, const struct traj_maker *maker, bool marks,
                   traj_bench_sink *sink, void *context, struct traj_error *error);

/* Which bins tell: what happens between trials is the free component's alone. */
enum traj_bench_part { TRAJ_BENCH_ALL, TRAJ_BENCH_TRIALS };

/* Mean squared position error; -1 on failure. */
int traj_bench_error(const struct traj_bench *bench, const struct traj_maker *maker, bool marks,
                     enum traj_bench_part part, double *mean_square, struct traj_error *error);

#endif
