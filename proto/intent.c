/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Intents: struct -> JSON and back; see intent.h and intent.md. */
#include "proto/intent.h"

#include <math.h>
#include <string.h>

#include "proto/json.h"
#include "proto/number.h"

#define DIM_MAX 16
#define TARGETS_MAX 256
#define MODEL_DIGITS 12

const char *const traj_intent_flag_name[TRAJ_INTENT_FLAGS] = {
    "gap",   "reset",    "late_event", "recovered", "limited",  "paused",
    "model", "smoothed", "unobserved", "retuned",   "doubtful", "steered"};

const char *const traj_intent_state_name[TRAJ_INTENT_STATES] = {"rest", "plan",   "move",
                                                                "hold", "return", "free"};

enum key {
    KEY_V,
    KEY_TYPE,
    KEY_SEQ,
    KEY_FRAME,
    KEY_T,
    KEY_VALID,
    KEY_POSITION,
    KEY_POSITION_COV,
    KEY_VELOCITY,
    KEY_VELOCITY_COV,
    KEY_TARGET,
    KEY_TARGET_PROB,
    KEY_TARGET_SET,
    KEY_FREE_PROB,
    KEY_STATE,
    KEY_STATE_PROB,
    KEY_PROGRESS,
    KEY_ETA,
    KEY_LOGEV,
    KEY_FLAGS,
    KEY_MODEL,
    KEY_STAMPS,
    KEYS
};

static const char *const key_names[KEYS] = {
    "v",          "type",         "seq",      "frame",        "t",        "valid",
    "position",   "position_cov", "velocity", "velocity_cov", "target",   "target_prob",
    "target_set", "free_prob",    "state",    "state_prob",   "progress", "eta",
    "logev",      "flags",        "model",    "stamps"};

enum stamp { STAMP_DEVICE, STAMP_RECV, STAMP_DONE, STAMP_BEHIND, STAMPS };

static const char *const stamp_names[STAMPS] = {"device", "recv", "done", "behind"};

/* ---- writing --------------------------------------------------------------------------------- */

size_t traj_intent_size(size_t dim, size_t targets)
{
    /* Keys, words, flags and single numbers; five texts of at most 63 bytes, each perhaps six times
       as long when escaped; a comma for each number. */
    return 1280 + 5 * 63 * 6 + (2 * dim + 2 * dim * dim + targets) * (TRAJ_NUMBER_SIZE + 1);
}

static void put_numbers(struct traj_json_writer *writer, enum key key, const double *value,
                        size_t count)
{
    traj_json_put_key(writer, key_names[key]);
    traj_json_put_doubles(writer, value, count);
}

static void put_number(struct traj_json_writer *writer, enum key key, double value)
{
    traj_json_put_key(writer, key_names[key]);
    traj_json_put_double(writer, value);
}

static void put_text(struct traj_json_writer *writer, enum key key, const char *text)
{
    traj_json_put_key(writer, key_names[key]);
    traj_json_put_text(writer, text);
}

/* The model's first digits; the text need not end there. */
static void put_model(struct traj_json_writer *writer, const char *model)
{
    size_t length = 0;
    traj_json_put_key(writer, "model");
    if (model == NULL) {
        traj_json_put_null(writer);
        return;
    }
    while (length < MODEL_DIGITS && model[length] != '\0') {
        length++;
    }
    traj_json_put_bytes(writer, model, length);
}

static void put_state_prob(struct traj_json_writer *writer, const double prob[TRAJ_INTENT_STATES])
{
    traj_json_put_key(writer, "state_prob");
    for (size_t i = 0; i < TRAJ_INTENT_STATES; i++) {
        if (!isfinite(prob[i])) {
            traj_json_put_null(writer);
            return;
        }
    }
    traj_json_put_bracket(writer, '{');
    for (size_t i = 0; i < TRAJ_INTENT_STATES; i++) {
        traj_json_put_key(writer, traj_intent_state_name[i]);
        traj_json_put_double(writer, prob[i]);
    }
    traj_json_put_bracket(writer, '}');
}

static void put_flags(struct traj_json_writer *writer, unsigned flags)
{
    traj_json_put_key(writer, "flags");
    traj_json_put_bracket(writer, '[');
    for (size_t i = 0; i < TRAJ_INTENT_FLAGS; i++) {
        if ((flags & 1u << i) != 0) {
            traj_json_put_text(writer, traj_intent_flag_name[i]);
        }
    }
    traj_json_put_bracket(writer, ']');
}

