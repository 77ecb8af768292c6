/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The stream of a recorded session: which items come in which order.  An item is written as a word
 * (f0 for frame 0, start, go, stop, kin, label with its target) and the words are compared.
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

#include "daemon/learn/stream.h"

#define BIN 0.1

/* Frames that end at 1.1, 1.2, .. 2.0 with counts that tell bin and unit; trials as given. */
static struct traj_session *make_session(size_t trials, size_t samples)
{
    struct traj_error error = {""};
    struct traj_session *s = traj_session_new("some/where/monday.h5");
    assert_non_null(s);
    assert_int_equal(traj_session_make_frames(s, 10, 3, 1, 0, &error), 0);
    for (size_t i = 0; i < 10; i++) {
        s->t_end[i] = 1 + BIN * (double)(i + 1);
        s->dt[i] = BIN;
        for (size_t n = 0; n < 3; n++)
            s->counts[3 * i + n] = (uint16_t)(10 * i + n);
        s->feature[i] = 0.5F * (float)i;
    }
    if (trials > 0)
        assert_int_equal(
            traj_session_make_trials(
                s, trials, TRAJ_SESSION_GO | TRAJ_SESSION_REWARDED | TRAJ_SESSION_TARGET, &error),
            0);
    if (samples > 0)
        assert_int_equal(traj_session_make_kinematics(s, samples, 2, TRAJ_SESSION_VELOCITY, &error),
                         0);
    return s;
}

static void trial(struct traj_session *s, size_t r, double start, double go, double stop)
{
    s->start[r] = start;
    s->go[r] = go;
    s->stop[r] = stop;
    s->target[r] = (int32_t)r;
}

