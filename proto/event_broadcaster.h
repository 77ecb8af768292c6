/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Messages of the Open Ephys GUI's plugin "Event Broadcaster": bytes <-> struct.  Two parts: a u16
 * (0 = TTL, 1 = spike), then either JSON or the event as the GUI serialises it: 24 bytes of header,
 * little-endian (u8 base type, u8 subtype, u16 processor @2, u16 stream @4, u16 index @6, i64
 * sample @8, f64 seconds @16); then TTL: u8 line, u8 state, u64 word; spike: u16 sorted id @24,
 * thresholds, waveform, whose lengths are not on the wire and not needed.
 *
 * In the binary form nothing has a name: the stream is its number, an electrode PROCESSOR:INDEX.
 * Nothing counts the messages: losses cannot be seen.
 */
#ifndef TRAJ_PROTO_EVENT_BROADCASTER_H
#define TRAJ_PROTO_EVENT_BROADCASTER_H

#include <stddef.h>
#include <stdint.h>

#include "proto/refusal.h"

#define TRAJ_EB_NAME_SIZE 64
#define TRAJ_EB_TTL_SIZE 34
#define TRAJ_EB_SPIKE_SIZE 26 /* without thresholds and waveform */

enum traj_eb_kind { TRAJ_EB_TTL, TRAJ_EB_SPIKE };

struct traj_eb_message {
    enum traj_eb_kind kind;
    int64_t sample;
    double rate; /* samples/s; 0 = not told */
    char stream[TRAJ_EB_NAME_SIZE];
    char electrode[TRAJ_EB_NAME_SIZE]; /* spike */
    int32_t sorted_id;                 /* spike */
    uint8_t line, state;               /* TTL */
};

/* first is the u16's part, body the other.  On refusal *message is undefined. */
enum traj_refusal traj_eb_parse(const void *first, size_t first_size, const void *body, size_t size,
                                struct traj_eb_message *message,
                                struct traj_refusal_detail *detail);

/* Writes the JSON form as the plugin does; returns its length, or 0 if cap is too small. */
size_t traj_eb_write_json(const struct traj_eb_message *message, int source_node, double amplitude,
                          char *out, size_t cap);

/*
 * Writes the binary form; a spike has one channel and its waveform (points may be 0).  Returns its
 * length, or 0 if cap is too small.
 */
size_t traj_eb_write_binary(const struct traj_eb_message *message, uint16_t processor,
                            uint16_t index, const float *wave, size_t points, unsigned char *out,
                            size_t cap);

#endif
