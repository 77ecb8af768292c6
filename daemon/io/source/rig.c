/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A source of spikes; see rig.h. */
#include "daemon/io/source/rig.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* So many messages that yield nothing, and the caller may look around. */
#define MESSAGES_AT_ONCE 256

/* For so long at most a bin whose time is up waits for what has come but was not read yet. */
#define BEHIND_S 1.0

/* Lateness is looked at so often, and said at most so often. */
#define WATCH_S 5.0
#define REPEAT_S 60.0
#define LATE_MOST 0.05 /* share of the spikes that is nobody's concern, and so many at least */
#define LATE_LEAST 10

static const struct traj_rig_kind *const kinds[] = {
    &traj_rig_open_ephys, &traj_rig_event_broadcaster, &traj_rig_blackrock, &traj_rig_lsl,
#ifdef TRAJ_HAVE_HIREDIS
    &traj_rig_brand
#endif
};

struct traj_rig {
    const struct traj_rig_kind *kind;
    void *self;
    struct traj_intake intake;
    double tick;  /* s: when the kind wants its next tick */
    double heard; /* s */
    double read;  /* s: when nothing that had come was left to be read */
    double watch; /* s: when lateness is looked at again */
    double quiet; /* s: until when it is not said again */
    struct traj_binner_counters watched;
};

static const struct traj_rig_kind *kind_of(const char *scheme, struct traj_error *error)
{
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        if (strcmp(kinds[i]->scheme, scheme) == 0) {
            return kinds[i];
        }
    }
#ifndef TRAJ_HAVE_HIREDIS
    if (strcmp(scheme, "brand") == 0) {
        (void)traj_error_set(error, "source: this trajd was built without hiredis, which brand "
                                    "needs (Debian: libhiredis-dev)");
        return NULL;
    }
#endif
    (void)traj_error_set(error,
                         "source: \"%s\" is not known; known are open-ephys, event-broadcaster, "
                         "blackrock, brand and lsl",
                         scheme);
    return NULL;
}

int traj_rig_check(const char *url, const struct traj_model *model, struct traj_error *error)
{
    struct traj_intake *intake = calloc(1, sizeof *intake);
    const struct traj_rig_kind *kind = NULL;
    int rc = -1;

    if (intake == NULL) {
        return traj_error_set(error, "out of memory");
    }
    if (traj_url_parse(url, &intake->url, error) == 0) {
        kind = kind_of(intake->url.scheme, error);
    }
    if (kind != NULL) {
        rc = model == NULL
                 ? 0
                 : traj_intake_open(intake, url, model, &kind->defaults, kind->options, error);
    }
    traj_intake_close(intake);
    free(intake);
    return rc;
}

struct traj_rig *traj_rig_open(const char *url, const struct traj_model *model, void *context,
                               struct traj_error *error)
{
    struct traj_rig *rig = calloc(1, sizeof *rig);

    if (rig == NULL) {
        (void)traj_error_set(error, "out of memory");
        return NULL;
    }
    rig->heard = NAN;
    rig->tick = -(double)INFINITY;
    rig->read = -(double)INFINITY;
    /* The scheme first, for the kind's defaults; intake_open parses the line again, into itself. */
    if (traj_url_parse(url, &rig->intake.url, error) == 0) {
        rig->kind = kind_of(rig->intake.url.scheme, error);
    }
    if (rig->kind != NULL && traj_intake_open(&rig->intake, url, model, &rig->kind->defaults,
                                              rig->kind->options, error) == 0) {
        if (rig->intake.url.port[0] == '\0') {
            rig->intake.url.port = rig->kind->port;
        }
        rig->self = rig->kind->open(&rig->intake, context, error);
    }
    if (rig->self == NULL) {
        traj_rig_close(&rig);
    }
    return rig;
}

void traj_rig_close(struct traj_rig **rig)
{
    struct traj_rig *self = *rig;

    if (self == NULL) {
        return;
    }
    if (self->self != NULL) {
        self->kind->close(self->self);
    }
    traj_intake_close(&self->intake);
    free(self);
    *rig = NULL;
}

bool traj_rig_poll(struct traj_rig *rig, int wake_fd, double now, double wait_s)
{
    zmq_pollitem_t item[TRAJ_RIG_POLL_ITEMS + 1];
    double until = now + wait_s;
    double deadline = traj_binner_deadline(rig->intake.binner);
    int count = rig->kind->items(rig->self, item);

    until = until < deadline ? until : deadline;
    until = until < rig->tick ? until : rig->tick;
    item[count] = (zmq_pollitem_t){.fd = wake_fd, .events = ZMQ_POLLIN};
    if (zmq_poll(item, count + 1, until > now ? (long)ceil(1e3 * (until - now)) : 0) >= 0 ||
        zmq_errno() == EINTR) {
        return true;
    }
    traj_intake_say(&rig->intake, "nothing more is read: %s", zmq_strerror(zmq_errno()));
    return false;
}

