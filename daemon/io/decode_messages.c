/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Frames and events come in, intents go out; see decode_parts.h. */
#include "daemon/io/decode_parts.h"

#include "daemon/io/clock.h"
#include "proto/intent.h"
#include "proto/intent_binary.h"

/*
 * So many late frames and duplicates with nothing decoded between them are told to the log, once
 * the silence has lasted for stale_ms (or this long where that is 0), and so often while it lasts.
 */
#define PASSED_FRAMES 5
#define PASSED_SILENCE_S 1.0
#define PASSED_PERIOD_S 10.0

static void take_event(struct traj_decode_loop *loop, const struct traj_inbox_item *item)
{
    struct traj_refusal_detail detail = {NULL, NULL, 0};
    /* zmq_msg_data is not const-correct; the message is only read. */
    zmq_msg_t *body = (zmq_msg_t *)&item->body;
    struct traj_moment at = traj_decode_moment(loop, item->recv);
    enum traj_refusal refusal =
        traj_event_parse(zmq_msg_data(body), zmq_msg_size(body), loop->event, &detail);

    if (refusal != TRAJ_ACCEPTED) {
        traj_pipeline_refuse_event(loop->pipeline, refusal);
        traj_decode_note(loop, TRAJ_NOTE_EVENT_REFUSED, refusal, &detail);
    } else {
        refusal = traj_decode_event(loop);
        if (refusal != TRAJ_ACCEPTED) {
            traj_decode_note(loop, TRAJ_NOTE_EVENT_REFUSED, refusal, NULL);
        }
    }
    traj_journal_event(&loop->journal, zmq_msg_data(body), zmq_msg_size(body),
                       traj_pipeline_counters(loop->pipeline)->events,
                       traj_pipeline_at_once(loop->pipeline), refusal, at);
}

/*
 * Looks at what became of a frame that was read.  One stamp that is far ahead, or a source that
 * begins anew without saying so, makes every frame behind it late: nothing can tell from frames
 * which of two clocks is right, so it is dropped, as it should be, but a person has to know.
 * Decoding depends on none of this.
 */
static void watch_order(struct traj_decode_loop *loop, enum traj_disposition disposition,
                        double recv)
{
    const double patience = loop->stale_s > 0.0 ? loop->stale_s : PASSED_SILENCE_S;
    struct traj_passed *passed = &loop->passed;

    if (disposition == TRAJ_DECODED) {
        passed->frames = 0;
        passed->last_seq = loop->frame.seq;
        passed->last_t = loop->frame.t;
    } else if (disposition == TRAJ_LATE || disposition == TRAJ_DUPLICATE) {
        passed->frames++;
        passed->since = recv - loop->last;
        passed->seq = loop->frame.seq;
        passed->t = loop->frame.t;
        if (passed->frames >= PASSED_FRAMES && passed->since >= patience &&
            !(recv - loop->passed_told < PASSED_PERIOD_S)) {
            loop->passed_told = recv;
            traj_decode_note_passed(loop);
        }
    }
}

/*
 * Decodes one frame; true if there is an intent.  What waits behind it is taken in as soon as it is
 * done, so that `behind` counts it; the clock is read once for `done` and for those arrivals.
 */
static bool take_frame(struct traj_decode_loop *loop, const struct traj_inbox_item *item,
                       struct traj_intent *intent)
{
    struct traj_refusal_detail detail = {NULL, NULL, 0};
    enum traj_disposition disposition = TRAJ_INVALID;
    /* zmq_msg_data is not const-correct; the message is only read. */
    zmq_msg_t *body = (zmq_msg_t *)&item->body;
    struct traj_moment at = traj_decode_moment(loop, item->recv);
    enum traj_refusal refusal =
        traj_frame_parse(zmq_msg_data(body), zmq_msg_size(body), &loop->frame, &detail);

    loop->parsed = traj_clock_now();
    if (refusal != TRAJ_ACCEPTED) {
        traj_pipeline_refuse_frame(loop->pipeline, refusal);
        traj_decode_note(loop, TRAJ_NOTE_FRAME_REFUSED, refusal, &detail);
    } else {
        disposition =
            traj_pipeline_frame(loop->pipeline, &loop->frame, item->recv, intent, &refusal);
        if (disposition == TRAJ_INVALID) {
            traj_decode_note(loop, TRAJ_NOTE_FRAME_REFUSED, refusal, NULL);
        }
    }
    watch_order(loop, disposition, item->recv);
    traj_journal_frame(&loop->journal, zmq_msg_data(body), zmq_msg_size(body), disposition, refusal,
                       at);
    return disposition == TRAJ_DECODED;
}

/* Tells of a message that was refused before it was looked at. */
static void record_bad(struct traj_decode_loop *loop, const struct traj_inbox_item *item)
{
    enum traj_record_bad what = TRAJ_RECORD_BAD_TOPIC;
    zmq_msg_t *body = (zmq_msg_t *)&item->body;

    if (item->arrival == TRAJ_ARRIVAL_BAD_EVENT) {
        what = TRAJ_RECORD_BAD_EVENT;
    } else if (item->arrival == TRAJ_ARRIVAL_BAD_FRAME) {
        what = TRAJ_RECORD_BAD_FRAME;
    }
    traj_journal_bad(&loop->journal, what, zmq_msg_data(body), zmq_msg_size(body),
                     traj_decode_moment(loop, item->recv));
}

