/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Intents as entries of a stream in Redis; see brand_writer.h. */
#include "daemon/io/source/brand_writer.h"

#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/time.h>
#include <zmq.h>

#include "daemon/io/clock.h"
#include "daemon/io/source/brand_reply.h"
#include "daemon/io/source/rig.h"
#include "proto/intent_binary.h"

#define RETRY_S 1.0 /* between two attempts to connect */
#define WAIT_MS 200 /* the thread looks so often whether it is to end */
#define BEHIND_S                                                                                   \
    1.0 /* a queue that has not been empty for so long is passed over but for its end */
#define SYNC_SIZE 256 /* bytes of a label that is carried on; a longer one is not */
#define SYNCS 1024    /* steps whose labels are remembered */

struct label {
    int64_t end; /* sample at which the step ends */
    char text[SYNC_SIZE];
};

struct traj_brand_writer {
    struct traj_brand_address address;
    char stream[128];
    void *subscriber; /* to the daemon's intents */
    pthread_t thread;
    bool started;
    atomic_bool end;
    atomic_uint_least64_t unwritten; /* entries left out: later ones waited */

    /* between the threads, under the lock */
    pthread_mutex_t lock;
    bool locks;
    struct label label[SYNCS];
    size_t labels;
    char said[160];
    bool unheard;

    /* the thread's own */
    redisContext *out;
    double retry; /* s: when to connect again */
    struct traj_intent_buffer *parsed;
    uint64_t seq, device; /* of the last intent: a silence lies behind it */
    size_t dim;           /* of what was last to be written, */
    bool claims;          /* which said that it is valid */
    double caught_up;     /* s: when nothing waited */
};

/* --- connections ---------------------------------------------------------------------------- */

redisContext *traj_brand_connect(const struct traj_brand_address *address, char *why, size_t cap)
{
    const struct timeval patience = {1, 0};
    redisContext *context = address->path != NULL
                                ? redisConnectUnixWithTimeout(address->path, patience)
                                : redisConnectWithTimeout(address->host, address->port, patience);

    if (context != NULL && context->err == 0 && redisSetTimeout(context, patience) == REDIS_OK) {
        traj_brand_bound(context->reader);
        return context;
    }
    (void)snprintf(why, cap, "redis at %.60s: %.80s",
                   address->path != NULL ? address->path : address->host,
                   context != NULL ? context->errstr : "out of memory");
    if (context != NULL) {
        redisFree(context);
    }
    return NULL;
}

/* --- what the reading thread asks and tells ------------------------------------------------- */

void traj_brand_writer_step(struct traj_brand_writer *writer, int64_t end, const char *sync,
                            size_t size)
{
    struct label *label;

    (void)pthread_mutex_lock(&writer->lock);
    label = &writer->label[writer->labels++ % SYNCS];
    label->end = end;
    label->text[0] = '\0';
    if (sync != NULL && size < SYNC_SIZE) {
        memcpy(label->text, sync, size);
        label->text[size] = '\0';
    }
    (void)pthread_mutex_unlock(&writer->lock);
}

void traj_brand_writer_forget(struct traj_brand_writer *writer)
{
    (void)pthread_mutex_lock(&writer->lock);
    writer->labels = 0;
    (void)pthread_mutex_unlock(&writer->lock);
}

bool traj_brand_writer_said(struct traj_brand_writer *writer, char *text, size_t cap)
{
    bool unheard;

    (void)pthread_mutex_lock(&writer->lock);
    unheard = writer->unheard;
    writer->unheard = false;
    (void)snprintf(text, cap, "%s", writer->said);
    (void)pthread_mutex_unlock(&writer->lock);
    return unheard;
}

uint64_t traj_brand_writer_unwritten(const struct traj_brand_writer *writer)
{
    return atomic_load(&writer->unwritten);
}

static void say(struct traj_brand_writer *writer, const char *text)
{
    (void)pthread_mutex_lock(&writer->lock);
    (void)snprintf(writer->said, sizeof writer->said, "%s", text);
    writer->unheard = true;
    (void)pthread_mutex_unlock(&writer->lock);
}

