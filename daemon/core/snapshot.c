/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Seqlock after Boehm 2012 ("Can seqlocks get along with programming language memory models?").
 * The data are words of relaxed-or-stronger atomics, not plain memory, so that the overlap of a
 * read and a write is no data race.  No fences (ThreadSanitizer does not know them): every data
 * store is a release and every data load an acquire.  A reader that sees one new word therefore
 * also sees the odd version that was stored before it, and tries again.
 */
#include "daemon/core/snapshot.h"

#include <stdalign.h>
#include <stdatomic.h>
#include <stdint.h>
#include <string.h>

struct traj_snapshot {
    size_t bytes;
    size_t words;
    _Atomic uint64_t version; /* odd while the writer is at work */
    _Atomic uint64_t word[];
};

size_t traj_snapshot_size(size_t bytes)
{
    if (bytes == 0 || bytes > SIZE_MAX / 4)
        return 0;
    return sizeof(struct traj_snapshot) + alignof(max_align_t) + (bytes + 7) / 8 * 8;
}

struct traj_snapshot *traj_snapshot_init(void *memory, size_t size, size_t bytes)
{
    size_t needed = traj_snapshot_size(bytes);
    if (memory == NULL || needed == 0 || size < needed)
        return NULL;
    size_t align = alignof(max_align_t);
    size_t slack = (align - (uintptr_t)memory % align) % align;
    void *aligned = (unsigned char *)memory + slack;
    struct traj_snapshot *snapshot = aligned;
    snapshot->bytes = bytes;
    snapshot->words = (bytes + 7) / 8;
    atomic_init(&snapshot->version, 0);
    for (size_t i = 0; i < snapshot->words; i++)
        atomic_init(&snapshot->word[i], 0);
    return snapshot;
}

void traj_snapshot_write(struct traj_snapshot *snapshot, const void *value)
{
    uint64_t version = atomic_load_explicit(&snapshot->version, memory_order_relaxed);
    atomic_store_explicit(&snapshot->version, version + 1, memory_order_relaxed);
    for (size_t i = 0; i < snapshot->words; i++) {
        size_t left = snapshot->bytes - 8 * i;
        uint64_t word = 0;
        memcpy(&word, (const unsigned char *)value + 8 * i, left < 8 ? left : 8);
        atomic_store_explicit(&snapshot->word[i], word, memory_order_release);
    }
    atomic_store_explicit(&snapshot->version, version + 2, memory_order_release);
}

static bool read_once(const struct traj_snapshot *snapshot, void *value)
{
    uint64_t before = atomic_load_explicit(&snapshot->version, memory_order_acquire);
    if (before % 2 != 0)
        return false;
    for (size_t i = 0; i < snapshot->words; i++) {
        size_t left = snapshot->bytes - 8 * i;
        uint64_t word = atomic_load_explicit(&snapshot->word[i], memory_order_acquire);
        memcpy((unsigned char *)value + 8 * i, &word, left < 8 ? left : 8);
    }
    return atomic_load_explicit(&snapshot->version, memory_order_relaxed) == before;
}

bool traj_snapshot_read(const struct traj_snapshot *snapshot, void *value, size_t tries)
{
    for (size_t i = 0; i < tries; i++) {
        if (read_once(snapshot, value))
            return true;
    }
    return false;
}
