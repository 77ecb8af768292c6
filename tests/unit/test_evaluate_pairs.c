/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Are intervals, paired tests and calibration errors what their header says? */
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

#include "clients/evaluate/bins.h"
#include "clients/evaluate/resample.h"

#define SEED 20261124ul
#define TARGETS 4
#define BINS 10 /* of a trial */

static gsl_rng *make_rng(void)
{
    gsl_rng *rng = gsl_rng_alloc(gsl_rng_mt19937);
    gsl_rng_set(rng, SEED);
    printf("seed %lu\n", SEED);
    return rng;
}

/* ---- sign flips ------------------------------------------------------------------------------ */

/* The same p by recursion over signs. */
static size_t flips_as_far(const double *x, size_t count, double sum, double observed)
{
    if (count == 0) {
        return fabs(sum) >= fabs(observed) - 1e-9;
    }
    return flips_as_far(x + 1, count - 1, sum + x[0], observed) +
           flips_as_far(x + 1, count - 1, sum - x[0], observed);
}

static void sign_flips_agree_with_brute_force(void **state)
{
    (void)state;
    gsl_rng *rng = make_rng();
    double x[16] = {1.0, 2.0, 3.0};
    assert_true(traj_sign_flip(x, 3) == 0.25); /* all plus and all minus, of 8 */
    for (size_t count = 1; count <= 14; count++) {
        double observed = 0.0;
        for (size_t i = 0; i < count; i++) {
            x[i] = gsl_ran_gaussian(rng, 1.0) + 0.4;
            observed += x[i];
        }
        double brute = (double)flips_as_far(x, count, 0.0, observed) / (double)((size_t)1 << count);
        printf("%zu differences: p %.6f, by brute force %.6f\n", count, traj_sign_flip(x, count),
               brute);
        assert_true(fabs(traj_sign_flip(x, count) - brute) < 1e-12);
    }
    gsl_rng_free(rng);
}

/* With many differences the p is a drawn one: close to the normal approximation. */
static void many_differences_are_drawn(void **state)
{
    (void)state;
    gsl_rng *rng = make_rng();
    double x[200], sum = 0.0, square = 0.0;
    for (size_t i = 0; i < 200; i++) {
        x[i] = gsl_ran_gaussian(rng, 1.0) + 0.12;
        sum += x[i];
        square += x[i] * x[i];
    }
    double normal = erfc(fabs(sum) / sqrt(2.0 * square)), p = traj_sign_flip(x, 200);
    printf("p %.4f, normal %.4f\n", p, normal);
    assert_true(fabs(p - normal) < 0.02 && p > 0.001);
    for (size_t i = 0; i < 200; i++) {
        x[i] = fabs(x[i]);
    }
    assert_true(traj_sign_flip(x, 200) < 1e-4);
    gsl_rng_free(rng);
}

/* ---- groups ---------------------------------------------------------------------------------- */

static void fill_group(struct traj_group_sums *s, size_t g, double bins, double square,
                       double velocity)
{
    s->sum[g][TRAJ_SUM_BINS] = bins;
    s->sum[g][TRAJ_SUM_SQUARE] = square;
    s->sum[g][TRAJ_SUM_SPREAD] = 100.0 * bins;
    s->sum[g][TRAJ_SUM_VELOCITY_SQUARE] = velocity;
    s->sum[g][TRAJ_SUM_VELOCITY_SPREAD] = 50.0 * bins;
}

static struct traj_group_sums make_sums(size_t groups)
{
    struct traj_group_sums s = {groups, true, calloc(groups, sizeof *s.sum)};
    return s;
}

