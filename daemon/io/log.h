/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The operational log: one line a record on stderr, "trajd: warning: ...", at a limited rate for
 * what a stranger's messages can provoke.  Used by one thread at a time and never by the decode
 * thread.
 *
 * It never waits: a line that stderr does not take at once, because it is a pipe that nobody reads
 * or a terminal that is stopped, is dropped, and how many were is said as soon as one can be
 * written.
 */
#ifndef TRAJ_IO_LOG_H
#define TRAJ_IO_LOG_H

#include <stdint.h>

enum traj_log_level {
    TRAJ_LOG_ERROR,
    TRAJ_LOG_WARNING,
    TRAJ_LOG_INFO,
    TRAJ_LOG_DEBUG,
    TRAJ_LOG_LEVELS
};

/* "error", "warning", "info", "debug". */
const char *traj_log_level_name(enum traj_log_level level);

/* Kinds of record whose rate is limited, each on its own. */
enum traj_log_kind {
    TRAJ_LOG_FRAME,
    TRAJ_LOG_EVENT,
    TRAJ_LOG_REQUEST,
    TRAJ_LOG_CONNECTION,
    TRAJ_LOG_SOURCE,
    TRAJ_LOG_KINDS
};

#define TRAJ_LOG_BURST 5 /* lines of one kind in one period */
#define TRAJ_LOG_PERIOD_S 10.0

struct traj_log {
    int out;                   /* descriptor, borrowed */
    enum traj_log_level level; /* records above it are dropped */
    uint64_t lost;             /* lines that could not be written, since that was last said */
    struct {
        double since;        /* s, when the period began */
        uint64_t written;    /* lines in it */
        uint64_t suppressed; /* lines held back in it */
    } limit[TRAJ_LOG_KINDS];
};

/* Begins with nothing held back; out is borrowed. */
void traj_log_init(struct traj_log *log, int out, enum traj_log_level level);

/*
 * One line, cut at PIPE_BUF bytes; control characters of what strangers sent are shown as '?'.
 */
void traj_log_write(struct traj_log *log, enum traj_log_level level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/*
 * One line of a kind at time now (s): at most TRAJ_LOG_BURST lines in TRAJ_LOG_PERIOD_S; how many
 * were held back is said once the period is over (traj_log_flush).
 */
void traj_log_limited(struct traj_log *log, enum traj_log_kind kind, double now,
                      enum traj_log_level level, const char *format, ...)
    __attribute__((format(printf, 5, 6)));

/*
 * Says what was held back in periods that are over at time now (s), and how many lines could not
 * be written; call it now and then.
 */
void traj_log_flush(struct traj_log *log, double now);

#endif
