/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A ring of fixed-size records between exactly two threads: one that puts in and one that takes
 * out.  Neither ever waits, locks or allocates; a full ring refuses, an empty one has nothing.
 * The memory is the caller's and the ring stays where it was laid out.
 */
#ifndef TRAJ_CORE_RING_H
#define TRAJ_CORE_RING_H

#include <stdbool.h>
#include <stddef.h>

struct traj_ring;

/*
 * Bytes for a ring of at least `capacity` records of `record` bytes, alignment slack included; the
 * capacity is rounded up to a power of two.  0 if either is 0 or the product is absurd.
 */
size_t traj_ring_size(size_t record, size_t capacity);

/* Lays an empty ring out in memory[0..size); NULL if that is too small. */
struct traj_ring *traj_ring_init(void *memory, size_t size, size_t record, size_t capacity);

/* How many records the ring holds at most: the capacity after rounding. */
size_t traj_ring_capacity(const struct traj_ring *ring);

/*
 * Producer: where the next record may be written in place (aligned as malloc aligns), or NULL if
 * the ring is full; commit hands the reserved record to the consumer.  Commit follows a reserve
 * that did not return NULL.
 */
void *traj_ring_reserve(struct traj_ring *ring);
void traj_ring_commit(struct traj_ring *ring);

/* Consumer: the oldest record, or NULL if there is none; release gives its place back. */
const void *traj_ring_peek(struct traj_ring *ring);
void traj_ring_release(struct traj_ring *ring);

/* The same with a copy of the record; false if the ring is full or empty. */
bool traj_ring_push(struct traj_ring *ring, const void *record);
bool traj_ring_pop(struct traj_ring *ring, void *record);

/* Records that wait; exact for the thread that asks about its own doing, else a recent value. */
size_t traj_ring_waiting(const struct traj_ring *ring);

#endif
