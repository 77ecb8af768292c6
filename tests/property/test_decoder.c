/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What must hold of the decoder whatever the model and the frames. */
#include "daemon/model/linalg.h"
#include "tests/oracle/random_model.h"

#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define UNITS 20
#define TARGETS 4
#define COMPONENTS 6
#define FEATURES 3
#define OWN 2 /* components with a tuning set of their own */

static struct traj_dims usual_dims(void)
{
    return (struct traj_dims){.position = 2,
                              .state = 6,
                              .units = UNITS,
                              .features = FEATURES,
                              .targets = TARGETS,
                              .components = COMPONENTS,
                              .lag = 4,
                              .tunings = OWN,
                              .warps = 1};
}

static void usual_model(struct random_model *made, struct random *random)
{
    const struct traj_dims dims = usual_dims();
    random_model_make(made, random, &dims, 2);
    made->model.plan = (struct traj_plan){0.02, 0.1, made->rate, 0.6};
    made->model.switch_rate = 0.5;
}

/* All that an estimate says, in one array. */
struct snapshot {
    double number[2 + 4 + 2 + 4 + TARGETS + 3];
};

static struct snapshot snap(const struct traj_estimate *estimate)
{
    struct snapshot out;
    double *to = out.number;
    memcpy(to, estimate->position, 2 * sizeof *to);
    memcpy(to + 2, estimate->position_cov, 4 * sizeof *to);
    memcpy(to + 6, estimate->velocity, 2 * sizeof *to);
    memcpy(to + 8, estimate->velocity_cov, 4 * sizeof *to);
    memcpy(to + 12, estimate->target_prob, TARGETS * sizeof *to);
    to[12 + TARGETS] = estimate->free_prob;
    to[13 + TARGETS] = isnan(estimate->log_evidence) ? 0.0 : estimate->log_evidence;
    to[14 + TARGETS] = (double)estimate->flags + 10.0 * (double)estimate->phase;
    return out;
}

static double farthest(const struct snapshot *a, const struct snapshot *b)
{
    double most = 0.0;
    for (size_t i = 0; i < sizeof a->number / sizeof *a->number; i++) {
        const double apart = fabs(a->number[i] - b->number[i]) / (1.0 + fabs(b->number[i]));
        if (!(apart <= most))
            most = apart;
    }
    return most;
}

static bool same_bits(const struct snapshot *a, const struct snapshot *b)
{
    return memcmp(a, b, sizeof *a) == 0;
}

/* Trial marks and priors at set frames of a run, the same for every decoder that is compared. */
static void mark(struct traj_decoder *decoder, size_t frame, const double *prob)
{
    const double eyes[2] = {0.3, -0.8};
    const double blur[4] = {2.0, 0.3, 0.3, 1.1};
    if (frame % 50 == 5)
        traj_decoder_trial_start(decoder);
    if (frame % 50 == 8)
        traj_decoder_target_prior(decoder, prob);
    if (frame % 50 == 9)
        traj_decoder_go(decoder);
    if (frame % 50 == 20)
        traj_decoder_gaze(decoder, eyes, blur);
    if (frame % 50 == 40)
        traj_decoder_trial_stop(decoder);
}

static struct snapshot take(struct traj_decoder *decoder, const uint16_t *counts,
                            const float *features, size_t frame)
{
    const struct traj_observation observation = {
        counts, features, 0.02 + 1e-4 * (double)(frame % 7), frame % 23 == 22 ? 6 : 1};
    struct traj_estimate estimate;
    assert_int_equal(traj_decoder_step(decoder, &observation, &estimate), TRAJ_OK);
    return snap(&estimate);
}

/* --- symmetries ------------------------------------------------------------------------------- */

