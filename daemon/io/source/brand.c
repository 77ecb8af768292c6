/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * BRAND: vectors of threshold crossings or counts from a Redis stream, intents as entries of
 * another.  The connection to read from has always one XREAD under way; brand_writer.c has one of
 * its own.
 *
 * An entry is one step (1 ms of crossings, 20 ms of counts ...).  One of its fields says which;
 * what is missing between two steps is lost.  Intents carry `sync` of the last step in their bin.
 */
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/io/source/brand_reply.h"
#include "daemon/io/source/brand_writer.h"
#include "daemon/io/source/rig.h"

#define RETRY_S 1.0                     /* between two attempts to connect */
#define BLOCK_MS 1000                   /* how long Redis holds a read for which there is nothing */
#define ENTRIES_AT_ONCE 256             /* of one read */
#define SAMPLES_MOST 9007199254740992.0 /* 2^53: beyond, a double does not tell all numbers apart */

struct brand {
    struct traj_intake *intake;
    /* what the entries are */
    char stream[128];
    struct traj_brand_layout layout;
    double step_samples; /* the length of a step */
    long ticks;          /* by which the step's field counts up */
    char nickname[64];
    char intents[128]; /* stream to write to; "" = none */

    struct traj_brand_address address;
    redisContext *in;
    char last[64]; /* id of the last entry */
    redisReply *reply;
    size_t entry, entries; /* of the reply */
    bool asked;            /* an XREAD is under way */
    double retry;          /* s: when to connect again */

    bool counted;
    int64_t step; /* of the last entry, in ticks */
    uint16_t *counts;
    size_t room;
    struct traj_brand_writer *writer; /* NULL = no stream to write to */
};

/* --- options -------------------------------------------------------------------------------- */

static int copy_option(const struct brand *self, const char *key, const char *fallback, char *out,
                       size_t cap, struct traj_error *error)
{
    const char *text = traj_url_text(&self->intake->url, key, fallback);

    if (strlen(text) >= cap) {
        return traj_error_set(error, "source: option \"%s\" is too long", key);
    }
    memcpy(out, text, strlen(text) + 1);
    return 0;
}

static int read_type(const char *name, enum traj_brand_type *type, struct traj_error *error)
{
    int number = traj_brand_type(name);

    if (number < 0) {
        return traj_error_set(error, "source: \"%s\" is no type: int8 .. uint64, float32, float64",
                              name);
    }
    *type = (enum traj_brand_type)number;
    return 0;
}

/* FIELD:TYPE[/TICKS] or sync.LABEL[/TICKS]. */
static int read_step(struct brand *self, struct traj_error *error)
{
    char text[128];
    char *slash;
    char *mark;

    if (copy_option(self, "step", "timestamps:uint64/30", text, sizeof text, error) != 0) {
        return -1;
    }
    self->ticks = 1;
    slash = strchr(text, '/');
    if (slash != NULL) {
        *slash = '\0';
        self->ticks = strtol(slash + 1, NULL, 10);
    }
    mark = strchr(text, ':');
    if (mark == NULL && strncmp(text, "sync.", 5) == 0) {
        mark = text + 4;
        (void)snprintf(self->layout.step_label, sizeof self->layout.step_label, "%s", mark + 1);
    } else if (mark == NULL || read_type(mark + 1, &self->layout.step_type, error) != 0) {
        return traj_error_set(error, "source: option \"step\" is FIELD:TYPE/TICKS or "
                                     "sync.LABEL/TICKS, such as i:uint64/1");
    }
    *mark = '\0';
    (void)snprintf(self->layout.step_field, sizeof self->layout.step_field, "%s", text);
    return self->ticks >= 1 && self->ticks <= 1000000 && text[0] != '\0'
               ? 0
               : traj_error_set(error, "source: option \"step\": a field and ticks above 0");
}

static int read_options(struct brand *self, struct traj_error *error)
{
    char type[16];
    double step_ms = 1.0;

    if (copy_option(self, "stream",
                    self->intake->map.stream[0] != '\0' ? self->intake->map.stream
                                                        : "thresh_cross_1",
                    self->stream, sizeof self->stream, error) != 0 ||
        copy_option(self, "field", "crossings", self->layout.field, sizeof self->layout.field,
                    error) != 0 ||
        copy_option(self, "type", "int16", type, sizeof type, error) != 0 ||
        copy_option(self, "nickname", "trajd", self->nickname, sizeof self->nickname, error) != 0 ||
        copy_option(self, "intents", "", self->intents, sizeof self->intents, error) != 0 ||
        read_type(type, &self->layout.type, error) != 0 || read_step(self, error) != 0 ||
        traj_url_real(&self->intake->url, "step_ms", 0.01, 10000.0, &step_ms, error) != 0) {
        return -1;
    }
    self->step_samples = self->intake->settings.rate * 1e-3 * step_ms;
    return self->step_samples >= 1.0
               ? 0
               : traj_error_set(error, "source: a step of %g ms is no sample long", step_ms);
}

/* --- connections ---------------------------------------------------------------------------- */

