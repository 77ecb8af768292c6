/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What a rig sends: heard for a few seconds, to make a map of its units. */
#ifndef TRAJCTL_SURVEY_H
#define TRAJCTL_SURVEY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/learn/error.h"
#include "proto/units_map.h"

struct survey_unit {
    char channel[TRAJ_MAP_CHANNEL_SIZE];
    int32_t unit;
    uint64_t spikes;
};

struct survey {
    const char *address; /* HOST:PORT; of LSL the stream's name */
    const char *stream;  /* the one to listen to; NULL = the first that is heard */
    double seconds;
    const char *protocol; /* Blackrock's; NULL = 4.1 */
    /* what was heard */
    char heard[TRAJ_MAP_CHANNEL_SIZE]; /* the stream */
    char others[256];                  /* further streams, for a person to read */
    double rate;                       /* samples/s, 0 = not told */
    uint64_t messages, refused;
    bool told; /* the rig told all its units, silent ones too, in an order of its own */
    char twice[TRAJ_MAP_CHANNEL_SIZE]; /* a channel that was told twice */
    struct survey_unit *unit;          /* [units] */
    size_t units, room;
};

/* Adds spikes of a unit; false when memory is short. */
bool survey_add(struct survey *survey, const char *channel, int32_t unit, uint64_t spikes);
/* Whether a message is of the stream that is listened to. */
bool survey_wants(struct survey *survey, const char *stream);
void survey_free(struct survey *survey);

/* Listens; 0, 1 when interrupted (what was heard stands), or -1 with a sentence. */
int survey_open_ephys(struct survey *survey, struct traj_error *error);
int survey_event_broadcaster(struct survey *survey, struct traj_error *error);
int survey_blackrock(struct survey *survey, struct traj_error *error);
int survey_lsl(struct survey *survey, struct traj_error *error);

#endif