static void reversed_units(const struct random_model *from, struct random_model *to)
{
    const size_t s = from->model.dims.state;
    for (size_t n = 0; n < UNITS; n++) {
        const size_t m = UNITS - 1 - n;
        memcpy(to->weight + m * s, from->weight + n * s, s * sizeof(double));
        to->offset[m] = from->offset[n];
        to->lag[m] = from->lag[n];
        for (size_t w = 0; w < OWN; w++) {
            memcpy(to->own_weight + (w * UNITS + m) * s, from->own_weight + (w * UNITS + n) * s,
                   s * sizeof(double));
            to->own_offset[w * UNITS + m] = from->own_offset[w * UNITS + n];
        }
        for (size_t t = 0; t < TARGETS; t++)
            to->rate[t * UNITS + m] = from->rate[t * UNITS + n];
    }
}

static void order_of_units_is_nothing(void **state)
{
    struct random random = {*(uint64_t *)*state};
    struct random copy = random;
    struct random_model a, b;
    usual_model(&a, &random);
    usual_model(&b, &copy);
    reversed_units(&a, &b);
    void *memory_a, *memory_b;
    struct traj_decoder *one = random_decoder(&a.model, NULL, &memory_a);
    struct traj_decoder *other = random_decoder(&b.model, NULL, &memory_b);
    const double prob[TARGETS] = {0.1, 0.5, 0.2, 0.2};
    double most = 0.0;
    for (size_t i = 0; i < 200; i++) {
        uint16_t counts[UNITS], turned[UNITS];
        float features[FEATURES];
        random_frame(&a.model, &random, 0.1, counts, features);
        for (size_t n = 0; n < UNITS; n++)
            turned[UNITS - 1 - n] = counts[n];
        mark(one, i, prob);
        mark(other, i, prob);
        const struct snapshot x = take(one, counts, features, i);
        const struct snapshot y = take(other, turned, features, i);
        const double apart = farthest(&x, &y);
        most = apart > most ? apart : most;
    }
    printf("units in reverse: estimates differ by at most %.2g\n", most);
    assert_true(most < 1e-10);
    free(memory_a);
    free(memory_b);
    random_model_free(&a);
    random_model_free(&b);
}

/* Target m of one is target m + 1 of the other, and its components stand in another order. */
static void turned_targets(const struct random_model *from, struct random_model *to)
{
    const size_t s = from->model.dims.state;
    for (size_t k = 0; k < COMPONENTS; k++) {
        const size_t j = (k + 2) % COMPONENTS;
        memcpy(to->transition + j * s * s, from->transition + k * s * s, s * s * sizeof(double));
        memcpy(to->noise + j * s * s, from->noise + k * s * s, s * s * sizeof(double));
        memcpy(to->start_cov + j * s * s, from->start_cov + k * s * s, s * s * sizeof(double));
        memcpy(to->drift + j * s, from->drift + k * s, s * sizeof(double));
        memcpy(to->start + j * s, from->start + k * s, s * sizeof(double));
        to->prior[j] = from->prior[k];
        to->restarts[j] = from->restarts[k];
        to->own[j] = from->own[k];
        to->warped[j] = from->warped[k];
        to->target[j] = from->target[k] < 0 ? -1 : (from->target[k] + 1) % TARGETS;
    }
    for (size_t m = 0; m < TARGETS; m++) {
        const size_t j = (m + 1) % TARGETS;
        memcpy(to->position + 2 * j, from->position + 2 * m, 2 * sizeof(double));
        memcpy(to->rate + j * UNITS, from->rate + m * UNITS, UNITS * sizeof(double));
    }
}

static void order_of_targets_is_nothing(void **state)
{
    struct random random = {*(uint64_t *)*state + 1};
    struct random copy = random;
    struct random_model a, b;
    usual_model(&a, &random);
    usual_model(&b, &copy);
    turned_targets(&a, &b);
    void *memory_a, *memory_b;
    struct traj_decoder *one = random_decoder(&a.model, NULL, &memory_a);
    struct traj_decoder *other = random_decoder(&b.model, NULL, &memory_b);
    const double prob[TARGETS] = {0.1, 0.5, 0.3, 0.1};
    const double turned_prob[TARGETS] = {0.1, 0.1, 0.5, 0.3};
    double most = 0.0;
    for (size_t i = 0; i < 200; i++) {
        uint16_t counts[UNITS];
        float features[FEATURES];
        random_frame(&a.model, &random, 0.1, counts, features);
        mark(one, i, prob);
        mark(other, i, turned_prob);
        const struct snapshot x = take(one, counts, features, i);
        struct snapshot y = take(other, counts, features, i);
        double turned[TARGETS];
        for (size_t m = 0; m < TARGETS; m++)
            turned[m] = y.number[12 + (m + 1) % TARGETS];
        memcpy(y.number + 12, turned, sizeof turned);
        const double apart = farthest(&x, &y);
        most = apart > most ? apart : most;
    }
    printf("targets and components turned round: estimates differ by at most %.2g\n", most);
    assert_true(most < 1e-10);
    free(memory_a);
    free(memory_b);
    random_model_free(&a);
    random_model_free(&b);
}

