/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Does each byte vector of proto/vectors fare as expected.txt says: parsed and written back to the
 * bytes named there, or refused for the cause and the field named there?  And do some of them hold,
 * value by value, what a reader of the pages would take them to hold?
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "proto/event.h"
#include "proto/frame.h"
#include "proto/intent.h"
#include "proto/intent_binary.h"
#include "proto/recording.h"
#include "proto/safetensors.h"

#define ROOM 8       /* counts and features that a frame may have here */
#define OUT_MAX 8192 /* bytes of the longest vector written */

/*
 * A vector's bytes in a block of exactly their size, so that a sanitizer sees any byte read beyond.
 */
struct vector {
    unsigned char *bytes;
    size_t size;
};

static FILE *open_vector(const char *path)
{
    char name[1024];
    const char *source = getenv("TRAJ_SOURCE_DIR");
    snprintf(name, sizeof name, "%s/proto/vectors/%s", source != NULL ? source : ".", path);
    FILE *file = fopen(name, "rb");
    if (file == NULL) {
        fail_msg("%s cannot be opened", name);
    }
    return file;
}

static struct vector load(const char *path)
{
    unsigned char buffer[OUT_MAX];
    FILE *file = open_vector(path);
    struct vector vector;
    vector.size = fread(buffer, 1, sizeof buffer, file);
    assert_true(vector.size < sizeof buffer);
    vector.bytes = malloc(vector.size > 0 ? vector.size : 1);
    assert_non_null(vector.bytes);
    memcpy(vector.bytes, buffer, vector.size);
    fclose(file);
    return vector;
}

static void check_written(const char *path, const char *expected, const void *out, size_t size)
{
    struct vector vector = load(strcmp(expected, "same") == 0 ? path : expected);
    if (size != vector.size || memcmp(out, vector.bytes, size) != 0) {
        fail_msg("%s is written as %.*s, not as %s", path, (int)size, (const char *)out, expected);
    }
    free(vector.bytes);
}

/* ---- one runner a kind: parse, and write what was parsed ------------------------------------- */

struct frame_room {
    struct traj_frame frame;
    uint16_t counts[ROOM];
    float features[ROOM];
};

static enum traj_refusal parse_frame(const struct vector *vector, struct frame_room *room,
                                     struct traj_refusal_detail *detail)
{
    room->frame.counts = room->counts;
    room->frame.feature = room->features;
    room->frame.units_max = ROOM;
    room->frame.features_max = ROOM;
    return traj_frame_parse(vector->bytes, vector->size, &room->frame, detail);
}

static enum traj_refusal run_frame(const char *path, const struct vector *vector,
                                   struct traj_refusal_detail *detail, char *out, size_t *size)
{
    struct frame_room room;
    enum traj_refusal refusal = parse_frame(vector, &room, detail);
    if (refusal == TRAJ_ACCEPTED) {
        *size = strstr(path, ".bin") != NULL ? traj_frame_write_binary(&room.frame, out, OUT_MAX)
                                             : traj_frame_write_json(&room.frame, out, OUT_MAX);
    }
    return refusal;
}

static enum traj_refusal run_event(const char *path, const struct vector *vector,
                                   struct traj_refusal_detail *detail, char *out, size_t *size)
{
    static struct traj_event event;
    (void)path;
    enum traj_refusal refusal = traj_event_parse(vector->bytes, vector->size, &event, detail);
    if (refusal == TRAJ_ACCEPTED) {
        *size = traj_event_write(&event, out, OUT_MAX);
    }
    return refusal;
}

static size_t write_intent_binary(const struct traj_intent *intent, double silent, char *out)
{
    return isnan(silent) ? traj_intent_write_binary(intent, out, OUT_MAX)
                         : traj_stale_write_binary(intent->t, silent, intent->dim, intent->model,
                                                   out, OUT_MAX);
}

