/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Recordings: bytes <-> structs; see recording.h and recording.md. */
#include "proto/recording.h"

#include <math.h>
#include <string.h>

#include "proto/bytes.h"
#include "proto/crc32c.h"

#define MAGIC "TRAJDREC"
#define VERSION 1
#define HEADER_CHECKSUM_AT 12

#define RECORD_MAGIC "TRec"
#define CHECKSUM_AT 12
#define CARRIED 0x8000u

static const char *const names[TRAJ_RECORD_KINDS] = {
    [TRAJ_RECORD_FRAME] = "frame",       [TRAJ_RECORD_EVENT] = "event",
    [TRAJ_RECORD_BAD] = "bad",           [TRAJ_RECORD_CONTROL] = "control",
    [TRAJ_RECORD_RESET] = "reset",       [TRAJ_RECORD_PAUSE] = "pause",
    [TRAJ_RECORD_SETTINGS] = "settings", [TRAJ_RECORD_MODEL] = "model",
    [TRAJ_RECORD_INTENT] = "intent",     [TRAJ_RECORD_STALE] = "stale",
    [TRAJ_RECORD_START] = "start",       [TRAJ_RECORD_LOST] = "lost",
    [TRAJ_RECORD_END] = "end",           [TRAJ_RECORD_RETUNE] = "retune",
};

const char *traj_record_name(enum traj_record_kind kind)
{
    if ((unsigned)kind < TRAJ_RECORD_FRAME || (unsigned)kind >= TRAJ_RECORD_KINDS) {
        return "unknown";
    }
    return names[kind];
}

bool traj_record_is_input(enum traj_record_kind kind)
{
    return (kind >= TRAJ_RECORD_FRAME && kind <= TRAJ_RECORD_MODEL) || kind == TRAJ_RECORD_RETUNE;
}

/* ---- the file's header ----------------------------------------------------------------------- */

enum {
    AT_PART = 16,
    AT_FIRST = 24,
    AT_STAMP = 32,
    AT_TIME = 40,
    AT_MODEL = 48,
    AT_NAME = 112,
    AT_VERSION = 176
};

void traj_recording_write_header(const struct traj_recording_header *header,
                                 unsigned char out[TRAJ_RECORDING_HEADER])
{
    memset(out, 0, TRAJ_RECORDING_HEADER);
    memcpy(out, MAGIC, 8);
    traj_bytes_put(out + 8, VERSION, 2);
    traj_bytes_put(out + 10, TRAJ_RECORDING_HEADER, 2);
    traj_bytes_put(out + AT_PART, header->part, 8);
    traj_bytes_put(out + AT_FIRST, header->first, 8);
    traj_bytes_put_double(out + AT_STAMP, header->stamp);
    traj_bytes_put_double(out + AT_TIME, header->time);
    memcpy(out + AT_MODEL, header->model, strnlen(header->model, 64));
    memcpy(out + AT_NAME, header->name, strnlen(header->name, sizeof header->name - 1));
    memcpy(out + AT_VERSION, header->version, strnlen(header->version, sizeof header->version - 1));
    traj_bytes_put(out + HEADER_CHECKSUM_AT,
                   traj_crc32c_around(out, TRAJ_RECORDING_HEADER, HEADER_CHECKSUM_AT), 4);
}

static bool is_digest(const unsigned char *at)
{
    for (size_t i = 0; i < 64; i++) {
        if (!(at[i] >= '0' && at[i] <= '9') && !(at[i] >= 'a' && at[i] <= 'f')) {
            return false;
        }
    }
    return true;
}

