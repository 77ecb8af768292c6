/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Decoding a recorded session: the same intents as a pipeline driven by hand, units matched by
 * name, refusals that name the reason, and nothing read that the decoder must not see.
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

#include "daemon/learn/decode.h"
#include "daemon/learn/stream.h"
#include "tests/common/tiny_model.h"

enum { BINS = 120, LINE = 4096 };

/* Three trials of 0.6 s, half a second apart, with frames in the trials alone. */
static struct traj_session *make_session(size_t units, bool named)
{
    struct traj_error error = {""};
    struct traj_session *s = traj_session_new("tuesday.h5");
    assert_non_null(s);
    assert_int_equal(
        traj_session_make_frames(s, BINS, units, 0, named ? TRAJ_SESSION_UNIT_NAME : 0, &error), 0);
    assert_int_equal(traj_session_make_trials(s, 3, TRAJ_SESSION_GO, &error), 0);
    for (size_t i = 0; i < BINS; i++) {
        uint16_t counts[TINY_UNITS];
        size_t trial = i / 40;
        tiny_counts(3, i, counts);
        s->t_end[i] = 1.5 * (double)trial + TINY_BIN * (double)(i % 40 + 1);
        s->dt[i] = TINY_BIN;
        for (size_t n = 0; n < units; n++)
            s->counts[i * units + n] = counts[n % TINY_UNITS];
    }
    for (size_t r = 0; r < 3; r++) {
        s->start[r] = 1.5 * (double)r;
        s->go[r] = s->start[r] + 0.06;
        s->stop[r] = s->t_end[40 * r + 39];
    }
    return s;
}

struct written {
    size_t count;
    size_t stop_at; /* the sink says 5 at this intent; 0 = never */
    char (*line)[LINE];
};

static int sink(void *context, const struct traj_intent *intent)
{
    struct written *written = context;
    assert_true(written->count < BINS);
    assert_int_equal(intent->stamps.device, 0);
    assert_int_equal(intent->stamps.behind, 0);
    assert_true(isnan(intent->stamps.recv) && isnan(intent->stamps.done));
    assert_true(traj_intent_write(intent, written->line[written->count], LINE) > 0);
    written->count++;
    return written->stop_at != 0 && written->count == written->stop_at ? 5 : 0;
}

static int set_up(void **state)
{
    struct written *written = calloc(2, sizeof *written);
    assert_non_null(written);
    for (size_t i = 0; i < 2; i++) {
        written[i].line = calloc(BINS, sizeof *written[i].line);
        assert_non_null(written[i].line);
    }
    *state = written;
    return 0;
}

static int tear_down(void **state)
{
    struct written *written = *state;
    free(written[0].line);
    free(written[1].line);
    free(written);
    return 0;
}

static void assert_same(const struct written *a, const struct written *b)
{
    assert_int_equal(a->count, b->count);
    for (size_t i = 0; i < a->count; i++)
        assert_string_equal(a->line[i], b->line[i]);
}

static void decode(const struct tiny_model *tiny, const struct traj_session *s, bool trials,
                   struct written *written)
{
    struct traj_error error = {""};
    struct traj_decode_options options = {.trials = trials};
    written->count = 0;
    assert_int_equal(traj_decode(&tiny->model, s, &options, sink, written, NULL, &error), 0);
    assert_string_equal(error.text, "");
}

/* The pipeline, driven with what a rig would have sent. */
static void drive_by_hand(const struct tiny_model *tiny, struct traj_session *s,
                          struct written *written)
{
    size_t size = traj_decoder_size(&tiny->model.dims);
    void *decoder_memory = malloc(size);
    void *pipeline_memory = malloc(traj_pipeline_size());
    struct traj_event *event = calloc(1, sizeof *event);
    struct traj_decoder *decoder;
    assert_non_null(event);
    assert_int_equal(traj_decoder_init(decoder_memory, size, &tiny->model, NULL, &decoder),
                     TRAJ_OK);
    struct traj_pipeline *pipeline =
        traj_pipeline_init(pipeline_memory, traj_pipeline_size(), decoder, NULL);
    event->kind = TRAJ_EVENT_SESSION;
    event->marks = true;
    (void)traj_pipeline_event(pipeline, event);
    /* All marks at once, and in no good order: what counts is their time. */
    for (size_t r = 3; r-- > 0;) {
        const enum traj_event_kind kind[] = {TRAJ_EVENT_TRIAL_STOP, TRAJ_EVENT_GO,
                                             TRAJ_EVENT_TRIAL_START};
        const double t[] = {s->stop[r], s->go[r], s->start[r]};
        for (size_t i = 0; i < 3; i++) {
            event->kind = kind[i];
            event->t = t[i];
            assert_int_equal(traj_pipeline_event(pipeline, event), TRAJ_ACCEPTED);
        }
    }
    for (size_t i = 0; i < BINS; i++) {
        struct traj_frame frame = {.seq = i,
                                   .t = s->t_end[i],
                                   .dt = s->dt[i],
                                   .units = TINY_UNITS,
                                   .counts = s->counts + i * s->units};
        struct traj_intent intent;
        assert_int_equal(traj_pipeline_frame(pipeline, &frame, (double)NAN, &intent, NULL),
                         TRAJ_DECODED);
        (void)sink(written, &intent);
    }
    free(event);
    free(pipeline_memory);
    free(decoder_memory);
}

