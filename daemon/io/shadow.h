/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A second model that decodes what the first one decodes: the same frames and events, in the same
 * order, through a pipeline of its own in the housekeeping thread.  Its intents are published under
 * the topic "shadow", as those of `trajctl decode` with this model would be, and nothing that runs
 * ever depends on them.  How well it explains the frames is told beside how well the first does.
 */
#ifndef TRAJ_IO_SHADOW_H
#define TRAJ_IO_SHADOW_H

#include <stdbool.h>
#include <stdint.h>

#include "daemon/io/exchange.h"
#include "daemon/io/models.h"
#include "daemon/learn/error.h"
#include "proto/recording.h"

#define TRAJ_SHADOW_TOPIC "shadow"

/* What is told of it. */
struct traj_shadow_state {
    uint64_t decoded;  /* frames */
    uint64_t lost;     /* intents that were not published, because too many waited */
    uint64_t compared; /* frames that both decoded, with evidence */
    double evidence;   /* nats a frame, mean over these: this model's */
    double main;       /* and the first one's */
    double apart;      /* length unit: mean distance of the positions over these */
};

struct traj_shadow;

/* Loads the model and begins at its prior; NULL with a sentence. */
struct traj_shadow *traj_shadow_open(const char *path, struct traj_error *error);
void traj_shadow_close(struct traj_shadow **shadow); /* *shadow may be NULL */

/*
 * Takes the next record of what goes into the first model's pipeline and comes out of it; what it
 * decodes is left to be published.  0, or -1 with a sentence, and then it is of no more use.
 */
int traj_shadow_take(struct traj_shadow *shadow, const struct traj_record *record,
                     struct traj_exchange *exchange, struct traj_error *error);

const struct traj_loaded *traj_shadow_model(const struct traj_shadow *shadow);
void traj_shadow_state(const struct traj_shadow *shadow, struct traj_shadow_state *state);

#endif