static redisContext *connect_redis(const struct brand *self)
{
    char why[160];
    redisContext *context = traj_brand_connect(&self->address, why, sizeof why);

    if (context == NULL) {
        traj_intake_say(self->intake, "%s", why);
    }
    return context;
}

static void drop_reply(struct brand *self)
{
    if (self->reply != NULL) {
        freeReplyObject(self->reply);
        self->reply = NULL;
    }
}

static void disconnect(struct brand *self)
{
    drop_reply(self);
    self->asked = false;
    if (self->in != NULL) {
        redisFree(self->in);
        self->in = NULL;
    }
}

/* What a node writes when it comes and when it goes. */
static void tell_state(const struct brand *self, redisContext *context, const char *status)
{
    redisReply *reply =
        redisCommand(context, "XADD %s_state * code 0 status %s", self->nickname, status);

    if (reply != NULL) {
        freeReplyObject(reply);
    }
}

/* Redis answers in order, and what it is asked first is a read that it may hold. */
static void tell_end(const struct brand *self)
{
    redisContext *context = connect_redis(self);

    if (context != NULL) {
        tell_state(self, context, "NODE_SHUTDOWN");
        redisFree(context);
    }
}

/* Reading begins behind what is there: the past is not live. */
static bool find_end(struct brand *self)
{
    redisReply *reply = redisCommand(self->in, "XREVRANGE %s + - COUNT 1", self->stream);
    const char *id = reply != NULL ? traj_brand_newest(reply) : NULL;

    if (id != NULL) {
        (void)snprintf(self->last, sizeof self->last, "%s", id);
    } else {
        traj_intake_say(self->intake, "redis: stream %.60s: %.80s", self->stream,
                        reply == NULL                      ? self->in->errstr
                        : reply->type == REDIS_REPLY_ERROR ? reply->str
                                                           : "is none");
    }
    if (reply != NULL) {
        freeReplyObject(reply);
    }
    return id != NULL;
}

static bool connect_in(struct brand *self)
{
    self->in = connect_redis(self);
    /* After a break it goes on where it was; Redis has kept what came meanwhile. */
    if (self->in == NULL || (self->last[0] == '\0' && !find_end(self))) {
        disconnect(self);
        return false;
    }
    tell_state(self, self->in, "NODE_READY");
    if (self->in->err != 0) {
        traj_intake_say(self->intake, "redis: %s", self->in->errstr);
        disconnect(self);
        return false;
    }
    return true;
}

static void ask(struct brand *self)
{
    int done = 0;

    if (redisAppendCommand(self->in, "XREAD BLOCK %d COUNT %d STREAMS %s %s", BLOCK_MS,
                           ENTRIES_AT_ONCE, self->stream, self->last) != REDIS_OK) {
        disconnect(self);
        return;
    }
    while (!done) {
        if (redisBufferWrite(self->in, &done) != REDIS_OK) {
            disconnect(self);
            return;
        }
    }
    self->asked = true;
}

static void close_brand(void *argument)
{
    struct brand *self = argument;

    traj_brand_writer_close(&self->writer);
    if (self->in != NULL) {
        tell_end(self);
    }
    disconnect(self);
    free(self->counts);
    free(self);
}

/* 0, or -1 with a sentence.  The writer's thread begins once a first connection has been made. */
static int open_parts(struct brand *self, void *context, struct traj_error *error)
{
    const struct traj_url *url = &self->intake->url;

    if (read_options(self, error) != 0) {
        return -1;
    }
    self->address = (struct traj_brand_address){.path = traj_url_text(url, "socket", NULL),
                                                .host = url->host,
                                                .port = (int)strtol(url->port, NULL, 10)};
    if (!connect_in(self)) {
        return traj_error_set(error, "source: %s", self->intake->said);
    }
    if (self->intents[0] != '\0') {
        self->writer = traj_brand_writer_open(&self->address, self->intents, context, error);
    }
    return self->intents[0] == '\0' || self->writer != NULL ? 0 : -1;
}

static void *open_brand(struct traj_intake *intake, void *context, struct traj_error *error)
{
    struct brand *self = calloc(1, sizeof *self);
    bool good = self != NULL;

    if (good) {
        self->intake = intake;
        self->room = TRAJ_UNITS_MAX;
        self->counts = calloc(self->room, sizeof *self->counts);
        self->retry = -(double)INFINITY;
        good = self->counts != NULL;
    }
    if (!good) {
        (void)traj_error_set(error, "out of memory");
    } else {
        good = open_parts(self, context, error) == 0;
    }
    if (!good && self != NULL) {
        close_brand(self);
        self = NULL;
    }
    return self;
}

/* --- entries -------------------------------------------------------------------------------- */

/* Steps that are missing between two entries; a number that goes back is a new start. */
static void count_step(struct brand *self, int64_t step)
{
    if (self->counted && step <= self->step) {
        traj_intake_begin(self->intake);
        if (self->writer != NULL) {
            traj_brand_writer_forget(self->writer);
        }
    } else if (self->counted) {
        int64_t away = (step - self->step + self->ticks / 2) / self->ticks;

        self->intake->counters.lost += away > 1 ? (uint64_t)(away - 1) : 0;
    }
    self->counted = true;
    self->step = step;
}

