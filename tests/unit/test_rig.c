/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Does the synthetic user control as theory says, and does a block measure what happened in it? */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <gsl/gsl_linalg.h>
#include <gsl/gsl_randist.h>

#include "clients/evaluate/regression.h"
#include "clients/rig/figures.h"
#include "clients/rig/regulator.h"
#include "clients/rig/scenario.h"
#include "clients/sim/course.h"

#define SEED 20261129ul

static gsl_rng *make_rng(void)
{
    gsl_rng *rng = gsl_rng_alloc(gsl_rng_mt19937);
    gsl_rng_set(rng, SEED);
    printf("seed %lu\n", SEED);
    return rng;
}

/* ---- the regulator --------------------------------------------------------------------------- */

/* x' = a x + b u. */
static void advance(const struct traj_linear *s, double u, double *x)
{
    double next[TRAJ_REGULATOR_STATES];
    for (size_t i = 0; i < s->states; i++) {
        next[i] = s->b[i] * u;
        for (size_t j = 0; j < s->states; j++) {
            next[i] += s->a[i * s->states + j] * x[j];
        }
    }
    memcpy(x, next, s->states * sizeof *x);
}

/* The best first input, by least squares over all inputs at once. */
static double best_first_input(const struct traj_linear *s, const double *end, double effort,
                               size_t steps, const double *x0)
{
    double left[TRAJ_REGULATOR_STATES], *response = calloc(steps * s->states, sizeof *response);
    gsl_matrix *h = gsl_matrix_calloc(steps, steps);
    gsl_vector *g = gsl_vector_calloc(steps), *u = gsl_vector_calloc(steps);
    memcpy(left, x0, s->states * sizeof *left);
    for (size_t k = 0; k < steps; k++) {
        advance(s, 0.0, left);
        double *r = response + k * s->states;
        for (size_t i = k; i < steps; i++) {
            advance(s, i == k ? 1.0 : 0.0, r);
        }
    }
    for (size_t k = 0; k < steps; k++) {
        for (size_t l = 0; l < steps; l++) {
            double sum = k == l ? effort : 0.0;
            for (size_t i = 0; i < s->states; i++) {
                sum += response[k * s->states + i] * end[i] * response[l * s->states + i];
            }
            gsl_matrix_set(h, k, l, sum);
        }
        for (size_t i = 0; i < s->states; i++) {
            *gsl_vector_ptr(g, k) -= response[k * s->states + i] * end[i] * left[i];
        }
    }
    assert_int_equal(gsl_linalg_cholesky_decomp1(h), 0);
    assert_int_equal(gsl_linalg_cholesky_solve(h, g, u), 0);
    double first = gsl_vector_get(u, 0);
    gsl_matrix_free(h);
    gsl_vector_free(g);
    gsl_vector_free(u);
    free(response);
    return first;
}

static void gains_are_those_of_least_squares(void **state)
{
    (void)state;
    gsl_rng *rng = make_rng();
    for (int trial = 0; trial < 20; trial++) {
        struct traj_linear s = {.states = 3};
        double end[3], gain[12][3], x[3], wanted = 0.0;
        for (size_t i = 0; i < 9; i++) {
            s.a[i] = gsl_ran_gaussian(rng, 0.6);
        }
        for (size_t i = 0; i < 3; i++) {
            s.b[i] = gsl_ran_gaussian(rng, 1.0);
            end[i] = 0.3 + gsl_rng_uniform(rng);
            x[i] = gsl_ran_gaussian(rng, 2.0);
        }
        traj_regulator_gains(&s, end, 0.37, 12, &gain[0][0]);
        for (size_t i = 0; i < 3; i++) {
            wanted -= gain[11][i] * x[i];
        }
        double best = best_first_input(&s, end, 0.37, 12, x);
        assert_true(fabs(best - wanted) < 1e-9 * (1.0 + fabs(best)));
    }
    gsl_rng_free(rng);
}

/* A random walk that is seen: P = (q + sqrt(q^2 + 4 q r)) / 2, gain P / (P + r). */
static void sight_of_a_random_walk_is_known(void **state)
{
    (void)state;
    const struct traj_linear walk = {.states = 1, .a = {1.0}};
    const double q = 2.385, r = 7.31;
    double gain, p = 0.5 * (q + sqrt(q * q + 4.0 * q * r));
    traj_regulator_sight(&walk, &q, &r, &gain);
    assert_true(fabs(gain - p / (p + r)) < 1e-9);
}

