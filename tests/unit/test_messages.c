/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What vectors cannot show of the messages: buffers too small, structs that hold nonsense, damage
 * to any byte, and that nothing but the message's own bytes is ever read or written.
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
#include "proto/safetensors.h"

/* Writes one message into out[0..cap). */
typedef size_t (*writer)(const void *message, char *out, size_t cap);

static size_t write_json(const void *frame, char *out, size_t cap)
{
    return traj_frame_write_json(frame, out, cap);
}

static size_t write_binary(const void *frame, char *out, size_t cap)
{
    return traj_frame_write_binary(frame, out, cap);
}

static size_t write_event(const void *event, char *out, size_t cap)
{
    return traj_event_write(event, out, cap);
}

static size_t write_intent(const void *intent, char *out, size_t cap)
{
    return traj_intent_write(intent, out, cap);
}

static size_t write_intent_binary(const void *intent, char *out, size_t cap)
{
    return traj_intent_write_binary(intent, out, cap);
}

static size_t write_stale_binary(const void *model, char *out, size_t cap)
{
    return traj_stale_write_binary(1.5, 0.25, 2, model, out, cap);
}

static size_t write_tensors(const void *tensors, char *out, size_t cap)
{
    return traj_tensors_write(tensors, out, cap);
}

static size_t write_stale(const void *model, char *out, size_t cap)
{
    return traj_stale_write(1.5, 0.25, 2, model, out, cap);
}

/* In a block of exactly its length a message fits; in none that is shorter is anything claimed. */
static void check_caps(writer write, const void *message)
{
    static char whole[1 << 16];
    size_t length = write(message, whole, sizeof whole);
    assert_true(length > 0 && length < sizeof whole);
    for (size_t cap = 0; cap <= length; cap++) {
        char *out = malloc(cap > 0 ? cap : 1);
        assert_non_null(out);
        assert_int_equal(write(message, out, cap), cap == length ? length : 0);
        if (cap == length) {
            assert_memory_equal(out, whole, length);
        }
        free(out);
    }
}

static struct traj_frame make_frame(void)
{
    static uint16_t counts[3] = {0, 12, 65535};
    static float features[2] = {-0.75f, NAN};
    return (struct traj_frame){.seq = 7,
                               .t = 0.25,
                               .dt = 0.02,
                               .device = 99,
                               .units = 3,
                               .features = 2,
                               .counts = counts,
                               .feature = features};
}

static struct traj_intent make_intent(void)
{
    static const double number[] = {1.5, -2, 4, 0.5, 0.5, 9, 0.25, 0.75};
    return (struct traj_intent){
        .seq = 1,
        .frame = 2,
        .t = 0.5,
        .valid = true,
        .dim = 2,
        .position = number,
        .position_cov = number + 2,
        .velocity = number,
        .velocity_cov = number + 2,
        .target = "a\"b",
        .targets = 2,
        .target_prob = number + 6,
        .target_set = "s",
        .free_prob = 0.0,
        .state = "plan",
        .state_prob = {0.25, 0.25, 0.25, 0.125, 0.125, 0.0},
        .progress = NAN,
        .eta = INFINITY,
        .log_evidence = -1e6,
        .flags = TRAJ_INTENT_MODEL | TRAJ_INTENT_GAP,
        .model = "0123456789abcdef",
        .stamps = {.device = 5, .recv = 1.0, .done = NAN, .behind = 3},
    };
}

static struct traj_tensors *make_tensors(void)
{
    static struct traj_tensors tensors;
    static const double data[4] = {1, 2, 3, 4};
    memset(&tensors, 0, sizeof tensors);
    tensors.tensors = 1;
    strcpy(tensors.tensor[0].name, "x");
    tensors.tensor[0].dtype = TRAJ_F64;
    tensors.tensor[0].rank = 2;
    tensors.tensor[0].shape[0] = 2;
    tensors.tensor[0].shape[1] = 2;
    tensors.tensor[0].data = data;
    tensors.tensor[0].bytes = sizeof data;
    return &tensors;
}

static void load_event(struct traj_event *event, const char *text)
{
    assert_int_equal(traj_event_parse(text, strlen(text), event, NULL), TRAJ_ACCEPTED);
}

