/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A simulated Open Ephys GUI with the plugin "ZMQ Interface": messages at the data port, heartbeats
 * answered at the next one.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <zmq.h>

#include <jansson.h>

#include "clients/trajctl/interrupt.h"
#include "clients/trajctl/progress.h"
#include "clients/trajctl/rig.h"
#include "proto/open_ephys.h"

#define STREAM "simulated"
#define SOURCE_NODE 101
#define WAVE_SAMPLES 40 /* of a spike */
#define HEADER_MAX 1024
#define STUCK_MS 10000

struct gui {
    struct rig *rig;
    void *context, *data, *listen;
    int64_t number; /* of the last message */
    uint64_t word;  /* of digital lines */
    float *samples; /* of a block */
    size_t room;
    float wave[WAVE_SAMPLES];
};

/* --- sockets ------------------------------------------------------------------------------- */

/* Binds both ports; a port of 0 is chosen, with its neighbour free. */
static int bind_ports(struct gui *gui, struct traj_error *error)
{
    char host[200] = "", address[256];
    const char *colon = strrchr(gui->rig->endpoint, ':');
    long port = colon ? strtol(colon + 1, NULL, 10) : -1;
    if (port < 0 || port > 65534 || (size_t)(colon - gui->rig->endpoint) >= sizeof host) {
        return traj_error_set(error, "--endpoint: \"%s\" is not tcp://HOST:PORT",
                              gui->rig->endpoint);
    }
    memcpy(host, gui->rig->endpoint, (size_t)(colon - gui->rig->endpoint));
    for (int attempt = 0; attempt < (port == 0 ? 50 : 1); attempt++) {
        size_t size = sizeof address;
        (void)snprintf(address, sizeof address, "%s:%ld", host, port);
        if (port == 0) {
            (void)snprintf(address, sizeof address, "%s:*", host);
        }
        if (zmq_bind(gui->data, address) != 0) {
            return traj_error_set(error, "%s: %s", address, zmq_strerror(zmq_errno()));
        }
        (void)zmq_getsockopt(gui->data, ZMQ_LAST_ENDPOINT, address, &size);
        long got = strtol(strrchr(address, ':') + 1, NULL, 10);
        char next[256];
        (void)snprintf(next, sizeof next, "%s:%ld", host, got + 1);
        if (zmq_bind(gui->listen, next) == 0) {
            printf("%s\n", address);
            return fflush(stdout);
        }
        (void)zmq_unbind(gui->data, address);
    }
    return traj_error_set(error, "%s: this port, or the one after it, is taken",
                          gui->rig->endpoint);
}

/* Answers one request if there is one, as the plugin does. */
static void answer(struct gui *gui)
{
    char text[4096];
    int size = zmq_recv(gui->listen, text, sizeof text, ZMQ_DONTWAIT);
    if (size < 0) {
        return;
    }
    json_t *request =
        json_loadb(text, (size_t)size < sizeof text ? (size_t)size : sizeof text, 0, NULL);
    const char *type = json_string_value(json_object_get(request, "type"));
    const char *reply = !request                             ? "JSON message could not be read"
                        : type && strcmp(type, "event") == 0 ? "message correctly parsed"
                                                             : "heartbeat received";
    gui->rig->heartbeats += type && strcmp(type, "heartbeat") == 0;
    json_decref(request);
    (void)zmq_send(gui->listen, reply, strlen(reply), ZMQ_DONTWAIT);
}

/* Waits until somebody subscribes to spikes, and a moment more for the rest. */
static int wait_for_listener(struct gui *gui, struct traj_error *error)
{
    double until = monotonic_seconds() + gui->rig->wait_s;
    bool event = false, data = false;
    while (!(event && data) && monotonic_seconds() < until && !interrupted()) {
        unsigned char topic[64];
        zmq_pollitem_t item = {.socket = gui->data, .events = ZMQ_POLLIN};
        if (zmq_poll(&item, 1, 50) <= 0) {
            answer(gui);
            continue;
        }
        int size = zmq_recv(gui->data, topic, sizeof topic, 0);
        if (size >= 1 && topic[0] == 1) {
            event = event || size == 1 || topic[1] == 'E';
            data = data || size == 1 || topic[1] == 'D';
        }
        if (event && !data && until > monotonic_seconds() + 0.3) {
            until = monotonic_seconds() + 0.3;
        }
    }
    if (interrupted()) {
        return 1;
    }
    return event ? 0 : traj_error_set(error, "nobody has subscribed within %g s", gui->rig->wait_s);
}

static int open_gui(struct rig *rig, void **self, struct traj_error *error)
{
    struct gui *gui = calloc(1, sizeof *gui);
    int one = 1, timeout = STUCK_MS, hwm = 100000, linger = STUCK_MS, none = 0;
    *self = gui;
    if (!gui) {
        return traj_error_set(error, "memory is short");
    }
    gui->rig = rig;
    for (size_t i = 0; i < WAVE_SAMPLES; i++) {
        gui->wave[i] = i < 8 ? -10.0f * (float)i : -80.0f + 4.0f * (float)(i - 8);
    }
    gui->context = zmq_ctx_new();
    gui->data = gui->context ? zmq_socket(gui->context, ZMQ_XPUB) : NULL;
    gui->listen = gui->context ? zmq_socket(gui->context, ZMQ_REP) : NULL;
    /* The plugin drops what a subscriber does not fetch; here nothing is lost by accident. */
    if (!gui->data || !gui->listen ||
        zmq_setsockopt(gui->data, ZMQ_XPUB_NODROP, &one, sizeof one) ||
        zmq_setsockopt(gui->data, ZMQ_SNDTIMEO, &timeout, sizeof timeout) ||
        zmq_setsockopt(gui->data, ZMQ_SNDHWM, &hwm, sizeof hwm) ||
        zmq_setsockopt(gui->data, ZMQ_LINGER, &linger, sizeof linger) ||
        zmq_setsockopt(gui->listen, ZMQ_LINGER, &none, sizeof none)) {
        return traj_error_set(error, "no socket: %s", zmq_strerror(zmq_errno()));
    }
    int result = bind_ports(gui, error);
    return result ? result : wait_for_listener(gui, error);
}

