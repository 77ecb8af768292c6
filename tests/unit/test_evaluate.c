/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Are the measures, the folds and the baselines what their headers say? */
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
#include "clients/evaluate/metrics.h"
#include "clients/evaluate/protocol.h"

#define SEED 20240229ul

/* A 2-D session of `bins` 50-ms bins with smooth random movement, trials of 1 s every 2 s if asked
 * for. */
static struct traj_session *make_session(size_t bins, size_t units, bool trials, bool cut,
                                         gsl_rng *rng)
{
    struct traj_session *s = traj_session_new("test");
    const double width = 0.05;
    s->bins = s->samples = bins;
    s->units = units;
    s->dim = s->target_dim = 2;
    snprintf(s->length_unit, sizeof s->length_unit, "mm");
    s->counts = calloc(bins * (units ? units : 1), sizeof *s->counts);
    s->t_end = calloc(bins, sizeof *s->t_end);
    s->dt = calloc(bins, sizeof *s->dt);
    s->kin_t = calloc(bins, sizeof *s->kin_t);
    s->position = calloc(bins * 2, sizeof *s->position);
    double phase[2] = {gsl_rng_uniform(rng), gsl_rng_uniform(rng)};
    for (size_t i = 0; i < bins; i++) {
        /* With `cut`, a second of recording is followed by a second of nothing. */
        double t = width * (double)(i + 1) + (cut ? floor((double)i / 20.0) : 0.0);
        s->t_end[i] = s->kin_t[i] = t;
        s->dt[i] = width;
        s->position[2 * i] = 60.0 * sin(1.1 * t + phase[0]) + 30.0 * sin(2.7 * t);
        s->position[2 * i + 1] = 70.0 * cos(0.9 * t + phase[1]) + 20.0 * sin(3.3 * t);
    }
    if (trials) {
        s->trials = bins / (cut ? 20 : 40);
        s->targets = 4;
        s->start = calloc(s->trials, sizeof *s->start);
        s->stop = calloc(s->trials, sizeof *s->stop);
        s->target = calloc(s->trials, sizeof *s->target);
        s->target_position = calloc(2 * s->targets, sizeof *s->target_position);
        s->target_id = calloc(s->targets, sizeof *s->target_id);
        for (size_t r = 0; r < s->trials; r++) {
            s->start[r] = 2.0 * (double)r;
            s->stop[r] = s->start[r] + 1.0;
            s->target[r] = (int32_t)(r * 7 % 4);
        }
        for (size_t m = 0; m < s->targets; m++) {
            s->target_position[2 * m] = (double)m;
            snprintf(s->target_id[m], TRAJ_ID_SIZE, "%zu", m);
        }
    }
    return s;
}

static gsl_rng *make_rng(void)
{
    gsl_rng *rng = gsl_rng_alloc(gsl_rng_mt19937);
    gsl_rng_set(rng, SEED);
    return rng;
}

/* What would be decoded by someone who knows the truth. */
static struct traj_decoded *perfect(const struct traj_session *s)
{
    struct traj_error error = {{0}};
    struct traj_truth *truth = traj_truth_new(s, &error);
    struct traj_decoded *d = traj_decoded_new(s->bins, s->dim, s->targets);
    memcpy(d->position, truth->position, s->bins * s->dim * sizeof(double));
    memcpy(d->velocity, truth->velocity, s->bins * s->dim * sizeof(double));
    traj_truth_free(truth);
    return d;
}

static void a_perfect_decoder_scores_perfectly(void **state)
{
    (void)state;
    gsl_rng *rng = make_rng();
    struct traj_session *s = make_session(400, 0, true, false, rng);
    struct traj_decoded *d = perfect(s);
    struct traj_score score;
    struct traj_error error = {{0}};
    assert_int_equal(traj_score(s, d, NULL, &score, &error), 0);
    assert_true(score.rmse == 0.0 && score.mvaf == 1.0 && score.velocity_mvaf == 1.0);
    assert_true(score.velocity_lag == 0.0 && score.rmse_trial == 0.0 &&
                score.velocity_angle < 0.01);
    assert_int_equal(score.frames, 400);
    assert_int_equal(score.trials, 10);
    traj_decoded_free(d);
    traj_session_free(s);
    gsl_rng_free(rng);
}

