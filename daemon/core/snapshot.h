/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A snapshot of a plain struct (counters) that one thread writes and others read, without a lock
 * on either side (a seqlock): the writer never waits; a reader that was overtaken tries again, and
 * never sees half of one value and half of another.  The memory is the caller's.
 */
#ifndef TRAJ_CORE_SNAPSHOT_H
#define TRAJ_CORE_SNAPSHOT_H

#include <stdbool.h>
#include <stddef.h>

struct traj_snapshot;

/* Bytes for a snapshot of a struct of `bytes` bytes, alignment slack included; 0 if absurd. */
size_t traj_snapshot_size(size_t bytes);

/* Lays a snapshot of all zero bytes out in memory[0..size); NULL if that is too small. */
struct traj_snapshot *traj_snapshot_init(void *memory, size_t size, size_t bytes);

/* The writer: publishes value[bytes]. */
void traj_snapshot_write(struct traj_snapshot *snapshot, const void *value);

/*
 * A reader: copies the last value published into value[bytes].  False if the writer overtook it
 * every time of `tries` (value is then undefined): a bound for readers that must not spin.
 */
bool traj_snapshot_read(const struct traj_snapshot *snapshot, void *value, size_t tries);

#endif
