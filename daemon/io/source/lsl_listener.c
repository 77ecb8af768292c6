/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Threads that wait in liblsl; see lsl_listener.h. */
#include "daemon/io/source/lsl_listener.h"

#include <dlfcn.h>
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "daemon/core/ring.h"
#include "proto/lsl.h"
#include "traj/model.h"

#define RECORDS 1024     /* that may wait between two threads */
#define PULL_S 0.02      /* a thread waits so long for a sample before it looks around */
#define RESOLVE_S 1.0    /* and so long for a stream to be found */
#define OPEN_S 5.0       /* for a stream that was found to answer */
#define CLOCK_S 2.0      /* and for an estimate of its clock */
#define CORRECTION_S 5.0 /* between two looks at the streams' clocks */
#define BUFFER_S 60      /* liblsl keeps so much where nobody takes it */

_Static_assert(TRAJ_LSL_CHANNELS_MAX <= TRAJ_UNITS_MAX, "a channel is a unit");

/* From one thread to whoever takes. */
struct lane {
    pthread_t thread;
    bool started;
    void *memory;
    struct traj_ring *ring;
    bool fresh; /* the thread's own: something was put in since the bell was rung */
};

struct traj_lsl_listener {
    struct traj_lsl call;
    char predicate[TRAJ_LSL_PREDICATE_SIZE], markers[TRAJ_LSL_PREDICATE_SIZE]; /* "" = no markers */

    /* between the threads */
    struct lane counting, marking;
    int bell;
    atomic_bool end;
    atomic_bool looked;        /* for markers, once at least */
    pthread_mutex_t data_lock; /* held to change data, and by the other thread to use it */
    bool data_locks;
    traj_lsl_inlet data;
    uint64_t data_runs; /* streams of counts that were opened */

    /* the counts' thread's own */
    struct traj_lsl_counts told; /* of the stream that is open */
    double *value;

    /* the markers' thread's own */
    traj_lsl_inlet marks;
    double correction, next_correction;
    uint64_t corrected; /* data_runs of which the correction speaks */
    bool known;         /* the correction */
    bool absent;        /* it was said that there are no markers */
    bool unplaced;      /* it was said that the correction cannot be had */

    /* whoever takes: */
    struct lane *next; /* of the record that traj_lsl_next told */
};

const char *traj_lsl_text(const struct traj_lsl_item *item)
{
    return (const char *)(item + 1);
}

const uint16_t *traj_lsl_counts_of(const struct traj_lsl_item *item)
{
    return (const uint16_t *)(item + 1);
}

/* --- the threads: what liblsl gives becomes records ------------------------------------------- */

static void ring_bell(const struct traj_lsl_listener *self)
{
    const uint64_t one = 1;

    while (write(self->bell, &one, sizeof one) < 0 && errno == EINTR) {
    }
}

static void ring_if_fresh(const struct traj_lsl_listener *self, struct lane *lane)
{
    if (lane->fresh) {
        lane->fresh = false;
        ring_bell(self);
    }
}

static void rest(long ns)
{
    const struct timespec moment = {0, ns};

    (void)nanosleep(&moment, NULL);
}

/* Room for a record; waits while there is none.  NULL at the end. */
static struct traj_lsl_item *reserve(struct traj_lsl_listener *self, struct lane *lane)
{
    struct traj_lsl_item *item = traj_ring_reserve(lane->ring);

    while (item == NULL && !atomic_load(&self->end)) {
        ring_bell(self);
        rest(1000000);
        item = traj_ring_reserve(lane->ring);
    }
    if (item != NULL) {
        memset(item, 0, sizeof *item);
    }
    return item;
}

static void commit(struct lane *lane)
{
    traj_ring_commit(lane->ring);
    lane->fresh = true;
}

static void hand_text(struct traj_lsl_listener *self, struct lane *lane,
                      const struct traj_lsl_item *head, const char *text)
{
    struct traj_lsl_item *item = reserve(self, lane);

    if (item != NULL) {
        *item = *head;
        (void)snprintf((char *)(item + 1), TRAJ_LSL_TEXT_SIZE, "%s", text);
        commit(lane);
    }
}

static void say(struct traj_lsl_listener *self, struct lane *lane, const char *text)
{
    hand_text(self, lane, &(struct traj_lsl_item){.kind = TRAJ_LSL_SAY}, text);
}

/* What has no label goes by its number. */
static void hand_label(void *argument, int32_t channel, const char *label)
{
    struct traj_lsl_listener *self = argument;
    char number[16];

    (void)snprintf(number, sizeof number, "%" PRId32, channel);
    hand_text(self, &self->counting,
              &(struct traj_lsl_item){.kind = TRAJ_LSL_LABEL, .channels = (uint32_t)channel},
              label != NULL ? label : number);
}