static void an_offset_and_a_delay_are_measured(void **state)
{
    (void)state;
    gsl_rng *rng = make_rng();
    struct traj_session *s = make_session(400, 0, true, false, rng);
    struct traj_decoded *d = perfect(s);
    struct traj_score score;
    struct traj_error error = {{0}};
    for (size_t i = 0; i < s->bins; i++) {
        d->position[2 * i] += 3.0;
        d->position[2 * i + 1] -= 4.0;
    }
    for (size_t i = s->bins - 1; i >= 2; i--) { /* velocity two bins = 100 ms late */
        memcpy(d->velocity + 2 * i, d->velocity + 2 * (i - 2), 2 * sizeof(double));
    }
    assert_int_equal(traj_score(s, d, NULL, &score, &error), 0);
    assert_true(fabs(score.rmse - 5.0) < 1e-9 && fabs(score.rmse_trial - 5.0) < 1e-9);
    assert_true(score.velocity_lag == 100.0);
    traj_decoded_free(d);
    traj_session_free(s);
    gsl_rng_free(rng);
}

static void silence_costs_the_distance_to_the_mean(void **state)
{
    (void)state;
    gsl_rng *rng = make_rng();
    struct traj_session *s = make_session(400, 0, false, false, rng);
    struct traj_decoded *d = traj_decoded_new(s->bins, 2, 0);
    struct traj_score score;
    struct traj_error error = {{0}};
    assert_int_equal(traj_score(s, d, NULL, &score, &error), 0);
    assert_int_equal(score.missing, 400);
    assert_true(fabs(score.mvaf) < 1e-12);
    assert_true(isnan(score.velocity_mvaf) && isnan(score.coverage90));
    traj_decoded_free(d);
    traj_session_free(s);
    gsl_rng_free(rng);
}

static void regions_and_targets_are_counted(void **state)
{
    (void)state;
    gsl_rng *rng = make_rng();
    struct traj_session *s = make_session(400, 0, true, false, rng);
    struct traj_decoded *d = perfect(s);
    struct traj_score score;
    struct traj_error error = {{0}};
    for (size_t i = 0; i < s->bins; i++) {
        /* Squared distances 1, 3 and 9 in turn, in units of a unit covariance. */
        double off[4] = {1.0, sqrt(3.0), 3.0, 3.0};
        d->position[2 * i] += off[i % 4];
        d->position_cov[4 * i] = d->position_cov[4 * i + 3] = 1.0;
        d->position_cov[4 * i + 1] = d->position_cov[4 * i + 2] = 0.0;
        size_t trial = i / 40;
        for (size_t m = 0; m < 4; m++) { /* right from 0.2 s on, in every second trial */
            bool right = i % 40 >= 3 && trial % 2 == 0;
            size_t said = ((size_t)s->target[trial] + (right ? 0 : 1)) % 4;
            d->target_prob[4 * i + m] = m == said ? 0.7 : 0.1;
        }
    }
    assert_int_equal(traj_score(s, d, NULL, &score, &error), 0);
    assert_true(score.coverage50 == 0.25 && score.coverage90 == 0.5);
    assert_true(score.target[0] == 0.0 && score.target[1] == 0.5 && score.target[4] == 0.5);
    traj_decoded_free(d);
    traj_session_free(s);
    gsl_rng_free(rng);
}

/* How often each trial of the session, known by its stop, is among those of a part. */
static void count_trials(const struct traj_session *s, const struct traj_session *part,
                         size_t *times)
{
    for (size_t r = 0; r < s->trials; r++) {
        for (size_t k = 0; k < part->trials; k++) {
            times[r] += part->stop[k] == s->stop[r];
        }
    }
}

