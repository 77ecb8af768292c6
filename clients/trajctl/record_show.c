/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The records of a recording as lines of JSON; see record_show.h. */
#include "clients/trajctl/record_show.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clients/trajctl/omissions.h"
#include "clients/trajctl/options.h"
#include "daemon/learn/recording_file.h"
#include "proto/event.h"
#include "proto/frame.h"
#include "proto/intent.h"
#include "proto/json.h"
#include "traj/model.h"

/* Bytes of JSON that a payload may become: six for each that has to be escaped, and numbers. */
#define LINE_MAX_OF(size) (16 * (size) + 65536)

struct showing {
    const struct record_show *show;
    char *line;
    size_t cap;
    struct traj_frame frame;
    struct traj_event *event;
};

/* What is written behind the number of bytes of a word that the writer has closed. */
struct word {
    const char *of[6];
};

static const char *word_of(unsigned code, const struct word *words)
{
    return code < 6 && words->of[code] ? words->of[code] : "unknown";
}

/* The message in a record, or NULL where its kind has none. */
static const void *body_of(const struct traj_record *record, size_t *size)
{
    uint64_t effect[TRAJ_RECORDING_EFFECTS], number;
    const void *body = NULL;
    size_t count;
    *size = 0;
    switch (record->kind) {
    case TRAJ_RECORD_FRAME:
    case TRAJ_RECORD_BAD:
    case TRAJ_RECORD_STALE:
        *size = record->size;
        return record->payload;
    case TRAJ_RECORD_EVENT:
    case TRAJ_RECORD_CONTROL:
        return traj_recorded_event(record, &number, &body, size) ? body : NULL;
    case TRAJ_RECORD_INTENT:
        return traj_recorded_intent(record, effect, &count, &body, size) ? body : NULL;
    default:
        return NULL;
    }
}

/* The message as JSON in s->line; its length, or 0 where it is none. */
static size_t json_of(struct showing *s, const struct traj_record *record, const void *body,
                      size_t size)
{
    if (record->kind == TRAJ_RECORD_FRAME) {
        return traj_frame_parse(body, size, &s->frame, NULL) == TRAJ_ACCEPTED
                   ? traj_frame_write_json(&s->frame, s->line, s->cap)
                   : 0;
    }
    if (record->kind == TRAJ_RECORD_EVENT || record->kind == TRAJ_RECORD_CONTROL) {
        return traj_event_parse(body, size, s->event, NULL) == TRAJ_ACCEPTED
                   ? traj_event_write(s->event, s->line, s->cap)
                   : 0;
    }
    if ((record->kind == TRAJ_RECORD_INTENT || record->kind == TRAJ_RECORD_STALE) && s->line &&
        size <= s->cap) {
        memcpy(s->line, body, size);
        return size;
    }
    return 0;
}

static void put_text(struct traj_json_writer *w, const char *key, const char *text)
{
    traj_json_put_key(w, key);
    traj_json_put_text(w, text);
}

static void put_count(struct traj_json_writer *w, const char *key, uint64_t count)
{
    traj_json_put_key(w, key);
    traj_json_put_u64(w, count);
}

static void put_number(struct traj_json_writer *w, const char *key, double value)
{
    traj_json_put_key(w, key);
    traj_json_put_double(w, value);
}

static void put_retune(struct traj_json_writer *w, const struct traj_record *record)
{
    static const struct word retune = {{"runs", "updated", "given", "back", "undone", "doubt"}};
    struct traj_recorded_retune moved;
    if (!traj_recorded_retune(record, &moved)) {
        return;
    }
    put_text(w, "how", word_of(record->code, &retune));
    put_text(w, "base", moved.base);
    put_text(w, "digest", moved.digest);
    put_count(w, "until", moved.until);
    traj_json_put_key(w, "doubted");
    traj_json_put_bool(w, moved.doubted);
    put_count(w, "channels", moved.channels);
    put_count(w, "columns", moved.columns);
}