static void close_gui(void *self)
{
    struct gui *gui = self;
    if (!gui) {
        return;
    }
    if (gui->data) {
        (void)zmq_close(gui->data);
    }
    if (gui->listen) {
        (void)zmq_close(gui->listen);
    }
    if (gui->context) {
        (void)zmq_ctx_term(gui->context);
    }
    free(gui->samples);
    free(gui);
}

/* --- messages ------------------------------------------------------------------------------ */

static int send_part(struct gui *gui, const void *data, size_t size, int flags,
                     struct traj_error *error)
{
    while (zmq_send(gui->data, data, size, flags) < 0) {
        if (zmq_errno() != EINTR) {
            return traj_error_set(error, "sending: %s", zmq_strerror(zmq_errno()));
        }
        if (interrupted()) {
            return 1;
        }
    }
    return 0;
}

/* Sends a message of three parts, or loses it; either way it has its number. */
static int send_message(struct gui *gui, struct traj_oe_message *message, const void *payload,
                        size_t size, struct traj_error *error)
{
    static const float threshold[1] = {-50.0f};
    char header[HEADER_MAX];
    struct timespec now;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    message->number = ++gui->number;
    message->timestamp = (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
    (void)strcpy(message->stream, STREAM);
    if (rig_loses(gui->rig)) {
        gui->rig->spikes_dropped += message->kind == TRAJ_OE_SPIKE;
        return 0;
    }
    struct traj_oe_part envelope = traj_oe_envelope(message->kind);
    size_t length = traj_oe_write_header(message, SOURCE_NODE, threshold, header, sizeof header);
    int result = send_part(gui, envelope.data, envelope.size, ZMQ_SNDMORE, error);
    result = result ? result : send_part(gui, header, length, ZMQ_SNDMORE, error);
    return result ? result : send_part(gui, payload, size, 0, error);
}

static void name_channel(size_t unit, char *out, size_t cap, int *sorted)
{
    (void)snprintf(out, cap, "Electrode %zu", unit + 1);
    *sorted = 1;
}

static int send_item(void *self, const struct rig_item *item, struct traj_error *error)
{
    struct gui *gui = self;
    struct traj_oe_message message = {.sample = item->sample};
    if (item->spike) {
        int sorted = 0;
        message.kind = TRAJ_OE_SPIKE;
        name_channel(item->unit, message.name, sizeof message.name, &sorted);
        message.sorted_id = sorted;
        message.channels = 1;
        message.samples = WAVE_SAMPLES;
        gui->rig->spikes++;
        return send_message(gui, &message, gui->wave, sizeof gui->wave, error);
    }
    unsigned char payload[TRAJ_OE_TTL_SIZE];
    uint64_t bit = (uint64_t)1 << item->line;
    gui->word = item->state ? gui->word | bit : gui->word & ~bit;
    message.kind = TRAJ_OE_TTL;
    message.line = item->line;
    message.state = item->state;
    message.word = gui->word;
    traj_oe_write_ttl(&message, payload);
    return send_message(gui, &message, payload, sizeof payload, error);
}

/* The plugin sends a block's samples channel by channel, after its events. */
static int send_block(void *self, int64_t start, int64_t samples, struct traj_error *error)
{
    struct gui *gui = self;
    size_t count = (size_t)samples;
    answer(gui);
    if (count > gui->room) {
        free(gui->samples);
        gui->samples = calloc(count, sizeof *gui->samples);
        gui->room = gui->samples ? count : 0;
        if (!gui->samples) {
            return traj_error_set(error, "memory is short");
        }
    }
    int result = 0;
    for (size_t c = 0; c < gui->rig->channels && result == 0; c++) {
        struct traj_oe_message message = {.kind = TRAJ_OE_DATA,
                                          .sample = start,
                                          .samples = (uint32_t)count,
                                          .channels = (uint32_t)c,
                                          .rate = gui->rig->rate};
        (void)snprintf(message.name, sizeof message.name, "CH%zu", c + 1);
        result = send_message(gui, &message, gui->samples, count * sizeof *gui->samples, error);
    }
    return result;
}

static int restart(void *self, struct traj_error *error)
{
    struct gui *gui = self;
    (void)error;
    gui->number = 0;
    gui->word = 0;
    return 0;
}

const struct rig_system rig_open_ephys = {
    .name = "open-ephys",
    .endpoint = "tcp://127.0.0.1:5556",
    .rate = 30000.0,
    .open = open_gui,
    .item = send_item,
    .block = send_block,
    .restart = restart,
    .close = close_gui,
    .channel = name_channel,
};