static void folds_hold_out_every_trial_once(void **state)
{
    (void)state;
    gsl_rng *rng = make_rng();
    struct traj_session *s = make_session(20 * 60, 3, true, true, rng);
    struct traj_error error = {{0}};
    struct traj_protocol p = {.session = s, .folds = 5};
    size_t held[60] = {0};
    assert_false(traj_session_is_unbroken(s));
    assert_int_equal(traj_protocol_check(&p, &error), 0);
    assert_int_equal(traj_protocol_parts(&p, 0), 5);
    for (size_t k = 0; k < 5; k++) {
        struct traj_session *train, *test;
        size_t seen[60] = {0};
        assert_int_equal(traj_protocol_split(&p, 0, 3, k, &train, &test, &error), 0);
        assert_int_equal(train->bins + test->bins, s->bins);
        assert_int_equal(test->trials, 12);
        count_trials(s, test, held);
        count_trials(s, train, seen);
        count_trials(s, test, seen);
        for (size_t r = 0; r < 60; r++) {
            assert_int_equal(seen[r], 1);
        }
        traj_session_free(train);
        traj_session_free(test);
    }
    for (size_t r = 0; r < 60; r++) {
        assert_int_equal(held[r], 1);
    }
    traj_session_free(s);
    gsl_rng_free(rng);
}

static void a_draw_tests_on_all_that_it_does_not_train_on(void **state)
{
    (void)state;
    gsl_rng *rng = make_rng();
    struct traj_session *s = make_session(20 * 60, 3, true, true, rng);
    struct traj_error error = {{0}};
    struct traj_protocol p = {.session = s, .folds = 5};
    size_t trained[60] = {0};
    assert_int_equal(traj_protocol_parts(&p, 2), 1);
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct traj_session *train, *test, *scored, *more, *rest;
        size_t seen[60] = {0}, of_target[4] = {0}, inner[60] = {0};
        assert_int_equal(traj_protocol_split(&p, 2, seed, 0, &train, &test, &error), 0);
        assert_int_equal(traj_protocol_split(&p, 3, seed, 0, &more, &rest, &error), 0);
        assert_int_equal(train->trials, 8); /* 2 of each of 4 targets */
        count_trials(s, train, seen);
        count_trials(s, train, trained);
        count_trials(s, test, seen);
        for (size_t r = 0; r < 60; r++) {
            assert_int_equal(seen[r], 1);
        }
        for (size_t r = 0; r < train->trials; r++) {
            of_target[train->target[r]]++;
        }
        for (size_t m = 0; m < 4; m++) {
            assert_int_equal(of_target[m], 2);
        }
        count_trials(train, more, inner); /* what fewer trials taught, more teach as well */
        for (size_t r = 0; r < train->trials; r++) {
            assert_int_equal(inner[r], 1);
        }
        scored = traj_protocol_scored(&p, 2, seed, &error);
        assert_int_equal(scored->bins, test->bins);
        assert_memory_equal(scored->t_end, test->t_end, test->bins * sizeof(double));
        traj_session_free(train);
        traj_session_free(test);
        traj_session_free(more);
        traj_session_free(rest);
        traj_session_free(scored);
    }
    size_t different = 0;
    for (size_t r = 0; r < 60; r++) {
        different += trained[r] > 0;
    }
    assert_true(different > 40); /* draws differ */
    traj_session_free(s);
    gsl_rng_free(rng);
}

static void blocks_cover_an_unbroken_session_once(void **state)
{
    (void)state;
    gsl_rng *rng = make_rng();
    struct traj_session *s = make_session(40 * 30, 3, true, false, rng);
    struct traj_error error = {{0}};
    struct traj_protocol p = {.session = s, .folds = 4};
    size_t bins = 0, trials = 0;
    assert_true(traj_session_is_unbroken(s));
    assert_int_equal(traj_protocol_parts(&p, 0), 4);
    assert_int_equal(traj_protocol_parts(&p, 2), 4);
    for (size_t k = 0; k < 4; k++) {
        struct traj_session *train, *test;
        assert_int_equal(traj_protocol_split(&p, 0, 1, k, &train, &test, &error), 0);
        assert_int_equal(train->bins + test->bins, s->bins);
        bins += test->bins;
        trials += test->trials;
        traj_session_free(train);
        assert_int_equal(test->t_end[test->bins - 1] - test->t_end[0] < 0.06 * (double)test->bins,
                         true); /* contiguous */
        traj_session_free(test);
        assert_int_equal(traj_protocol_split(&p, 2, 1, k, &train, &test, &error), 0);
        assert_int_equal(train->trials, 8);
        traj_session_free(train);
        traj_session_free(test);
    }
    assert_int_equal(bins, s->bins);
    assert_int_equal(trials, s->trials);
    traj_session_free(s);
    gsl_rng_free(rng);
}

