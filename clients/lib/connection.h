/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What the three kinds of client connection share: a context, a socket and the "@" and ">" of
 * endpoints.
 */
#ifndef TRAJ_CLIENT_CONNECTION_H
#define TRAJ_CLIENT_CONNECTION_H

#include "traj/client.h"

/* A context and one socket of its own; the context has one I/O thread. */
struct connection {
    void *context;
    void *socket;
};

/* Makes the context and a socket of the zmq type; 0 or a negative errno value. */
int connection_open(struct connection *connection, int type);

/* Sets an integer option; 0 or a negative errno value. */
int connection_option(struct connection *connection, int option, int value);

/*
 * "@endpoint" binds, ">endpoint" or a bare endpoint connects, with keys unless they are NULL; 0 or
 * a negative errno value.
 */
int connection_attach(struct connection *connection, const char *endpoint,
                      const struct traj_keys *keys);

/*
 * Closes; what is queued may take linger_ms (-1 = for ever) to leave. Harmless on a zeroed struct.
 */
void connection_close(struct connection *connection, int linger_ms);

/* Waits until the socket can be read: 0, -ETIMEDOUT, -EINTR or another negative errno value. */
int connection_wait(struct connection *connection, int timeout_ms);

#endif
