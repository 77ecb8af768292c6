/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The decode thread; see decode_loop.h. */
#include "daemon/io/decode_loop.h"

#include <errno.h>
#include <limits.h>
#include <math.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/core/delay.h"
#include "daemon/core/expect.h"
#include "daemon/core/journal.h"
#include "daemon/io/clock.h"
#include "daemon/io/inbox.h"
#include "daemon/io/signals.h"
#include "proto/event.h"
#include "proto/frame.h"
#include "proto/intent.h"
#include "proto/intent_binary.h"

/* The snapshot is refreshed whenever nothing waits, and at the latest after so many messages. */
#define MESSAGES_A_SNAPSHOT 64

/* Looks at the frames socket, when spinning, between two looks at everything else. */
#define SPINS 256

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
    uint64_t silences; /* stale messages since then */
};

/* --- memory ---------------------------------------------------------------------------------- */

/* Now, as a record tells it. */
static struct traj_moment moment(const struct traj_decode_loop *loop, double stamp)
{
    return (struct traj_moment){.frame = traj_pipeline_counters(loop->pipeline)->decoded,
                                .stamp = stamp};
}

static int open_buffers(struct traj_decode_loop *loop)
{
    loop->out_cap = traj_intent_size(TRAJ_DIM_MAX, TRAJ_TARGETS_MAX);
    loop->out = calloc(1, loop->out_cap);
    loop->bytes_cap = traj_intent_binary_size(TRAJ_DIM_MAX, TRAJ_TARGETS_MAX);
    loop->bytes = calloc(1, loop->bytes_cap);
    loop->inbox = calloc(1, sizeof *loop->inbox);
    loop->event = calloc(1, sizeof *loop->event);
    loop->frame.counts = calloc(TRAJ_UNITS_MAX, sizeof *loop->frame.counts);
    loop->frame.feature = calloc(TRAJ_UNITS_MAX, sizeof *loop->frame.feature);
    loop->frame.units_max = TRAJ_UNITS_MAX;
    loop->frame.features_max = TRAJ_UNITS_MAX;
    if (loop->inbox != NULL) {
        traj_inbox_init(loop->inbox);
    }
    return loop->out != NULL && loop->bytes != NULL && loop->inbox != NULL && loop->event != NULL &&
                   loop->frame.counts != NULL && loop->frame.feature != NULL
               ? 0
               : -1;
}

static void find_wakes(struct traj_decode_loop *loop)
{
    const struct traj_link *link = loop->link;

    loop->wakes[FRAMES] = traj_link_descriptor(link->frames);
    loop->wakes[INTENTS] = traj_link_descriptor(link->intents);
    loop->wakes[SOURCE] = link->source != NULL ? traj_link_descriptor(link->source) : -1;
    loop->wakes[COMMANDS] = traj_exchange_command_fd(loop->exchange);
    loop->wakes[SIGNALS] = loop->signal_fd;
    loop->wakes[TIMER] = loop->timer_fd;
}

static void use_config(struct traj_decode_loop *loop, const struct traj_config *config)
{
    loop->newest = config->newest;
    loop->asked = config->receive;
    loop->receive = traj_realtime_receive(loop->realtime, loop->asked);
    loop->stale_s = 1e-3 * config->stale_ms;
}

