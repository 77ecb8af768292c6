/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * BRAND: vectors of threshold crossings or counts from a Redis stream, intents as entries of
 * another.  Two connections, because a reader that waits inside Redis cannot write: one has always
 * one XREAD under way, the other writes.
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
#include <sys/time.h>

#include "daemon/io/source/brand_reply.h"
#include "daemon/io/source/rig.h"
#include "proto/intent.h"

#define RETRY_S 1.0         /* between two attempts to connect */
#define BLOCK_MS 1000       /* how long Redis holds a read for which there is nothing */
#define ENTRIES_AT_ONCE 256 /* of one read */
#define SYNC_SIZE 256       /* bytes of a label that is carried on; a longer one is not */
#define SYNCS 1024          /* steps whose labels are remembered */
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

    redisContext *in, *out;
    char last[64]; /* id of the last entry */
    redisReply *reply;
    size_t entry, entries; /* of the reply */
    bool asked;            /* an XREAD is under way */
    double retry;          /* s: when to connect again */

    bool counted;
    int64_t step; /* of the last entry, in ticks */
    uint16_t *counts;
    size_t room;
    void *subscriber; /* to the daemon's intents */
    struct traj_intent_buffer *parsed;
    struct {
        int64_t end; /* sample at which the step ends */
        char text[SYNC_SIZE];
    } sync[SYNCS];
    size_t syncs;
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
    const struct traj_url *url = &self->intake->url;
    const char *path = traj_url_text(url, "socket", NULL);
    const struct timeval patience = {1, 0};
    redisContext *context =
        path != NULL
            ? redisConnectUnixWithTimeout(path, patience)
            : redisConnectWithTimeout(url->host, (int)strtol(url->port, NULL, 10), patience);

    if (context != NULL && context->err == 0 && redisSetTimeout(context, patience) == REDIS_OK) {
        traj_brand_bound(context->reader);
        return context;
    }
    traj_intake_say(self->intake, "redis at %.60s: %s", path != NULL ? path : url->host,
                    context != NULL ? context->errstr : "out of memory");
    if (context != NULL) {
        redisFree(context);
    }
    return NULL;
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
    if (self->out != NULL) {
        redisFree(self->out);
        self->out = NULL;
    }
}

/* What a node writes when it comes and when it goes. */
static void tell_state(const struct brand *self, const char *status)
{
    redisReply *reply =
        redisCommand(self->out, "XADD %s_state * code 0 status %s", self->nickname, status);

    if (reply != NULL) {
        freeReplyObject(reply);
    }
}

/* Reading begins behind what is there: the past is not live. */
static bool find_end(struct brand *self)
{
    redisReply *reply = redisCommand(self->out, "XREVRANGE %s + - COUNT 1", self->stream);
    const char *id = reply != NULL ? traj_brand_newest(reply) : NULL;

    if (id != NULL) {
        (void)snprintf(self->last, sizeof self->last, "%s", id);
    } else {
        traj_intake_say(self->intake, "redis: stream %.60s: %.80s", self->stream,
                        reply == NULL                      ? self->out->errstr
                        : reply->type == REDIS_REPLY_ERROR ? reply->str
                                                           : "is none");
    }
    if (reply != NULL) {
        freeReplyObject(reply);
    }
    return id != NULL;
}

static bool connect_both(struct brand *self)
{
    self->in = connect_redis(self);
    self->out = self->in != NULL ? connect_redis(self) : NULL;
    /* After a break it goes on where it was; Redis has kept what came meanwhile. */
    if (self->out == NULL || (self->last[0] == '\0' && !find_end(self))) {
        disconnect(self);
        return false;
    }
    tell_state(self, "NODE_READY");
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

    if (self->out != NULL) {
        tell_state(self, "NODE_SHUTDOWN");
    }
    disconnect(self);
    if (self->subscriber != NULL) {
        (void)zmq_close(self->subscriber);
    }
    free(self->counts);
    free(self->parsed);
    free(self);
}

static int subscribe(struct brand *self, void *context, struct traj_error *error)
{
    int none = 0;

    if (self->intents[0] == '\0') {
        return 0;
    }
    self->parsed = calloc(1, sizeof *self->parsed);
    self->subscriber = zmq_socket(context, ZMQ_SUB);
    if (self->parsed == NULL || self->subscriber == NULL ||
        zmq_setsockopt(self->subscriber, ZMQ_LINGER, &none, sizeof none) != 0 ||
        zmq_setsockopt(self->subscriber, ZMQ_SUBSCRIBE, "intent", 6) != 0 ||
        zmq_connect(self->subscriber, TRAJ_RIG_INTENTS) != 0) {
        return traj_error_set(error, "source: intents: %s", zmq_strerror(zmq_errno()));
    }
    return 0;
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
        good = read_options(self, error) == 0 && subscribe(self, context, error) == 0;
        if (good && !connect_both(self)) {
            (void)traj_error_set(error, "source: %s", intake->said);
            good = false;
        }
    }
    if (!good && self != NULL) {
        close_brand(self);
        self = NULL;
    }
    return self;
}