static void hand_opened(struct traj_lsl_listener *self)
{
    struct traj_lsl_item *item = reserve(self, &self->counting);

    if (item != NULL) {
        item->kind = TRAJ_LSL_OPENED;
        item->channels = (uint32_t)self->told.channels;
        item->rate = self->told.rate;
        commit(&self->counting);
    }
}

/* An inlet to the first stream that the predicate names, or NULL. */
static traj_lsl_inlet find_stream(const struct traj_lsl_listener *self, const char *predicate)
{
    traj_lsl_info info = NULL;
    traj_lsl_inlet inlet = NULL;

    if (self->call.resolve_bypred(&info, 1, predicate, 1, RESOLVE_S) >= 1 && info != NULL) {
        inlet = self->call.create_inlet(info, BUFFER_S, 0, 1);
        self->call.destroy_streaminfo(info);
    }
    return inlet;
}

/* --- the counts' thread ----------------------------------------------------------------------- */

static bool use_data(struct traj_lsl_listener *self, traj_lsl_inlet inlet)
{
    int32_t error = 0;
    traj_lsl_info info = self->call.get_fullinfo(inlet, OPEN_S, &error);
    const char *why;

    if (info == NULL) {
        return false;
    }
    why = traj_lsl_describe(&self->call, info, &self->told);
    if (why != NULL) {
        say(self, &self->counting, why);
        self->call.destroy_streaminfo(info);
        return false;
    }
    hand_opened(self);
    traj_lsl_labels(&self->call, info, self->told.channels, hand_label, self);
    self->call.destroy_streaminfo(info);
    self->call.open_stream(inlet, OPEN_S, &error);
    return error == 0;
}

/* Nobody but this thread changes data, so it reads it without the lock. */
static void set_data(struct traj_lsl_listener *self, traj_lsl_inlet inlet)
{
    traj_lsl_inlet former = self->data;

    (void)pthread_mutex_lock(&self->data_lock);
    self->data = inlet;
    self->data_runs += inlet != NULL ? 1 : 0;
    (void)pthread_mutex_unlock(&self->data_lock);
    if (former != NULL) {
        self->call.destroy_inlet(former);
    }
}

static void find_data(struct traj_lsl_listener *self)
{
    traj_lsl_inlet inlet = find_stream(self, self->predicate);

    if (inlet != NULL && !use_data(self, inlet)) {
        self->call.destroy_inlet(inlet);
        inlet = NULL;
    }
    if (inlet != NULL) {
        set_data(self, inlet);
    }
}

/* Counts are whole numbers from 0 on. */
static bool to_counts(const struct traj_lsl_listener *self, uint16_t *counts)
{
    for (int32_t c = 0; c < self->told.channels; c++) {
        double value = self->value[c];

        if (!(value >= 0.0 && value < TRAJ_COUNT_MISSING) || value != floor(value)) {
            return false;
        }
        counts[c] = (uint16_t)value;
    }
    return true;
}

static void hand_sample(struct traj_lsl_listener *self, double stamp)
{
    struct traj_lsl_item *item = reserve(self, &self->counting);

    if (item == NULL) {
        return;
    }
    item->stamp = stamp;
    item->channels = (uint32_t)self->told.channels;
    item->kind =
        isfinite(stamp) && to_counts(self, (uint16_t *)(item + 1)) ? TRAJ_LSL_COUNTS : TRAJ_LSL_BAD;
    commit(&self->counting);
}

/* All samples that wait, after a wait for the first. */
static void pull_data(struct traj_lsl_listener *self)
{
    double patience = PULL_S;
    int32_t error = 0;
    double stamp;

    do {
        stamp = self->call.pull_sample_d(self->data, self->value, self->told.channels, patience,
                                         &error);
        if (stamp != 0.0 && error == 0) {
            hand_sample(self, stamp);
        }
        patience = 0.0;
    } while (stamp != 0.0 && error == 0 && !atomic_load(&self->end));
    if (error == TRAJ_LSL_LOST) {
        set_data(self, NULL);
        say(self, &self->counting, "the stream is lost; looking for it anew");
    }
}

static void *listen_to_counts(void *argument)
{
    struct traj_lsl_listener *self = argument;

    /* Markers first: whoever waits for a listener to the counts then has one for both. */
    while (self->marking.started && !atomic_load(&self->looked) && !atomic_load(&self->end)) {
        rest(1000000);
    }
    while (!atomic_load(&self->end)) {
        if (self->data == NULL) {
            find_data(self);
        } else {
            pull_data(self);
        }
        ring_if_fresh(self, &self->counting);
    }
    return NULL;
}

