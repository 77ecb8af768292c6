/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The recorded session in memory: what is refused, how it is cut, and looking kinematics up by
 * time.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "daemon/learn/session.h"

/*
 * 20 bins of 0.1 s, 2 units; samples at 0.05 s with a hole between 1.0 and 1.6 s; 3 trials; 2
 * targets.
 */
static struct traj_session *example(void)
{
    struct traj_error error = {{0}};
    struct traj_session *s = traj_session_new("example");
    assert_non_null(s);
    assert_int_equal(traj_session_make_frames(s, 20, 2, 1, TRAJ_SESSION_UNIT_NAME, &error), 0);
    for (size_t i = 0; i < 20; i++) {
        s->t_end[i] = 0.1 * (double)(i + 1);
        s->dt[i] = 0.1;
        s->counts[2 * i] = (uint16_t)i;
        s->feature[i] = (float)i;
    }
    strcpy(s->unit_name[0], "a");
    strcpy(s->unit_name[1], "b");
    assert_int_equal(traj_session_make_kinematics(s, 29, 2, 0, &error), 0);
    for (size_t i = 0; i < 29; i++) {
        double t = 0.05 * (double)i;
        t = i > 20 ? t + 0.55 : t;
        s->kin_t[i] = t;
        s->position[2 * i] = 10.0 * t;
        s->position[2 * i + 1] = t * t;
    }
    assert_int_equal(traj_session_make_trials(s, 3, TRAJ_SESSION_GO | TRAJ_SESSION_TARGET, &error),
                     0);
    for (size_t r = 0; r < 3; r++) {
        s->start[r] = 0.6 * (double)r;
        s->stop[r] = s->start[r] + 0.5;
        s->target[r] = (int32_t)r - 1;
    }
    assert_int_equal(traj_session_make_targets(s, 2, 2, &error), 0);
    strcpy(s->length_unit, "mm");
    return s;
}

static void test_error_keeps_the_first_sentence(void **state)
{
    (void)state;
    struct traj_error error = {{0}};
    assert_int_equal(traj_error_set(&error, "%s: %d", "first", 1), -1);
    assert_int_equal(traj_error_set(&error, "second"), -1);
    assert_string_equal(error.text, "first: 1");
    assert_int_equal(traj_error_set(NULL, "nobody asks"), -1);
}

struct fault {
    const char *sentence;
    void (*make)(struct traj_session *s);
};

static void no_content(struct traj_session *s)
{
    s->bins = s->samples = 0;
}
static void time_back(struct traj_session *s)
{
    s->t_end[7] = s->t_end[6];
}
static void time_nan(struct traj_session *s)
{
    s->t_end[0] = NAN;
}
static void width_zero(struct traj_session *s)
{
    s->dt[3] = 0.0;
}
static void width_nan(struct traj_session *s)
{
    s->dt[4] = NAN;
}
static void feature_infinite(struct traj_session *s)
{
    s->feature[5] = INFINITY;
}
static void no_counts(struct traj_session *s)
{
    s->units = s->features = 0;
}
static void name_twice(struct traj_session *s)
{
    strcpy(s->unit_name[1], "a");
}
static void name_empty(struct traj_session *s)
{
    s->unit_name[1][0] = '\0';
}
static void name_latin(struct traj_session *s)
{
    strcpy(s->unit_name[0], "\xe9lan");
}
static void name_overlong(struct traj_session *s)
{
    strcpy(s->unit_name[0], "\xc0\xaf");
}
static void name_control(struct traj_session *s)
{
    strcpy(s->unit_name[0], "a\nb");
}
static void name_unended(struct traj_session *s)
{
    memset(s->unit_name[0], 'x', TRAJ_ID_SIZE);
}
static void sample_back(struct traj_session *s)
{
    s->kin_t[3] = 0.0;
}
static void position_nan(struct traj_session *s)
{
    s->position[9] = NAN;
}
static void unit_missing(struct traj_session *s)
{
    s->length_unit[0] = '\0';
}
static void start_back(struct traj_session *s)
{
    s->start[2] = s->start[1];
}
static void stop_early(struct traj_session *s)
{
    s->stop[1] = s->start[1];
}
static void trials_in_ms(struct traj_session *s)
{
    for (size_t r = 0; r < s->trials; r++) {
        s->start[r] = 1e3 * s->start[r] + 100.0;
        s->stop[r] = s->start[r] + 500.0;
    }
}
static void trials_before(struct traj_session *s)
{
    for (size_t r = 0; r < s->trials; r++) {
        s->start[r] -= 9.0;
        s->stop[r] -= 9.0;
    }
}
static void go_infinite(struct traj_session *s)
{
    s->go[2] = -INFINITY;
}
static void target_beyond(struct traj_session *s)
{
    s->target[2] = 2;
}
static void target_below(struct traj_session *s)
{
    s->target[0] = -2;
}
static void target_flat(struct traj_session *s)
{
    s->target_dim = 1;
}
static void target_nan(struct traj_session *s)
{
    s->target_position[3] = NAN;
}
static void target_same(struct traj_session *s)
{
    strcpy(s->target_id[1], "0");
}

