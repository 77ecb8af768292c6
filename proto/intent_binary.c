/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Intents: struct -> bytes of a fixed layout and back; see intent_binary.h and intent.md. */
#include "proto/intent_binary.h"

#include <math.h>
#include <string.h>

#include "proto/bytes.h"
#include "proto/crc32c.h"

#define VERSION 1
#define DIM_MAX 16
#define TARGETS_MAX 256
#define TEXT_MAX 63
#define MODEL_DIGITS 12
#define NO_STATE 255
#define NO_TARGET 65535
#define FLAGS_ALL ((1u << TRAJ_INTENT_FLAGS) - 1u)

enum kind { KIND_INTENT = 1, KIND_STALE = 2 };

/* Where the fields of the header stand. */
enum {
    AT_VERSION = 4,
    AT_HEADER = 6,
    AT_KIND = 8,
    AT_DIM = 10,
    AT_TARGETS = 12,
    AT_VALID = 14,
    AT_STATE = 15,
    AT_SEQ = 16,
    AT_FRAME = 24,
    AT_T = 32,
    AT_FREE = 40,
    AT_PROGRESS = 48,
    AT_ETA = 56,
    AT_LOGEV = 64,
    AT_STATE_PROB = 72,
    AT_SILENT = 120,
    AT_DEVICE = 128,
    AT_RECV = 136,
    AT_DONE = 144,
    AT_BEHIND = 152,
    AT_FLAGS = 156,
    AT_MODEL = 160,
    AT_TARGET = 172,
    AT_TARGET_BYTES = 174,
    AT_SET_BYTES = 175,
    AT_PAYLOAD = 176,
    AT_CHECKSUM = 180
};

_Static_assert(AT_STATE_PROB + 8 * TRAJ_INTENT_STATES == AT_SILENT, "states have grown");
_Static_assert(AT_CHECKSUM + 4 == TRAJ_INTENT_HEADER, "the checksum ends the header");

static size_t numbers_of(size_t dim, size_t targets)
{
    return 2 * dim + 2 * dim * dim + targets;
}

size_t traj_intent_binary_size(size_t dim, size_t targets)
{
    return TRAJ_INTENT_HEADER + 8 * numbers_of(dim, targets) + 2 * TEXT_MAX;
}

/* The row of the most probable target, the first of equals; NO_TARGET where none has any. */
static unsigned row_of_target(const double *prob, size_t targets)
{
    unsigned best = NO_TARGET;
    for (size_t i = 0; prob != NULL && i < targets; i++) {
        if (prob[i] > (best == NO_TARGET ? 0.0 : prob[best])) {
            best = (unsigned)i;
        }
    }
    return best;
}

/* ---- writing --------------------------------------------------------------------------------- */

/* What is null is NaN, and so is what must never reach the wire. */
static void put_number(unsigned char *at, double value)
{
    traj_bytes_put_double(at, isfinite(value) ? value : (double)NAN);
}

static unsigned char *put_numbers(unsigned char *at, const double *value, size_t count)
{
    bool whole = value != NULL;
    for (size_t i = 0; whole && i < count; i++) {
        whole = isfinite(value[i]);
    }
    for (size_t i = 0; i < count; i++, at += 8) {
        traj_bytes_put_double(at, whole ? value[i] : (double)NAN);
    }
    return at;
}

static size_t length_of(const char *text)
{
    size_t length = 0;
    while (text != NULL && length < TEXT_MAX && text[length] != '\0') {
        length++;
    }
    return length;
}

