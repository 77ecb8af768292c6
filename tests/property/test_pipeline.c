/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Properties of parser, pipeline and estimator together, over made-up streams of messages:
 *   - received = decoded + late + duplicate + invalid after every message, whatever it is;
 *   - duplicates, late frames, malformed ones, copies of events leave every intent's bytes alone;
 *   - JSON and binary frames of the same numbers give the same intents;
 *   - the order in which events arrive does not matter as long as they are in time;
 *   - a pause leaves the estimator as if it had never been.
 * The seed is TRAJ_SEED, else 1.
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

#include "daemon/core/pipeline.h"
#include "tests/common/tiny_model.h"

enum { MESSAGES = 4000, BODY = 1024, LINE = 4096, FRAMES = 400, ROUNDS = 6 };

struct message {
    bool is_event;
    bool opens;   /* a session event: nothing older may be repeated after it */
    uint64_t seq; /* of a frame */
    size_t size;
    unsigned char body[BODY];
};

struct stream {
    size_t count;
    struct message message[MESSAGES];
};

struct lines {
    size_t count;
    char line[MESSAGES][LINE];
};

/* Everything that a run needs, made once. */
struct world {
    struct tiny_model tiny;
    void *decoder_memory, *pipeline_memory;
    struct traj_pipeline *pipeline;
    struct traj_event event;
    struct stream base, other;
    struct lines expected, found;
    uint64_t seed;
};

/* --- messages --------------------------------------------------------------------------------- */

static struct message *add(struct stream *stream)
{
    assert_true(stream->count < MESSAGES);
    struct message *message = &stream->message[stream->count++];
    memset(message, 0, sizeof *message);
    return message;
}

static void add_frame(struct stream *stream, uint64_t seq, double t, double dt, uint64_t salt,
                      bool json)
{
    uint16_t counts[TINY_UNITS];
    tiny_counts(salt, seq, counts);
    struct traj_frame frame = {
        .seq = seq, .t = t, .dt = dt, .device = seq, .units = TINY_UNITS, .counts = counts};
    struct message *message = add(stream);
    message->seq = seq;
    message->size = json ? traj_frame_write_json(&frame, (char *)message->body, BODY)
                         : traj_frame_write_binary(&frame, message->body, BODY);
    assert_true(message->size > 0);
}

static struct traj_event *new_event(struct world *w, enum traj_event_kind kind, double t)
{
    memset(&w->event, 0, sizeof w->event);
    w->event.kind = kind;
    w->event.t = t;
    return &w->event;
}

static void add_event(struct stream *stream, const struct traj_event *event)
{
    struct message *message = add(stream);
    message->is_event = true;
    message->opens = event->kind == TRAJ_EVENT_SESSION;
    message->size = traj_event_write(event, (char *)message->body, BODY);
    assert_true(message->size > 0);
}

static void add_session(struct world *w, struct stream *stream, bool marks)
{
    struct traj_event *event = new_event(w, TRAJ_EVENT_SESSION, (double)NAN);
    (void)strcpy(event->text, "run");
    event->marks = marks;
    add_event(stream, event);
}

/* An event of any kind that acts, at time t. */
static void add_any_event(struct world *w, struct stream *stream, double t)
{
    static const enum traj_event_kind kind[] = {TRAJ_EVENT_TRIAL_START,  TRAJ_EVENT_TRIAL_START,
                                                TRAJ_EVENT_GO,           TRAJ_EVENT_TRIAL_STOP,
                                                TRAJ_EVENT_TARGET_PRIOR, TRAJ_EVENT_GAZE};
    struct traj_event *event =
        new_event(w, kind[tiny_choice(&w->seed, sizeof kind / sizeof kind[0])], t);
    if (event->kind == TRAJ_EVENT_TARGET_PRIOR) {
        event->count = TINY_TARGETS;
        for (size_t m = 0; m < TINY_TARGETS; m++)
            event->value[m] = tiny_uniform(&w->seed);
    } else if (event->kind == TRAJ_EVENT_GAZE) {
        const double gaze[] = {200 * tiny_uniform(&w->seed) - 100,
                               200 * tiny_uniform(&w->seed) - 100,
                               900,
                               10,
                               10,
                               800};
        event->dim = TINY_DIM;
        event->count = 6;
        memcpy(event->value, gaze, sizeof gaze);
    }
    add_event(stream, event);
}

