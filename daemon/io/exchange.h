/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What the decode thread and the housekeeping thread have between them, and all they have: commands
 * and messages to be published one way, answers and notes the other, a snapshot of the decode
 * thread's state, and while anybody observes (observers.h) a tape of all that goes into the
 * pipeline and comes out of it.  The decode side never waits, allocates or locks; the housekeeping
 * side waits for the answer to its one command.
 */
#ifndef TRAJ_IO_EXCHANGE_H
#define TRAJ_IO_EXCHANGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/core/pipeline.h"
#include "daemon/core/tape.h"
#include "daemon/io/config.h"
#include "daemon/io/stages.h"
#include "daemon/learn/error.h"
#include "proto/recording.h"

/* --- housekeeping -> decode ------------------------------------------------------------------- */

enum traj_command_kind {
    TRAJ_COMMAND_NOTHING, /* answers, and refreshes the snapshot: shows that decoding is alive */
    TRAJ_COMMAND_EVENT,   /* event; now = its t is that of the last decoded frame */
    TRAJ_COMMAND_RESET,
    TRAJ_COMMAND_PAUSE, /* on */
    TRAJ_COMMAND_APPLY, /* config and decoder, each if not NULL, between the same two frames */
    /* decoder (NULL = the same), body, size: of a record; moved, on: doubted */
    TRAJ_COMMAND_RETUNE,
    TRAJ_COMMAND_PUBLISH, /* topic, body, size: to be published on the intents socket */
    TRAJ_COMMAND_RECORD,  /* on: what happens is told on the tape, or no more */
    TRAJ_COMMAND_OBSERVE, /* tape: the same for those who observe; NULL = no more */
    TRAJ_COMMAND_SHUTDOWN
};

/* Pointers are borrowed until the command is answered. */
struct traj_command {
    enum traj_command_kind kind;
    bool now;
    bool on;
    const struct traj_event *event;
    const struct traj_config *config;
    struct traj_decoder *decoder;
    const char *path;           /* of the decoder's model */
    enum traj_record_model how; /* it came to run */
    enum traj_record_retune moved;
    const char *topic;
    const char *body;
    size_t size;
    struct traj_tape *tape; /* empty; it stays until told on no more */
};

struct traj_answer {
    enum traj_refusal refusal;
    struct traj_objection objection; /* to an event; field NULL = none */
    uint64_t frame;                  /* decoded frames when the command took effect */
};

/* --- decode -> housekeeping ------------------------------------------------------------------- */

enum traj_note_kind {
    TRAJ_NOTE_FRAME_REFUSED, /* refusal, detail */
    TRAJ_NOTE_EVENT_REFUSED, /* refusal, detail */
    TRAJ_NOTE_FRAMES_PASSED  /* passed: frames come and none of them is decoded */
};

/* Frames that were late or duplicates, since the last decoded one. */
struct traj_passed {
    uint64_t frames;
    double since;           /* s since the last one was decoded */
    uint64_t last_seq, seq; /* of the last decoded frame, and of the one at hand */
    double last_t, t;       /* s, source's clock: the same */
};

struct traj_note {
    enum traj_note_kind kind;
    enum traj_refusal refusal;
    struct traj_refusal_detail detail; /* static text */
    struct traj_objection objection;   /* where it was read well; field NULL = none */
    struct traj_passed passed;
};

/* The decode thread's state, as of some moment between two frames. */
struct traj_state {
    struct traj_counters counters;
    double t;      /* of the last decoded frame; NaN before the first */
    double offset; /* s: daemon's clock less the frames', the smallest of late; NaN = unknown */
    bool paused;
    uint64_t published;   /* intents handed to zmq */
    uint64_t stale;       /* stale messages published */
    uint64_t subscribers; /* subscriptions to intents */
    uint64_t behind_max;  /* most frames that ever waited when one was done */
    uint64_t notes_lost;  /* notes dropped because housekeeping was busy */
    bool session;         /* a session event has been accepted */
    char run[64];         /* and what the last one named */
    bool recording;
    uint64_t records;            /* of the recording, put on the tape */
    uint64_t records_lost;       /* not put there, because it was full */
    uint64_t record_inputs_lost; /* of these, such as a replay needs */
};

struct traj_exchange;

/* NULL with a sentence. */
struct traj_exchange *traj_exchange_open(struct traj_error *error);
void traj_exchange_close(struct traj_exchange **exchange);

/* Recorded by the decode thread, read by anybody; lives as long as the exchange. */
struct traj_stages *traj_exchange_stages(struct traj_exchange *exchange);

/* Housekeeping side. */

/*
 * Leaves a message to be published on the intents socket once no frame waits; false, and it is
 * lost, if too many wait already.  topic is short.
 */
bool traj_exchange_leave(struct traj_exchange *exchange, const char *topic, const char *body,
                         size_t size);

/* Hands over one command and waits for its answer; -1 if the decode thread has ended instead. */
int traj_exchange_call(struct traj_exchange *exchange, const struct traj_command *command,
                       struct traj_answer *answer);
/* Readable when there are notes, or when traj_exchange_end was called. */
int traj_exchange_note_fd(const struct traj_exchange *exchange);
void traj_exchange_note_clear(struct traj_exchange *exchange);
bool traj_exchange_next_note(struct traj_exchange *exchange, struct traj_note *note);
/* Whether SIGHUP has come since the last call. */
bool traj_exchange_reload_asked(struct traj_exchange *exchange);
bool traj_exchange_ended(const struct traj_exchange *exchange);
void traj_exchange_state(struct traj_exchange *exchange, struct traj_state *state);

/* Decode side. */

int traj_exchange_command_fd(const struct traj_exchange *exchange);
void traj_exchange_command_clear(struct traj_exchange *exchange);
bool traj_exchange_next_command(struct traj_exchange *exchange, struct traj_command *command);
void traj_exchange_answer(struct traj_exchange *exchange, const struct traj_answer *answer);
/* The oldest message that was left, up to the next call; NULL if there is none. */
const char *traj_exchange_left(struct traj_exchange *exchange, const char **body, size_t *size);
/* false if there was no room for the note. */
bool traj_exchange_note(struct traj_exchange *exchange, const struct traj_note *note);
/* SIGHUP came: no note, since it must arrive however many of those wait. */
void traj_exchange_reload(struct traj_exchange *exchange);
/* There is something new for housekeeping besides notes. */
void traj_exchange_stir(struct traj_exchange *exchange);
/* Wakes housekeeping if there is anything new for it since the last time. */
void traj_exchange_wake(struct traj_exchange *exchange);
void traj_exchange_publish(struct traj_exchange *exchange, const struct traj_state *state);

/* From now on no command is answered; housekeeping's thread is to end. Any thread. */
void traj_exchange_end(struct traj_exchange *exchange);

#endif