static const struct fault faults[] = {
    {"example: holds neither /frames nor /kinematics", no_content},
    {"example: /frames/t_end[7] = 0.7 is not later than /frames/t_end[6] = 0.7", time_back},
    {"example: /frames/t_end[0] is not finite", time_nan},
    {"example: /frames/dt[3] = 0 is not a positive width", width_zero},
    {"example: /frames/dt[4] = nan is not a positive width", width_nan},
    {"example: /frames/features[5, 0] is infinite", feature_infinite},
    {"example: /frames has neither counts nor features", no_counts},
    {"example: /frames/unit_name: the name \"a\" stands there twice", name_twice},
    {"example: /frames/unit_name[1] is empty", name_empty},
    {"example: /frames/unit_name[0] is not UTF-8 of at most 31 bytes without control characters",
     name_latin},
    {"example: /frames/unit_name[0] is not UTF-8 of at most 31 bytes without control characters",
     name_overlong},
    {"example: /frames/unit_name[0] is not UTF-8 of at most 31 bytes without control characters",
     name_control},
    {"example: /frames/unit_name[0] is not UTF-8 of at most 31 bytes without control characters",
     name_unended},
    {"example: /kinematics/t[3] = 0 is not later than /kinematics/t[2] = 0.1", sample_back},
    {"example: /kinematics/position[4, 1] is not finite", position_nan},
    {"example: attribute length_unit is missing but positions have lengths", unit_missing},
    {"example: /trials/start[2] = 0.6 is not later than /trials/start[1] = 0.6", start_back},
    {"example: /trials/stop[1] = 0.6 is not later than /trials/start[1] = 0.6", stop_early},
    {"example: no trial overlaps the frames: /trials/start begins at 100 s, and the frames run "
     "from 0 to 2 s; all times must be in seconds of one clock",
     trials_in_ms},
    {"example: no trial overlaps the frames: /trials/start begins at -9 s, and the frames run "
     "from 0 to 2 s; all times must be in seconds of one clock",
     trials_before},
    {"example: /trials/go[2] is infinite", go_infinite},
    {"example: /trials/target[2] = 2 is neither -1 nor a row of /targets/position, which has 2",
     target_beyond},
    {"example: /trials/target[0] = -2 is neither -1 nor a row of /targets/position, which has 2",
     target_below},
    {"example: /targets/position has 1 columns but /kinematics/position has 2", target_flat},
    {"example: /targets/position[1, 1] is not finite", target_nan},
    {"example: /targets/id: the name \"0\" stands there twice", target_same},
};

static void test_check_names_what_is_wrong(void **state)
{
    (void)state;
    struct traj_session *good = example();
    struct traj_error none = {{0}};
    assert_int_equal(traj_session_check(good, &none), 0);
    assert_string_equal(none.text, "");
    traj_session_free(good);
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) {
        struct traj_session *s = example();
        struct traj_error error = {{0}};
        faults[i].make(s);
        assert_int_equal(traj_session_check(s, &error), -1);
        assert_string_equal(error.text, faults[i].sentence);
        traj_session_free(s);
    }
    print_message("%zu faults, each refused by its own sentence\n", sizeof faults / sizeof *faults);
}

