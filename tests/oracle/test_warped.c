/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The time-warped component by itself: with its clock held it is the linear-Gaussian component;
 * what it linearises has the derivatives that differences give; long gaps are predicted as many
 * short ones.  The twin (test_twin.c) has the rest.
 */
#include "daemon/model/component.h"
#include "daemon/model/warped.h"
#include "tests/oracle/random_model.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define SIZE (TRAJ_STATE_MAX + 1)

static struct traj_dims draw_dims(struct random *random)
{
    const size_t d = 1 + random_below(random, 3);
    return (struct traj_dims){.position = d,
                              .state = d * (2 + random_below(random, 2)),
                              .units = 12,
                              .features = random_below(random, 4),
                              .targets = 3,
                              .components = 4,
                              .lag = 3,
                              .delay = random_below(random, 3),
                              .warps = 1};
}

/* Farthest apart of two estimates, relative to 1 + |x|. */
static double apart(const struct traj_dims *dims, const struct traj_estimate *a,
                    const struct traj_estimate *b)
{
    const size_t d = dims->position;
    double most = fabs(a->log_evidence - b->log_evidence) / (1.0 + fabs(b->log_evidence));
    for (size_t i = 0; i < d; i++) {
        most = fmax(most, fabs(a->position[i] - b->position[i]) / (1.0 + fabs(b->position[i])));
        most = fmax(most, fabs(a->velocity[i] - b->velocity[i]) / (1.0 + fabs(b->velocity[i])));
    }
    for (size_t i = 0; i < d * d; i++)
        most = fmax(most, fabs(a->position_cov[i] - b->position_cov[i]) /
                              (1.0 + fabs(b->position_cov[i])));
    for (size_t m = 0; m < dims->targets; m++)
        most = fmax(most, fabs(a->target_prob[m] - b->target_prob[m]));
    return most;
}

/* Both decoders through the same frames; the variance and mean of the clock are as given. */
static double run_both(struct random *random, double mean, double variance)
{
    const struct traj_dims dims = draw_dims(random);
    struct random_model made;
    random_model_make(&made, random, &dims, 1);
    for (size_t k = 0; k < dims.components; k++)
        made.warped[k] = k + 1 < dims.components ? 0 : -1;
    made.speed[0] = mean;
    made.speed_variance[0] = variance;
    made.speed_walk[0] = 0.0;
    made.speed_limit[0] = 1.0;
    struct traj_model plain = made.model;
    plain.dims.warps = 0;
    plain.warp = (struct traj_warp){NULL, NULL, NULL, NULL, NULL};
    void *memory[2];
    struct traj_decoder *warped = random_decoder(&made.model, NULL, &memory[0]);
    struct traj_decoder *linear = random_decoder(&plain, NULL, &memory[1]);
    uint16_t counts[12];
    float features[4];
    double most = 0.0;
    for (size_t i = 0; i < 200; i++) {
        struct traj_estimate a, b;
        if (i % 40 == 3) {
            traj_decoder_trial_start(warped);
            traj_decoder_trial_start(linear);
        }
        random_frame(&made.model, random, i % 3 ? 0.0 : 0.3, counts, features);
        const struct traj_observation frame = {i % 7 ? counts : NULL, features, 0.02,
                                               i % 11 == 5 ? 60 : 1};
        assert_int_equal(traj_decoder_step(warped, &frame, &a), TRAJ_OK);
        assert_int_equal(traj_decoder_step(linear, &frame, &b), TRAJ_OK);
        assert_int_equal(a.flags, 0);
        most = fmax(most, apart(&dims, &a, &b));
    }
    free(memory[0]);
    free(memory[1]);
    random_model_free(&made);
    return most;
}

static void a_held_clock_is_the_linear_component(void **state)
{
    struct random random = {*(uint64_t *)*state};
    double held = 0.0, fast = 0.0, free_clock = 0.0;
    for (size_t i = 0; i < 20; i++)
        held = fmax(held, run_both(&random, 0.0, 0.0));
    for (size_t i = 0; i < 5; i++) {
        fast = fmax(fast, run_both(&random, 0.3, 0.0));
        free_clock = fmax(free_clock, run_both(&random, 0.0, 0.1));
    }
    printf(
        "20 models of 200 frames, gaps and trials: %.2g apart with s = 0 held; %.2g with s = 0.3,"
        " %.2g with s free\n",
        held, fast, free_clock);
    assert_true(held < 1e-12);
    assert_true(fast > 1e-3 && free_clock > 1e-3);
}

/* A component of a random model, alone. */
struct single {
    struct random_model made;
    const struct traj_component_table *table;
    struct traj_settings settings;
    void *self, *scratch;
};

static void *aligned(size_t size)
{
    void *memory = aligned_alloc(64, (size + 63) / 64 * 64);
    assert_non_null(memory);
    memset(memory, 0, size);
    return memory;
}

static void single_make(struct single *single, struct random *random, const struct traj_dims *dims)
{
    random_model_make(&single->made, random, dims, 0);
    single->made.warped[0] = 0;
    single->made.delay[0] = 0;
    single->made.speed_limit[0] = 2.0;
    traj_settings_default(&single->settings);
    single->table = traj_component_of(&single->made.model, 0);
    single->self = aligned(traj_component_size(dims));
    single->scratch = aligned(traj_component_scratch(dims));
    single->table->init(single->self, &single->made.model, 0, &single->settings, single->scratch);
}

