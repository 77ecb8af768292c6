/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * One node of a pipeline of Redis streams, as BRAND builds them (XREAD BLOCK 0, work, XADD), in C:
 *
 *     redis_node SOCKET IN OUT UNITS [pass]
 *
 * Reads entries {i, samples (u16 of each unit)} of stream IN; writes {i, samples} on to OUT where
 * "pass" is given, else what a steady-state Kalman filter decodes: {i, state (4 f64)}.
 */
#include <hiredis/hiredis.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/bench/peers/kalman.h"

#define TRIM "1000" /* entries kept of a stream, roughly */

/* The value of a field of an entry; NULL if it has none. */
static const redisReply *field(const redisReply *entry, const char *name)
{
    const redisReply *pairs = entry->element[1];
    for (size_t i = 0; i + 1 < pairs->elements; i += 2) {
        if (strcmp(pairs->element[i]->str, name) == 0) {
            return pairs->element[i + 1];
        }
    }
    return NULL;
}

static void write_on(redisContext *redis, const char *out, const redisReply *number,
                     const char *name, const void *data, size_t size)
{
    redisReply *reply = redisCommand(redis, "XADD %s MAXLEN ~ " TRIM " * i %b %s %b", out,
                                     number->str, (size_t)number->len, name, data, size);
    if (!reply) {
        exit(0); /* the server has ended */
    }
    freeReplyObject(reply);
}

static void work(redisContext *redis, const char *out, struct kalman *kalman, int pass,
                 const redisReply *entry)
{
    const redisReply *number = field(entry, "i");
    const redisReply *samples = field(entry, "samples");
    if (!number || !samples || (size_t)samples->len != kalman->units * sizeof(uint16_t)) {
        return;
    }
    if (pass) {
        write_on(redis, out, number, "samples", samples->str, (size_t)samples->len);
        return;
    }
    uint16_t counts[KALMAN_UNITS_MAX];
    memcpy(counts, samples->str, (size_t)samples->len);
    kalman_step(kalman, counts, 0.005);
    write_on(redis, out, number, "state", kalman->state, sizeof kalman->state);
}

int main(int argc, char **argv)
{
    static struct kalman kalman;
    char last[64] = "$";
    size_t units = argc >= 5 ? strtoul(argv[4], NULL, 10) : 0;
    if (units < 1 || units > KALMAN_UNITS_MAX) {
        (void)fprintf(stderr, "redis_node SOCKET IN OUT UNITS [pass]\n");
        return 2;
    }
    kalman_init(&kalman, units);
    redisContext *redis = redisConnectUnix(argv[1]);
    if (!redis || redis->err) {
        (void)fprintf(stderr, "redis_node: %s\n", redis ? redis->errstr : "no memory");
        return 1;
    }
    for (;;) {
        redisReply *reply =
            redisCommand(redis, "XREAD BLOCK 0 COUNT 1 STREAMS %s %s", argv[2], last);
        if (!reply || reply->type == REDIS_REPLY_ERROR) {
            return 0;
        }
        const redisReply *entries = reply->elements > 0 ? reply->element[0]->element[1] : NULL;
        for (size_t i = 0; entries && i < entries->elements; i++) {
            const redisReply *entry = entries->element[i];
            (void)snprintf(last, sizeof last, "%s", entry->element[0]->str);
            work(redis, argv[3], &kalman, argc > 5, entry);
        }
        freeReplyObject(reply);
    }
}
