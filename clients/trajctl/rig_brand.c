/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A simulated BRAND graph: entries of a Redis stream as its nodes write them.  Blocks shorter than
 * a bin are threshold crossings (stream thresh_cross_1: int16 a channel, `timestamps` of 30 kHz),
 * blocks of a bin are counts (stream binned_spikes: int8 a channel, `i`).
 */
#include <errno.h>
#include <hiredis/hiredis.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "clients/trajctl/rig.h"

#define AT_ONCE 64 /* entries that may be on their way */

struct graph {
    struct rig *rig;
    redisContext *context;
    bool binned;
    int16_t *count; /* [units] of the step at hand */
    int8_t *narrow; /* [units] */
    uint64_t step;  /* number of the step at hand */
    uint64_t spikes;
    size_t pending; /* replies that have not been read */
};

static int read_replies(struct graph *graph, size_t leave, struct traj_error *error)
{
    while (graph->pending > leave) {
        void *reply = NULL;
        if (redisGetReply(graph->context, &reply) != REDIS_OK) {
            return traj_error_set(error, "redis: %s", graph->context->errstr);
        }
        const redisReply *told = reply;
        int result =
            told->type != REDIS_REPLY_ERROR ? 0 : traj_error_set(error, "redis: %s", told->str);
        freeReplyObject(reply);
        graph->pending--;
        if (result != 0) {
            return result;
        }
    }
    return 0;
}

static int open_graph(struct rig *rig, void **self, struct traj_error *error)
{
    struct graph *graph = calloc(1, sizeof *graph);
    const char *where = rig->endpoint;
    const char *colon = strrchr(where, ':');
    char host[128] = "";
    *self = graph;
    if (!graph) {
        return traj_error_set(error, "memory is short");
    }
    graph->rig = rig;
    graph->binned = rig->block_ms >= 1e3 * rig->bin_s * 0.999;
    graph->count = calloc(rig->session->units, sizeof *graph->count);
    graph->narrow = calloc(rig->session->units, sizeof *graph->narrow);
    if (!graph->count || !graph->narrow) {
        return traj_error_set(error, "memory is short");
    }
    if (rig->jitter_ms > 0.0) {
        return traj_error_set(error, "--jitter: an entry of BRAND is a whole step, and never late");
    }
    if (strncmp(where, "unix://", 7) == 0) {
        graph->context = redisConnectUnix(where + 7);
    } else if (strncmp(where, "redis://", 8) == 0 && colon > where + 8 &&
               (size_t)(colon - where - 8) < sizeof host) {
        memcpy(host, where + 8, (size_t)(colon - where - 8));
        graph->context = redisConnect(host, (int)strtol(colon + 1, NULL, 10));
    } else {
        return traj_error_set(error, "--endpoint: \"%s\" is not redis://HOST:PORT or unix://PATH",
                              where);
    }
    if (!graph->context || graph->context->err) {
        return traj_error_set(error, "%s: %s", where,
                              graph->context ? graph->context->errstr : "memory is short");
    }
    printf("%s\n", where);
    return fflush(stdout);
}

static void close_graph(void *self)
{
    struct graph *graph = self;
    if (!graph) {
        return;
    }
    if (graph->context) {
        redisFree(graph->context);
    }
    free(graph->count);
    free(graph->narrow);
    free(graph);
}

static int send_item(void *self, const struct rig_item *item, struct traj_error *error)
{
    struct graph *graph = self;
    (void)error;
    if (item->spike) {
        graph->count[item->unit]++;
        graph->narrow[item->unit] = (int8_t)graph->count[item->unit];
        graph->spikes++;
        graph->rig->spikes++;
    }
    return 0;
}

static uint64_t monotonic_ns(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void append(struct graph *graph, int64_t start)
{
    const uint64_t ts = monotonic_ns(), stamp = (uint64_t)start;
    const size_t units = graph->rig->session->units;
    char sync[64];
    (void)snprintf(sync, sizeof sync, "{\"nsp_idx_1\":%lld}", (long long)start);
    if (graph->binned) {
        redisAppendCommand(graph->context, "XADD binned_spikes * ts %b samples %b sync %s i %b",
                           &ts, sizeof ts, graph->narrow, units, sync, &graph->step,
                           sizeof graph->step);
    } else {
        redisAppendCommand(
            graph->context, "XADD thresh_cross_1 * timestamps %b crossings %b ts %b sync %s",
            &stamp, sizeof stamp, graph->count, units * sizeof *graph->count, &ts, sizeof ts, sync);
    }
    graph->pending++;
}

static int send_block(void *self, int64_t start, int64_t samples, struct traj_error *error)
{
    struct graph *graph = self;
    (void)samples;
    if (rig_loses(graph->rig)) {
        graph->rig->spikes_dropped += graph->spikes;
    } else {
        append(graph, start);
    }
    graph->step++;
    graph->spikes = 0;
    memset(graph->count, 0, graph->rig->session->units * sizeof *graph->count);
    memset(graph->narrow, 0, graph->rig->session->units * sizeof *graph->narrow);
    /* The last block of all is written before anybody counts on it. */
    return read_replies(graph, graph->rig->keep ? 0 : AT_ONCE, error);
}

static int restart(void *self, struct traj_error *error)
{
    struct graph *graph = self;
    (void)error;
    graph->step = 0;
    return 0;
}

static void name_channel(size_t unit, char *out, size_t cap, int *sorted)
{
    (void)snprintf(out, cap, "%zu", unit);
    *sorted = 0;
}

const struct rig_system rig_brand = {
    .name = "brand",
    .endpoint = "redis://127.0.0.1:6379",
    .rate = 30000.0,
    .open = open_graph,
    .item = send_item,
    .block = send_block,
    .restart = restart,
    .close = close_graph,
    .channel = name_channel,
};
