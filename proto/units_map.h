/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The map file of a source: which of a rig's channels and sorted units is which unit of the model,
 * by name.  JSON, in any order of keys:
 *
 *     {"type":"units","v":1,"source":"open-ephys","stream":"probe A","rate":30000,
 *      "units":[{"name":"M1-001a","channel":"Electrode 1","unit":1}, ...]}
 *
 * "stream" may be absent, and "rate" (samples a second of the rig's clock) where the rig tells it.
 * A unit of null takes in every unit of its channel that has no line of its own.
 */
#ifndef TRAJ_PROTO_UNITS_MAP_H
#define TRAJ_PROTO_UNITS_MAP_H

#include <stddef.h>
#include <stdint.h>

#include "proto/refusal.h"

#define TRAJ_MAP_NAME_SIZE 32    /* as TRAJ_ID_SIZE of the model */
#define TRAJ_MAP_CHANNEL_SIZE 64 /* bytes of a channel's or stream's name, NUL included */
#define TRAJ_MAP_ANY (-1)        /* unit: every unit of the channel */

struct traj_map_unit {
    char name[TRAJ_MAP_NAME_SIZE];       /* as the model has it; 1 to 31 bytes */
    char channel[TRAJ_MAP_CHANNEL_SIZE]; /* as the rig names it; 1 to 63 bytes */
    int32_t unit;                        /* sorted unit, 0..65535, or TRAJ_MAP_ANY */
};

struct traj_units_map {
    char source[TRAJ_MAP_NAME_SIZE];    /* the kind of rig: "open-ephys", ... */
    char stream[TRAJ_MAP_CHANNEL_SIZE]; /* "" = not told */
    double rate;                        /* samples/s; 0 = not told */
    size_t units;
    struct traj_map_unit *unit; /* caller's buffer, units_max long */
    size_t units_max;
};

/*
 * Parses one map, strictly: unknown or doubled keys, doubled names and doubled channel and unit are
 * refused.  On refusal *map is undefined.
 */
enum traj_refusal traj_units_map_parse(const void *body, size_t size, struct traj_units_map *map,
                                       struct traj_refusal_detail *detail);

/* Writes a map, one unit a line; returns its length without NUL, or 0 if cap is too small. */
size_t traj_units_map_write(const struct traj_units_map *map, char *out, size_t cap);

/* The unit of a channel: its own line, else that of TRAJ_MAP_ANY, else (size_t)-1. */
size_t traj_units_map_find(const struct traj_units_map *map, const char *channel, int32_t unit);

#endif
