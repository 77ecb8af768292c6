/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Open Ephys, by the GUI's plugin "Event Broadcaster": spikes and TTL events of all streams by
 * PUB/SUB, as JSON or in the GUI's binary form.  Nothing counts its messages, so losses cannot be
 * told, and nothing but spikes and lines tells the time: a line that beats (a sync pulse) helps.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/io/source/rig.h"
#include "proto/event_broadcaster.h"

#define MESSAGE_MAX (1 << 20)

struct broadcaster {
    struct traj_intake *intake;
    void *data;
    char stream[TRAJ_EB_NAME_SIZE]; /* "" until the first message */
    bool rate_told;
};

static void close_broadcaster(void *argument)
{
    struct broadcaster *self = argument;

    if (self->data != NULL) {
        (void)zmq_close(self->data);
    }
    free(self);
}

static int connect_data(struct broadcaster *self, void *context, struct traj_error *error)
{
    const struct traj_url *url = &self->intake->url;
    int zero = 0;
    int64_t max = MESSAGE_MAX;
    char address[300];

    self->data = zmq_socket(context, ZMQ_SUB);
    (void)snprintf(address, sizeof address, "tcp://%.255s:%s", url->host, url->port);
    if (self->data == NULL || zmq_setsockopt(self->data, ZMQ_RCVHWM, &zero, sizeof zero) != 0 ||
        zmq_setsockopt(self->data, ZMQ_LINGER, &zero, sizeof zero) != 0 ||
        zmq_setsockopt(self->data, ZMQ_MAXMSGSIZE, &max, sizeof max) != 0 ||
        zmq_setsockopt(self->data, ZMQ_SUBSCRIBE, "", 0) != 0 ||
        zmq_connect(self->data, address) != 0) {
        return traj_error_set(error, "source: %s: %s", address, zmq_strerror(zmq_errno()));
    }
    return 0;
}

static void *open_broadcaster(struct traj_intake *intake, void *context, struct traj_error *error)
{
    struct broadcaster *self = calloc(1, sizeof *self);
    const char *stream = traj_url_text(&intake->url, "stream", intake->map.stream);

    if (self == NULL) {
        (void)traj_error_set(error, "out of memory");
        return NULL;
    }
    self->intake = intake;
    if (strlen(stream) >= sizeof self->stream) {
        (void)traj_error_set(error, "source: the name of the stream is too long");
        close_broadcaster(self);
        return NULL;
    }
    memcpy(self->stream, stream, strlen(stream) + 1);
    if (connect_data(self, context, error) != 0) {
        close_broadcaster(self);
        return NULL;
    }
    return self;
}

static int items_broadcaster(void *argument, zmq_pollitem_t *item)
{
    struct broadcaster *self = argument;

    item[0] = (zmq_pollitem_t){.socket = self->data, .events = ZMQ_POLLIN};
    return 1;
}

static void take_message(struct broadcaster *self, const struct traj_eb_message *message,
                         double now)
{
    double rate = self->intake->settings.rate;

    if (self->stream[0] == '\0') {
        memcpy(self->stream, message->stream, sizeof self->stream);
    }
    if (strcmp(self->stream, message->stream) != 0) {
        self->intake->counters.foreign++;
        return;
    }
    if (message->rate > 0.0 && fabs(message->rate - rate) > 1e-3 * rate) {
        if (!self->rate_told) {
            traj_intake_say(self->intake, "stream \"%s\" has %g samples/s, not %g as the map says",
                            self->stream, message->rate, rate);
            self->rate_told = true;
        }
        self->intake->counters.refused++;
        return;
    }
    traj_intake_seen(self->intake, message->sample, now);
    if (message->kind == TRAJ_EB_SPIKE) {
        traj_intake_spikes(self->intake, message->electrode, message->sorted_id, message->sample,
                           1);
    } else {
        traj_intake_line(self->intake, message->line, message->state != 0, message->sample);
    }
}

/* Receives a message of two parts; how many there were, 0 = none waits. */
static int receive(void *socket, zmq_msg_t part[2])
{
    int count = 0;
    int more = 1;

    while (more) {
        zmq_msg_t rest;

        (void)zmq_msg_init(&rest);
        if (zmq_msg_recv(&rest, socket, ZMQ_DONTWAIT) < 0) {
            (void)zmq_msg_close(&rest);
            return count;
        }
        more = zmq_msg_more(&rest);
        if (count < 2) {
            (void)zmq_msg_move(&part[count], &rest);
        }
        (void)zmq_msg_close(&rest);
        count++;
    }
    return count;
}

static bool take_broadcaster(void *argument, double now)
{
    struct broadcaster *self = argument;
    struct traj_eb_message message;
    zmq_msg_t part[2];
    int count;

    (void)zmq_msg_init(&part[0]);
    (void)zmq_msg_init(&part[1]);
    count = receive(self->data, part);
    if (count > 0) {
        self->intake->counters.messages++;
        if (count == 2 &&
            traj_eb_parse(zmq_msg_data(&part[0]), zmq_msg_size(&part[0]), zmq_msg_data(&part[1]),
                          zmq_msg_size(&part[1]), &message, NULL) == TRAJ_ACCEPTED) {
            take_message(self, &message, now);
        } else {
            self->intake->counters.refused++;
        }
    }
    (void)zmq_msg_close(&part[0]);
    (void)zmq_msg_close(&part[1]);
    return count > 0;
}

static double tick_broadcaster(void *argument, double now)
{
    (void)argument;
    return now + 3600.0;
}

static const char *const options[] = {"stream", NULL};

const struct traj_rig_kind traj_rig_event_broadcaster = {
    .scheme = "event-broadcaster",
    .port = "5557",
    .options = options,
    .defaults = {.lag_s = 0.04, .wait_s = 0.15, .silence_s = 1.0, .jump_s = 4.0},
    .open = open_broadcaster,
    .close = close_broadcaster,
    .items = items_broadcaster,
    .take = take_broadcaster,
    .tick = tick_broadcaster,
};
