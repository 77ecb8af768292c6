/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A simulated rig: a session's counts as spikes on the clock of some system, sent in that system's
 * own wire format.  Bins of the session follow one another closely on the rig's clock, all of one
 * width (gaps of the recording are closed up): bin i is bin i of anybody who counts from the rig's
 * first sample.
 */
#ifndef TRAJCTL_RIG_H
#define TRAJCTL_RIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/learn/error.h"
#include "daemon/learn/session.h"

#define RIG_TRIAL_LINE 0 /* digital lines: high during a trial */
#define RIG_GO_LINE 1    /* high from the go cue to the trial's end */

/* What happens at an instant: a spike, or a line that changes. */
struct rig_item {
    int64_t sample;   /* when it was */
    int64_t announce; /* when the rig tells of it: no earlier, perhaps a little later */
    uint32_t unit;    /* spike */
    bool spike;
    uint8_t line, state; /* otherwise */
};

struct rig {
    /* what is asked for */
    const char *session_path;
    const char *endpoint;
    double rate;     /* samples/s */
    double bin_s;    /* width of the bins; 0 = the median of the session's */
    double block_ms; /* what the rig sends at once */
    double speed;    /* recorded seconds a second; 0 = as fast as it goes */
    double loss;     /* share of messages that are not sent */
    double jitter_ms;
    double restart_s; /* when acquisition is started anew; 0 = never */
    double wait_s;    /* for a listener */
    bool hold;        /* until a line comes on standard input */
    size_t channels;  /* of continuous samples */
    size_t limit;     /* bins; 0 = all */
    uint64_t seed;

    /* what is sent */
    struct traj_session *session;
    size_t bins;
    double period;         /* samples a bin */
    struct rig_item *item; /* by announce */
    size_t items;

    /* how it goes */
    uint64_t state;    /* of the generator that drops messages */
    bool keep;         /* the message at hand is not to be dropped */
    uint64_t messages; /* that there were */
    uint64_t dropped;  /* of these, not sent */
    uint64_t spikes, spikes_dropped;
    uint64_t heartbeats; /* answered */
    double late;         /* s, the most by which a block was late */
};

/* One system.  All return 0, 1 when interrupted, or -1 with a sentence. */
struct rig_system {
    const char *name;
    const char *endpoint; /* default */
    double rate;          /* samples/s of its clock, default */
    size_t units_max;     /* 0 = any number */
    /* Binds, prints where on stdout, waits for a listener; *self is what it made, close in any
     * case. */
    int (*open)(struct rig *rig, void **self, struct traj_error *error);
    int (*item)(void *self, const struct rig_item *item, struct traj_error *error);
    /* The block [start, start + samples) is over. */
    int (*block)(void *self, int64_t start, int64_t samples, struct traj_error *error);
    /* Acquisition starts anew, at sample 0. */
    int (*restart)(void *self, struct traj_error *error);
    void (*close)(void *self);
    /* The channel by which a unit of the session goes, and its sorted unit. */
    void (*channel)(size_t unit, char *out, size_t cap, int *sorted);
};

extern const struct rig_system rig_open_ephys;
extern const struct rig_system rig_event_broadcaster;
extern const struct rig_system rig_blackrock;
extern const struct rig_system rig_brand; /* where hiredis is */
extern const struct rig_system rig_lsl;   /* liblsl is looked for when it is opened */

/* Reads the session and lays out what happens when. */
int rig_plan(struct rig *rig, struct traj_error *error);
void rig_free(struct rig *rig);

/* The first sample of a bin. */
int64_t rig_edge(const struct rig *rig, size_t bin);

/* Writes the session as the rig sends it: its bins, trials and kinematics on the rig's clock. */
int rig_write_bins(const struct rig *rig, const char *path, struct traj_error *error);

/* Writes the map of units that goes with the rig (proto/units_map.h). */
int rig_write_map(const struct rig *rig, const struct rig_system *system, const char *stream,
                  const char *path, struct traj_error *error);

/* Sends all of it. */
int rig_run(struct rig *rig, const struct rig_system *system, struct traj_error *error);

/*
 * To be asked for each message: counts it, and says whether it is to be lost.  The first message of
 * all and those of the last block are never lost, because nobody could know of it.
 */
bool rig_loses(struct rig *rig);

#endif
