/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Open Ephys, by the GUI's plugin "ZMQ Interface": spikes and TTL lines by PUB/SUB, a heartbeat by
 * REQ/REP at the next port so that the GUI shows trajd among its clients.
 *
 * The plugin counts all its messages (message_num), which is the only way to see a loss; so trajd
 * subscribes to the continuous samples too unless ?continuous=off, reads their headers and drops
 * them.  They also tell the time: the plugin sends a block's samples after the block's spikes, so
 * what lies before the end of a block has come, but for spikes whose waveform reached into the next
 * one (lag).
 */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/io/source/rig.h"
#include "proto/open_ephys.h"

#define HEARTBEAT_S 2.0 /* the GUI greys a client out after 5 s */
#define PATIENCE_S 10.0 /* a heartbeat without reply for so long: the socket is made anew */
#define MESSAGE_MAX (16 << 20)

struct open_ephys {
    struct traj_intake *intake;
    void *context;
    void *data;
    void *beat; /* NULL = no heartbeat */
    char beat_address[300];
    bool waiting;  /* for the reply to a heartbeat */
    double beaten; /* s */

    char stream[TRAJ_OE_NAME_SIZE]; /* "" until the first message */
    bool continuous;                /* subscribed to */
    bool timed;                     /* blocks of samples tell the time of this run */
    bool numbered;
    int64_t number;    /* of the last message */
    uint64_t nameless; /* refused since then, whose numbers could not be read */
    bool begun;        /* this run's clock has been started */
    bool rate_told;
};

/* --- sockets ---------------------------------------------------------------------------------- */

static int connect_data(struct open_ephys *self, struct traj_error *error)
{
    const struct traj_url *url = &self->intake->url;
    int zero = 0;
    int64_t max = MESSAGE_MAX;
    char address[300];

    self->data = zmq_socket(self->context, ZMQ_SUB);
    (void)snprintf(address, sizeof address, "tcp://%.255s:%s", url->host, url->port);
    if (self->data == NULL || zmq_setsockopt(self->data, ZMQ_RCVHWM, &zero, sizeof zero) != 0 ||
        zmq_setsockopt(self->data, ZMQ_LINGER, &zero, sizeof zero) != 0 ||
        zmq_setsockopt(self->data, ZMQ_MAXMSGSIZE, &max, sizeof max) != 0 ||
        zmq_setsockopt(self->data, ZMQ_SUBSCRIBE, "EVENT", 5) != 0 ||
        (self->continuous && zmq_setsockopt(self->data, ZMQ_SUBSCRIBE, "DATA", 4) != 0) ||
        zmq_connect(self->data, address) != 0) {
        return traj_error_set(error, "source: %s: %s", address, zmq_strerror(zmq_errno()));
    }
    return 0;
}

static void connect_beat(struct open_ephys *self)
{
    int zero = 0;

    if (self->beat != NULL) {
        (void)zmq_close(self->beat);
    }
    self->waiting = false;
    self->beat = zmq_socket(self->context, ZMQ_REQ);
    if (self->beat != NULL && (zmq_setsockopt(self->beat, ZMQ_LINGER, &zero, sizeof zero) != 0 ||
                               zmq_connect(self->beat, self->beat_address) != 0)) {
        (void)zmq_close(self->beat);
        self->beat = NULL;
    }
}

static int read_switch(const struct traj_url *url, const char *key, bool *on,
                       struct traj_error *error)
{
    const char *text = traj_url_text(url, key, "on");

    if (strcmp(text, "on") != 0 && strcmp(text, "off") != 0) {
        return traj_error_set(error, "source: option \"%s\" must be on or off", key);
    }
    *on = strcmp(text, "on") == 0;
    return 0;
}

static void close_open_ephys(void *argument)
{
    struct open_ephys *self = argument;

    if (self->data != NULL) {
        (void)zmq_close(self->data);
    }
    if (self->beat != NULL) {
        (void)zmq_close(self->beat);
    }
    free(self);
}