/* ---- the user -------------------------------------------------------------------------------- */

/*
 * Without delays and noise a reach is the minimum-jerk movement of that length and time, to within
 * what it moves in a bin.
 */
static void a_reach_is_one_of_minimum_jerk(void **state)
{
    (void)state;
    gsl_rng *rng = make_rng();
    struct traj_user_options o;
    traj_user_options_default(&o);
    o.sensory_delay_s = o.sight_noise = o.sight_velocity_noise = 0.0;
    o.motor_cv = o.motor_floor = 0.0;
    o.reaction_s[0] = o.reaction_s[1] = 0.0;
    o.correction_s = 0.02;
    o.duration_s = 0.8;
    const double centre[2] = {0.0, 0.0}, goal[2] = {60.0, -80.0};
    struct traj_user user;
    traj_user_init(&user, &o, 2, centre, rng);
    traj_user_aim(&user, goal, 10.0, TRAJ_GOAL_NEW);
    double p[2] = {0.0, 0.0}, v[2] = {0.0, 0.0};
    for (size_t k = 0; k < 40; k++) {
        struct traj_intention intention;
        traj_user_act(&user, p, v, &intention);
        for (size_t d = 0; d < 2; d++) {
            v[d] = intention.velocity[d];
            p[d] += o.bin_s * v[d];
        }
        double share = traj_sim_progress((double)(k + 1) / 40.0);
        assert_true(hypot(p[0] - share * goal[0], p[1] - share * goal[1]) < 1.9 * 100.0 / 40.0);
    }
    assert_true(hypot(p[0] - goal[0], p[1] - goal[1]) < 0.5);
    gsl_rng_free(rng);
}

static void a_user_learns_how_the_cursor_answers(void **state)
{
    (void)state;
    enum { BINS = 3000 };
    gsl_rng *rng = make_rng();
    static double u[BINS][2], w[BINS][2];
    for (size_t k = 1; k < BINS; k++) {
        for (size_t d = 0; d < 2; d++) {
            u[k][d] = 0.9 * u[k - 1][d] + gsl_ran_gaussian(rng, 30.0);
            w[k][d] = 0.7 * w[k - 1][d] + 0.3 * 1.4 * (k >= 6 ? u[k - 6][d] : 0.0) +
                      gsl_ran_gaussian(rng, 5.0);
        }
    }
    struct traj_belief belief = {.gain = 1.0};
    traj_belief_learn(&belief, &u[0][0], &w[0][0], BINS, 2, 15);
    assert_int_equal(belief.delay, 6);
    assert_true(fabs(belief.smoothing - 0.7) <= 0.05);
    assert_true(fabs(belief.gain - 1.4) < 0.05);
    assert_true(fabs(belief.noise - 5.0) < 0.5);
    gsl_rng_free(rng);
}

/* ---- blocks ---------------------------------------------------------------------------------- */

/* A simple decoder: velocity by ridge regression on counts that a leak of 100 ms has smoothed. */
#define LEAK 0.2
struct simple {
    size_t units, dim;
    double *smooth; /* [units + 1], the last one 1 */
    double *weight; /* [units + 1][dim] */
    size_t frames;
};

static void leak(struct simple *s, const uint16_t *counts)
{
    for (size_t n = 0; n < s->units; n++) {
        s->smooth[n] += LEAK * (counts[n] - s->smooth[n]);
    }
    s->smooth[s->units] = 1.0;
}

static void simple_learn(struct simple *s, const struct traj_session *session)
{
    struct traj_regression moments = {0};
    s->units = session->units;
    s->dim = session->dim;
    s->smooth = calloc(s->units + 1, sizeof *s->smooth);
    s->weight = calloc((s->units + 1) * s->dim, sizeof *s->weight);
    assert_int_equal(traj_regression_init(&moments, s->units + 1, s->dim), 0);
    for (size_t i = 0; i + 1 < session->bins; i++) {
        double velocity[TRAJ_RIG_DIM];
        leak(s, session->counts + i * s->units);
        assert_int_equal(traj_session_kinematics(session, session->t_end[i], 0.05, NULL, velocity),
                         0);
        traj_regression_add(&moments, s->smooth, velocity, 1);
    }
    assert_int_equal(traj_regression_solve(&moments, 1e-3, s->weight), 0);
    traj_regression_free(&moments);
}