/* What its kind's numbers say. */
static void put_kind(struct traj_json_writer *w, const struct traj_record *record)
{
    static const struct word became = {{"decoded", "late", "duplicate", "invalid"}};
    static const struct word effect = {{"waits", "at_once", "refused", NULL}};
    static const struct word start = {{"fresh", "midst", NULL, NULL}};
    static const struct word lost = {{"buffer", "disk", "cut", NULL}};
    static const struct word how = {{"runs", "loaded", "rollback", "reload"}};
    static const struct word bad = {{"frame", "event", "topic", NULL}};
    uint64_t numbers[TRAJ_RECORDING_EFFECTS], number = 0;
    struct traj_recorded_settings settings;
    struct traj_recorded_model model;
    struct traj_recorded_loss loss;
    const void *body;
    size_t count, size;
    switch (record->kind) {
    case TRAJ_RECORD_FRAME:
        put_text(w, "became", word_of(record->code, &became));
        break;
    case TRAJ_RECORD_EVENT:
    case TRAJ_RECORD_CONTROL:
        (void)traj_recorded_event(record, &number, &body, &size);
        put_count(w, "event", number);
        put_text(w, "effect", word_of(record->code, &effect));
        break;
    case TRAJ_RECORD_INTENT:
        traj_json_put_key(w, "effects");
        traj_json_put_bracket(w, '[');
        count = 0;
        (void)traj_recorded_intent(record, numbers, &count, &body, &size);
        for (size_t i = 0; i < count; i++) {
            traj_json_put_u64(w, numbers[i]);
        }
        traj_json_put_bracket(w, ']');
        break;
    case TRAJ_RECORD_PAUSE:
        traj_json_put_key(w, "paused");
        traj_json_put_bool(w, record->code != 0);
        break;
    case TRAJ_RECORD_BAD:
        put_text(w, "what", word_of(record->code, &bad));
        break;
    case TRAJ_RECORD_START:
        put_text(w, "state", word_of(record->code, &start));
        break;
    case TRAJ_RECORD_LOST:
        if (traj_recorded_loss(record, &loss)) {
            put_text(w, "why", word_of(record->code, &lost));
            put_count(w, "records", loss.records);
            put_count(w, "inputs", loss.inputs);
        }
        break;
    case TRAJ_RECORD_MODEL:
        if (traj_recorded_model(record, &model)) {
            put_text(w, "how", word_of(record->code, &how));
            put_text(w, "digest", model.digest);
            put_text(w, "path", model.path);
        }
        break;
    case TRAJ_RECORD_RETUNE:
        put_retune(w, record);
        break;
    case TRAJ_RECORD_SETTINGS:
        if (traj_recorded_settings(record, &settings)) {
            put_number(w, "gap_reset_s", settings.gap_reset_s);
            put_number(w, "speed_limit", settings.speed_limit);
            put_count(w, "count_max", settings.count_max);
            traj_json_put_key(w, "low");
            traj_json_put_doubles(w, settings.low, settings.dims);
            traj_json_put_key(w, "high");
            traj_json_put_doubles(w, settings.high, settings.dims);
        }
        break;
    default:
        break;
    }
}