/* The label of the last step that ends no later than the bin; "{}" where none is known. */
static void label_of(struct traj_brand_writer *writer, uint64_t end, char text[SYNC_SIZE])
{
    size_t known;

    (void)snprintf(text, SYNC_SIZE, "{}");
    (void)pthread_mutex_lock(&writer->lock);
    known = writer->labels < SYNCS ? writer->labels : SYNCS;
    for (size_t back = 1; back <= known; back++) {
        const struct label *label = &writer->label[(writer->labels - back) % SYNCS];

        if ((uint64_t)label->end <= end) {
            if (label->text[0] != '\0') {
                (void)snprintf(text, SYNC_SIZE, "%s", label->text);
            }
            break;
        }
    }
    (void)pthread_mutex_unlock(&writer->lock);
}

/* --- entries -------------------------------------------------------------------------------- */

static const double *known_or_nan(const double *value, double nan[TRAJ_DIM_MAX])
{
    for (size_t d = 0; d < TRAJ_DIM_MAX; d++) {
        nan[d] = (double)NAN;
    }
    return value != NULL ? value : nan;
}

static void took(struct traj_brand_writer *writer, redisReply *reply)
{
    char text[160];

    if (reply == NULL || reply->type == REDIS_REPLY_ERROR) {
        (void)snprintf(text, sizeof text, "redis: intents: %.100s",
                       reply != NULL ? reply->str : writer->out->errstr);
        say(writer, text);
    }
    if (reply != NULL) {
        freeReplyObject(reply);
        return;
    }
    redisFree(writer->out);
    writer->out = NULL;
    writer->retry = traj_clock_now() + RETRY_S;
}

/* What is not known is NaN: a reader that looks at the newest entry must not find an older one. */
static void add_entry(struct traj_brand_writer *writer, const struct traj_intent *intent)
{
    const double done = isfinite(intent->stamps.done) ? intent->stamps.done : traj_clock_now();
    const uint64_t ts = (uint64_t)(1e9 * done);
    const uint8_t valid = intent->valid;
    const size_t size = intent->dim * sizeof(double);
    double nan[2][TRAJ_DIM_MAX];
    char sync[SYNC_SIZE];

    writer->dim = intent->dim;
    writer->claims = intent->valid;
    label_of(writer, writer->device, sync);
    took(writer, redisCommand(writer->out,
                              "XADD %s MAXLEN ~ 100000 * ts %b sync %s i %b position %b "
                              "velocity %b valid %b target %s",
                              writer->stream, &ts, sizeof ts, sync, &writer->seq,
                              sizeof writer->seq, known_or_nan(intent->position, nan[0]), size,
                              known_or_nan(intent->velocity, nan[1]), size, &valid, sizeof valid,
                              intent->target != NULL ? intent->target : ""));
}

/* The next that waits, into parsed; false where nothing does. */
static bool next_intent(struct traj_brand_writer *writer)
{
    const struct traj_intent *intent = &writer->parsed->intent;
    bool found = false;
    int size = 0;

    while (!found && size >= 0) {
        double silent = NAN;
        zmq_msg_t part;

        (void)zmq_msg_init(&part);
        size = zmq_msg_recv(&part, writer->subscriber, ZMQ_DONTWAIT);
        found = size >= 0 && !zmq_msg_more(&part) &&
                traj_intent_parse_binary(zmq_msg_data(&part), (size_t)size, writer->parsed, &silent,
                                         NULL) == TRAJ_ACCEPTED;
        if (found && isnan(silent)) {
            writer->seq = intent->seq;
            writer->device = intent->stamps.device;
        }
        (void)zmq_msg_close(&part);
    }
    return found;
}

/* Goes on to the last of those that wait; what is passed over is counted. */
static void pass_over(struct traj_brand_writer *writer)
{
    while (next_intent(writer)) {
        atomic_fetch_add(&writer->unwritten, 1);
    }
    writer->caught_up = traj_clock_now();
}

/*
 * Writes one entry; false if nothing waits.  Where Redis has long been slower than the intents
 * come, or was away, only the newest of them is worth writing: whoever looks at the end of the
 * stream acts on it.
 */
static bool take(struct traj_brand_writer *writer)
{
    if (!next_intent(writer)) {
        writer->caught_up = traj_clock_now();
        return false;
    }
    if (traj_clock_now() - writer->caught_up > BEHIND_S) {
        pass_over(writer);
    }
    add_entry(writer, &writer->parsed->intent);
    return true;
}