static enum traj_refusal run_intent(const char *path, const struct vector *vector,
                                    struct traj_refusal_detail *detail, char *out, size_t *size)
{
    static struct traj_intent_buffer buffer;
    double silent;
    if (strstr(path, ".bin") != NULL) {
        enum traj_refusal refusal =
            traj_intent_parse_binary(vector->bytes, vector->size, &buffer, &silent, detail);
        if (refusal == TRAJ_ACCEPTED) {
            *size = write_intent_binary(&buffer.intent, silent, out);
        }
        return refusal;
    }
    enum traj_refusal refusal = traj_intent_parse(vector->bytes, vector->size, &buffer, detail);
    if (refusal == TRAJ_ACCEPTED) {
        size_t cap = traj_intent_size(buffer.intent.dim, buffer.intent.targets);
        assert_true(cap <= OUT_MAX);
        *size = traj_intent_write(&buffer.intent, out, cap);
    }
    return refusal;
}

static enum traj_refusal run_tensors(const char *path, const struct vector *vector,
                                     struct traj_refusal_detail *detail, char *out, size_t *size)
{
    static struct traj_tensors tensors;
    static char text[TRAJ_METADATA_MAX][256];
    (void)path;
    enum traj_refusal refusal = traj_tensors_parse(vector->bytes, vector->size, &tensors, detail);
    if (refusal == TRAJ_ACCEPTED) {
        for (size_t i = 0; i < tensors.entries; i++) {
            size_t length =
                traj_metadata_text(&tensors, tensors.entry[i].key, text[i], sizeof text[i]);
            assert_true(length < sizeof text[i]);
            tensors.entry[i].text = text[i];
            tensors.entry[i].length = length;
        }
        *size = traj_tensors_write(&tensors, out, OUT_MAX);
        assert_int_equal(*size, traj_tensors_size(&tensors));
    }
    return refusal;
}

/* Header and records one after the other; a mistake of a record ends it. */
static enum traj_refusal run_recording(const char *path, const struct vector *vector,
                                       struct traj_refusal_detail *detail, char *out, size_t *size)
{
    struct traj_recording_header header;
    (void)path;
    enum traj_refusal refusal =
        traj_recording_parse_header(vector->bytes, vector->size, &header, detail);
    if (refusal != TRAJ_ACCEPTED) {
        return refusal;
    }
    traj_recording_write_header(&header, (unsigned char *)out);
    *size = TRAJ_RECORDING_HEADER;
    for (size_t at = TRAJ_RECORDING_HEADER; at < vector->size;) {
        struct traj_record record;
        size_t used, wanted;
        enum traj_record_outcome outcome =
            traj_record_next(vector->bytes + at, vector->size - at, &record, &used, &wanted);
        if (outcome == TRAJ_RECORD_MORE) {
            return traj_refuse(detail, TRAJ_REFUSED_SYNTAX, "torn", "cut off", at);
        }
        if (outcome == TRAJ_RECORD_BROKEN) {
            return traj_refuse(detail, TRAJ_REFUSED_CHECKSUM, "record", "no record", at);
        }
        at += used;
        *size += traj_record_write(&record, out + *size, OUT_MAX - *size);
    }
    return TRAJ_ACCEPTED;
}

static const struct {
    const char *folder;
    enum traj_refusal (*run)(const char *path, const struct vector *vector,
                             struct traj_refusal_detail *detail, char *out, size_t *size);
} runners[] = {
    {"frame/", run_frame},     {"event/", run_event},         {"intent/", run_intent},
    {"tensors/", run_tensors}, {"recording/", run_recording},
};

static void check_refusal(const char *path, const struct vector *vector, const char *outcome,
                          const char *field, enum traj_refusal refusal,
                          const struct traj_refusal_detail *detail)
{
    char named[64];
    snprintf(named, sizeof named, "%s", detail->field != NULL ? detail->field : "-");
    for (char *at = named; *at != '\0'; at++) {
        *at = *at == ' ' ? '_' : *at;
    }
    if (strcmp(traj_refusal_name(refusal), outcome) != 0 || strcmp(named, field) != 0) {
        fail_msg("%s is refused as %s of %s (%s), not as %s of %s", path,
                 traj_refusal_name(refusal), named, detail->reason, outcome, field);
    }
    assert_non_null(detail->reason);
    assert_true(detail->offset <= vector->size);
}