static void single_free(struct single *single)
{
    free(single->self);
    free(single->scratch);
    random_model_free(&single->made);
}

/* Where (x, s) goes in one step: the mean does not depend on the covariance. */
static void step_of(struct single *single, const double *x, double s, double *out)
{
    static const double nothing[SIZE * SIZE];
    double cov[SIZE * SIZE];
    single->made.speed[0] = s;
    single->table->init(single->self, &single->made.model, 0, &single->settings, single->scratch);
    single->table->enter(single->self, 1.0, x, nothing);
    single->table->predict(single->self, 1);
    single->table->moments(single->self, out, cov);
}

/* J[S][S + 1] by central differences of the step of the mean. */
static void differences(struct single *single, const double *x, double s, double *jacobian)
{
    const size_t state = single->made.model.dims.state, n = state + 1;
    double moved[SIZE], up[SIZE], down[SIZE];
    const double h = 1e-6;
    for (size_t j = 0; j < n; j++) {
        memcpy(moved, x, state * sizeof *moved);
        if (j < state)
            moved[j] = x[j] + h;
        step_of(single, moved, j < state ? s : s + h, up);
        if (j < state)
            moved[j] = x[j] - h;
        step_of(single, moved, j < state ? s : s - h, down);
        for (size_t i = 0; i < state; i++)
            jacobian[i * n + j] = (up[i] - down[i]) / (2.0 * h);
    }
}

/* The covariance after a step is J P J' + Q; without P it is Q alone, which is taken away. */
static void derivatives_are_those_of_differences(void **state)
{
    struct random random = {*(uint64_t *)*state + 1};
    double most = 0.0, scale = 0.0;
    for (size_t i = 0; i < 30; i++) {
        struct single single;
        const struct traj_dims dims = draw_dims(&random);
        single_make(&single, &random, &dims);
        const size_t s = dims.state, n = s + 1;
        double x[SIZE], cov[SIZE * SIZE], still[SIZE * SIZE], jacobian[SIZE * SIZE], mean[SIZE];
        double prior[SIZE * SIZE];
        for (size_t j = 0; j < s; j++)
            x[j] = random_normal(&random);
        random_covariance(&random, s, 0.7, prior);
        const double speed = random_between(&random, -0.7, 0.7), variance = 0.3;
        single.made.speed_variance[0] = 0.0;
        differences(&single, x, speed, jacobian);
        step_of(&single, x, speed, mean);
        single.table->moments(single.self, mean, still);
        single.made.speed_variance[0] = variance;
        single.made.speed[0] = speed;
        single.table->init(single.self, &single.made.model, 0, &single.settings, single.scratch);
        single.table->enter(single.self, 1.0, x, prior);
        single.table->predict(single.self, 1);
        single.table->moments(single.self, mean, cov);
        for (size_t a = 0; a < s; a++)
            for (size_t b = 0; b < s; b++) {
                double sum = jacobian[a * n + s] * variance * jacobian[b * n + s];
                for (size_t c = 0; c < s; c++)
                    for (size_t d = 0; d < s; d++)
                        sum += jacobian[a * n + c] * prior[c * s + d] * jacobian[b * n + d];
                most = fmax(most, fabs(cov[a * s + b] - still[a * s + b] - sum));
                scale = fmax(scale, fabs(sum));
            }
        single_free(&single);
    }
    printf("J P J' of 30 models: %.2g apart, of at most %.2g\n", most, scale);
    assert_true(most < 1e-7 * scale);
}

/* A gap that is predicted at once, its linearisation kept from some point on, and bin by bin. */
static void long_gaps_end_where_short_steps_do(void **state)
{
    struct random random = {*(uint64_t *)*state + 2};
    double most = 0.0;
    for (size_t i = 0; i < 20; i++) {
        struct single single;
        const struct traj_dims dims = draw_dims(&random);
        single_make(&single, &random, &dims);
        double mean[2][SIZE], cov[2][SIZE * SIZE], speed[2][2];
        for (int once = 0; once < 2; once++) {
            single.table->reset(single.self);
            for (size_t step = 0; step < 400 && !once; step++)
                single.table->predict(single.self, 1);
            if (once)
                single.table->predict(single.self, 400);
            single.table->moments(single.self, mean[once], cov[once]);
            traj_warped_speed(single.self, &speed[once][0], &speed[once][1]);
        }
        assert_true(single.table->sound(single.self));
        assert_true(fabs(speed[0][0] - speed[1][0]) < 1e-12);
        assert_true(fabs(speed[0][1] - speed[1][1]) < 1e-9);
        for (size_t j = 0; j < dims.state; j++)
            most = fmax(most, fabs(mean[0][j] - mean[1][j]) / sqrt(cov[0][j * dims.state + j]));
        single_free(&single);
    }
    printf("means after 400 bins: %.2g standard deviations apart\n", most);
    assert_true(most < 0.1);
}

int main(void)
{
    uint64_t seed = test_seed(2010);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_prestate(a_held_clock_is_the_linear_component, &seed),
        cmocka_unit_test_prestate(derivatives_are_those_of_differences, &seed),
        cmocka_unit_test_prestate(long_gaps_end_where_short_steps_do, &seed),
    };
    return cmocka_run_group_tests_name("warped", tests, NULL, NULL);
}
