/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Progress of long work on stderr. */
#include "clients/trajctl/progress.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define BAR 30       /* characters of a full bar */
#define REDRAW_S 0.1 /* at most ten drawings a second */
#define PLAIN_S 10.0 /* a plain line at least so often while nothing else is worth one */
#define PLAIN_FASTEST_S 1.0

double monotonic_seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

void progress_init(struct progress *progress, const char *command, bool quiet)
{
    const char *term = getenv("TERM");
    memset(progress, 0, sizeof *progress);
    progress->command = command;
    progress->quiet = quiet;
    progress->terminal = isatty(STDERR_FILENO) && term && strcmp(term, "dumb") != 0;
    progress->began = monotonic_seconds();
    progress->shown = -1.0;
}

double progress_seconds(const struct progress *progress)
{
    return monotonic_seconds() - progress->began;
}

static void draw_bar(struct progress *progress, const char *stage, double share)
{
    char bar[BAR + 1];
    int full = isnan(share) ? 0 : (int)(share * BAR);
    memset(bar, ' ', BAR);
    memset(bar, '=', (size_t)full);
    bar[BAR] = '\0';
    if (isnan(share)) {
        fprintf(stderr, "\r\033[K%s: %s", progress->command, stage);
    } else {
        fprintf(stderr, "\r\033[K%s: [%s] %s: %d %%", progress->command, bar, stage,
                (int)(100.0 * share));
    }
    fflush(stderr);
    progress->drawn = true;
}

static void write_line(const struct progress *progress, const char *stage, double share)
{
    if (isnan(share)) {
        fprintf(stderr, "%s: %s\n", progress->command, stage);
    } else {
        fprintf(stderr, "%s: %s: %d %%\n", progress->command, stage, (int)(100.0 * share));
    }
}

void progress_update(struct progress *progress, const char *stage, double share)
{
    if (progress->quiet) {
        return;
    }
    share = share < 0.0 ? 0.0 : share > 1.0 ? 1.0 : share;
    double now = monotonic_seconds();
    double since = progress->shown < 0.0 ? INFINITY : now - progress->shown;
    bool changed = strncmp(progress->stage, stage, sizeof progress->stage - 1) != 0;
    int tenth = isnan(share) ? 0 : (int)(10.0 * share);
    if (progress->terminal) {
        if (since < REDRAW_S) {
            return;
        }
        draw_bar(progress, stage, share);
    } else {
        bool worth = changed || tenth > progress->tenth || since > PLAIN_S;
        if (!worth || since < PLAIN_FASTEST_S) {
            return;
        }
        write_line(progress, stage, share);
    }
    progress->shown = now;
    progress->tenth = tenth;
    snprintf(progress->stage, sizeof progress->stage, "%s", stage);
}

void progress_callback(void *context, const char *stage, double share)
{
    progress_update(context, stage, share);
}

void progress_end(struct progress *progress)
{
    if (progress->drawn) {
        fputs("\r\033[K", stderr);
        fflush(stderr);
        progress->drawn = false;
    }
}
