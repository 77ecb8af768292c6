/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The decoder's memory, its refusals, the phases of a trial, and the table that components fill. */
#include "daemon/model/internal.h"
#include "tests/oracle/random_model.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const struct traj_dims usual = {
    .position = 2, .state = 4, .units = 13, .features = 3, .targets = 3, .components = 4, .lag = 3};

static void usual_model(struct random_model *made)
{
    struct random random = {2026};
    random_model_make(made, &random, &usual, 1);
}

/* Output of a run of frames and events, as bytes. */
struct record {
    double number[60][12];
};

static void fill(struct traj_decoder *decoder, struct record *record)
{
    struct random random = {17};
    memset(record, 0, sizeof *record);
    for (size_t i = 0; i < 60; i++) {
        uint16_t counts[13];
        float features[3];
        random_frame(traj_decoder_model(decoder), &random, 0.1, counts, features);
        if (i % 20 == 2)
            traj_decoder_trial_start(decoder);
        if (i % 20 == 15)
            traj_decoder_trial_stop(decoder);
        const struct traj_observation frame = {counts, features, 0.02, 1 + (i % 9 == 8)};
        struct traj_estimate estimate;
        assert_int_equal(traj_decoder_step(decoder, &frame, &estimate), TRAJ_OK);
        memcpy(record->number[i], estimate.position, 2 * sizeof(double));
        memcpy(record->number[i] + 2, estimate.velocity_cov, 4 * sizeof(double));
        memcpy(record->number[i] + 6, estimate.target_prob, 3 * sizeof(double));
        record->number[i][9] = estimate.log_evidence;
    }
}

static void a_block_too_small_is_refused(void **state)
{
    (void)state;
    struct random_model made;
    usual_model(&made);
    const size_t size = traj_decoder_size(&usual);
    unsigned char *block = malloc(size + 64);
    assert_non_null(block);
    struct traj_decoder *decoder = NULL;
    const size_t less[] = {0, 1, 63, size / 2, size - 64};
    for (size_t i = 0; i < sizeof less / sizeof *less; i++) {
        assert_int_equal(traj_decoder_init(block, less[i], &made.model, NULL, &decoder),
                         TRAJ_E_MEMORY);
        assert_null(decoder);
    }
    assert_int_equal(traj_decoder_init(NULL, size, &made.model, NULL, &decoder), TRAJ_E_MEMORY);
    /* The size asked for suffices at whatever address the block lies. */
    for (size_t shift = 0; shift < 64; shift++) {
        assert_int_equal(traj_decoder_init(block + shift, size, &made.model, NULL, &decoder),
                         TRAJ_OK);
        assert_int_equal((uintptr_t)decoder % 64, 0);
    }
    free(block);
    random_model_free(&made);
}

static void the_block_is_not_overrun(void **state)
{
    (void)state;
    struct random_model made;
    usual_model(&made);
    static struct record clean, dirty;
    const size_t size = traj_decoder_size(&usual), guard = 4096;
    unsigned char *block = malloc(size + 2 * guard);
    assert_non_null(block);
    struct traj_decoder *decoder = NULL;
    for (size_t shift = 0; shift < 64; shift += 7) {
        memset(block, (int)(0xa5 + shift), size + 2 * guard);
        assert_int_equal(
            traj_decoder_init(block + guard - shift, size, &made.model, NULL, &decoder), TRAJ_OK);
        fill(decoder, shift == 0 ? &clean : &dirty);
        for (size_t i = 0; i < guard - shift; i++)
            assert_int_equal(block[i], (0xa5 + shift) & 0xff);
        for (size_t i = guard - shift + size; i < size + 2 * guard; i++)
            assert_int_equal(block[i], (0xa5 + shift) & 0xff);
        /* And what the block held before is nothing. */
        assert_true(shift == 0 || memcmp(&clean, &dirty, sizeof clean) == 0);
    }
    free(block);
    random_model_free(&made);
}

static void size_grows_with_every_dimension(void **state)
{
    (void)state;
    struct traj_dims dims = usual;
    const size_t before = traj_decoder_size(&dims);
    size_t *const each[] = {&dims.units, &dims.features, &dims.targets, &dims.components,
                            &dims.lag};
    for (size_t i = 0; i < sizeof each / sizeof *each; i++) {
        *each[i] += 50;
        assert_true(traj_decoder_size(&dims) > before);
        *each[i] -= 50;
    }
    dims.state = 6;
    assert_true(traj_decoder_size(&dims) > before);
    const struct traj_dims largest = {.position = TRAJ_DIM_MAX,
                                      .state = TRAJ_STATE_MAX,
                                      .units = TRAJ_UNITS_MAX,
                                      .targets = TRAJ_TARGETS_MAX,
                                      .components = TRAJ_COMPONENTS_MAX,
                                      .lag = TRAJ_LAG_MAX};
    printf("bytes: usual %zu, largest without features %zu\n", before, traj_decoder_size(&largest));
    assert_true(traj_decoder_size(&largest) > before);
    const struct traj_dims absurd[] = {
        {.units = 5, .components = 1},
        {.position = 2, .state = 5, .units = 5, .components = 1},
        {.position = 2, .state = 8, .units = 5, .components = 1},
        {.position = 2, .state = 4, .components = 1},
        {.position = 2, .state = 4, .units = 8193, .components = 1},
        {.position = 2, .state = 4, .units = 5, .features = 8193, .components = 1},
        {.position = 2, .state = 4, .units = 5, .targets = 257, .components = 1},
        {.position = 2, .state = 4, .units = 5},
        {.position = 2, .state = 4, .units = 5, .components = 321},
        {.position = 2, .state = 4, .units = 5, .components = 1, .lag = 64},
        {.position = 17, .state = 34, .units = 5, .components = 1},
        {.position = 2, .state = 4, .units = SIZE_MAX, .components = 1},
        {.position = SIZE_MAX, .state = 4, .units = 5, .components = 1}};
    for (size_t i = 0; i < sizeof absurd / sizeof *absurd; i++)
        assert_int_equal(traj_decoder_size(&absurd[i]), 0);
}