static bool give_event(struct traj_intake *intake)
{
    struct traj_event *event = intake->event;

    if (intake->announce) {
        memset(event, 0, sizeof *event);
        event->kind = TRAJ_EVENT_SESSION;
        event->t = NAN;
        event->marks = intake->trial_line >= 0;
        (void)snprintf(event->text, sizeof event->text, "%.40s %llu", intake->url.scheme,
                       (unsigned long long)intake->run);
        intake->announce = false;
        return true;
    }
    if (intake->mark_count > 0) {
        memset(event, 0, sizeof *event);
        event->kind = intake->mark[intake->mark_first].kind;
        event->t = intake->mark[intake->mark_first].t;
        intake->mark_first = (intake->mark_first + 1) % TRAJ_INTAKE_MARKS;
        intake->mark_count--;
        return true;
    }
    return false;
}

/*
 * Until when waits are over.  What lies in a queue has come, so no wait is over in vain before that
 * was read: where everything is late alike, because the rig, the network or this machine stood
 * still, all of it would be taken for silence.
 */
static double waited_until(const struct traj_rig *rig, double now)
{
    return rig->read > now - BEHIND_S ? rig->read : now - BEHIND_S;
}

static bool give_frame(struct traj_intake *intake, double now)
{
    if (!traj_binner_next(intake->binner, now, &intake->frame)) {
        return false;
    }
    for (size_t n = 0; n < intake->units; n++) {
        if (!intake->observed[n]) {
            intake->frame.counts[n] = TRAJ_COUNT_MISSING;
        }
    }
    return true;
}

/* Spikes that are dropped, or bins closed as silence, are more than a number in a status. */
static void watch_lateness(struct traj_rig *rig, double now)
{
    const struct traj_binner_counters *bins = traj_binner_counters(rig->intake.binner);
    uint64_t late = bins->late - rig->watched.late;
    uint64_t spikes = bins->spikes - rig->watched.spikes + late;
    uint64_t waited = bins->waited - rig->watched.waited;
    uint64_t given = bins->bins - rig->watched.bins;
    /* The few bins at the end of an acquisition all wait in vain. */
    bool vain = 2 * waited > given && (double)given * rig->intake.settings.bin_s > 0.5 * WATCH_S;

    if (((late >= LATE_LEAST && (double)late > LATE_MOST * (double)spikes) || vain) &&
        now >= rig->quiet) {
        traj_intake_say(&rig->intake,
                        "in %g s %" PRIu64 " of %" PRIu64 " spikes came after their bin, %" PRIu64
                        " of %" PRIu64 " bins were closed by waiting: raise wait_ms or lag_ms",
                        WATCH_S, late, spikes, waited, given);
        rig->quiet = now + REPEAT_S;
    }
    rig->watched = *bins;
    rig->watch = now + WATCH_S;
}

enum traj_rig_item traj_rig_next(struct traj_rig *rig, double now, const struct traj_frame **frame,
                                 const struct traj_event **event)
{
    if (now >= rig->tick) {
        rig->tick = rig->kind->tick(rig->self, now);
    }
    if (now >= rig->watch) {
        watch_lateness(rig, now);
    }
    for (int i = 0; i < MESSAGES_AT_ONCE; i++) {
        if (give_event(&rig->intake)) {
            *event = rig->intake.event;
            return TRAJ_RIG_EVENT;
        }
        if (give_frame(&rig->intake, waited_until(rig, now))) {
            *frame = &rig->intake.frame;
            return TRAJ_RIG_FRAME;
        }
        if (!rig->kind->take(rig->self, now)) {
            rig->read = now;
            *frame = &rig->intake.frame;
            return give_frame(&rig->intake, now) ? TRAJ_RIG_FRAME : TRAJ_RIG_NOTHING;
        }
        rig->heard = now;
    }
    return TRAJ_RIG_NOTHING;
}

void traj_rig_state(const struct traj_rig *rig, struct traj_rig_state *state)
{
    memset(state, 0, sizeof *state);
    state->counters = rig->intake.counters;
    state->bins = *traj_binner_counters(rig->intake.binner);
    state->offset = traj_binner_offset(rig->intake.binner);
    state->heard = rig->heard;
    state->run = rig->intake.run;
    state->said_count = rig->intake.said_count;
    memcpy(state->said, rig->intake.said, sizeof state->said);
}
