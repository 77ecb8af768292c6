/* SPDX-License-Identifier: GPL-3.0-or-later */
/* CRC-32C (Castagnoli; iSCSI, RFC 3720), the checksum of binary frames. */
#ifndef TRAJ_PROTO_CRC32C_H
#define TRAJ_PROTO_CRC32C_H

#include <stddef.h>
#include <stdint.h>

/*
 * Goes on from the checksum of what came before (0 at the beginning); the checksum of "123456789"
 * is 0xE3069283.
 */
uint32_t traj_crc32c(uint32_t crc, const void *bytes, size_t size);

/* Of a message whose own checksum is the four bytes at `at`, which count as zero. */
uint32_t traj_crc32c_around(const unsigned char *bytes, size_t size, size_t at);

/* traj_crc32c by tables, on any processor. */
uint32_t traj_crc32c_by_tables(uint32_t crc, const void *bytes, size_t size);

#endif
