/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What the daemon publishes, made into texts for browsers (JSON, one object each, "kind" first).
 * Everything is taken from the sockets at once, so that nothing piles up; browsers get the newest
 * intent of each picture, and counts of all.
 */
#ifndef DASHBOARD_RELAY_H
#define DASHBOARD_RELAY_H

#include <stddef.h>
#include <stdint.h>

#include "daemon/learn/error.h"
#include "traj/client.h"

enum relay_kind {
    RELAY_HELLO,  /* what this program is and may do */
    RELAY_MODEL,  /* targets, courses and names, as far as they are known */
    RELAY_STATUS, /* the daemon's counters */
    RELAY_LIVE,   /* the newest intent, and what was counted up to it */
    RELAY_REPLY,  /* what came of an order */
    RELAY_KINDS
};

struct relay_options {
    const char *intents, *frames, *model;
    const struct traj_keys *keys;
    int may_order; /* whether the page may give orders */
};

struct relay;
int relay_open(const struct relay_options *options, struct relay **relay, struct traj_error *error);
void relay_close(struct relay **relay);

/* Takes all messages that have come, at `now` seconds of a steady clock; 0 or -1. */
int relay_take(struct relay *relay, double now, struct traj_error *error);

/* Makes the next RELAY_LIVE text if anything came since the last one. */
void relay_compose(struct relay *relay);

/* Makes text (owned by the relay from now on, from malloc; NULL = memory is short) the newest of
 * its kind. */
void relay_put(struct relay *relay, enum relay_kind kind, char *text, size_t size);

/* The newest text of a kind and its number, from 1 on; 0 = there is none yet. */
uint64_t relay_text(const struct relay *relay, enum relay_kind kind, const char **text,
                    size_t *size);

#endif