/* --- the markers' thread ---------------------------------------------------------------------- */

static void find_marks(struct traj_lsl_listener *self)
{
    char text[TRAJ_LSL_TEXT_SIZE];
    int32_t error = 0;

    self->marks = find_stream(self, self->markers);
    if (self->marks != NULL) {
        self->call.open_stream(self->marks, OPEN_S, &error);
        self->known = false;
        self->next_correction = 0.0;
        if (self->absent) {
            say(self, &self->marking, "the stream of markers is there");
        }
        self->absent = false;
    } else if (!self->absent) {
        (void)snprintf(text, sizeof text, "no stream of markers with %.60s yet: no marks come",
                       self->markers);
        say(self, &self->marking, text);
        self->absent = true;
    }
}

static void drop_marks(struct traj_lsl_listener *self)
{
    self->call.destroy_inlet(self->marks);
    self->marks = NULL;
    self->absent = true;
    say(self, &self->marking, "the stream of markers is lost; looking for it anew");
}

/* How far the counts' clock is from this machine's; false if that is not known. */
static bool clock_of_data(struct traj_lsl_listener *self, double patience, double *away)
{
    int32_t error = 0;
    bool known = false;

    (void)pthread_mutex_lock(&self->data_lock);
    if (self->data != NULL) {
        *away = self->call.time_correction(self->data, patience, &error);
        known = error == 0;
        self->corrected = self->data_runs;
    }
    (void)pthread_mutex_unlock(&self->data_lock);
    return known;
}

static bool data_is_another(struct traj_lsl_listener *self)
{
    bool another;

    (void)pthread_mutex_lock(&self->data_lock);
    another = self->data_runs != self->corrected;
    (void)pthread_mutex_unlock(&self->data_lock);
    return another;
}

static void say_unplaced(struct traj_lsl_listener *self, bool unplaced)
{
    if (unplaced != self->unplaced) {
        say(self, &self->marking,
            unplaced ? "liblsl cannot tell the clocks of counts and markers: markers wait"
                     : "the clocks of counts and markers are known");
        self->unplaced = unplaced;
    }
}

/*
 * What takes a marker's stamp to the clock of the counts: both streams' distances from this
 * machine's clock, as liblsl estimates them by round trips.  While it cannot be had, that of before
 * holds and no marker waits for another; where there was none, markers wait in liblsl.
 */
static void correct(struct traj_lsl_listener *self)
{
    double now = self->call.local_clock();
    double patience;
    double marks;
    double data = 0.0;
    int32_t error = 0;

    if (data_is_another(self)) {
        self->known = false;
        self->next_correction = 0.0;
    }
    if (now < self->next_correction) {
        return;
    }
    patience = self->known ? PULL_S : CLOCK_S;
    marks = self->call.time_correction(self->marks, patience, &error);
    if (error == TRAJ_LSL_LOST) {
        drop_marks(self);
        return;
    }
    if (clock_of_data(self, patience, &data) && error == 0) {
        self->correction = marks - data;
        self->known = true;
    }
    self->next_correction = self->known ? now + CORRECTION_S : now;
    say_unplaced(self, !self->known && self->corrected > 0);
}

static void pull_marks(struct traj_lsl_listener *self)
{
    double patience = PULL_S;
    int32_t error = 0;
    double stamp;

    do {
        char *text = NULL;

        stamp = self->call.pull_sample_str(self->marks, &text, 1, patience, &error);
        if (stamp != 0.0 && error == 0 && text != NULL) {
            hand_text(
                self, &self->marking,
                &(struct traj_lsl_item){.kind = TRAJ_LSL_MARKER, .stamp = stamp + self->correction},
                text);
        }
        if (text != NULL) {
            self->call.destroy_string(text);
        }
        patience = 0.0;
    } while (stamp != 0.0 && error == 0 && !atomic_load(&self->end));
    if (error == TRAJ_LSL_LOST) {
        drop_marks(self);
    }
}

static void *listen_to_marks(void *argument)
{
    struct traj_lsl_listener *self = argument;

    while (!atomic_load(&self->end)) {
        if (self->marks == NULL) {
            find_marks(self);
            atomic_store(&self->looked, true);
        }
        if (self->marks != NULL) {
            correct(self);
        }
        if (self->marks != NULL && self->known) {
            pull_marks(self);
        } else {
            rest((long)(1e9 * PULL_S));
        }
        ring_if_fresh(self, &self->marking);
    }
    return NULL;
}

/* --- opening and closing ---------------------------------------------------------------------- */

