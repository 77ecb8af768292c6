/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The decoder against its naive long-double twin: random models and random courses of events with
 * Poisson counts or their roots with correlated noise, Gaussian features, lags, missing units and
 * features, irregular dt, gaps, plan windows, target priors, gaze, trials with and without marks,
 * switching, clocks of their own speed.
 */
#include "tests/oracle/random_model.h"
#include "tests/oracle/twin.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define MODELS 60
#define FRAMES 120

struct apart {
    double mean, cov, weight, evidence, prob; /* largest differences */
};

/* Difference relative to 1 + |truth|. */
static void widen(double *apart, double got, real truth)
{
    double now = (double)(fabsl((real)got - truth) / (1.0L + fabsl(truth)));
    if (isnan(got) != isnan(truth))
        now = INFINITY;
    else if (isnan(got) || (isinf(got) && (real)got == truth))
        now = 0.0;
    if (!(now <= *apart))
        *apart = now;
}

static void compare_components(const struct traj_decoder *decoder, const struct twin *twin,
                               struct apart *apart)
{
    const size_t s = twin->model->dims.state;
    double mean[TRAJ_STATE_MAX], cov[TRAJ_STATE_MAX * TRAJ_STATE_MAX], log_weight;
    for (size_t k = 0; k < twin->model->dims.components; k++) {
        assert_int_equal(traj_decoder_component(decoder, k, &log_weight, mean, cov), TRAJ_OK);
        widen(&apart->weight, log_weight, twin->log_weight[k]);
        if (!twin->present[k])
            continue;
        for (size_t i = 0; i < s; i++)
            widen(&apart->mean, mean[i], twin_mean(twin, k, i));
        for (size_t i = 0; i < s * s; i++)
            widen(&apart->cov, cov[i], twin_cov(twin, k, i / s, i % s));
    }
}

static void compare_estimate(const struct traj_estimate *estimate, const struct twin *twin,
                             struct apart *apart)
{
    const struct traj_dims *dims = &twin->model->dims;
    const size_t d = dims->position, s = dims->state;
    for (size_t i = 0; i < d; i++) {
        widen(&apart->mean, estimate->position[i], twin->mixed_mean[i]);
        widen(&apart->mean, estimate->velocity[i], twin->mixed_mean[d + i]);
        for (size_t j = 0; j < d; j++) {
            widen(&apart->cov, estimate->position_cov[i * d + j], twin->mixed_cov[i * s + j]);
            widen(&apart->cov, estimate->velocity_cov[i * d + j],
                  twin->mixed_cov[(d + i) * s + d + j]);
        }
    }
    real prob[TRAJ_TARGETS_MAX] = {0.0L}, free_prob = 0.0L;
    for (size_t k = 0; k < dims->components; k++) {
        const int32_t m = twin->model->component_target[k];
        *(m < 0 ? &free_prob : &prob[m]) += twin->present[k] ? expl(twin->log_weight[k]) : 0.0L;
    }
    for (size_t m = 0; m < dims->targets; m++)
        widen(&apart->prob, estimate->target_prob[m], prob[m]);
    widen(&apart->prob, estimate->free_prob, free_prob);
    widen(&apart->evidence, estimate->log_evidence, twin->log_evidence);
    assert_int_equal(estimate->phase, twin->phase);
    assert_int_equal(estimate->flags, 0);
}

/* Now and then an event, to both. */
static void disturb(struct random *random, struct traj_decoder *decoder, struct twin *twin)
{
    const struct traj_dims *dims = &twin->model->dims;
    double prob[TRAJ_TARGETS_MAX], position[TRAJ_DIM_MAX], cov[TRAJ_DIM_MAX * TRAJ_DIM_MAX];
    switch (random_below(random, 40)) {
    case 0:
    case 1:
    case 2:
        traj_decoder_trial_start(decoder);
        twin_start(twin);
        break;
    case 3:
        traj_decoder_trial_stop(decoder);
        twin_stop(twin);
        break;
    case 4:
        traj_decoder_go(decoder);
        twin_go(twin);
        break;
    case 5:
    case 6:
        for (size_t m = 0; m < dims->targets; m++)
            prob[m] = random_below(random, 4) ? random_uniform(random) + 1e-3 : 0.0;
        if (dims->targets > 0) {
            prob[0] += 0.25;
            assert_int_equal(traj_decoder_target_prior(decoder, prob), TRAJ_OK);
            twin_prior(twin, prob);
        }
        break;
    case 7:
        for (size_t d = 0; d < dims->position; d++)
            position[d] = 2.0 * random_normal(random);
        random_covariance(random, dims->position, 1.5, cov);
        if (dims->targets > 0) {
            assert_int_equal(traj_decoder_gaze(decoder, position, cov), TRAJ_OK);
            twin_gaze(twin, position, cov);
        }
        break;
    case 8:
        traj_decoder_marks(decoder, !twin->marks);
        twin_marks(twin, !twin->marks);
        break;
    case 9:
        if (random_below(random, 4) == 0) {
            traj_decoder_reset(decoder);
            twin_reset(twin);
        }
        break;
    default:
        break;
    }
}

