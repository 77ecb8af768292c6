/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The queue of events: an insertion sort of places, so that entries themselves never move. */
#include "daemon/core/queue.h"

#include <assert.h>
#include <string.h>

static_assert(TRAJ_QUEUE_CAPACITY <= 256, "a place fits into an unsigned char");
static_assert(TRAJ_QUEUE_VALUES >= TRAJ_TARGETS_MAX, "a prior over all targets fits");

void traj_queue_clear(struct traj_queue *queue)
{
    queue->used = 0;
    for (size_t i = 0; i < TRAJ_QUEUE_CAPACITY; i++)
        queue->order[i] = (unsigned char)i;
}

void traj_pending_from(struct traj_pending *pending, const struct traj_event *event)
{
    pending->kind = event->kind;
    pending->t = event->t;
    pending->number = 0;
    pending->of = event->of;
    pending->dim = event->dim;
    /* A set of targets, which is larger than an entry, waits elsewhere (pipeline.c). */
    pending->count = event->kind == TRAJ_EVENT_TARGETS ? 0 : event->count;
    memcpy(pending->value, event->value, pending->count * sizeof event->value[0]);
}

bool traj_queue_put(struct traj_queue *queue, const struct traj_event *event, uint64_t number)
{
    if (queue->used == TRAJ_QUEUE_CAPACITY ||
        (event->kind != TRAJ_EVENT_TARGETS && event->count > TRAJ_QUEUE_VALUES))
        return false;
    unsigned char place = queue->order[queue->used];
    traj_pending_from(&queue->slot[place], event);
    queue->slot[place].number = number;
    size_t i = queue->used++;
    for (; i > 0 && queue->slot[queue->order[i - 1]].t > event->t; i--)
        queue->order[i] = queue->order[i - 1];
    queue->order[i] = place;
    return true;
}

const struct traj_pending *traj_queue_at(const struct traj_queue *queue, size_t i)
{
    return i < queue->used ? &queue->slot[queue->order[i]] : NULL;
}

static void drop(struct traj_queue *queue, size_t i)
{
    unsigned char place = queue->order[i];
    queue->used--;
    memmove(queue->order + i, queue->order + i + 1, queue->used - i);
    queue->order[queue->used] = place;
}

void traj_queue_drop(struct traj_queue *queue)
{
    drop(queue, 0);
}

/* Kinds of which the newest replaces the last; estimates of each quantity are one of their own. */
enum { GAZE, EFFECTOR, ESTIMATE, SUCCESSIONS = ESTIMATE + 3, NONE = SUCCESSIONS };
static_assert(TRAJ_ESTIMATE_TARGETS < 3, "each quantity of an estimate has its place");

static size_t succession(enum traj_event_kind kind, enum traj_estimate_of of)
{
    switch (kind) {
    case TRAJ_EVENT_GAZE:
        return GAZE;
    case TRAJ_EVENT_EFFECTOR:
        return EFFECTOR;
    case TRAJ_EVENT_ESTIMATE:
        return (size_t)ESTIMATE + (size_t)of;
    default:
        return NONE;
    }
}

bool traj_queue_give_way(struct traj_queue *queue, const struct traj_event *event)
{
    if (queue->used < TRAJ_QUEUE_CAPACITY)
        return false;
    size_t last[SUCCESSIONS + 1] = {0}; /* of each, that waits */
    size_t coming = succession(event->kind, event->of);
    for (size_t i = 0; i < queue->used; i++) {
        const struct traj_pending *entry = traj_queue_at(queue, i);
        last[succession(entry->kind, entry->of)] = i;
    }
    for (size_t i = 0; i < queue->used; i++) {
        const struct traj_pending *entry = traj_queue_at(queue, i);
        size_t s = succession(entry->kind, entry->of);
        if (s != NONE && (i < last[s] || (s == coming && entry->t <= event->t))) {
            drop(queue, i);
            return true;
        }
    }
    return false;
}