enum traj_refusal traj_recording_parse_header(const void *bytes, size_t size,
                                              struct traj_recording_header *header,
                                              struct traj_refusal_detail *detail)
{
    const unsigned char *at = bytes;
    if (size < 8 || memcmp(at, MAGIC, 8) != 0) {
        return traj_refuse(detail, TRAJ_REFUSED_SYNTAX, "magic", "not \"" MAGIC "\"", 0);
    }
    if (size < TRAJ_RECORDING_HEADER) {
        return traj_refuse(detail, TRAJ_REFUSED_SYNTAX, "header", "cut off", size);
    }
    if (traj_bytes_get(at + 8, 2) != VERSION) {
        return traj_refuse(detail, TRAJ_REFUSED_VERSION, "version", "not 1", 8);
    }
    if (traj_bytes_get(at + 10, 2) != TRAJ_RECORDING_HEADER) {
        return traj_refuse(detail, TRAJ_REFUSED_SYNTAX, "header length", "not 256", 10);
    }
    if (traj_bytes_get(at + HEADER_CHECKSUM_AT, 4) !=
        traj_crc32c_around(at, TRAJ_RECORDING_HEADER, HEADER_CHECKSUM_AT)) {
        return traj_refuse(detail, TRAJ_REFUSED_CHECKSUM, "checksum", "does not match",
                           HEADER_CHECKSUM_AT);
    }
    header->part = traj_bytes_get(at + AT_PART, 8);
    header->first = traj_bytes_get(at + AT_FIRST, 8);
    header->stamp = traj_bytes_get_double(at + AT_STAMP);
    header->time = traj_bytes_get_double(at + AT_TIME);
    if (header->part == 0) {
        return traj_refuse(detail, TRAJ_REFUSED_FIELD, "part", "not counted from 1", AT_PART);
    }
    if (!isfinite(header->stamp) || !isfinite(header->time)) {
        return traj_refuse(detail, TRAJ_REFUSED_FIELD, "stamp", "not finite", AT_STAMP);
    }
    if (!is_digest(at + AT_MODEL)) {
        return traj_refuse(detail, TRAJ_REFUSED_FIELD, "model", "no digest", AT_MODEL);
    }
    memcpy(header->model, at + AT_MODEL, 64);
    header->model[64] = '\0';
    memcpy(header->name, at + AT_NAME, sizeof header->name);
    memcpy(header->version, at + AT_VERSION, sizeof header->version);
    if (header->name[0] == '\0' || header->name[sizeof header->name - 1] != '\0' ||
        header->version[sizeof header->version - 1] != '\0') {
        return traj_refuse(detail, TRAJ_REFUSED_FIELD, "name", "empty or too long", AT_NAME);
    }
    return TRAJ_ACCEPTED;
}

/* ---- records: 0 magic, 4 length, 8 kind, 10 code and cause, 12 checksum, 16 number, 24 frame,
 *      32 stamp, 40 payload -------------------------------------------------------------------- */

void traj_record_put_header(const struct traj_record *record, unsigned char out[TRAJ_RECORD_HEADER])
{
    memcpy(out, RECORD_MAGIC, 4);
    traj_bytes_put(out + 4, record->size, 4);
    traj_bytes_put(out + 8, (unsigned)record->kind | (record->carried ? CARRIED : 0), 2);
    traj_bytes_put(out + 10, record->code, 1);
    traj_bytes_put(out + 11, record->cause, 1);
    traj_bytes_put(out + CHECKSUM_AT, 0, 4);
    traj_bytes_put(out + 16, record->number, 8);
    traj_bytes_put(out + 24, record->frame, 8);
    traj_bytes_put_double(out + 32, record->stamp);
}

void traj_record_seal(unsigned char *record, size_t size)
{
    traj_bytes_put(record + CHECKSUM_AT, traj_crc32c_around(record, size, CHECKSUM_AT), 4);
}

size_t traj_record_write(const struct traj_record *record, void *out, size_t cap)
{
    unsigned char *at = out;
    if (cap < TRAJ_RECORD_HEADER || record->size > cap - TRAJ_RECORD_HEADER ||
        record->size > TRAJ_RECORD_PAYLOAD_MAX) {
        return 0;
    }
    traj_record_put_header(record, at);
    if (record->size > 0) {
        memcpy(at + TRAJ_RECORD_HEADER, record->payload, record->size);
    }
    traj_record_seal(at, TRAJ_RECORD_HEADER + record->size);
    return TRAJ_RECORD_HEADER + record->size;
}