static struct traj_dims draw_dims(struct random *random, size_t *free_components)
{
    const size_t d = 1 + random_below(random, 3);
    const size_t kind = random_below(random, 3);
    struct traj_dims dims = {
        .position = d,
        .state = d * (2 + random_below(random, 2)),
        .units = kind == 0 ? 0 : 1 + random_below(random, 20),
        .features = kind == 1 ? 0 : 1 + random_below(random, 6),
        .targets = random_below(random, 5),
        .lag = random_below(random, 6),
    };
    dims.components = 1 + random_below(random, 5);
    dims.tunings = random_below(random, dims.components + 1);
    dims.delay = random_below(random, 4);
    dims.warps = random_below(random, dims.components + 1);
    dims.factors = random_below(random, 2) ? random_below(random, dims.units + 1) : 0;
    *free_components = random_below(random, dims.components < 2 ? dims.components + 1 : 3);
    return dims;
}

static void draw_policy(struct random_model *made, struct random *random)
{
    struct traj_model *model = &made->model;
    if (random_below(random, 2)) {
        model->plan.end = model->bin_width * (1.0 + (double)random_below(random, 12));
        model->plan.begin = model->plan.end * 0.5 * random_uniform(random);
        model->plan.rate = random_below(random, 4) && model->dims.targets ? made->rate : NULL;
        model->plan.temper = random_between(random, 0.2, 1.0);
    }
    model->switch_rate = random_below(random, 3) ? random_between(random, 0.1, 5.0) : 0.0;
    model->evidence_temper = random_below(random, 2) ? 1.0 : random_between(random, 0.1, 1.0);
}

static void run_model(struct random *random, const struct traj_settings *settings,
                      size_t twin_steps, struct apart *apart)
{
    size_t free_components;
    const struct traj_dims dims = draw_dims(random, &free_components);
    struct random_model made;
    random_model_make(&made, random, &dims, free_components);
    draw_policy(&made, random);
    void *memory;
    struct traj_decoder *decoder = random_decoder(&made.model, settings, &memory);
    struct twin twin;
    twin_init(&twin, &made.model);
    twin.newton_steps = twin_steps;
    uint16_t *counts = calloc(dims.units + 1, sizeof *counts);
    float *features = calloc(dims.features + 1, sizeof *features);
    assert_true(counts && features);
    for (size_t i = 0; i < FRAMES; i++) {
        disturb(random, decoder, &twin);
        random_frame(&made.model, random, i % 3 ? 0.0 : 0.2, counts, features);
        const struct traj_observation frame = {
            .counts = random_below(random, 15) ? counts : NULL,
            .features = random_below(random, 15) ? features : NULL,
            .dt = made.model.bin_width * random_between(random, 0.6, 1.5),
            .steps = random_below(random, 10) ? 1 : 1 + random_below(random, 20),
        };
        struct traj_estimate estimate;
        assert_int_equal(traj_decoder_step(decoder, &frame, &estimate), TRAJ_OK);
        twin_step(&twin, &frame);
        compare_components(decoder, &twin, apart);
        compare_estimate(&estimate, &twin, apart);
    }
    free(counts);
    free(features);
    twin_free(&twin);
    free(memory);
    random_model_free(&made);
}

static void run_all(uint64_t seed, const struct traj_settings *settings, size_t twin_steps,
                    const char *name, struct apart *apart)
{
    struct random random = {seed};
    *apart = (struct apart){0};
    for (size_t i = 0; i < MODELS; i++)
        run_model(&random, settings, twin_steps, apart);
    printf("%s: %d models of %d frames, largest differences relative to 1 + |x|:\n"
           "  mean %.2g, covariance %.2g, log weight %.2g, evidence %.2g, probability %.2g\n",
           name, MODELS, FRAMES, apart->mean, apart->cov, apart->weight, apart->evidence,
           apart->prob);
}

static bool within(const struct apart *apart, double bound)
{
    return apart->mean <= bound && apart->cov <= bound && apart->weight <= bound &&
           apart->evidence <= bound && apart->prob <= bound;
}

static void iterated_to_the_end(void **state)
{
    const struct traj_settings tight = {
        .newton_steps = 40, .halvings = 30, .newton_tolerance = 1e-24, .believe = true};
    struct apart apart;
    run_all(*(uint64_t *)*state, &tight, 200, "iterated to the end", &apart);
    assert_true(within(&apart, 1e-10));
}

static void default_settings(void **state)
{
    struct apart apart;
    struct traj_settings usual;
    traj_settings_default(&usual);
    usual.believe = true; /* the twin does, and these counts are wild */
    run_all(*(uint64_t *)*state + 1, &usual, 200, "default settings", &apart);
    assert_true(within(&apart, 2e-6));
}

/* The comparison can fail: one Newton step instead of all is seen. */
static void a_cut_iteration_is_seen(void **state)
{
    struct apart apart;
    struct traj_settings usual;
    traj_settings_default(&usual);
    usual.believe = true;
    run_all(*(uint64_t *)*state + 1, &usual, 1, "twin cut to one Newton step", &apart);
    assert_true(apart.mean > 1e-4);
}

int main(void)
{
    uint64_t seed = test_seed(1217);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_prestate(iterated_to_the_end, &seed),
        cmocka_unit_test_prestate(default_settings, &seed),
        cmocka_unit_test_prestate(a_cut_iteration_is_seen, &seed),
    };
    return cmocka_run_group_tests_name("twin", tests, NULL, NULL);
}
