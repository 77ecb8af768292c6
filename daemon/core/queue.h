/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Events that wait for the first frame later than they are: sorted by t, those of equal t in the
 * order in which they came.  Fixed capacity; an entry holds what the decoder needs, not the whole
 * event, so that the queue stays small.
 *
 * Gaze, effector and estimates come with every frame, and of each of them the newest replaces the
 * last.  While frames pause they would fill the queue and keep trial marks out: once it is full,
 * one that is superseded (behind it waits another of its kind) gives way, the earliest first.
 */
#ifndef TRAJ_CORE_QUEUE_H
#define TRAJ_CORE_QUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/event.h"
#include "traj/model.h"

#define TRAJ_QUEUE_CAPACITY 256
/* prob[M], or position[D] and cov[D][D] */
#define TRAJ_QUEUE_VALUES (TRAJ_DIM_MAX + TRAJ_DIM_MAX * TRAJ_DIM_MAX)

struct traj_pending {
    enum traj_event_kind kind;
    double t;
    uint64_t number; /* by which the sender of events knows it; told when it takes effect */
    enum traj_estimate_of of;
    size_t dim;   /* of positions in value, else 0 */
    size_t count; /* numbers in value */
    double value[TRAJ_QUEUE_VALUES];
};

struct traj_queue {
    size_t used;
    unsigned char order[TRAJ_QUEUE_CAPACITY]; /* places of the waiting, then of the free ones */
    struct traj_pending slot[TRAJ_QUEUE_CAPACITY];
};

void traj_queue_clear(struct traj_queue *queue);

/*
 * Copies an event in, under a number; false if the queue is full or the event carries more than an
 * entry holds.
 */
bool traj_queue_put(struct traj_queue *queue, const struct traj_event *event, uint64_t number);

/*
 * Makes room in a full queue for an event: drops the earliest entry that is superseded by what
 * waits, or will be by this event; the others keep their order.  False, and nothing has changed, if
 * the queue is not full or there is no such entry.
 */
bool traj_queue_give_way(struct traj_queue *queue, const struct traj_event *event);

/* The i-th to take effect, or NULL beyond the last. */
const struct traj_pending *traj_queue_at(const struct traj_queue *queue, size_t i);

/* Removes the first; there must be one. */
void traj_queue_drop(struct traj_queue *queue);

/* What an entry holds of an event; count must not exceed TRAJ_QUEUE_VALUES. */
void traj_pending_from(struct traj_pending *pending, const struct traj_event *event);

#endif
