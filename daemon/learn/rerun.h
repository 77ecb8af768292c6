/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A recording through the pipeline once more: the same messages in the same order under the same
 * settings and models give the same intents, to the byte apart from stamps.
 *
 * The decoder's state is not in a recording.  It is known from a place where it was that of a fresh
 * decoder: where the daemon had just started, and at every session event.  Where records of what
 * came in are missing it is unknown again, up to the next session event.
 */
#ifndef TRAJ_LEARN_RERUN_H
#define TRAJ_LEARN_RERUN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/core/pipeline.h"
#include "daemon/learn/error.h"
#include "daemon/learn/recording_file.h"

struct traj_rerun_options {
    const char *const *models; /* files; may be none */
    size_t count;
    bool follow; /* read a model from the recorded path, too, if it is still that model */
    bool any;    /* let the first of `models` stand for one that is not at hand */
    /* A model (borrowed) that runs instead of every recorded one, from the first message on,
     * whatever came before; NULL = those that are recorded. */
    const struct traj_model *pinned;
};

/* A model of the recording that was not at hand. */
struct traj_rerun_missing {
    char digest[65]; /* "" = none was missing */
    char path[TRAJ_RECORDING_PATH_MAX];
    bool replaced; /* the first of the given models ran in its place */
};

/* What a record led to. */
struct traj_rerun_result {
    bool known;   /* the state of the decoder */
    bool decoded; /* intent and effects hold, up to the next record */
    struct traj_intent intent;
    const uint64_t *effect; /* numbers, as recorded, of the events that took effect before it */
    size_t effects;
};

struct traj_rerun;

/* Loads the models that are given; NULL with a sentence. */
struct traj_rerun *traj_rerun_open(const struct traj_rerun_options *options,
                                   struct traj_error *error);
void traj_rerun_close(struct traj_rerun *rerun);

/* Takes the next item of a recording; 0, or -1 with a sentence. */
int traj_rerun_take(struct traj_rerun *rerun, const struct traj_recording_item *item,
                    struct traj_rerun_result *result, struct traj_error *error);

/* The last model that was missing. */
const struct traj_rerun_missing *traj_rerun_missing(const struct traj_rerun *rerun);

/* The model that runs now, or NULL. */
const struct traj_model *traj_rerun_model(const struct traj_rerun *rerun);

/* Whether a record begins a known state; for looking for a place to start from. */
bool traj_rerun_anchor(const struct traj_record *record);

#endif
