/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Constant tables of number.c and crc32c.c; tables.c is printed by tables.py. */
#ifndef TRAJ_PROTO_TABLES_H
#define TRAJ_PROTO_TABLES_H

#include <stdint.h>

#define TRAJ_POWER_MIN (-342)
#define TRAJ_POWER_MAX 324

/* The leading 128 bits of a power of ten, rounded towards zero; the top bit of high is set. */
struct traj_power {
    uint64_t high, low;
};

extern const struct traj_power traj_powers[TRAJ_POWER_MAX - TRAJ_POWER_MIN + 1];

/* [k][b]: what byte b does to a CRC-32C when k more bytes follow it. */
extern const uint32_t traj_crc32c_table[8][256];

#endif
