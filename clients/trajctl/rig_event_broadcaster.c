/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A simulated Open Ephys GUI with the plugin "Event Broadcaster", in its JSON form.  A sync line
 * beats with each block, as on many rigs.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zmq.h>

#include "clients/trajctl/interrupt.h"
#include "clients/trajctl/progress.h"
#include "clients/trajctl/rig.h"
#include "proto/event_broadcaster.h"

#define STREAM "simulated"
#define SOURCE_NODE 101
#define SYNC_LINE 7
#define STUCK_MS 10000

struct broadcaster {
    struct rig *rig;
    void *context, *data;
    uint8_t sync;
    bool begun;
};

static int wait_for_listener(struct broadcaster *self, struct traj_error *error)
{
    double until = monotonic_seconds() + self->rig->wait_s;
    while (monotonic_seconds() < until && !interrupted()) {
        unsigned char topic[64];
        zmq_pollitem_t item = {.socket = self->data, .events = ZMQ_POLLIN};
        if (zmq_poll(&item, 1, 50) > 0 && zmq_recv(self->data, topic, sizeof topic, 0) >= 1 &&
            topic[0] == 1) {
            return 0;
        }
    }
    return interrupted()
               ? 1
               : traj_error_set(error, "nobody has subscribed within %g s", self->rig->wait_s);
}

static int open_broadcaster(struct rig *rig, void **made, struct traj_error *error)
{
    struct broadcaster *self = calloc(1, sizeof *self);
    int one = 1, timeout = STUCK_MS, hwm = 100000, linger = STUCK_MS;
    char address[256];
    size_t size = sizeof address;
    const char *colon = strrchr(rig->endpoint, ':');
    *made = self;
    if (!self) {
        return traj_error_set(error, "memory is short");
    }
    self->rig = rig;
    self->context = zmq_ctx_new();
    self->data = self->context ? zmq_socket(self->context, ZMQ_XPUB) : NULL;
    /* The plugin drops what a subscriber does not fetch; here nothing is lost by accident. */
    if (!self->data || zmq_setsockopt(self->data, ZMQ_XPUB_NODROP, &one, sizeof one) ||
        zmq_setsockopt(self->data, ZMQ_SNDTIMEO, &timeout, sizeof timeout) ||
        zmq_setsockopt(self->data, ZMQ_SNDHWM, &hwm, sizeof hwm) ||
        zmq_setsockopt(self->data, ZMQ_LINGER, &linger, sizeof linger)) {
        return traj_error_set(error, "no socket: %s", zmq_strerror(zmq_errno()));
    }
    bool any = colon && strcmp(colon, ":0") == 0;
    (void)snprintf(address, sizeof address, "%.*s%s",
                   any ? (int)(colon - rig->endpoint) : (int)strlen(rig->endpoint), rig->endpoint,
                   any ? ":*" : "");
    if (zmq_bind(self->data, address) != 0 ||
        zmq_getsockopt(self->data, ZMQ_LAST_ENDPOINT, address, &size) != 0) {
        return traj_error_set(error, "%s: %s", rig->endpoint, zmq_strerror(zmq_errno()));
    }
    printf("%s\n", address);
    (void)fflush(stdout);
    return wait_for_listener(self, error);
}

static void close_broadcaster(void *made)
{
    struct broadcaster *self = made;
    if (!self) {
        return;
    }
    if (self->data) {
        (void)zmq_close(self->data);
    }
    if (self->context) {
        (void)zmq_ctx_term(self->context);
    }
    free(self);
}

static int send_part(struct broadcaster *self, const void *data, size_t size, int flags,
                     struct traj_error *error)
{
    while (zmq_send(self->data, data, size, flags) < 0) {
        if (zmq_errno() != EINTR) {
            return traj_error_set(error, "sending: %s", zmq_strerror(zmq_errno()));
        }
        if (interrupted()) {
            return 1;
        }
    }
    return 0;
}

static int send_message(struct broadcaster *self, struct traj_eb_message *message,
                        struct traj_error *error)
{
    const unsigned char type[2] = {message->kind == TRAJ_EB_SPIKE, 0};
    char text[1024];
    message->rate = self->rig->rate;
    (void)snprintf(message->stream, sizeof message->stream, "%s", STREAM);
    if (rig_loses(self->rig)) {
        self->rig->spikes_dropped += message->kind == TRAJ_EB_SPIKE;
        return 0;
    }
    size_t size = traj_eb_write_json(message, SOURCE_NODE, 80.0, text, sizeof text);
    int result = send_part(self, type, sizeof type, ZMQ_SNDMORE, error);
    return result ? result : send_part(self, text, size, 0, error);
}

static int beat(struct broadcaster *self, int64_t sample, struct traj_error *error)
{
    struct traj_eb_message message = {
        .kind = TRAJ_EB_TTL, .sample = sample, .line = SYNC_LINE, .state = self->sync ^= 1};
    self->begun = true;
    return send_message(self, &message, error);
}

static void name_channel(size_t unit, char *out, size_t cap, int *sorted)
{
    (void)snprintf(out, cap, "Electrode %zu", unit + 1);
    *sorted = 1;
}

static int send_item(void *made, const struct rig_item *item, struct traj_error *error)
{
    struct broadcaster *self = made;
    struct traj_eb_message message = {
        .kind = TRAJ_EB_TTL, .sample = item->sample, .line = item->line, .state = item->state};
    int sorted = 0;
    int result = self->begun ? 0 : beat(self, 0, error);
    if (item->spike) {
        message.kind = TRAJ_EB_SPIKE;
        name_channel(item->unit, message.electrode, sizeof message.electrode, &sorted);
        message.sorted_id = sorted;
        self->rig->spikes++;
    }
    return result ? result : send_message(self, &message, error);
}

static int send_block(void *made, int64_t start, int64_t samples, struct traj_error *error)
{
    struct broadcaster *self = made;
    int result = self->begun ? 0 : beat(self, start, error);
    return result ? result : beat(self, start + samples, error);
}

static int restart(void *made, struct traj_error *error)
{
    struct broadcaster *self = made;
    (void)error;
    self->begun = false;
    return 0;
}

const struct rig_system rig_event_broadcaster = {
    .name = "event-broadcaster",
    .endpoint = "tcp://127.0.0.1:5557",
    .rate = 30000.0,
    .open = open_broadcaster,
    .item = send_item,
    .block = send_block,
    .restart = restart,
    .close = close_broadcaster,
    .channel = name_channel,
};