/* --- intents -------------------------------------------------------------------------------- */

/* The label of the last step that ends no later than the bin; "{}" where none is known. */
static const char *sync_of(const struct brand *self, uint64_t end)
{
    size_t known = self->syncs < SYNCS ? self->syncs : SYNCS;

    for (size_t back = 1; back <= known; back++) {
        size_t at = (self->syncs - back) % SYNCS;

        if ((uint64_t)self->sync[at].end <= end) {
            return self->sync[at].text[0] != '\0' ? self->sync[at].text : "{}";
        }
    }
    return "{}";
}

static void add_intent(struct brand *self, const struct traj_intent *intent, double now)
{
    const uint64_t ts = (uint64_t)(1e9 * now);
    const uint8_t valid = intent->valid;
    const size_t size = intent->dim * sizeof(double);
    const char *target = intent->target != NULL ? intent->target : "";
    redisReply *reply;

    if (intent->position == NULL || intent->velocity == NULL) {
        return;
    }
    reply = redisCommand(self->out,
                         "XADD %s MAXLEN ~ 100000 * ts %b sync %s i %b position %b velocity %b "
                         "valid %b target %s",
                         self->intents, &ts, sizeof ts, sync_of(self, intent->stamps.device),
                         &intent->seq, sizeof intent->seq, intent->position, size, intent->velocity,
                         size, &valid, sizeof valid, target);
    if (reply == NULL || reply->type == REDIS_REPLY_ERROR) {
        traj_intake_say(self->intake, "redis: intents: %.100s",
                        reply != NULL ? reply->str : self->out->errstr);
    }
    if (reply == NULL) {
        disconnect(self);
    } else {
        freeReplyObject(reply);
    }
}

/* Passes on what has been published since. */
static void pass_intents(struct brand *self, double now)
{
    while (self->subscriber != NULL && self->out != NULL) {
        zmq_msg_t part;
        int size;

        (void)zmq_msg_init(&part);
        size = zmq_msg_recv(&part, self->subscriber, ZMQ_DONTWAIT);
        if (size >= 0 && !zmq_msg_more(&part) &&
            traj_intent_parse(zmq_msg_data(&part), zmq_msg_size(&part), self->parsed, NULL) ==
                TRAJ_ACCEPTED) {
            add_intent(self, &self->parsed->intent, now);
        }
        (void)zmq_msg_close(&part);
        if (size < 0) {
            return;
        }
    }
}

/* --- entries -------------------------------------------------------------------------------- */

/* Steps that are missing between two entries; a number that goes back is a new start. */
static void count_step(struct brand *self, int64_t step)
{
    if (self->counted && step <= self->step) {
        traj_intake_begin(self->intake);
        self->syncs = 0;
    } else if (self->counted) {
        int64_t away = (step - self->step + self->ticks / 2) / self->ticks;

        self->intake->counters.lost += away > 1 ? (uint64_t)(away - 1) : 0;
    }
    self->counted = true;
    self->step = step;
}

static void remember_sync(struct brand *self, const struct traj_brand_entry *entry, int64_t end)
{
    size_t at = self->syncs % SYNCS;

    self->sync[at].end = end;
    self->sync[at].text[0] = '\0';
    if (entry->sync != NULL && entry->sync_size < SYNC_SIZE) {
        memcpy(self->sync[at].text, entry->sync, entry->sync_size + 1);
    }
    self->syncs++;
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
    remember_sync(self, &entry, end);
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

    pass_intents(self, now);
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
    int count = 0;

    if (self->in != NULL) {
        item[count++] = (zmq_pollitem_t){.fd = self->in->fd, .events = ZMQ_POLLIN};
    }
    if (self->subscriber != NULL) {
        item[count++] = (zmq_pollitem_t){.socket = self->subscriber, .events = ZMQ_POLLIN};
    }
    return count;
}

static double tick_brand(void *argument, double now)
{
    struct brand *self = argument;

    if (self->in == NULL && now >= self->retry) {
        self->retry = now + RETRY_S;
        if (connect_both(self)) {
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
