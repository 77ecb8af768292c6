/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What every source works with: units by name, the binner, trial marks, counters.  A source calls
 * these as messages come; traj_rig_next gives away what results.
 */
#ifndef TRAJ_IO_SOURCE_INTAKE_H
#define TRAJ_IO_SOURCE_INTAKE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/core/binner.h"
#include "daemon/io/source/url.h"
#include "daemon/learn/error.h"
#include "proto/event.h"
#include "proto/frame.h"
#include "proto/refusal.h"
#include "proto/units_map.h"
#include "traj/model.h"

#define TRAJ_INTAKE_MARKS 256 /* trial marks that may wait to be given */

/* Counters that mean the same for every source; those of the bins are the binner's. */
struct traj_intake_counters {
    uint64_t messages; /* that came, good or bad */
    uint64_t refused;  /* of these, not what they claim to be */
    uint64_t lost;     /* that the source's own counting shows to be missing */
    uint64_t foreign;  /* of another stream or instrument than the one decoded */
    uint64_t unmapped; /* spikes of units that the model does not have */
    uint64_t restarts; /* times that the source began anew */
    uint64_t marks;    /* trial marks */
    uint64_t marks_lost;
    uint64_t connections; /* made anew, where the source does that itself */
    uint64_t unwritten;   /* intents that were not written back: later ones waited */
};

struct traj_intake {
    struct traj_url url;
    struct traj_units_map map;
    struct traj_binner_settings settings;
    struct traj_binner *binner;
    void *memory;

    size_t units;    /* of the model */
    bool *observed;  /* [units]: the map has a line for it */
    size_t *unit_of; /* [map.units]: the model's unit of a line, or (size_t)-1 */
    uint32_t *table; /* [slots] lines of the map by channel and unit, + 1; 0 = empty */
    size_t slots;    /* a power of two */
    long trial_line; /* -1 = none */
    long go_line;    /* -1 = none */

    struct traj_frame frame;
    struct traj_event *event;
    struct {
        enum traj_event_kind kind;
        double t;
    } mark[TRAJ_INTAKE_MARKS];
    size_t mark_first, mark_count;
    bool announce; /* a session event is due */
    uint64_t run;
    struct traj_intake_counters counters;
    char said[160]; /* the last thing that a person should know; "" = nothing */
    uint64_t said_count;
};

/*
 * Reads the options and the map file, and matches the units to the model's: by name where the model
 * names its units, else by place.  defaults holds lag, wait, silence and jump, and the rate where
 * the source has one by nature (else 0).  own: the options that this kind of source has besides the
 * common ones.  0, or -1 with a sentence; close in either case.
 */
int traj_intake_open(struct traj_intake *intake, const char *url, const struct traj_model *model,
                     const struct traj_binner_settings *defaults, const char *const *own,
                     struct traj_error *error);
void traj_intake_close(struct traj_intake *intake);

/* Whether another model has the same units in the same order. */
bool traj_intake_fits(const struct traj_model *one, const struct traj_model *other);

/* The source has begun, or begun anew: a session event goes out, what was not given is dropped. */
void traj_intake_begin(struct traj_intake *intake);

/* The source's clock has reached a sample; begins anew where it has gone back. */
void traj_intake_seen(struct traj_intake *intake, int64_t sample, double now);

/* Spikes of a unit as the rig names it. */
void traj_intake_spikes(struct traj_intake *intake, const char *channel, int32_t unit,
                        int64_t sample, uint16_t count);

/* A digital line has changed. */
void traj_intake_line(struct traj_intake *intake, long line, bool high, int64_t sample);

/* Something to be told a person; the log shows it once. */
void traj_intake_say(struct traj_intake *intake, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#endif