struct traj_decode_loop *
traj_decode_loop_open(struct traj_link *link, struct traj_exchange *exchange,
                      struct traj_decoder *decoder, const struct traj_config *config,
                      const struct traj_realtime *realtime, int signal_fd, struct traj_error *error)
{
    struct traj_decode_loop *loop = calloc(1, sizeof *loop);
    size_t size = traj_pipeline_size();

    if (loop == NULL) {
        (void)traj_error_set(error, "out of memory");
        return NULL;
    }
    loop->link = link;
    loop->exchange = exchange;
    loop->stages = traj_exchange_stages(exchange);
    loop->decoder = decoder;
    loop->signal_fd = signal_fd;
    loop->realtime = realtime;
    loop->last = NAN;
    loop->command_base = NAN;
    traj_delay_clear(&loop->delay);
    traj_expect_clear(&loop->expect);
    loop->timer_fd = traj_clock_timer();
    loop->armed = NAN;
    use_config(loop, config);
    loop->pipeline_memory = calloc(1, size);
    if (loop->pipeline_memory != NULL) {
        loop->pipeline =
            traj_pipeline_init(loop->pipeline_memory, size, decoder, &config->pipeline);
    }
    find_wakes(loop);
    if (open_buffers(loop) != 0 || loop->pipeline == NULL || loop->timer_fd < 0) {
        (void)traj_error_set(error, loop->timer_fd < 0 ? "no timer" : "out of memory");
        traj_decode_loop_close(&loop);
        return NULL;
    }
    traj_pipeline_pause(loop->pipeline, config->paused);
    loop->state.t = NAN;
    loop->state.offset = NAN;
    loop->state.paused = config->paused;
    traj_journal_init(&loop->journal, NULL);
    traj_journal_init(&loop->observed, NULL);
    loop->journal.next = &loop->observed;
    traj_journal_settings(&loop->journal, &config->pipeline, config->workspace_dims,
                          moment(loop, NAN));
    traj_journal_pause(&loop->journal, config->paused, moment(loop, NAN));
    traj_journal_model(&loop->journal, traj_decoder_model(decoder)->about.digest, "",
                       TRAJ_RECORD_MODEL_RUNS, moment(loop, NAN));
    traj_exchange_publish(exchange, &loop->state);
    return loop;
}

void traj_decode_loop_record(struct traj_decode_loop *loop, struct traj_tape *tape,
                             const char *model_path, bool start)
{
    loop->journal.tape = tape;
    traj_journal_model(&loop->journal, traj_decoder_model(loop->decoder)->about.digest, model_path,
                       TRAJ_RECORD_MODEL_RUNS, moment(loop, NAN));
    if (start) {
        traj_journal_start(&loop->journal, true, traj_pipeline_counters(loop->pipeline),
                           moment(loop, traj_clock_now()));
    }
}

void traj_decode_loop_observe(struct traj_decode_loop *loop, struct traj_tape *tape)
{
    loop->observed.tape = tape;
    traj_journal_start(&loop->observed, true, traj_pipeline_counters(loop->pipeline),
                       moment(loop, traj_clock_now()));
}

void traj_decode_loop_watched(struct traj_decode_loop *loop, struct traj_notifier *notifier)
{
    loop->notifier = notifier;
}

void traj_decode_loop_close(struct traj_decode_loop **loop)
{
    struct traj_decode_loop *self = *loop;

    if (self == NULL) {
        return;
    }
    if (self->inbox != NULL) {
        traj_inbox_close(self->inbox);
    }
    free(self->inbox);
    free(self->event);
    free(self->frame.counts);
    free(self->frame.feature);
    free(self->out);
    free(self->bytes);
    free(self->pipeline_memory);
    if (self->timer_fd >= 0) {
        (void)close(self->timer_fd);
    }
    free(self);
    *loop = NULL;
}

/* --- what others are told -------------------------------------------------------------------- */

static void publish_state(struct traj_decode_loop *loop)
{
    loop->state.counters = *traj_pipeline_counters(loop->pipeline);
    loop->state.t = traj_pipeline_time(loop->pipeline);
    loop->state.offset = traj_delay_offset(&loop->delay);
    loop->state.paused = traj_pipeline_paused(loop->pipeline);
    loop->state.subscribers = loop->link->subscribers + loop->link->binaries;
    loop->state.recording = loop->journal.on;
    loop->state.records = loop->journal.records;
    loop->state.records_lost = loop->journal.lost_all;
    loop->state.record_inputs_lost = loop->journal.lost_inputs_all;
    traj_exchange_publish(loop->exchange, &loop->state);
    loop->state_changed = false;
}

static void note(struct traj_decode_loop *loop, enum traj_note_kind kind, enum traj_refusal refusal,
                 const struct traj_refusal_detail *detail)
{
    struct traj_note record = {.kind = kind, .refusal = refusal};

    if (detail != NULL) {
        record.detail = *detail;
    }
    if (!traj_exchange_note(loop->exchange, &record)) {
        loop->state.notes_lost++;
    }
}