static void put_head(unsigned char *body, enum kind kind, size_t dim, size_t targets,
                     const char *model)
{
    memset(body, 0, TRAJ_INTENT_HEADER);
    memcpy(body, "TRJI", 4);
    traj_bytes_put(body + AT_VERSION, VERSION, 2);
    traj_bytes_put(body + AT_HEADER, TRAJ_INTENT_HEADER, 2);
    traj_bytes_put(body + AT_KIND, kind, 2);
    traj_bytes_put(body + AT_DIM, dim, 2);
    traj_bytes_put(body + AT_TARGETS, targets, 2);
    body[AT_STATE] = NO_STATE;
    for (size_t at = AT_FREE; at <= AT_SILENT; at += 8) {
        traj_bytes_put_double(body + at, (double)NAN);
    }
    traj_bytes_put_double(body + AT_RECV, (double)NAN);
    traj_bytes_put_double(body + AT_DONE, (double)NAN);
    traj_bytes_put(body + AT_TARGET, NO_TARGET, 2);
    for (size_t i = 0; model != NULL && i < MODEL_DIGITS && model[i] != '\0'; i++) {
        body[AT_MODEL + i] = (unsigned char)model[i];
    }
}

static void put_state(unsigned char *body, const struct traj_intent *intent)
{
    for (size_t i = 0; intent->state != NULL && i < TRAJ_INTENT_STATES; i++) {
        if (strcmp(intent->state, traj_intent_state_name[i]) == 0) {
            body[AT_STATE] = (unsigned char)i;
        }
    }
    (void)put_numbers(body + AT_STATE_PROB, intent->state_prob, TRAJ_INTENT_STATES);
}

static void put_fields(unsigned char *body, const struct traj_intent *intent)
{
    body[AT_VALID] = intent->valid;
    put_state(body, intent);
    traj_bytes_put(body + AT_SEQ, intent->seq, 8);
    traj_bytes_put(body + AT_FRAME, intent->frame, 8);
    put_number(body + AT_T, intent->t);
    put_number(body + AT_FREE, intent->free_prob);
    put_number(body + AT_PROGRESS, intent->progress);
    put_number(body + AT_ETA, intent->eta);
    put_number(body + AT_LOGEV, intent->log_evidence);
    traj_bytes_put(body + AT_DEVICE, intent->stamps.device, 8);
    put_number(body + AT_RECV, intent->stamps.recv);
    put_number(body + AT_DONE, intent->stamps.done);
    traj_bytes_put(body + AT_BEHIND,
                   intent->stamps.behind < UINT32_MAX ? intent->stamps.behind : UINT32_MAX, 4);
    traj_bytes_put(body + AT_FLAGS, intent->flags, 4);
}

/* Lengths and checksum, once all that stands before `end` is there; the whole length. */
static size_t seal(unsigned char *body, const unsigned char *end)
{
    size_t size = (size_t)(end - body);
    traj_bytes_put(body + AT_PAYLOAD, size - TRAJ_INTENT_HEADER, 4);
    traj_bytes_put(body + AT_CHECKSUM, traj_crc32c_around(body, size, AT_CHECKSUM), 4);
    return size;
}

size_t traj_intent_write_binary(const struct traj_intent *intent, void *out, size_t cap)
{
    unsigned char *body = out;
    size_t target = length_of(intent->target);
    size_t set = length_of(intent->target_set);
    size_t dim = intent->dim;
    if (!isfinite(intent->t) || dim > DIM_MAX || intent->targets > TARGETS_MAX ||
        cap < TRAJ_INTENT_HEADER + 8 * numbers_of(dim, intent->targets) + target + set) {
        return 0;
    }
    put_head(body, KIND_INTENT, dim, intent->targets, intent->model);
    put_fields(body, intent);
    unsigned char *at = body + TRAJ_INTENT_HEADER;
    at = put_numbers(at, intent->position, dim);
    at = put_numbers(at, intent->velocity, dim);
    at = put_numbers(at, intent->position_cov, dim * dim);
    at = put_numbers(at, intent->velocity_cov, dim * dim);
    at = put_numbers(at, intent->target_prob, intent->targets);
    traj_bytes_put(body + AT_TARGET, row_of_target(intent->target_prob, intent->targets), 2);
    body[AT_TARGET_BYTES] = (unsigned char)target;
    body[AT_SET_BYTES] = (unsigned char)set;
    if (target > 0) {
        memcpy(at, intent->target, target);
    }
    if (set > 0) {
        memcpy(at + target, intent->target_set, set);
    }
    return seal(body, at + target + set);
}

