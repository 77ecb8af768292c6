/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Messages of the Open Ephys GUI's ZMQ Interface; see open_ephys.h. */
#include "proto/open_ephys.h"

#include <string.h>

#include "proto/json.h"
#include "proto/juce.h"

/* Event types of the GUI, of which the plugin sends this one. */
#define GUI_TTL 3

/* A whole number of JSON that a double holds exactly. */
#define WHOLE_MAX 9007199254740992.0

enum field {
    STREAM = 1,
    SAMPLE = 2,
    SAMPLES = 4,
    RATE = 8,
    CHANNELS = 16,
    NAME = 32,
    SORTED = 64,
    TYPE = 128
};

/* What of the header has been read; type is the word at its top. */
struct reading {
    struct traj_json json;
    struct traj_oe_message *message;
    unsigned seen; /* fields of the body */
    bool numbered, body;
    char type[16];
    int64_t event_type;
};

/* ---- reading --------------------------------------------------------------------------------- */

static bool read_whole(struct traj_json *json, double low, double high, int64_t *out)
{
    double value = 0.0;

    if (!traj_json_double(json, &value)) {
        return false;
    }
    if (!(value >= low && value <= high) || value != (double)(int64_t)value) {
        return traj_json_refuse(json, TRAJ_REFUSED_FIELD, "no whole number, or out of range");
    }
    *out = (int64_t)value;
    return true;
}

static bool read_u32(struct traj_json *json, uint32_t *out)
{
    int64_t value = 0;

    if (!read_whole(json, 0.0, (double)UINT32_MAX, &value)) {
        return false;
    }
    *out = (uint32_t)value;
    return true;
}

static bool read_sorted(struct traj_json *json, int32_t *out)
{
    int64_t value = 0;

    if (!read_whole(json, 0.0, (double)UINT16_MAX, &value)) {
        return false;
    }
    *out = (int32_t)value;
    return true;
}

static bool read_rate(struct traj_json *json, double *rate)
{
    if (!traj_json_double(json, rate)) {
        return false;
    }
    return (*rate >= 1.0 && *rate <= 1e10) ||
           traj_json_refuse(json, TRAJ_REFUSED_FIELD, "an absurd sample rate");
}

static const struct {
    const char *key;
    enum field field;
} body_keys[] = {
    {"stream", STREAM},     {"sample_num", SAMPLE},    {"num_samples", SAMPLES},
    {"sample_rate", RATE},  {"channel_num", CHANNELS}, {"num_channels", CHANNELS},
    {"channel_name", NAME}, {"electrode", NAME},       {"sorted_id", SORTED},
    {"type", TYPE},
};

static bool read_body_value(struct reading *reading, enum field field)
{
    struct traj_json *json = &reading->json;
    struct traj_oe_message *message = reading->message;

    switch (field) {
    case STREAM:
        return traj_json_text(json, message->stream, sizeof message->stream);
    case SAMPLE:
        return read_whole(json, 0.0, WHOLE_MAX, &message->sample);
    case SAMPLES:
        return read_u32(json, &message->samples);
    case RATE:
        return read_rate(json, &message->rate);
    case CHANNELS:
        return read_u32(json, &message->channels);
    case NAME:
        return traj_json_text(json, message->name, sizeof message->name);
    case SORTED:
        return read_sorted(json, &message->sorted_id);
    case TYPE:
        break;
    }
    return read_whole(json, 0.0, 255.0, &reading->event_type);
}

/* The object "content" or "spike". */
static bool read_body(struct reading *reading)
{
    struct traj_json *json = &reading->json;
    char key[32];

    if (!traj_json_object(json)) {
        return false;
    }
    while (traj_json_member(json, key, sizeof key)) {
        size_t i = 0;

        while (i < sizeof body_keys / sizeof body_keys[0] && strcmp(key, body_keys[i].key) != 0) {
            i++;
        }
        if (i == sizeof body_keys / sizeof body_keys[0]) {
            if (!traj_json_skip(json)) {
                return false;
            }
            continue;
        }
        if (!read_body_value(reading, body_keys[i].field)) {
            return false;
        }
        reading->seen |= body_keys[i].field;
    }
    reading->body = json->refusal == TRAJ_ACCEPTED;
    return reading->body;
}

static bool read_top_value(struct reading *reading, const char *key)
{
    struct traj_json *json = &reading->json;

    if (strcmp(key, "message_num") == 0) {
        reading->numbered =
            read_whole(json, -2147483648.0, 4294967295.0, &reading->message->number);
        return reading->numbered;
    }
    if (strcmp(key, "type") == 0) {
        return traj_json_text(json, reading->type, sizeof reading->type);
    }
    if (strcmp(key, "content") == 0 || strcmp(key, "spike") == 0) {
        return read_body(reading);
    }
    if (strcmp(key, "timestamp") == 0) {
        return read_whole(json, 0.0, WHOLE_MAX, &reading->message->timestamp);
    }
    return traj_json_skip(json);
}

