/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What replies of Redis hold that a graph of BRAND's wrote: entries of a stream, their fields.
 * Whoever answers is not trusted: any reply that hiredis can make of bytes is read or refused.
 */
#ifndef TRAJ_IO_SOURCE_BRAND_REPLY_H
#define TRAJ_IO_SOURCE_BRAND_REPLY_H

#include <hiredis/hiredis.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/brand.h"

/* How an entry is laid out, which it does not tell itself. */
struct traj_brand_layout {
    char field[64]; /* of the counts */
    enum traj_brand_type type, step_type;
    char step_field[128];
    char step_label[128]; /* of the JSON object in step_field; "" = that is a number */
};

/* One entry, read. */
struct traj_brand_entry {
    int64_t step;     /* 0 to 2^53 */
    size_t count;     /* of counts */
    const char *sync; /* the reply's; NULL where the entry has none */
    size_t sync_size; /* bytes, without the NUL behind them */
};

/*
 * Bounds what a reply may claim before its bytes have come: a longer array ends the connection as
 * if memory were short.  For each connection, before its first reply; the first of all before there
 * is a second thread.
 */
void traj_brand_bound(redisReader *reader);

/* Whether more waits to become a reply than one may be long. */
bool traj_brand_too_long(const redisReader *reader);

/*
 * The id of the newest entry in a reply to XREVRANGE .. COUNT 1, "0-0" where there is none; NULL
 * where that is no such reply.  The reply's.
 */
const char *traj_brand_newest(const redisReply *reply);

/* The entries of a reply to XREAD of one stream; NULL where none came. */
const redisReply *traj_brand_entries(const redisReply *reply);

/* Id and fields of an entry, the reply's; false where it is none. */
bool traj_brand_open(const redisReply *entry, const char **id, const redisReply **fields);

/* Reads fields; counts has room for `room`.  False where a field is missing or of another type. */
bool traj_brand_read(const struct traj_brand_layout *layout, const redisReply *fields,
                     uint16_t *counts, size_t room, struct traj_brand_entry *entry);

#endif