/* The last entry: nobody will say any more that the one before it is over. */
static void add_end(struct traj_brand_writer *writer)
{
    const double still[TRAJ_DIM_MAX] = {0.0};
    const struct traj_intent end = {
        .dim = writer->dim, .velocity = still, .stamps = {.recv = NAN, .done = NAN}};

    pass_over(writer);
    if (writer->claims) {
        add_entry(writer, &end);
    }
}

static void connect_out(struct traj_brand_writer *writer)
{
    char why[160];

    writer->out = traj_brand_connect(&writer->address, why, sizeof why);
    if (writer->out == NULL) {
        say(writer, why);
        writer->retry = traj_clock_now() + RETRY_S;
    }
}

/* While there is no connection, intents wait in the queue of the subscription. */
static void *run(void *argument)
{
    struct traj_brand_writer *writer = argument;

    (void)prctl(PR_SET_NAME, "brand-intents");
    while (!atomic_load(&writer->end)) {
        zmq_pollitem_t item = {.socket = writer->subscriber, .events = ZMQ_POLLIN};

        if (writer->out == NULL && traj_clock_now() >= writer->retry) {
            connect_out(writer);
        }
        (void)zmq_poll(&item, writer->out != NULL ? 1 : 0, WAIT_MS);
        while (!atomic_load(&writer->end) && writer->out != NULL && take(writer)) {
        }
    }
    if (writer->out != NULL) {
        add_end(writer);
    }
    return NULL;
}

/* --- opening and closing -------------------------------------------------------------------- */

static int open_parts(struct traj_brand_writer *writer, void *context, struct traj_error *error)
{
    int none = 0;
    int rc;

    writer->locks = pthread_mutex_init(&writer->lock, NULL) == 0;
    writer->parsed = calloc(1, sizeof *writer->parsed);
    if (!writer->locks || writer->parsed == NULL) {
        return traj_error_set(error, "out of memory");
    }
    writer->subscriber = zmq_socket(context, ZMQ_SUB);
    if (writer->subscriber == NULL ||
        zmq_setsockopt(writer->subscriber, ZMQ_LINGER, &none, sizeof none) != 0 ||
        zmq_setsockopt(writer->subscriber, ZMQ_SUBSCRIBE, TRAJ_TOPIC_BINARY,
                       strlen(TRAJ_TOPIC_BINARY)) != 0 ||
        zmq_connect(writer->subscriber, TRAJ_RIG_INTENTS) != 0) {
        return traj_error_set(error, "source: intents: %s", zmq_strerror(zmq_errno()));
    }
    rc = pthread_create(&writer->thread, NULL, run, writer);
    writer->started = rc == 0;
    return rc == 0 ? 0 : traj_error_set(error, "cannot start a thread: %s", strerror(rc));
}

struct traj_brand_writer *traj_brand_writer_open(const struct traj_brand_address *address,
                                                 const char *stream, void *context,
                                                 struct traj_error *error)
{
    struct traj_brand_writer *writer = calloc(1, sizeof *writer);

    if (writer == NULL) {
        (void)traj_error_set(error, "out of memory");
        return NULL;
    }
    writer->address = *address;
    (void)snprintf(writer->stream, sizeof writer->stream, "%s", stream);
    writer->retry = -(double)INFINITY;
    atomic_init(&writer->end, false);
    atomic_init(&writer->unwritten, 0);
    writer->caught_up = traj_clock_now();
    if (open_parts(writer, context, error) != 0) {
        traj_brand_writer_close(&writer);
    }
    return writer;
}

void traj_brand_writer_close(struct traj_brand_writer **writer)
{
    struct traj_brand_writer *self = *writer;

    if (self == NULL) {
        return;
    }
    if (self->started) {
        atomic_store(&self->end, true);
        (void)pthread_join(self->thread, NULL);
    }
    if (self->subscriber != NULL) {
        (void)zmq_close(self->subscriber);
    }
    if (self->out != NULL) {
        redisFree(self->out);
    }
    if (self->locks) {
        (void)pthread_mutex_destroy(&self->lock);
    }
    free(self->parsed);
    free(self);
    *writer = NULL;
}