static void close_lane(struct lane *lane)
{
    if (lane->started) {
        (void)pthread_join(lane->thread, NULL);
    }
    free(lane->memory);
}

void traj_lsl_listener_close(struct traj_lsl_listener **listener)
{
    struct traj_lsl_listener *self = *listener;

    *listener = NULL;
    if (self == NULL) {
        return;
    }
    atomic_store(&self->end, true);
    close_lane(&self->counting);
    close_lane(&self->marking);
    if (self->data != NULL) {
        self->call.destroy_inlet(self->data);
    }
    if (self->marks != NULL) {
        self->call.destroy_inlet(self->marks);
    }
    if (self->data_locks) {
        (void)pthread_mutex_destroy(&self->data_lock);
    }
    if (self->bell >= 0) {
        (void)close(self->bell);
    }
    free(self->value);
    free(self);
}

static int open_lane(struct lane *lane, size_t payload, struct traj_error *error)
{
    size_t record = sizeof(struct traj_lsl_item) + payload;
    size_t size = traj_ring_size(record, RECORDS);

    lane->memory = malloc(size);
    lane->ring = lane->memory != NULL ? traj_ring_init(lane->memory, size, record, RECORDS) : NULL;
    return lane->ring != NULL ? 0 : traj_error_set(error, "out of memory");
}

static int start_lane(struct traj_lsl_listener *self, struct lane *lane, void *(*listen)(void *),
                      struct traj_error *error)
{
    int rc = pthread_create(&lane->thread, NULL, listen, self);

    lane->started = rc == 0;
    return rc == 0 ? 0 : traj_error_set(error, "cannot start a thread: %s", strerror(rc));
}

static int make_parts(struct traj_lsl_listener *self, struct traj_error *error)
{
    self->value = calloc(TRAJ_UNITS_MAX, sizeof *self->value);
    self->bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    self->data_locks = pthread_mutex_init(&self->data_lock, NULL) == 0;
    if (self->value == NULL || self->bell < 0 || !self->data_locks) {
        return traj_error_set(error, "out of memory");
    }
    if (open_lane(&self->counting, TRAJ_UNITS_MAX * sizeof(uint16_t), error) != 0 ||
        open_lane(&self->marking, TRAJ_LSL_TEXT_SIZE, error) != 0) {
        return -1;
    }
    /* The counts' thread looks whether there is one for markers. */
    return self->markers[0] != '\0' && start_lane(self, &self->marking, listen_to_marks, error) != 0
               ? -1
               : start_lane(self, &self->counting, listen_to_counts, error);
}

struct traj_lsl_listener *traj_lsl_listen(const char *counts, const char *markers,
                                          struct traj_error *error)
{
    struct traj_lsl_listener *self = calloc(1, sizeof *self);
    const char *missing;

    if (self == NULL) {
        (void)traj_error_set(error, "out of memory");
        return NULL;
    }
    self->bell = -1;
    atomic_init(&self->end, false);
    atomic_init(&self->looked, false);
    (void)snprintf(self->predicate, sizeof self->predicate, "%s", counts);
    (void)snprintf(self->markers, sizeof self->markers, "%s", markers);
    missing = traj_lsl_load(&self->call, dlopen, dlsym, RTLD_NOW | RTLD_LOCAL);
    if (missing != NULL) {
        (void)traj_error_set(error, "source: lsl: %s", missing);
    }
    if (missing != NULL || make_parts(self, error) != 0) {
        traj_lsl_listener_close(&self);
    }
    return self;
}

/* --- taking ----------------------------------------------------------------------------------- */

int traj_lsl_bell(const struct traj_lsl_listener *listener)
{
    return listener->bell;
}

static struct lane *next_lane(struct traj_lsl_listener *self, bool placed)
{
    const struct traj_lsl_item *item = traj_ring_peek(self->marking.ring);

    if (item != NULL && (item->kind != TRAJ_LSL_MARKER || placed)) {
        return &self->marking;
    }
    return traj_ring_peek(self->counting.ring) != NULL ? &self->counting : NULL;
}

const struct traj_lsl_item *traj_lsl_next(struct traj_lsl_listener *listener, bool placed)
{
    uint64_t rings;

    listener->next = next_lane(listener, placed);
    if (listener->next == NULL) {
        while (read(listener->bell, &rings, sizeof rings) < 0 && errno == EINTR) {
        }
        /* What was put in before the bell was silenced is seen here, what comes later rings it. */
        listener->next = next_lane(listener, placed);
    }
    return listener->next != NULL ? traj_ring_peek(listener->next->ring) : NULL;
}

void traj_lsl_release(struct traj_lsl_listener *listener)
{
    traj_ring_release(listener->next->ring);
}