static void a_comparison_is_what_it_says(void **state)
{
    (void)state;
    struct traj_group_sums a = make_sums(4), b = make_sums(4);
    /* rmse of a: 1 2 3 -, of b: 2 2 5 4; the last group a has not. */
    fill_group(&a, 0, 2, 2, 8);
    fill_group(&a, 1, 1, 4, 4);
    fill_group(&a, 2, 1, 9, 9);
    fill_group(&b, 0, 2, 8, 8);
    fill_group(&b, 1, 1, 4, 9);
    fill_group(&b, 2, 1, 25, 9);
    fill_group(&b, 3, 1, 16, 9);
    const struct traj_group_sums *first = &a, *second = &b;
    struct traj_paired of[TRAJ_PAIRED];
    struct traj_measure stat[TRAJ_STATS];
    assert_int_equal(traj_compare(&first, &second, 1, 500, of), 0);
    const struct traj_paired *x = &of[TRAJ_PAIRED_POSITION];
    assert_int_equal(x->groups, 3);
    assert_true(fabs(x->difference.value - (-1.0 + 0.0 - 2.0) / 3.0) < 1e-12);
    assert_true(x->difference.low <= x->difference.value &&
                x->difference.value <= x->difference.high);
    assert_true(x->difference.low >= -2.0 && x->difference.high <= 0.0);
    assert_true(fabs(x->better - 2.0 / 3.0) < 1e-12);
    assert_true(x->p == 0.5); /* of 8 assignments ++ and -- of the two that differ, twice each */
    assert_true(isnan(of[TRAJ_PAIRED_LOG].p) && of[TRAJ_PAIRED_LOG].groups == 0);
    assert_int_equal(traj_bootstrap(&first, 1, 500, stat), 0);
    assert_true(fabs(stat[TRAJ_STAT_RMSE].value - sqrt(15.0 / 4.0)) < 1e-12);
    assert_true(fabs(stat[TRAJ_STAT_RMSE_GROUP].value - 2.0) < 1e-12);
    assert_true(fabs(stat[TRAJ_STAT_MVAF].value - (1.0 - 15.0 / 400.0)) < 1e-12);
    assert_true(fabs(stat[TRAJ_STAT_VELOCITY_MVAF].value - (1.0 - 21.0 / 200.0)) < 1e-12);
    traj_group_sums_free(&a);
    traj_group_sums_free(&b);
}

/* Intervals hold the true mean about as often as they say. */
static void intervals_hold_what_they_should(void **state)
{
    (void)state;
    gsl_rng *rng = make_rng();
    size_t held = 0, times = 300;
    for (size_t k = 0; k < times; k++) {
        struct traj_group_sums a = make_sums(60);
        struct traj_measure stat[TRAJ_STATS];
        for (size_t g = 0; g < 60; g++) { /* group rmse ~ N(10, 2) */
            double rmse = 10.0 + gsl_ran_gaussian(rng, 2.0);
            fill_group(&a, g, 5, 5 * rmse * rmse, 0);
        }
        const struct traj_group_sums *one = &a;
        assert_int_equal(traj_bootstrap(&one, 1, 400, stat), 0);
        held += stat[TRAJ_STAT_RMSE_GROUP].low <= 10.0 && 10.0 <= stat[TRAJ_STAT_RMSE_GROUP].high;
        traj_group_sums_free(&a);
    }
    printf("%zu of %zu intervals hold the mean\n", held, times);
    assert_true((double)held > 0.90 * (double)times && (double)held < 0.985 * (double)times);
    gsl_rng_free(rng);
}

/* Draws are averaged, each over the groups that it has. */
static void draws_are_averaged(void **state)
{
    (void)state;
    struct traj_group_sums a = make_sums(3), b = make_sums(3);
    fill_group(&a, 0, 1, 4, 0);
    fill_group(&a, 1, 1, 4, 0);
    fill_group(&b, 1, 1, 16, 0);
    fill_group(&b, 2, 1, 16, 0);
    const struct traj_group_sums *draw[2] = {&a, &b};
    struct traj_measure stat[TRAJ_STATS];
    assert_int_equal(traj_bootstrap(draw, 2, 100, stat), 0);
    assert_true(fabs(stat[TRAJ_STAT_RMSE].value - 3.0) < 1e-12);
    assert_true(fabs(stat[TRAJ_STAT_RMSE_GROUP].value - 3.0) < 1e-12);
    traj_group_sums_free(&a);
    traj_group_sums_free(&b);
}

/* ---- target probabilities -------------------------------------------------------------------- */