/* The event that has been read goes to the pipeline; status names the session that runs. */
static enum traj_refusal decide_event(struct traj_decode_loop *loop)
{
    enum traj_refusal refusal = traj_pipeline_event(loop->pipeline, loop->event);

    if (refusal == TRAJ_ACCEPTED && loop->event->kind == TRAJ_EVENT_SESSION) {
        loop->state.session = true;
        traj_delay_clear(&loop->delay); /* perhaps another clock */
        memcpy(loop->state.run, loop->event->text, sizeof loop->state.run);
    }
    return refusal;
}

/* --- commands -------------------------------------------------------------------------------- */

/*
 * An event that a person sent without a time happens now: at the last decoded frame, before the
 * next.  The second between the same two frames happens a hair later, or the pipeline would take
 * start, stop, start for two events and a copy.
 */
static enum traj_refusal take_command_event(struct traj_decode_loop *loop,
                                            const struct traj_command *command)
{
    *loop->event = *command->event;
    if (command->now) {
        double t = traj_pipeline_time(loop->pipeline);

        if (isnan(t)) {
            t = -TRAJ_TIME_MAX;
        }
        if (t != loop->command_base) {
            loop->command_base = t;
            loop->command_t = t;
        } else {
            loop->command_t = nextafter(loop->command_t, (double)INFINITY);
        }
        loop->event->t = loop->command_t;
    }
    loop->touched = true;
    return decide_event(loop);
}

static void record_command_event(struct traj_decode_loop *loop, enum traj_refusal refusal,
                                 struct traj_moment at)
{
    traj_journal_control(&loop->journal, loop->event,
                         traj_pipeline_counters(loop->pipeline)->events,
                         traj_pipeline_at_once(loop->pipeline), refusal, at);
}

static void apply(struct traj_decode_loop *loop, const struct traj_command *command,
                  struct traj_moment at)
{
    if (command->config != NULL) {
        use_config(loop, command->config);
        traj_pipeline_configure(loop->pipeline, &command->config->pipeline);
        traj_journal_settings(&loop->journal, &command->config->pipeline,
                              command->config->workspace_dims, at);
    }
    if (command->decoder != NULL) {
        (void)traj_pipeline_swap(loop->pipeline, command->decoder);
        loop->decoder = command->decoder;
        loop->touched = true;
        traj_journal_model(&loop->journal, traj_decoder_model(command->decoder)->about.digest,
                           command->path, command->how, at);
    }
}

/* The model that runs goes on with other tables; what is told of them is borrowed for good. */
static void retune(struct traj_decode_loop *loop, const struct traj_command *command,
                   struct traj_moment at)
{
    if (command->decoder != NULL && traj_pipeline_adopt(loop->pipeline, command->decoder) != NULL) {
        loop->decoder = command->decoder;
    }
    traj_pipeline_doubt(loop->pipeline, command->on);
    traj_journal_retune(&loop->journal, command->body, command->size, command->moved, at);
}

static void record(struct traj_decode_loop *loop, bool on, struct traj_moment at)
{
    if (on) {
        traj_journal_start(&loop->journal, !loop->touched, traj_pipeline_counters(loop->pipeline),
                           at);
    } else {
        traj_journal_stop(&loop->journal, at);
    }
}

/* Those who observe have the tape until they are told that it is over. */
static void observe(struct traj_decode_loop *loop, struct traj_tape *tape, struct traj_moment at)
{
    traj_journal_stop(&loop->observed, at);
    loop->observed.tape = tape;
    loop->stirred = 0;
    traj_journal_start(&loop->observed, !loop->touched, traj_pipeline_counters(loop->pipeline), at);
}

