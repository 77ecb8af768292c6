/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Signals as a descriptor that can be polled: nothing is ever done inside a signal handler. */
#ifndef TRAJ_IO_SIGNALS_H
#define TRAJ_IO_SIGNALS_H

#include "daemon/learn/error.h"

/*
 * Blocks SIGTERM, SIGINT and SIGHUP for this thread and those it will start, and returns a signalfd
 * from which they can be read.  SIGPIPE and SIGXFSZ are ignored, since neither a closed pipe on
 * stderr nor a limit on the size of files must end the daemon.  To be called before any thread is
 * made.  -1 with a sentence.
 */
int traj_signals_open(struct traj_error *error);

enum traj_signal { TRAJ_SIGNAL_NONE, TRAJ_SIGNAL_END, TRAJ_SIGNAL_RELOAD };

/* The next signal that waits; never blocks. */
enum traj_signal traj_signals_next(int fd);

void traj_signals_close(int fd);

#endif