static void take_counts(struct brand *self, size_t count, int64_t sample)
{
    char channel[24];

    for (size_t c = 0; c < count; c++) {
        if (self->counts[c] > 0) {
            (void)snprintf(channel, sizeof channel, "%zu", c);
            traj_intake_spikes(self->intake, channel, 0, sample, self->counts[c]);
        }
    }
}

static void take_fields(struct brand *self, const redisReply *fields, double now)
{
    struct traj_brand_entry entry;
    int64_t sample;
    int64_t end;

    if (!traj_brand_read(&self->layout, fields, self->counts, self->room, &entry)) {
        self->intake->counters.refused++;
        traj_intake_say(self->intake,
                        "an entry of %.50s has no field %.30s of the type named, or no step",
                        self->stream, self->layout.field);
        return;
    }
    if (fabs((double)entry.step * self->step_samples) > SAMPLES_MOST) {
        self->intake->counters.refused++;
        traj_intake_say(self->intake, "the step %" PRId64 " is beyond what can be told apart",
                        entry.step);
        return;
    }
    count_step(self, entry.step);
    sample = (int64_t)((double)entry.step * self->step_samples / (double)self->ticks + 0.5);
    end = (int64_t)((double)sample + self->step_samples + 0.5);
    traj_intake_seen(self->intake, sample, now);
    take_counts(self, entry.count, sample);
    if (self->writer != NULL) {
        traj_brand_writer_step(self->writer, end, entry.sync, entry.sync_size);
    }
    traj_intake_seen(self->intake, end, now);
}

static void take_entry(struct brand *self, const redisReply *entry, double now)
{
    const redisReply *fields;
    const char *id;

    self->intake->counters.messages++;
    if (!traj_brand_open(entry, &id, &fields)) {
        self->intake->counters.refused++;
        return;
    }
    (void)snprintf(self->last, sizeof self->last, "%s", id);
    take_fields(self, fields, now);
}

/* Reads what has come, without waiting. */
static void receive(struct brand *self)
{
    struct pollfd item = {.fd = self->in->fd, .events = POLLIN};
    void *reply = NULL;

    if (poll(&item, 1, 0) <= 0) {
        return;
    }
    if (redisBufferRead(self->in) != REDIS_OK ||
        redisGetReplyFromReader(self->in, &reply) != REDIS_OK ||
        traj_brand_too_long(self->in->reader)) {
        traj_intake_say(self->intake, "redis: %s",
                        self->in->err != 0 ? self->in->errstr : "the reply is too long");
        if (reply != NULL) {
            freeReplyObject(reply);
        }
        disconnect(self);
        return;
    }
    self->reply = reply;
    if (self->reply != NULL) {
        self->asked = false;
        self->entry = 0;
        self->entries =
            traj_brand_entries(self->reply) != NULL ? traj_brand_entries(self->reply)->elements : 0;
        if (self->reply->type == REDIS_REPLY_ERROR) {
            traj_intake_say(self->intake, "redis: %.120s", self->reply->str);
            disconnect(self);
        }
    }
}

static bool take_brand(void *argument, double now)
{
    struct brand *self = argument;

    if (self->reply == NULL && self->in != NULL) {
        if (!self->asked) {
            ask(self);
        }
        if (self->in != NULL) {
            receive(self);
        }
    }
    if (self->reply == NULL) {
        return false;
    }
    if (self->entry < self->entries) {
        take_entry(self, traj_brand_entries(self->reply)->element[self->entry++], now);
        return true;
    }
    drop_reply(self);
    /* The next read is under way before anybody sleeps. */
    ask(self);
    return false;
}

static int items_brand(void *argument, zmq_pollitem_t *item)
{
    struct brand *self = argument;

    if (self->in == NULL) {
        return 0;
    }
    item[0] = (zmq_pollitem_t){.fd = self->in->fd, .events = ZMQ_POLLIN};
    return 1;
}

static double tick_brand(void *argument, double now)
{
    struct brand *self = argument;
    char said[160];

    if (self->writer != NULL && traj_brand_writer_said(self->writer, said, sizeof said)) {
        traj_intake_say(self->intake, "%s", said);
    }
    if (self->writer != NULL) {
        self->intake->counters.unwritten = traj_brand_writer_unwritten(self->writer);
    }
    if (self->in == NULL && now >= self->retry) {
        self->retry = now + RETRY_S;
        if (connect_in(self)) {
            self->intake->counters.connections++;
        }
    }
    return now + RETRY_S;
}

static const char *const options[] = {"stream", "field",    "type",    "step", "step_ms",
                                      "socket", "nickname", "intents", NULL};

const struct traj_rig_kind traj_rig_brand = {
    .scheme = "brand",
    .port = "6379",
    .options = options,
    .defaults = {.rate = 30000.0, .lag_s = 0.0, .wait_s = 0.1, .silence_s = 0.25, .jump_s = 2.0},
    .open = open_brand,
    .close = close_brand,
    .items = items_brand,
    .take = take_brand,
    .tick = tick_brand,
};
