/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Numbers in bytes: little-endian whatever the machine, and at any address. */
#ifndef TRAJ_PROTO_BYTES_H
#define TRAJ_PROTO_BYTES_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* The whole number in so many bytes (1 to 8). */
static inline uint64_t traj_bytes_get(const unsigned char *at, size_t bytes)
{
    uint64_t value = 0;
    for (size_t i = bytes; i-- > 0;) {
        value = value << 8 | at[i];
    }
    return value;
}

/* Its low bytes, so many (1 to 8). */
static inline void traj_bytes_put(unsigned char *at, uint64_t value, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++) {
        at[i] = (unsigned char)(value >> 8 * i);
    }
}

/* An IEEE 754 double, 8 bytes. */
static inline double traj_bytes_get_double(const unsigned char *at)
{
    uint64_t bits = traj_bytes_get(at, 8);
    double value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static inline void traj_bytes_put_double(unsigned char *at, double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    traj_bytes_put(at, bits, 8);
}

#endif
