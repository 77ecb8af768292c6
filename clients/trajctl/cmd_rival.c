/* SPDX-License-Identifier: GPL-3.0-or-later */
/* trajctl rival: another decoder behind the sockets of trajd, to compare with. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zmq.h>

#include "clients/files/session_file.h"
#include "clients/rig/rival.h"
#include "clients/trajctl/commands.h"
#include "clients/trajctl/interrupt.h"
#include "clients/trajctl/options.h"
#include "proto/event.h"
#include "proto/frame.h"
#include "proto/intent.h"
#include "traj/client.h"

#define POLL_MS 100

static const struct command_help help = {
    .name = "rival",
    .usage = "--kind NAME --session S.h5 [options]",
    .about =
        "A decoder of the literature behind the same sockets as trajd: takes frames, publishes "
        "intents that hold a velocity. kalman is a velocity Kalman filter, refit the ReFIT-KF "
        "(also wants a closed-loop session and effector events), wiener a ridge regression. Waits "
        "for a subscriber to its intents, then listens for frames, until it is told to end.",
    .example = "trajctl rival --kind kalman --session calibration.h5\n"
               "trajctl rival --kind refit --session a.h5 --second closed.h5 --radius 15\n",
};

struct server {
    const char *kind, *session, *second, *frames, *intents;
    double radius;
    struct traj_rival *rival;
    void *context, *publisher;
    struct traj_sink *source;
    struct traj_event event;
    uint16_t *counts;
    uint64_t decoded;
    char *text;
    size_t cap;
};

static int train(struct server *s, struct traj_error *error)
{
    enum traj_rival_kind kind = TRAJ_RIVAL_KALMAN;
    (void)traj_rival_parse(s->kind, &kind);
    struct traj_session *first = traj_session_read(s->session, error), *second = NULL;
    bool good = first != NULL;
    if (good && s->second) {
        second = traj_session_read(s->second, error);
        good = second != NULL;
    }
    s->rival = good ? traj_rival_train(kind, first, second, s->radius, error) : NULL;
    traj_session_free(first);
    traj_session_free(second);
    return s->rival ? 0 : -1;
}

static int open_publisher(struct server *s, struct traj_error *error)
{
    const int none = 0, tick = POLL_MS;
    const char *endpoint = s->intents + (s->intents[0] == '@');
    s->context = zmq_ctx_new();
    s->publisher = s->context ? zmq_socket(s->context, ZMQ_XPUB) : NULL;
    if (!s->publisher || zmq_setsockopt(s->publisher, ZMQ_LINGER, &none, sizeof none) ||
        zmq_setsockopt(s->publisher, ZMQ_SNDHWM, &none, sizeof none) ||
        zmq_setsockopt(s->publisher, ZMQ_RCVTIMEO, &tick, sizeof tick) ||
        zmq_bind(s->publisher, endpoint)) {
        return traj_error_set(error, "%s: %s", s->intents, zmq_strerror(zmq_errno()));
    }
    return 0;
}

/* An intent that nobody hears is lost, so frames are taken only when somebody does. */
static int wait_for_subscriber(struct server *s, struct traj_error *error)
{
    char topic[64];
    while (!interrupted()) {
        if (zmq_recv(s->publisher, topic, sizeof topic, 0) > 0 && topic[0] == 1) {
            return 0;
        }
    }
    return traj_error_set(error, "interrupted");
}

static void take_event(struct server *s, const char *body, size_t size)
{
    struct traj_refusal_detail detail;
    if (traj_event_parse(body, size, &s->event, &detail) != TRAJ_ACCEPTED) {
        return;
    }
    if (s->event.kind == TRAJ_EVENT_SESSION) {
        traj_rival_reset(s->rival);
    } else if (s->event.kind == TRAJ_EVENT_EFFECTOR && s->event.dim == traj_rival_dim(s->rival)) {
        traj_rival_effector(s->rival, s->event.value);
    }
}

static int publish(struct server *s, const struct traj_frame *frame, const double *velocity,
                   struct traj_error *error)
{
    const struct traj_intent intent = {.seq = s->decoded++,
                                       .frame = frame->seq,
                                       .t = frame->t,
                                       .valid = true,
                                       .dim = traj_rival_dim(s->rival),
                                       .velocity = velocity,
                                       .free_prob = NAN,
                                       .state_prob = {NAN},
                                       .progress = NAN,
                                       .eta = NAN,
                                       .log_evidence = NAN,
                                       .stamps = {.recv = NAN, .done = NAN}};
    size_t size = traj_intent_write(&intent, s->text, s->cap);
    if (size == 0 || zmq_send(s->publisher, "intent", 6, ZMQ_SNDMORE) < 0 ||
        zmq_send(s->publisher, s->text, size, 0) < 0) {
        return traj_error_set(error, "an intent cannot be published");
    }
    return 0;
}

