/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Messages of the Open Ephys GUI's Event Broadcaster; see event_broadcaster.h. */
#include "proto/event_broadcaster.h"

#include <string.h>

#include "proto/bytes.h"
#include "proto/json.h"
#include "proto/juce.h"
#include "proto/number.h"

#define WHOLE_MAX 9007199254740992.0
#define BASE_TTL 1 /* base types of the GUI's header */
#define BASE_SPIKE 2

/* ---- reading --------------------------------------------------------------------------------- */

enum key { EVENT_TYPE, STREAM, RATE, SAMPLE, LINE, STATE, ELECTRODE, SORTED, KEYS };
static const char *const key_names[KEYS] = {"event_type", "stream", "sample_rate", "sample_number",
                                            "line",       "state",  "electrode",   "sorted_id"};

struct reading {
    struct traj_json json;
    struct traj_json_members members;
};

/* Goes to a member's value; false if it is not there. */
static bool go_to(struct reading *reading, enum key key)
{
    if (reading->members.at[key] == NULL) {
        return traj_json_refuse(&reading->json, TRAJ_REFUSED_FIELD, "a field is missing");
    }
    reading->json.at = reading->members.at[key];
    return true;
}

static bool read_whole(struct reading *reading, enum key key, double top, int64_t *out)
{
    double value = 0.0;

    if (!go_to(reading, key) || !traj_json_double(&reading->json, &value)) {
        return false;
    }
    if (!(value >= 0.0 && value <= top) || value != (double)(int64_t)value) {
        return traj_json_refuse(&reading->json, TRAJ_REFUSED_FIELD,
                                "no whole number, or out of range");
    }
    *out = (int64_t)value;
    return true;
}

static bool read_text(struct reading *reading, enum key key, char *out)
{
    return go_to(reading, key) && traj_json_text(&reading->json, out, TRAJ_EB_NAME_SIZE);
}

/* true, false, or 0 and 1, as versions of the plugin differ. */
static bool read_state(struct reading *reading, uint8_t *state)
{
    int64_t number = 0;
    bool high = false;
    char first;

    if (!go_to(reading, STATE)) {
        return false;
    }
    first = traj_json_peek(&reading->json);
    if (first != 't' && first != 'f') {
        if (!read_whole(reading, STATE, 1.0, &number)) {
            return false;
        }
        high = number == 1;
    } else if (!traj_json_bool(&reading->json, &high)) {
        return false;
    }
    *state = high;
    return true;
}

static bool read_json(struct reading *reading, struct traj_eb_message *message)
{
    const char *kind = message->kind == TRAJ_EB_SPIKE ? "spike" : "ttl";
    char type[TRAJ_EB_NAME_SIZE];
    int64_t number = 0;

    if (!traj_json_members(&reading->json, key_names, KEYS, &reading->members) ||
        !traj_json_finish(&reading->json) || !read_text(reading, EVENT_TYPE, type)) {
        return false;
    }
    if (strcmp(type, kind) != 0) {
        return traj_json_refuse(&reading->json, TRAJ_REFUSED_TYPE, "not what its first part says");
    }
    if (!read_text(reading, STREAM, message->stream) ||
        !read_whole(reading, SAMPLE, WHOLE_MAX, &message->sample) || !go_to(reading, RATE) ||
        !traj_json_double(&reading->json, &message->rate)) {
        return false;
    }
    if (!(message->rate >= 1.0 && message->rate <= 1e10)) {
        return traj_json_refuse(&reading->json, TRAJ_REFUSED_FIELD, "an absurd sample rate");
    }
    if (message->kind == TRAJ_EB_SPIKE) {
        if (!read_text(reading, ELECTRODE, message->electrode) ||
            !read_whole(reading, SORTED, 65535.0, &number)) {
            return false;
        }
        message->sorted_id = (int32_t)number;
        return true;
    }
    if (!read_whole(reading, LINE, 255.0, &number)) {
        return false;
    }
    message->line = (uint8_t)number;
    return read_state(reading, &message->state);
}

static size_t digits(uint64_t value, char *out)
{
    return traj_number_write_u64(value, out);
}

static enum traj_refusal read_binary(const unsigned char *at, size_t size,
                                     struct traj_eb_message *message,
                                     struct traj_refusal_detail *detail)
{
    const bool spike = message->kind == TRAJ_EB_SPIKE;
    size_t length;