size_t traj_stale_write_binary(double last_t, double silent, size_t dim, const char *model,
                               void *out, size_t cap)
{
    static const double zero[DIM_MAX] = {0.0};
    unsigned char *body = out;
    unsigned char *at = body + TRAJ_INTENT_HEADER;
    if (dim > DIM_MAX || cap < TRAJ_INTENT_HEADER + 8 * numbers_of(dim, 0)) {
        return 0;
    }
    put_head(body, KIND_STALE, dim, 0, model);
    put_number(body + AT_T, last_t);
    put_number(body + AT_SILENT, silent);
    at = put_numbers(at, NULL, dim);
    at = put_numbers(at, zero, dim);
    at = put_numbers(at, NULL, 2 * dim * dim);
    return seal(body, at);
}

/* ---- reading --------------------------------------------------------------------------------- */

/* Whether the bytes are a whole message of this layout, apart from what the numbers say. */
static enum traj_refusal check_layout(const unsigned char *body, size_t size,
                                      struct traj_refusal_detail *detail)
{
    if (size < 8 || memcmp(body, "TRJI", 4) != 0) {
        return traj_refuse(detail, TRAJ_REFUSED_SYNTAX, "magic", "\"TRJI\" does not open it", 0);
    }
    if (traj_bytes_get(body + AT_VERSION, 2) != VERSION) {
        return traj_refuse(detail, TRAJ_REFUSED_VERSION, "version", "not 1", AT_VERSION);
    }
    if (traj_bytes_get(body + AT_HEADER, 2) != TRAJ_INTENT_HEADER) {
        return traj_refuse(detail, TRAJ_REFUSED_SYNTAX, "header length", "not 184", AT_HEADER);
    }
    if (size < TRAJ_INTENT_HEADER) {
        return traj_refuse(detail, TRAJ_REFUSED_SYNTAX, "header", "cut off", size);
    }
    size_t dim = (size_t)traj_bytes_get(body + AT_DIM, 2);
    size_t targets = (size_t)traj_bytes_get(body + AT_TARGETS, 2);
    size_t payload = 8 * numbers_of(dim, targets) + body[AT_TARGET_BYTES] + body[AT_SET_BYTES];
    if (payload != size - TRAJ_INTENT_HEADER || payload != traj_bytes_get(body + AT_PAYLOAD, 4)) {
        return traj_refuse(detail, TRAJ_REFUSED_SYNTAX, "payload", "not as long as the header says",
                           size);
    }
    if (traj_bytes_get(body + AT_CHECKSUM, 4) != traj_crc32c_around(body, size, AT_CHECKSUM)) {
        return traj_refuse(detail, TRAJ_REFUSED_CHECKSUM, "checksum", "does not match",
                           AT_CHECKSUM);
    }
    if (dim > DIM_MAX || targets > TARGETS_MAX) {
        return traj_refuse(detail, TRAJ_REFUSED_SIZE, dim > DIM_MAX ? "dimensions" : "targets",
                           "more than there is room for", dim > DIM_MAX ? AT_DIM : AT_TARGETS);
    }
    return TRAJ_ACCEPTED;
}

/* A number of the header, or NaN; false if it is infinite. */
static bool read_number(const unsigned char *at, double *value)
{
    *value = traj_bytes_get_double(at);
    if (isnan(*value)) {
        *value = NAN; /* one for all, whatever the sender's looked like */
    }
    return !isinf(*value);
}

