/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the three kinds of client connection share; see connection.h. */
#include "clients/lib/connection.h"

#include <errno.h>
#include <stddef.h>
#include <zmq.h>

int connection_open(struct connection *connection, int type)
{
    connection->socket = NULL;
    connection->context = zmq_ctx_new();
    if (connection->context == NULL) {
        return -ENOMEM;
    }
    connection->socket = zmq_socket(connection->context, type);
    if (connection->socket == NULL) {
        int error = -zmq_errno();
        connection_close(connection, 0);
        return error;
    }
    return 0;
}

int connection_option(struct connection *connection, int option, int value)
{
    if (zmq_setsockopt(connection->socket, option, &value, sizeof value) != 0) {
        return -zmq_errno();
    }
    return 0;
}

/* 0 or -1 with zmq_errno. */
static int use_keys(void *socket, const struct traj_keys *keys)
{
    return zmq_setsockopt(socket, ZMQ_CURVE_SERVERKEY, keys->server_key, TRAJ_CLIENT_KEY - 1) ||
                   zmq_setsockopt(socket, ZMQ_CURVE_PUBLICKEY, keys->public_key,
                                  TRAJ_CLIENT_KEY - 1) ||
                   zmq_setsockopt(socket, ZMQ_CURVE_SECRETKEY, keys->secret_key,
                                  TRAJ_CLIENT_KEY - 1)
               ? -1
               : 0;
}

int connection_attach(struct connection *connection, const char *endpoint,
                      const struct traj_keys *keys)
{
    int rc;

    if (keys != NULL && endpoint[0] == '@') {
        return -EOPNOTSUPP; /* who binds would have to know whom to let in */
    }
    if (keys != NULL && use_keys(connection->socket, keys) != 0) {
        return -zmq_errno();
    }
    if (endpoint[0] == '@') {
        rc = zmq_bind(connection->socket, endpoint + 1);
    } else {
        rc = zmq_connect(connection->socket, endpoint[0] == '>' ? endpoint + 1 : endpoint);
    }
    return rc == 0 ? 0 : -zmq_errno();
}

void connection_close(struct connection *connection, int linger_ms)
{
    if (connection->socket != NULL) {
        (void)zmq_setsockopt(connection->socket, ZMQ_LINGER, &linger_ms, sizeof linger_ms);
        (void)zmq_close(connection->socket);
        connection->socket = NULL;
    }
    if (connection->context != NULL) {
        /* Waits for what lingers; a signal may interrupt it, and then it must be called again. */
        while (zmq_ctx_term(connection->context) != 0 && zmq_errno() == EINTR) {
        }
        connection->context = NULL;
    }
}

int connection_wait(struct connection *connection, int timeout_ms)
{
    zmq_pollitem_t item = {.socket = connection->socket, .events = ZMQ_POLLIN};
    int rc = zmq_poll(&item, 1, timeout_ms);

    if (rc < 0) {
        return -zmq_errno();
    }
    return rc == 0 ? -ETIMEDOUT : 0;
}