/* Whether the header's numbers can be those of a record; size of bytes is at least a header's. */
static bool is_header(const unsigned char *at)
{
    unsigned kind = (unsigned)traj_bytes_get(at + 8, 2) & ~CARRIED;
    return memcmp(at, RECORD_MAGIC, 4) == 0 &&
           traj_bytes_get(at + 4, 4) <= TRAJ_RECORD_PAYLOAD_MAX && kind >= TRAJ_RECORD_FRAME &&
           kind < TRAJ_RECORD_KINDS && at[11] < TRAJ_REFUSALS;
}

static void view(const unsigned char *at, struct traj_record *record)
{
    unsigned kind = (unsigned)traj_bytes_get(at + 8, 2);
    record->kind = (enum traj_record_kind)(kind & ~CARRIED);
    record->carried = (kind & CARRIED) != 0;
    record->code = at[10];
    record->cause = at[11];
    record->number = traj_bytes_get(at + 16, 8);
    record->frame = traj_bytes_get(at + 24, 8);
    record->stamp = traj_bytes_get_double(at + 32);
    record->size = (size_t)traj_bytes_get(at + 4, 4);
    record->payload = at + TRAJ_RECORD_HEADER;
}

bool traj_record_view(const void *bytes, size_t size, struct traj_record *record)
{
    const unsigned char *at = bytes;
    if (size < TRAJ_RECORD_HEADER || !is_header(at) ||
        traj_bytes_get(at + 4, 4) > size - TRAJ_RECORD_HEADER) {
        return false;
    }
    view(at, record);
    return true;
}

/* How many bytes from 1 on there are before a record might begin. */
static size_t to_next_magic(const unsigned char *at, size_t size)
{
    for (size_t i = 1; i < size; i++) {
        const unsigned char *found = memchr(at + i, RECORD_MAGIC[0], size - i);
        if (found == NULL) {
            return size;
        }
        i = (size_t)(found - at);
        size_t there = size - i < 4 ? size - i : 4;
        if (memcmp(found, RECORD_MAGIC, there) == 0) {
            return i;
        }
    }
    return size;
}

enum traj_record_outcome traj_record_next(const void *bytes, size_t size,
                                          struct traj_record *record, size_t *used, size_t *wanted)
{
    const unsigned char *at = bytes;
    size_t there = size < 4 ? size : 4;
    *used = 0;
    *wanted = TRAJ_RECORD_HEADER;
    if (memcmp(at, RECORD_MAGIC, there) == 0 && size < TRAJ_RECORD_HEADER) {
        return TRAJ_RECORD_MORE;
    }
    if (there == 4 && size >= TRAJ_RECORD_HEADER && is_header(at)) {
        size_t length = TRAJ_RECORD_HEADER + (size_t)traj_bytes_get(at + 4, 4);
        if (size < length) {
            *wanted = length;
            return TRAJ_RECORD_MORE;
        }
        if (traj_bytes_get(at + CHECKSUM_AT, 4) == traj_crc32c_around(at, length, CHECKSUM_AT)) {
            view(at, record);
            *used = length;
            return TRAJ_RECORD_GOOD;
        }
    }
    *used = to_next_magic(at, size);
    return TRAJ_RECORD_BROKEN;
}

size_t traj_record_pass_over(const void *bytes, size_t size)
{
    const unsigned char *at = bytes;
    size_t over = 1;
    while (over < size) {
        struct traj_record later;
        size_t used, wanted;
        if (traj_record_next(at + over, size - over, &later, &used, &wanted) == TRAJ_RECORD_GOOD) {
            return over;
        }
        over += used > 0 ? used : 1;
    }
    return 0;
}

/* ---- payloads -------------------------------------------------------------------------------- */

