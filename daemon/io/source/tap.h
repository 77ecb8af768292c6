/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Runs a source in a thread of its own and hands what it yields to the decode thread, as the
 * ordinary bodies of frames and events: what comes from a rig is refused, ordered, recorded and
 * replayed like anything else that comes in.
 */
#ifndef TRAJ_IO_SOURCE_TAP_H
#define TRAJ_IO_SOURCE_TAP_H

#include <pthread.h>

#include "daemon/io/source/rig.h"
#include "daemon/learn/error.h"

/* Where the decode thread takes it from: a PAIR socket that is bound there. */
#define TRAJ_TAP_ADDRESS "inproc://source"

struct traj_tap;

/* Opens the rig and connects to TRAJ_TAP_ADDRESS, which must be bound.  NULL with a sentence. */
struct traj_tap *traj_tap_open(const char *url, const struct traj_model *model, void *context,
                               struct traj_error *error);

int traj_tap_start(struct traj_tap *tap, const pthread_attr_t *attributes,
                   struct traj_error *error);

/* Ends the thread, closes all. */
void traj_tap_close(struct traj_tap **tap);

/* The latest state; any thread. */
void traj_tap_state(const struct traj_tap *tap, struct traj_rig_state *state);

#endif