static void it_equals_the_pipeline_driven_by_hand(void **state)
{
    struct written *written = *state;
    struct tiny_model tiny;
    struct traj_session *s = make_session(TINY_UNITS, false);
    tiny_model_init(&tiny);
    tiny_model_add_plan(&tiny);
    decode(&tiny, s, true, &written[0]);
    assert_int_equal(written[0].count, BINS);
    drive_by_hand(&tiny, s, &written[1]);
    assert_same(&written[0], &written[1]);
    assert_non_null(strstr(written[0].line[0], "\"flags\":[\"reset\"]"));
    assert_non_null(strstr(written[0].line[40], "\"flags\":[\"gap\"]"));
    assert_non_null(strstr(written[0].line[41], "\"state\":\"plan\""));
    assert_non_null(strstr(written[0].line[45], "\"state\":\"move\""));
    /* Once more gives the same bytes; without trials other ones. */
    decode(&tiny, s, true, &written[1]);
    assert_same(&written[0], &written[1]);
    decode(&tiny, s, false, &written[1]);
    assert_int_equal(written[1].count, BINS);
    assert_string_not_equal(written[0].line[60], written[1].line[60]);
    traj_session_free(s);
}

static void the_future_is_not_seen(void **state)
{
    struct written *written = *state;
    struct tiny_model tiny;
    struct traj_session *s = make_session(TINY_UNITS, false);
    tiny_model_init(&tiny);
    decode(&tiny, s, true, &written[0]);
    /* Cut after 50 frames, the second trial's stop moved: the same 50 intents. */
    s->bins = 50;
    s->trials = 2;
    s->stop[1] = 77;
    decode(&tiny, s, true, &written[1]);
    assert_int_equal(written[1].count, 50);
    written[0].count = 50;
    assert_same(&written[0], &written[1]);
    s->bins = BINS;
    s->trials = 3;
    traj_session_free(s);
}

/* Smoothing waits for the end, publishes the same frames, and adds nothing to the last one. */
static void smoothing_knows_the_future(void **state)
{
    struct written *written = *state;
    struct tiny_model tiny;
    struct traj_error error = {""};
    tiny_model_init(&tiny);
    struct traj_session *s = make_session(TINY_UNITS, false);
    const struct traj_decode_options options = {.trials = true, .smooth = true};
    decode(&tiny, s, true, &written[0]);
    written[1].count = 0;
    assert_int_equal(traj_decode(&tiny.model, s, &options, sink, &written[1], NULL, &error), 0);
    assert_int_equal(written[1].count, written[0].count);
    size_t changed = 0;
    for (size_t i = 0; i < written[0].count; i++) {
        const char *filtered = written[0].line[i], *smoothed = written[1].line[i];
        const size_t head = (size_t)(strstr(filtered, "\"position\"") - filtered);
        const size_t mean = (size_t)(strstr(filtered, "\"position_cov\"") - filtered);
        assert_memory_equal(filtered, smoothed, head); /* seq, frame, t */
        assert_non_null(strstr(smoothed, "\"smoothed\"]"));
        changed += strncmp(filtered, smoothed, mean) != 0;
        if (i + 1 == written[0].count)
            assert_memory_equal(filtered, smoothed, mean);
    }
    printf("smoothing changes %zu of %zu frames\n", changed, written[0].count);
    assert_true(changed > written[0].count / 2);
    traj_session_free(s);
}

static void kinematics_are_never_read(void **state)
{
    struct written *written = *state;
    struct tiny_model tiny;
    struct traj_session *s = make_session(TINY_UNITS, false);
    struct traj_error error = {""};
    assert_int_equal(traj_session_make_targets(s, 2, 2, &error), 0);
    tiny_model_init(&tiny);
    decode(&tiny, s, true, &written[0]);
    /* Samples are announced where there are none: reading one would be a crash. */
    s->samples = 1000;
    s->dim = 2;
    int32_t target[] = {1, 0, 1};
    s->target = target;
    decode(&tiny, s, true, &written[1]);
    assert_same(&written[0], &written[1]);
    s->samples = 0;
    s->target = NULL;
    traj_session_free(s);
}