/* A tenth of the bins may lie outside the trials of a session that counts as cut out, and gaps lie
 * between them. */
static void what_lies_outside_trials_decides(void **state)
{
    (void)state;
    gsl_rng *rng = make_rng();
    struct traj_session *s = make_session(40 * 30, 3, true, false, rng);
    for (size_t r = 0; r < s->trials; r++) {
        s->stop[r] = s->start[r] + 1.85; /* 37 of 40 bins */
    }
    assert_true(traj_session_is_unbroken(s)); /* trials run on into each other */
    for (size_t r = 0; r < s->trials; r++) {
        s->start[r] += (double)r;
        s->stop[r] += (double)r;
    }
    for (size_t i = 0; i < s->bins; i++) {
        s->t_end[i] +=
            floor((double)i / 40.0); /* a second of nothing before each trial but the first */
    }
    assert_false(traj_session_is_unbroken(s));
    for (size_t r = 0; r < s->trials; r++) {
        s->stop[r] = s->start[r] + 1.75; /* 35 of 40 */
    }
    assert_true(traj_session_is_unbroken(s));
    s->trials = 0;
    assert_true(traj_session_is_unbroken(s));
    traj_session_free(s);
    gsl_rng_free(rng);
}

static void no_more_trials_are_promised_than_there_are(void **state)
{
    (void)state;
    gsl_rng *rng = make_rng();
    struct traj_session *cut = make_session(20 * 60, 3, true, true, rng);
    struct traj_session *whole = make_session(40 * 30, 3, true, false, rng);
    struct traj_error error = {{0}};
    struct traj_protocol p = {.session = cut, .folds = 5};
    size_t fewest, most, held = 30;
    char sentence[160];
    cut->target[4] = 1; /* was of target 0: 14, 16, 15 and 15 */
    assert_int_equal(traj_protocol_trials(&p, &fewest, &most), 0);
    assert_int_equal(fewest, 14);
    assert_int_equal(most, 16);
    assert_int_equal(traj_protocol_enough(&p, 0, &error), 0);
    assert_int_equal(traj_protocol_enough(&p, 16, &error), 0);
    assert_int_equal(traj_protocol_enough(&p, 17, &error), -1);
    (void)snprintf(sentence, sizeof sentence,
                   "%s: there are no 17 trials of each target to train on: no target has more than "
                   "16 outside the test",
                   cut->path);
    assert_string_equal(error.text, sentence);
    /* Without the target that has the most, the others count. */
    p.one_target_out = true;
    assert_int_equal(traj_protocol_trials(&p, &fewest, &most), 0);
    assert_int_equal(fewest, 14);
    assert_int_equal(most, 15);
    /* Of an unbroken session those in the block are no more there. */
    p = (struct traj_protocol){.session = whole, .folds = 4};
    assert_int_equal(traj_protocol_trials(&p, &fewest, &most), 0);
    for (size_t k = 0; k < 4; k++) {
        struct traj_session *train, *test;
        assert_int_equal(traj_protocol_split(&p, most, 1, k, &train, &test, &error), 0);
        held = train->trials < held ? train->trials : held;
        traj_session_free(train);
        traj_session_free(test);
    }
    assert_true(fewest > 0 && fewest <= most && most < whole->trials / 4 + 1);
    assert_true(held >= most && traj_protocol_enough(&p, most + 1, &error) == -1);
    traj_session_free(cut);
    traj_session_free(whole);
    gsl_rng_free(rng);
}

