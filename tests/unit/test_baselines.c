/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Do the baselines decode what they were made for, and nothing from noise? */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <gsl/gsl_randist.h>
#include <gsl/gsl_rng.h>

#include "clients/evaluate/baseline.h"
#include "clients/evaluate/protocol.h"

#define SEED 20261125ul
#define WIDTH 0.05

typedef struct traj_decoded *(*baseline)(const struct traj_session *, const struct traj_session *,
                                         struct traj_error *);

static gsl_rng *make_rng(void)
{
    gsl_rng *rng = gsl_rng_alloc(gsl_rng_mt19937);
    gsl_rng_set(rng, SEED);
    printf("seed %lu\n", SEED);
    return rng;
}

/* ---- a smooth walk, which counts follow ------------------------------------------------------ */

/* `saturate`: what the counts follow is bent before it becomes the position. */
static struct traj_session *make_walk(size_t bins, size_t units, double depth, bool saturate,
                                      gsl_rng *rng)
{
    struct traj_error error = {{0}};
    struct traj_session *s = traj_session_new("walk");
    assert_int_equal(traj_session_make_frames(s, bins, units, 0, 0, &error), 0);
    assert_int_equal(traj_session_make_kinematics(s, bins, 2, 0, &error), 0);
    double phase[2] = {gsl_ran_flat(rng, 0.0, 6.0), gsl_ran_flat(rng, 0.0, 6.0)};
    for (size_t i = 0; i < bins; i++) {
        double t = WIDTH * (double)(i + 1);
        double drive[2] = {sin(1.1 * t + phase[0]) + 0.5 * sin(2.7 * t),
                           cos(0.9 * t + phase[1]) + 0.4 * sin(3.3 * t)};
        s->t_end[i] = s->kin_t[i] = t;
        s->dt[i] = WIDTH;
        for (size_t d = 0; d < 2; d++) {
            s->position[2 * i + d] = 80.0 * (saturate ? tanh(2.5 * drive[d]) : drive[d]);
        }
        for (size_t n = 0; n < units; n++) {
            double angle = 2.4 * (double)n;
            double rate = 10.0 + depth * (cos(angle) * drive[0] + sin(angle) * drive[1]);
            s->counts[i * units + n] = (uint16_t)gsl_ran_poisson(rng, fmax(rate, 0.1));
        }
    }
    return s;
}

static double mvaf_of(baseline decode, const struct traj_session *train,
                      const struct traj_session *test, const char *what)
{
    struct traj_error error = {{0}};
    struct traj_score score;
    struct traj_decoded *d = decode(train, test, &error);
    if (!d) {
        fail_msg("%s", error.text);
    }
    assert_int_equal(traj_score(test, d, NULL, &score, &error), 0);
    assert_int_equal(score.missing, 0);
    printf("%s: position mvaf %.3f, velocity mvaf %.3f\n", what, score.mvaf, score.velocity_mvaf);
    traj_decoded_free(d);
    return score.mvaf;
}

static void what_is_linear_is_decoded(void **state)
{
    (void)state;
    gsl_rng *rng = make_rng();
    struct traj_session *train = make_walk(2000, 30, 6.0, false, rng);
    struct traj_session *test = make_walk(600, 30, 6.0, false, rng);
    double wiener = mvaf_of(traj_wiener, train, test, "wiener");
    assert_true(wiener > 0.9);
    assert_true(mvaf_of(traj_kalman, train, test, "kalman") > 0.9);
    assert_true(mvaf_of(traj_naive_bayes, train, test, "bayes") > 0.85);
    /* Nothing is bent here: the cascade loses next to nothing. */
    assert_true(mvaf_of(traj_cascade, train, test, "cascade") > wiener - 0.01);
    traj_session_free(train);
    traj_session_free(test);
    gsl_rng_free(rng);
}

