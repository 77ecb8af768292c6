/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The decode thread; see decode_loop.h. */
#include "daemon/io/decode_parts.h"

#include <errno.h>
#include <limits.h>
#include <math.h>
#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

#include "daemon/io/clock.h"
#include "daemon/io/signals.h"
#include "proto/intent.h"
#include "proto/intent_binary.h"

/* The snapshot is refreshed whenever nothing waits, and at the latest after so many messages. */
#define MESSAGES_A_SNAPSHOT 64

/* A signal is looked at after so long, s, while messages are worked off. */
#define SIGNALS_S 0.05

/* Looks at the frames socket, when spinning, between two looks at everything else. */
#define SPINS 256

/* --- memory ---------------------------------------------------------------------------------- */

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
    loop->passed_told = NAN;
    loop->command_base = NAN;
    traj_delay_clear(&loop->delay);
    traj_expect_clear(&loop->expect);
    loop->timer_fd = traj_clock_timer();
    loop->armed = NAN;
    traj_decode_use_config(loop, config);
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
                          traj_decode_moment(loop, NAN));
    traj_journal_pause(&loop->journal, config->paused, traj_decode_moment(loop, NAN));
    traj_journal_model(&loop->journal, traj_decoder_model(decoder)->about.digest, "",
                       TRAJ_RECORD_MODEL_RUNS, traj_decode_moment(loop, NAN));
    traj_exchange_publish(exchange, &loop->state);
    return loop;
}

void traj_decode_loop_record(struct traj_decode_loop *loop, struct traj_tape *tape,
                             const char *model_path, bool start)
{
    loop->journal.tape = tape;
    traj_journal_model(&loop->journal, traj_decoder_model(loop->decoder)->about.digest, model_path,
                       TRAJ_RECORD_MODEL_RUNS, traj_decode_moment(loop, NAN));
    if (start) {
        traj_journal_start(&loop->journal, true, 0, traj_pipeline_counters(loop->pipeline),
                           traj_decode_moment(loop, traj_clock_now()));
    }
}

void traj_decode_loop_observe(struct traj_decode_loop *loop, struct traj_tape *tape)
{
    loop->observed.tape = tape;
    traj_journal_start(&loop->observed, true, 0, traj_pipeline_counters(loop->pipeline),
                       traj_decode_moment(loop, traj_clock_now()));
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

/* --- work ------------------------------------------------------------------------------------ */

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

static void beat(struct traj_decode_loop *loop, double now)
{
    if (loop->notifier != NULL) {
        traj_notifier_beat(loop->notifier, now);
    }
}

static void read_signals(struct traj_decode_loop *loop)
{
    enum traj_signal signal;

    while ((signal = traj_signals_next(loop->signal_fd)) != TRAJ_SIGNAL_NONE) {
        if (signal == TRAJ_SIGNAL_RELOAD) {
            traj_exchange_reload(loop->exchange);
        } else {
            loop->stop = true;
        }
    }
}

/*
 * Works off what waited at the wake-up, in order; commands take effect between two messages.  What
 * arrives meanwhile waits for the next round, so that `publish: newest` is never starved.
 */
static bool work_off(struct traj_decode_loop *loop)
{
    size_t waiting = loop->inbox->count;
    double looked = traj_clock_now();

    for (size_t i = 0; i < waiting && !loop->stop; i++) {
        traj_decode_serve(loop);
        if (!traj_decode_message(loop)) {
            return false;
        }
        beat(loop, loop->begun);
        if ((i + 1) % MESSAGES_A_SNAPSHOT == 0) {
            traj_decode_publish_state(loop);
        }
        /* Messages behind long gaps take long, and many of them may wait. */
        if (loop->begun - looked > SIGNALS_S) {
            looked = loop->begun;
            read_signals(loop);
        }
    }
    if (loop->out_size > 0) {
        (void)traj_decode_flush(loop, traj_clock_now());
    }
    if (loop->state_changed && loop->inbox->count == 0) {
        traj_decode_publish_state(loop);
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
    return loop->said + loop->stale_s;
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
    traj_journal_stale(&loop->journal, loop->out, size, traj_decode_moment(loop, now));
    traj_link_publish(loop->link, "stale", loop->out, size);
    if (loop->link->bytes) {
        loop->bytes_size = traj_stale_write_binary(
            traj_pipeline_time(loop->pipeline), now - loop->last, model->dims.position,
            model->about.digest, loop->bytes, loop->bytes_cap);
        traj_decode_flush_bytes(loop);
    }
    /*
     * Whole periods that have gone by, so that a machine that slept does not say it many times
     * over.
     */
    loop->said = loop->last + loop->stale_s * floor((now - loop->last) / loop->stale_s);
    loop->state.stale++;
    traj_decode_publish_state(loop);
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
    traj_decode_serve(loop);
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
    traj_journal_stop(&loop->journal, traj_decode_moment(loop, now));
    traj_decode_publish_state(loop);
    traj_exchange_end(loop->exchange);
    return rc;
}
