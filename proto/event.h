/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Events: what the task computer, the eye tracker or a person tells the decoder.  JSON <->
 * struct. */
#ifndef TRAJ_PROTO_EVENT_H
#define TRAJ_PROTO_EVENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/refusal.h"

#define TRAJ_EVENT_VALUES_MAX 1024 /* numbers that one event may carry */
#define TRAJ_EVENT_IDS_MAX 256     /* targets that one targets event may name */
#define TRAJ_EVENT_ID_SIZE 32
#define TRAJ_EVENT_DIM_MAX 16 /* position dimensions */
#define TRAJ_EVENT_FAR 1e6    /* length units from 0, beyond which no target may lie */

enum traj_event_kind {
    TRAJ_EVENT_SESSION, /* run (text), marks; perhaps what is recorded: subject, length_unit,
                           description; has no t: it takes effect where it stands */
    TRAJ_EVENT_TRIAL_START,
    TRAJ_EVENT_GO, /* the go cue: the delay is over */
    TRAJ_EVENT_TRIAL_STOP,
    TRAJ_EVENT_TARGET_PRIOR, /* value = prob[M], each in [0, 1], not all 0; the sum need not be 1 */
    TRAJ_EVENT_GAZE,         /* value = position[D], then cov[D*D] */
    TRAJ_EVENT_TARGETS,      /* text = set name, id, value = positions, count/ids numbers each */
    TRAJ_EVENT_EFFECTOR,     /* value = position[D] */
    TRAJ_EVENT_ESTIMATE,     /* value = position or velocity, then cov; or log-likelihoods */
    TRAJ_EVENT_KINEMATICS,   /* value = position[D], then velocity[D] where known (count = 2 D);
                                recorded, never shown to the decoder */
    TRAJ_EVENT_TRIAL_LABEL,  /* target, go, rewarded, start, stop, move; recorded, never shown to
                                the decoder */
    TRAJ_EVENT_UNITS,        /* first, id = names of the units from the first-th on; recorded */
    TRAJ_EVENT_KINDS
};

enum traj_estimate_of { TRAJ_ESTIMATE_POSITION, TRAJ_ESTIMATE_VELOCITY, TRAJ_ESTIMATE_TARGETS };

struct traj_event {
    enum traj_event_kind kind;
    double t;           /* s on the source's clock; NaN for TRAJ_EVENT_SESSION */
    bool marks;         /* session */
    int32_t target;     /* trial_label: row of the targets, -1 = not known */
    double go;          /* trial_label: s, NaN = not known */
    double rewarded;    /* trial_label: 0, 1 (or what else the session file has), NaN = not known */
    double start, stop; /* trial_label: s, NaN = those of the trial_start and trial_stop before */
    double move;        /* trial_label: s, when movement began, NaN = not known */
    uint64_t first;     /* units: place of id[0] among the units, from 0 */
    enum traj_estimate_of of; /* estimate */
    size_t dim;   /* position dimensions where value holds positions or velocities, else 0 */
    size_t count; /* numbers in value */
    size_t ids;   /* names in id */
    double value[TRAJ_EVENT_VALUES_MAX];
    char text[64];    /* session: run; targets: set */
    char subject[64]; /* session: these three, "" = not told */
    char length_unit[TRAJ_EVENT_ID_SIZE];
    char description[512];
    char id[TRAJ_EVENT_IDS_MAX][TRAJ_EVENT_ID_SIZE];
};

/* "trial_start", ...; the "type" on the wire. */
const char *traj_event_name(enum traj_event_kind kind);

/*
 * Parses one JSON body, strictly (unknown or doubled keys, trailing bytes, non-finite numbers,
 * wrong lengths such as cov that is not D*D are refused).  Nothing allocates; *event is large (~16
 * KB).
 */
enum traj_refusal traj_event_parse(const void *body, size_t size, struct traj_event *event,
                                   struct traj_refusal_detail *detail);

/*
 * Writes an event's JSON; returns its length without NUL, or 0 if cap is too small or the event is
 * one that the parser would refuse (t not finite, a wrong number of values).
 */
size_t traj_event_write(const struct traj_event *event, char *out, size_t cap);

#endif
