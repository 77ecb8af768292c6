/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Lab Streaming Layer: a stream of counts (one sample a step, one channel a unit) and a stream of
 * markers, through liblsl.
 *
 * liblsl has no descriptor to wait for, so threads of this source's own wait in it and hand what
 * comes over by rings; where a ring is full its thread waits, and liblsl keeps the rest.  Each
 * stream has a thread: liblsl waits a second and more for a stream that is looked for, and for an
 * estimate of clocks, and counts that wait for the markers' sake would come after their bins.
 *
 * The stamps of a regular stream jitter, and its clock drifts against its nominal rate.  So its
 * samples are numbered: the next has the next number unless its stamp says that some are missing.
 * Numbers are laid on the clock of the first stamp; where later stamps lie on it is followed slowly
 * (struct grid), and a marker's stamp is placed by the same rule.
 */
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
#include "daemon/io/source/rig.h"
#include "proto/lsl.h"

#define LABEL_SIZE 64
#define TEXT_SIZE 128
#define RECORDS 1024     /* that may wait between two threads */
#define PULL_S 0.02      /* a thread waits so long for a sample before it looks around */
#define RESOLVE_S 1.0    /* and so long for a stream to be found */
#define OPEN_S 5.0       /* for a stream that was found to answer */
#define CLOCK_S 2.0      /* and for an estimate of its clock */
#define CORRECTION_S 5.0 /* between two looks at the streams' clocks */
#define FOLLOW 0.02      /* share of a stamp's deviation that the grid takes over */
#define BUFFER_S 60      /* liblsl keeps so much where nobody takes it */
#define BACK_S 1.0       /* stamps that go back so far are those of a stream that begins anew */
#define STEPS_MOST 9007199254740992.0 /* 2^53 */

_Static_assert(TRAJ_LSL_CHANNELS_MAX <= TRAJ_UNITS_MAX, "a channel is a unit");

enum kind { OPENED, LABEL, COUNTS, MARKER, BAD, SAY };

/* What a thread hands over; the payload is counts[channels] or text. */
struct item {
    enum kind kind;
    uint32_t channels; /* OPENED, COUNTS; LABEL: which */
    double stamp;      /* s, clock of the stream of counts */
    double rate;       /* OPENED: samples/s */
};

/* Where numbered samples lie on the clock of their stamps. */
struct grid {
    bool begun;
    double rate;   /* samples/s */
    double offset; /* stamp in steps less number, as followed */
    double last;   /* stamp of the last sample, s */
    int64_t number;
};

/* From one thread to the source. */
struct lane {
    pthread_t thread;
    bool started;
    void *memory;
    struct traj_ring *ring;
    bool fresh; /* the thread's own: something was put in since the bell was rung */
};

struct lsl {
    struct traj_intake *intake;
    struct traj_lsl call;
    char predicate[512], markers[512]; /* "" = no markers */
    const char *start, *stop, *cue;    /* what markers say */
    bool stamped_at_end;

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

    /* the source's own */
    char (*label)[LABEL_SIZE]; /* [TRAJ_UNITS_MAX] */
    struct grid grid;
};

/* --- the threads: what liblsl gives becomes records ------------------------------------------- */

static void ring_bell(const struct lsl *self)
{
    const uint64_t one = 1;

    while (write(self->bell, &one, sizeof one) < 0 && errno == EINTR) {
    }
}

