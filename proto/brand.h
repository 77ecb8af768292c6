/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Fields of BRAND's Redis streams: raw little-endian numbers whose type and number the entry does
 * not tell (the node's YAML does), and the JSON object "sync" of labels.  Bytes -> numbers.
 */
#ifndef TRAJ_PROTO_BRAND_H
#define TRAJ_PROTO_BRAND_H

#include <stddef.h>
#include <stdint.h>

#include "proto/refusal.h"

enum traj_brand_type {
    TRAJ_BRAND_I8,
    TRAJ_BRAND_U8,
    TRAJ_BRAND_I16,
    TRAJ_BRAND_U16,
    TRAJ_BRAND_I32,
    TRAJ_BRAND_U32,
    TRAJ_BRAND_I64,
    TRAJ_BRAND_U64,
    TRAJ_BRAND_F32,
    TRAJ_BRAND_F64,
    TRAJ_BRAND_TEXT /* decimal digits */
};

/* numpy's names: "int8", "uint8", ... "float64"; and "text".  -1 for another. */
int traj_brand_type(const char *name);

/* Bytes of one number; 0 for text. */
size_t traj_brand_type_size(enum traj_brand_type type);

/*
 * A vector of counts: as many as the field holds, whole numbers from 0 to 65534 (floats too must be
 * whole).  More than max is refused.
 */
enum traj_refusal traj_brand_counts(enum traj_brand_type type, const void *field, size_t size,
                                    uint16_t *out, size_t max, size_t *count,
                                    struct traj_refusal_detail *detail);

/* The first number of a field, whole and from 0 to 2^53. */
enum traj_refusal traj_brand_number(enum traj_brand_type type, const void *field, size_t size,
                                    int64_t *out, struct traj_refusal_detail *detail);

/* A label of "sync", {"nsp_idx_1":123}: likewise. */
enum traj_refusal traj_brand_label(const void *field, size_t size, const char *label, int64_t *out,
                                   struct traj_refusal_detail *detail);

#endif