    if (size < (spike ? TRAJ_EB_SPIKE_SIZE : TRAJ_EB_TTL_SIZE)) {
        return traj_refuse(detail, TRAJ_REFUSED_SYNTAX, "event", "shorter than its header", size);
    }
    if (at[0] != (spike ? BASE_SPIKE : BASE_TTL)) {
        return traj_refuse(detail, TRAJ_REFUSED_TYPE, "event", "not what its first part says", 0);
    }
    if (traj_bytes_get(at + 8, 8) > (uint64_t)WHOLE_MAX) {
        return traj_refuse(detail, TRAJ_REFUSED_FIELD, "event", "an absurd sample number", 8);
    }
    message->sample = (int64_t)traj_bytes_get(at + 8, 8);
    message->stream[digits(traj_bytes_get(at + 4, 2), message->stream)] = '\0';
    if (spike) {
        length = digits(traj_bytes_get(at + 2, 2), message->electrode);
        message->electrode[length++] = ':';
        length += digits(traj_bytes_get(at + 6, 2), message->electrode + length);
        message->electrode[length] = '\0';
        message->sorted_id = (int32_t)traj_bytes_get(at + 24, 2);
    } else {
        message->line = at[24];
        message->state = at[25] != 0;
    }
    return TRAJ_ACCEPTED;
}

enum traj_refusal traj_eb_parse(const void *first, size_t first_size, const void *body, size_t size,
                                struct traj_eb_message *message, struct traj_refusal_detail *detail)
{
    struct reading reading;
    uint64_t kind = first_size == 2 ? traj_bytes_get(first, 2) : 2;

    memset(message, 0, sizeof *message);
    if (kind > 1) {
        return traj_refuse(detail, TRAJ_REFUSED_TYPE, "type", "neither 0 (TTL) nor 1 (spike)", 0);
    }
    message->kind = kind == 1 ? TRAJ_EB_SPIKE : TRAJ_EB_TTL;
    /* The binary form begins with its base type, which is no brace. */
    if (size == 0 || *(const char *)body != '{') {
        return read_binary(body, size, message, detail);
    }
    traj_json_start(&reading.json, body, size);
    if (!read_json(&reading, message)) {
        return traj_refuse(detail, reading.json.refusal, "json", reading.json.reason,
                           (size_t)(reading.json.at - reading.json.begin));
    }
    return TRAJ_ACCEPTED;
}

/* ---- writing --------------------------------------------------------------------------------- */

size_t traj_eb_write_json(const struct traj_eb_message *message, int source_node, double amplitude,
                          char *out, size_t cap)
{
    struct traj_juce juce = {.out = out, .cap = cap};
    const bool spike = message->kind == TRAJ_EB_SPIKE;

    traj_juce_open(&juce, "{");
    traj_juce_text(&juce, "event_type", spike ? "spike" : "ttl");
    traj_juce_text(&juce, "stream", message->stream);
    traj_juce_whole(&juce, "source_node", source_node);
    if (spike) {
        traj_juce_text(&juce, "electrode", message->electrode);
        traj_juce_whole(&juce, "num_channels", 1);
    }
    traj_juce_key(&juce, "sample_rate");
    traj_juce_real(&juce, message->rate);
    if (!spike) {
        traj_juce_text(&juce, "channel_name", "TTL");
    }
    traj_juce_whole(&juce, "sample_number", message->sample);
    if (spike) {
        traj_juce_whole(&juce, "sorted_id", message->sorted_id);
        traj_juce_key(&juce, "amp1");
        traj_juce_real(&juce, amplitude);
    } else {
        traj_juce_whole(&juce, "line", message->line);
        traj_juce_bool(&juce, "state", message->state != 0);
    }
    traj_juce_close(&juce, "}");
    return juce.full ? 0 : juce.length;
}

static void put_float(unsigned char *at, float value)
{
    uint32_t bits;

    memcpy(&bits, &value, sizeof bits);
    traj_bytes_put(at, bits, 4);
}

size_t traj_eb_write_binary(const struct traj_eb_message *message, uint16_t processor,
                            uint16_t index, const float *wave, size_t points, unsigned char *out,
                            size_t cap)
{
    const bool spike = message->kind == TRAJ_EB_SPIKE;
    const size_t size = spike ? TRAJ_EB_SPIKE_SIZE + 4 * (1 + points) : TRAJ_EB_TTL_SIZE;
    const double seconds = message->rate > 0.0 ? (double)message->sample / message->rate : 0.0;
    uint64_t bits;

    if (size > cap) {
        return 0;
    }
    memcpy(&bits, &seconds, sizeof bits);
    memset(out, 0, size);
    out[0] = spike ? BASE_SPIKE : BASE_TTL;
    out[1] = spike ? 0 : 3;
    traj_bytes_put(out + 2, processor, 2);
    traj_bytes_put(out + 6, index, 2);
    traj_bytes_put(out + 8, (uint64_t)message->sample, 8);
    traj_bytes_put(out + 16, bits, 8);
    if (spike) {
        traj_bytes_put(out + 24, (uint64_t)message->sorted_id, 2);
        put_float(out + 26, -50.0f);
        for (size_t i = 0; i < points; i++) {
            put_float(out + 30 + 4 * i, wave[i]);
        }
    } else {
        out[24] = message->line;
        out[25] = message->state;
        traj_bytes_put(out + 26, message->state != 0 ? (uint64_t)1 << (message->line & 63) : 0, 8);
    }
    return size;
}
