/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Frames: JSON and binary bodies <-> struct; see frame.h. */
#include "proto/frame.h"

#include <math.h>
#include <string.h>

#include "proto/bytes.h"
#include "proto/crc32c.h"
#include "proto/json.h"

#define MISSING UINT16_MAX
#define DT_MAX 3600.0

/* What both bodies must keep to; NULL if they do, or else the reason and the field. */
static const char *check_times(const struct traj_frame *frame, const char **field)
{
    *field = "t";
    if (!isfinite(frame->t)) {
        return "not finite";
    }
    *field = "dt";
    if (!(frame->dt > 0.0 && frame->dt <= DT_MAX)) {
        return "not in (0, 3600] s";
    }
    return NULL;
}

/* ---- JSON ------------------------------------------------------------------------------------ */

enum key { KEY_TYPE, KEY_SEQ, KEY_T, KEY_DT, KEY_COUNTS, KEY_FEATURES, KEY_DEVICE, KEYS };

static const char *const key_names[KEYS] = {"type",   "seq",      "t",     "dt",
                                            "counts", "features", "device"};

static enum key find_key(const char *name)
{
    enum key key = KEY_TYPE;
    while (key < KEYS && strcmp(name, key_names[key]) != 0) {
        key++;
    }
    return key;
}

static bool read_type(struct traj_json *json)
{
    char type[16];
    const char *text;
    size_t length;
    if (!traj_json_raw_text(json, &text, &length)) {
        return false;
    }
    if (traj_json_unescape(text, length, type, sizeof type) == (size_t)-1 ||
        strcmp(type, "frame") != 0) {
        return traj_json_refuse(json, TRAJ_REFUSED_TYPE, "not \"frame\"");
    }
    return true;
}

static bool read_value(struct traj_json *json, enum key key, struct traj_frame *frame)
{
    switch (key) {
    case KEY_TYPE:
        return read_type(json);
    case KEY_SEQ:
        return traj_json_u64(json, &frame->seq);
    case KEY_T:
        return traj_json_double(json, &frame->t);
    case KEY_DT:
        return traj_json_double(json, &frame->dt);
    case KEY_COUNTS:
        return traj_json_counts(json, frame->counts, frame->units_max, &frame->units);
    case KEY_FEATURES:
        return traj_json_floats(json, frame->feature, frame->features_max, &frame->features);
    case KEY_DEVICE:
        return traj_json_u64(json, &frame->device);
    case KEYS:
        break;
    }
    return false;
}

/* Reads the members; *field names the one at which reading stopped, *seen has a bit for each. */
static bool read_members(struct traj_json *json, struct traj_frame *frame, const char **field,
                         unsigned *seen)
{
    char name[16];
    *field = NULL;
    if (!traj_json_object(json)) {
        return false;
    }
    while (traj_json_member(json, name, sizeof name)) {
        enum key key = find_key(name);
        if (key == KEYS) {
            return traj_json_refuse(json, TRAJ_REFUSED_FIELD, "unknown key");
        }
        *field = key_names[key];
        if ((*seen & 1u << key) != 0) {
            return traj_json_refuse(json, TRAJ_REFUSED_FIELD, "doubled key");
        }
        *seen |= 1u << key;
        if (!read_value(json, key, frame)) {
            return false;
        }
        *field = NULL;
    }
    return traj_json_finish(json);
}

static const char *check_members(const struct traj_frame *frame, unsigned seen, const char **field)
{
    static const enum key required[] = {KEY_TYPE, KEY_SEQ, KEY_T, KEY_DT};
    for (size_t i = 0; i < sizeof required / sizeof required[0]; i++) {
        if ((seen & 1u << required[i]) == 0) {
            *field = key_names[required[i]];
            return "missing";
        }
    }
    *field = "counts";
    if ((seen & (1u << KEY_COUNTS | 1u << KEY_FEATURES)) == 0) {
        return "neither counts nor features";
    }
    if ((seen & 1u << KEY_COUNTS) != 0 && frame->units == 0) {
        return "empty";
    }
    *field = "features";
    if ((seen & 1u << KEY_FEATURES) != 0 && frame->features == 0) {
        return "empty";
    }
    return check_times(frame, field);
}

static enum traj_refusal parse_json(const void *body, size_t size, struct traj_frame *frame,
                                    struct traj_refusal_detail *detail)
{
    struct traj_json json;
    const char *field;
    unsigned seen = 0;
    traj_json_start(&json, body, size);
    if (!read_members(&json, frame, &field, &seen)) {
        return traj_refuse(detail, json.refusal, field, json.reason,
                           (size_t)(json.at - json.begin));
    }
    const char *reason = check_members(frame, seen, &field);
    if (reason != NULL) {
        return traj_refuse(detail, TRAJ_REFUSED_FIELD, field, reason, size);
    }
    return TRAJ_ACCEPTED;
}