static void a_cascade_bends_what_saturates(void **state)
{
    (void)state;
    gsl_rng *rng = make_rng();
    struct traj_session *train = make_walk(2000, 30, 6.0, true, rng);
    struct traj_session *test = make_walk(600, 30, 6.0, true, rng);
    double wiener = mvaf_of(traj_wiener, train, test, "wiener");
    assert_true(mvaf_of(traj_cascade, train, test, "cascade") > wiener + 0.02);
    traj_session_free(train);
    traj_session_free(test);
    gsl_rng_free(rng);
}

static void nothing_is_decoded_from_noise(void **state)
{
    (void)state;
    gsl_rng *rng = make_rng();
    struct traj_session *train = make_walk(2000, 30, 0.0, false, rng);
    struct traj_session *test = make_walk(600, 30, 0.0, false, rng);
    assert_true(mvaf_of(traj_cascade, train, test, "cascade") < 0.1);
    assert_true(mvaf_of(traj_kalman, train, test, "kalman") < 0.1);
    assert_true(mvaf_of(traj_naive_bayes, train, test, "bayes") < 0.1);
    traj_session_free(train);
    traj_session_free(test);
    gsl_rng_free(rng);
}

/* A Kalman filter that misses units is the filter that never had them. */
static void kalman_without_units_is_the_kalman_of_the_rest(void **state)
{
    (void)state;
    gsl_rng *rng = make_rng();
    struct traj_session *train = make_walk(2000, 30, 6.0, false, rng);
    struct traj_session *test = make_walk(600, 30, 6.0, false, rng);
    struct traj_session *rest = make_walk(2000, 30, 6.0, false, rng);
    struct traj_session *rest_test = make_walk(600, 30, 6.0, false, rng);
    struct traj_error error = {{0}};
    bool lost[30];
    memcpy(rest->counts, train->counts, 2000 * 30 * sizeof *rest->counts);
    memcpy(rest->position, train->position, 2000 * 2 * sizeof(double));
    memcpy(rest_test->counts, test->counts, 600 * 30 * sizeof *rest->counts);
    assert_int_equal(traj_draw_units(30, 0.7, 3, lost), 0);
    traj_lose_units(test, lost, TRAJ_UNITS_UNOBSERVED);
    traj_lose_units(rest, lost, TRAJ_UNITS_REMOVED);
    traj_lose_units(rest_test, lost, TRAJ_UNITS_REMOVED);
    struct traj_decoded *a = traj_kalman(train, test, &error);
    struct traj_decoded *b = traj_kalman(rest, rest_test, &error);
    assert_true(a && b);
    double worst = 0.0;
    for (size_t i = 0; i < 2 * 600; i++) {
        worst = fmax(worst, fabs(a->position[i] - b->position[i]));
    }
    printf("largest difference %.3f of positions up to 120\n", worst);
    assert_true(worst < 0.05); /* the little that is added to the diagonal depends on all units */
    traj_decoded_free(a);
    traj_decoded_free(b);
    traj_session_free(train);
    traj_session_free(test);
    traj_session_free(rest);
    traj_session_free(rest_test);
    gsl_rng_free(rng);
}

/* ---- reaches to targets ---------------------------------------------------------------------- */

#define TRIAL_BINS 16

static struct traj_session *make_reaches(size_t trials, size_t units, double depth, gsl_rng *rng)
{
    struct traj_error error = {{0}};
    struct traj_session *s = traj_session_new("reaches");
    assert_int_equal(traj_session_make_frames(s, trials * TRIAL_BINS, units, 0, 0, &error), 0);
    assert_int_equal(traj_session_make_kinematics(s, trials * TRIAL_BINS, 2, 0, &error), 0);
    assert_int_equal(traj_session_make_trials(s, trials, TRAJ_SESSION_TARGET, &error), 0);
    assert_int_equal(traj_session_make_targets(s, 4, 2, &error), 0);
    for (size_t m = 0; m < 4; m++) {
        s->target_position[2 * m] = 100.0 * cos(1.5707963 * (double)m);
        s->target_position[2 * m + 1] = 100.0 * sin(1.5707963 * (double)m);
    }
    for (size_t r = 0; r < trials; r++) {
        size_t m = r % 4;
        s->target[r] = (int32_t)m;
        s->start[r] = 2.0 * (double)r;
        s->stop[r] = s->start[r] + WIDTH * TRIAL_BINS;
        for (size_t k = 0; k < TRIAL_BINS; k++) {
            size_t i = r * TRIAL_BINS + k;
            double way = 0.5 - 0.5 * cos(3.1415926 * (double)(k + 1) / TRIAL_BINS);
            s->t_end[i] = s->kin_t[i] = s->start[r] + WIDTH * (double)(k + 1);
            s->dt[i] = WIDTH;
            s->position[2 * i] = way * s->target_position[2 * m];
            s->position[2 * i + 1] = way * s->target_position[2 * m + 1];
            for (size_t n = 0; n < units; n++) {
                double rate = 1.0 + depth * (n % 4 == m);
                s->counts[i * units + n] = (uint16_t)gsl_ran_poisson(rng, rate);
            }
        }
    }
    return s;
}

