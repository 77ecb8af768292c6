/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Records of any length between exactly two threads: one that writes and one that reads.  As with
 * the ring, neither ever waits, locks or allocates; a full tape refuses.  The memory is the
 * caller's.  It may be shared memory that outlives a process: what a killed writer had committed
 * and nobody had read yet can then be read by another process (traj_tape_attach).
 */
#ifndef TRAJ_CORE_TAPE_H
#define TRAJ_CORE_TAPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TRAJ_TAPE_NAME 1024

struct traj_tape;

/* Bytes for a tape that holds `room` bytes of records, each with a few of its own; 0 if absurd. */
size_t traj_tape_size(size_t room);

/*
 * Lays an empty tape out in memory[0..size), which is aligned as a page is; name (cut off to fit)
 * says whose it is.  NULL if that is too small.
 */
struct traj_tape *traj_tape_init(void *memory, size_t size, const char *name);

/*
 * A tape that another process left in memory[0..size), for reading; NULL if it is none, or says of
 * itself what cannot be.
 */
struct traj_tape *traj_tape_attach(void *memory, size_t size);

/*
 * The name of the tape whose first bytes stand in memory[0..size), aligned as a page is and not to
 * be trusted; NULL if it is none, or TRAJ_TAPE_PEEK bytes are not there.
 */
const char *traj_tape_peek(const void *memory, size_t size);
#define TRAJ_TAPE_PEEK 4096

/* The name it was given. */
const char *traj_tape_name(const struct traj_tape *tape);

/* Writer: bytes that a record may have at most so that `spare` bytes stay free after it; or 0. */
size_t traj_tape_room(const struct traj_tape *tape, size_t spare);

/*
 * Writer: where the next record of at most `size` bytes may be written (aligned to 8 bytes), or
 * NULL if there is no room; commit hands its first `used` bytes, at most `size`, to the reader.
 */
void *traj_tape_reserve(struct traj_tape *tape, size_t size);
void traj_tape_commit(struct traj_tape *tape, size_t used);

/*
 * Reader: begin tells where reading stands.  read gives the record at *at and its length and moves
 * *at behind it; NULL if there is none yet.  release gives back all that stands before `at`; until
 * then what was read stays, and is the reader's to change.
 */
uint64_t traj_tape_begin(const struct traj_tape *tape);
void *traj_tape_read(struct traj_tape *tape, uint64_t *at, size_t *size);
void traj_tape_release(struct traj_tape *tape, uint64_t at);

/* Bytes that the records of a full tape take, those of its own included. */
size_t traj_tape_capacity(const struct traj_tape *tape);

/* Bytes that wait, about. */
size_t traj_tape_waiting(const struct traj_tape *tape);

#endif
