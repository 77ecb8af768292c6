/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A `trajctl rival` that an experiment starts for itself, with its sockets in its own folder. */
#ifndef TRAJCTL_LOOP_RIVAL_H
#define TRAJCTL_LOOP_RIVAL_H

#include <sys/types.h>

#include "clients/rig/rival.h"
#include "daemon/learn/error.h"

struct loop_rival {
    pid_t pid;                      /* 0 = not started */
    char folder[64];                /* "" = none */
    char frames[128], intents[128]; /* endpoints */
};

/*
 * Writes the sessions (second may be NULL) for it and starts it; it trains by itself.  0, or -1
 * with a sentence; loop_rival_stop in any case.
 */
int loop_rival_start(struct loop_rival *rival, enum traj_rival_kind kind,
                     const struct traj_session *calibration, const struct traj_session *second,
                     double radius, struct traj_error *error);

/* Ends what was started; removes its folder. */
void loop_rival_stop(struct loop_rival *rival);

#endif
