/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Lab Streaming Layer: a stream of counts (one sample a step, one channel a unit) and a stream of
 * markers, as lsl_listener.h hands them over, become spikes and marks.
 *
 * The stamps of a regular stream jitter, and its clock drifts against its nominal rate.  So its
 * samples are numbered: the next has the next number unless its stamp says that some are missing.
 * Numbers are laid on the clock of the first stamp; where later stamps lie on it is followed slowly
 * (struct grid), and a marker's stamp is placed by the same rule.
 */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/io/source/lsl_listener.h"
#include "daemon/io/source/rig.h"

#define LABEL_SIZE 64
#define FOLLOW 0.02 /* share of a stamp's deviation that the grid takes over */
#define BACK_S 1.0  /* stamps that go back so far are those of a stream that begins anew */
#define STEPS_MOST 9007199254740992.0 /* 2^53 */

/* Where numbered samples lie on the clock of their stamps. */
struct grid {
    bool begun;
    double rate;   /* samples/s */
    double offset; /* stamp in steps less number, as followed */
    double last;   /* stamp of the last sample, s */
    int64_t number;
};

struct lsl {
    struct traj_intake *intake;
    struct traj_lsl_listener *listener;
    const char *start, *stop, *cue; /* what markers say */
    bool stamped_at_end;
    char (*label)[LABEL_SIZE]; /* [TRAJ_UNITS_MAX] */
    struct grid grid;
};

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

/* The predicates are char[TRAJ_LSL_PREDICATE_SIZE]. */
static int read_options(struct lsl *self, char *counts, char *markers, struct traj_error *error)
{
    const struct traj_url *url = &self->intake->url;
    const char *name = traj_url_text(url, "name", strcmp(url->host, "*") != 0 ? url->host : NULL);
    const char *stamp = traj_url_text(url, "stamp", "end");

    self->start = traj_url_text(url, "start", "trial_start");
    self->stop = traj_url_text(url, "stop", "trial_stop");
    self->cue = traj_url_text(url, "cue", "go");
    self->stamped_at_end = strcmp(stamp, "end") == 0;
    if (add_condition(counts, TRAJ_LSL_PREDICATE_SIZE, "name", name, error) != 0 ||
        add_condition(counts, TRAJ_LSL_PREDICATE_SIZE, "type", traj_url_text(url, "type", NULL),
                      error) != 0 ||
        add_condition(counts, TRAJ_LSL_PREDICATE_SIZE, "source_id",
                      traj_url_text(url, "source_id", NULL), error) != 0 ||
        add_condition(markers, TRAJ_LSL_PREDICATE_SIZE, "name", traj_url_text(url, "markers", NULL),
                      error) != 0) {
        return -1;
    }
    if (!self->stamped_at_end && strcmp(stamp, "start") != 0) {
        return traj_error_set(error, "source: option \"stamp\" is end or start: where in its step "
                                     "a sample's stamp lies");
    }
    if (counts[0] == '\0') {
        return traj_error_set(error, "source: lsl needs the stream's name, type or source_id");
    }
    /* Marks come as words; which lines they would be is nobody's business. */
    self->intake->trial_line = markers[0] != '\0' ? 0 : -1;
    self->intake->go_line = markers[0] != '\0' ? 1 : -1;
    return 0;
}

static void close_lsl(void *argument)
{
    struct lsl *self = argument;

    traj_lsl_listener_close(&self->listener);
    free(self->label);
    free(self);
}

static void *open_lsl(struct traj_intake *intake, void *context, struct traj_error *error)
{
    struct lsl *self = calloc(1, sizeof *self);
    char counts[TRAJ_LSL_PREDICATE_SIZE] = "", markers[TRAJ_LSL_PREDICATE_SIZE] = "";

    (void)context;
    if (self == NULL) {
        (void)traj_error_set(error, "out of memory");
        return NULL;
    }
    self->intake = intake;
    self->label = calloc(TRAJ_UNITS_MAX, sizeof *self->label);
    if (self->label == NULL) {
        (void)traj_error_set(error, "out of memory");
    } else if (read_options(self, counts, markers, error) == 0) {
        self->listener = traj_lsl_listen(counts, markers, error);
    }
    if (self->listener == NULL) {
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

static void take_counts(struct lsl *self, const struct traj_lsl_item *item, double now)
{
    const uint16_t *counts = traj_lsl_counts_of(item);
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

static void take_marker(struct lsl *self, const struct traj_lsl_item *item)
{
    const char *text = traj_lsl_text(item);
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

static void take_opened(struct lsl *self, const struct traj_lsl_item *item)
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

static bool believable(const struct lsl *self, const struct traj_lsl_item *item)
{
    double rate = self->intake->settings.rate;

    /* A step is at least two samples: what fits in samples fits in steps. */
    return fabs(item->stamp) * rate < STEPS_MOST;
}

static void take_item(struct lsl *self, const struct traj_lsl_item *item, double now)
{
    switch (item->kind) {
    case TRAJ_LSL_OPENED:
        take_opened(self, item);
        break;
    case TRAJ_LSL_LABEL:
        (void)snprintf(self->label[item->channels], LABEL_SIZE, "%s", traj_lsl_text(item));
        break;
    case TRAJ_LSL_SAY:
        traj_intake_say(self->intake, "lsl: %s", traj_lsl_text(item));
        break;
    case TRAJ_LSL_BAD:
        self->intake->counters.messages++;
        self->intake->counters.refused++;
        break;
    case TRAJ_LSL_COUNTS:
    case TRAJ_LSL_MARKER:
        self->intake->counters.messages++;
        if (!believable(self, item)) {
            self->intake->counters.refused++;
        } else if (item->kind == TRAJ_LSL_COUNTS) {
            take_counts(self, item, now);
        } else {
            take_marker(self, item);
        }
        break;
    }
}

static bool take_lsl(void *argument, double now)
{
    struct lsl *self = argument;
    /* Markers that were there before the first counts wait for their grid and their run. */
    const struct traj_lsl_item *item = traj_lsl_next(self->listener, self->grid.begun);

    if (item == NULL) {
        return false;
    }
    take_item(self, item, now);
    traj_lsl_release(self->listener);
    return true;
}

static int items_lsl(void *argument, zmq_pollitem_t *item)
{
    struct lsl *self = argument;

    item[0] = (zmq_pollitem_t){.fd = traj_lsl_bell(self->listener), .events = ZMQ_POLLIN};
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
