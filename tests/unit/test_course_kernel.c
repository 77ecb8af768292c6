/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The filter over courses: exponential and logarithm of four lanes have the scalar's bits, and a
 * decoder that runs the passes compiled for any processor has the bits of one that runs the
 * fastest, and of one that does ahead what it can.
 */
#include "clients/trajctl/bench_model.h"
#include "daemon/learn/model_file.h"
#include "daemon/model/internal.h"
#include "daemon/model/lanes.h"
#include "tests/oracle/chain_model.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define DRAWS 200000

static void exp_of_lanes(const double *x, double *y)
{
    traj_four_put(y, traj_four_exp(traj_four_get(x)));
}

static void log_of_lanes(const double *x, double *y)
{
    traj_four_put(y, traj_four_log(traj_four_get(x)));
}

static void lanes_have_the_bits_of_the_scalar(void **state)
{
    struct random random = {*(uint64_t *)*state};
    const double edge[3][4] = {{0.0, -0.0, 710.5, -746.5},
                               {INFINITY, -INFINITY, NAN, -708.5},
                               {709.7827128933840, -745.1, 1e300, -1e300}};
    for (size_t i = 0; i < DRAWS; i++) {
        double x[4], y[4], got[4];
        for (size_t lane = 0; lane < 4; lane++) {
            x[lane] = i < sizeof edge / sizeof *edge ? edge[i][lane]
                                                     : random_between(&random, -760.0, 730.0);
            y[lane] = traj_exp(x[lane]);
        }
        exp_of_lanes(x, got);
        assert_memory_equal(got, y, sizeof y);
        for (size_t lane = 0; lane < 4; lane++) {
            const double span = i % 2 ? 2.0 : 700.0;
            x[lane] = exp(random_between(&random, -span, span));
            y[lane] = traj_log(x[lane]);
        }
        log_of_lanes(x, got);
        assert_memory_equal(got, y, sizeof y);
    }
    const double odd[4] = {INFINITY, 0.0, -1.0, NAN};
    double got[4];
    log_of_lanes(odd, got);
    assert_true(got[0] == INFINITY && isnan(got[1]) && isnan(got[2]) && isnan(got[3]));
    printf("%d draws of exp and log\n", DRAWS);
}

static void assert_same(const double *a, const double *b, size_t n)
{
    assert_memory_equal(a, b, n * sizeof *a);
}

/* One frame through both; what they give is the same to the bit. */
static void step_both(struct traj_decoder *const decoder[2], const struct traj_observation *o)
{
    struct traj_estimate e[2];
    const struct traj_dims *dims = &traj_decoder_model(decoder[0])->dims;
    const size_t dim = dims->position;
    for (size_t i = 0; i < 2; i++)
        assert_int_equal(traj_decoder_step(decoder[i], o, &e[i]), TRAJ_OK);
    assert_same(e[0].position, e[1].position, dim);
    assert_same(e[0].velocity, e[1].velocity, dim);
    assert_same(e[0].position_cov, e[1].position_cov, dim * dim);
    assert_same(e[0].velocity_cov, e[1].velocity_cov, dim * dim);
    assert_same(e[0].target_prob, e[1].target_prob, dims->targets);
    assert_same(&e[0].log_evidence, &e[1].log_evidence, 1);
    assert_int_equal(decoder[0]->filter.now.count, decoder[1]->filter.now.count);
}

/* The second decoder of the two runs what runs everywhere. */
static void pair(const struct traj_model *model, struct traj_decoder *decoder[2], void *memory[2])
{
    for (size_t i = 0; i < 2; i++)
        decoder[i] = chain_decoder(model, &memory[i]);
    decoder[1]->filter.kernels = traj_course_kernels_plain();
    decoder[1]->filter.add_rows = traj_rows_plain;
}

static void small_filters_have_the_same_bits(void **state)
{
    struct random random = {*(uint64_t *)*state + 1};
    for (size_t round = 0; round < 60; round++) {
        const bool gaussian = round % 4 == 3;
        struct chain_model m;
        struct story story;
        struct traj_decoder *decoder[2];
        void *memory[2];
        chain_draw(&m, &random, gaussian, gaussian ? 0 : round % 4);
        m.model.chain.drift = gaussian ? 0.2 : 0.0;
        pair(&m.model, decoder, memory);
        for (size_t i = 0; i < 10; i++) {
            chain_draw_story(&story, &random);
            if (i % 4 == 3) /* more than the product of two exponentials holds */
                story.count[FRAMES / 2][i % UNITS] = (uint16_t)random_below(&random, 30000);
            for (size_t t = 0; t < FRAMES; t++) {
                const struct traj_observation o = {story.count[t], NULL, story.dt[t],
                                                   story.steps[t]};
                for (size_t d = 0; d < 2 && t == story.start_at; d++)
                    traj_decoder_trial_start(decoder[d]);
                step_both(decoder, &o);
            }
        }
        free(memory[0]);
        free(memory[1]);
    }
}