static void *open_open_ephys(struct traj_intake *intake, void *context, struct traj_error *error)
{
    struct open_ephys *self = calloc(1, sizeof *self);
    const char *stream = traj_url_text(&intake->url, "stream", intake->map.stream);
    bool beats = false;

    if (self == NULL) {
        (void)traj_error_set(error, "out of memory");
        return NULL;
    }
    self->intake = intake;
    self->context = context;
    if (strlen(stream) >= sizeof self->stream) {
        (void)traj_error_set(error, "source: the name of the stream is too long");
        close_open_ephys(self);
        return NULL;
    }
    memcpy(self->stream, stream, strlen(stream) + 1);
    if (read_switch(&intake->url, "continuous", &self->continuous, error) != 0 ||
        read_switch(&intake->url, "heartbeat", &beats, error) != 0 ||
        connect_data(self, error) != 0) {
        close_open_ephys(self);
        return NULL;
    }
    if (beats) {
        (void)snprintf(self->beat_address, sizeof self->beat_address, "tcp://%.255s:%ld",
                       intake->url.host, strtol(intake->url.port, NULL, 10) + 1);
        connect_beat(self);
    }
    return self;
}

static int items_open_ephys(void *argument, zmq_pollitem_t *item)
{
    struct open_ephys *self = argument;

    /* Nothing is urgent about the reply to a heartbeat: the next tick reads it. */
    item[0] = (zmq_pollitem_t){.socket = self->data, .events = ZMQ_POLLIN};
    return 1;
}

/* --- the heartbeat ---------------------------------------------------------------------------- */

static void read_reply(struct open_ephys *self)
{
    char reply[64];

    while (self->beat != NULL && zmq_recv(self->beat, reply, sizeof reply, ZMQ_DONTWAIT) >= 0) {
        self->waiting = false;
    }
}

static double tick_open_ephys(void *argument, double now)
{
    struct open_ephys *self = argument;
    char text[160];

    if (self->beat_address[0] == '\0') {
        return (double)INFINITY;
    }
    read_reply(self);
    if (self->waiting && now - self->beaten > PATIENCE_S) {
        /* A REQ socket that gets no reply can never send again. */
        connect_beat(self);
        self->intake->counters.connections++;
        traj_intake_say(self->intake,
                        "no reply to the heartbeat at %.80s; if the GUI says that a port is taken, "
                        "use the ports it shows",
                        self->beat_address);
    }
    if (!self->waiting && self->beat != NULL) {
        (void)snprintf(text, sizeof text,
                       "{\"application\":\"trajd\",\"uuid\":\"trajd-%ld\",\"type\":\"heartbeat\"}",
                       (long)getpid());
        self->waiting = zmq_send(self->beat, text, strlen(text), ZMQ_DONTWAIT) >= 0;
        self->beaten = now;
    }
    return now + HEARTBEAT_S;
}

/* --- messages --------------------------------------------------------------------------------- */

static void begin_run(struct open_ephys *self)
{
    traj_intake_begin(self->intake);
    self->begun = false;
    self->timed = false;
}

/*
 * message_num counts up by one from 1 at each start of acquisition, over all kinds of messages; it
 * is a signed 32-bit counter and may wrap.  True if this is an acquisition's beginning.
 */
static bool count_number(struct open_ephys *self, int64_t number)
{
    uint64_t step;
    bool fresh = number == 1;

    if (!self->numbered) {
        self->numbered = true;
    } else if (number <= self->number && !(self->number > 2000000000 && number < -2000000000)) {
        begin_run(self);
        /* What the new acquisition has sent before was for trajd too. */
        self->intake->counters.lost +=
            self->continuous ? (uint64_t)(number > 0 ? number - 1 : 0) : 0;
        fresh = true;
    } else {
        step = (uint64_t)(uint32_t)((uint32_t)number - (uint32_t)self->number) - 1;
        /* A message that was refused had one of the numbers that are missing now. */
        step -= step < self->nameless ? step : self->nameless;
        self->intake->counters.lost += self->continuous ? step : 0;
    }
    self->nameless = 0;
    self->number = number;
    return fresh;
}