static void put_counts(struct traj_json_writer *writer, const struct traj_frame *frame)
{
    traj_json_put_key(writer, "counts");
    traj_json_put_bracket(writer, '[');
    for (size_t i = 0; i < frame->units; i++) {
        if (frame->counts[i] == MISSING) {
            traj_json_put_null(writer);
        } else {
            traj_json_put_u64(writer, frame->counts[i]);
        }
    }
    traj_json_put_bracket(writer, ']');
}

static void put_features(struct traj_json_writer *writer, const struct traj_frame *frame)
{
    traj_json_put_key(writer, "features");
    traj_json_put_bracket(writer, '[');
    for (size_t i = 0; i < frame->features; i++) {
        traj_json_put_double(writer, (double)frame->feature[i]);
    }
    traj_json_put_bracket(writer, ']');
}

size_t traj_frame_write_json(const struct traj_frame *frame, char *out, size_t cap)
{
    struct traj_json_writer writer;
    traj_json_write_start(&writer, out, cap);
    traj_json_put_bracket(&writer, '{');
    traj_json_put_key(&writer, "type");
    traj_json_put_text(&writer, "frame");
    traj_json_put_key(&writer, "seq");
    traj_json_put_u64(&writer, frame->seq);
    traj_json_put_key(&writer, "t");
    traj_json_put_double(&writer, frame->t);
    traj_json_put_key(&writer, "dt");
    traj_json_put_double(&writer, frame->dt);
    if (frame->units > 0) {
        put_counts(&writer, frame);
    }
    if (frame->features > 0) {
        put_features(&writer, frame);
    }
    if (frame->device != 0) {
        traj_json_put_key(&writer, "device");
        traj_json_put_u64(&writer, frame->device);
    }
    traj_json_put_bracket(&writer, '}');
    return traj_json_written(&writer);
}

/* ---- binary ---------------------------------------------------------------------------------- */

#define VERSION 1
#define KIND_FRAME 1
#define HAS_COUNTS 1u
#define HAS_FEATURES 2u
#define CHECKSUM_AT 52

/* Whether the bytes are a whole frame of this layout, apart from what the numbers say. */
static enum traj_refusal check_layout(const unsigned char *body, size_t size,
                                      struct traj_refusal_detail *detail)
{
    if (size < 8 || memcmp(body, "TRJF", 4) != 0) {
        return traj_refuse(detail, TRAJ_REFUSED_SYNTAX, "magic",
                           "neither '{' nor \"TRJF\" opens it", 0);
    }
    if (traj_bytes_get(body + 4, 2) != VERSION) {
        return traj_refuse(detail, TRAJ_REFUSED_VERSION, "version", "not 1", 4);
    }
    if (traj_bytes_get(body + 6, 2) != TRAJ_FRAME_HEADER) {
        return traj_refuse(detail, TRAJ_REFUSED_SYNTAX, "header length", "not 56", 6);
    }
    if (size < TRAJ_FRAME_HEADER) {
        return traj_refuse(detail, TRAJ_REFUSED_SYNTAX, "header", "cut off", size);
    }
    uint64_t units = traj_bytes_get(body + 12, 4);
    uint64_t features = traj_bytes_get(body + 48, 4);
    if (size - TRAJ_FRAME_HEADER != 2 * units + 4 * features) {
        return traj_refuse(detail, TRAJ_REFUSED_SYNTAX, "payload",
                           "not as long as units and features say", size);
    }
    if (traj_bytes_get(body + CHECKSUM_AT, 4) != traj_crc32c_around(body, size, CHECKSUM_AT)) {
        return traj_refuse(detail, TRAJ_REFUSED_CHECKSUM, "checksum", "does not match",
                           CHECKSUM_AT);
    }
    return TRAJ_ACCEPTED;
}

/* Copies the payload, whose length has been checked; the first feature that is infinite, or F. */
static size_t copy_payload(const unsigned char *at, struct traj_frame *frame)
{
    for (size_t i = 0; i < frame->units; i++, at += 2) {
        frame->counts[i] = (uint16_t)(at[0] | at[1] << 8);
    }
    for (size_t i = 0; i < frame->features; i++, at += 4) {
        uint32_t bits = (uint32_t)traj_bytes_get(at, 4);
        float value;
        memcpy(&value, &bits, sizeof value);
        if (isinf(value)) {
            return i;
        }
        /* One NaN for all, whatever the sender's looked like. */
        frame->feature[i] = isnan(value) ? NAN : value;
    }
    return frame->features;
}

