/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What the decode thread tells the recorder: everything that goes into the pipeline and everything
 * that comes out of it, in the order in which it happened, as records (proto/recording.h) on a
 * tape.  Nothing here waits, allocates or asks the clock.
 *
 * Where the tape is full a record is lost and counted.  What a replay needs (what came in) may fill
 * the tape; what a replay gives anew (what went out) leaves a quarter of it free, so that it is
 * lost first.  Once there is room again the loss is told, and, where something that came in is
 * missing, what a reader must know to go on: model, settings, pause.
 */
#ifndef TRAJ_CORE_JOURNAL_H
#define TRAJ_CORE_JOURNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/core/pipeline.h"
#include "daemon/core/tape.h"
#include "proto/event.h"
#include "proto/recording.h"

struct traj_journal {
    struct traj_tape *tape;    /* NULL: nothing is ever recorded */
    struct traj_journal *next; /* is told all that this one is told, but for start and stop; or NULL
                                */
    bool on;
    uint64_t number; /* of the next record */
    /* A loss that has not been told yet. */
    uint64_t lost, lost_inputs;
    /* Since the recording began. */
    uint64_t records;         /* put on the tape */
    uint64_t lost_all;        /* not put there */
    uint64_t lost_inputs_all; /* of these, such as a replay needs */
    /* In force, whether recording is on or not. */
    struct traj_recorded_model model;
    struct traj_recorded_settings settings;
    bool paused;
    const void
        *retune; /* of the model, as it is recorded; NULL = its tables are those of its file */
    size_t retune_size;
};

/* When something happened: frames decoded before it, and s on the daemon's clock. */
struct traj_moment {
    uint64_t frame;
    double stamp;
};

/* Nothing is recorded until traj_journal_start; tape may be NULL and is borrowed. */
void traj_journal_init(struct traj_journal *journal, struct traj_tape *tape);

/*
 * Begins a recording: fresh = nothing has come before; untold = traj_pipeline_untold, so that a
 * reader knows what the first intent will say is new.  The tape is empty.  Does nothing without a
 * tape.
 */
void traj_journal_start(struct traj_journal *journal, bool fresh, unsigned untold,
                        const struct traj_counters *counters, struct traj_moment moment);
void traj_journal_stop(struct traj_journal *journal, struct traj_moment moment);

/* What is in force from now on; told whether recording is on or not. */
void traj_journal_model(struct traj_journal *journal, const char *digest, const char *path,
                        enum traj_record_model how, struct traj_moment moment);
/*
 * What became of the model's tables: a payload as traj_recorded_put_retune makes it, borrowed until
 * the next one or another model.
 */
void traj_journal_retune(struct traj_journal *journal, const void *payload, size_t size,
                         enum traj_record_retune how, struct traj_moment moment);
void traj_journal_settings(struct traj_journal *journal,
                           const struct traj_pipeline_settings *settings, size_t dims,
                           struct traj_moment moment);
void traj_journal_pause(struct traj_journal *journal, bool paused, struct traj_moment moment);

void traj_journal_reset(struct traj_journal *journal, struct traj_moment moment);

/* A frame's body and what became of it. */
void traj_journal_frame(struct traj_journal *journal, const void *body, size_t size,
                        enum traj_disposition disposition, enum traj_refusal cause,
                        struct traj_moment moment);

/* An event's body as it was received, its number, and when it has its effect. */
void traj_journal_event(struct traj_journal *journal, const void *body, size_t size,
                        uint64_t number, bool at_once, enum traj_refusal cause,
                        struct traj_moment moment);

/* An event that came by the control socket, as it was handed to the pipeline. */
void traj_journal_control(struct traj_journal *journal, const struct traj_event *event,
                          uint64_t number, bool at_once, enum traj_refusal cause,
                          struct traj_moment moment);

void traj_journal_bad(struct traj_journal *journal, enum traj_record_bad what, const void *body,
                      size_t size, struct traj_moment moment);

/* An intent's JSON and the events that took effect before it. */
void traj_journal_intent(struct traj_journal *journal, const uint64_t *effect, size_t effects,
                         const void *body, size_t size, struct traj_moment moment);
void traj_journal_stale(struct traj_journal *journal, const void *body, size_t size,
                        struct traj_moment moment);

#endif