static void units_are_matched_by_name(void **state)
{
    struct written *written = *state;
    struct tiny_model tiny;
    tiny_model_init(&tiny);
    tiny_model_name_units(&tiny);
    struct traj_session *s = make_session(TINY_UNITS, true);
    for (size_t n = 0; n < TINY_UNITS; n++)
        (void)snprintf(s->unit_name[n], TRAJ_ID_SIZE, "u%zu", n);
    decode(&tiny, s, true, &written[0]);

    /* The same units in another order, between two that the model does not know. */
    struct traj_session *other = make_session(7, true);
    const size_t place[TINY_UNITS] = {5, 3, 1, 6, 2};
    (void)strcpy(other->unit_name[0], "stranger");
    (void)strcpy(other->unit_name[4], "u00");
    for (size_t n = 0; n < TINY_UNITS; n++) {
        (void)snprintf(other->unit_name[place[n]], TRAJ_ID_SIZE, "u%zu", n);
        for (size_t i = 0; i < BINS; i++)
            other->counts[7 * i + place[n]] = s->counts[TINY_UNITS * i + n];
    }
    decode(&tiny, other, true, &written[1]);
    assert_same(&written[0], &written[1]);

    /* A unit that the session lacks is one that was not observed. */
    (void)strcpy(other->unit_name[place[2]], "renamed");
    decode(&tiny, other, true, &written[1]);
    for (size_t i = 0; i < BINS; i++)
        s->counts[TINY_UNITS * i + 2] = TRAJ_COUNT_MISSING;
    decode(&tiny, s, true, &written[0]);
    assert_same(&written[0], &written[1]);
    traj_session_free(other);
    traj_session_free(s);
}

static void refused(const struct tiny_model *tiny, const struct traj_session *s,
                    const struct traj_decode_options *options, struct written *written,
                    const char *sentence)
{
    struct traj_error error = {""};
    written->count = 0;
    assert_int_equal(traj_decode(&tiny->model, s, options, sink, written, NULL, &error), -1);
    assert_non_null(strstr(error.text, sentence));
    assert_int_equal(written->count, 0);
}

static void what_does_not_fit_is_refused_in_a_sentence(void **state)
{
    struct written *written = *state;
    struct tiny_model tiny;
    struct traj_decode_options options = {.trials = true};
    tiny_model_init(&tiny);
    struct traj_session *s = make_session(4, true);
    refused(&tiny, s, &options, written, "tuesday.h5: /frames/counts has 4 units, the model 5");
    tiny_model_name_units(&tiny);
    refused(&tiny, s, &options, written, "tuesday.h5: /frames/unit_name: no unit in common");
    s->bins = 0;
    refused(&tiny, s, &options, written, "tuesday.h5: has no /frames");
    traj_session_free(s);

    s = make_session(TINY_UNITS, false);
    struct traj_pipeline_settings settings;
    traj_pipeline_settings_default(&settings);
    settings.gap_reset_s = -2;
    options.pipeline = &settings;
    refused(&tiny, s, &options, written, "gap_reset_s");
    options.pipeline = NULL;
    tiny.component_prior[0] = -1;
    refused(&tiny, s, &options, written, "model: ");
    traj_session_free(s);
}

static void a_sink_may_end_the_run(void **state)
{
    struct written *written = *state;
    struct tiny_model tiny;
    struct traj_session *s = make_session(TINY_UNITS, false);
    struct traj_decode_options options = {.trials = true};
    struct traj_counters counters;
    struct traj_error error = {""};
    tiny_model_init(&tiny);
    written->stop_at = 7;
    assert_int_equal(traj_decode(&tiny.model, s, &options, sink, written, &counters, &error), 5);
    assert_int_equal(written->count, 7);
    assert_int_equal(counters.decoded, 7);
    traj_session_free(s);
}

static void a_frame_that_is_refused_gives_no_intent(void **state)
{
    struct written *written = *state;
    struct tiny_model tiny;
    struct traj_session *s = make_session(TINY_UNITS, false);
    struct traj_decode_options options = {.trials = true};
    struct traj_counters counters;
    struct traj_error error = {""};
    tiny_model_init(&tiny);
    s->counts[TINY_UNITS * 10 + 3] = 2000;
    assert_int_equal(traj_decode(&tiny.model, s, &options, sink, written, &counters, &error), 0);
    assert_int_equal(written->count, BINS - 1);
    assert_int_equal(counters.received, BINS);
    assert_int_equal(counters.refused[TRAJ_REFUSED_COUNTS], 1);
    assert_int_equal(counters.event[TRAJ_EVENT_TRIAL_START], 3);
    assert_int_equal(counters.events_late, 0);
    traj_session_free(s);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(it_equals_the_pipeline_driven_by_hand),
        TEST(the_future_is_not_seen),
        TEST(smoothing_knows_the_future),
        TEST(kinematics_are_never_read),
        TEST(units_are_matched_by_name),
        TEST(what_does_not_fit_is_refused_in_a_sentence),
        TEST(a_sink_may_end_the_run),
        TEST(a_frame_that_is_refused_gives_no_intent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