/* --- a unit that is never observed ------------------------------------------------------------ */

static void widened(const struct random_model *from, struct random_model *to, size_t at)
{
    const size_t s = from->model.dims.state;
    const struct traj_dims dims = to->model.dims;
    const struct traj_model filled = from->model;
    for (size_t n = 0, m = 0; m < UNITS + 1; m++) {
        if (m == at)
            continue;
        memcpy(to->weight + m * s, from->weight + n * s, s * sizeof(double));
        to->offset[m] = from->offset[n];
        to->lag[m] = from->lag[n];
        for (size_t w = 0; w < OWN; w++) {
            memcpy(to->own_weight + (w * (UNITS + 1) + m) * s,
                   from->own_weight + (w * UNITS + n) * s, s * sizeof(double));
            to->own_offset[w * (UNITS + 1) + m] = from->own_offset[w * UNITS + n];
        }
        for (size_t t = 0; t < TARGETS; t++)
            to->rate[t * (UNITS + 1) + m] = from->rate[t * UNITS + n];
        n++;
    }
    struct traj_tuning tuning = to->model.tuning;
    tuning.own = from->model.tuning.own;
    const double *rate = to->rate;
    to->model = filled;
    to->model.dims = dims;
    to->model.tuning = tuning;
    to->model.plan.rate = rate;
}

static void an_unobserved_unit_is_nothing(void **state)
{
    struct random random = {*(uint64_t *)*state + 2};
    struct random other_random = {99};
    struct random_model a, b;
    struct traj_dims dims = usual_dims();
    dims.units = UNITS + 1;
    usual_model(&a, &random);
    random_model_make(&b, &other_random, &dims, 2);
    const size_t at = random_below(&random, UNITS + 1);
    widened(&a, &b, at);
    void *memory_a, *memory_b;
    struct traj_decoder *one = random_decoder(&a.model, NULL, &memory_a);
    struct traj_decoder *other = random_decoder(&b.model, NULL, &memory_b);
    const double prob[TARGETS] = {0.25, 0.5, 0.0, 0.25};
    for (size_t i = 0; i < 200; i++) {
        uint16_t counts[UNITS], more[UNITS + 1];
        float features[FEATURES];
        random_frame(&a.model, &random, 0.1, counts, features);
        for (size_t n = 0; n <= UNITS; n++)
            more[n] = n < at ? counts[n] : n == at ? TRAJ_COUNT_MISSING : counts[n - 1];
        mark(one, i, prob);
        mark(other, i, prob);
        const struct snapshot x = take(one, counts, features, i);
        const struct snapshot y = take(other, more, features, i);
        assert_true(same_bits(&x, &y));
    }
    printf("a unit that is never observed, at place %zu: the same bits\n", at);
    free(memory_a);
    free(memory_b);
    random_model_free(&a);
    random_model_free(&b);
}

/* --- probabilities ---------------------------------------------------------------------------- */

/* The published probabilities as struct traj_calibration defines them, that of free last. */
static void expect_calibrated(const struct traj_calibration *calibration,
                              const struct traj_estimate *raw, double *expected)
{
    double sum = 0.0, most = 0.0;
    for (size_t m = 0; m <= TARGETS; m++) {
        expected[m] =
            m < TARGETS ? raw->target_prob[m] : raw->free_prob * exp(calibration->free_bias);
        most = m < TARGETS ? fmax(most, expected[m]) : most;
        sum += expected[m];
    }
    const double power = calibration->target_power + calibration->target_rise * most / sum;
    sum = 0.0;
    for (size_t m = 0; m <= TARGETS; m++)
        sum += expected[m] = pow(expected[m], power);
    for (size_t m = 0; m <= TARGETS; m++)
        expected[m] /= sum;
}