/* Cut-out trials with targets, without neural data: only what is scored matters. */
static struct traj_session *make_session(size_t trials)
{
    struct traj_error error = {{0}};
    struct traj_session *s = traj_session_new("test");
    assert_int_equal(traj_session_make_frames(s, trials * BINS, 1, 0, 0, &error), 0);
    assert_int_equal(traj_session_make_kinematics(s, trials * BINS, 2, 0, &error), 0);
    assert_int_equal(traj_session_make_trials(s, trials, TRAJ_SESSION_TARGET, &error), 0);
    assert_int_equal(traj_session_make_targets(s, TARGETS, 2, &error), 0);
    for (size_t i = 0; i < s->bins; i++) {
        size_t r = i / BINS;
        s->dt[i] = 0.1;
        s->t_end[i] = s->kin_t[i] = 2.0 * (double)r + 0.1 * (double)(i % BINS + 1);
        s->position[2 * i] = (double)(i % 7);
    }
    for (size_t r = 0; r < trials; r++) {
        s->start[r] = 2.0 * (double)r;
        s->stop[r] = s->start[r] + 1.0;
    }
    return s;
}

/* Trials whose targets are drawn from p^sharp, while p is what is said. */
static double error_of_calibration(gsl_rng *rng, double sharp, struct traj_score *score)
{
    struct traj_session *s = make_session(4000);
    struct traj_decoded *d = traj_decoded_new(s->bins, 2, TARGETS);
    struct traj_error error = {{0}};
    for (size_t r = 0; r < s->trials; r++) {
        double alpha[TARGETS] = {0.5, 0.5, 0.5, 0.5}, p[TARGETS], true_p[TARGETS];
        gsl_ran_dirichlet(rng, TARGETS, alpha, p);
        for (size_t m = 0; m < TARGETS; m++) {
            true_p[m] = pow(p[m], sharp);
        }
        gsl_ran_discrete_t *table = gsl_ran_discrete_preproc(TARGETS, true_p);
        s->target[r] = (int32_t)gsl_ran_discrete(rng, table);
        gsl_ran_discrete_free(table);
        for (size_t i = r * BINS; i < (r + 1) * BINS; i++) {
            memcpy(d->target_prob + i * TARGETS, p, sizeof p);
        }
    }
    assert_int_equal(traj_score(s, d, NULL, score, &error), 0);
    traj_decoded_free(d);
    traj_session_free(s);
    return score->calibration;
}

static void calibration_is_told(void **state)
{
    (void)state;
    gsl_rng *rng = make_rng();
    struct traj_score good, bold, shy;
    double e = error_of_calibration(rng, 1.0, &good);
    double over = error_of_calibration(rng, 0.4, &bold);
    double under = error_of_calibration(rng, 3.0, &shy);
    printf("error %.4f calibrated, %.4f over-confident, %.4f under-confident\n", e, over, under);
    assert_true(e < 0.02 && over > 0.1 && under > 0.05);
    assert_true(good.log_score > bold.log_score);
    double count = 0.0;
    for (size_t k = 0; k < TRAJ_RELIABILITY_BINS; k++) {
        const struct traj_reliability *r = &good.reliability[k];
        count += r->count;
        assert_true(r->count == 0.0 || (r->confidence / r->count >= 0.1 * (double)k &&
                                        r->confidence / r->count <= 0.1 * (double)(k + 1)));
    }
    assert_true(count == 4000.0 * BINS);
    gsl_rng_free(rng);
}

/* By hand: two trials, one said .8 and right, one said .6 and wrong in its last bin alone. */
static void a_small_table_is_right_to_the_digit(void **state)
{
    (void)state;
    struct traj_session *s = make_session(2);
    struct traj_decoded *d = traj_decoded_new(s->bins, 2, TARGETS);
    struct traj_error error = {{0}};
    struct traj_score score;
    s->target[0] = 2;
    s->target[1] = 1;
    for (size_t i = 0; i < s->bins; i++) {
        double *p = d->target_prob + i * TARGETS;
        bool last = i + 1 == s->bins;
        for (size_t m = 0; m < TARGETS; m++) {
            p[m] = i < BINS ? 0.2 / 3.0 : 0.4 / 3.0;
        }
        p[i < BINS ? 2 : last ? 0 : 1] = i < BINS ? 0.8125 : 0.59375;
    }
    assert_int_equal(traj_score(s, d, NULL, &score, &error), 0);
    assert_true(score.wrong_end == 0.5);
    double expected = (BINS * (1.0 - 0.8125) + fabs((BINS - 1.0) - BINS * 0.59375)) / (2.0 * BINS);
    assert_true(fabs(score.calibration - expected) < 1e-12);
    double log_score =
        (BINS * log(0.8125) + (BINS - 1) * log(0.59375) + log(0.4 / 3.0)) / (2 * BINS);
    assert_true(fabs(score.log_score - log_score) < 1e-12);
    assert_true(score.reliability[8].count == BINS && score.reliability[5].right == BINS - 1);
    traj_decoded_free(d);
    traj_session_free(s);
}

