/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A control connection: one JSON request, one JSON reply. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <zmq.h>

#include "clients/lib/connection.h"
#include "traj/client.h"

struct traj_control {
    struct connection connection;
    char *reply;
};

int traj_control_open_with(const char *endpoint, const struct traj_keys *keys,
                           struct traj_control **control)
{
    struct traj_control *self = calloc(1, sizeof *self);
    int rc;

    *control = NULL;
    if (self == NULL) {
        return -ENOMEM;
    }
    rc = connection_open(&self->connection, ZMQ_REQ);
    /*
     * A plain REQ socket that got no reply can never ask again.  Relaxed and correlated it can, and
     * the late reply to an abandoned request is dropped rather than taken for the answer to the
     * next.
     */
    if (rc == 0) {
        rc = connection_option(&self->connection, ZMQ_REQ_CORRELATE, 1);
    }
    if (rc == 0) {
        rc = connection_option(&self->connection, ZMQ_REQ_RELAXED, 1);
    }
    if (rc == 0) {
        rc = connection_attach(&self->connection, endpoint, keys);
    }
    if (rc != 0) {
        traj_control_close(&self);
        return rc;
    }
    *control = self;
    return 0;
}

int traj_control_open(const char *endpoint, struct traj_control **control)
{
    return traj_control_open_with(endpoint, NULL, control);
}

/* Reads one reply of one part into the object. */
static int read_reply(struct traj_control *control)
{
    zmq_msg_t message;
    int rc = 0;

    (void)zmq_msg_init(&message);
    if (zmq_msg_recv(&message, control->connection.socket, 0) < 0) {
        rc = -zmq_errno();
    } else if (zmq_msg_more(&message)) {
        rc = -EBADMSG;
    } else {
        size_t size = zmq_msg_size(&message);

        free(control->reply);
        control->reply = malloc(size + 1);
        if (control->reply == NULL) {
            rc = -ENOMEM;
        } else {
            memcpy(control->reply, zmq_msg_data(&message), size);
            control->reply[size] = '\0';
        }
    }
    (void)zmq_msg_close(&message);
    return rc;
}

int traj_control_request(struct traj_control *control, const char *request, int timeout_ms,
                         const char **reply)
{
    int rc;

    /* SNDTIMEO bounds the wait for a peer that was never there; a relaxed REQ queues at once. */
    rc = connection_option(&control->connection, ZMQ_SNDTIMEO, timeout_ms);
    if (rc != 0) {
        return rc;
    }
    if (zmq_send(control->connection.socket, request, strlen(request), 0) < 0) {
        return zmq_errno() == EAGAIN ? -ETIMEDOUT : -zmq_errno();
    }
    rc = connection_wait(&control->connection, timeout_ms);
    if (rc == 0) {
        rc = read_reply(control);
    }
    if (rc == 0) {
        *reply = control->reply;
    }
    return rc;
}

void traj_control_close(struct traj_control **control)
{
    if (*control != NULL) {
        connection_close(&(*control)->connection, 0);
        free((*control)->reply);
        free(*control);
        *control = NULL;
    }
}