static void check_vector(const char *path, const char *outcome, const char *field,
                         const char *written, size_t runner)
{
    static char out[OUT_MAX];
    size_t size = 0;
    struct traj_refusal_detail detail = {NULL, NULL, 0};
    struct vector vector = load(path);
    enum traj_refusal refusal = runners[runner].run(path, &vector, &detail, out, &size);
    if (strcmp(outcome, "accepted") != 0) {
        check_refusal(path, &vector, outcome, field, refusal, &detail);
    } else if (refusal != TRAJ_ACCEPTED) {
        fail_msg("%s is refused: %s %s", path, detail.field != NULL ? detail.field : "",
                 detail.reason);
    } else {
        check_written(path, written, out, size);
    }
    free(vector.bytes);
}

static void test_expected(void **state)
{
    (void)state;
    char line[512];
    size_t ran[sizeof runners / sizeof runners[0]] = {0};
    FILE *file = open_vector("expected.txt");
    while (fgets(line, sizeof line, file) != NULL) {
        char path[128];
        char outcome[32];
        char field[32];
        char written[128];
        if (line[0] == '#' || line[0] == '\n') {
            continue;
        }
        assert_int_equal(sscanf(line, "%127s %31s %31s %127s", path, outcome, field, written), 4);
        for (size_t i = 0; i < sizeof runners / sizeof runners[0]; i++) {
            if (strncmp(path, runners[i].folder, strlen(runners[i].folder)) == 0) {
                check_vector(path, outcome, field, written, i);
                ran[i]++;
            }
        }
    }
    fclose(file);
    for (size_t i = 0; i < sizeof runners / sizeof runners[0]; i++) {
        print_message("%zu vectors of %s\n", ran[i], runners[i].folder);
        assert_true(ran[i] >= 20);
    }
}

/* ---- what some of them hold ------------------------------------------------------------------ */

static void test_frame_values(void **state)
{
    (void)state;
    static const char *const files[] = {"frame/counts.json", "frame/counts.bin",
                                        "frame/spaced.json"};
    static const uint16_t counts[] = {0, 2, 65535, 65534};
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        struct vector vector = load(files[i]);
        struct frame_room room;
        assert_int_equal(parse_frame(&vector, &room, NULL), TRAJ_ACCEPTED);
        assert_true(room.frame.seq == 17 && room.frame.t == 0.34 && room.frame.dt == 0.02);
        assert_true(room.frame.device == 0);
        assert_int_equal(room.frame.units, 4);
        assert_int_equal(room.frame.features, 0);
        assert_memory_equal(room.counts, counts, sizeof counts);
        free(vector.bytes);
    }
}

/* The two bodies of each frame say the same. */
static void test_frame_pairs(void **state)
{
    (void)state;
    static const char *const names[] = {"counts", "features", "both", "extremes"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char path[64];
        static char out[OUT_MAX];
        struct frame_room room;
        snprintf(path, sizeof path, "frame/%s.bin", names[i]);
        struct vector vector = load(path);
        assert_int_equal(parse_frame(&vector, &room, NULL), TRAJ_ACCEPTED);
        free(vector.bytes);
        size_t size = traj_frame_write_json(&room.frame, out, sizeof out);
        snprintf(path, sizeof path, "frame/%s.json", names[i]);
        check_written(path, "same", out, size);

        vector = load(path);
        assert_int_equal(parse_frame(&vector, &room, NULL), TRAJ_ACCEPTED);
        free(vector.bytes);
        size = traj_frame_write_binary(&room.frame, out, sizeof out);
        snprintf(path, sizeof path, "frame/%s.bin", names[i]);
        check_written(path, "same", out, size);
    }
}

static void load_event(const char *path, struct traj_event *event)
{
    struct vector vector = load(path);
    assert_int_equal(traj_event_parse(vector.bytes, vector.size, event, NULL), TRAJ_ACCEPTED);
    free(vector.bytes);
}

