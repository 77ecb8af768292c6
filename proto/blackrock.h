/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Packets of Blackrock's Cerebus and Gemini systems, as they stand one after the other in a UDP
 * datagram: bytes <-> struct.  Little-endian, no padding; a header, then 32-bit words.
 *
 *     protocol   time          chid   type   dlen   instrument
 *     3.11       u32 @0        u16 @4 u8 @6  u8 @7  -             header of 8 bytes
 *     4.0        u64 @0        u16 @8 u8 @10 u16@11 u8 @13        header of 16 bytes
 *     4.1, 4.2   u64 @0        u16 @8 u16@10 u16@12 u8 @14        header of 16 bytes
 *
 * A packet is never longer than 1024 bytes.  No length is believed before it has been compared with
 * what the datagram holds.
 */
#ifndef TRAJ_PROTO_BLACKROCK_H
#define TRAJ_PROTO_BLACKROCK_H

#include <stddef.h>
#include <stdint.h>

#include "proto/refusal.h"

#define TRAJ_CB_DATAGRAM_MAX 65536

enum traj_cb_protocol { TRAJ_CB_311, TRAJ_CB_400, TRAJ_CB_410 };

enum traj_cb_kind {
    TRAJ_CB_SPIKE,
    TRAJ_CB_GROUP,     /* one sample of a group of continuous channels */
    TRAJ_CB_DIGITAL,   /* a digital input port has changed */
    TRAJ_CB_HEARTBEAT, /* every 10 ms */
    TRAJ_CB_MONITOR,   /* about every 10 ms: how many packets have been sent */
    TRAJ_CB_OTHER      /* configuration and all else: it counts as a packet and means nothing */
};

struct traj_cb_packet {
    enum traj_cb_kind kind;
    uint64_t time; /* ns, or ticks of 30 kHz */
    uint16_t channel;
    uint16_t unit; /* spike: 0 = not sorted, 255 = noise; group: its number */
    uint8_t instrument;
    uint32_t value;   /* digital: all lines of the port */
    uint32_t sent;    /* monitor: packets since the monitor before, itself included */
    uint32_t counter; /* monitor: how many there were before; 0 where the protocol does not tell */
};

/* "3.11", "4.0", "4.1" or "4.2"; -1 for another. */
int traj_cb_protocol(const char *name);

/*
 * Reads the packet at *offset of a datagram and moves *offset behind it; digital is the channel of
 * the digital input port.  On refusal *offset goes to the end: nothing after a wrong length can be
 * told.
 */
enum traj_refusal traj_cb_next(enum traj_cb_protocol protocol, uint16_t digital, const void *data,
                               size_t size, size_t *offset, struct traj_cb_packet *packet);

/*
 * Appends a packet in protocol 4.1; returns its length, or 0 if cap is too small.  wave[points]
 * belongs to spikes and groups, and may be NULL otherwise; points is even.
 */
size_t traj_cb_write(const struct traj_cb_packet *packet, const int16_t *wave, size_t points,
                     unsigned char *out, size_t cap);

#endif