/* How far two entries of the calibrated covariance of position are from what they should be. */
static double apart_from_calibrated(const struct traj_calibration *calibration, bool marks,
                                    const double *raw, const double *found)
{
    const double factor =
        calibration->position_scale * (marks ? 1.0 : exp(calibration->position_unmarked));
    const double share = calibration->position_round;
    const double across = factor * (1.0 - share) * raw[1];
    const double along = factor * ((1.0 - share) * raw[0] + share * (raw[0] + raw[3]) / 2.0);
    return fmax(fabs(found[1] - across), fabs(found[0] - along)) / along;
}

static void calibration_is_what_it_says(void **state)
{
    struct random random = {*(uint64_t *)*state + 3};
    struct random_model made;
    usual_model(&made, &random);
    made.model.calibration = (struct traj_calibration){.position_scale = 1.7,
                                                       .position_round = 0.25,
                                                       .position_unmarked = 0.5,
                                                       .velocity_scale = 0.6,
                                                       .target_power = 0.35,
                                                       .target_rise = 0.9,
                                                       .free_bias = -1.5};
    void *memory;
    struct traj_decoder *decoder = random_decoder(&made.model, NULL, &memory);
    const double prob[TARGETS] = {0.7, 0.0, 0.1, 0.2};
    double most = 0.0;
    for (size_t i = 0; i < 2000; i++) {
        uint16_t counts[UNITS];
        float features[FEATURES];
        random_frame(&made.model, &random, 0.1, counts, features);
        mark(decoder, i, prob);
        traj_decoder_marks(decoder, i % 400 < 200);
        const struct traj_observation frame = {counts, features, 0.02, 1};
        struct traj_estimate estimate;
        traj_decoder_step(decoder, &frame, &estimate);
        double before = estimate.free_prob, after, expected[TARGETS + 1];
        double covariance[4];
        memcpy(covariance, estimate.position_cov, sizeof covariance);
        const double other_covariance = estimate.velocity_cov[3];
        for (size_t m = 0; m < TARGETS; m++)
            before += estimate.target_prob[m];
        expect_calibrated(&made.model.calibration, &estimate, expected);
        traj_decoder_calibrate(decoder, &estimate);
        after = estimate.free_prob;
        most = fmax(most, fabs(after - expected[TARGETS]));
        for (size_t m = 0; m < TARGETS; m++) {
            assert_true(estimate.target_prob[m] >= 0.0 && estimate.target_prob[m] <= 1.0);
            after += estimate.target_prob[m];
            most = fmax(most, fabs(estimate.target_prob[m] - expected[m]));
        }
        most = fmax(most, fmax(fabs(before - 1.0), fabs(after - 1.0)));
        most = fmax(most, apart_from_calibrated(&made.model.calibration, i % 400 < 200, covariance,
                                                estimate.position_cov));
        assert_true(estimate.velocity_cov[3] == 0.6 * other_covariance);
    }
    printf("probabilities sum to 1 and covariances are calibrated within %.2g\n", most);
    assert_true(most < 1e-12);
    free(memory);
    random_model_free(&made);
}

/* Runs a decoder through trials; at set frames either a prior or nothing, calibrated or not. */
static void run(const struct traj_model *model, uint64_t seed, const double *prob, bool calibrate,
                void *memory, size_t size, struct snapshot *out, size_t frames)
{
    struct random random = {seed};
    struct traj_decoder *decoder = NULL;
    assert_int_equal(traj_decoder_init(memory, size, model, NULL, &decoder), TRAJ_OK);
    for (size_t i = 0; i < frames; i++) {
        uint16_t counts[UNITS];
        float features[FEATURES];
        random_frame(model, &random, 0.1, counts, features);
        if (i % 30 == 3)
            traj_decoder_trial_start(decoder);
        if (prob && (i % 30 == 4 || i % 30 == 20))
            assert_int_equal(traj_decoder_target_prior(decoder, prob), TRAJ_OK);
        const struct traj_observation frame = {counts, features, 0.02, 1};
        struct traj_estimate estimate;
        traj_decoder_step(decoder, &frame, &estimate);
        out[i] = snap(&estimate);
        if (calibrate)
            traj_decoder_calibrate(decoder, &estimate);
    }
}