static void test_event_values(void **state)
{
    (void)state;
    static struct traj_event event;
    load_event("event/session-unicode.json", &event);
    assert_int_equal(event.kind, TRAJ_EVENT_SESSION);
    assert_string_equal(event.text, "\xC3\xA9t\xC3\xA9 \x01\"\\");
    assert_false(event.marks);
    assert_true(isnan(event.t));

    load_event("event/gaze-cov-first.json", &event);
    static const double gaze[] = {12.5, -3, 4, 0.5, 0.5, 9};
    assert_int_equal(event.kind, TRAJ_EVENT_GAZE);
    assert_true(event.t == 2.5 && event.dim == 2 && event.count == 6);
    assert_memory_equal(event.value, gaze, sizeof gaze);

    load_event("event/targets.json", &event);
    static const double targets[] = {1, 0, 0, 1, -1, 0};
    assert_true(event.ids == 3 && event.dim == 2 && event.count == 6);
    assert_string_equal(event.text, "centre-out");
    assert_string_equal(event.id[2], "c");
    assert_memory_equal(event.value, targets, sizeof targets);

    load_event("event/estimate-velocity.json", &event);
    assert_int_equal(event.of, TRAJ_ESTIMATE_VELOCITY);
    assert_true(event.dim == 1 && event.count == 2 && event.value[1] == 0.25);
    load_event("event/estimate-loglik.json", &event);
    assert_int_equal(event.of, TRAJ_ESTIMATE_TARGETS);
    assert_true(event.dim == 0 && event.count == 3);

    load_event("event/kinematics-velocity.json", &event);
    assert_true(event.dim == 2 && event.count == 4 && event.value[2] == -0.5);

    load_event("event/trial_label-true.json", &event);
    assert_true(event.target == 3 && event.go == 2.125 && event.rewarded == 1.0);
    load_event("event/trial_label-short.json", &event);
    assert_true(event.target == -1 && isnan(event.go) && isnan(event.rewarded));
}

static void test_intent_values(void **state)
{
    (void)state;
    static struct traj_intent_buffer buffer;
    const struct traj_intent *intent = &buffer.intent;
    struct vector vector = load("intent/spaced.json");
    assert_int_equal(traj_intent_parse(vector.bytes, vector.size, &buffer, NULL), TRAJ_ACCEPTED);
    free(vector.bytes);
    assert_true(intent->seq == 5 && intent->frame == 17 && intent->t == 0.34 && intent->valid);
    assert_true(intent->dim == 2 && intent->targets == 2);
    assert_true(intent->position[1] == -3.25 && intent->position_cov[3] == 9.0);
    assert_true(intent->velocity[0] == 100.125 && intent->velocity_cov[0] == 16.0);
    assert_true(intent->target_prob[1] == 0.75 && intent->free_prob == 0.125);
    assert_string_equal(intent->target, "3");
    assert_string_equal(intent->target_set, "centre-out");
    assert_string_equal(intent->state, "move");
    assert_true(intent->state_prob[1] == 0.1875 && intent->state_prob[2] == 0.5);
    assert_true(intent->state_prob[3] == 0.125 && intent->state_prob[5] == 0.0625);
    assert_true(intent->progress == 0.42 && intent->eta == 0.31);
    assert_true(intent->log_evidence == -123.456);
    assert_int_equal(intent->flags, TRAJ_INTENT_GAP | TRAJ_INTENT_LATE_EVENT | TRAJ_INTENT_MODEL);
    assert_string_equal(intent->model, "0123456789ab");
    assert_true(intent->stamps.device == 123 && intent->stamps.recv == 1234.5);
    assert_true(intent->stamps.done == 1234.50025 && intent->stamps.behind == 2);

    vector = load("intent/nulls.json");
    assert_int_equal(traj_intent_parse(vector.bytes, vector.size, &buffer, NULL), TRAJ_ACCEPTED);
    free(vector.bytes);
    assert_true(intent->dim == 0 && intent->targets == 0 && !intent->valid && intent->flags == 0);
    assert_null(intent->position);
    assert_null(intent->velocity_cov);
    assert_null(intent->target_prob);
    assert_null(intent->target);
    assert_null(intent->state);
    assert_null(intent->model);
    assert_true(isnan(intent->eta) && isnan(intent->state_prob[0]) && isnan(intent->stamps.recv));
    assert_true(intent->stamps.device == 0);
}