static void a_target_that_is_left_out_is_never_trained_on(void **state)
{
    (void)state;
    gsl_rng *rng = make_rng();
    struct traj_session *s = make_session(20 * 60, 3, true, true, rng);
    struct traj_error error = {{0}};
    struct traj_protocol p = {.session = s, .folds = 5, .one_target_out = true};
    size_t tested = 0;
    assert_int_equal(traj_protocol_check(&p, &error), 0);
    assert_int_equal(traj_protocol_parts(&p, 0), 4);
    for (size_t k = 0; k < 4; k++) {
        struct traj_session *train, *test;
        assert_int_equal(traj_protocol_split(&p, 0, 1, k, &train, &test, &error), 0);
        assert_int_equal(train->targets, 4); /* its place is known all the same */
        for (size_t r = 0; r < train->trials; r++) {
            assert_int_not_equal(train->target[r], (int32_t)k);
        }
        for (size_t r = 0; r < test->trials; r++) {
            assert_int_equal(test->target[r], (int32_t)k);
        }
        tested += test->trials;
        assert_int_equal(train->trials + test->trials, 60);
        traj_session_free(train);
        traj_session_free(test);
    }
    assert_int_equal(tested, 60);
    traj_session_free(s);
    gsl_rng_free(rng);
}

static void leads_are_missing_from_tests_alone(void **state)
{
    (void)state;
    gsl_rng *rng = make_rng();
    struct traj_session *s = make_session(20 * 400, 3, true, true, rng);
    struct traj_error error = {{0}};
    size_t many[8] = {0};
    struct traj_session *late = traj_without_leads(s, 7, 5, &error);
    for (size_t r = 0, i = 0; r < s->trials; r++) {
        size_t lost = (size_t)lround((late->start[r] - s->start[r]) / 0.05), whole = r * 20;
        assert_true(lost <= 7 && fabs(late->start[r] - s->start[r] - 0.05 * (double)lost) < 1e-9);
        assert_true(late->stop[r] == s->stop[r]);
        many[lost]++;
        for (size_t b = lost; b < 20; b++, i++) { /* the others are as they were */
            assert_true(late->t_end[i] == s->t_end[whole + b]);
            assert_memory_equal(late->counts + i * 3, s->counts + (whole + b) * 3, 6);
        }
        if (r + 1 == s->trials) {
            assert_int_equal(i, late->bins);
        }
    }
    for (size_t k = 0; k < 8; k++) { /* 50 of each are expected, standard deviation 6.6 */
        printf("%zu bins missing: %zu trials\n", k, many[k]);
        assert_true(many[k] > 20 && many[k] < 80);
    }
    traj_session_free(late);
    struct traj_protocol p = {.session = s, .folds = 5, .missing_lead = 7};
    struct traj_session *train, *test;
    assert_int_equal(traj_protocol_split(&p, 0, 5, 0, &train, &test, &error), 0);
    assert_int_equal(train->bins, 20 * train->trials);
    assert_true(test->bins < 18 * test->trials && test->bins > 15 * test->trials);
    traj_session_free(train);
    traj_session_free(test);
    traj_session_free(s);
    gsl_rng_free(rng);
}

static void units_are_lost_as_asked(void **state)
{
    (void)state;
    gsl_rng *rng = make_rng();
    bool lost[5] = {0};
    size_t count = 0;
    assert_int_equal(traj_draw_units(5, 0.4, 9, lost), 0);
    for (size_t n = 0; n < 5; n++) {
        count += lost[n];
    }
    assert_int_equal(count, 2);
    for (int how = TRAJ_UNITS_SILENT; how <= TRAJ_UNITS_REMOVED; how++) {
        struct traj_session *s = make_session(30, 5, false, false, rng);
        for (size_t i = 0; i < 150; i++) {
            s->counts[i] = (uint16_t)(i + 1);
        }
        traj_lose_units(s, lost, (enum traj_loss)how);
        assert_int_equal(s->units, how == TRAJ_UNITS_REMOVED ? 3 : 5);
        for (size_t i = 0; i < 30; i++) {
            for (size_t n = 0, k = 0; n < 5; n++) {
                uint16_t was = (uint16_t)(5 * i + n + 1);
                uint16_t is = s->counts[i * s->units + (how == TRAJ_UNITS_REMOVED ? k : n)];
                k += !lost[n];
                if (!lost[n]) {
                    assert_int_equal(is, was);
                } else if (how != TRAJ_UNITS_REMOVED) {
                    assert_int_equal(is, how == TRAJ_UNITS_SILENT ? 0 : TRAJ_COUNT_MISSING);
                }
            }
        }
        traj_session_free(s);
    }
    gsl_rng_free(rng);
}