/*
 * Where the clock of a run begins.  An acquisition that trajd has seen from its first message on
 * began at sample 0, or where that message says; one that was joined is whole from the end of the
 * first block on, whose spikes may have been missed.
 */
static bool begin_clock(struct open_ephys *self, const struct traj_oe_message *message, bool fresh,
                        double now)
{
    double rate = self->intake->settings.rate;

    if (fresh) {
        traj_intake_seen(self->intake, (double)message->sample < rate ? 0 : message->sample, now);
    } else if (message->kind == TRAJ_OE_DATA) {
        traj_intake_seen(self->intake, message->sample + message->samples, now);
    } else if (!self->continuous) {
        traj_intake_seen(self->intake, message->sample, now);
    } else {
        return false;
    }
    return true;
}

static void take_data(struct open_ephys *self, const struct traj_oe_message *message, double now)
{
    double rate = self->intake->settings.rate;

    if (fabs(message->rate - rate) > 1e-3 * rate) {
        if (!self->rate_told) {
            traj_intake_say(self->intake, "stream \"%s\" has %g samples/s, not %g as the map says",
                            self->stream, message->rate, rate);
            self->rate_told = true;
        }
        self->intake->counters.refused++;
        return;
    }
    self->timed = true;
    traj_intake_seen(self->intake, message->sample + message->samples, now);
}

static void take_message(struct open_ephys *self, const struct traj_oe_message *message, double now)
{
    bool fresh = count_number(self, message->number);

    if (self->stream[0] == '\0') {
        memcpy(self->stream, message->stream, sizeof self->stream);
    }
    if (strcmp(self->stream, message->stream) != 0) {
        self->intake->counters.foreign++;
        return;
    }
    if (!self->begun) {
        self->begun = begin_clock(self, message, fresh, now);
    }
    switch (message->kind) {
    case TRAJ_OE_DATA:
        take_data(self, message, now);
        break;
    case TRAJ_OE_SPIKE:
        if (!self->timed && self->begun) {
            traj_intake_seen(self->intake, message->sample, now);
        }
        traj_intake_spikes(self->intake, message->name, message->sorted_id, message->sample, 1);
        break;
    case TRAJ_OE_TTL:
        traj_intake_line(self->intake, message->line, message->state != 0, message->sample);
        break;
    case TRAJ_OE_OTHER:
        break;
    }
}

/* Receives one message of up to three parts; how many there were, 0 = none waits. */
static int receive(void *socket, zmq_msg_t part[3])
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
        if (count < 3) {
            (void)zmq_msg_move(&part[count], &rest);
        }
        (void)zmq_msg_close(&rest);
        count++;
    }
    return count;
}

static bool take_open_ephys(void *argument, double now)
{
    struct open_ephys *self = argument;
    struct traj_oe_message message;
    struct traj_oe_part view[3];
    zmq_msg_t part[3];
    int count;

    for (int i = 0; i < 3; i++) {
        (void)zmq_msg_init(&part[i]);
    }
    count = receive(self->data, part);
    for (int i = 0; i < 3; i++) {
        view[i] = (struct traj_oe_part){zmq_msg_data(&part[i]), zmq_msg_size(&part[i])};
    }
    if (count > 0) {
        self->intake->counters.messages++;
        if (count <= 3 && traj_oe_parse(view, &message, NULL) == TRAJ_ACCEPTED) {
            take_message(self, &message, now);
        } else {
            self->intake->counters.refused++;
            self->nameless++;
        }
    }
    for (int i = 0; i < 3; i++) {
        (void)zmq_msg_close(&part[i]);
    }
    return count > 0;
}

static const char *const options[] = {"stream", "continuous", "heartbeat", NULL};

const struct traj_rig_kind traj_rig_open_ephys = {
    .scheme = "open-ephys",
    .port = "5556",
    .options = options,
    .defaults = {.lag_s = 0.005, .wait_s = 0.1, .silence_s = 0.25, .jump_s = 2.0},
    .open = open_open_ephys,
    .close = close_open_ephys,
    .items = items_open_ephys,
    .take = take_open_ephys,
    .tick = tick_open_ephys,
};
