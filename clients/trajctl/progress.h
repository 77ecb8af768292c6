/* SPDX-License-Identifier: GPL-3.0-or-later */
/* How far long work has come, on stderr: a bar on a terminal, a line now and then elsewhere. */
#ifndef TRAJCTL_PROGRESS_H
#define TRAJCTL_PROGRESS_H

#include <stdbool.h>

struct progress {
    const char *command; /* "train"; begins each plain line */
    char stage[64];      /* the last one shown */
    bool quiet;
    bool terminal;
    bool drawn;              /* a bar stands on the terminal's last line */
    double began;            /* s, monotonic */
    double shown;            /* s, when something was last written; negative = never */
    int tenth;               /* of the share last written plainly */
    double from_share, from; /* where the present run of growing shares began, and when, s */
    double share;            /* the last one */
    double known_left;       /* s, where the caller knows better; NaN = from how the share grew */
};

void progress_init(struct progress *progress, const char *command, bool quiet);

/* share of the stage in [0, 1], or NaN when it is not known; stage is a few words, and what is
 * shown says which stage the share is of.  Cheap enough to call often. */
void progress_update(struct progress *progress, const char *stage, double share);

/* The same as a callback of daemon/learn/fit.h: context is the struct progress. */
void progress_callback(void *context, const char *stage, double share);

/* Clears the bar; call it before anything else is written and at the end. */
void progress_end(struct progress *progress);

/* Seconds since progress_init. */
double progress_seconds(const struct progress *progress);

/* s on the monotonic clock. */
double monotonic_seconds(void);

#endif