static void test_sizes_beyond_the_limits_are_refused(void **state)
{
    (void)state;
    struct traj_session *s = traj_session_new("big");
    struct traj_error a = {{0}}, b = {{0}}, c = {{0}}, d = {{0}};
    assert_int_equal(traj_session_make_frames(s, 1, TRAJ_UNITS_MAX + 1, 0, 0, &a), -1);
    assert_string_equal(a.text, "big: /frames/counts: 8193 units, at most 8192 are possible");
    assert_int_equal(traj_session_make_kinematics(s, 1, 17, 0, &b), -1);
    assert_string_equal(b.text, "big: /kinematics/position: 17 columns, 1 to 16 are possible");
    assert_int_equal(traj_session_make_targets(s, 257, 2, &c), -1);
    assert_string_equal(c.text, "big: /targets/position: 257 targets, at most 256 are possible");
    assert_int_equal(traj_session_make_trials(s, SIZE_MAX / 4, 0, &d), -1);
    assert_non_null(strstr(d.text, "big: /trials/start: no memory"));
    traj_session_free(s);
    traj_session_free(NULL);
}

static void test_trial_at(void **state)
{
    (void)state;
    struct traj_session *s = example();
    const size_t none = (size_t)-1;
    assert_true(traj_session_trial_at(s, 0.0) == none); /* a bin that ends at start came before */
    assert_true(traj_session_trial_at(s, 0.05) == 0);
    assert_true(traj_session_trial_at(s, 0.5) == 0);
    assert_true(traj_session_trial_at(s, 0.5 + 5e-7) == 0);
    assert_true(traj_session_trial_at(s, 0.55) == none);
    assert_true(traj_session_trial_at(s, 0.6 + 5e-7) == none);
    assert_true(traj_session_trial_at(s, 1.0) == 1);
    assert_true(traj_session_trial_at(s, 1.7) == 2);
    assert_true(traj_session_trial_at(s, 99.0) == none);
    assert_true(traj_session_trial_at(s, NAN) == none);
    traj_session_free(s);
}

static void test_kinematics_between_and_beside_samples(void **state)
{
    (void)state;
    struct traj_session *s = example();
    double p[2], v[2];
    assert_int_equal(traj_session_kinematics(s, 0.525, 0.05, p, v), 0);
    assert_true(fabs(p[0] - 5.25) < 1e-12 && fabs(p[1] - 0.5 * (0.25 + 0.3025)) < 1e-12);
    assert_true(fabs(v[0] - 10.0) < 1e-9 && fabs(v[1] - 2.0 * 0.525) < 1e-9);
    /* A little outside either end of a run the line goes on; far outside there is nothing. */
    assert_int_equal(traj_session_kinematics(s, 1.04, 0.05, p, v), 0);
    assert_true(fabs(p[0] - 10.4) < 1e-9 && fabs(v[0] - 10.0) < 1e-9);
    assert_true(fabs(v[1] - (1.0 - 0.95 * 0.95) / 0.05) < 1e-9);
    assert_int_equal(traj_session_kinematics(s, 1.5, 0.05, p, v), 0);
    assert_true(fabs(p[0] - 15.0) < 1e-9);
    assert_int_equal(traj_session_kinematics(s, -0.1, 0.05, p, NULL), 0);
    assert_true(fabs(p[0] + 1.0) < 1e-9);
    assert_int_equal(traj_session_kinematics(s, 1.2, 0.05, p, v), -1);
    assert_int_equal(traj_session_kinematics(s, 1.42, 0.05, p, v), -1);
    assert_int_equal(traj_session_kinematics(s, -0.2, 0.05, p, v), -1);
    assert_int_equal(traj_session_kinematics(s, NAN, 0.05, p, v), -1);
    assert_int_equal(traj_session_kinematics(s, 1e9, 0.05, NULL, NULL), -1);
    traj_session_free(s);
}

