/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The safetensors layout: u64 little-endian header length, JSON header
 * {"__metadata__":{key:text,..},"name":{"dtype":"F64","shape":[..],"data_offsets":[a,b]},..}, then
 * the arrays, little-endian, row-major, back to back.  Bytes <-> structs; nothing allocates.
 */
#ifndef TRAJ_PROTO_SAFETENSORS_H
#define TRAJ_PROTO_SAFETENSORS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/refusal.h"

#define TRAJ_TENSORS_MAX 128
#define TRAJ_TENSOR_RANK_MAX 4
#define TRAJ_METADATA_MAX 64

enum traj_dtype { TRAJ_F64, TRAJ_F32, TRAJ_I32, TRAJ_U8, TRAJ_U16 };

struct traj_tensor {
    char name[64];
    enum traj_dtype dtype;
    size_t rank;
    size_t shape[TRAJ_TENSOR_RANK_MAX];
    const void *data; /* into the parsed bytes (may be unaligned: copy), or the caller's array */
    size_t bytes;
};

struct traj_metadata {
    char key[64];
    /* The JSON string's contents, escapes as on the wire when parsed; use traj_metadata_text. */
    const char *text;
    size_t length;
};

struct traj_tensors {
    size_t tensors;
    struct traj_tensor tensor[TRAJ_TENSORS_MAX];
    size_t entries;
    struct traj_metadata entry[TRAJ_METADATA_MAX];
};

/*
 * Parses a whole file image.  Checks: header length, JSON, dtypes, offsets (inside the data, in
 * order, no overlap, no hole, equal to shape times size without overflow), names unique.
 */
enum traj_refusal traj_tensors_parse(const void *image, size_t size, struct traj_tensors *tensors,
                                     struct traj_refusal_detail *detail);

const struct traj_tensor *traj_tensors_find(const struct traj_tensors *tensors, const char *name);

/* Unescapes a metadata value into out (NUL-terminated); returns its length, or (size_t)-1 if absent
 * or too long. */
size_t traj_metadata_text(const struct traj_tensors *tensors, const char *key, char *out,
                          size_t cap);

/*
 * Bytes of the file image, and the image itself (entry[].text is plain UTF-8 here and is escaped).
 * Arrays follow one another in the order of the struct; the first begins at a multiple of 8.  0 if
 * a tensor's bytes are not what dtype and shape say, a size overflows, or cap is too small.
 */
size_t traj_tensors_size(const struct traj_tensors *tensors);
size_t traj_tensors_write(const struct traj_tensors *tensors, void *out, size_t cap);

#endif