static enum traj_refusal parse_binary(const unsigned char *body, size_t size,
                                      struct traj_frame *frame, struct traj_refusal_detail *detail)
{
    enum traj_refusal refusal = check_layout(body, size, detail);
    if (refusal != TRAJ_ACCEPTED) {
        return refusal;
    }
    if (traj_bytes_get(body + 8, 2) != KIND_FRAME) {
        return traj_refuse(detail, TRAJ_REFUSED_TYPE, "kind", "not 1 (frame)", 8);
    }
    uint64_t units = traj_bytes_get(body + 12, 4);
    uint64_t features = traj_bytes_get(body + 48, 4);
    unsigned payload = (units > 0 ? HAS_COUNTS : 0) | (features > 0 ? HAS_FEATURES : 0);
    if (payload == 0 || traj_bytes_get(body + 10, 2) != payload) {
        return traj_refuse(detail, TRAJ_REFUSED_FIELD, "payload",
                           "does not say what units and features say", 10);
    }
    if (units > frame->units_max || features > frame->features_max) {
        return traj_refuse(detail, TRAJ_REFUSED_SIZE,
                           units > frame->units_max ? "units" : "features",
                           "more than there is room for", units > frame->units_max ? 12 : 48);
    }
    frame->units = (size_t)units;
    frame->features = (size_t)features;
    frame->seq = traj_bytes_get(body + 16, 8);
    frame->t = traj_bytes_get_double(body + 24);
    frame->dt = traj_bytes_get_double(body + 32);
    frame->device = traj_bytes_get(body + 40, 8);
    const char *field;
    const char *reason = check_times(frame, &field);
    if (reason != NULL) {
        return traj_refuse(detail, TRAJ_REFUSED_FIELD, field, reason, 24);
    }
    size_t infinite = copy_payload(body + TRAJ_FRAME_HEADER, frame);
    if (infinite < frame->features) {
        return traj_refuse(detail, TRAJ_REFUSED_FIELD, "features", "infinite",
                           TRAJ_FRAME_HEADER + 2 * frame->units + 4 * infinite);
    }
    return TRAJ_ACCEPTED;
}

size_t traj_frame_write_binary(const struct traj_frame *frame, void *out, size_t cap)
{
    unsigned char *body = out;
    if (frame->units > UINT32_MAX || frame->features > UINT32_MAX || cap < TRAJ_FRAME_HEADER ||
        (cap - TRAJ_FRAME_HEADER) / 2 < frame->units ||
        (cap - TRAJ_FRAME_HEADER - 2 * frame->units) / 4 < frame->features) {
        return 0;
    }
    memcpy(body, "TRJF", 4);
    traj_bytes_put(body + 4, VERSION, 2);
    traj_bytes_put(body + 6, TRAJ_FRAME_HEADER, 2);
    traj_bytes_put(body + 8, KIND_FRAME, 2);
    traj_bytes_put(body + 10,
                   (frame->units > 0 ? HAS_COUNTS : 0) | (frame->features > 0 ? HAS_FEATURES : 0),
                   2);
    traj_bytes_put(body + 12, frame->units, 4);
    traj_bytes_put(body + 16, frame->seq, 8);
    traj_bytes_put_double(body + 24, frame->t);
    traj_bytes_put_double(body + 32, frame->dt);
    traj_bytes_put(body + 40, frame->device, 8);
    traj_bytes_put(body + 48, frame->features, 4);
    unsigned char *at = body + TRAJ_FRAME_HEADER;
    for (size_t i = 0; i < frame->units; i++, at += 2) {
        traj_bytes_put(at, frame->counts[i], 2);
    }
    for (size_t i = 0; i < frame->features; i++, at += 4) {
        uint32_t bits = 0x7FC00000; /* NaN */
        if (!isnan(frame->feature[i])) {
            memcpy(&bits, &frame->feature[i], sizeof bits);
        }
        traj_bytes_put(at, bits, 4);
    }
    size_t size = (size_t)(at - body);
    traj_bytes_put(body + CHECKSUM_AT, traj_crc32c_around(body, size, CHECKSUM_AT), 4);
    return size;
}

/* ---------------------------------------------------------------------------------------------- */

enum traj_refusal traj_frame_parse(const void *body, size_t size, struct traj_frame *frame,
                                   struct traj_refusal_detail *detail)
{
    frame->seq = 0;
    frame->t = NAN;
    frame->dt = NAN;
    frame->device = 0;
    frame->units = 0;
    frame->features = 0;
    if (size > 0 && *(const char *)body == '{') {
        return parse_json(body, size, frame, detail);
    }
    return parse_binary(body, size, frame, detail);
}
