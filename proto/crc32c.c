/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * CRC-32C, eight bytes a step: by the processor's own instruction where it has one, which also
 * leaves the tables out of its caches, else by tables (Kounavis and Berry 2005, "slicing by
 * eight").
 */
#include "proto/crc32c.h"

#include <string.h>

#include "proto/tables.h"

uint32_t traj_crc32c_by_tables(uint32_t crc, const void *bytes, size_t size)
{
    const unsigned char *at = bytes;
    crc = ~crc;
    for (; size >= 8; size -= 8, at += 8) {
        uint32_t low = crc ^ ((uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 |
                              (uint32_t)at[3] << 24);
        crc = traj_crc32c_table[7][low & 255] ^ traj_crc32c_table[6][low >> 8 & 255] ^
              traj_crc32c_table[5][low >> 16 & 255] ^ traj_crc32c_table[4][low >> 24] ^
              traj_crc32c_table[3][at[4]] ^ traj_crc32c_table[2][at[5]] ^
              traj_crc32c_table[1][at[6]] ^ traj_crc32c_table[0][at[7]];
    }
    for (; size > 0; size--, at++) {
        crc = crc >> 8 ^ traj_crc32c_table[0][(crc ^ *at) & 255];
    }
    return ~crc;
}

#if defined(__x86_64__)
__attribute__((target("sse4.2"))) static uint32_t by_instruction(uint32_t crc, const void *bytes,
                                                                 size_t size)
{
    const unsigned char *at = bytes;
    uint64_t sum = ~crc;
    for (; size >= 8; size -= 8, at += 8) {
        uint64_t eight;
        memcpy(&eight, at, sizeof eight);
        sum = __builtin_ia32_crc32di(sum, eight);
    }
    for (; size > 0; size--, at++) {
        sum = __builtin_ia32_crc32qi((uint32_t)sum, *at);
    }
    return ~(uint32_t)sum;
}

uint32_t traj_crc32c(uint32_t crc, const void *bytes, size_t size)
{
    return __builtin_cpu_supports("sse4.2") ? by_instruction(crc, bytes, size)
                                            : traj_crc32c_by_tables(crc, bytes, size);
}
#else
uint32_t traj_crc32c(uint32_t crc, const void *bytes, size_t size)
{
    return traj_crc32c_by_tables(crc, bytes, size);
}
#endif

uint32_t traj_crc32c_around(const unsigned char *bytes, size_t size, size_t at)
{
    static const unsigned char zero[4] = {0};
    uint32_t crc = traj_crc32c(0, bytes, at);
    crc = traj_crc32c(crc, zero, sizeof zero);
    return traj_crc32c(crc, bytes + at + sizeof zero, size - at - sizeof zero);
}