static void serve_command(struct traj_decode_loop *loop, const struct traj_command *command)
{
    struct traj_answer answer = {.refusal = TRAJ_ACCEPTED};
    struct traj_moment at = moment(loop, traj_clock_now());

    switch (command->kind) {
    case TRAJ_COMMAND_NOTHING:
        break;
    case TRAJ_COMMAND_EVENT:
        answer.refusal = take_command_event(loop, command);
        record_command_event(loop, answer.refusal, at);
        break;
    case TRAJ_COMMAND_RESET:
        traj_pipeline_reset(loop->pipeline);
        loop->touched = true;
        traj_journal_reset(&loop->journal, at);
        break;
    case TRAJ_COMMAND_PAUSE:
        traj_pipeline_pause(loop->pipeline, command->on);
        traj_journal_pause(&loop->journal, command->on, at);
        break;
    case TRAJ_COMMAND_APPLY:
        apply(loop, command, at);
        break;
    case TRAJ_COMMAND_RETUNE:
        retune(loop, command, at);
        break;
    case TRAJ_COMMAND_PUBLISH:
        traj_link_publish(loop->link, command->topic, command->body, command->size);
        break;
    case TRAJ_COMMAND_RECORD:
        record(loop, command->on, at);
        break;
    case TRAJ_COMMAND_OBSERVE:
        observe(loop, command->tape, at);
        break;
    case TRAJ_COMMAND_SHUTDOWN:
        loop->stop = true;
        break;
    }
    answer.frame = traj_pipeline_counters(loop->pipeline)->decoded;
    publish_state(loop);
    traj_exchange_answer(loop->exchange, &answer);
}

static void serve_commands(struct traj_decode_loop *loop)
{
    struct traj_command command;

    while (traj_exchange_next_command(loop->exchange, &command)) {
        serve_command(loop, &command);
    }
}

/* Whether a frame, or an event, is there to be received. */
static bool frames_wait(const struct traj_link *link)
{
    return traj_link_waits(link->frames) || (link->source != NULL && traj_link_waits(link->source));
}

/*
 * Publishes what housekeeping has left, as long as no frame waits for it; what stays behind goes
 * with the next turn.
 */
static void publish_left(struct traj_decode_loop *loop)
{
    const char *topic, *body;
    size_t size;

    while (loop->inbox->count == 0 && !frames_wait(loop->link) &&
           (topic = traj_exchange_left(loop->exchange, &body, &size)) != NULL) {
        traj_link_publish(loop->link, topic, body, size);
    }
}

/* --- frames and events ----------------------------------------------------------------------- */

static void take_event(struct traj_decode_loop *loop, const struct traj_inbox_item *item)
{
    struct traj_refusal_detail detail = {NULL, NULL, 0};
    /* zmq_msg_data is not const-correct; the message is only read. */
    zmq_msg_t *body = (zmq_msg_t *)&item->body;
    struct traj_moment at = moment(loop, item->recv);
    enum traj_refusal refusal =
        traj_event_parse(zmq_msg_data(body), zmq_msg_size(body), loop->event, &detail);

    if (refusal != TRAJ_ACCEPTED) {
        traj_pipeline_refuse_event(loop->pipeline, refusal);
    } else {
        refusal = decide_event(loop);
    }
    if (refusal != TRAJ_ACCEPTED) {
        note(loop, TRAJ_NOTE_EVENT_REFUSED, refusal, &detail);
    }
    traj_journal_event(&loop->journal, zmq_msg_data(body), zmq_msg_size(body),
                       traj_pipeline_counters(loop->pipeline)->events,
                       traj_pipeline_at_once(loop->pipeline), refusal, at);
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
    struct traj_moment at = moment(loop, item->recv);
    enum traj_refusal refusal =
        traj_frame_parse(zmq_msg_data(body), zmq_msg_size(body), &loop->frame, &detail);

    loop->parsed = traj_clock_now();
    if (refusal != TRAJ_ACCEPTED) {
        traj_pipeline_refuse_frame(loop->pipeline, refusal);
    } else {
        disposition =
            traj_pipeline_frame(loop->pipeline, &loop->frame, item->recv, intent, &refusal);
    }
    if (disposition == TRAJ_INVALID) {
        note(loop, TRAJ_NOTE_FRAME_REFUSED, refusal, &detail);
    }
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
                     moment(loop, item->recv));
}