/* Reads as much as there is; what is missing is the caller's to judge. */
static void read_header(struct reading *reading, const struct traj_oe_part *part)
{
    struct traj_json *json = &reading->json;
    char key[32];

    traj_json_start(json, part->data, part->size);
    if (!traj_json_object(json)) {
        return;
    }
    while (traj_json_member(json, key, sizeof key)) {
        if (!read_top_value(reading, key)) {
            return;
        }
    }
}

static bool envelope_is(const struct traj_oe_part *part, const char *word)
{
    size_t length = strlen(word);

    /* Later versions may leave the NUL away. */
    return (part->size == length || part->size == length + 1) &&
           memcmp(part->data, word, part->size) == 0;
}

/* Whether count 32-bit numbers are what the payload holds. */
static bool holds(const struct traj_oe_part *payload, uint64_t count)
{
    return payload->size % 4 == 0 && payload->size / 4 == count;
}

static enum traj_refusal refuse(struct traj_refusal_detail *detail, enum traj_refusal refusal,
                                const char *field, const char *reason)
{
    return traj_refuse(detail, refusal, field, reason, 0);
}

static enum traj_refusal take_data(struct reading *reading, const struct traj_oe_part *payload,
                                   struct traj_refusal_detail *detail)
{
    const unsigned needed = STREAM | SAMPLE | SAMPLES | RATE | CHANNELS;

    reading->message->kind = TRAJ_OE_DATA;
    if ((reading->seen & needed) != needed) {
        return refuse(detail, TRAJ_REFUSED_FIELD, "content", "a field of data is missing");
    }
    return holds(payload, reading->message->samples)
               ? TRAJ_ACCEPTED
               : refuse(detail, TRAJ_REFUSED_SYNTAX, "payload", "not num_samples floats");
}

static enum traj_refusal take_spike(struct reading *reading, const struct traj_oe_part *payload,
                                    struct traj_refusal_detail *detail)
{
    const unsigned needed = STREAM | SAMPLE | SAMPLES | CHANNELS | NAME | SORTED;
    const struct traj_oe_message *message = reading->message;

    reading->message->kind = TRAJ_OE_SPIKE;
    if ((reading->seen & needed) != needed) {
        return refuse(detail, TRAJ_REFUSED_FIELD, "spike", "a field of a spike is missing");
    }
    return holds(payload, (uint64_t)message->channels * message->samples)
               ? TRAJ_ACCEPTED
               : refuse(detail, TRAJ_REFUSED_SYNTAX, "payload",
                        "not num_channels times num_samples floats");
}

static enum traj_refusal take_event(struct reading *reading, const struct traj_oe_part *payload,
                                    struct traj_refusal_detail *detail)
{
    struct traj_oe_message *message = reading->message;
    const unsigned char *byte = payload->data;

    message->kind = TRAJ_OE_OTHER;
    if ((reading->seen & (STREAM | SAMPLE | TYPE)) != (STREAM | SAMPLE | TYPE)) {
        return refuse(detail, TRAJ_REFUSED_FIELD, "content", "a field of an event is missing");
    }
    if (reading->event_type != GUI_TTL) {
        return TRAJ_ACCEPTED;
    }
    if (payload->size < TRAJ_OE_TTL_SIZE) {
        return refuse(detail, TRAJ_REFUSED_SYNTAX, "payload", "shorter than a TTL event");
    }
    message->kind = TRAJ_OE_TTL;
    message->line = byte[0];
    message->state = byte[1] != 0;
    for (size_t i = 0; i < 8; i++) {
        message->word |= (uint64_t)byte[2 + i] << 8 * i;
    }
    return TRAJ_ACCEPTED;
}

/* What a header says that belongs to another kind of message means nothing in this one. */
static void forget_others(struct traj_oe_message *message)
{
    if (message->kind != TRAJ_OE_SPIKE) {
        message->sorted_id = 0;
    }
    if (message->kind != TRAJ_OE_DATA) {
        message->rate = 0.0;
    }
    if (message->kind != TRAJ_OE_DATA && message->kind != TRAJ_OE_SPIKE) {
        message->samples = message->channels = 0;
        message->name[0] = '\0';
    }
}

static enum traj_refusal take(struct reading *reading, bool data,
                              const struct traj_oe_part *payload,
                              struct traj_refusal_detail *detail)
{
    if (data && strcmp(reading->type, "data") == 0) {
        return take_data(reading, payload, detail);
    }
    if (!data && strcmp(reading->type, "spike") == 0) {
        return take_spike(reading, payload, detail);
    }
    if (!data && strcmp(reading->type, "event") == 0) {
        return take_event(reading, payload, detail);
    }
    return refuse(detail, TRAJ_REFUSED_TYPE, "type", "not one that belongs to its envelope");
}