static void test_kinematics_prefers_recorded_velocity(void **state)
{
    (void)state;
    struct traj_error error = {{0}};
    struct traj_session *s = traj_session_new("v");
    double p[1], v[1];
    assert_int_equal(traj_session_make_kinematics(s, 3, 1, TRAJ_SESSION_VELOCITY, &error), 0);
    for (size_t i = 0; i < 3; i++) {
        s->kin_t[i] = 0.1 * (double)i;
        s->velocity[i] = (double)(i * i);
    }
    assert_int_equal(traj_session_kinematics(s, 0.15, 0.05, p, v), 0);
    assert_true(fabs(v[0] - 2.5) < 1e-9);
    assert_int_equal(traj_session_kinematics(s, 0.25, 0.05, p, v), 0);
    assert_true(fabs(v[0] - 4.0) < 1e-9); /* held, not carried on */
    assert_int_equal(traj_session_kinematics(s, -0.05, 0.05, p, v), 0);
    assert_true(fabs(v[0]) < 1e-9);
    traj_session_free(s);
}

static void test_lone_sample(void **state)
{
    (void)state;
    struct traj_error error = {{0}};
    struct traj_session *s = traj_session_new("lone");
    double p[1], v[1];
    assert_int_equal(traj_session_make_kinematics(s, 1, 1, 0, &error), 0);
    s->position[0] = 3.0;
    assert_int_equal(traj_session_kinematics(s, 0.0, 0.05, p, NULL), 0);
    assert_true(fabs(p[0] - 3.0) < 1e-12);
    assert_int_equal(traj_session_kinematics(s, 0.0, 0.05, p, v), -1);
    assert_int_equal(traj_session_kinematics(s, 0.1, 0.05, p, NULL), -1);
    traj_session_free(s);
}

static void test_cut_keeps_what_lies_inside(void **state)
{
    (void)state;
    struct traj_session *s = example();
    struct traj_error error = {{0}};
    /* Two spans that touch: the bin and the sample at 0.6 s must appear once. */
    const struct traj_span span[] = {{0.3, 0.6}, {0.6, 1.1}};
    struct traj_session *c = traj_session_cut(s, span, 2, &error);
    assert_non_null(c);
    assert_int_equal(traj_session_check(c, &error), 0);
    assert_true(c->bins == 8);
    assert_true(c->counts[0] == 3 && c->counts[2 * 7] == 10 && c->feature[7] == 10.0f);
    assert_true(fabs(c->t_end[0] - 0.4) < 1e-12 && fabs(c->t_end[7] - 1.1) < 1e-12);
    assert_true(c->samples == 15);
    assert_true(fabs(c->kin_t[0] - 0.3) < 1e-12 && fabs(c->kin_t[14] - 1.0) < 1e-12);
    assert_true(c->trials == 1 && c->target[0] == 0 && isnan(c->go[0]));
    assert_true(c->targets == 2);
    assert_string_equal(c->unit_name[1], "b");
    assert_string_equal(c->path, "example");
    traj_session_free(c);
    traj_session_free(s);
}

static void test_cut_away_everything(void **state)
{
    (void)state;
    struct traj_session *s = example();
    struct traj_error error = {{0}};
    const struct traj_span far_off = {50.0, 60.0};
    struct traj_session *c = traj_session_cut(s, &far_off, 1, &error);
    assert_non_null(c);
    assert_true(c->bins == 0 && c->samples == 0 && c->trials == 0 && c->units == 2);
    traj_session_free(c);
    c = traj_session_cut(s, NULL, 0, &error);
    assert_non_null(c);
    assert_true(c->bins == 0);
    traj_session_free(c);
    const struct traj_span back[] = {{1.0, 2.0}, {1.5, 3.0}};
    assert_null(traj_session_cut(s, back, 2, &error));
    assert_string_equal(error.text,
                        "example: span 1 (1.5 to 3 s) does not follow the one before it");
    traj_session_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_error_keeps_the_first_sentence),
        cmocka_unit_test(test_check_names_what_is_wrong),
        cmocka_unit_test(test_sizes_beyond_the_limits_are_refused),
        cmocka_unit_test(test_trial_at),
        cmocka_unit_test(test_kinematics_between_and_beside_samples),
        cmocka_unit_test(test_kinematics_prefers_recorded_velocity),
        cmocka_unit_test(test_lone_sample),
        cmocka_unit_test(test_cut_keeps_what_lies_inside),
        cmocka_unit_test(test_cut_away_everything),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
