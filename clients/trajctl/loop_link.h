/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A closed loop over sockets: frames and events out, and for each frame its intent back. */
#ifndef TRAJCTL_LOOP_LINK_H
#define TRAJCTL_LOOP_LINK_H

#include <sys/types.h>

#include "clients/rig/block.h"
#include "traj/client.h"

struct loop_link;

/*
 * Connects to whatever takes frames and gives intents there: trajd, or a rival.  control (may be
 * NULL) is asked until it knows of this subscriber; without it whoever publishes must wait for the
 * subscription before it takes frames.  pid: a child that is to listen there soon, whose end would
 * be the end of waiting; 0 = none.  asap: never waits for the time to be right.  NULL with a
 * sentence.
 */
struct loop_link *loop_link_open(const char *frames, const char *intents,
                                 struct traj_control *control, pid_t pid, bool asap,
                                 struct traj_error *error);
void loop_link_close(struct loop_link *link); /* NULL is allowed */

/* What a block talks to; borrowed from the link. */
const struct traj_decoder_link *loop_link_of(struct loop_link *link);

#endif