/* So many finite numbers, or as many NaN; false if neither. */
static bool read_numbers(const unsigned char *at, size_t count, double *place, bool *known)
{
    size_t finite = 0;
    size_t missing = 0;
    for (size_t i = 0; i < count; i++) {
        if (!read_number(at + 8 * i, &place[i])) {
            return false;
        }
        finite += isfinite(place[i]) ? 1 : 0;
        missing += isnan(place[i]) ? 1 : 0;
    }
    *known = finite > 0;
    return finite == 0 || missing == 0;
}

struct reading {
    const unsigned char *body;
    struct traj_intent_buffer *buffer;
    struct traj_refusal_detail *detail;
    size_t at;      /* of the payload */
    size_t numbers; /* taken of the buffer */
};

static bool refuse(const struct reading *reading, const char *field, const char *reason, size_t at)
{
    (void)traj_refuse(reading->detail, TRAJ_REFUSED_FIELD, field, reason, at);
    return false;
}

static bool read_vector(struct reading *reading, const char *field, size_t count,
                        const double **value)
{
    double *place = reading->buffer->number + reading->numbers;
    bool known;
    *value = NULL;
    if (!read_numbers(reading->body + reading->at, count, place, &known)) {
        return refuse(reading, field, "neither all finite nor all NaN", reading->at);
    }
    if (known) {
        *value = place;
        reading->numbers += count;
    }
    reading->at += 8 * count;
    return true;
}

/* Letters without a NUL into place; none = NULL. */
static bool read_text(struct reading *reading, const char *field, size_t length, char *place,
                      const char **text)
{
    *text = NULL;
    if (length > TEXT_MAX || memchr(reading->body + reading->at, '\0', length) != NULL) {
        return refuse(reading, field, "longer than 63 bytes, or with a NUL", reading->at);
    }
    if (length > 0) {
        memcpy(place, reading->body + reading->at, length);
        place[length] = '\0';
        *text = place;
    }
    reading->at += length;
    return true;
}

static bool read_header(const struct reading *reading, struct traj_intent *intent, double *silent)
{
    const unsigned char *body = reading->body;
    uint64_t flags = traj_bytes_get(body + AT_FLAGS, 4);
    bool known;
    if (body[AT_VALID] > 1) {
        return refuse(reading, "valid", "neither 0 nor 1", AT_VALID);
    }
    if (body[AT_STATE] >= TRAJ_INTENT_STATES && body[AT_STATE] != NO_STATE) {
        return refuse(reading, "state", "none of 0 to 5 and 255", AT_STATE);
    }
    if (flags > FLAGS_ALL) {
        return refuse(reading, "flags", "unknown", AT_FLAGS);
    }
    if (!read_number(body + AT_T, &intent->t) || !read_number(body + AT_FREE, &intent->free_prob) ||
        !read_number(body + AT_PROGRESS, &intent->progress) ||
        !read_number(body + AT_ETA, &intent->eta) ||
        !read_number(body + AT_LOGEV, &intent->log_evidence) ||
        !read_number(body + AT_SILENT, silent) ||
        !read_number(body + AT_RECV, &intent->stamps.recv) ||
        !read_number(body + AT_DONE, &intent->stamps.done)) {
        return refuse(reading, "header", "an infinite number", AT_T);
    }
    if (!read_numbers(body + AT_STATE_PROB, TRAJ_INTENT_STATES, intent->state_prob, &known)) {
        return refuse(reading, "state_prob", "neither all finite nor all NaN", AT_STATE_PROB);
    }
    intent->valid = body[AT_VALID] == 1;
    intent->state = body[AT_STATE] == NO_STATE ? NULL : traj_intent_state_name[body[AT_STATE]];
    intent->flags = (unsigned)flags;
    intent->seq = traj_bytes_get(body + AT_SEQ, 8);
    intent->frame = traj_bytes_get(body + AT_FRAME, 8);
    intent->stamps.device = traj_bytes_get(body + AT_DEVICE, 8);
    intent->stamps.behind = (size_t)traj_bytes_get(body + AT_BEHIND, 4);
    return true;
}

