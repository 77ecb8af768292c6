/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Does a decoder that adopts another's state go on as that one would have: to the bit where the
 * model is the same, wherever in a story it happens; and where rates differ, exactly as if the
 * rates had changed between the two frames?
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/oracle/chain_model.h"
#include "traj/decoder.h"

#define STORIES 200

/* All numbers of an estimate. */
struct seen {
    double number[2 + 4 + 2 + 4 + TARGETS + 4];
};

static struct seen see(const struct traj_estimate *e)
{
    struct seen seen;
    double *at = seen.number;
    memset(&seen, 0, sizeof seen);
    memcpy(at, e->position, 2 * sizeof *at);
    memcpy(at + 2, e->position_cov, 4 * sizeof *at);
    memcpy(at + 6, e->velocity, 2 * sizeof *at);
    memcpy(at + 8, e->velocity_cov, 4 * sizeof *at);
    memcpy(at + 12, e->target_prob, TARGETS * sizeof *at);
    at[12 + TARGETS] = e->free_prob;
    at[13 + TARGETS] = e->log_evidence;
    at[14 + TARGETS] = e->progress;
    at[15 + TARGETS] = e->eta;
    return seen;
}

static struct seen step(struct traj_decoder *decoder, const struct story *s, size_t t)
{
    const struct traj_observation o = {s->count[t], NULL, s->dt[t], s->steps[t]};
    const double prior[TARGETS] = {0.7, 0.3};
    struct traj_estimate e;
    if (t == s->start_at)
        traj_decoder_trial_start(decoder);
    if (t == s->start_at + 1)
        assert_int_equal(traj_decoder_target_prior(decoder, prior), TRAJ_OK);
    assert_int_equal(traj_decoder_step(decoder, &o, &e), TRAJ_OK);
    return see(&e);
}

static void draw(struct chain_model *m, struct story *s, struct random *random, size_t k)
{
    bool gaussian = k % 2 == 0;
    chain_draw(m, random, gaussian, gaussian ? 0 : k % 4 == 1 ? GAINS : 0);
    if (k % 4 == 0)
        chain_remember(m, random);
    chain_draw_story(s, random);
}

/* At each frame in turn the decoder is replaced by another of the same model. */
static void test_the_same_model_changes_no_bit(void **state)
{
    struct random random = {test_seed(20260)};
    (void)state;
    for (size_t k = 0; k < STORIES; k++) {
        struct chain_model m;
        struct story s;
        draw(&m, &s, &random, k);
        for (size_t at = 0; at < FRAMES; at++) {
            void *memory[3];
            struct traj_decoder *whole = chain_decoder(&m.model, &memory[0]);
            struct traj_decoder *first = chain_decoder(&m.model, &memory[1]);
            struct traj_decoder *second = chain_decoder(&m.model, &memory[2]);
            for (size_t t = 0; t < FRAMES; t++) {
                if (t == at) {
                    /* What was done ahead must not count. */
                    traj_decoder_prepare(first);
                    assert_int_equal(traj_decoder_adopt(second, first), TRAJ_OK);
                }
                struct seen expected = step(whole, &s, t);
                struct seen found = step(t < at ? first : second, &s, t);
                assert_memory_equal(&expected, &found, sizeof expected);
            }
            for (size_t i = 0; i < 3; i++)
                free(memory[i]);
        }
    }
}

/* A frame in which unit 0 is silent, which sooner or later is not believed of it. */
static struct seen silent_step(struct traj_decoder *decoder, const uint16_t *counts)
{
    const struct traj_observation o = {counts, NULL, 0.02, 1};
    struct traj_estimate e;
    assert_int_equal(traj_decoder_step(decoder, &o, &e), TRAJ_OK);
    return see(&e);
}