static int simple_event(void *self, const struct traj_event *event, struct traj_error *error)
{
    static char text[65536];
    (void)self;
    return traj_event_write(event, text, sizeof text) > 0
               ? 0
               : traj_error_set(error, "no %s event can be written", traj_event_name(event->kind));
}

static int simple_frame(void *self, const struct traj_frame *frame, struct traj_answer *answer,
                        struct traj_error *error)
{
    struct simple *s = self;
    (void)error;
    leak(s, frame->counts);
    answer->valid = true;
    for (size_t d = 0; d < s->dim; d++) {
        answer->position[d] = NAN;
        answer->velocity[d] = 0.0;
        for (size_t n = 0; n <= s->units; n++) {
            answer->velocity[d] += s->weight[n * s->dim + d] * s->smooth[n];
        }
    }
    s->frames++;
    return 0;
}

/* Calibrates by hand for two minutes, then closes the loop. */
static void run_simple(const struct traj_block_options *options, struct traj_block *block)
{
    struct traj_block_options by_hand = *options;
    struct simple simple = {.frames = 0};
    struct traj_error error = {{0}};
    const struct traj_decoder_link link = {&simple, simple_event, simple_frame, NULL};
    by_hand.seconds = 120.0;
    by_hand.changes = 0;
    by_hand.block = 0;
    assert_int_equal(traj_block_run(&by_hand, NULL, block, &error), 0);
    simple_learn(&simple, block->session);
    traj_block_free(block);
    if (traj_block_run(options, &link, block, &error) != 0) {
        fail_msg("%s", error.text);
    }
    assert_int_equal(simple.frames, block->session->bins);
    assert_int_equal(traj_session_check(block->session, &error), 0);
    free(simple.smooth);
    free(simple.weight);
}

static struct traj_scenario scenario_of(const char *text)
{
    struct traj_scenario s;
    struct traj_error error = {{0}};
    traj_scenario_default(&s);
    if (traj_scenario_parse(&s, text, strlen(text), "test", &error) != 0) {
        fail_msg("%s", error.text);
    }
    s.block.seed = 3;
    s.block.block = 2;
    return s;
}

/* A user brings the cursor to targets, in the plane and in space, in all tasks. */
static void a_user_brings_the_cursor_to_targets(void **state)
{
    static const char *const text[] = {
        "{\"run\":{\"seconds\":90,\"practice_s\":40}}",
        "{\"run\":{\"seconds\":90,\"practice_s\":40},\"task\":{\"dim\":3,\"radius_mm\":20}}",
        "{\"run\":{\"seconds\":90,\"practice_s\":40},\"task\":{\"kind\":\"random\"}}",
        "{\"run\":{\"seconds\":90,\"practice_s\":40},\"task\":{\"kind\":\"jump\"}}",
        "{\"run\":{\"seconds\":90,\"practice_s\":40},\"task\":{\"kind\":\"via\"}}",
    };
    (void)state;
    for (size_t i = 0; i < sizeof text / sizeof *text; i++) {
        struct traj_scenario s = scenario_of(text[i]);
        struct traj_block block;
        double figure[TRAJ_FIGURES];
        run_simple(&s.block, &block);
        traj_figures_of(&block, &s.block, figure);
        printf("%s: %g of %g, %g s\n", text[i], figure[TRAJ_FIGURE_SUCCESS],
               figure[TRAJ_FIGURE_TRIALS], figure[TRAJ_FIGURE_TIME]);
        assert_true(figure[TRAJ_FIGURE_TRIALS] >= 8.0);
        assert_true(figure[TRAJ_FIGURE_SUCCESS] >= 0.6);
        traj_block_free(&block);
    }
}