/* A source with gaps short and long, jitter, events in time and late, and restarts. */
static void make_base(struct world *w, struct stream *stream, bool restarts)
{
    uint64_t seq = tiny_random(&w->seed) % 1000;
    double t = 10 * tiny_uniform(&w->seed);
    stream->count = 0;
    add_session(w, stream, tiny_choice(&w->seed, 3) != 0);
    for (size_t i = 0; i < FRAMES; i++) {
        double last = t;
        uint64_t kind = tiny_random(&w->seed) % 100;
        uint64_t skipped = kind < 4 ? 1 + tiny_choice(&w->seed, 10) : 0;
        t += TINY_BIN * (1 + (double)skipped) + (kind == 50 ? 2 : 0);
        t += 0.1 * TINY_BIN * (tiny_uniform(&w->seed) - 0.5);
        if (tiny_choice(&w->seed, 12) == 0)
            add_any_event(w, stream, last + (t - last) * 0.9 * tiny_uniform(&w->seed) + 1e-5);
        if (tiny_choice(&w->seed, 60) == 0)
            add_any_event(w, stream, last - 0.05 * tiny_uniform(&w->seed));
        seq += 1 + skipped;
        add_frame(stream, seq, t, TINY_BIN, 5, tiny_choice(&w->seed, 2) == 0);
        if (restarts && tiny_choice(&w->seed, 150) == 0) {
            add_session(w, stream, tiny_choice(&w->seed, 2) == 0);
            seq = tiny_random(&w->seed) % 50;
            t = tiny_uniform(&w->seed);
        }
    }
}

/* --- running ---------------------------------------------------------------------------------- */

static void check_sums(const struct traj_counters *c)
{
    uint64_t refused = 0;
    uint64_t events = 0;
    for (size_t i = 0; i < TRAJ_REFUSALS; i++) {
        refused += c->refused[i];
        events += c->events_refused[i];
    }
    for (size_t i = 0; i < TRAJ_EVENT_KINDS; i++)
        events += c->event[i];
    assert_int_equal(c->received, c->decoded + c->late + c->duplicate + c->invalid);
    assert_int_equal(refused, c->invalid);
    assert_int_equal(events, c->events);
}

static void open_pipeline(struct world *w)
{
    size_t size = traj_decoder_size(&w->tiny.model.dims);
    struct traj_decoder *decoder;
    assert_int_equal(traj_decoder_init(w->decoder_memory, size, &w->tiny.model, NULL, &decoder),
                     TRAJ_OK);
    w->pipeline = traj_pipeline_init(w->pipeline_memory, traj_pipeline_size(), decoder, NULL);
    assert_non_null(w->pipeline);
}

/* One message as the daemon takes it; a decoded frame's intent is appended to lines. */
static enum traj_disposition take(struct world *w, const struct message *message,
                                  struct lines *lines)
{
    if (message->is_event) {
        enum traj_refusal refusal = traj_event_parse(message->body, message->size, &w->event, NULL);
        if (refusal != TRAJ_ACCEPTED)
            traj_pipeline_refuse_event(w->pipeline, refusal);
        else
            (void)traj_pipeline_event(w->pipeline, &w->event);
        return TRAJ_INVALID;
    }
    uint16_t counts[64];
    float feature[64];
    struct traj_frame frame = {
        .counts = counts, .feature = feature, .units_max = 64, .features_max = 64};
    enum traj_refusal refusal = traj_frame_parse(message->body, message->size, &frame, NULL);
    if (refusal != TRAJ_ACCEPTED) {
        traj_pipeline_refuse_frame(w->pipeline, refusal);
        return TRAJ_INVALID;
    }
    struct traj_intent intent;
    enum traj_disposition disposition =
        traj_pipeline_frame(w->pipeline, &frame, (double)NAN, &intent, &refusal);
    if (disposition == TRAJ_DECODED)
        assert_true(traj_intent_write(&intent, lines->line[lines->count++], LINE) > 0);
    return disposition;
}

static void run(struct world *w, const struct stream *stream, struct lines *lines)
{
    open_pipeline(w);
    lines->count = 0;
    for (size_t i = 0; i < stream->count; i++) {
        (void)take(w, &stream->message[i], lines);
        check_sums(traj_pipeline_counters(w->pipeline));
    }
}

static void assert_same(const struct lines *a, const struct lines *b)
{
    assert_int_equal(a->count, b->count);
    for (size_t i = 0; i < a->count; i++)
        assert_string_equal(a->line[i], b->line[i]);
}

static int set_up(void **state)
{
    struct world *w = calloc(1, sizeof *w);
    assert_non_null(w);
    tiny_model_init(&w->tiny);
    tiny_model_add_plan(&w->tiny);
    w->decoder_memory = malloc(traj_decoder_size(&w->tiny.model.dims));
    w->pipeline_memory = malloc(traj_pipeline_size());
    assert_non_null(w->decoder_memory);
    assert_non_null(w->pipeline_memory);
    w->seed = tiny_seed();
    *state = w;
    return 0;
}

static int tear_down(void **state)
{
    struct world *w = *state;
    free(w->decoder_memory);
    free(w->pipeline_memory);
    free(w);
    return 0;
}

