/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The decode thread, in four files: decode_loop.c waits for what comes and says what is due,
 * decode_messages.c makes intents of frames, decode_orders.c does what housekeeping asks for, and
 * all of them use decode_state.c.
 */
#ifndef TRAJ_IO_DECODE_PARTS_H
#define TRAJ_IO_DECODE_PARTS_H

#include "daemon/core/delay.h"
#include "daemon/core/expect.h"
#include "daemon/core/journal.h"
#include "daemon/io/decode_loop.h"
#include "daemon/io/inbox.h"
#include "proto/event.h"
#include "proto/frame.h"

/* What wakes the thread. */
enum { FRAMES, INTENTS, COMMANDS, TIMER, SIGNALS, SOURCE, WAKES };

struct traj_decode_loop {
    struct traj_link *link;
    struct traj_exchange *exchange;
    int signal_fd;
    const struct traj_realtime *realtime;

    /* settings that may change between two frames */
    bool newest;
    enum traj_receive asked, receive; /* what it comes to */
    double stale_s;                   /* 0 = never */

    void *pipeline_memory;
    struct traj_pipeline *pipeline;
    struct traj_decoder *decoder;
    struct traj_inbox *inbox;
    struct traj_frame frame;
    struct traj_event *event;
    struct traj_state state;
    bool state_changed; /* since the last snapshot */
    struct traj_stages *stages;
    struct traj_notifier *notifier; /* NULL = nobody to tell */
    double begun, parsed;           /* s, daemon's clock: the message at hand */
    bool stop;

    char *out; /* one message to publish */
    size_t out_cap;
    size_t out_size;
    unsigned char *bytes; /* the same message without text, where anybody wants it */
    size_t bytes_cap;
    size_t bytes_size;

    double command_base; /* s, source's clock: the frame after which commands were last given */
    double command_t;    /* s: the time given to the last of them */

    struct traj_journal journal;  /* for the recorder */
    struct traj_journal observed; /* the same for those who observe */
    uint64_t stirred;             /* how much of it they have been woken for */
    bool touched;                 /* something came that the decoder knows of */

    struct traj_delay delay; /* from a frame's t to its arrival */
    struct traj_expect expect;
    int timer_fd;     /* readable when a frame is about to come */
    int wakes[WAKES]; /* file descriptors of what wakes the thread, -1 where there is none */
    double armed;     /* s: the expected frame for which it was set */

    double last; /* s, daemon's clock: when the last frame was decoded; NaN before the first */
    double said; /* s: when it, or a stale message since then, was due */

    struct traj_passed passed; /* what has been passed over since then, for the log alone */
    double passed_told;        /* s, daemon's clock: when the log was last told of it */
};

/* Now, as a record tells it. */
static inline struct traj_moment traj_decode_moment(const struct traj_decode_loop *loop,
                                                    double stamp)
{
    return (struct traj_moment){.frame = traj_pipeline_counters(loop->pipeline)->decoded,
                                .stamp = stamp};
}

/* ---- decode_state.c ------------------------------------------------------------------------- */

/* Settings that may change between two frames. */
void traj_decode_use_config(struct traj_decode_loop *loop, const struct traj_config *config);

/* Refreshes the snapshot from which others read. */
void traj_decode_publish_state(struct traj_decode_loop *loop);

/* Tells the log, by way of housekeeping; detail NULL = what the pipeline objects to. */
void traj_decode_note(struct traj_decode_loop *loop, enum traj_note_kind kind,
                      enum traj_refusal refusal, const struct traj_refusal_detail *detail);

/* The same of frames that come and are passed over. */
void traj_decode_note_passed(struct traj_decode_loop *loop);

/* The event that has been read goes to the pipeline; status names the session that runs. */
enum traj_refusal traj_decode_event(struct traj_decode_loop *loop);

/* ---- decode_messages.c ---------------------------------------------------------------------- */

/*
 * Takes the oldest message out of the inbox and does what it asks for; false if the socket has
 * failed.
 */
bool traj_decode_message(struct traj_decode_loop *loop);

/* Publishes the message without text, if there is one. */
void traj_decode_flush_bytes(struct traj_decode_loop *loop);

/* Publishes what stands in the buffer, if anything does; now is read already.  Returns when. */
double traj_decode_flush(struct traj_decode_loop *loop, double now);

/* ---- decode_orders.c ------------------------------------------------------------------------ */

/* Does what housekeeping has asked for, in order, and answers. */
void traj_decode_serve(struct traj_decode_loop *loop);

#endif