/* Hex digits from the first on; zeros fill up, and zeros alone are none. */
static bool read_model(const struct reading *reading, struct traj_intent *intent)
{
    const unsigned char *digit = reading->body + AT_MODEL;
    char *model = reading->buffer->model;
    size_t length = 0;
    while (length < MODEL_DIGITS && digit[length] != 0) {
        length++;
    }
    for (size_t i = length; i < MODEL_DIGITS; i++) {
        if (digit[i] != 0) {
            return refuse(reading, "model", "letters behind its end", AT_MODEL + i);
        }
    }
    memcpy(model, digit, length);
    model[length] = '\0';
    intent->model = length > 0 ? model : NULL;
    return true;
}

static bool read_payload(struct reading *reading, struct traj_intent *intent)
{
    const unsigned char *body = reading->body;
    struct traj_intent_buffer *buffer = reading->buffer;
    size_t dim = intent->dim;
    return read_vector(reading, "position", dim, &intent->position) &&
           read_vector(reading, "velocity", dim, &intent->velocity) &&
           read_vector(reading, "position_cov", dim * dim, &intent->position_cov) &&
           read_vector(reading, "velocity_cov", dim * dim, &intent->velocity_cov) &&
           read_vector(reading, "target_prob", intent->targets, &intent->target_prob) &&
           read_text(reading, "target", body[AT_TARGET_BYTES], buffer->text[0], &intent->target) &&
           read_text(reading, "target_set", body[AT_SET_BYTES], buffer->text[1],
                     &intent->target_set);
}

/* What the kind of message asks of its fields. */
static bool check_kind(const struct reading *reading, const struct traj_intent *intent,
                       double silent)
{
    uint64_t row = traj_bytes_get(reading->body + AT_TARGET, 2);
    bool stale = traj_bytes_get(reading->body + AT_KIND, 2) == KIND_STALE;
    if (stale ? isnan(silent) : !isnan(silent)) {
        return refuse(reading, "silent", "a number in a stale message, NaN in an intent",
                      AT_SILENT);
    }
    if (!stale && isnan(intent->t)) {
        return refuse(reading, "t", "not finite", AT_T);
    }
    if (stale && (intent->valid || intent->targets > 0)) {
        return refuse(reading, "valid", "a stale message is not valid and tells of no targets",
                      AT_VALID);
    }
    if (row != row_of_target(intent->target_prob, intent->targets)) {
        return refuse(reading, "target", "not the row of the most probable one", AT_TARGET);
    }
    return true;
}

enum traj_refusal traj_intent_parse_binary(const void *body, size_t size,
                                           struct traj_intent_buffer *buffer, double *silent,
                                           struct traj_refusal_detail *detail)
{
    struct traj_intent *intent = &buffer->intent;
    struct reading reading = {
        .body = body, .buffer = buffer, .detail = detail, .at = TRAJ_INTENT_HEADER};
    enum traj_refusal refusal = check_layout(body, size, detail);
    if (refusal != TRAJ_ACCEPTED) {
        return refusal;
    }
    uint64_t kind = traj_bytes_get(reading.body + AT_KIND, 2);
    if (kind != KIND_INTENT && kind != KIND_STALE) {
        return traj_refuse(detail, TRAJ_REFUSED_TYPE, "kind", "neither 1 (intent) nor 2 (stale)",
                           AT_KIND);
    }
    memset(intent, 0, sizeof *intent);
    intent->dim = (size_t)traj_bytes_get(reading.body + AT_DIM, 2);
    intent->targets = (size_t)traj_bytes_get(reading.body + AT_TARGETS, 2);
    if (!read_header(&reading, intent, silent) || !read_model(&reading, intent) ||
        !read_payload(&reading, intent) || !check_kind(&reading, intent, *silent)) {
        return TRAJ_REFUSED_FIELD;
    }
    return TRAJ_ACCEPTED;
}
