/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A subscriber to what the daemon publishes: intents, stale, status. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <zmq.h>

#include "clients/lib/connection.h"
#include "proto/intent.h"
#include "proto/intent_binary.h"
#include "traj/client.h"

/*
 * Longest topic and body that are believed.  The receive queue is unlimited: a client that scores
 * every intent must not lose one because it was busy, and it can always be ended.
 */
#define SINK_TOPIC 64
#define SINK_BODY (16u << 20)

struct traj_sink {
    struct connection connection;
    char topic[SINK_TOPIC];
    char *body;
    size_t capacity;
    struct traj_intent_buffer parsed;
};

/* Subscribes to each topic of a comma-separated list; an empty list subscribes to everything. */
static int subscribe(struct traj_sink *sink, const char *topics)
{
    const char *at = topics;

    for (;;) {
        size_t length = strcspn(at, ",");

        if (zmq_setsockopt(sink->connection.socket, ZMQ_SUBSCRIBE, at, length) != 0) {
            return -zmq_errno();
        }
        if (at[length] == '\0') {
            return 0;
        }
        at += length + 1;
    }
}

int traj_sink_open_with(const char *endpoint, const struct traj_keys *keys, const char *topics,
                        struct traj_sink **sink)
{
    struct traj_sink *self = calloc(1, sizeof *self);
    int rc;

    *sink = NULL;
    if (self == NULL) {
        return -ENOMEM;
    }
    rc = connection_open(&self->connection, ZMQ_SUB);
    if (rc == 0) {
        rc = connection_option(&self->connection, ZMQ_RCVHWM, 0);
    }
    if (rc == 0) {
        rc = subscribe(self, topics);
    }
    if (rc == 0) {
        rc = connection_attach(&self->connection, endpoint, keys);
    }
    if (rc != 0) {
        traj_sink_close(&self);
        return rc;
    }
    *sink = self;
    return 0;
}

int traj_sink_open(const char *endpoint, const char *topics, struct traj_sink **sink)
{
    return traj_sink_open_with(endpoint, NULL, topics, sink);
}

/* Makes room for size bytes and a NUL. */
static int reserve(struct traj_sink *sink, size_t size)
{
    if (size >= sink->capacity) {
        size_t capacity = size + size / 2 + 64;
        char *body = realloc(sink->body, capacity);

        if (body == NULL) {
            return -ENOMEM;
        }
        sink->body = body;
        sink->capacity = capacity;
    }
    return 0;
}

/* Takes part number `part` of a message into the sink; 0 or a negative errno value. */
static int take_part(struct traj_sink *sink, size_t part, zmq_msg_t *message, size_t *size)
{
    size_t length = zmq_msg_size(message);

    if (part == 0) {
        if (length >= SINK_TOPIC) {
            return -EBADMSG;
        }
        memcpy(sink->topic, zmq_msg_data(message), length);
        sink->topic[length] = '\0';
        return 0;
    }
    if (part > 1 || length > SINK_BODY) {
        return -EBADMSG;
    }
    if (reserve(sink, length) != 0) {
        return -ENOMEM;
    }
    memcpy(sink->body, zmq_msg_data(message), length);
    sink->body[length] = '\0';
    *size = length;
    return 0;
}

int traj_sink_receive(struct traj_sink *sink, int timeout_ms, const char **topic, const char **body,
                      size_t *size)
{
    size_t part = 0;
    int more = 1;
    int rc = connection_wait(&sink->connection, timeout_ms);

    if (rc != 0) {
        return rc;
    }
    /*
     * All parts are read even after a bad one, so that the next call stands at a message's start.
     */
    for (; more; part++) {
        zmq_msg_t message;

        (void)zmq_msg_init(&message);
        while (zmq_msg_recv(&message, sink->connection.socket, 0) < 0) {
            if (zmq_errno() != EINTR) {
                int error = -zmq_errno();
                (void)zmq_msg_close(&message);
                return error;
            }
        }
        more = zmq_msg_more(&message);
        if (rc == 0) {
            rc = take_part(sink, part, &message, size);
        }
        (void)zmq_msg_close(&message);
    }
    if (rc != 0) {
        return rc;
    }
    if (part != 2) {
        return -EBADMSG;
    }
    *topic = sink->topic;
    *body = sink->body;
    return 0;
}

int traj_sink_intent(struct traj_sink *sink, int timeout_ms, const struct traj_intent **intent,
                     double *silent)
{
    const char *topic = "";
    const char *body = "";
    size_t size = 0;
    enum traj_refusal refusal = TRAJ_REFUSED_TYPE;
    int rc = traj_sink_receive(sink, timeout_ms, &topic, &body, &size);

    if (rc != 0) {
        return rc;
    }
    *silent = NAN;
    if (strcmp(topic, TRAJ_TOPIC_BINARY) == 0) {
        refusal = traj_intent_parse_binary(body, size, &sink->parsed, silent, NULL);
    } else if (strcmp(topic, "intent") == 0) {
        refusal = traj_intent_parse(body, size, &sink->parsed, NULL);
    }
    *intent = &sink->parsed.intent;
    return refusal == TRAJ_ACCEPTED ? 0 : -EBADMSG;
}

void traj_sink_close(struct traj_sink **sink)
{
    if (*sink != NULL) {
        connection_close(&(*sink)->connection, 0);
        free((*sink)->body);
        free(*sink);
        *sink = NULL;
    }
}