size_t traj_recorded_put_settings(const struct traj_recorded_settings *settings, void *out)
{
    unsigned char *at = out;
    traj_bytes_put_double(at, settings->gap_reset_s);
    traj_bytes_put_double(at + 8, settings->speed_limit);
    traj_bytes_put(at + 16, settings->count_max, 2);
    traj_bytes_put(at + 18, settings->dims, 2);
    at += 20;
    for (size_t d = 0; d < settings->dims; d++, at += 16) {
        traj_bytes_put_double(at, settings->low[d]);
        traj_bytes_put_double(at + 8, settings->high[d]);
    }
    return (size_t)(at - (unsigned char *)out);
}

bool traj_recorded_settings(const struct traj_record *record,
                            struct traj_recorded_settings *settings)
{
    const unsigned char *at = record->payload;
    if (record->kind != TRAJ_RECORD_SETTINGS || record->size < 20) {
        return false;
    }
    settings->gap_reset_s = traj_bytes_get_double(at);
    settings->speed_limit = traj_bytes_get_double(at + 8);
    settings->count_max = (uint16_t)traj_bytes_get(at + 16, 2);
    settings->dims = (uint16_t)traj_bytes_get(at + 18, 2);
    if (settings->dims > TRAJ_RECORDING_DIM_MAX ||
        record->size != 20 + 16 * (size_t)settings->dims) {
        return false;
    }
    at += 20;
    for (size_t d = 0; d < settings->dims; d++, at += 16) {
        settings->low[d] = traj_bytes_get_double(at);
        settings->high[d] = traj_bytes_get_double(at + 8);
    }
    return true;
}

static size_t put_pair(uint64_t first, uint64_t second, unsigned char *at)
{
    traj_bytes_put(at, first, 8);
    traj_bytes_put(at + 8, second, 8);
    return 16;
}

size_t traj_recorded_put_start(const struct traj_recorded_start *start, void *out)
{
    return put_pair(start->frames, start->events, out);
}

size_t traj_recorded_put_loss(const struct traj_recorded_loss *loss, void *out)
{
    return put_pair(loss->records, loss->inputs, out);
}

bool traj_recorded_start(const struct traj_record *record, struct traj_recorded_start *start)
{
    const unsigned char *at = record->payload;
    if (record->kind != TRAJ_RECORD_START || record->size != TRAJ_RECORDED_START) {
        return false;
    }
    start->frames = traj_bytes_get(at, 8);
    start->events = traj_bytes_get(at + 8, 8);
    return true;
}

bool traj_recorded_loss(const struct traj_record *record, struct traj_recorded_loss *loss)
{
    const unsigned char *at = record->payload;
    if (record->kind != TRAJ_RECORD_LOST || record->size != TRAJ_RECORDED_LOSS) {
        return false;
    }
    loss->records = traj_bytes_get(at, 8);
    loss->inputs = traj_bytes_get(at + 8, 8);
    return true;
}

size_t traj_recorded_put_model(const struct traj_recorded_model *model, void *out)
{
    unsigned char *at = out;
    size_t digest = strnlen(model->digest, 64);
    size_t path = strnlen(model->path, sizeof model->path - 1);
    memset(at, '0', 64);
    memcpy(at, model->digest, digest);
    memcpy(at + 64, model->path, path);
    return 64 + path;
}

bool traj_recorded_model(const struct traj_record *record, struct traj_recorded_model *model)
{
    const unsigned char *at = record->payload;
    if (record->kind != TRAJ_RECORD_MODEL || record->size < 64 ||
        record->size - 64 >= sizeof model->path || !is_digest(at) ||
        memchr(at + 64, '\0', record->size - 64) != NULL) {
        return false;
    }
    memcpy(model->digest, at, 64);
    model->digest[64] = '\0';
    memcpy(model->path, at + 64, record->size - 64);
    model->path[record->size - 64] = '\0';
    return true;
}

/* A digest of 64 digits; zeros for what was never saved. */
static void put_digest(const char *digest, unsigned char *at)
{
    memset(at, '0', 64);
    memcpy(at, digest, strnlen(digest, 64));
}