enum traj_refusal traj_oe_parse(const struct traj_oe_part part[3], struct traj_oe_message *message,
                                struct traj_refusal_detail *detail)
{
    struct reading reading;
    bool data = envelope_is(&part[0], "DATA");

    memset(message, 0, sizeof *message);
    memset(&reading, 0, sizeof reading);
    reading.message = message;
    if (!data && !envelope_is(&part[0], "EVENT")) {
        return refuse(detail, TRAJ_REFUSED_TYPE, "envelope", "neither DATA nor EVENT");
    }
    read_header(&reading, &part[1]);
    if (!reading.numbered || reading.type[0] == '\0' || !reading.body) {
        const char *reason = reading.json.reason;

        return traj_refuse(
            detail,
            reading.json.refusal != TRAJ_ACCEPTED ? reading.json.refusal : TRAJ_REFUSED_FIELD,
            "header", reason != NULL ? reason : "message_num, type or content is missing",
            (size_t)(reading.json.at - reading.json.begin));
    }
    enum traj_refusal refusal = take(&reading, data, &part[2], detail);

    forget_others(message);
    return refusal;
}

/* ---- writing --------------------------------------------------------------------------------- */

static void put_spike(struct traj_juce *juce, const struct traj_oe_message *message,
                      int source_node, const float *thresholds)
{
    traj_juce_whole(juce, "source_node", source_node);
    traj_juce_text(juce, "electrode", message->name);
    traj_juce_whole(juce, "sample_num", message->sample);
    traj_juce_whole(juce, "num_channels", message->channels);
    traj_juce_whole(juce, "num_samples", message->samples);
    traj_juce_whole(juce, "sorted_id", message->sorted_id);
    traj_juce_key(juce, "threshold");
    traj_juce_open(juce, "[");
    for (uint32_t c = 0; c < message->channels; c++) {
        traj_juce_element(juce, (double)thresholds[c]);
    }
    traj_juce_close(juce, "]");
}

static void put_data(struct traj_juce *juce, const struct traj_oe_message *message)
{
    traj_juce_whole(juce, "channel_num", message->channels);
    traj_juce_text(juce, "channel_name", message->name);
    traj_juce_whole(juce, "num_samples", message->samples);
    traj_juce_whole(juce, "sample_num", message->sample);
    traj_juce_key(juce, "sample_rate");
    traj_juce_real(juce, message->rate);
}

static void put_event(struct traj_juce *juce, const struct traj_oe_message *message,
                      int source_node)
{
    traj_juce_whole(juce, "source_node", source_node);
    traj_juce_whole(juce, "type", GUI_TTL);
    traj_juce_whole(juce, "sample_num", message->sample);
}

size_t traj_oe_write_header(const struct traj_oe_message *message, int source_node,
                            const float *thresholds, char *out, size_t cap)
{
    struct traj_juce juce = {.out = out, .cap = cap};
    const bool spike = message->kind == TRAJ_OE_SPIKE;

    traj_juce_open(&juce, "{");
    traj_juce_whole(&juce, "message_num", message->number);
    traj_juce_text(&juce, "type",
                   spike                           ? "spike"
                   : message->kind == TRAJ_OE_DATA ? "data"
                                                   : "event");
    traj_juce_key(&juce, spike ? "spike" : "content");
    traj_juce_open(&juce, "{");
    traj_juce_text(&juce, "stream", message->stream);
    if (spike) {
        put_spike(&juce, message, source_node, thresholds);
    } else if (message->kind == TRAJ_OE_DATA) {
        put_data(&juce, message);
    } else {
        put_event(&juce, message, source_node);
    }
    traj_juce_close(&juce, "}");
    if (!spike) {
        traj_juce_whole(&juce, "data_size",
                        message->kind == TRAJ_OE_DATA ? 4 * (int64_t)message->samples
                                                      : TRAJ_OE_TTL_SIZE);
    }
    traj_juce_whole(&juce, "timestamp", message->timestamp);
    traj_juce_close(&juce, "}");
    return juce.full ? 0 : juce.length;
}

void traj_oe_write_ttl(const struct traj_oe_message *message, unsigned char *out)
{
    out[0] = message->line;
    out[1] = message->state;
    for (size_t i = 0; i < 8; i++) {
        out[2 + i] = (unsigned char)(message->word >> 8 * i);
    }
}

struct traj_oe_part traj_oe_envelope(enum traj_oe_kind kind)
{
    static const char data[] = "DATA";
    static const char event[] = "EVENT";

    return kind == TRAJ_OE_DATA ? (struct traj_oe_part){data, sizeof data}
                                : (struct traj_oe_part){event, sizeof event};
}
