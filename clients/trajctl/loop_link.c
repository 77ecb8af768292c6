/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A closed loop over sockets; see loop_link.h. */
#include "clients/trajctl/loop_link.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>

#include "clients/trajctl/interrupt.h"
#include "clients/trajctl/options.h"
#include "clients/trajctl/progress.h"
#include "proto/event.h"
#include "proto/frame.h"
#include "proto/intent.h"

#define WAIT_MS 20000   /* for an intent */
#define LISTEN_S 300.0  /* for a decoder, which may have to be trained first */
#define ASK_MS 1000     /* for the answer to a request */
#define POLL_MS 100     /* between two looks whether it is over */
#define EVENT_MAX 65536 /* bytes of an event */

struct loop_link {
    struct traj_decoder_link link;
    struct traj_source *source;
    struct traj_sink *sink;
    struct traj_intent_buffer intent;
    double origin; /* s, monotonic, of the block's beginning; NaN before */
    char event[EVENT_MAX];
    unsigned char *body;
    size_t cap;
};

static int send_event(void *self, const struct traj_event *event, struct traj_error *error)
{
    struct loop_link *l = self;
    size_t size = traj_event_write(event, l->event, sizeof l->event);
    if (size == 0) {
        return traj_error_set(error, "a %s event cannot be written", traj_event_name(event->kind));
    }
    if (event->kind == TRAJ_EVENT_SESSION) {
        l->origin = NAN; /* a block begins */
    }
    int rc = traj_source_event(l->source, l->event, size);
    return rc == 0 ? 0 : traj_error_set(error, "events: %s", strerror(-rc));
}

/* The intent of frame number seq; those of earlier frames were read before. */
static int await(struct loop_link *l, uint64_t seq, struct traj_error *error)
{
    double give_up = monotonic_seconds() + 1e-3 * WAIT_MS;
    while (monotonic_seconds() < give_up && !interrupted()) {
        const char *topic, *body;
        size_t size;
        struct traj_refusal_detail detail;
        int rc = traj_sink_receive(l->sink, POLL_MS, &topic, &body, &size);
        if (rc == -ETIMEDOUT || rc == -EAGAIN || rc == -EINTR) {
            continue;
        }
        if (rc != 0) {
            return traj_error_set(error, "intents: %s", strerror(-rc));
        }
        if (traj_intent_parse(body, size, &l->intent, &detail) != TRAJ_ACCEPTED) {
            return traj_error_set(error, "an intent cannot be read: %.200s", body);
        }
        if (l->intent.intent.frame == seq) {
            return 0;
        }
    }
    return interrupted() ? traj_error_set(error, "interrupted")
                         : traj_error_set(error, "no intent came for frame %" PRIu64, seq);
}

static void copy(double *to, const double *from, size_t dim)
{
    for (size_t d = 0; d < TRAJ_RIG_DIM; d++) {
        to[d] = from && d < dim ? from[d] : NAN;
    }
}

static int send_frame(void *self, const struct traj_frame *frame, struct traj_answer *answer,
                      struct traj_error *error)
{
    struct loop_link *l = self;
    size_t need = TRAJ_FRAME_HEADER + 2 * frame->units;
    if (need > l->cap) {
        unsigned char *body = realloc(l->body, need);
        if (!body) {
            return traj_error_set(error, "memory is short");
        }
        l->body = body;
        l->cap = need;
    }
    size_t size = traj_frame_write_binary(frame, l->body, l->cap);
    int rc = traj_source_frame(l->source, l->body, size);
    if (rc != 0) {
        return traj_error_set(error, "frames: %s", strerror(-rc));
    }
    if (await(l, frame->seq, error) != 0) {
        return -1;
    }
    const struct traj_intent *in = &l->intent.intent;
    size_t room = sizeof answer->target_prob / sizeof *answer->target_prob;
    answer->valid = in->valid;
    copy(answer->position, in->position, in->dim);
    copy(answer->velocity, in->velocity, in->dim);
    answer->targets = in->target_prob ? (in->targets < room ? in->targets : room) : 0;
    for (size_t m = 0; m < answer->targets; m++) {
        answer->target_prob[m] = in->target_prob[m];
    }
    /* The states that move, in the order of traj_intent_state_name: move, return, free. */
    answer->moving = in->state_prob[2] + in->state_prob[4] + in->state_prob[5];
    return 0;
}

