/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The operational log; see log.h. */
#include "daemon/io/log.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <math.h>
#include <poll.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static const char *const level_names[TRAJ_LOG_LEVELS] = {"error", "warning", "info", "debug"};
static const char *const kind_names[TRAJ_LOG_KINDS] = {"refused frames", "refused events",
                                                       "refused requests", "refused connections",
                                                       "words of the source"};

const char *traj_log_level_name(enum traj_log_level level)
{
    return (unsigned)level < TRAJ_LOG_LEVELS ? level_names[level] : "unknown";
}

void traj_log_init(struct traj_log *log, int out, enum traj_log_level level)
{
    *log = (struct traj_log){.out = out, .level = level};
    for (int kind = 0; kind < TRAJ_LOG_KINDS; kind++) {
        log->limit[kind].since = -INFINITY;
    }
}

/*
 * One call a line, so that lines of two processes on one terminal do not mix, and none that waits:
 * a pipe that is called writable takes PIPE_BUF bytes at once.  A socket, such as the journal's,
 * may take less, but can be told not to wait.
 */
static bool put(const struct traj_log *log, const char *line, size_t length)
{
    struct pollfd item = {.fd = log->out, .events = POLLOUT};
    ssize_t written;

    if (poll(&item, 1, 0) != 1 || (item.revents & POLLOUT) == 0) {
        return false;
    }
    written = send(log->out, line, length, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (written < 0 && errno == ENOTSOCK) {
        written = write(log->out, line, length);
    }
    return written == (ssize_t)length;
}

/* Says how many lines are lost, if any are; false if that cannot be written either. */
static bool say_lost(struct traj_log *log)
{
    char line[128];
    int length;

    if (log->lost == 0) {
        return true;
    }
    length = snprintf(line, sizeof line,
                      "trajd: warning: lines of the log that could not be written: %" PRIu64 "\n",
                      log->lost);
    if (length < 0 || !put(log, line, (size_t)length)) {
        return false;
    }
    log->lost = 0;
    return true;
}

__attribute__((format(printf, 3, 0))) static void
write_line(struct traj_log *log, enum traj_log_level level, const char *format, va_list arguments)
{
    char line[PIPE_BUF] = "trajd: ";
    char *text = line + strlen(line);

    if (level > log->level) {
        return;
    }
    if (level != TRAJ_LOG_INFO) {
        text = stpcpy(stpcpy(text, traj_log_level_name(level)), ": ");
    }
    if (vsnprintf(text, (size_t)(line + sizeof line - text), format, arguments) < 0) {
        return;
    }
    for (; *text != '\0'; text++) {
        if ((unsigned char)*text < 0x20 || *text == 0x7f) {
            *text = '?';
        } else if ((unsigned char)text[0] == 0xc2 && (unsigned char)text[1] >= 0x80 &&
                   (unsigned char)text[1] < 0xa0) {
            text[0] = text[1] = '?'; /* C1 in UTF-8: some terminals obey it */
        }
    }
    *text++ = '\n';
    if (!say_lost(log) || !put(log, line, (size_t)(text - line))) {
        log->lost++;
    }
}

void traj_log_write(struct traj_log *log, enum traj_log_level level, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    write_line(log, level, format, arguments);
    va_end(arguments);
}

/* Ends the period of one kind if it is over. */
static void end_period(struct traj_log *log, enum traj_log_kind kind, double now)
{
    if (now - log->limit[kind].since < TRAJ_LOG_PERIOD_S) {
        return;
    }
    if (log->limit[kind].suppressed > 0) {
        traj_log_write(log, TRAJ_LOG_WARNING, "%" PRIu64 " more %s were not logged one by one",
                       log->limit[kind].suppressed, kind_names[kind]);
    }
    log->limit[kind].since = now;
    log->limit[kind].written = 0;
    log->limit[kind].suppressed = 0;
}

void traj_log_limited(struct traj_log *log, enum traj_log_kind kind, double now,
                      enum traj_log_level level, const char *format, ...)
{
    va_list arguments;

    if (level > log->level) {
        return;
    }
    end_period(log, kind, now);
    if (log->limit[kind].written >= TRAJ_LOG_BURST) {
        log->limit[kind].suppressed++;
        return;
    }
    log->limit[kind].written++;
    va_start(arguments, format);
    write_line(log, level, format, arguments);
    va_end(arguments);
}

void traj_log_flush(struct traj_log *log, double now)
{
    for (int kind = 0; kind < TRAJ_LOG_KINDS; kind++) {
        if (log->limit[kind].suppressed > 0) {
            end_period(log, (enum traj_log_kind)kind, now);
        }
    }
    (void)say_lost(log);
}
