/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Intents as a stream of the Lab Streaming Layer, through liblsl where it is installed.  A thread
 * of its own subscribes to the intents as any client does, behind a queue that drops what it
 * cannot take: nothing that liblsl does ever delays decoding.
 *
 * Channels, all doubles: t (s, the frames' clock), valid (0 or 1), target (row of the most
 * probable, from 0; -1 = none), position_1.., velocity_1.., target_prob_1...  What is not known is
 * NaN.  A sample is stamped with the time at which its intent was done.  While no frames come, a
 * sample with valid 0 and velocity 0 says so once a period, as topic `stale` does.
 */
#ifndef TRAJ_IO_OUTLET_H
#define TRAJ_IO_OUTLET_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "daemon/learn/error.h"
#include "traj/model.h"

#define TRAJ_OUTLET_NAME 64 /* bytes of a stream's name, with its NUL */

struct traj_outlet;

struct traj_outlet_state {
    uint64_t pushed; /* samples handed to liblsl */
    uint64_t lost;   /* intents that found no room in the queue (holes in seq), or no stream */
    bool listened;   /* somebody has an inlet */
};

/*
 * Makes the stream `name`, with as many channels as the model's D and M ask for (it is made anew
 * where another model asks for others), and subscribes at TRAJ_RIG_INTENTS, which is bound.
 * rate: intents a second, or 0 where they come irregularly.  NULL with a sentence.
 */
struct traj_outlet *traj_outlet_open(const char *name, const struct traj_model *model, double rate,
                                     void *context, struct traj_error *error);

int traj_outlet_start(struct traj_outlet *outlet, const pthread_attr_t *attributes,
                      struct traj_error *error);

/* Ends the thread and the stream. */
void traj_outlet_close(struct traj_outlet **outlet);

/* Any thread. */
void traj_outlet_state(const struct traj_outlet *outlet, struct traj_outlet_state *state);

#endif
