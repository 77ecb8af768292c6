/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Who may connect.  Where keys are configured, every tcp:// socket that the daemon binds speaks
 * CURVE, and libzmq asks here, before a byte of a peer reaches a socket, whether that key has the
 * right to that socket (ZAP, ZeroMQ RFC 27).  ipc:// is guarded by the permissions of its path.
 * Made before the sockets; then housekeeping's alone.
 */
#ifndef TRAJ_IO_GUARD_H
#define TRAJ_IO_GUARD_H

#include <stdbool.h>
#include <stdint.h>

#include "daemon/io/config.h"
#include "daemon/io/keys.h"
#include "daemon/io/log.h"

struct traj_guard {
    void *socket; /* NULL where no keys are configured: then nothing is asked */
    struct traj_key_pair own;
    char server[TRAJ_SOCKETS][TRAJ_KEY_SIZE]; /* "" = none: of those to which the daemon connects */
    struct traj_client_list clients;
    uint64_t admitted[TRAJ_SOCKETS]; /* connections, by socket */
    uint64_t refused[TRAJ_SOCKETS];  /* by its key; one that speaks no CURVE never gets so far */
};

/* Reads the keys and the list, if any are configured.  0, or -1 with a sentence. */
int traj_guard_read(struct traj_guard *guard, const struct traj_config *config,
                    struct traj_error *error);
/* Reads them and listens to libzmq's questions.  0, or -1 with a sentence. */
int traj_guard_open(struct traj_guard *guard, void *context, const struct traj_config *config,
                    struct traj_error *error);
void traj_guard_close(struct traj_guard *guard);

/*
 * Prepares a socket that is to be attached to the endpoint: keys where they are needed, how long a
 * handshake may take, the longest message, when a peer that has vanished is given up.
 */
int traj_guard_socket(const struct traj_guard *guard, enum traj_socket socket,
                      const struct traj_endpoint *endpoint, int64_t message_max, void *handle,
                      struct traj_error *error);

/* Answers what libzmq asks; now (s) is for the log, which hears of refusals at a limited rate. */
void traj_guard_answer(struct traj_guard *guard, struct traj_log *log, double now);

/*
 * The list of clients as it stands on the disk now, to be freed; empty where no keys are asked for.
 * 0, or -1 with a sentence.
 */
int traj_guard_reread(const struct traj_guard *guard, const struct traj_config *config,
                      struct traj_client_list *next, struct traj_error *error);
/* Puts it in force, and the former into *next; connections that are there stay. */
void traj_guard_use(struct traj_guard *guard, struct traj_client_list *next);

#endif