static void put_stamps(struct traj_json_writer *writer, const struct traj_stamps *stamps)
{
    traj_json_put_key(writer, "stamps");
    traj_json_put_bracket(writer, '{');
    traj_json_put_key(writer, "device");
    if (stamps->device == 0) {
        traj_json_put_null(writer);
    } else {
        traj_json_put_u64(writer, stamps->device);
    }
    traj_json_put_key(writer, "recv");
    traj_json_put_double(writer, stamps->recv);
    traj_json_put_key(writer, "done");
    traj_json_put_double(writer, stamps->done);
    traj_json_put_key(writer, "behind");
    traj_json_put_u64(writer, stamps->behind);
    traj_json_put_bracket(writer, '}');
}

static void put_moments(struct traj_json_writer *writer, const struct traj_intent *intent)
{
    size_t dim = intent->dim;
    put_numbers(writer, KEY_POSITION, intent->position, dim);
    put_numbers(writer, KEY_POSITION_COV, intent->position_cov, dim * dim);
    put_numbers(writer, KEY_VELOCITY, intent->velocity, dim);
    put_numbers(writer, KEY_VELOCITY_COV, intent->velocity_cov, dim * dim);
}

size_t traj_intent_write(const struct traj_intent *intent, char *out, size_t cap)
{
    struct traj_json_writer writer;
    if (!isfinite(intent->t)) {
        return 0;
    }
    traj_json_write_start(&writer, out, cap);
    traj_json_put_bracket(&writer, '{');
    traj_json_put_key(&writer, "v");
    traj_json_put_u64(&writer, 1);
    put_text(&writer, KEY_TYPE, "intent");
    traj_json_put_key(&writer, "seq");
    traj_json_put_u64(&writer, intent->seq);
    traj_json_put_key(&writer, "frame");
    traj_json_put_u64(&writer, intent->frame);
    put_number(&writer, KEY_T, intent->t);
    traj_json_put_key(&writer, "valid");
    traj_json_put_bool(&writer, intent->valid);
    put_moments(&writer, intent);
    put_text(&writer, KEY_TARGET, intent->target);
    put_numbers(&writer, KEY_TARGET_PROB, intent->target_prob, intent->targets);
    put_text(&writer, KEY_TARGET_SET, intent->target_set);
    put_number(&writer, KEY_FREE_PROB, intent->free_prob);
    put_text(&writer, KEY_STATE, intent->state);
    put_state_prob(&writer, intent->state_prob);
    put_number(&writer, KEY_PROGRESS, intent->progress);
    put_number(&writer, KEY_ETA, intent->eta);
    put_number(&writer, KEY_LOGEV, intent->log_evidence);
    put_flags(&writer, intent->flags);
    put_model(&writer, intent->model);
    put_stamps(&writer, &intent->stamps);
    traj_json_put_bracket(&writer, '}');
    return traj_json_written(&writer);
}

size_t traj_stale_write(double last_t, double silent, size_t dim, const char *model, char *out,
                        size_t cap)
{
    struct traj_json_writer writer;
    traj_json_write_start(&writer, out, cap);
    traj_json_put_bracket(&writer, '{');
    traj_json_put_key(&writer, "v");
    traj_json_put_u64(&writer, 1);
    put_text(&writer, KEY_TYPE, "stale");
    put_number(&writer, KEY_T, last_t);
    traj_json_put_key(&writer, "silent");
    traj_json_put_double(&writer, silent);
    traj_json_put_key(&writer, "valid");
    traj_json_put_bool(&writer, false);
    traj_json_put_key(&writer, "velocity");
    traj_json_put_bracket(&writer, '[');
    for (size_t i = 0; i < dim; i++) {
        traj_json_put_u64(&writer, 0);
    }
    traj_json_put_bracket(&writer, ']');
    put_model(&writer, model);
    traj_json_put_bracket(&writer, '}');
    return traj_json_written(&writer);
}

/* ---- reading --------------------------------------------------------------------------------- */

struct reading {
    struct traj_json json;
    struct traj_json_members members;
    enum key key;
    size_t numbers; /* taken of the buffer */
};

static struct traj_json *go_to(struct reading *reading, enum key key)
{
    reading->key = key;
    reading->json.at = reading->members.at[key];
    return &reading->json;
}

static bool refuse(struct reading *reading, const char *reason)
{
    return traj_json_refuse(&reading->json, TRAJ_REFUSED_FIELD, reason);
}

/* An array into the buffer, or null; *count is what there was. */
static bool read_numbers(struct reading *reading, enum key key, struct traj_intent_buffer *buffer,
                         size_t max, const double **value, size_t *count)
{
    struct traj_json *json = go_to(reading, key);
    *value = NULL;
    *count = 0;
    if (traj_json_peek(json) == 'n') {
        return traj_json_null(json);
    }
    double *place = buffer->number + reading->numbers;
    if (!traj_json_doubles(json, place, max, count)) {
        return false;
    }
    if (*count == 0) {
        return refuse(reading, "empty");
    }
    *value = place;
    reading->numbers += *count;
    return true;
}