#define RUN 150

static void priors_and_calibration(void **state)
{
    static struct snapshot plain[RUN], uniform[RUN], leaning[RUN], calibrated[RUN];
    struct random random = {*(uint64_t *)*state + 4};
    struct random_model made;
    usual_model(&made, &random);
    made.model.calibration = (struct traj_calibration){
        .position_scale = 2.0, .velocity_scale = 3.0, .target_power = 0.5};
    const size_t size = traj_decoder_size(&made.model.dims);
    void *memory = malloc(size);
    assert_non_null(memory);
    const double even[TARGETS] = {3.0, 3.0, 3.0, 3.0};
    const double lean[TARGETS] = {3.0, 1.0, 1.0, 1.0};
    run(&made.model, 8, NULL, false, memory, size, plain, RUN);
    run(&made.model, 8, even, false, memory, size, uniform, RUN);
    run(&made.model, 8, lean, false, memory, size, leaning, RUN);
    run(&made.model, 8, NULL, true, memory, size, calibrated, RUN);
    double even_apart = 0.0, lean_apart = 0.0;
    for (size_t i = 0; i < RUN; i++) {
        even_apart = fmax(even_apart, farthest(&plain[i], &uniform[i]));
        lean_apart = fmax(lean_apart, farthest(&plain[i], &leaning[i]));
        assert_true(same_bits(&plain[i], &calibrated[i]));
    }
    printf(
        "a uniform prior changes estimates by %.2g, a leaning one by %.2g; calibration nothing\n",
        even_apart, lean_apart);
    assert_true(even_apart < 1e-12 && lean_apart > 1e-3);
    free(memory);
    random_model_free(&made);
}

/* --- hostile numbers -------------------------------------------------------------------------- */

/* Every number finite, every variance positive; `definite`: every covariance has a factor. */
static void assert_sane(const struct traj_decoder *decoder, const struct traj_estimate *estimate,
                        bool definite)
{
    const size_t s = traj_decoder_model(decoder)->dims.state;
    double mean[TRAJ_STATE_MAX], cov[TRAJ_STATE_MAX * TRAJ_STATE_MAX], log_weight;
    double factor[TRAJ_STATE_MAX * TRAJ_STATE_MAX];
    const struct snapshot all = snap(estimate);
    assert_true(traj_all_finite(sizeof all.number / sizeof *all.number, all.number));
    for (size_t i = 0; i < 4; i += 3)
        assert_true(estimate->position_cov[i] > 0.0 && estimate->velocity_cov[i] > 0.0);
    if (definite)
        assert_true(traj_cholesky(2, estimate->position_cov, factor) &&
                    traj_cholesky(2, estimate->velocity_cov, factor));
    for (size_t k = 0; k < traj_decoder_model(decoder)->dims.components; k++) {
        traj_decoder_component(decoder, k, &log_weight, mean, cov);
        assert_true(log_weight <= 1e-9 && !isnan(log_weight));
        assert_true(traj_all_finite(s, mean) && traj_all_finite(s * s, cov));
        for (size_t i = 0; i < s; i++)
            assert_true(cov[i * s + i] > 0.0);
        assert_true(!definite || traj_cholesky(s, cov, factor));
    }
}