/* ---- regions and gaps ------------------------------------------------------------------------ */

/* Errors drawn from the stated covariance lie in the stated regions as often as they should. */
static void regions_hold_in_any_dimension(void **state)
{
    (void)state;
    gsl_rng *rng = make_rng();
    for (size_t dim = 1; dim <= 4; dim++) {
        struct traj_error error = {{0}};
        struct traj_session *s = traj_session_new("test");
        assert_int_equal(traj_session_make_frames(s, 20000, 1, 0, 0, &error), 0);
        assert_int_equal(traj_session_make_kinematics(s, 20000, dim, 0, &error), 0);
        struct traj_decoded *d = traj_decoded_new(s->bins, dim, 0);
        for (size_t i = 0; i < s->bins; i++) {
            double common = gsl_ran_gaussian(rng, 3.0);
            s->t_end[i] = s->kin_t[i] = 0.1 * (double)(i + 1);
            s->dt[i] = 0.1;
            for (size_t a = 0; a < dim; a++) {
                s->position[i * dim + a] = (double)i;
                d->position[i * dim + a] = (double)i + common + gsl_ran_gaussian(rng, 2.0);
                for (size_t b = 0; b < dim; b++) {
                    d->position_cov[(i * dim + a) * dim + b] = a == b ? 13.0 : 9.0;
                }
            }
        }
        struct traj_score score;
        assert_int_equal(traj_score(s, d, NULL, &score, &error), 0);
        printf("%zu dimensions: %.3f and %.3f\n", dim, score.coverage50, score.coverage90);
        assert_true(fabs(score.coverage50 - 0.5) < 0.015 && fabs(score.coverage90 - 0.9) < 0.01);
        traj_decoded_free(d);
        traj_session_free(s);
    }
    gsl_rng_free(rng);
}

static void bins_without_kinematics_are_not_scored(void **state)
{
    (void)state;
    struct traj_error error = {{0}};
    struct traj_session *s = traj_session_new("test");
    assert_int_equal(traj_session_make_frames(s, 100, 1, 0, 0, &error), 0);
    assert_int_equal(traj_session_make_kinematics(s, 50, 2, 0, &error), 0);
    struct traj_decoded *d = traj_decoded_new(s->bins, 2, 0);
    for (size_t i = 0; i < 100; i++) { /* frames from 0.1 to 10 s */
        s->t_end[i] = 0.1 * (double)(i + 1);
        s->dt[i] = 0.1;
        d->position[2 * i] = d->position[2 * i + 1] = 0.0;
    }
    for (size_t k = 0; k < 50; k++) { /* kinematics from 2.1 to 4.5 and 7.1 to 9.5 s */
        s->kin_t[k] = 0.1 * (double)(k < 25 ? 21 + k : 71 + k - 25);
        s->position[2 * k] = k % 2 ? 1.0 : -1.0;
    }
    struct traj_score score;
    assert_int_equal(traj_score(s, d, NULL, &score, &error), 0);
    /* Scored are 1.6 to 5.0 and 6.6 to 10 s: half a second more on either side. */
    printf("%zu bins scored, %zu left out\n", score.frames, score.excluded);
    assert_int_equal(score.frames, 70);
    assert_int_equal(score.excluded, 30);
    traj_decoded_free(d);
    traj_session_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sign_flips_agree_with_brute_force),
        cmocka_unit_test(many_differences_are_drawn),
        cmocka_unit_test(a_comparison_is_what_it_says),
        cmocka_unit_test(intervals_hold_what_they_should),
        cmocka_unit_test(draws_are_averaged),
        cmocka_unit_test(calibration_is_told),
        cmocka_unit_test(a_small_table_is_right_to_the_digit),
        cmocka_unit_test(regions_hold_in_any_dimension),
        cmocka_unit_test(bins_without_kinematics_are_not_scored),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