size_t traj_recorded_put_retune(const struct traj_recorded_retune *retune,
                                const double *coefficient, void *out)
{
    unsigned char *at = out;
    size_t count = (size_t)retune->channels * retune->columns;
    put_digest(retune->base, at);
    put_digest(retune->digest, at + 64);
    traj_bytes_put(at + 128, retune->until, 8);
    traj_bytes_put(at + 136, retune->doubted, 8);
    traj_bytes_put(at + 144, retune->channels, 8);
    traj_bytes_put(at + 152, retune->columns, 8);
    for (size_t i = 0; i < count; i++) {
        traj_bytes_put_double(at + TRAJ_RECORDED_RETUNE(i), coefficient[i]);
    }
    return TRAJ_RECORDED_RETUNE(count);
}

static void get_digest(const unsigned char *at, char digest[65])
{
    memcpy(digest, at, 64);
    digest[64] = '\0';
}

bool traj_recorded_retune(const struct traj_record *record, struct traj_recorded_retune *retune)
{
    const unsigned char *at = record->payload;
    if (record->kind != TRAJ_RECORD_RETUNE || record->size < TRAJ_RECORDED_RETUNE(0) ||
        !is_digest(at) || !is_digest(at + 64) || traj_bytes_get(at + 136, 8) > 1 ||
        traj_bytes_get(at + 144, 8) > UINT32_MAX || traj_bytes_get(at + 152, 8) > 256) {
        return false;
    }
    get_digest(at, retune->base);
    get_digest(at + 64, retune->digest);
    retune->until = traj_bytes_get(at + 128, 8);
    retune->doubted = traj_bytes_get(at + 136, 8) != 0;
    retune->channels = (uint32_t)traj_bytes_get(at + 144, 8);
    retune->columns = (uint32_t)traj_bytes_get(at + 152, 8);
    retune->coefficient = at + TRAJ_RECORDED_RETUNE(0);
    return record->size == TRAJ_RECORDED_RETUNE((size_t)retune->channels * retune->columns);
}

double traj_recorded_coefficient(const struct traj_recorded_retune *retune, size_t i)
{
    return traj_bytes_get_double(retune->coefficient + 8 * i);
}

size_t traj_recorded_put_event(uint64_t number, void *out)
{
    traj_bytes_put(out, number, 8);
    return TRAJ_RECORDED_EVENT;
}

bool traj_recorded_event(const struct traj_record *record, uint64_t *number, const void **body,
                         size_t *size)
{
    const unsigned char *at = record->payload;
    if ((record->kind != TRAJ_RECORD_EVENT && record->kind != TRAJ_RECORD_CONTROL) ||
        record->size < TRAJ_RECORDED_EVENT) {
        return false;
    }
    *number = traj_bytes_get(at, 8);
    *body = at + TRAJ_RECORDED_EVENT;
    *size = record->size - TRAJ_RECORDED_EVENT;
    return true;
}

size_t traj_recorded_put_intent(const uint64_t *events, size_t count, void *out)
{
    unsigned char *at = out;
    traj_bytes_put(at, count, 8);
    for (size_t i = 0; i < count; i++) {
        traj_bytes_put(at + TRAJ_RECORDED_INTENT(i), events[i], 8);
    }
    return TRAJ_RECORDED_INTENT(count);
}

bool traj_recorded_intent(const struct traj_record *record, uint64_t *events, size_t *count,
                          const void **body, size_t *size)
{
    const unsigned char *at = record->payload;
    if (record->kind != TRAJ_RECORD_INTENT || record->size < 8) {
        return false;
    }
    uint64_t told = traj_bytes_get(at, 8);
    if (told > TRAJ_RECORDING_EFFECTS || record->size < TRAJ_RECORDED_INTENT(told)) {
        return false;
    }
    *count = (size_t)told;
    for (size_t i = 0; i < *count; i++) {
        events[i] = traj_bytes_get(at + TRAJ_RECORDED_INTENT(i), 8);
    }
    *body = at + TRAJ_RECORDED_INTENT(*count);
    *size = record->size - TRAJ_RECORDED_INTENT(*count);
    return true;
}