static void the_discriminant_finds_the_target(void **state)
{
    (void)state;
    gsl_rng *rng = make_rng();
    for (size_t trials = 4; trials <= 40; trials *= 10) {
        struct traj_session *train = make_reaches(trials, 12, 0.6, rng);
        struct traj_session *test = make_reaches(200, 12, 0.6, rng);
        struct traj_error error = {{0}};
        struct traj_score score;
        struct traj_decoded *d = traj_lda(train, test, &error);
        assert_non_null(d);
        assert_int_equal(traj_score(test, d, NULL, &score, &error), 0);
        printf("%zu trials: right %.3f after .1 s, %.3f after .8 s; mvaf %.3f; 90 %% region %.3f\n",
               trials, score.target[0], score.target[4], score.mvaf, score.coverage90);
        assert_true(score.target[4] > (trials == 4 ? 0.6 : 0.9)); /* chance is .25 */
        assert_true(score.target[4] > score.target[0]);
        assert_true(score.mvaf > (trials == 4 ? 0.4 : 0.85));
        traj_decoded_free(d);
        traj_session_free(train);
        traj_session_free(test);
    }
    gsl_rng_free(rng);
}

static void without_tuning_it_guesses(void **state)
{
    (void)state;
    gsl_rng *rng = make_rng();
    struct traj_session *train = make_reaches(40, 12, 0.0, rng);
    struct traj_session *test = make_reaches(400, 12, 0.0, rng);
    struct traj_error error = {{0}};
    struct traj_score score;
    struct traj_decoded *d = traj_lda(train, test, &error);
    assert_non_null(d);
    assert_int_equal(traj_score(test, d, NULL, &score, &error), 0);
    printf("right in %.3f, chance .25; log score %.3f, of ignorance %.3f\n", score.target[4],
           score.log_score, -log(4.0));
    assert_true(fabs(score.target[4] - 0.25) < 0.1);
    traj_decoded_free(d);
    traj_session_free(train);
    traj_session_free(test);
    gsl_rng_free(rng);
}

static void what_they_cannot_do_they_say(void **state)
{
    (void)state;
    gsl_rng *rng = make_rng();
    struct traj_session *walk = make_walk(100, 3, 1.0, false, rng);
    struct traj_session *more = make_walk(100, 4, 1.0, false, rng);
    struct traj_error error = {{0}};
    assert_null(traj_lda(walk, walk, &error));
    assert_non_null(strstr(error.text, "trials with targets"));
    error.text[0] = '\0';
    assert_null(traj_naive_bayes(walk, more, &error));
    assert_non_null(strstr(error.text, "same units"));
    traj_session_free(walk);
    traj_session_free(more);
    gsl_rng_free(rng);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_linear_is_decoded),
        cmocka_unit_test(a_cascade_bends_what_saturates),
        cmocka_unit_test(nothing_is_decoded_from_noise),
        cmocka_unit_test(kalman_without_units_is_the_kalman_of_the_rest),
        cmocka_unit_test(the_discriminant_finds_the_target),
        cmocka_unit_test(without_tuning_it_guesses),
        cmocka_unit_test(what_they_cannot_do_they_say),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