static void refuse_message(struct traj_decode_loop *loop, enum traj_arrival arrival)
{
    struct traj_refusal_detail detail = {"message", "not of two parts, topic and body", 0};

    if (arrival == TRAJ_ARRIVAL_BAD_EVENT) {
        traj_pipeline_refuse_event(loop->pipeline, TRAJ_REFUSED_SYNTAX);
        note(loop, TRAJ_NOTE_EVENT_REFUSED, TRAJ_REFUSED_SYNTAX, &detail);
    } else if (arrival == TRAJ_ARRIVAL_BAD_FRAME) {
        traj_pipeline_refuse_frame(loop->pipeline, TRAJ_REFUSED_SYNTAX);
        note(loop, TRAJ_NOTE_FRAME_REFUSED, TRAJ_REFUSED_SYNTAX, &detail);
    } else if (arrival == TRAJ_ARRIVAL_STRANGE) {
        detail.field = "topic";
        detail.reason = "frames come from the configured source alone";
        traj_pipeline_refuse_frame(loop->pipeline, TRAJ_REFUSED_TYPE);
        note(loop, TRAJ_NOTE_FRAME_REFUSED, TRAJ_REFUSED_TYPE, &detail);
    } else {
        detail.field = "topic";
        detail.reason = "neither \"frame\" nor \"event\"";
        traj_pipeline_refuse_frame(loop->pipeline, TRAJ_REFUSED_TYPE);
        note(loop, TRAJ_NOTE_FRAME_REFUSED, TRAJ_REFUSED_TYPE, &detail);
    }
}

/* Publishes the message without text, if there is one. */
static void flush_bytes(struct traj_decode_loop *loop)
{
    if (loop->bytes_size > 0) {
        traj_link_publish(loop->link, TRAJ_TOPIC_BINARY, loop->bytes, loop->bytes_size);
        loop->bytes_size = 0;
    }
}

/* Publishes what stands in the buffer, if anything does; now is read already.  Returns when. */
static double flush_intent(struct traj_decode_loop *loop, double now)
{
    double sent = now;

    if (loop->out_size > 0) {
        traj_link_publish(loop->link, "intent", loop->out, loop->out_size);
        loop->state.published++;
        loop->out_size = 0;
        flush_bytes(loop);
        sent = traj_clock_now();
        traj_stages_record(loop->stages, TRAJ_STAGE_SEND, sent - now);
    }
    return sent;
}

/* Told before it is published: what anybody has received is in the recording. */
static void record_intent(struct traj_decode_loop *loop, double done)
{
    struct traj_moment at = moment(loop, done);
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
    loop->bytes_size = loop->link->binaries > 0
                           ? traj_intent_write_binary(intent, loop->bytes, loop->bytes_cap)
                           : 0;
    record_intent(loop, done);
    now = traj_clock_now();
    traj_stages_record(loop->stages, TRAJ_STAGE_FORMAT, now - from);
    if (!loop->newest) {
        now = flush_intent(loop, now);
    }
    traj_stages_record(loop->stages, TRAJ_STAGE_TOTAL, now - times->recv);
    /* What needs no haste comes after the intent has left. */
    traj_stages_record(loop->stages, TRAJ_STAGE_RECEIVE, times->taken - times->began);
    traj_stages_record(loop->stages, TRAJ_STAGE_WAIT, loop->begun - times->taken);
    traj_stages_record(loop->stages, TRAJ_STAGE_PARSE, loop->parsed - loop->begun);
    traj_stages_record(loop->stages, TRAJ_STAGE_DECODE, done - loop->parsed);
    loop->last = done;
    loop->silences = 0;
    traj_expect_frame(&loop->expect, times->recv, loop->frame.dt);
    traj_delay_note(&loop->delay, loop->frame.t, times->recv);
}

/*
 * Takes the oldest message out of the inbox and does what it asks for; false if the socket has
 * failed.
 */
static bool take_message(struct traj_decode_loop *loop)
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

static void beat(struct traj_decode_loop *loop, double now)
{
    if (loop->notifier != NULL) {
        traj_notifier_beat(loop->notifier, now);
    }
}