/* The two bodies of an intent say the same. */
static void test_intent_pairs(void **state)
{
    (void)state;
    static const char *const names[] = {"full", "nulls"};
    static char out[OUT_MAX];
    static struct traj_intent_buffer buffer;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char path[64];
        double silent;
        snprintf(path, sizeof path, "intent/%s.bin", names[i]);
        struct vector vector = load(path);
        assert_int_equal(
            traj_intent_parse_binary(vector.bytes, vector.size, &buffer, &silent, NULL),
            TRAJ_ACCEPTED);
        free(vector.bytes);
        size_t size = traj_intent_write(&buffer.intent, out, sizeof out);
        snprintf(path, sizeof path, "intent/%s.json", names[i]);
        check_written(path, "same", out, size);

        vector = load(path);
        assert_int_equal(traj_intent_parse(vector.bytes, vector.size, &buffer, NULL),
                         TRAJ_ACCEPTED);
        free(vector.bytes);
        size = traj_intent_write_binary(&buffer.intent, out, sizeof out);
        snprintf(path, sizeof path, "intent/%s.bin", names[i]);
        check_written(path, "same", out, size);
    }
}

static void test_stale(void **state)
{
    (void)state;
    char out[512];
    size_t size = traj_stale_write(1.5, 0.25, 2, "0123456789abcdef", out, sizeof out);
    check_written("stale/stale.json", "same", out, size);
    size = traj_stale_write(NAN, 3.0, 1, "0123456789ab", out, sizeof out);
    check_written("stale/first.json", "same", out, size);
    size = traj_stale_write_binary(1.5, 0.25, 2, "0123456789abcdef", out, sizeof out);
    check_written("intent/stale.bin", "same", out, size);
}

static void test_tensor_values(void **state)
{
    (void)state;
    static struct traj_tensors tensors;
    char text[64];
    struct vector vector = load("tensors/model.bin");
    assert_int_equal(traj_tensors_parse(vector.bytes, vector.size, &tensors, NULL), TRAJ_ACCEPTED);
    assert_int_equal(tensors.tensors, 6);
    assert_int_equal(traj_metadata_text(&tensors, "note", text, sizeof text), 19);
    assert_string_equal(text, "a \"quoted\"\nline: \xC3\xA9");
    assert_int_equal(traj_metadata_text(&tensors, "note", text, 19), (size_t)-1);
    assert_int_equal(traj_metadata_text(&tensors, "absent", text, sizeof text), (size_t)-1);

    const struct traj_tensor *tensor = traj_tensors_find(&tensors, "a.weight");
    static const double weight[] = {1.5, -2, 0, 1e-300, 3, 4};
    assert_non_null(tensor);
    assert_true(tensor->dtype == TRAJ_F64 && tensor->rank == 2 && tensor->bytes == 48);
    assert_true(tensor->shape[0] == 2 && tensor->shape[1] == 3);
    assert_memory_equal(tensor->data, weight, sizeof weight);
    tensor = traj_tensors_find(&tensors, "a.count");
    assert_non_null(tensor);
    assert_memory_equal(tensor->data, "\xFF\xFF", 2);
    assert_null(traj_tensors_find(&tensors, "b"));
    free(vector.bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_expected),      cmocka_unit_test(test_frame_values),
        cmocka_unit_test(test_frame_pairs),   cmocka_unit_test(test_event_values),
        cmocka_unit_test(test_intent_values), cmocka_unit_test(test_intent_pairs),
        cmocka_unit_test(test_stale),         cmocka_unit_test(test_tensor_values),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