static void hostile_frame(struct random *random, uint16_t *counts, float *features, double *dt)
{
    static const uint16_t odd_counts[] = {0, 1, 1000, 65534, TRAJ_COUNT_MISSING};
    static const float odd_features[] = {0.0f, 1e30f, -3e38f, 1e-40f, NAN, INFINITY, -INFINITY};
    static const double widths[] = {0.02, 1e-9, 1e6, DBL_MIN, DBL_MAX};
    const bool uniform = random_below(random, 2) == 0;
    const size_t one = random_below(random, 5);
    for (size_t n = 0; n < UNITS; n++)
        counts[n] = odd_counts[uniform ? one : random_below(random, 5)];
    for (size_t f = 0; f < FEATURES; f++)
        features[f] = odd_features[random_below(random, 7)];
    *dt = widths[random_below(random, 5)];
}

static void hostile_numbers_stay_finite(void **state)
{
    struct random random = {*(uint64_t *)*state + 5};
    struct random_model made;
    usual_model(&made, &random);
    for (size_t i = 0; i < UNITS * 6; i++)
        made.weight[i] *= i % 3 ? 1.0 : 100.0;
    void *memory;
    struct traj_decoder *decoder = random_decoder(&made.model, NULL, &memory);
    const double prob[TARGETS] = {1.0, 0.0, 0.0, DBL_MAX};
    size_t recovered = 0;
    for (size_t i = 0; i < 4000; i++) {
        uint16_t counts[UNITS];
        float features[FEATURES];
        double dt;
        hostile_frame(&random, counts, features, &dt);
        mark(decoder, i, prob);
        if (i % 500 == 0)
            traj_decoder_marks(decoder, i % 1000 == 0);
        const struct traj_observation frame = {counts, features, dt,
                                               i % 97 == 96 ? SIZE_MAX : 1 + i % 3};
        struct traj_estimate estimate;
        assert_int_equal(traj_decoder_step(decoder, &frame, &estimate), TRAJ_OK);
        assert_sane(decoder, &estimate, false);
        recovered += (estimate.flags & TRAJ_FLAG_RECOVERED) != 0;
    }
    struct traj_estimate estimate;
    for (size_t i = 0; i < 300; i++) {
        uint16_t counts[UNITS];
        float features[FEATURES];
        random_frame(&made.model, &random, 0.0, counts, features);
        const struct traj_observation frame = {counts, features, 0.02, 1};
        traj_decoder_step(decoder, &frame, &estimate);
    }
    printf("4000 hostile frames: everything finite, %zu recoveries; 300 good frames later the "
           "position is %.2g\n",
           recovered, estimate.position[0]);
    assert_sane(decoder, &estimate, true);
    assert_true(fabs(estimate.position[0]) < 100.0);
    free(memory);
    random_model_free(&made);
}

/* A transition that explodes over a long gap breaks its component, and that alone. */
static void a_broken_component_is_rebuilt(void **state)
{
    struct random random = {*(uint64_t *)*state + 6};
    struct random_model made;
    usual_model(&made, &random);
    made.model.plan.end = 0.0;
    made.transition[0] = 1e12;
    made.warped[0] = -1; /* whose start is not the model's array */
    void *memory;
    struct traj_decoder *decoder = random_decoder(&made.model, NULL, &memory);
    uint16_t counts[UNITS];
    float features[FEATURES];
    struct traj_estimate estimate;
    traj_decoder_trial_start(decoder);
    for (size_t i = 0; i < 20; i++) {
        random_frame(&made.model, &random, 0.0, counts, features);
        const struct traj_observation frame = {counts, features, 0.02, i == 10 ? 200 : 1};
        traj_decoder_step(decoder, &frame, &estimate);
        assert_sane(decoder, &estimate, true);
        assert_int_equal((estimate.flags & TRAJ_FLAG_RECOVERED) != 0, i == 10);
        double log_weight, mean[6], cov[36];
        traj_decoder_component(decoder, 0, &log_weight, mean, cov);
        assert_true(isfinite(log_weight));
        if (i == 10)
            assert_memory_equal(mean, made.start, sizeof mean);
    }
    free(memory);
    random_model_free(&made);
}

/* --- Newton's steps --------------------------------------------------------------------------- */