static void test_caps(void **state)
{
    (void)state;
    static struct traj_event event;
    struct traj_frame frame = make_frame();
    struct traj_intent intent = make_intent();
    check_caps(write_json, &frame);
    check_caps(write_binary, &frame);
    check_caps(write_intent, &intent);
    check_caps(write_stale, "0123456789ab");
    check_caps(write_intent_binary, &intent);
    check_caps(write_stale_binary, "0123456789ab");
    check_caps(write_tensors, make_tensors());
    load_event(&event, "{\"type\":\"targets\",\"t\":1,\"set\":\"s\",\"id\":[\"a\",\"b\"],"
                       "\"position\":[[1,2],[3,4]]}");
    check_caps(write_event, &event);
}

/* The size foretold is enough for the longest of everything. */
static void test_intent_size(void **state)
{
    (void)state;
    static double number[800];
    static char text[64];
    struct traj_intent intent = make_intent();
    for (size_t i = 0; i < 800; i++) {
        number[i] = -1.2345678901234568e-250;
    }
    memset(text, '\x01', sizeof text - 1);
    intent.seq = intent.frame = UINT64_MAX;
    intent.position = intent.position_cov = intent.velocity = intent.velocity_cov = number;
    intent.target_prob = number;
    intent.target = intent.target_set = intent.state = text;
    intent.t = intent.free_prob = intent.progress = intent.eta = intent.log_evidence = number[0];
    for (size_t i = 0; i < TRAJ_INTENT_STATES; i++)
        intent.state_prob[i] = number[0];
    intent.flags = UINT32_MAX;
    intent.stamps = (struct traj_stamps){UINT64_MAX, number[0], number[0], SIZE_MAX};
    for (size_t dim = 1; dim <= 16; dim++) {
        for (size_t targets = 0; targets <= 256; targets += 64) {
            size_t cap = traj_intent_size(dim, targets);
            char *out = malloc(cap);
            assert_non_null(out);
            intent.dim = dim;
            intent.targets = targets;
            assert_true(traj_intent_write(&intent, out, cap) > 0);
            free(out);
        }
    }
}

/* What is not finite never reaches the wire. */
static void test_intent_not_finite(void **state)
{
    (void)state;
    static struct traj_intent_buffer buffer;
    static const double broken[] = {1.0, NAN, INFINITY, 0.0};
    char out[4096];
    struct traj_intent intent = make_intent();
    intent.position = intent.position_cov = intent.target_prob = broken;
    intent.state_prob[1] = NAN;
    intent.free_prob = -INFINITY;
    size_t length = traj_intent_write(&intent, out, sizeof out);
    assert_int_equal(traj_intent_parse(out, length, &buffer, NULL), TRAJ_ACCEPTED);
    assert_null(buffer.intent.position);
    assert_null(buffer.intent.position_cov);
    assert_null(buffer.intent.target_prob);
    assert_non_null(buffer.intent.velocity);
    assert_true(isnan(buffer.intent.state_prob[0]) && isnan(buffer.intent.free_prob));
    assert_true(isnan(buffer.intent.eta) && isnan(buffer.intent.stamps.done));
    intent.t = NAN;
    assert_int_equal(traj_intent_write(&intent, out, sizeof out), 0);
}

/* A stream that was cut off is never taken for a message. */
static void test_prefixes(void **state)
{
    (void)state;
    static struct traj_intent_buffer buffer;
    static struct traj_tensors tensors;
    uint16_t counts[8];
    float features[8];
    struct traj_frame back = {
        .counts = counts, .feature = features, .units_max = 8, .features_max = 8};
    struct traj_frame frame = make_frame();
    struct traj_intent intent = make_intent();
    char out[4096];
    size_t length = traj_frame_write_json(&frame, out, sizeof out);
    for (size_t size = 0; size < length; size++) {
        assert_int_equal(traj_frame_parse(out, size, &back, NULL), TRAJ_REFUSED_SYNTAX);
    }
    length = traj_frame_write_binary(&frame, out, sizeof out);
    for (size_t size = 0; size < length; size++) {
        assert_int_equal(traj_frame_parse(out, size, &back, NULL), TRAJ_REFUSED_SYNTAX);
    }
    length = traj_intent_write(&intent, out, sizeof out);
    for (size_t size = 0; size < length; size++) {
        assert_int_equal(traj_intent_parse(out, size, &buffer, NULL), TRAJ_REFUSED_SYNTAX);
    }
    length = traj_tensors_write(make_tensors(), out, sizeof out);
    for (size_t size = 0; size < length; size++) {
        assert_int_not_equal(traj_tensors_parse(out, size, &tensors, NULL), TRAJ_ACCEPTED);
    }
}

