/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Intents as entries of a stream in Redis, for the graph that BRAND runs there.  A thread of its
 * own subscribes to the intents as any client does and writes by a connection of its own: however
 * long Redis takes to write, or to be reached, whoever reads counts from it does not wait for that.
 */
#ifndef TRAJ_IO_SOURCE_BRAND_WRITER_H
#define TRAJ_IO_SOURCE_BRAND_WRITER_H

#include <hiredis/hiredis.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/learn/error.h"

/* Where Redis is; the letters are the caller's and stay. */
struct traj_brand_address {
    const char *path; /* of a socket in the file system, or NULL: */
    const char *host;
    int port;
};

/*
 * A connection on which nothing takes longer than a second; waits for it as long.  NULL with a
 * sentence in why.  The first one is made before there is a second thread.
 */
redisContext *traj_brand_connect(const struct traj_brand_address *address, char *why, size_t cap);

struct traj_brand_writer;

/* Subscribes at TRAJ_RIG_INTENTS, which is bound, and starts.  NULL with a sentence. */
struct traj_brand_writer *traj_brand_writer_open(const struct traj_brand_address *address,
                                                 const char *stream, void *context,
                                                 struct traj_error *error);
/* Where the last entry says that it is valid, adds one that says that it is over; waits for Redis
 * two seconds at most. */
void traj_brand_writer_close(struct traj_brand_writer **writer);

/*
 * A step that ends at this sample has come, with a label that the intents of its bin carry on; NULL
 * where it has none.
 */
void traj_brand_writer_step(struct traj_brand_writer *writer, int64_t end, const char *sync,
                            size_t size);

/* The steps' clock has begun anew: labels of before mean nothing. */
void traj_brand_writer_forget(struct traj_brand_writer *writer);

/* Intents that have no entry, because later ones waited by the time that Redis was ready. */
uint64_t traj_brand_writer_unwritten(const struct traj_brand_writer *writer);

/* Whether it has something to say that was not asked for before; text has room for cap. */
bool traj_brand_writer_said(struct traj_brand_writer *writer, char *text, size_t cap);

#endif
