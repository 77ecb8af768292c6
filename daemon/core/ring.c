/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Single-producer single-consumer ring.  head counts records put in, tail records taken out; both
 * only grow (and wrap as unsigned numbers do), so that head - tail is the number that waits.  Each
 * is written by one thread: its release store hands over the record, the other's acquire load
 * receives it.
 */
#include "daemon/core/ring.h"

#include <stdalign.h>
#include <stdatomic.h>
#include <stdint.h>
#include <string.h>

/* The two counters live on lines of their own, so that the threads do not take the line from each
 * other at every record. */
#define CACHE_LINE 64

struct traj_ring {
    alignas(CACHE_LINE) atomic_size_t head;
    alignas(CACHE_LINE) atomic_size_t tail;
    alignas(CACHE_LINE) size_t mask;
    size_t record; /* bytes that are copied */
    size_t stride; /* bytes from one record to the next */
    alignas(CACHE_LINE) unsigned char slot[];
};

static size_t stride_of(size_t record)
{
    size_t align = alignof(max_align_t);
    return (record + align - 1) / align * align;
}

/* The next power of two, or 0 if there is none. */
static size_t rounded(size_t capacity)
{
    size_t power = 1;
    while (power < capacity && power != 0)
        power <<= 1;
    return power;
}

size_t traj_ring_size(size_t record, size_t capacity)
{
    if (record == 0 || capacity == 0 || record > SIZE_MAX / 4 || capacity > SIZE_MAX / 4)
        return 0;
    size_t slots = rounded(capacity);
    size_t stride = stride_of(record);
    if (slots > SIZE_MAX / 4 / stride)
        return 0;
    return sizeof(struct traj_ring) + CACHE_LINE + slots * stride;
}

struct traj_ring *traj_ring_init(void *memory, size_t size, size_t record, size_t capacity)
{
    size_t needed = traj_ring_size(record, capacity);
    if (memory == NULL || needed == 0 || size < needed)
        return NULL;
    size_t slack = (CACHE_LINE - (uintptr_t)memory % CACHE_LINE) % CACHE_LINE;
    struct traj_ring *ring = (struct traj_ring *)(void *)((unsigned char *)memory + slack);
    atomic_init(&ring->head, 0);
    atomic_init(&ring->tail, 0);
    ring->mask = rounded(capacity) - 1;
    ring->record = record;
    ring->stride = stride_of(record);
    return ring;
}

size_t traj_ring_capacity(const struct traj_ring *ring)
{
    return ring->mask + 1;
}

void *traj_ring_reserve(struct traj_ring *ring)
{
    size_t head = atomic_load_explicit(&ring->head, memory_order_relaxed);
    size_t tail = atomic_load_explicit(&ring->tail, memory_order_acquire);
    if (head - tail > ring->mask)
        return NULL;
    return ring->slot + (head & ring->mask) * ring->stride;
}

void traj_ring_commit(struct traj_ring *ring)
{
    size_t head = atomic_load_explicit(&ring->head, memory_order_relaxed);
    atomic_store_explicit(&ring->head, head + 1, memory_order_release);
}

const void *traj_ring_peek(struct traj_ring *ring)
{
    size_t tail = atomic_load_explicit(&ring->tail, memory_order_relaxed);
    size_t head = atomic_load_explicit(&ring->head, memory_order_acquire);
    if (head == tail)
        return NULL;
    return ring->slot + (tail & ring->mask) * ring->stride;
}

void traj_ring_release(struct traj_ring *ring)
{
    size_t tail = atomic_load_explicit(&ring->tail, memory_order_relaxed);
    atomic_store_explicit(&ring->tail, tail + 1, memory_order_release);
}

bool traj_ring_push(struct traj_ring *ring, const void *record)
{
    void *slot = traj_ring_reserve(ring);
    if (slot == NULL)
        return false;
    memcpy(slot, record, ring->record);
    traj_ring_commit(ring);
    return true;
}

bool traj_ring_pop(struct traj_ring *ring, void *record)
{
    const void *slot = traj_ring_peek(ring);
    if (slot == NULL)
        return false;
    memcpy(record, slot, ring->record);
    traj_ring_release(ring);
    return true;
}

size_t traj_ring_waiting(const struct traj_ring *ring)
{
    /* tail first: read in the other order, a record taken out in between would make it negative */
    size_t tail = atomic_load_explicit(&ring->tail, memory_order_acquire);
    size_t head = atomic_load_explicit(&ring->head, memory_order_acquire);
    size_t waiting = head - tail;
    return waiting <= ring->mask + 1 ? waiting : ring->mask + 1;
}
