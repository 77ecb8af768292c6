/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A source of frames and events: an XPUB socket that loses nothing.  XPUB rather than PUB because
 * it can wait for the daemon's subscription and, with ZMQ_XPUB_NODROP, blocks at its high-water
 * mark where PUB would drop.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <zmq.h>

#include "clients/lib/connection.h"
#include "proto/frame.h"
#include "traj/client.h"

/* Messages that may wait for one daemon before publishing blocks. */
#define SOURCE_QUEUE 1000

struct traj_source {
    struct connection connection;
    bool all, frame, event; /* topics that somebody has subscribed to */
    unsigned char *body;    /* of a frame that is written here */
    size_t capacity;
};

int traj_source_open_with(const char *endpoint, const struct traj_keys *keys,
                          struct traj_source **source)
{
    struct traj_source *self = calloc(1, sizeof *self);
    int rc;

    *source = NULL;
    if (self == NULL) {
        return -ENOMEM;
    }
    rc = connection_open(&self->connection, ZMQ_XPUB);
    if (rc == 0) {
        rc = connection_option(&self->connection, ZMQ_XPUB_NODROP, 1);
    }
    if (rc == 0) {
        rc = connection_option(&self->connection, ZMQ_SNDHWM, SOURCE_QUEUE);
    }
    if (rc == 0) {
        rc = connection_attach(&self->connection, endpoint, keys);
    }
    if (rc != 0) {
        connection_close(&self->connection, 0);
        free(self);
        return rc;
    }
    *source = self;
    return 0;
}

int traj_source_open(const char *endpoint, struct traj_source **source)
{
    return traj_source_open_with(endpoint, NULL, source);
}

/* Notes one subscription message: 1 or 0, then the topic. */
static void note_subscription(struct traj_source *source, const char *body, size_t size)
{
    bool on;

    if (size == 0 || (body[0] != 0 && body[0] != 1)) {
        return;
    }
    on = body[0] == 1;
    if (size == 1) {
        source->all = on;
    } else if (size == 6 && memcmp(body + 1, "frame", 5) == 0) {
        source->frame = on;
    } else if (size == 6 && memcmp(body + 1, "event", 5) == 0) {
        source->event = on;
    }
}

/* Reads the subscriptions that wait; called at each publication so that they never pile up. */
static int read_subscriptions(struct traj_source *source)
{
    char body[64];

    for (;;) {
        int size = zmq_recv(source->connection.socket, body, sizeof body, ZMQ_DONTWAIT);

        if (size < 0) {
            return zmq_errno() == EAGAIN ? 0 : -zmq_errno();
        }
        /* A topic longer than the buffer is not one of ours; zmq_recv returns its true length. */
        if ((size_t)size <= sizeof body) {
            note_subscription(source, body, (size_t)size);
        }
    }
}

static int64_t monotonic_ms(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

int traj_source_wait(struct traj_source *source, int timeout_ms)
{
    int64_t deadline = monotonic_ms() + timeout_ms;

    for (;;) {
        int left = -1;
        int rc = read_subscriptions(source);

        if (rc != 0) {
            return rc;
        }
        if (source->all || (source->frame && source->event)) {
            return 0;
        }
        if (timeout_ms >= 0) {
            int64_t rest = deadline - monotonic_ms();
            left = rest > 0 ? (int)rest : 0;
        }
        rc = connection_wait(&source->connection, left);
        if (rc != 0) {
            return rc;
        }
    }
}

static int publish(struct traj_source *source, const char *topic, const void *body, size_t size)
{
    void *socket = source->connection.socket;
    int rc = read_subscriptions(source);

    if (rc != 0 && rc != -EINTR) {
        return rc;
    }
    /* Only the topic can block or be interrupted; once it is queued, the body belongs to it. */
    if (zmq_send(socket, topic, strlen(topic), ZMQ_SNDMORE) < 0) {
        return -zmq_errno();
    }
    while (zmq_send(socket, body, size, 0) < 0) {
        if (zmq_errno() != EINTR) {
            return -zmq_errno();
        }
    }
    return 0;
}

int traj_source_frame(struct traj_source *source, const void *body, size_t size)
{
    return publish(source, "frame", body, size);
}

int traj_source_counts(struct traj_source *source, uint64_t seq, double t, double dt,
                       const uint16_t *counts, size_t units)
{
    /* The frame's buffer is the parser's to write to; here it is only read. */
    const struct traj_frame frame = {
        .seq = seq, .t = t, .dt = dt, .units = units, .counts = (uint16_t *)counts};
    size_t size = TRAJ_FRAME_HEADER + 2 * units;

    if (units == 0 || units > UINT32_MAX) {
        return -EINVAL;
    }
    if (size > source->capacity) {
        unsigned char *body = realloc(source->body, size);

        if (body == NULL) {
            return -ENOMEM;
        }
        source->body = body;
        source->capacity = size;
    }
    size = traj_frame_write_binary(&frame, source->body, size);
    return traj_source_frame(source, source->body, size);
}

int traj_source_event(struct traj_source *source, const void *body, size_t size)
{
    return publish(source, "event", body, size);
}

int traj_source_close(struct traj_source **source, int linger_ms)
{
    if (*source != NULL) {
        connection_close(&(*source)->connection, linger_ms);
        free((*source)->body);
        free(*source);
        *source = NULL;
    }
    return 0;
}