/* Sleeps until t s after the block's beginning. */
static int keep_pace(void *self, double t, struct traj_error *error)
{
    struct loop_link *l = self;
    if (isnan(l->origin)) {
        l->origin = monotonic_seconds() - t;
    }
    double due = l->origin + t;
    struct timespec at = {.tv_sec = (time_t)due};
    at.tv_nsec = (long)((due - (double)at.tv_sec) * 1e9);
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL) == EINTR) {
        if (interrupted()) {
            return traj_error_set(error, "interrupted");
        }
    }
    return 0;
}

/* A subscription takes a moment to arrive, and an intent that nobody hears is lost. */
static int wait_until_heard(struct traj_control *control, struct traj_error *error)
{
    double give_up = monotonic_seconds() + 1e-3 * WAIT_MS;
    while (control && monotonic_seconds() < give_up && !interrupted()) {
        const char *reply;
        if (traj_control_request(control, "{\"cmd\":\"status\"}", ASK_MS, &reply) == 0) {
            json_t *status = json_loads(reply, 0, NULL);
            json_int_t heard = json_integer_value(json_object_get(status, "subscribers"));
            json_decref(status);
            if (heard > 0) {
                return 0;
            }
        }
        const struct timespec moment = {.tv_nsec = 5000000};
        (void)nanosleep(&moment, NULL);
    }
    return control ? traj_error_set(error, "the subscription to intents does not arrive") : 0;
}

/* Until somebody takes frames, or the child that was to do so has ended. */
static int wait_for_listener(struct loop_link *l, const char *frames, pid_t pid,
                             struct traj_error *error)
{
    double give_up = monotonic_seconds() + LISTEN_S;
    int rc = -ETIMEDOUT;
    while (rc == -ETIMEDOUT && monotonic_seconds() < give_up && !interrupted()) {
        rc = traj_source_wait(l->source, POLL_MS);
        siginfo_t ended = {.si_pid = 0};
        if (pid > 0 && waitid(P_PID, (id_t)pid, &ended, WEXITED | WNOHANG | WNOWAIT) == 0 &&
            ended.si_pid == pid) {
            return traj_error_set(error, "the decoder ended instead of listening");
        }
    }
    return rc == 0 ? 0 : traj_error_set(error, "%s: %s", frames, strerror(-rc));
}

struct loop_link *loop_link_open(const char *frames, const char *intents,
                                 struct traj_control *control, pid_t pid, bool asap,
                                 struct traj_error *error)
{
    struct loop_link *l = calloc(1, sizeof *l);
    if (!l) {
        traj_error_set(error, "memory is short");
        return NULL;
    }
    l->link = (struct traj_decoder_link){
        .self = l, .event = send_event, .frame = send_frame, .pace = asap ? NULL : keep_pace};
    l->origin = NAN;
    int rc = traj_sink_open_with(intents, options_keys(), "intent", &l->sink);
    rc = rc == 0 ? traj_source_open_with(frames, options_keys(), &l->source) : rc;
    if (rc != 0) {
        traj_error_set(error, "%s: %s", frames, strerror(-rc));
    }
    if (rc != 0 || wait_for_listener(l, frames, pid, error) != 0 ||
        wait_until_heard(control, error) != 0) {
        loop_link_close(l);
        return NULL;
    }
    return l;
}

void loop_link_close(struct loop_link *link)
{
    if (link) {
        traj_source_close(&link->source, 0);
        traj_sink_close(&link->sink);
        free(link->body);
        free(link);
    }
}

const struct traj_decoder_link *loop_link_of(struct loop_link *link)
{
    return &link->link;
}