/*
 * Works off what waited at the wake-up, in order; commands take effect between two messages.  What
 * arrives meanwhile waits for the next round, so that signals and `publish: newest` are never
 * starved.
 */
static bool work_off(struct traj_decode_loop *loop)
{
    size_t waiting = loop->inbox->count;

    for (size_t i = 0; i < waiting && !loop->stop; i++) {
        serve_commands(loop);
        if (!take_message(loop)) {
            return false;
        }
        if ((i + 1) % MESSAGES_A_SNAPSHOT == 0) {
            publish_state(loop);
            beat(loop, loop->begun);
        }
    }
    if (loop->out_size > 0) {
        (void)flush_intent(loop, traj_clock_now());
    }
    if (loop->state_changed && loop->inbox->count == 0) {
        publish_state(loop);
    }
    return true;
}

/* --- deadlines and signals ------------------------------------------------------------------- */

/* When the next stale message is due; infinity if none will be. */
static double stale_deadline(const struct traj_decode_loop *loop)
{
    if (loop->stale_s <= 0.0 || isnan(loop->last)) {
        return INFINITY;
    }
    return loop->last + loop->stale_s * (double)(loop->silences + 1);
}

static void say_stale(struct traj_decode_loop *loop, double now)
{
    const struct traj_model *model = traj_decoder_model(loop->decoder);
    size_t size;

    if (now < stale_deadline(loop)) {
        return;
    }
    size = traj_stale_write(traj_pipeline_time(loop->pipeline), now - loop->last,
                            model->dims.position, model->about.digest, loop->out, loop->out_cap);
    traj_journal_stale(&loop->journal, loop->out, size, moment(loop, now));
    traj_link_publish(loop->link, "stale", loop->out, size);
    if (loop->link->binaries > 0) {
        loop->bytes_size = traj_stale_write_binary(
            traj_pipeline_time(loop->pipeline), now - loop->last, model->dims.position,
            model->about.digest, loop->bytes, loop->bytes_cap);
        flush_bytes(loop);
    }
    /*
     * Whole periods that have gone by, so that a machine that slept does not say it many times
     * over.
     */
    loop->silences = (uint64_t)((now - loop->last) / loop->stale_s);
    loop->state.stale++;
    publish_state(loop);
}

static void read_signals(struct traj_decode_loop *loop)
{
    enum traj_signal signal;

    while ((signal = traj_signals_next(loop->signal_fd)) != TRAJ_SIGNAL_NONE) {
        if (signal == TRAJ_SIGNAL_RELOAD) {
            note(loop, TRAJ_NOTE_RELOAD, TRAJ_ACCEPTED, NULL);
        } else {
            loop->stop = true;
        }
    }
}

/* When the loop has something to do by itself; infinity if nothing. */
static double next_deadline(const struct traj_decode_loop *loop)
{
    double deadline = stale_deadline(loop);

    if (loop->notifier != NULL && loop->notifier->period > 0.0 && loop->notifier->next < deadline) {
        deadline = loop->notifier->next;
    }
    return deadline;
}

/* How long to wait, ms: not at all while messages wait, else until something is due. */
static long wait_ms(const struct traj_decode_loop *loop, double now)
{
    double deadline = next_deadline(loop);
    double left = 1e3 * (deadline - now);

    if (loop->inbox->count > 0 || left <= 0.0) {
        return 0;
    }
    return isinf(deadline) ? -1 : (long)ceil(left);
}

/*
 * Looks for messages without sleeping, so many times; *now becomes the time of the last look.
 * false if the socket has failed.
 */
static bool spin(struct traj_decode_loop *loop, int times, double *now)
{
    for (int i = 0; i < times && loop->inbox->count == 0; i++) {
        *now = traj_clock_now();
        if (!traj_inbox_fill(loop->inbox, loop->link, *now)) {
            return false;
        }
    }
    return true;
}

/*
 * A frame is about to come: what can be done ahead is done, which also brings model and code back
 * into the caches, and the frame looked for until it is there or long overdue.
 */
