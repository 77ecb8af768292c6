/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Intents as an LSL stream; see outlet.h. */
#include "daemon/io/outlet.h"

#include <dlfcn.h>
#include <math.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <zmq.h>

#include "daemon/io/clock.h"
#include "daemon/io/source/rig.h"
#include "proto/intent_binary.h"
#include "proto/lsl.h"

#define FIRST 3       /* channels before position */
#define WAIT_MS 200   /* the thread looks so often whether it is to end */
#define BUFFERED_S 10 /* liblsl keeps so much for a listener that is behind */
#define RETRY_S 1.0   /* between two attempts to make a stream */

struct traj_outlet {
    struct traj_lsl call;
    char name[TRAJ_OUTLET_NAME];
    double rate;
    void *subscriber;
    pthread_t thread;
    bool started;
    atomic_bool end;
    atomic_uint_least64_t pushed, lost;
    atomic_bool listened;

    /* the thread's own, once it runs */
    traj_lsl_outlet stream;
    size_t dim, targets; /* of the stream, or of the one that could not be made */
    double retry;        /* s: not before is it tried again */
    uint64_t next;       /* seq that follows the last */
    bool followed;
    double *sample;
    struct traj_intent_buffer *parsed;
};

/* --- the stream ------------------------------------------------------------------------------- */

static void add_channel(const struct traj_lsl *call, traj_lsl_xml channels, const char *label,
                        size_t number)
{
    char whole[64];

    if (number > 0) {
        (void)snprintf(whole, sizeof whole, "%s_%zu", label, number);
        label = whole;
    }
    (void)call->append_child_value(call->append_child(channels, "channel"), "label", label);
}

/* A stream for so many dimensions and targets instead of the one there is; false if none is. */
static bool make_stream(struct traj_outlet *outlet, size_t dim, size_t targets)
{
    const struct traj_lsl *call = &outlet->call;
    char id[TRAJ_OUTLET_NAME + 8];
    traj_lsl_info info;
    traj_lsl_xml channels;

    if (outlet->stream != NULL) {
        call->destroy_outlet(outlet->stream);
        outlet->stream = NULL;
    }
    outlet->dim = dim;
    outlet->targets = targets;
    outlet->retry = traj_clock_now() + RETRY_S;
    (void)snprintf(id, sizeof id, "trajd-%s", outlet->name);
    info = call->create_streaminfo(outlet->name, "Intent", (int32_t)(FIRST + 2 * dim + targets),
                                   outlet->rate, TRAJ_LSL_DOUBLE, id);
    if (info == NULL) {
        return false;
    }
    channels = call->append_child(call->get_desc(info), "channels");
    add_channel(call, channels, "t", 0);
    add_channel(call, channels, "valid", 0);
    add_channel(call, channels, "target", 0);
    for (size_t d = 0; d < dim; d++) {
        add_channel(call, channels, "position", d + 1);
    }
    for (size_t d = 0; d < dim; d++) {
        add_channel(call, channels, "velocity", d + 1);
    }
    for (size_t m = 0; m < targets; m++) {
        add_channel(call, channels, "target_prob", m + 1);
    }
    outlet->stream = call->create_outlet(info, 0, BUFFERED_S);
    call->destroy_streaminfo(info);
    return outlet->stream != NULL;
}

static double *put(double *at, const double *value, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        *at++ = value != NULL ? value[i] : (double)NAN;
    }
    return at;
}

static double row_of_target(const struct traj_intent *intent)
{
    size_t best = 0;

    if (intent->target == NULL || intent->target_prob == NULL) {
        return -1.0;
    }
    for (size_t m = 1; m < intent->targets; m++) {
        best = intent->target_prob[m] > intent->target_prob[best] ? m : best;
    }
    return (double)best;
}

/* Whether there is a stream for so many; one that fits is made where there is not. */
static bool have_stream(struct traj_outlet *outlet, size_t dim, size_t targets)
{
    if (outlet->stream != NULL && dim == outlet->dim && targets == outlet->targets) {
        return true;
    }
    if (outlet->stream == NULL && traj_clock_now() < outlet->retry) {
        return false;
    }
    return make_stream(outlet, dim, targets);
}

static void push(struct traj_outlet *outlet, const struct traj_intent *intent, bool stale)
{
    const struct traj_lsl *call = &outlet->call;
    size_t targets = stale ? outlet->targets : intent->targets;
    double stamp = call->local_clock();
    double *at = outlet->sample;

    if (isfinite(intent->stamps.done)) {
        stamp -= traj_clock_now() - intent->stamps.done;
    }
    if (!have_stream(outlet, intent->dim, targets)) {
        atomic_fetch_add(&outlet->lost, stale ? 0 : 1);
        return;
    }
    *at++ = intent->t;
    *at++ = intent->valid ? 1.0 : 0.0;
    *at++ = row_of_target(intent);
    at = put(at, intent->position, intent->dim);
    at = put(at, intent->velocity, intent->dim);
    (void)put(at, intent->target_prob, targets);
    (void)call->push_sample_dt(outlet->stream, outlet->sample, stamp);
    atomic_fetch_add(&outlet->pushed, 1);
}

/* --- the thread ------------------------------------------------------------------------------- */

