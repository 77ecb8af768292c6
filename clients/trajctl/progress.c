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
#define LEFT_AFTER_S 2.0 /* before that the time left is a guess from too little */
#define LEFT_AFTER_SHARE 0.02

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
    progress->share = progress->known_left = NAN;
}

double progress_seconds(const struct progress *progress)
{
    return monotonic_seconds() - progress->began;
}

/* Seconds until the share is 1 if it goes on growing as it did; NaN while that is not known. */
static double seconds_left(struct progress *progress, double share, double now)
{
    /* What falls begins a new stage; what grows goes on, whatever it is called. */
    if (isnan(share) || isnan(progress->share) || share < progress->share) {
        progress->from_share = isnan(share) ? 0.0 : share;
        progress->from = now;
    }
    progress->share = share;
    double grown = share - progress->from_share, taken = now - progress->from;
    return grown > LEFT_AFTER_SHARE && taken > LEFT_AFTER_S ? taken * (1.0 - share) / grown : NAN;
}

/* ", 40 s left", ", 3 min left", or nothing. */
static const char *left_words(double seconds, char *out, size_t cap)
{
    out[0] = '\0';
    if (seconds >= 90.0 * 60.0) {
        snprintf(out, cap, ", %.1f h left", seconds / 3600.0);
    } else if (seconds >= 90.0) {
        snprintf(out, cap, ", %.0f min left", seconds / 60.0);
    } else if (seconds >= 0.0) {
        snprintf(out, cap, ", %.0f s left", seconds);
    }
    return out;
}

static void draw_bar(struct progress *progress, const char *stage, double share, double left)
{
    char bar[BAR + 1], words[32];
    int full = isnan(share) ? 0 : (int)(share * BAR);
    memset(bar, ' ', BAR);
    memset(bar, '=', (size_t)full);
    bar[BAR] = '\0';
    if (isnan(share)) {
        fprintf(stderr, "\r\033[K%s: %s", progress->command, stage);
    } else {
        fprintf(stderr, "\r\033[K%s: [%s] %s: %d %%%s", progress->command, bar, stage,
                (int)(100.0 * share), left_words(left, words, sizeof words));
    }
    fflush(stderr);
    progress->drawn = true;
}

static void write_line(const struct progress *progress, const char *stage, double share,
                       double left)
{
    char words[32];
    if (isnan(share)) {
        fprintf(stderr, "%s: %s\n", progress->command, stage);
    } else {
        fprintf(stderr, "%s: %s: %d %%%s\n", progress->command, stage, (int)(100.0 * share),
                left_words(left, words, sizeof words));
    }
}

void progress_update(struct progress *progress, const char *stage, double share)
{
    if (progress->quiet) {
        return;
    }
    share = share < 0.0 ? 0.0 : share > 1.0 ? 1.0 : share;
    double now = monotonic_seconds();
    double left = seconds_left(progress, share, now);
    left = isnan(progress->known_left) ? left : progress->known_left;
    double since = progress->shown < 0.0 ? INFINITY : now - progress->shown;
    bool changed = strncmp(progress->stage, stage, sizeof progress->stage - 1) != 0;
    int tenth = isnan(share) ? 0 : (int)(10.0 * share);
    if (progress->terminal) {
        if (since < REDRAW_S) {
            return;
        }
        draw_bar(progress, stage, share, left);
    } else {
        bool worth = changed || tenth > progress->tenth || since > PLAIN_S;
        if (!worth || since < PLAIN_FASTEST_S) {
            return;
        }
        write_line(progress, stage, share, left);
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