/* What is held against a unit goes along: while it adds up, and when it is set aside. */
static void test_what_is_held_against_a_unit_goes_along(void **state)
{
    struct random random = {test_seed(20263)};
    size_t apart = 0;
    (void)state;
    for (size_t k = 0; k < 8; k++) {
        struct chain_model m;
        void *memory[4];
        struct seen expected, believing;
        chain_draw(&m, &random, k % 2 == 0, 0);
        struct traj_decoder *whole = chain_decoder_that(&m.model, false, &memory[0]);
        struct traj_decoder *all = chain_decoder(&m.model, &memory[1]);
        struct traj_decoder *turns[2] = {chain_decoder_that(&m.model, false, &memory[2]),
                                         chain_decoder_that(&m.model, false, &memory[3])};
        for (size_t t = 0; t < 400; t++) {
            const uint16_t counts[UNITS] = {0, (uint16_t)(1 + random_below(&random, 2)),
                                            (uint16_t)(1 + random_below(&random, 2))};
            const size_t turn = t / 7 % 2;
            if (t > 0 && t % 7 == 0)
                assert_int_equal(traj_decoder_adopt(turns[turn], turns[1 - turn]), TRAJ_OK);
            expected = silent_step(whole, counts);
            believing = silent_step(all, counts);
            const struct seen found = silent_step(turns[turn], counts);
            assert_memory_equal(&expected, &found, sizeof expected);
        }
        apart += memcmp(&expected, &believing, sizeof expected) != 0;
        for (size_t i = 0; i < 4; i++)
            free(memory[i]);
    }
    /* Else nothing was held against it. */
    assert_true(apart >= 4);
}

/* Mean position at frame `last`; frames up to `at` were seen under m, later ones under n. */
static void enumerate(const struct chain_model *m, const struct chain_model *n,
                      const struct story *s, size_t at, size_t last, real *position)
{
    size_t path[FRAMES] = {0}, paths = 1;
    real total = 0.0L;
    position[0] = position[1] = 0.0L;
    for (size_t t = 0; t <= last; t++)
        paths *= STATES;
    for (size_t p = 0; p < paths; p++) {
        real weight = 1.0L;
        for (size_t t = 0, left = p; t <= last; t++, left /= STATES)
            path[t] = left % STATES;
        for (size_t t = 0; t <= last; t++)
            weight *= chain_arrival(m, s, t, t > 0 ? path[t - 1] : 0, path[t]) *
                      expl(0.6L * chain_likelihood(t <= at ? m : n, s, t, path[t]));
        for (size_t d = 0; d < 2; d++)
            position[d] += weight * m->position[2 * path[last] + d];
        total += weight;
    }
    position[0] /= total;
    position[1] /= total;
}

/* Against the sum over all paths, by which the rates change between two frames. */
static void test_other_rates_go_on_from_the_same_posterior(void **state)
{
    struct random random = {test_seed(20261)};
    double worst = 0.0;
    (void)state;
    for (size_t k = 0; k < STORIES / 10; k++) {
        struct chain_model m, other;
        struct story s;
        void *memory[2];
        chain_draw(&m, &random, false, 0);
        chain_draw_story(&s, &random);
        other = m;
        other.model.chain.emission_mean = other.mean;
        for (size_t i = 0; i < NODES * UNITS; i++)
            other.mean[i] += 0.5 * random_normal(&random);
        struct traj_decoder *first = chain_decoder(&m.model, &memory[0]);
        struct traj_decoder *second = chain_decoder(&other.model, &memory[1]);
        const size_t at = random_below(&random, FRAMES - 1);
        for (size_t t = 0; t < FRAMES; t++) {
            const struct traj_observation o = {s.count[t], NULL, s.dt[t], s.steps[t]};
            struct traj_estimate e;
            real position[2];
            if (t == at + 1)
                assert_int_equal(traj_decoder_adopt(second, first), TRAJ_OK);
            if (t == s.start_at)
                traj_decoder_trial_start(t <= at ? first : second);
            assert_int_equal(traj_decoder_step(t <= at ? first : second, &o, &e), TRAJ_OK);
            enumerate(&m, &other, &s, at, t, position);
            for (size_t d = 0; d < 2; d++)
                worst = fmax(worst, (double)fabsl(position[d] - e.position[d]) / 10.0);
        }
        free(memory[0]);
        free(memory[1]);
    }
    print_message("largest difference of a position: %.3g\n", worst);
    assert_true(worst < 1e-9);
}

static void test_other_sizes_are_refused(void **state)
{
    struct random random = {test_seed(20262)};
    struct chain_model m, n;
    void *memory[2];
    (void)state;
    chain_draw(&m, &random, false, 0);
    chain_draw(&n, &random, false, GAINS);
    struct traj_decoder *a = chain_decoder(&m.model, &memory[0]);
    struct traj_decoder *b = chain_decoder(&n.model, &memory[1]);
    assert_int_equal(traj_decoder_adopt(a, b), TRAJ_E_DIMS);
    free(memory[0]);
    free(memory[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_same_model_changes_no_bit),
        cmocka_unit_test(test_what_is_held_against_a_unit_goes_along),
        cmocka_unit_test(test_other_rates_go_on_from_the_same_posterior),
        cmocka_unit_test(test_other_sizes_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