static void the_largest_runs(void **state)
{
    (void)state;
    const struct traj_dims dims = {.position = 16,
                                   .state = 48,
                                   .units = 1000,
                                   .targets = 5,
                                   .components = 6,
                                   .lag = TRAJ_LAG_MAX};
    struct random random = {3};
    struct random_model made;
    random_model_make(&made, &random, &dims, 1);
    void *memory;
    struct traj_decoder *decoder = random_decoder(&made.model, NULL, &memory);
    uint16_t counts[1000];
    struct traj_estimate estimate;
    for (size_t i = 0; i < 70; i++) {
        random_frame(&made.model, &random, 0.0, counts, NULL);
        const struct traj_observation frame = {counts, NULL, 0.02, 1};
        assert_int_equal(traj_decoder_step(decoder, &frame, &estimate), TRAJ_OK);
        assert_int_equal(estimate.flags, 0);
        assert_true(isfinite(estimate.position[15]) && estimate.velocity_cov[255] > 0.0);
    }
    free(memory);
    random_model_free(&made);
}

static void a_refused_step_changes_nothing(void **state)
{
    (void)state;
    struct random_model made;
    usual_model(&made);
    static struct record plain, disturbed;
    void *memory;
    struct traj_decoder *decoder = random_decoder(&made.model, NULL, &memory);
    fill(decoder, &plain);
    traj_decoder_reset(decoder);
    const uint16_t counts[13] = {9, 9, 9};
    const double widths[] = {0.0, -0.02, NAN, INFINITY, 0.02};
    struct traj_estimate estimate;
    for (size_t i = 0; i < 5; i++) {
        const struct traj_observation frame = {counts, NULL, widths[i], i == 4 ? 0 : 1};
        assert_int_equal(traj_decoder_step(decoder, &frame, &estimate), TRAJ_E_RANGE);
    }
    const double wrong[][3] = {{0, 0, 0}, {1, -0.1, 1}, {1, NAN, 1}, {1, INFINITY, 1}};
    for (size_t i = 0; i < 4; i++)
        assert_int_not_equal(traj_decoder_target_prior(decoder, wrong[i]), TRAJ_OK);
    const double position[2] = {0.0, 0.0}, nowhere[2] = {NAN, 0.0};
    const double round_cov[4] = {1, 0, 0, 1}, flat[4] = {1, 1, 1, 1};
    assert_int_equal(traj_decoder_gaze(decoder, nowhere, round_cov), TRAJ_E_NONFINITE);
    assert_int_equal(traj_decoder_gaze(decoder, position, flat), TRAJ_E_NOT_PD);
    /* Reset forgets: the same frames give the same bits again. */
    fill(decoder, &disturbed);
    assert_memory_equal(&plain, &disturbed, sizeof plain);
    double log_weight, mean[4], cov[16];
    assert_int_equal(traj_decoder_component(decoder, 4, &log_weight, mean, cov), TRAJ_E_RANGE);
    free(memory);
    random_model_free(&made);
}

static struct traj_estimate step(struct traj_decoder *decoder, struct random *random, size_t steps)
{
    uint16_t counts[13];
    float features[3];
    random_frame(traj_decoder_model(decoder), random, 0.0, counts, features);
    const struct traj_observation frame = {counts, features, 0.02, steps};
    struct traj_estimate estimate;
    assert_int_equal(traj_decoder_step(decoder, &frame, &estimate), TRAJ_OK);
    return estimate;
}

static double free_mean(const struct traj_decoder *decoder)
{
    double log_weight, mean[4], cov[16];
    traj_decoder_component(decoder, 3, &log_weight, mean, cov);
    return mean[0];
}

