/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Frames: bytes <-> struct.  Two bodies, told apart by the first byte ('{' = JSON, 'T' = binary).
 * Nothing here allocates; counts and features land in buffers that the caller put in the struct.
 *
 * Binary body, little-endian, header of TRAJ_FRAME_HEADER bytes, then N u16 counts, then F f32
 * features:
 *     0 char[4] "TRJF"   4 u16 version = 1   6 u16 header length = 56   8 u16 kind = 1 (frame)
 *    10 u16 payload: bit 0 counts present, bit 1 features present
 *    12 u32 units N     16 u64 seq   24 f64 t_end   32 f64 dt   40 u64 device stamp (0 = none)
 *    48 u32 features F  52 u32 CRC-32C of header (this field zero) and payload
 */
#ifndef TRAJ_PROTO_FRAME_H
#define TRAJ_PROTO_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/refusal.h"

#define TRAJ_FRAME_HEADER 56

struct traj_frame {
    uint64_t seq;     /* counts up by one in the source */
    double t;         /* s, end of the bin on the source's clock */
    double dt;        /* s, width of the bin */
    uint64_t device;  /* the device's own stamp, 0 = none */
    size_t units;     /* counts present; 0 = none */
    size_t features;  /* features present; 0 = none */
    uint16_t *counts; /* caller's buffer, units_max long; 65535 = not observed */
    float *feature;   /* caller's buffer, features_max long; NaN = not observed */
    size_t units_max;
    size_t features_max;
};

/*
 * Parses one body.  On refusal *frame's numbers are undefined and refusal says why.  JSON is
 * strict: unknown keys, duplicates, trailing bytes, numbers out of range, NaN are refused.
 * Absurd values are refused here where no context is needed: t or dt not finite, dt <= 0 or > 3600,
 * a count of 65535 spelled as a number in JSON (null says it).
 */
enum traj_refusal traj_frame_parse(const void *body, size_t size, struct traj_frame *frame,
                                   struct traj_refusal_detail *detail);

/* Writes a body; returns its length, or 0 if cap is too small.  JSON is for people, binary for
 * rigs. */
size_t traj_frame_write_json(const struct traj_frame *frame, char *out, size_t cap);
size_t traj_frame_write_binary(const struct traj_frame *frame, void *out, size_t cap);

#endif