static int take_frame(struct server *s, const char *body, size_t size, struct traj_error *error)
{
    struct traj_refusal_detail detail;
    double velocity[TRAJ_RIG_DIM];
    struct traj_frame frame = {.counts = s->counts, .units_max = traj_rival_units(s->rival)};
    if (traj_frame_parse(body, size, &frame, &detail) != TRAJ_ACCEPTED ||
        frame.units != traj_rival_units(s->rival)) {
        return 0; /* as trajd would: no intent */
    }
    traj_rival_step(s->rival, s->counts, velocity);
    return publish(s, &frame, velocity, error);
}

static int serve(struct server *s, struct traj_error *error)
{
    while (!interrupted()) {
        const char *topic, *body;
        size_t size;
        int rc = traj_sink_receive(s->source, POLL_MS, &topic, &body, &size);
        if (rc == -ETIMEDOUT || rc == -EINTR || rc == -EAGAIN) {
            continue;
        }
        if (rc != 0) {
            return traj_error_set(error, "%s: %s", s->frames, strerror(-rc));
        }
        if (strcmp(topic, "event") == 0) {
            take_event(s, body, size);
        } else if (take_frame(s, body, size, error) != 0) {
            return -1;
        }
    }
    return 0;
}

static int run(struct server *s, struct traj_error *error)
{
    char endpoint[300];
    if (train(s, error) != 0 || open_publisher(s, error) != 0) {
        return -1;
    }
    s->counts = calloc(traj_rival_units(s->rival), sizeof *s->counts);
    s->cap = traj_intent_size(traj_rival_dim(s->rival), 0);
    s->text = malloc(s->cap);
    if (!s->counts || !s->text) {
        return traj_error_set(error, "memory is short");
    }
    if (wait_for_subscriber(s, error) != 0) {
        return 0;
    }
    (void)snprintf(endpoint, sizeof endpoint, "%s%s", s->frames[0] == '@' ? "" : "@", s->frames);
    int rc = traj_sink_open(endpoint, "frame,event", &s->source);
    return rc == 0 ? serve(s, error) : traj_error_set(error, "%s: %s", s->frames, strerror(-rc));
}

static void close_server(struct server *s)
{
    traj_rival_free(s->rival);
    traj_sink_close(&s->source);
    if (s->publisher) {
        (void)zmq_close(s->publisher);
    }
    if (s->context) {
        (void)zmq_ctx_term(s->context);
    }
    free(s->counts);
    free(s->text);
    free(s);
}

int cmd_rival(int argc, char **argv)
{
    struct server *s = calloc(1, sizeof *s);
    struct traj_error error = {0};
    enum traj_rival_kind kind;
    if (!s) {
        return failure("rival", "memory is short");
    }
    s->frames = TRAJ_DEFAULT_FRAMES;
    s->intents = TRAJ_DEFAULT_INTENTS;
    const struct command_option options[] = {
        {"kind", "NAME", OPTION_TEXT, &s->kind, "kalman, refit or wiener", .required = true},
        {"session", "S.h5", OPTION_TEXT, &s->session, "calibration to train on", .required = true,
         .file = FILE_READ},
        {"second", "S.h5", OPTION_TEXT, &s->second,
         "refit: a closed-loop session whose velocities are turned towards the targets",
         .file = FILE_READ},
        {"radius", "LENGTH", OPTION_REAL, &s->radius, "refit: of its targets", 0, 1e6},
        {"frames", "ENDPOINT", OPTION_TEXT, &s->frames, "where it takes frames; binds"},
        {"intents", "ENDPOINT", OPTION_TEXT, &s->intents, "where it publishes intents; binds"},
    };
    int status = options_parse(&help, options, COUNT_OF(options), argc, argv);
    if (status == OPTIONS_RUN && traj_rival_parse(s->kind, &kind) != 0) {
        status = usage_error("rival", "--kind: \"%s\" is not kalman, refit or wiener", s->kind);
    } else if (status == OPTIONS_RUN && (kind == TRAJ_RIVAL_REFIT) != (s->second != NULL)) {
        status = usage_error("rival", "--second belongs to refit, and refit needs it");
    }
    if (status == OPTIONS_RUN) {
        interrupt_catch();
        status = run(s, &error) == 0 ? 0 : failure("rival", "%s", error.text);
    }
    close_server(s);
    return status;
}
