/* SPDX-License-Identifier: GPL-3.0-or-later */
/* SHA-256 (FIPS 180-4), by which a model file is known. */
#ifndef TRAJ_PROTO_SHA256_H
#define TRAJ_PROTO_SHA256_H

#include <stddef.h>
#include <stdint.h>

#define TRAJ_SHA256_SIZE 32
#define TRAJ_SHA256_HEX 65 /* 64 lower-case digits and a NUL */

struct traj_sha256 {
    uint32_t state[8];
    uint64_t bytes;          /* taken so far */
    unsigned char block[64]; /* bytes that do not fill a block yet */
};

void traj_sha256_init(struct traj_sha256 *sha);
void traj_sha256_update(struct traj_sha256 *sha, const void *bytes, size_t size);
/* The struct must be initialised anew before it is used again. */
void traj_sha256_final(struct traj_sha256 *sha, unsigned char digest[TRAJ_SHA256_SIZE]);

/* A digest as people read it. */
void traj_sha256_hex(const unsigned char digest[TRAJ_SHA256_SIZE], char hex[TRAJ_SHA256_HEX]);

#endif