/* --- properties ------------------------------------------------------------------------------- */

/* A body that no parser takes: a good one cut short, or with a byte too many. */
static void add_broken(struct world *w, struct stream *stream, const struct message *good)
{
    struct message *message = add(stream);
    *message = *good;
    if (tiny_choice(&w->seed, 2) == 0)
        message->size = tiny_choice(&w->seed, good->size);
    else
        message->body[message->size++] = (unsigned char)tiny_random(&w->seed) | 0x80u;
}

/* A frame that is well formed and yet refused: other units, a count beyond belief, a wild dt. */
static void add_unfit(struct world *w, struct stream *stream, uint64_t seq, double t)
{
    uint16_t counts[TINY_UNITS + 1] = {0};
    struct traj_frame frame = {
        .seq = seq, .t = t, .dt = TINY_BIN, .units = TINY_UNITS, .counts = counts};
    size_t way = tiny_choice(&w->seed, 3);
    if (way == 0)
        frame.units = TINY_UNITS + 1;
    else if (way == 1)
        counts[3] = 40000;
    else
        frame.dt = 500;
    struct message *message = add(stream);
    message->size = traj_frame_write_binary(&frame, message->body, BODY);
}

/* What may come between message i and the next without changing any intent. */
static void add_noise(struct world *w, struct stream *noisy, const struct stream *base, size_t i,
                      size_t opened)
{
    const struct message *last = &base->message[i];
    size_t back = i - opened < 30 ? i - opened : 30;
    const struct message *old = &base->message[i - tiny_choice(&w->seed, back + 1)];
    switch (tiny_choice(&w->seed, 8)) {
    case 0:
    case 1:
        if (!old->opens)
            *add(noisy) = *old;
        break;
    case 2:
        add_broken(w, noisy, old);
        break;
    case 3:
        add_unfit(w, noisy, last->seq + 1, 1e6);
        break;
    case 4: /* late: a seq of long ago, or one that is ahead with a time that is past */
        if (!last->is_event)
            add_frame(noisy, last->seq + 7, -5, TINY_BIN, 77, true);
        break;
    case 5:
        if (!last->is_event && last->seq > 3)
            add_frame(noisy, last->seq - 3, -5, TINY_BIN, 77, false);
        break;
    default:
        break;
    }
}

static void noise_leaves_no_trace(void **state)
{
    struct world *w = *state;
    for (int round = 0; round < ROUNDS; round++) {
        make_base(w, &w->base, true);
        run(w, &w->base, &w->expected);
        assert_int_equal(w->expected.count, FRAMES);
        struct traj_counters plain = *traj_pipeline_counters(w->pipeline);
        w->other.count = 0;
        size_t opened = 0;
        for (size_t i = 0; i < w->base.count; i++) {
            *add(&w->other) = w->base.message[i];
            if (w->base.message[i].opens)
                opened = i;
            for (size_t k = tiny_choice(&w->seed, 4); k > 0; k--)
                add_noise(w, &w->other, &w->base, i, opened);
        }
        run(w, &w->other, &w->found);
        assert_same(&w->expected, &w->found);
        const struct traj_counters *c = traj_pipeline_counters(w->pipeline);
        printf("%zu messages, %zu with noise: %llu duplicate, %llu late, %llu invalid, "
               "%llu copies of events\n",
               w->base.count, w->other.count, (unsigned long long)c->duplicate,
               (unsigned long long)c->late, (unsigned long long)c->invalid,
               (unsigned long long)c->events_duplicate);
        assert_true(c->duplicate > 0 && c->late > 0 && c->invalid > 0 && c->events_duplicate > 0);
        assert_int_equal(c->gaps, plain.gaps);
        assert_int_equal(c->resets, plain.resets);
        assert_int_equal(c->events_late, plain.events_late);
    }
}

static void json_and_binary_say_the_same(void **state)
{
    struct world *w = *state;
    w->base.count = 0;
    w->other.count = 0;
    for (uint64_t i = 0; i < FRAMES; i++) {
        double t = 0.1 + TINY_BIN * (double)i + 0.001 * tiny_uniform(&w->seed);
        add_frame(&w->base, i, t, TINY_BIN, 9, true);
        add_frame(&w->other, i, t, TINY_BIN, 9, false);
    }
    run(w, &w->base, &w->expected);
    run(w, &w->other, &w->found);
    assert_int_equal(w->expected.count, FRAMES);
    assert_same(&w->expected, &w->found);
}

