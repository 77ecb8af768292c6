/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What the configuration asks of the scheduler and of memory, asked for and remembered as granted
 * or refused.  A privilege that is refused is logged and shown in the status; the daemon goes on
 * without it.
 */
#ifndef TRAJ_IO_REALTIME_H
#define TRAJ_IO_REALTIME_H

#include <pthread.h>

#include "daemon/io/config.h"
#include "daemon/io/log.h"

enum traj_grant { TRAJ_GRANT_NOT_ASKED, TRAJ_GRANT_GIVEN, TRAJ_GRANT_REFUSED };

/* "not asked", "granted", "refused". */
const char *traj_grant_name(enum traj_grant grant);

struct traj_realtime {
    enum traj_grant lock_memory;
    enum traj_grant priority;
    enum traj_grant cpu;
    enum traj_grant io_cpu;
    enum traj_grant wake_us;
    int wake_fd; /* held open as long as it is to hold, where wake_us was granted */
    bool two;    /* decoding and libzmq's threads can run at the same time */
    bool apart;  /* and each has a processor of its own */
};

/*
 * How the decode thread waits: as configured, or where that is left to trajd, TRAJ_RECEIVE_EXPECT
 * at a priority that was granted, if decoding and libzmq's threads have two processors (who looks
 * for a frame at a real-time priority must not keep libzmq from bringing it), else
 * TRAJ_RECEIVE_BLOCK.  For the same reason TRAJ_RECEIVE_SPIN at a priority that was granted is as
 * if it were left to trajd, unless two processors were granted with it.  What was granted at the
 * start holds over later configurations.
 */
enum traj_receive traj_realtime_receive(const struct traj_realtime *realtime,
                                        enum traj_receive asked);

/* Logs why the decode thread does not wait as asked, if so. */
void traj_realtime_tell(const struct traj_realtime *realtime, enum traj_receive asked,
                        struct traj_log *log);

/*
 * Gives libzmq's threads their processor and priority, and keeps processors from deep sleep, which
 * holds until traj_realtime_end.  Before the first socket of the context is
 * made.  libzmq ends the process where the system refuses, so all is tried on the calling thread
 * first.
 */
void traj_realtime_context(struct traj_realtime *realtime, void *context,
                           const struct traj_config *config, struct traj_log *log);

/*
 * Processor, priority and locked memory for the calling thread, which is to decode; touches its
 * stack and all code, so that they are in memory before the first frame.  After all memory has been
 * made.  From then on traj_realtime_receive knows, and where it is not as configured it is said.
 */
void traj_realtime_thread(struct traj_realtime *realtime, const struct traj_config *config,
                          struct traj_log *log);

/* Processors may sleep as before; what else was granted holds until the process ends. */
void traj_realtime_end(struct traj_realtime *realtime);

/*
 * Attributes for a thread that is to run where the calling one may now; to be taken before
 * traj_realtime_thread.  0 or an errno value; to be destroyed by pthread_attr_destroy.
 */
int traj_realtime_ordinary(pthread_attr_t *attributes);

#endif