/* A vector of D numbers or a matrix of D*D; whichever comes first sets D. */
static bool read_moment(struct reading *reading, enum key key, struct traj_intent_buffer *buffer,
                        bool square, const double **value)
{
    struct traj_intent *intent = &buffer->intent;
    size_t count;
    if (!read_numbers(reading, key, buffer, square ? DIM_MAX * DIM_MAX : DIM_MAX, value, &count)) {
        return false;
    }
    if (*value == NULL) {
        return true;
    }
    if (intent->dim == 0 && !square) {
        intent->dim = count;
    }
    return count == (square ? intent->dim * intent->dim : intent->dim) ||
           refuse(reading, "a wrong number of numbers");
}

static bool read_maybe(struct reading *reading, enum key key, double *value)
{
    struct traj_json *json = go_to(reading, key);
    *value = NAN;
    return traj_json_peek(json) == 'n' ? traj_json_null(json) : traj_json_double(json, value);
}

/* Text into place, or null. */
static bool read_text(struct reading *reading, enum key key, char *place, size_t cap,
                      const char **text)
{
    struct traj_json *json = go_to(reading, key);
    *text = NULL;
    if (traj_json_peek(json) == 'n') {
        return traj_json_null(json);
    }
    *text = place;
    return traj_json_text(json, place, cap);
}

static bool read_state_prob(struct reading *reading, double prob[TRAJ_INTENT_STATES])
{
    struct traj_json *json = go_to(reading, KEY_STATE_PROB);
    for (size_t i = 0; i < TRAJ_INTENT_STATES; i++) {
        prob[i] = NAN;
    }
    if (traj_json_peek(json) == 'n') {
        return traj_json_null(json);
    }
    struct traj_json_members members;
    if (!traj_json_members(json, traj_intent_state_name, TRAJ_INTENT_STATES, &members)) {
        return false;
    }
    if (members.odd != NULL) {
        return refuse(reading, members.odd_reason);
    }
    for (size_t i = 0; i < TRAJ_INTENT_STATES; i++) {
        if (members.at[i] == NULL) {
            return refuse(reading, "not all of rest, plan, move, hold, return and free");
        }
        json->at = members.at[i];
        if (!traj_json_double(json, &prob[i])) {
            return false;
        }
    }
    return true;
}

static bool read_flags(struct reading *reading, unsigned *flags)
{
    struct traj_json *json = go_to(reading, KEY_FLAGS);
    *flags = 0;
    if (!traj_json_array(json)) {
        return false;
    }
    while (traj_json_element(json)) {
        char word[16];
        size_t flag = 0;
        if (!traj_json_text(json, word, sizeof word)) {
            return false;
        }
        while (flag < TRAJ_INTENT_FLAGS && strcmp(word, traj_intent_flag_name[flag]) != 0) {
            flag++;
        }
        if (flag == TRAJ_INTENT_FLAGS || *flags >> flag != 0) {
            return refuse(reading, "a flag that is unknown, doubled or out of order");
        }
        *flags |= 1u << flag;
    }
    return json->refusal == TRAJ_ACCEPTED;
}

static bool read_stamps(struct reading *reading, struct traj_stamps *stamps)
{
    struct traj_json *json = go_to(reading, KEY_STAMPS);
    struct traj_json_members members;
    uint64_t behind;
    if (!traj_json_members(json, stamp_names, STAMPS, &members)) {
        return false;
    }
    if (members.odd != NULL) {
        return refuse(reading, members.odd_reason);
    }
    for (size_t i = 0; i < STAMPS; i++) {
        if (members.at[i] == NULL) {
            return refuse(reading, "not all of device, recv, done and behind");
        }
    }
    stamps->device = 0;
    stamps->recv = NAN;
    stamps->done = NAN;
    json->at = members.at[STAMP_DEVICE];
    if (*json->at == 'n' ? !traj_json_null(json) : !traj_json_u64(json, &stamps->device)) {
        return false;
    }
    json->at = members.at[STAMP_RECV];
    if (*json->at == 'n' ? !traj_json_null(json) : !traj_json_double(json, &stamps->recv)) {
        return false;
    }
    json->at = members.at[STAMP_DONE];
    if (*json->at == 'n' ? !traj_json_null(json) : !traj_json_double(json, &stamps->done)) {
        return false;
    }
    json->at = members.at[STAMP_BEHIND];
    if (!traj_json_u64(json, &behind)) {
        return false;
    }
    stamps->behind = (size_t)behind;
    return behind <= SIZE_MAX || refuse(reading, "too large");
}