/* A burst far from the prediction: the full step overshoots, and only halving finds the way up. */
static void halving_saves_the_step(void **state)
{
    (void)state;
    struct random random = {1};
    struct random_model made;
    const struct traj_dims dims = {.position = 1, .state = 2, .units = 1, .components = 1};
    random_model_make(&made, &random, &dims, 0);
    made.weight[0] = 1.5;
    made.weight[1] = 0.0;
    made.offset[0] = log(2.0);
    made.start_cov[0] = 4.0;
    made.start_cov[1] = made.start_cov[2] = 0.0;
    made.start_cov[3] = 1.0;
    made.start[0] = 0.0;
    const uint16_t counts[1] = {40};
    const struct traj_observation frame = {counts, NULL, 0.02, 1};
    double at[2];
    for (size_t i = 0; i < 2; i++) {
        const struct traj_settings settings = {
            .newton_steps = 60, .halvings = i == 0 ? 0 : 12, .newton_tolerance = 1e-16};
        void *memory;
        struct traj_decoder *decoder = random_decoder(&made.model, &settings, &memory);
        struct traj_estimate estimate;
        traj_decoder_step(decoder, &frame, &estimate);
        at[i] = estimate.position[0];
        free(memory);
    }
    /* The maximum by bisection of the derivative (40 - 0.04 e^{1.5 x}) 1.5 - x / 4. */
    double low = 0.0, high = 20.0;
    for (size_t i = 0; i < 200; i++) {
        const double x = 0.5 * (low + high);
        *((40.0 - 0.04 * exp(1.5 * x)) * 1.5 - x / 4.0 > 0.0 ? &low : &high) = x;
    }
    printf("a burst: maximum at %.12g, found %.12g with halving, %.12g without\n", low, at[1],
           at[0]);
    assert_true(fabs(at[1] - low) < 1e-9);
    assert_true(fabs(at[0] - low) > 0.1);
    random_model_free(&made);
}

/* --- long runs -------------------------------------------------------------------------------- */

static void covariances_stay_definite(void **state)
{
    struct random random = {*(uint64_t *)*state + 7};
    struct random_model made;
    const struct traj_dims dims = {.position = 2,
                                   .state = 6,
                                   .units = 8,
                                   .features = 1,
                                   .targets = TARGETS,
                                   .components = 5,
                                   .lag = 2};
    random_model_make(&made, &random, &dims, 1);
    made.model.plan = (struct traj_plan){0.0, 0.1, made.rate, 0.6};
    made.model.switch_rate = 0.5;
    void *memory;
    struct traj_decoder *decoder = random_decoder(&made.model, NULL, &memory);
    const double prob[TARGETS] = {0.4, 0.3, 0.2, 0.1};
    for (size_t i = 0; i < 100000; i++) {
        uint16_t counts[8];
        float features[1];
        random_frame(&made.model, &random, 0.1, counts, features);
        mark(decoder, i, prob);
        if (i % 10000 == 0)
            traj_decoder_marks(decoder, i % 20000 == 0);
        const struct traj_observation frame = {counts, features, 0.02, 1};
        struct traj_estimate estimate;
        traj_decoder_step(decoder, &frame, &estimate);
        assert_int_equal(estimate.flags, 0);
        if (i % 20 == 0)
            assert_sane(decoder, &estimate, true);
    }
    printf("100000 frames: every covariance positive definite, no recovery\n");
    free(memory);
    random_model_free(&made);
}

int main(void)
{
    uint64_t seed = test_seed(30);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_prestate(order_of_units_is_nothing, &seed),
        cmocka_unit_test_prestate(order_of_targets_is_nothing, &seed),
        cmocka_unit_test_prestate(an_unobserved_unit_is_nothing, &seed),
        cmocka_unit_test_prestate(calibration_is_what_it_says, &seed),
        cmocka_unit_test_prestate(priors_and_calibration, &seed),
        cmocka_unit_test_prestate(hostile_numbers_stay_finite, &seed),
        cmocka_unit_test_prestate(a_broken_component_is_rebuilt, &seed),
        cmocka_unit_test(halving_saves_the_step),
        cmocka_unit_test_prestate(covariances_stay_definite, &seed),
    };
    return cmocka_run_group_tests_name("decoder", tests, NULL, NULL);
}