static void ring_if_fresh(const struct lsl *self, struct lane *lane)
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
static struct item *reserve(struct lsl *self, struct lane *lane)
{
    struct item *item = traj_ring_reserve(lane->ring);

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

static void hand_text(struct lsl *self, struct lane *lane, const struct item *head,
                      const char *text)
{
    struct item *item = reserve(self, lane);

    if (item != NULL) {
        *item = *head;
        (void)snprintf((char *)(item + 1), TEXT_SIZE, "%s", text);
        commit(lane);
    }
}

static void say(struct lsl *self, struct lane *lane, const char *text)
{
    hand_text(self, lane, &(struct item){.kind = SAY}, text);
}

/* What has no label goes by its number. */
static void hand_label(void *argument, int32_t channel, const char *label)
{
    struct lsl *self = argument;
    char number[16];

    (void)snprintf(number, sizeof number, "%" PRId32, channel);
    hand_text(self, &self->counting, &(struct item){.kind = LABEL, .channels = (uint32_t)channel},
              label != NULL ? label : number);
}

static void hand_opened(struct lsl *self)
{
    struct item *item = reserve(self, &self->counting);

    if (item != NULL) {
        item->kind = OPENED;
        item->channels = (uint32_t)self->told.channels;
        item->rate = self->told.rate;
        commit(&self->counting);
    }
}

/* An inlet to the first stream that the predicate names, or NULL. */
static traj_lsl_inlet find_stream(const struct lsl *self, const char *predicate)
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

static bool use_data(struct lsl *self, traj_lsl_inlet inlet)
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
static void set_data(struct lsl *self, traj_lsl_inlet inlet)
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

static void find_data(struct lsl *self)
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
static bool to_counts(const struct lsl *self, uint16_t *counts)
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

static void hand_sample(struct lsl *self, double stamp)
{
    struct item *item = reserve(self, &self->counting);

    if (item == NULL) {
        return;
    }
    item->stamp = stamp;
    item->channels = (uint32_t)self->told.channels;
    item->kind = isfinite(stamp) && to_counts(self, (uint16_t *)(item + 1)) ? COUNTS : BAD;
    commit(&self->counting);
}

/* All samples that wait, after a wait for the first. */
static void pull_data(struct lsl *self)
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
    struct lsl *self = argument;

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

static void find_marks(struct lsl *self)
{
    char text[TEXT_SIZE];
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

static void drop_marks(struct lsl *self)
{
    self->call.destroy_inlet(self->marks);
    self->marks = NULL;
    self->absent = true;
    say(self, &self->marking, "the stream of markers is lost; looking for it anew");
}

/* How far the counts' clock is from this machine's; false if that is not known. */
static bool clock_of_data(struct lsl *self, double patience, double *away)
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

static bool data_is_another(struct lsl *self)
{
    bool another;

    (void)pthread_mutex_lock(&self->data_lock);
    another = self->data_runs != self->corrected;
    (void)pthread_mutex_unlock(&self->data_lock);
    return another;
}

static void say_unplaced(struct lsl *self, bool unplaced)
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
static void correct(struct lsl *self)
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

static void pull_marks(struct lsl *self)
{
    double patience = PULL_S;
    int32_t error = 0;
    double stamp;

    do {
        char *text = NULL;

        stamp = self->call.pull_sample_str(self->marks, &text, 1, patience, &error);
        if (stamp != 0.0 && error == 0 && text != NULL) {
            hand_text(self, &self->marking,
                      &(struct item){.kind = MARKER, .stamp = stamp + self->correction}, text);
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
    struct lsl *self = argument;

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

/* One condition of an XPath predicate; a value with a quote in it cannot be said. */
static int add_condition(char *predicate, size_t cap, const char *key, const char *value,
                         struct traj_error *error)
{
    size_t length = strlen(predicate);

    if (value == NULL) {
        return 0;
    }
    if (strchr(value, '\'') != NULL ||
        (size_t)snprintf(predicate + length, cap - length, "%s%s='%s'", length > 0 ? " and " : "",
                         key, value) >= cap - length) {
        return traj_error_set(error, "source: %s \"%.60s\" is too long or has a quote in it", key,
                              value);
    }
    return 0;
}

static int read_options(struct lsl *self, struct traj_error *error)
{
    const struct traj_url *url = &self->intake->url;
    const char *name = traj_url_text(url, "name", strcmp(url->host, "*") != 0 ? url->host : NULL);
    const char *stamp = traj_url_text(url, "stamp", "end");

    self->start = traj_url_text(url, "start", "trial_start");
    self->stop = traj_url_text(url, "stop", "trial_stop");
    self->cue = traj_url_text(url, "cue", "go");
    self->stamped_at_end = strcmp(stamp, "end") == 0;
    if (add_condition(self->predicate, sizeof self->predicate, "name", name, error) != 0 ||
        add_condition(self->predicate, sizeof self->predicate, "type",
                      traj_url_text(url, "type", NULL), error) != 0 ||
        add_condition(self->predicate, sizeof self->predicate, "source_id",
                      traj_url_text(url, "source_id", NULL), error) != 0 ||
        add_condition(self->markers, sizeof self->markers, "name",
                      traj_url_text(url, "markers", NULL), error) != 0) {
        return -1;
    }
    if (!self->stamped_at_end && strcmp(stamp, "start") != 0) {
        return traj_error_set(error, "source: option \"stamp\" is end or start: where in its step "
                                     "a sample's stamp lies");
    }
    if (self->predicate[0] == '\0') {
        return traj_error_set(error, "source: lsl needs the stream's name, type or source_id");
    }
    /* Marks come as words; which lines they would be is nobody's business. */
    self->intake->trial_line = self->markers[0] != '\0' ? 0 : -1;
    self->intake->go_line = self->markers[0] != '\0' ? 1 : -1;
    return 0;
}

static void close_lane(struct lane *lane)
{
    if (lane->started) {
        (void)pthread_join(lane->thread, NULL);
    }
    free(lane->memory);
}

static void close_lsl(void *argument)
{
    struct lsl *self = argument;

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
    free(self->label);
    free(self);
}

static int open_lane(struct lane *lane, size_t payload, struct traj_error *error)
{
    size_t record = sizeof(struct item) + payload;
    size_t size = traj_ring_size(record, RECORDS);

    lane->memory = malloc(size);
    lane->ring = lane->memory != NULL ? traj_ring_init(lane->memory, size, record, RECORDS) : NULL;
    return lane->ring != NULL ? 0 : traj_error_set(error, "out of memory");
}

static int start_lane(struct lsl *self, struct lane *lane, void *(*listen)(void *),
                      struct traj_error *error)
{
    int rc = pthread_create(&lane->thread, NULL, listen, self);

    lane->started = rc == 0;
    return rc == 0 ? 0 : traj_error_set(error, "cannot start a thread: %s", strerror(rc));
}

static int make_parts(struct lsl *self, struct traj_error *error)
{
    self->value = calloc(TRAJ_UNITS_MAX, sizeof *self->value);
    self->label = calloc(TRAJ_UNITS_MAX, sizeof *self->label);
    self->bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    self->data_locks = pthread_mutex_init(&self->data_lock, NULL) == 0;
    if (self->value == NULL || self->label == NULL || self->bell < 0 || !self->data_locks) {
        return traj_error_set(error, "out of memory");
    }
    if (open_lane(&self->counting, TRAJ_UNITS_MAX * sizeof(uint16_t), error) != 0 ||
        open_lane(&self->marking, TEXT_SIZE, error) != 0) {
        return -1;
    }
    /* The counts' thread looks whether there is one for markers. */
    return self->markers[0] != '\0' && start_lane(self, &self->marking, listen_to_marks, error) != 0
               ? -1
               : start_lane(self, &self->counting, listen_to_counts, error);
}

static void *open_lsl(struct traj_intake *intake, void *context, struct traj_error *error)
{
    struct lsl *self = calloc(1, sizeof *self);
    const char *missing;

    (void)context;
    if (self == NULL) {
        (void)traj_error_set(error, "out of memory");
        return NULL;
    }
    self->intake = intake;
    self->bell = -1;
    atomic_init(&self->end, false);
    atomic_init(&self->looked, false);
    missing = traj_lsl_load(&self->call, dlopen, dlsym, RTLD_NOW | RTLD_LOCAL);
    if (missing != NULL) {
        (void)traj_error_set(error, "source: lsl: %s", missing);
    }
    if (missing != NULL || read_options(self, error) != 0 || make_parts(self, error) != 0) {
        close_lsl(self);
        return NULL;
    }
    return self;
}

/* --- from records to bins --------------------------------------------------------------------- */

/*
 * The number of a sample by its stamp, and how many are missing before it; -1 where the clock has
 * gone back and the stream therefore begun anew.
 */
static int64_t number_of(struct grid *grid, double stamp)
{
    double steps = stamp * grid->rate;
    double away;
    int64_t missing;

    if (!grid->begun) {
        grid->begun = true;
        grid->number = llround(steps);
        grid->offset = steps - (double)grid->number;
        grid->last = stamp;
        return 0;
    }
    if (stamp < grid->last - BACK_S) {
        return -1;
    }
    away = steps - grid->offset - (double)(grid->number + 1);
    missing = away > 0.5 ? llround(away) : 0;
    grid->offset += FOLLOW * (away - (double)missing);
    grid->number += 1 + missing;
    grid->last = stamp;
    return missing;
}

/* The sample of the source's clock at a stamp. */
static int64_t sample_of(const struct lsl *self, double stamp)
{
    double rate = self->intake->settings.rate;

    if (self->grid.begun) {
        stamp = (stamp * self->grid.rate - self->grid.offset) / self->grid.rate;
    }
    return llround(stamp * rate);
}

static void take_counts(struct lsl *self, const struct item *item, double now)
{
    const uint16_t *counts = (const uint16_t *)(item + 1);
    double step = self->intake->settings.rate / self->grid.rate;
    int64_t missing = number_of(&self->grid, item->stamp);
    double first;

    if (missing < 0) {
        traj_intake_begin(self->intake);
        self->grid.begun = false;
        missing = number_of(&self->grid, item->stamp);
    }
    self->intake->counters.lost += (uint64_t)missing;
    first = (double)(self->grid.number - (self->stamped_at_end ? 1 : 0)) * step;
    traj_intake_seen(self->intake, llround(first), now);
    for (uint32_t c = 0; c < item->channels; c++) {
        if (counts[c] > 0) {
            /* In the middle of its step, where no rounding takes it into another bin. */
            traj_intake_spikes(self->intake, self->label[c], 0, (int64_t)(first + 0.5 * step),
                               counts[c]);
        }
    }
    traj_intake_seen(self->intake, llround(first + step), now);
}

static void take_marker(struct lsl *self, const struct item *item)
{
    const char *text = (const char *)(item + 1);
    int64_t sample = sample_of(self, item->stamp);

    if (strcmp(text, self->start) == 0) {
        traj_intake_line(self->intake, self->intake->trial_line, true, sample);
    } else if (strcmp(text, self->stop) == 0) {
        traj_intake_line(self->intake, self->intake->trial_line, false, sample);
    } else if (strcmp(text, self->cue) == 0) {
        traj_intake_line(self->intake, self->intake->go_line, true, sample);
    } else {
        self->intake->counters.foreign++;
    }
}

static void take_opened(struct lsl *self, const struct item *item)
{
    double step = self->intake->settings.rate / item->rate;

    /* Found again, it goes on with the numbers: what is missing meanwhile is lost. */
    self->intake->counters.connections += self->grid.rate > 0.0 ? 1 : 0;
    if (item->rate != self->grid.rate) {
        self->grid = (struct grid){.rate = item->rate};
    }
    if (step < 2.0) {
        traj_intake_say(self->intake, "a step of %g samples: ?rate= must be twice the stream's",
                        step);
    }
}

static bool believable(const struct lsl *self, const struct item *item)
{
    double rate = self->intake->settings.rate;

    /* A step is at least two samples: what fits in samples fits in steps. */
    return fabs(item->stamp) * rate < STEPS_MOST;
}

static void take_item(struct lsl *self, const struct item *item, double now)
{
    switch (item->kind) {
    case OPENED:
        take_opened(self, item);
        break;
    case LABEL:
        (void)snprintf(self->label[item->channels], LABEL_SIZE, "%s", (const char *)(item + 1));
        break;
    case SAY:
        traj_intake_say(self->intake, "lsl: %s", (const char *)(item + 1));
        break;
    case BAD:
        self->intake->counters.messages++;
        self->intake->counters.refused++;
        break;
    case COUNTS:
    case MARKER:
        self->intake->counters.messages++;
        if (!believable(self, item)) {
            self->intake->counters.refused++;
        } else if (item->kind == COUNTS) {
            take_counts(self, item, now);
        } else {
            take_marker(self, item);
        }
        break;
    }
}

/*
 * The lane whose record is next, or NULL.  Markers first: their bins are open as long as possible;
 * but those that were there before the first counts wait for them, for their grid and their run.
 */
static struct lane *next_lane(struct lsl *self)
{
    const struct item *item = traj_ring_peek(self->marking.ring);

    if (item != NULL && (item->kind != MARKER || self->grid.begun)) {
        return &self->marking;
    }
    return traj_ring_peek(self->counting.ring) != NULL ? &self->counting : NULL;
}

static bool take_lsl(void *argument, double now)
{
    struct lsl *self = argument;
    struct lane *lane = next_lane(self);
    uint64_t rings;

    if (lane == NULL) {
        while (read(self->bell, &rings, sizeof rings) < 0 && errno == EINTR) {
        }
        /* What was put in before the bell was silenced is seen here, what comes later rings it. */
        lane = next_lane(self);
    }
    if (lane == NULL) {
        return false;
    }
    take_item(self, traj_ring_peek(lane->ring), now);
    traj_ring_release(lane->ring);
    return true;
}

static int items_lsl(void *argument, zmq_pollitem_t *item)
{
    struct lsl *self = argument;

    item[0] = (zmq_pollitem_t){.fd = self->bell, .events = ZMQ_POLLIN};
    return 1;
}

static double tick_lsl(void *argument, double now)
{
    (void)argument;
    return now + 1.0;
}

static const char *const options[] = {"name",  "type", "source_id", "markers", "stamp",
                                      "start", "stop", "cue",       NULL};

const struct traj_rig_kind traj_rig_lsl = {
    .scheme = "lsl",
    .port = "",
    .options = options,
    .defaults = {.rate = 1e6, .lag_s = 0.0, .wait_s = 0.1, .silence_s = 0.5, .jump_s = 2.0},
    .open = open_lsl,
    .close = close_lsl,
    .items = items_lsl,
    .take = take_lsl,
    .tick = tick_lsl,
};