/* Holes in seq are intents that the queue had no room for; a smaller one is a new run. */
static void follow(struct traj_outlet *outlet, uint64_t seq)
{
    if (outlet->followed && seq > outlet->next) {
        atomic_fetch_add(&outlet->lost, seq - outlet->next);
    }
    outlet->next = seq + 1;
    outlet->followed = true;
}

/* Takes one part of a message; false if none waits. */
static bool take(struct traj_outlet *outlet)
{
    zmq_msg_t part;
    double silent = NAN;
    int size;

    (void)zmq_msg_init(&part);
    size = zmq_msg_recv(&part, outlet->subscriber, ZMQ_DONTWAIT);
    if (size >= 0 && !zmq_msg_more(&part) &&
        traj_intent_parse_binary(zmq_msg_data(&part), (size_t)size, outlet->parsed, &silent,
                                 NULL) == TRAJ_ACCEPTED) {
        if (isnan(silent)) {
            follow(outlet, outlet->parsed->intent.seq);
        }
        push(outlet, &outlet->parsed->intent, !isnan(silent));
    }
    (void)zmq_msg_close(&part);
    return size >= 0;
}

static void *run(void *argument)
{
    struct traj_outlet *outlet = argument;

    (void)prctl(PR_SET_NAME, "outlet");
    while (!atomic_load(&outlet->end)) {
        zmq_pollitem_t item = {.socket = outlet->subscriber, .events = ZMQ_POLLIN};

        (void)zmq_poll(&item, 1, WAIT_MS);
        while (!atomic_load(&outlet->end) && take(outlet)) {
        }
        atomic_store(&outlet->listened,
                     outlet->stream != NULL && outlet->call.have_consumers(outlet->stream) != 0);
    }
    return NULL;
}

/* --- opening and closing ---------------------------------------------------------------------- */

static int open_parts(struct traj_outlet *outlet, const struct traj_model *model, void *context,
                      struct traj_error *error)
{
    const char *missing = traj_lsl_load(&outlet->call, dlopen, dlsym, RTLD_NOW | RTLD_LOCAL);
    int none = 0;

    if (missing != NULL) {
        return traj_error_set(error, "lsl_outlet: %s", missing);
    }
    outlet->parsed = calloc(1, sizeof *outlet->parsed);
    outlet->sample = calloc(FIRST + 2 * TRAJ_DIM_MAX + TRAJ_TARGETS_MAX, sizeof *outlet->sample);
    if (outlet->parsed == NULL || outlet->sample == NULL) {
        return traj_error_set(error, "out of memory");
    }
    if (!make_stream(outlet, model->dims.position, model->dims.targets)) {
        return traj_error_set(error, "lsl_outlet: liblsl makes no stream \"%s\"", outlet->name);
    }
    outlet->subscriber = zmq_socket(context, ZMQ_SUB);
    if (outlet->subscriber == NULL ||
        zmq_setsockopt(outlet->subscriber, ZMQ_LINGER, &none, sizeof none) != 0 ||
        zmq_setsockopt(outlet->subscriber, ZMQ_SUBSCRIBE, TRAJ_TOPIC_BINARY,
                       strlen(TRAJ_TOPIC_BINARY)) != 0 ||
        zmq_connect(outlet->subscriber, TRAJ_RIG_INTENTS) != 0) {
        return traj_error_set(error, "lsl_outlet: %s", zmq_strerror(zmq_errno()));
    }
    return 0;
}

struct traj_outlet *traj_outlet_open(const char *name, const struct traj_model *model, double rate,
                                     void *context, struct traj_error *error)
{
    struct traj_outlet *outlet = calloc(1, sizeof *outlet);

    if (outlet == NULL) {
        (void)traj_error_set(error, "out of memory");
        return NULL;
    }
    (void)snprintf(outlet->name, sizeof outlet->name, "%s", name);
    outlet->rate = rate;
    atomic_init(&outlet->end, false);
    if (open_parts(outlet, model, context, error) != 0) {
        traj_outlet_close(&outlet);
    }
    return outlet;
}

int traj_outlet_start(struct traj_outlet *outlet, const pthread_attr_t *attributes,
                      struct traj_error *error)
{
    int rc = pthread_create(&outlet->thread, attributes, run, outlet);

    outlet->started = rc == 0;
    return rc == 0 ? 0 : traj_error_set(error, "cannot start a thread: %s", strerror(rc));
}

void traj_outlet_close(struct traj_outlet **outlet)
{
    struct traj_outlet *self = *outlet;

    if (self == NULL) {
        return;
    }
    if (self->started) {
        atomic_store(&self->end, true);
        (void)pthread_join(self->thread, NULL);
    }
    if (self->subscriber != NULL) {
        (void)zmq_close(self->subscriber);
    }
    if (self->stream != NULL) {
        self->call.destroy_outlet(self->stream);
    }
    free(self->parsed);
    free(self->sample);
    free(self);
    *outlet = NULL;
}

void traj_outlet_state(const struct traj_outlet *outlet, struct traj_outlet_state *state)
{
    state->pushed = atomic_load(&outlet->pushed);
    state->lost = atomic_load(&outlet->lost);
    state->listened = atomic_load(&outlet->listened);
}
