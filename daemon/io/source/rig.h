/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A source of spikes: a rig that trajd reads itself, in the rig's own wire format, instead of
 * frames that a client sends.  Open, poll, next, close; what comes out are ordinary frames and
 * events.  Each kind of rig is one file behind struct traj_rig_kind.
 */
#ifndef TRAJ_IO_SOURCE_RIG_H
#define TRAJ_IO_SOURCE_RIG_H

#include <stdbool.h>
#include <stddef.h>
#include <zmq.h>

#include "daemon/io/source/intake.h"
#include "daemon/learn/error.h"
#include "proto/event.h"
#include "proto/frame.h"
#include "traj/model.h"

#define TRAJ_RIG_POLL_ITEMS 4

/* Where a source that also writes finds the daemon's intents. */
#define TRAJ_RIG_INTENTS "inproc://intents"

/* What a kind of rig is; self is what open made. */
struct traj_rig_kind {
    const char *scheme;         /* "open-ephys" */
    const char *port;           /* where none is named */
    const char *const *options; /* besides the common ones; ends with NULL */
    struct traj_binner_settings defaults;
    /* Connects; intake is open and stays where it is.  NULL with a sentence. */
    void *(*open)(struct traj_intake *intake, void *context, struct traj_error *error);
    void (*close)(void *self);
    /* What to wait for: fills item, returns how many, at most TRAJ_RIG_POLL_ITEMS. */
    int (*items)(void *self, zmq_pollitem_t *item);
    /* Takes one message in, at time now; false if none waits. */
    bool (*take)(void *self, double now);
    /* Does what is due by the clock; returns when it wants to be called again, s. */
    double (*tick)(void *self, double now);
};

/* All kinds that this trajd was built with. */
extern const struct traj_rig_kind traj_rig_open_ephys;
extern const struct traj_rig_kind traj_rig_event_broadcaster;
extern const struct traj_rig_kind traj_rig_blackrock;
extern const struct traj_rig_kind traj_rig_brand; /* where hiredis is */
extern const struct traj_rig_kind traj_rig_lsl;   /* liblsl is looked for when it is opened */

struct traj_rig;

enum traj_rig_item { TRAJ_RIG_NOTHING, TRAJ_RIG_FRAME, TRAJ_RIG_EVENT };

/* What is told of a source; a plain struct, copied as it is. */
struct traj_rig_state {
    struct traj_intake_counters counters;
    struct traj_binner_counters bins;
    double offset;    /* s, daemon's clock less the source's, the smallest of late; NaN = unknown */
    double heard;     /* s, daemon's clock: the last message; NaN before the first */
    uint64_t run;     /* how often it has begun; 0 = nothing has come yet */
    uint64_t dropped; /* frames and events that the decode thread had no room for */
    uint64_t said_count;
    char said[160];
};

/*
 * Names what is wrong without connecting to anything: the scheme and, where there is a model, also
 * common options and the map of units.  0, or -1 with a sentence.
 */
int traj_rig_check(const char *url, const struct traj_model *model, struct traj_error *error);

/* The model is read now and not kept; context is the daemon's of zmq.  NULL with a sentence. */
struct traj_rig *traj_rig_open(const char *url, const struct traj_model *model, void *context,
                               struct traj_error *error);
void traj_rig_close(struct traj_rig **rig);

/*
 * Waits until something can be done, at most wait_s: traffic, a bin whose time is up, something
 * readable at wake_fd.  False if the system refuses to wait.
 */
bool traj_rig_poll(struct traj_rig *rig, int wake_fd, double now, double wait_s);

/*
 * The next frame or event at time now; both lead into the rig until the next call.  Units that the
 * map lacks are not observed in every frame.
 */
enum traj_rig_item traj_rig_next(struct traj_rig *rig, double now, const struct traj_frame **frame,
                                 const struct traj_event **event);

void traj_rig_state(const struct traj_rig *rig, struct traj_rig_state *state);

#endif