/* Version and kind, before anything else is judged: another version may have other keys. */
static bool read_kind(struct reading *reading)
{
    uint64_t version;
    char type[16];
    for (size_t i = KEY_V; i <= KEY_TYPE; i++) {
        reading->key = (enum key)i;
        if (reading->members.at[i] == NULL) {
            return refuse(reading, "missing");
        }
    }
    if (!traj_json_u64(go_to(reading, KEY_V), &version)) {
        return false;
    }
    if (version != 1) {
        return traj_json_refuse(&reading->json, TRAJ_REFUSED_VERSION, "not 1");
    }
    if (!traj_json_text(go_to(reading, KEY_TYPE), type, sizeof type)) {
        return false;
    }
    if (strcmp(type, "intent") != 0) {
        return traj_json_refuse(&reading->json, TRAJ_REFUSED_TYPE, "not \"intent\"");
    }
    return true;
}

static bool check_keys(struct reading *reading)
{
    if (reading->members.odd != NULL) {
        reading->key = KEYS;
        reading->json.at = reading->members.odd;
        return refuse(reading, reading->members.odd_reason);
    }
    for (size_t i = 0; i < KEYS; i++) {
        if (reading->members.at[i] == NULL) {
            reading->key = (enum key)i;
            return refuse(reading, "missing");
        }
    }
    return true;
}

static bool read_head(struct reading *reading, struct traj_intent *intent)
{
    return traj_json_u64(go_to(reading, KEY_SEQ), &intent->seq) &&
           traj_json_u64(go_to(reading, KEY_FRAME), &intent->frame) &&
           traj_json_double(go_to(reading, KEY_T), &intent->t) &&
           traj_json_bool(go_to(reading, KEY_VALID), &intent->valid);
}

static bool read_state(struct reading *reading, struct traj_intent_buffer *buffer)
{
    struct traj_intent *intent = &buffer->intent;
    if (!read_text(reading, KEY_STATE, buffer->text[2], sizeof buffer->text[2], &intent->state)) {
        return false;
    }
    for (size_t i = 0; i < TRAJ_INTENT_STATES; i++) {
        if (intent->state == NULL || strcmp(intent->state, traj_intent_state_name[i]) == 0) {
            return read_state_prob(reading, intent->state_prob);
        }
    }
    return refuse(reading, "none of rest, plan, move, hold, return and free");
}

static bool read_body(struct reading *reading, struct traj_intent_buffer *buffer)
{
    struct traj_intent *intent = &buffer->intent;
    return read_moment(reading, KEY_POSITION, buffer, false, &intent->position) &&
           read_moment(reading, KEY_VELOCITY, buffer, false, &intent->velocity) &&
           read_moment(reading, KEY_POSITION_COV, buffer, true, &intent->position_cov) &&
           read_moment(reading, KEY_VELOCITY_COV, buffer, true, &intent->velocity_cov) &&
           read_numbers(reading, KEY_TARGET_PROB, buffer, TARGETS_MAX, &intent->target_prob,
                        &intent->targets) &&
           read_text(reading, KEY_TARGET, buffer->text[0], sizeof buffer->text[0],
                     &intent->target) &&
           read_text(reading, KEY_TARGET_SET, buffer->text[1], sizeof buffer->text[1],
                     &intent->target_set) &&
           read_maybe(reading, KEY_FREE_PROB, &intent->free_prob) && read_state(reading, buffer) &&
           read_maybe(reading, KEY_PROGRESS, &intent->progress) &&
           read_maybe(reading, KEY_ETA, &intent->eta) &&
           read_maybe(reading, KEY_LOGEV, &intent->log_evidence) &&
           read_flags(reading, &intent->flags) &&
           read_text(reading, KEY_MODEL, buffer->model, MODEL_DIGITS + 1, &intent->model) &&
           read_stamps(reading, &intent->stamps);
}

static bool read_intent(struct reading *reading, struct traj_intent_buffer *buffer)
{
    return traj_json_members(&reading->json, key_names, KEYS, &reading->members) &&
           traj_json_finish(&reading->json) && read_kind(reading) && check_keys(reading) &&
           read_head(reading, &buffer->intent) && read_body(reading, buffer);
}

enum traj_refusal traj_intent_parse(const void *body, size_t size,
                                    struct traj_intent_buffer *buffer,
                                    struct traj_refusal_detail *detail)
{
    struct reading reading = {.key = KEYS, .numbers = 0};
    memset(&buffer->intent, 0, sizeof buffer->intent);
    traj_json_start(&reading.json, body, size);
    if (!read_intent(&reading, buffer)) {
        return traj_refuse(detail, reading.json.refusal,
                           reading.key < KEYS ? key_names[reading.key] : NULL, reading.json.reason,
                           (size_t)(reading.json.at - reading.json.begin));
    }
    return TRAJ_ACCEPTED;
}