/* Counts that follow position (the even units) and velocity (the odd ones) with Poisson noise. */
static void add_counts(struct traj_session *s, gsl_rng *rng, double depth)
{
    struct traj_error error = {{0}};
    struct traj_truth *truth = traj_truth_new(s, &error);
    for (size_t n = 0; n < s->units; n++) {
        double angle = 2.4 * (double)n;
        for (size_t i = 0; i < s->bins; i++) {
            const double *x = (n % 2 ? truth->velocity : truth->position) + 2 * i;
            double scale = n % 2 ? 150.0 : 80.0;
            double rate = 8.0 + depth * (cos(angle) * x[0] + sin(angle) * x[1]) / scale;
            s->counts[i * s->units + n] = (uint16_t)gsl_ran_poisson(rng, rate > 0.1 ? rate : 0.1);
        }
    }
    traj_truth_free(truth);
}

static double mvaf_of(struct traj_decoded *(*decode)(const struct traj_session *,
                                                     const struct traj_session *,
                                                     struct traj_error *),
                      double depth, double *velocity)
{
    gsl_rng *rng = make_rng();
    struct traj_session *train = make_session(2000, 40, false, false, rng);
    struct traj_session *test = make_session(800, 40, false, false, rng);
    struct traj_error error = {{0}};
    struct traj_score score;
    add_counts(train, rng, depth);
    add_counts(test, rng, depth);
    struct traj_decoded *decoded = decode(train, test, &error);
    assert_non_null(decoded);
    assert_int_equal(traj_score(test, decoded, NULL, &score, &error), 0);
    assert_int_equal(score.missing, 0);
    printf("seed %lu, depth %.1f: position mvaf %.3f, velocity mvaf %.3f\n", SEED, depth,
           score.mvaf, score.velocity_mvaf);
    *velocity = score.velocity_mvaf;
    traj_decoded_free(decoded);
    traj_session_free(train);
    traj_session_free(test);
    gsl_rng_free(rng);
    return score.mvaf;
}

static void baselines_decode_what_is_linear(void **state)
{
    (void)state;
    double velocity;
    assert_true(mvaf_of(traj_wiener, 5.0, &velocity) > 0.9 && velocity > 0.8);
    assert_true(mvaf_of(traj_kalman, 5.0, &velocity) > 0.9 && velocity > 0.8);
}

static void baselines_decode_nothing_from_noise(void **state)
{
    (void)state;
    double velocity;
    assert_true(fabs(mvaf_of(traj_wiener, 0.0, &velocity)) < 0.15);
    assert_true(fabs(mvaf_of(traj_kalman, 0.0, &velocity)) < 0.15);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_perfect_decoder_scores_perfectly),
        cmocka_unit_test(an_offset_and_a_delay_are_measured),
        cmocka_unit_test(silence_costs_the_distance_to_the_mean),
        cmocka_unit_test(regions_and_targets_are_counted),
        cmocka_unit_test(folds_hold_out_every_trial_once),
        cmocka_unit_test(a_draw_tests_on_all_that_it_does_not_train_on),
        cmocka_unit_test(blocks_cover_an_unbroken_session_once),
        cmocka_unit_test(what_lies_outside_trials_decides),
        cmocka_unit_test(no_more_trials_are_promised_than_there_are),
        cmocka_unit_test(a_target_that_is_left_out_is_never_trained_on),
        cmocka_unit_test(leads_are_missing_from_tests_alone),
        cmocka_unit_test(units_are_lost_as_asked),
        cmocka_unit_test(baselines_decode_what_is_linear),
        cmocka_unit_test(baselines_decode_nothing_from_noise),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