static void a_large_filter_has_the_same_bits(void **state)
{
    (void)state;
    const struct bench_size size = {70, 5, 0.02};
    struct traj_error error = {""};
    struct bench_frames frames;
    struct traj_decoder *decoder[2];
    void *memory[2];
    size_t states = 0;
    struct traj_model *model = bench_model_make(&size, &error);
    assert_non_null(model);
    assert_int_equal(bench_frames_make(&frames, &size, model, &error), 0);
    pair(model, decoder, memory);
    for (size_t i = 0; i < 500; i++) {
        const size_t place = i % frames.count;
        const struct traj_observation o = {frames.counts + place * frames.units, NULL, 0.02,
                                           i % 37 == 36 ? 3 : 1};
        for (size_t d = 0; d < 2 && frames.starts[place]; d++)
            traj_decoder_trial_start(decoder[d]);
        step_both(decoder, &o);
        states = decoder[0]->filter.now.count > states ? decoder[0]->filter.now.count : states;
    }
    printf("500 frames, at most %zu of %zu states; %s\n", states, model->dims.states,
           decoder[0]->filter.kernels == decoder[1]->filter.kernels
               ? "this processor has no wide registers"
               : "wide registers were used");
    assert_true(states > 100);
    free(memory[0]);
    free(memory[1]);
    bench_frames_free(&frames);
    traj_model_free(model);
}

/* Whatever happens between what is done ahead and the frame. */
static void surprise(struct traj_decoder *decoder, uint64_t what)
{
    const double prior[2] = {0.75, 0.25};
    switch (what % 24) {
    case 0:
        traj_decoder_trial_start(decoder);
        break;
    case 1:
        traj_decoder_trial_stop(decoder);
        break;
    case 2:
        traj_decoder_trial_start(decoder);
        traj_decoder_trial_stop(decoder);
        break;
    case 3:
        assert_int_equal(traj_decoder_target_prior(decoder, prior), TRAJ_OK);
        break;
    case 4:
        traj_decoder_reset(decoder);
        break;
    case 5:
        traj_decoder_marks(decoder, what % 48 < 24);
        break;
    default:
        break;
    }
}

/* One of two decoders does ahead what it can before every frame, now and then twice. */
static void what_is_done_ahead_is_never_seen(void **state)
{
    struct random random = {*(uint64_t *)*state + 2};
    for (size_t round = 0; round < 60; round++) {
        const bool gaussian = round % 4 == 3;
        struct chain_model m;
        struct traj_decoder *decoder[2];
        void *memory[2];
        chain_draw(&m, &random, gaussian, gaussian ? 0 : round % 4);
        m.model.chain.drift = gaussian ? 0.2 : 0.0;
        m.model.chain.switch_prob = round % 3 ? 0.0 : 0.1;
        m.group[1] = m.group[2] = 0;
        for (size_t d = 0; d < 2; d++)
            decoder[d] = chain_decoder(&m.model, &memory[d]);
        for (size_t t = 0; t < 200; t++) {
            const uint64_t what = random_bits(&random);
            uint16_t count[UNITS];
            for (size_t n = 0; n < UNITS; n++)
                count[n] = (uint16_t)(random_below(&random, 30) ? random_below(&random, 4)
                                                                : TRAJ_COUNT_MISSING);
            const struct traj_observation o = {count, NULL, what % 11 ? 0.02 : 0.019,
                                               what % 13 ? 1 : 3};
            for (size_t ahead = 0; ahead < what % 3; ahead++)
                traj_decoder_prepare(decoder[1]);
            for (size_t d = 0; d < 2; d++)
                surprise(decoder[d], what >> 8);
            if (what % 7 == 0)
                traj_decoder_prepare(decoder[1]);
            step_both(decoder, &o);
        }
        free(memory[0]);
        free(memory[1]);
    }
}

int main(void)
{
    uint64_t seed = test_seed(9);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_prestate(lanes_have_the_bits_of_the_scalar, &seed),
        cmocka_unit_test_prestate(small_filters_have_the_same_bits, &seed),
        cmocka_unit_test(a_large_filter_has_the_same_bits),
        cmocka_unit_test_prestate(what_is_done_ahead_is_never_seen, &seed),
    };
    return cmocka_run_group_tests_name("course_kernel", tests, NULL, NULL);
}