/* Any one, two or three bits that turn on the way are noticed. */
static void test_bit_errors(void **state)
{
    (void)state;
    uint16_t counts[8];
    float features[8];
    struct traj_frame back = {
        .counts = counts, .feature = features, .units_max = 8, .features_max = 8};
    struct traj_frame frame = make_frame();
    unsigned char out[128];
    size_t length = traj_frame_write_binary(&frame, out, sizeof out);
    assert_int_equal(traj_frame_parse(out, length, &back, NULL), TRAJ_ACCEPTED);
    for (size_t a = 0; a < 8 * length; a++) {
        for (size_t b = a; b < 8 * length; b += 1 + a % 7) {
            size_t c = (a * 31 + b * 17) % (8 * length);
            out[a / 8] ^= (unsigned char)(1u << a % 8);
            if (b != a) {
                out[b / 8] ^= (unsigned char)(1u << b % 8);
            }
            if (c != a && c != b) {
                out[c / 8] ^= (unsigned char)(1u << c % 8);
            }
            assert_int_not_equal(traj_frame_parse(out, length, &back, NULL), TRAJ_ACCEPTED);
            out[a / 8] ^= (unsigned char)(1u << a % 8);
            if (b != a) {
                out[b / 8] ^= (unsigned char)(1u << b % 8);
            }
            if (c != a && c != b) {
                out[c / 8] ^= (unsigned char)(1u << c % 8);
            }
        }
    }
    assert_int_equal(traj_frame_parse(out, length, &back, NULL), TRAJ_ACCEPTED);
}

/* An event that no reader would take is not written. */
static void test_event_nonsense(void **state)
{
    (void)state;
    static struct traj_event event;
    char out[1024];
    const char *gaze = "{\"type\":\"gaze\",\"t\":1,\"position\":[1,2],\"cov\":[1,0,0,1]}";
    load_event(&event, gaze);
    event.t = NAN;
    assert_int_equal(traj_event_write(&event, out, sizeof out), 0);
    load_event(&event, gaze);
    event.value[3] = INFINITY;
    assert_int_equal(traj_event_write(&event, out, sizeof out), 0);
    load_event(&event, gaze);
    event.count = TRAJ_EVENT_VALUES_MAX + 1;
    assert_int_equal(traj_event_write(&event, out, sizeof out), 0);
    load_event(&event, gaze);
    event.dim = 1000;
    assert_int_equal(traj_event_write(&event, out, sizeof out), 0);
    load_event(&event, gaze);
    event.kind = TRAJ_EVENT_KINDS;
    assert_int_equal(traj_event_write(&event, out, sizeof out), 0);
    assert_string_equal(traj_event_name(TRAJ_EVENT_TRIAL_LABEL), "trial_label");
    assert_string_equal(traj_event_name(TRAJ_EVENT_KINDS), "unknown");
}

static void test_tensors_nonsense(void **state)
{
    (void)state;
    char out[1024];
    struct traj_tensors *tensors = make_tensors();
    tensors->tensor[0].bytes = 31;
    assert_int_equal(traj_tensors_size(tensors), 0);
    assert_int_equal(traj_tensors_write(tensors, out, sizeof out), 0);
    tensors = make_tensors();
    tensors->tensor[0].shape[0] = SIZE_MAX / 2;
    assert_int_equal(traj_tensors_size(tensors), 0);
    tensors = make_tensors();
    tensors->tensor[0].rank = TRAJ_TENSOR_RANK_MAX + 1;
    assert_int_equal(traj_tensors_size(tensors), 0);
    tensors = make_tensors();
    tensors->tensors = TRAJ_TENSORS_MAX + 1;
    assert_int_equal(traj_tensors_size(tensors), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_caps),
        cmocka_unit_test(test_intent_size),
        cmocka_unit_test(test_intent_not_finite),
        cmocka_unit_test(test_prefixes),
        cmocka_unit_test(test_bit_errors),
        cmocka_unit_test(test_event_nonsense),
        cmocka_unit_test(test_tensors_nonsense),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
