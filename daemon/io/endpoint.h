/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Endpoints as the configuration spells them: "@..." or bare binds, ">..." connects. */
#ifndef TRAJ_IO_ENDPOINT_H
#define TRAJ_IO_ENDPOINT_H

#include <stdbool.h>

#include "daemon/learn/error.h"

#define TRAJ_ENDPOINT_SIZE 256

struct traj_endpoint {
    bool connect;
    bool tcp;
    bool beyond;                      /* other machines can reach it, or it is another machine */
    char address[TRAJ_ENDPOINT_SIZE]; /* as libzmq takes it */
};

/*
 * Reads an endpoint: ipc://, inproc://, or tcp:// with a port.  Whoever reaches a socket of the
 * daemon can steer it; so what is `beyond` 127.x.x.x, [::1] and localhost needs keys, which the
 * caller checks.  Returns 0, or -1 with a sentence that names field ("frames") and text.
 */
int traj_endpoint_parse(const char *field, const char *text, struct traj_endpoint *endpoint,
                        struct traj_error *error);

/* Binds or connects a zmq socket; 0, or -1 with a sentence that names field, address and reason. */
int traj_endpoint_attach(const char *field, const struct traj_endpoint *endpoint, void *handle,
                         struct traj_error *error);

#endif
