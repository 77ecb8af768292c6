/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The operational log; see log.h. */
#include "daemon/io/log.h"

#include <inttypes.h>
#include <math.h>
#include <stdarg.h>

static const char *const level_names[TRAJ_LOG_LEVELS] = {"error", "warning", "info", "debug"};
static const char *const kind_names[TRAJ_LOG_KINDS] = {"refused frames", "refused events",
                                                       "refused requests", "refused connections",
                                                       "words of the source"};

const char *traj_log_level_name(enum traj_log_level level)
{
    return (unsigned)level < TRAJ_LOG_LEVELS ? level_names[level] : "unknown";
}

void traj_log_init(struct traj_log *log, FILE *out, enum traj_log_level level)
{
    *log = (struct traj_log){.out = out, .level = level};
    for (int kind = 0; kind < TRAJ_LOG_KINDS; kind++) {
        log->limit[kind].since = -INFINITY;
    }
}

__attribute__((format(printf, 3, 0))) static void
write_line(struct traj_log *log, enum traj_log_level level, const char *format, va_list arguments)
{
    char line[1024];
    int length;

    if (level > log->level) {
        return;
    }
    length = vsnprintf(line, sizeof line, format, arguments);
    if (length < 0) {
        return;
    }
    for (char *at = line; *at != '\0'; at++) {
        if ((unsigned char)*at < 0x20 || *at == 0x7f) {
            *at = '?';
        }
    }
    /* One call a line, so that lines of two processes on one terminal do not mix. */
    if (level == TRAJ_LOG_INFO) {
        (void)fprintf(log->out, "trajd: %s\n", line);
    } else {
        (void)fprintf(log->out, "trajd: %s: %s\n", traj_log_level_name(level), line);
    }
    (void)fflush(log->out);
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
}