static void phases_of_a_trial(void **state)
{
    (void)state;
    struct random_model made;
    usual_model(&made);
    made.model.plan = (struct traj_plan){0.04, 0.10, made.rate, 1.0};
    void *memory;
    struct traj_decoder *decoder = random_decoder(&made.model, NULL, &memory);
    struct random random = {5};
    struct traj_estimate now = step(decoder, &random, 1);
    assert_int_equal(now.phase, TRAJ_PHASE_NONE);
    assert_true(now.free_prob == 1.0 && now.target_prob[0] == 0.0);

    /* Two bins before the window change nothing about the targets, three within do, then it
     * ends. */
    traj_decoder_trial_start(decoder);
    for (size_t bin = 1; bin <= 5; bin++) {
        now = step(decoder, &random, 1);
        assert_int_equal(now.phase, TRAJ_PHASE_PLAN);
        const double ratio = now.target_prob[0] / made.prior[0];
        assert_int_equal(fabs(ratio - 1.0) > 1e-9, bin > 2);
        assert_true(fabs(now.free_prob / made.prior[3] - 1.0) < 0.5);
    }
    now = step(decoder, &random, 1);
    assert_int_equal(now.phase, TRAJ_PHASE_MOVE);

    /* The go cue ends the window; stop leaves the free component where the mixture was. */
    traj_decoder_trial_start(decoder);
    step(decoder, &random, 1);
    traj_decoder_go(decoder);
    now = step(decoder, &random, 1);
    assert_int_equal(now.phase, TRAJ_PHASE_MOVE);
    now = step(decoder, &random, 1);
    const double mixture = now.position[0];
    assert_true(fabs(free_mean(decoder) - mixture) > 1e-6);
    traj_decoder_trial_stop(decoder);
    assert_true(fabs(free_mean(decoder) - mixture) < 1e-12);
    now = step(decoder, &random, 1);
    assert_int_equal(now.phase, TRAJ_PHASE_NONE);
    assert_true(now.free_prob == 1.0);

    /* A window that ends inside a gap: the movement is as old as it is. */
    traj_decoder_trial_start(decoder);
    step(decoder, &random, 30);
    now = step(decoder, &random, 8);
    assert_int_equal(now.phase, TRAJ_PHASE_MOVE);
    free(memory);
    random_model_free(&made);
}

/* The first bin of a movement is x_1 itself: with nothing observed it is the start distribution. */
static void the_first_bin_is_not_predicted_to(void **state)
{
    (void)state;
    struct random_model made;
    usual_model(&made);
    void *memory;
    struct traj_decoder *decoder = random_decoder(&made.model, NULL, &memory);
    struct random random = {6};
    for (size_t i = 0; i < 4; i++)
        step(decoder, &random, 1);
    const double was = free_mean(decoder);
    traj_decoder_trial_start(decoder);
    const struct traj_observation nothing = {NULL, NULL, 0.02, 9};
    struct traj_estimate estimate;
    double log_weight, mean[4], cov[16];
    traj_decoder_step(decoder, &nothing, &estimate);
    assert_true(estimate.log_evidence == 0.0);
    for (size_t k = 0; k < 3; k++) {
        traj_decoder_component(decoder, k, &log_weight, mean, cov);
        assert_memory_equal(mean, made.start + 4 * k, sizeof mean);
        assert_memory_equal(cov, made.start_cov + 16 * k, sizeof cov);
    }
    assert_true(free_mean(decoder) != was);
    traj_decoder_step(decoder, &nothing, &estimate);
    traj_decoder_component(decoder, 0, &log_weight, mean, cov);
    assert_true(mean[0] != made.start[0]);
    free(memory);
    random_model_free(&made);
}

/* --- a component of another family ------------------------------------------------------------ */

static void stay(void *self, size_t steps)
{
    (void)self;
    (void)steps;
}

static double broken(void *self, const struct traj_observed *observed)
{
    (void)self;
    (void)observed;
    return NAN;
}

static void the_mixture_knows_components_by_their_table(void **state)
{
    (void)state;
    struct random_model made;
    usual_model(&made);
    void *memory;
    struct traj_decoder *decoder = random_decoder(&made.model, NULL, &memory);
    struct random random = {7};
    struct traj_component_table other = *decoder->mixture.component[1].table;
    other.predict = stay;
    decoder->mixture.component[1].table = &other;
    struct traj_estimate now = step(decoder, &random, 1);
    /* What components do not know is left undefined. */
    assert_true(isnan(now.progress) && isnan(now.eta) && !now.place_prob);
    traj_decoder_trial_start(decoder);
    now = step(decoder, &random, 1);
    assert_int_equal(now.flags, 0);
    other.update = broken;
    now = step(decoder, &random, 1);
    assert_int_equal(now.flags, TRAJ_FLAG_RECOVERED);
    assert_true(isfinite(now.log_evidence) && now.target_prob[1] > 0.0);
    free(memory);
    random_model_free(&made);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_block_too_small_is_refused),
        cmocka_unit_test(the_block_is_not_overrun),
        cmocka_unit_test(size_grows_with_every_dimension),
        cmocka_unit_test(the_largest_runs),
        cmocka_unit_test(a_refused_step_changes_nothing),
        cmocka_unit_test(phases_of_a_trial),
        cmocka_unit_test(the_first_bin_is_not_predicted_to),
        cmocka_unit_test(the_mixture_knows_components_by_their_table),
    };
    return cmocka_run_group_tests_name("decoder", tests, NULL, NULL);
}