static void a_drawn_figure_is_followed(void **state)
{
    (void)state;
    struct traj_scenario s =
        scenario_of("{\"run\":{\"seconds\":60,\"practice_s\":40},\"task\":{\"kind\":\"draw\"}}");
    struct traj_block by_hand, decoded;
    struct traj_error error = {{0}};
    assert_int_equal(traj_block_run(&s.block, NULL, &by_hand, &error), 0);
    run_simple(&s.block, &decoded);
    printf("off by %g by hand, by %g decoded\n", by_hand.tracking, decoded.tracking);
    assert_true(by_hand.tracking < 8.0);
    assert_true(decoded.tracking > by_hand.tracking);
    traj_block_free(&by_hand);
    traj_block_free(&decoded);
}

/* The same seed gives the same block; another one, another. */
static void the_same_seed_gives_the_same_block(void **state)
{
    (void)state;
    struct traj_scenario s =
        scenario_of("{\"run\":{\"seconds\":20,\"practice_s\":5,\"watch_s\":4},"
                    "\"population\":{\"mixed_share\":0.5,"
                    "\"dispersion\":0.5,\"burst_hz\":0.2},"
                    "\"changes\":[{\"kind\":\"silence\",\"at_s\":6,\"share\":0.25},"
                    "{\"kind\":\"gain\",\"at_s\":6,\"share\":0.25,\"size\":2},"
                    "{\"kind\":\"drift\",\"at_s\":8,\"size\":0.5}]}");
    struct traj_block a, b, c;
    run_simple(&s.block, &a);
    run_simple(&s.block, &b);
    s.block.seed = 4;
    run_simple(&s.block, &c);
    size_t values = a.session->bins * a.session->units;
    assert_memory_equal(a.session->counts, b.session->counts, values * sizeof *a.session->counts);
    assert_memory_equal(a.session->position, b.session->position,
                        a.session->samples * 2 * sizeof(double));
    assert_true(memcmp(a.session->counts, c.session->counts, values * sizeof *a.session->counts) !=
                0);
    traj_block_free(&a);
    traj_block_free(&b);
    traj_block_free(&c);
}

/* ---- figures --------------------------------------------------------------------------------- */

/* By hand: three trials, one of which failed after its limit of 4 s. */
static void figures_are_those_of_the_trials(void **state)
{
    (void)state;
    struct traj_trial_result trial[4] = {{.success = true, .time_to_target = 9.0, .distance = 1.0},
                                         {.success = true,
                                          .time_to_target = 0.5,
                                          .dial_in = 0.2,
                                          .path_efficiency = 0.8,
                                          .distance = 70.0},
                                         {.success = false, .distance = 70.0},
                                         {.success = true,
                                          .time_to_target = 1.5,
                                          .dial_in = 0.4,
                                          .path_efficiency = 0.6,
                                          .distance = 30.0}};
    struct traj_block block = {.trials = 4, .trial = trial, .counted = 1, .tracking = NAN};
    const struct traj_block_options options = {.task = {.radius = 5.0, .timeout_s = 4.0}};
    double figure[TRAJ_FIGURES];
    traj_figures_of(&block, &options, figure);
    assert_true(fabs(figure[TRAJ_FIGURE_SUCCESS] - 2.0 / 3.0) < 1e-12);
    assert_true(fabs(figure[TRAJ_FIGURE_TIME] - 1.5) < 1e-12);
    assert_true(fabs(figure[TRAJ_FIGURE_DIAL_IN] - 0.3) < 1e-12);
    assert_true(fabs(figure[TRAJ_FIGURE_EFFICIENCY] - 0.7) < 1e-12);
    /* log2(70 / 10 + 1) = 3 bits and log2(30 / 10 + 1) = 2 bits in 6 s */
    assert_true(fabs(figure[TRAJ_FIGURE_BITS] - 5.0 / 6.0) < 1e-12);
    assert_true(isnan(figure[TRAJ_FIGURE_TRACKING]));
}