static void refuse_message(struct traj_decode_loop *loop, enum traj_arrival arrival)
{
    struct traj_refusal_detail detail = {"message", "not of two parts, topic and body", 0};

    if (arrival == TRAJ_ARRIVAL_BAD_EVENT) {
        traj_pipeline_refuse_event(loop->pipeline, TRAJ_REFUSED_SYNTAX);
        traj_decode_note(loop, TRAJ_NOTE_EVENT_REFUSED, TRAJ_REFUSED_SYNTAX, &detail);
    } else if (arrival == TRAJ_ARRIVAL_BAD_FRAME) {
        traj_pipeline_refuse_frame(loop->pipeline, TRAJ_REFUSED_SYNTAX);
        traj_decode_note(loop, TRAJ_NOTE_FRAME_REFUSED, TRAJ_REFUSED_SYNTAX, &detail);
    } else if (arrival == TRAJ_ARRIVAL_STRANGE) {
        detail.field = "topic";
        detail.reason = "frames come from the configured source alone";
        traj_pipeline_refuse_frame(loop->pipeline, TRAJ_REFUSED_TYPE);
        traj_decode_note(loop, TRAJ_NOTE_FRAME_REFUSED, TRAJ_REFUSED_TYPE, &detail);
    } else {
        detail.field = "topic";
        detail.reason = "neither \"frame\" nor \"event\"";
        traj_pipeline_refuse_frame(loop->pipeline, TRAJ_REFUSED_TYPE);
        traj_decode_note(loop, TRAJ_NOTE_FRAME_REFUSED, TRAJ_REFUSED_TYPE, &detail);
    }
}

void traj_decode_flush_bytes(struct traj_decode_loop *loop)
{
    if (loop->bytes_size > 0) {
        traj_link_publish(loop->link, TRAJ_TOPIC_BINARY, loop->bytes, loop->bytes_size);
        loop->bytes_size = 0;
    }
}

double traj_decode_flush(struct traj_decode_loop *loop, double now)
{
    double sent = now;

    if (loop->out_size > 0) {
        traj_link_publish(loop->link, "intent", loop->out, loop->out_size);
        loop->state.published++;
        loop->out_size = 0;
        traj_decode_flush_bytes(loop);
        sent = traj_clock_now();
        traj_stages_record(loop->stages, TRAJ_STAGE_SEND, sent - now);
    }
    return sent;
}

/* Told before it is published: what anybody has received is in the recording. */
static void record_intent(struct traj_decode_loop *loop, double done)
{
    struct traj_moment at = traj_decode_moment(loop, done);
    size_t effects;
    const uint64_t *effect = traj_pipeline_effects(loop->pipeline, &effects);

    at.frame--; /* its own frame has been decoded meanwhile */
    traj_journal_intent(&loop->journal, effect, effects, loop->out, loop->out_size, at);
}

/* When the message at hand was received, s, daemon's clock; as in struct traj_inbox_item. */
struct times {
    double recv, began, taken;
};

/*
 * Finishes an intent that was decoded at `done`: stamps, bytes; sends it unless a newer one may
 * follow.
 */
static void finish_intent(struct traj_decode_loop *loop, struct traj_intent *intent,
                          const struct times *times, double done)
{
    double from = traj_clock_now();
    double now;

    intent->stamps.done = done;
    intent->stamps.behind = loop->inbox->frames;
    if (intent->stamps.behind > loop->state.behind_max) {
        loop->state.behind_max = intent->stamps.behind;
    }
    loop->out_size = traj_intent_write(intent, loop->out, loop->out_cap);
    loop->bytes_size =
        loop->link->bytes ? traj_intent_write_binary(intent, loop->bytes, loop->bytes_cap) : 0;
    record_intent(loop, done);
    now = traj_clock_now();
    traj_stages_record(loop->stages, TRAJ_STAGE_FORMAT, now - from);
    if (!loop->newest) {
        now = traj_decode_flush(loop, now);
    }
    traj_stages_record(loop->stages, TRAJ_STAGE_TOTAL, now - times->recv);
    /* What needs no haste comes after the intent has left. */
    traj_stages_record(loop->stages, TRAJ_STAGE_RECEIVE, times->taken - times->began);
    traj_stages_record(loop->stages, TRAJ_STAGE_WAIT, loop->begun - times->taken);
    traj_stages_record(loop->stages, TRAJ_STAGE_PARSE, loop->parsed - loop->begun);
    traj_stages_record(loop->stages, TRAJ_STAGE_DECODE, done - loop->parsed);
    loop->last = done;
    loop->said = loop->last;
    traj_expect_frame(&loop->expect, times->recv, loop->frame.dt);
    traj_delay_note(&loop->delay, loop->frame.t, times->recv);
}

bool traj_decode_message(struct traj_decode_loop *loop)
{
    struct traj_inbox_item *item = traj_inbox_first(loop->inbox);
    struct traj_intent intent;
    struct times times = {.recv = item->recv, .began = item->began, .taken = item->taken};
    double done;
    bool decoded = false;

    loop->begun = traj_clock_now();

    switch (item->arrival) {
    case TRAJ_ARRIVAL_FRAME:
        decoded = take_frame(loop, item, &intent);
        break;
    case TRAJ_ARRIVAL_EVENT:
        take_event(loop, item);
        break;
    case TRAJ_ARRIVAL_BAD_FRAME:
    case TRAJ_ARRIVAL_BAD_EVENT:
    case TRAJ_ARRIVAL_UNKNOWN:
    case TRAJ_ARRIVAL_STRANGE:
    case TRAJ_ARRIVAL_NONE:
    case TRAJ_ARRIVAL_ERROR:
        record_bad(loop, item);
        refuse_message(loop, item->arrival);
        break;
    }
    traj_inbox_drop(loop->inbox);
    loop->state_changed = true;
    loop->touched = true;
    done = traj_clock_now();
    if (!traj_inbox_fill(loop->inbox, loop->link, done)) {
        return false;
    }
    if (decoded) {
        finish_intent(loop, &intent, &times, done);
    }
    return true;
}