static void append(char *text, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void append(char *text, const char *format, ...)
{
    size_t length = strlen(text);
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(text + length, 1024 - length, format, arguments);
    va_end(arguments);
}

static void name_event(char *text, const struct traj_event *event)
{
    switch (event->kind) {
    case TRAJ_EVENT_SESSION:
        append(text, "session%d ", event->marks);
        break;
    case TRAJ_EVENT_TRIAL_START:
        append(text, "start ");
        break;
    case TRAJ_EVENT_GO:
        append(text, "go ");
        break;
    case TRAJ_EVENT_TRIAL_STOP:
        append(text, "stop ");
        break;
    case TRAJ_EVENT_KINEMATICS:
        append(text, "kin ");
        break;
    case TRAJ_EVENT_TRIAL_LABEL:
        append(text, "label%d ", (int)event->target);
        break;
    default:
        append(text, "other ");
        break;
    }
}

/* The words of a whole stream, of which frames before `from` are left out. */
static const char *words(const struct traj_session *s, const struct traj_stream_options *options,
                         size_t from)
{
    static char text[1024];
    text[0] = '\0';
    struct traj_error error = {""};
    struct traj_stream *stream = traj_stream_open(s, options, &error);
    assert_non_null(stream);
    const struct traj_frame *frame;
    const struct traj_event *event;
    enum traj_stream_item item;
    while ((item = traj_stream_next(stream, &frame, &event)) != TRAJ_STREAM_END) {
        if (item == TRAJ_STREAM_FRAME) {
            assert_null(event);
            if (frame->seq >= from)
                append(text, "f%llu ", (unsigned long long)frame->seq);
        } else {
            assert_null(frame);
            name_event(text, event);
        }
    }
    assert_int_equal(traj_stream_next(stream, &frame, &event), TRAJ_STREAM_END);
    traj_stream_close(stream);
    return text;
}

static void frames_come_as_recorded(void **state)
{
    (void)state;
    struct traj_session *s = make_session(0, 0);
    struct traj_error error = {""};
    struct traj_stream_options options = {.trials = true};
    struct traj_stream *stream = traj_stream_open(s, &options, &error);
    assert_non_null(stream);
    const struct traj_frame *frame;
    const struct traj_event *event;
    assert_int_equal(traj_stream_next(stream, &frame, &event), TRAJ_STREAM_EVENT);
    assert_int_equal(event->kind, TRAJ_EVENT_SESSION);
    assert_string_equal(event->text, "monday.h5");
    assert_false(event->marks); /* there are no trials that marks could come from */
    for (size_t i = 0; i < 10; i++) {
        assert_int_equal(traj_stream_next(stream, &frame, &event), TRAJ_STREAM_FRAME);
        assert_int_equal(frame->seq, i);
        assert_true(frame->t == s->t_end[i] && frame->dt == BIN && frame->device == 0);
        assert_int_equal(frame->units, 3);
        assert_int_equal(frame->features, 1);
        assert_memory_equal(frame->counts, s->counts + 3 * i, 3 * sizeof frame->counts[0]);
        assert_true(frame->feature[0] == s->feature[i]);
    }
    traj_stream_close(stream);
    traj_session_free(s);
}

static void units_are_mapped(void **state)
{
    (void)state;
    struct traj_session *s = make_session(0, 0);
    struct traj_error error = {""};
    const size_t map[] = {2, (size_t)-1, 0, 2};
    struct traj_stream_options options = {.unit_map = map, .units_out = 4};
    struct traj_stream *stream = traj_stream_open(s, &options, &error);
    assert_non_null(stream);
    const struct traj_frame *frame;
    const struct traj_event *event;
    (void)traj_stream_next(stream, &frame, &event);
    (void)traj_stream_next(stream, &frame, &event);
    (void)traj_stream_next(stream, &frame, &event);
    const uint16_t expected[] = {12, TRAJ_COUNT_MISSING, 10, 12};
    assert_int_equal(frame->units, 4);
    assert_memory_equal(frame->counts, expected, sizeof expected);
    traj_stream_close(stream);
    traj_session_free(s);
}

static void events_come_before_the_first_later_frame(void **state)
{
    (void)state;
    struct traj_session *s = make_session(2, 0);
    const struct traj_stream_options marks = {.trials = true};
    /* The first stop and the second start are the end of frame 4 itself. */
    trial(s, 0, 1.15, 1.35, s->t_end[4]);
    trial(s, 1, s->t_end[4], (double)NAN, 5);
    assert_string_equal(words(s, &marks, 0),
                        "session1 f0 start f1 f2 go f3 f4 stop start f5 f6 f7 f8 f9 stop ");
    /* A hair before the end of frame 4 is that end; a microsecond and more is not. */
    s->stop[0] = s->t_end[4] - 2e-7;
    s->start[1] = s->t_end[4] - 1e-7;
    assert_string_equal(words(s, &marks, 3),
                        "session1 start go f3 f4 stop start f5 f6 f7 f8 f9 stop ");
    s->stop[0] = s->t_end[4] - 6e-6;
    s->start[1] = s->t_end[4] - 5e-6;
    assert_string_equal(words(s, &marks, 3),
                        "session1 start go f3 stop start f4 f5 f6 f7 f8 f9 stop ");
    traj_session_free(s);
}

static void without_trials_no_mark_is_given(void **state)
{
    (void)state;
    struct traj_session *s = make_session(1, 0);
    trial(s, 0, 1.15, 1.35, 1.55);
    const struct traj_stream_options none = {.trials = false};
    assert_string_equal(words(s, &none, 8), "session0 f8 f9 ");
    traj_session_free(s);
}

static void equal_times_come_in_the_order_of_the_page(void **state)
{
    (void)state;
    struct traj_session *s = make_session(2, 3);
    trial(s, 0, 1.15, 1.35, 1.55);
    trial(s, 1, 1.55, 1.55, 1.75);
    s->kin_t[0] = 1.05;
    s->kin_t[1] = 1.55;
    s->kin_t[2] = 1.75;
    s->position[3] = -4;
    s->velocity[2] = 9;
    const struct traj_stream_options all = {.trials = true, .recordings = true};
    assert_string_equal(words(s, &all, 5), "session1 kin start go stop start go kin label0 f5 f6 "
                                           "stop kin label1 f7 f8 f9 ");
    const struct traj_stream_options labels = {.recordings = true};
    assert_string_equal(words(s, &labels, 5), "session0 kin kin label0 f5 f6 kin label1 f7 f8 f9 ");
    traj_session_free(s);
}

static void recordings_carry_what_the_session_has(void **state)
{
    (void)state;
    struct traj_session *s = make_session(1, 1);
    trial(s, 0, 1.01, 1.03, 1.05);
    s->rewarded[0] = 1;
    s->kin_t[0] = 1.02;
    s->position[0] = 1.5;
    s->position[1] = -4;
    s->velocity[0] = 9;
    s->velocity[1] = 8;
    struct traj_error error = {""};
    struct traj_stream_options options = {.recordings = true};
    struct traj_stream *stream = traj_stream_open(s, &options, &error);
    assert_non_null(stream);
    const struct traj_frame *frame;
    const struct traj_event *event;
    (void)traj_stream_next(stream, &frame, &event);
    (void)traj_stream_next(stream, &frame, &event);
    assert_int_equal(event->kind, TRAJ_EVENT_KINEMATICS);
    assert_string_equal(event->text, "");
    assert_true(event->t == 1.02 && event->dim == 2 && event->count == 4);
    assert_true(event->value[0] == 1.5 && event->value[1] == -4 && event->value[2] == 9 &&
                event->value[3] == 8);
    (void)traj_stream_next(stream, &frame, &event);
    assert_int_equal(event->kind, TRAJ_EVENT_TRIAL_LABEL);
    assert_true(event->t == 1.05 && event->go == 1.03 && event->rewarded == 1);
    assert_int_equal(event->target, 0);
    assert_int_equal(event->count, 0);
    traj_stream_close(stream);
    traj_session_free(s);
}

static void overlapping_trials_end_at_the_next_start(void **state)
{
    (void)state;
    struct traj_session *s = make_session(2, 0);
    /* The first would end, and go, inside the second. */
    trial(s, 0, 1.15, 1.65, 1.75);
    trial(s, 1, 1.35, 1.45, 1.95);
    const struct traj_stream_options all = {.trials = true, .recordings = true};
    assert_string_equal(
        words(s, &all, 0),
        "session1 f0 start f1 f2 stop start label0 f3 go f4 f5 f6 f7 f8 stop label1 f9 ");
    traj_session_free(s);
}

static void a_long_name_is_cut_between_characters(void **state)
{
    (void)state;
    char path[128] = "dir/";
    for (size_t i = 0; i < 40; i++)
        (void)strcat(path, "\xc3\xa9"); /* two bytes each */
    struct traj_session *s = traj_session_new(path);
    assert_non_null(s);
    struct traj_error error = {""};
    struct traj_stream_options options = {.trials = true};
    struct traj_stream *stream = traj_stream_open(s, &options, &error);
    assert_non_null(stream);
    const struct traj_frame *frame;
    const struct traj_event *event;
    assert_int_equal(traj_stream_next(stream, &frame, &event), TRAJ_STREAM_EVENT);
    assert_int_equal(strlen(event->text), 62);
    assert_int_equal(traj_stream_next(stream, &frame, &event), TRAJ_STREAM_END);
    traj_stream_close(stream);
    traj_session_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(frames_come_as_recorded),
        cmocka_unit_test(units_are_mapped),
        cmocka_unit_test(events_come_before_the_first_later_frame),
        cmocka_unit_test(without_trials_no_mark_is_given),
        cmocka_unit_test(equal_times_come_in_the_order_of_the_page),
        cmocka_unit_test(recordings_carry_what_the_session_has),
        cmocka_unit_test(overlapping_trials_end_at_the_next_start),
        cmocka_unit_test(a_long_name_is_cut_between_characters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
