/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Fields of BRAND's Redis streams; see brand.h. */
#include "proto/brand.h"

#include <string.h>

#include "proto/json.h"
#include "proto/number.h"

#define WHOLE_MAX 9007199254740992.0
#define COUNT_TOP 65534.0

static const struct {
    const char *name;
    size_t size;
} types[] = {
    [TRAJ_BRAND_I8] = {"int8", 1},     [TRAJ_BRAND_U8] = {"uint8", 1},
    [TRAJ_BRAND_I16] = {"int16", 2},   [TRAJ_BRAND_U16] = {"uint16", 2},
    [TRAJ_BRAND_I32] = {"int32", 4},   [TRAJ_BRAND_U32] = {"uint32", 4},
    [TRAJ_BRAND_I64] = {"int64", 8},   [TRAJ_BRAND_U64] = {"uint64", 8},
    [TRAJ_BRAND_F32] = {"float32", 4}, [TRAJ_BRAND_F64] = {"float64", 8},
    [TRAJ_BRAND_TEXT] = {"text", 0},
};

int traj_brand_type(const char *name)
{
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        if (strcmp(name, types[i].name) == 0) {
            return (int)i;
        }
    }
    return -1;
}

size_t traj_brand_type_size(enum traj_brand_type type)
{
    return types[type].size;
}

/* One number as a double; at holds as many bytes as the type has. */
static double number_at(enum traj_brand_type type, const unsigned char *at)
{
    const size_t size = types[type].size;
    uint64_t bits = 0;
    double value = 0.0;
    float narrow = 0.0f;

    for (size_t i = 0; i < size; i++) {
        bits |= (uint64_t)at[i] << 8 * i;
    }
    switch (type) {
    case TRAJ_BRAND_F32: {
        uint32_t half = (uint32_t)bits;

        memcpy(&narrow, &half, sizeof narrow);
        return (double)narrow;
    }
    case TRAJ_BRAND_F64:
        memcpy(&value, &bits, sizeof value);
        return value;
    case TRAJ_BRAND_I8:
    case TRAJ_BRAND_I16:
    case TRAJ_BRAND_I32:
    case TRAJ_BRAND_I64:
        /* A negative number is out of range for all that is read here. */
        return (bits >> (8 * size - 1) & 1) != 0 ? -1.0 : (double)bits;
    case TRAJ_BRAND_U8:
    case TRAJ_BRAND_U16:
    case TRAJ_BRAND_U32:
    case TRAJ_BRAND_U64:
    case TRAJ_BRAND_TEXT:
        break;
    }
    return (double)bits;
}

/* NaN is in no range. */
static bool is_whole(double value, double top)
{
    return value >= 0.0 && value <= top && value == (double)(uint64_t)value;
}

enum traj_refusal traj_brand_counts(enum traj_brand_type type, const void *field, size_t size,
                                    uint16_t *out, size_t max, size_t *count,
                                    struct traj_refusal_detail *detail)
{
    const size_t width = types[type].size;
    const unsigned char *at = field;

    *count = 0;
    if (width == 0 || size == 0 || size % width != 0) {
        return traj_refuse(detail, TRAJ_REFUSED_SYNTAX, "counts", "no whole numbers of this type",
                           size);
    }
    if (size / width > max) {
        return traj_refuse(detail, TRAJ_REFUSED_SIZE, "counts", "more than there are channels",
                           size);
    }
    for (size_t i = 0; i < size / width; i++) {
        double value = number_at(type, at + i * width);

        if (!is_whole(value, COUNT_TOP)) {
            return traj_refuse(detail, TRAJ_REFUSED_COUNTS, "counts", "no count of spikes",
                               i * width);
        }
        out[i] = (uint16_t)value;
    }
    *count = size / width;
    return TRAJ_ACCEPTED;
}

enum traj_refusal traj_brand_number(enum traj_brand_type type, const void *field, size_t size,
                                    int64_t *out, struct traj_refusal_detail *detail)
{
    const size_t width = types[type].size;
    const char *text = field;
    double value = -1.0;

    if (type == TRAJ_BRAND_TEXT) {
        uint64_t digits = 0;

        if (size > 0 && traj_number_read_u64(text, text + size, &digits) == text + size) {
            value = (double)digits;
        }
    } else if (size >= width) {
        value = number_at(type, field);
    }
    if (!is_whole(value, WHOLE_MAX)) {
        return traj_refuse(detail, TRAJ_REFUSED_FIELD, "step", "no whole number of this type", 0);
    }
    *out = (int64_t)value;
    return TRAJ_ACCEPTED;
}

enum traj_refusal traj_brand_label(const void *field, size_t size, const char *label, int64_t *out,
                                   struct traj_refusal_detail *detail)
{
    struct traj_json json;
    char key[64];
    double value = -1.0;

    traj_json_start(&json, field, size);
    if (traj_json_object(&json)) {
        while (traj_json_member(&json, key, sizeof key)) {
            bool good =
                strcmp(key, label) == 0 ? traj_json_double(&json, &value) : traj_json_skip(&json);

            if (!good) {
                break;
            }
        }
    }
    if (!traj_json_finish(&json)) {
        return traj_refuse(detail, json.refusal, "sync", json.reason,
                           (size_t)(json.at - json.begin));
    }
    if (!is_whole(value, WHOLE_MAX)) {
        return traj_refuse(detail, TRAJ_REFUSED_FIELD, "sync", "no such label, or no whole number",
                           size);
    }
    *out = (int64_t)value;
    return TRAJ_ACCEPTED;
}
