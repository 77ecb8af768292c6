/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Messages of the Open Ephys GUI's plugin "ZMQ Interface": bytes <-> struct.  A message has two or
 * three parts: an envelope ("DATA" or "EVENT", with its NUL), a JSON header, and a payload
 * (little-endian).
 *
 * The header is read leniently where the plugin is known to be loose and strictly otherwise: keys
 * that are not known are passed over, and a header whose end is missing (the plugin counts
 * characters where it should count bytes) is taken when all that matters stood before the damage.
 * Every length is checked against the payload that really came.
 */
#ifndef TRAJ_PROTO_OPEN_EPHYS_H
#define TRAJ_PROTO_OPEN_EPHYS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/refusal.h"

#define TRAJ_OE_NAME_SIZE 64 /* bytes of a stream's or electrode's name, NUL included */

enum traj_oe_kind {
    TRAJ_OE_DATA,  /* one channel of one block of continuous samples */
    TRAJ_OE_SPIKE, /* one spike */
    TRAJ_OE_TTL,   /* one change of a digital line */
    TRAJ_OE_OTHER  /* an event of another sort: it counts as a message and means nothing */
};

struct traj_oe_message {
    enum traj_oe_kind kind;
    int64_t number; /* message_num: one counter over all kinds, 1 = first since acquisition began */
    int64_t sample; /* the block's first sample, the spike's peak, the line's change */
    char stream[TRAJ_OE_NAME_SIZE];
    uint32_t channels;            /* data: the channel's number; spike: channels of the waveform */
    uint32_t samples;             /* data: in the block; spike: of the waveform */
    double rate;                  /* data: samples/s */
    char name[TRAJ_OE_NAME_SIZE]; /* data: the channel's name; spike: the electrode's */
    int32_t sorted_id;            /* spike: 0..65535, 0 = not sorted */
    uint8_t line, state;          /* TTL: line from 0; state 0 or 1 */
    uint64_t word;                /* TTL: all lines */
    int64_t timestamp;            /* ms since 1970, of sending; 0 = not told */
};

/* One part of a message; data may be NULL where there is none. */
struct traj_oe_part {
    const void *data;
    size_t size;
};

/*
 * Parses a message of three parts (the last one empty where there were two).  On refusal *message
 * is undefined and detail (may be NULL) says why.
 */
enum traj_refusal traj_oe_parse(const struct traj_oe_part part[3], struct traj_oe_message *message,
                                struct traj_refusal_detail *detail);

/*
 * Writes the header as the plugin does, line breaks and all; returns its length, or 0 if cap is too
 * small.  thresholds[channels] belongs to spikes and may be NULL otherwise; source_node is the
 * number of the processor in the signal chain.
 */
size_t traj_oe_write_header(const struct traj_oe_message *message, int source_node,
                            const float *thresholds, char *out, size_t cap);

/* The payload of a TTL event, TRAJ_OE_TTL_SIZE bytes. */
#define TRAJ_OE_TTL_SIZE 10
void traj_oe_write_ttl(const struct traj_oe_message *message, unsigned char *out);

/* The envelope of a kind, with its NUL in the size. */
struct traj_oe_part traj_oe_envelope(enum traj_oe_kind kind);

#endif