static bool meet(struct traj_decode_loop *loop, double *now)
{
    double until = traj_expect_until(&loop->expect);

    traj_pipeline_prepare(loop->pipeline);
    do {
        if (!spin(loop, 1, now)) {
            return false;
        }
    } while (loop->inbox->count == 0 && *now < until);
    return true;
}

/* Nothing waits: what can be done ahead is done now, or when the next frame is about to come. */
static void look_ahead(struct traj_decode_loop *loop)
{
    if (loop->inbox->count > 0) {
        return;
    }
    if (loop->receive != TRAJ_RECEIVE_EXPECT || !traj_expect_regular(&loop->expect)) {
        traj_pipeline_prepare(loop->pipeline);
    } else if (loop->expect.next != loop->armed) {
        /* Once for a frame: should it not come, the thread sleeps until something does. */
        loop->armed = loop->expect.next;
        traj_clock_arm(loop->timer_fd, traj_expect_from(&loop->expect));
    }
}

/*
 * Sleeps until something happens.  Not by zmq_poll, which looks at every socket again once it is
 * awake: a frame would wait for that.
 */
static bool sleep_on(struct traj_decode_loop *loop, struct pollfd *item, long wait)
{
    const struct traj_link *link = loop->link;

    for (size_t i = 0; i < WAKES; i++) {
        /* poll passes over what is negative. */
        item[i] = (struct pollfd){.fd = loop->wakes[i], .events = POLLIN};
    }
    if (frames_wait(link) || traj_link_waits(link->intents)) {
        wait = 0;
    }
    if (poll(item, WAKES, wait < INT_MAX ? (int)wait : INT_MAX) >= 0) {
        return true;
    }
    for (size_t i = 0; i < WAKES; i++) {
        item[i].revents = 0;
    }
    return errno == EINTR;
}

/* Everything but frames. */
static void look_around(struct traj_decode_loop *loop, const struct pollfd *item)
{
    if (item[SIGNALS].revents != 0) {
        read_signals(loop);
    }
    if (traj_link_waits(loop->link->intents)) {
        traj_link_subscriptions(loop->link);
        loop->state_changed = true;
    }
    if (item[COMMANDS].revents != 0) {
        traj_exchange_command_clear(loop->exchange);
    }
    serve_commands(loop);
    publish_left(loop);
    if (loop->observed.records != loop->stirred) {
        loop->stirred = loop->observed.records;
        traj_exchange_stir(loop->exchange);
    }
}

static bool turn(struct traj_decode_loop *loop, double *now)
{
    struct pollfd item[WAKES];
    long wait = wait_ms(loop, *now);

    if (loop->receive == TRAJ_RECEIVE_SPIN) {
        /* The frame that is found goes first; everything else is looked at after it. */
        if (!spin(loop, SPINS, now) || !work_off(loop)) {
            return false;
        }
        wait = 0;
    }
    if (!sleep_on(loop, item, wait)) {
        return false;
    }
    *now = traj_clock_now();
    if (item[TIMER].revents != 0) {
        traj_clock_disarm(loop->timer_fd);
        if (item[FRAMES].revents == 0 && item[SOURCE].revents == 0 && !meet(loop, now)) {
            return false;
        }
    }
    if ((loop->inbox->count == 0 && !traj_inbox_fill(loop->inbox, loop->link, *now)) ||
        !work_off(loop)) {
        return false;
    }
    look_around(loop, item);
    say_stale(loop, *now);
    beat(loop, *now);
    traj_exchange_wake(loop->exchange);
    look_ahead(loop);
    return true;
}

int traj_decode_loop_run(struct traj_decode_loop *loop, struct traj_error *error)
{
    double now = traj_clock_now();
    int rc = 0;

    loop->receive = traj_realtime_receive(loop->realtime, loop->asked); /* known by now */
    while (!loop->stop && rc == 0) {
        if (!turn(loop, &now)) {
            rc = traj_error_set(error, "the sockets have failed: %s", zmq_strerror(zmq_errno()));
        }
    }
    traj_journal_stop(&loop->journal, moment(loop, now));
    publish_state(loop);
    traj_exchange_end(loop->exchange);
    return rc;
}