/* Events of different times come in any order, all of them well before they are due. */
static void arrival_of_events_does_not_matter(void **state)
{
    struct world *w = *state;
    for (int round = 0; round < ROUNDS; round++) {
        enum { EVENTS = 100 };
        w->base.count = 0;
        add_session(w, &w->base, true);
        for (size_t e = 0; e < EVENTS; e++)
            add_any_event(w, &w->base, 0.08 * (double)e + 0.05 * tiny_uniform(&w->seed));
        for (uint64_t i = 0; i < FRAMES; i++)
            add_frame(&w->base, i, TINY_BIN * (double)(i + 1), TINY_BIN, 11, false);
        run(w, &w->base, &w->expected);
        assert_int_equal(w->expected.count, FRAMES);
        w->other = w->base;
        for (size_t e = EVENTS; e > 1; e--) {
            size_t pick = 1 + tiny_choice(&w->seed, e);
            struct message swapped = w->other.message[e];
            w->other.message[e] = w->other.message[pick];
            w->other.message[pick] = swapped;
        }
        run(w, &w->other, &w->found);
        assert_same(&w->expected, &w->found);
    }
}

static void a_pause_is_as_if_it_had_never_been(void **state)
{
    struct world *w = *state;
    make_base(w, &w->base, false);
    run(w, &w->base, &w->expected);
    open_pipeline(w);
    w->found.count = 0;
    size_t different = 0;
    for (size_t i = 0; i < w->base.count; i++) {
        traj_pipeline_pause(w->pipeline, i % 20 < 7);
        if (take(w, &w->base.message[i], &w->found) != TRAJ_DECODED)
            continue;
        size_t k = w->found.count - 1;
        if (i % 20 >= 7)
            assert_string_equal(w->found.line[k], w->expected.line[k]);
        else
            different += strcmp(w->found.line[k], w->expected.line[k]) != 0;
    }
    assert_true(different > 100);
}

/* Near a place in the source, with a width that may be anything reasonable; now and then far on. */
static void add_any_frame(struct world *w, struct stream *stream, uint64_t seq, double t, bool json)
{
    double dt = 0.001 + 0.1 * tiny_uniform(&w->seed);
    seq += tiny_random(&w->seed) % 8;
    if (tiny_choice(&w->seed, 200) == 0)
        t += 1.5;
    add_frame(stream, seq, t, dt, 13, json);
}

/* Anything at all: random choices of seq and time, random kinds, broken bytes, commands. */
static void sums_hold_whatever_comes(void **state)
{
    struct world *w = *state;
    struct traj_intent_buffer *parsed = malloc(sizeof *parsed);
    assert_non_null(parsed);
    open_pipeline(w);
    size_t decoded = 0;
    for (int i = 0; i < 20000; i++) {
        w->base.count = 0;
        double t = 0.01 * i + 0.05 * tiny_uniform(&w->seed);
        size_t kind = tiny_choice(&w->seed, 40);
        if (kind == 0)
            add_session(w, &w->base, tiny_choice(&w->seed, 2) == 0);
        else if (kind < 8)
            add_any_event(w, &w->base, t);
        else if (kind == 8)
            traj_pipeline_reset(w->pipeline);
        else if (kind == 9)
            traj_pipeline_pause(w->pipeline, tiny_choice(&w->seed, 2) == 0);
        else
            add_any_frame(w, &w->base, (uint64_t)i / 2, t, kind % 2 == 0);
        if (w->base.count == 0)
            continue;
        if (kind % 7 == 1)
            add_broken(w, &w->base, &w->base.message[0]);
        for (size_t m = 0; m < w->base.count; m++) {
            w->found.count = 0;
            if (take(w, &w->base.message[m], &w->found) == TRAJ_DECODED) {
                decoded++;
                assert_int_equal(
                    traj_intent_parse(w->found.line[0], strlen(w->found.line[0]), parsed, NULL),
                    TRAJ_ACCEPTED);
                assert_true(parsed->intent.valid ==
                            ((parsed->intent.flags & TRAJ_INTENT_PAUSED) == 0));
            }
            check_sums(traj_pipeline_counters(w->pipeline));
        }
    }
    const struct traj_counters *c = traj_pipeline_counters(w->pipeline);
    printf("%llu received: %llu decoded, %llu late, %llu duplicate, %llu invalid; %llu resets\n",
           (unsigned long long)c->received, (unsigned long long)c->decoded,
           (unsigned long long)c->late, (unsigned long long)c->duplicate,
           (unsigned long long)c->invalid, (unsigned long long)c->resets);
    assert_int_equal(c->decoded, decoded);
    assert_true(c->decoded > 2000 && c->resets > 20);
    assert_true(c->decoded > 0 && c->late > 0 && c->duplicate > 0 && c->invalid > 0);
    assert_int_equal(c->recovered, 0);
    free(parsed);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(noise_leaves_no_trace),
        TEST(json_and_binary_say_the_same),
        TEST(arrival_of_events_does_not_matter),
        TEST(a_pause_is_as_if_it_had_never_been),
        TEST(sums_hold_whatever_comes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
