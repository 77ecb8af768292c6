/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The housekeeping thread: everything that takes time or may wait.  It owns the control socket and
 * the log, loads models, reads the configuration again after SIGHUP, and writes the status
 * messages.
 */
#ifndef TRAJ_IO_HOUSEKEEPING_H
#define TRAJ_IO_HOUSEKEEPING_H

#include "daemon/io/service.h"
#include "daemon/learn/error.h"

struct traj_housekeeping;

/*
 * Binds the control socket.  service and context are borrowed.  NULL with a sentence.  The thread
 * is started apart, so that everything that can fail has been tried before.
 */
struct traj_housekeeping *traj_housekeeping_open(void *context, struct traj_service *service,
                                                 struct traj_error *error);

/*
 * Starts the thread with these attributes (NULL = the usual ones); from now on *service is its own.
 * 0, or -1 with a sentence.
 */
int traj_housekeeping_start(struct traj_housekeeping *housekeeping,
                            const pthread_attr_t *attributes, struct traj_error *error);

/* Waits for the thread to end (it does after traj_exchange_end) and closes the socket. */
void traj_housekeeping_close(struct traj_housekeeping **housekeeping);

#endif