static int show_record(struct showing *s, const struct traj_record *record)
{
    char head[TRAJ_RECORDING_PATH_MAX * 6 + 32 * TRAJ_RECORDING_EFFECTS];
    struct traj_json_writer w;
    size_t size;
    const void *body = body_of(record, &size);
    size_t json = body ? json_of(s, record, body, size) : 0;
    if (s->show->bodies) {
        return json == 0 || (fwrite(s->line, 1, json, stdout) == json && putchar('\n') != EOF) ? 0
                                                                                               : -1;
    }
    traj_json_write_start(&w, head, sizeof head);
    traj_json_put_bracket(&w, '{');
    put_count(&w, "n", record->number);
    put_text(&w, "kind", traj_record_name(record->kind));
    put_count(&w, "frame", record->frame);
    put_number(&w, "stamp", record->stamp);
    if (record->carried && record->kind != TRAJ_RECORD_LOST) {
        traj_json_put_key(&w, "carried");
        traj_json_put_bool(&w, true);
    }
    put_kind(&w, record);
    if (record->cause != TRAJ_ACCEPTED) {
        put_text(&w, "cause", traj_refusal_name((enum traj_refusal)record->cause));
    }
    if (body && json == 0) {
        traj_json_put_key(&w, "text");
        traj_json_put_bytes(&w, body, size < 1000 ? size : 1000);
    }
    size_t length = traj_json_written(&w);
    if (fwrite(head, 1, length, stdout) != length) {
        return -1;
    }
    if (json > 0 &&
        (fputs(",\"body\":", stdout) == EOF || fwrite(s->line, 1, json, stdout) != json)) {
        return -1;
    }
    return fputs("}\n", stdout) == EOF ? -1 : 0;
}

static int grow(struct showing *s, size_t size, struct traj_error *error)
{
    if (LINE_MAX_OF(size) <= s->cap) {
        return 0;
    }
    char *larger = realloc(s->line, LINE_MAX_OF(size));
    if (!larger) {
        return traj_error_set(error, "no memory for a record of %zu bytes", size);
    }
    s->line = larger;
    s->cap = LINE_MAX_OF(size);
    return 0;
}

static bool in_range(const struct showing *s, const struct traj_recording_item *item)
{
    return item->found == TRAJ_FOUND_RECORD && item->record.frame >= s->show->from &&
           item->record.frame <= s->show->to;
}

static int show_items(struct showing *s, struct traj_recording *recording, struct traj_error *error)
{
    struct traj_recording_item item;
    bool empty = s->show->from > 0 || s->show->to < UINT64_MAX;
    int more;
    while ((more = traj_recording_next(recording, &item, error)) > 0) {
        const struct traj_record *record = &item.record;
        if (item.found == TRAJ_FOUND_NO_PART) {
            tell_missing_part("record", s->show->path, item.count);
        }
        empty = empty && !in_range(s, &item);
        if (!in_range(s, &item) ||
            (s->show->kind && strcmp(traj_record_name(record->kind), s->show->kind) != 0)) {
            continue;
        }
        if (grow(s, record->size, error) != 0) {
            return -1;
        }
        if (show_record(s, record) != 0) {
            return traj_error_set(error, "standard output cannot be written to");
        }
    }
    if (more == 0 && empty) {
        return traj_error_set(error, "%s has nothing in this range", s->show->path);
    }
    return more;
}

static bool is_kind(const char *word)
{
    for (int kind = TRAJ_RECORD_FRAME; kind < TRAJ_RECORD_KINDS; kind++) {
        if (strcmp(word, traj_record_name((enum traj_record_kind)kind)) == 0) {
            return true;
        }
    }
    return false;
}

int record_show(const struct record_show *show, struct traj_error *error)
{
    struct showing s = {.show = show};
    int result = -1;
    if (show->kind && !is_kind(show->kind)) {
        return usage_error("record", "\"%s\" is no kind of record", show->kind);
    }
    struct traj_recording *recording = traj_recording_open(show->path, error);
    if (!recording) {
        return -1;
    }
    s.event = malloc(sizeof *s.event);
    s.frame.counts = malloc(TRAJ_UNITS_MAX * sizeof *s.frame.counts);
    s.frame.feature = malloc(TRAJ_UNITS_MAX * sizeof *s.frame.feature);
    s.frame.units_max = s.frame.features_max = TRAJ_UNITS_MAX;
    if (s.event && s.frame.counts && s.frame.feature) {
        result = show_items(&s, recording, error);
    } else {
        traj_error_set(error, "memory is short");
    }
    free(s.event);
    free(s.frame.counts);
    free(s.frame.feature);
    free(s.line);
    traj_recording_close(recording);
    return result;
}