/* By hand: two seconds of rest with one rise, two intents, one of which is noticed late. */
static void starts_are_counted_by_hand(void **state)
{
    (void)state;
    enum { BINS = 200 };
    float moving[BINS] = {0};
    bool active[BINS] = {false};
    struct traj_error error = {{0}};
    struct traj_session *session = traj_session_new("starts");
    struct traj_starts starts[TRAJ_STARTS];
    assert_int_equal(traj_session_make_frames(session, BINS, 1, 0, 0, &error), 0);
    for (size_t i = 0; i < BINS; i++) {
        session->dt[i] = 0.02;
        session->t_end[i] = 0.02 * (double)(i + 1);
        active[i] = (i >= 50 && i < 100) || i >= 150;
    }
    moving[20] = moving[21] = 0.6f; /* while nothing is intended */
    for (size_t i = 56; i < 104; i++) {
        moving[i] = 0.6f; /* 140 ms after the intent, and a little beyond its end */
    }
    struct traj_block block = {.session = session, .moving = moving, .active = active};
    traj_starts_of(&block, 4.01, starts);
    for (size_t i = 0; i < TRAJ_STARTS; i++) {
        bool seen = starts[i].threshold < 0.6;
        assert_true(fabs(starts[i].false_a_minute - (seen ? 60.0 / 1.96 : 0.0)) < 1e-6);
        assert_true(seen ? fabs(starts[i].delay - 0.14) < 1e-9 : isnan(starts[i].delay));
        assert_true(fabs(starts[i].missed - (seen ? 0.5 : 1.0)) < 1e-12);
    }
    traj_starts_of(&block, 1.01, starts); /* the first rest alone */
    assert_true(fabs(starts[0].false_a_minute - 60.0 / 0.98) < 1e-6);
    assert_true(isnan(starts[0].delay) && isnan(starts[0].missed));
    traj_session_free(session);
}

static void intervals_hold_their_value(void **state)
{
    (void)state;
    const double a[] = {1.0, 2.0, 3.0, 4.0, 2.5}, b[] = {2.0, 4.0, 6.0, 8.0, 5.0};
    struct traj_interval m = traj_interval_mean(a, 5), r = traj_interval_ratio(a, b, 5);
    assert_true(fabs(m.value - 2.5) < 1e-12 && m.low < 2.5 && m.high > 2.5);
    /* Drawn together, the ratio is the same in every draw. */
    assert_true(fabs(r.low - 0.5) < 1e-12 && fabs(r.high - 0.5) < 1e-12);
}

/* ---- scenarios ------------------------------------------------------------------------------- */

static void a_bad_scenario_is_refused_with_its_field(void **state)
{
    static const char *const bad[][2] = {
        {"{\"task\":{\"kind\":\"dance\"}}", "task.kind"},
        {"{\"task\":{\"targetz\":8}}", "task.targetz"},
        {"{\"task\":{\"targets\":8.5}}", "task.targets"},
        {"{\"task\":{\"radius_mm\":-1}}", "task.radius_mm"},
        {"{\"user\":{\"reaction_s\":[0.3,0.2]}}", "user.reaction_s"},
        {"{\"run\":{\"marks\":1}}", "run.marks"},
        {"{\"changes\":[{\"kind\":\"melt\",\"at_s\":1}]}", "changes.kind"},
        {"{\"changes\":[{\"kind\":\"gain\",\"at_s\":\"soon\"}]}", "changes.at_s"},
        {"{\"run\":{\"seconds\":50,\"practice_s\":50}}", "run.practice_s"},
        {"{\"run\":3}", "run"},
        {"{\"population\":{\"units\":0}}", "population.units"},
        {"{\"name\":", "test:1"},
        {"[]", "object"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct traj_scenario s;
        struct traj_error error = {{0}};
        traj_scenario_default(&s);
        assert_int_equal(traj_scenario_parse(&s, bad[i][0], strlen(bad[i][0]), "test", &error), -1);
        if (!strstr(error.text, bad[i][1])) {
            fail_msg("%s: %s", bad[i][0], error.text);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gains_are_those_of_least_squares),
        cmocka_unit_test(sight_of_a_random_walk_is_known),
        cmocka_unit_test(a_reach_is_one_of_minimum_jerk),
        cmocka_unit_test(a_user_learns_how_the_cursor_answers),
        cmocka_unit_test(a_user_brings_the_cursor_to_targets),
        cmocka_unit_test(a_drawn_figure_is_followed),
        cmocka_unit_test(the_same_seed_gives_the_same_block),
        cmocka_unit_test(figures_are_those_of_the_trials),
        cmocka_unit_test(starts_are_counted_by_hand),
        cmocka_unit_test(intervals_hold_their_value),
        cmocka_unit_test(a_bad_scenario_is_refused_with_its_field),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
