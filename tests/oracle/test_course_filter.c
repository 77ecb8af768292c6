/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Does the filter over courses equal the sum over all paths, written out in long double: with
 * Poisson and with correlated Gaussian observations that drift, tempered, with missing units, gaps
 * and trial starts; and, with slow gains, the Laplace integral over each path that never meets
 * another?
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

/* Sums the weights of all paths up to frame `last` by the state that they end in. */
static void enumerate(const struct chain_model *m, const struct story *s, size_t last,
                      real *posterior)
{
    size_t path[FRAMES] = {0}, paths = 1;
    real total = 0.0L;
    for (size_t t = 0; t <= last; t++)
        paths *= STATES;
    for (size_t j = 0; j < STATES; j++)
        posterior[j] = 0.0L;
    for (size_t p = 0; p < paths; p++) {
        real weight = 1.0L;
        for (size_t t = 0, left = p; t <= last; t++, left /= STATES)
            path[t] = left % STATES;
        for (size_t t = 0; t <= last; t++)
            weight *= chain_arrival(m, s, t, t > 0 ? path[t - 1] : 0, path[t]) *
                      expl(0.6L * chain_likelihood(m, s, t, path[t]));
        posterior[path[last]] += weight;
        total += weight;
    }
    for (size_t j = 0; j < STATES; j++)
        posterior[j] /= total;
}

/* Largest relative difference between the decoder and the enumeration over a story. */
static double compare(const struct chain_model *m, struct story *s)
{
    void *memory;
    struct traj_decoder *decoder = chain_decoder(&m->model, &memory);
    double worst = 0.0;
    for (size_t t = 0; t < FRAMES; t++) {
        struct traj_estimate e;
        real posterior[STATES], position[2] = {0}, velocity[2] = {0}, target[TARGETS] = {0};
        real place[TRAJ_PLACES] = {0};
        const struct traj_observation o = {s->count[t], NULL, s->dt[t], s->steps[t]};
        if (t == s->start_at)
            traj_decoder_trial_start(decoder);
        assert_int_equal(traj_decoder_step(decoder, &o, &e), TRAJ_OK);
        enumerate(m, s, t, posterior);
        chain_drift(m, s, t, posterior);
        for (size_t j = 0; j < STATES; j++) {
            for (size_t d = 0; d < 2; d++) {
                position[d] += posterior[j] * m->position[2 * j + d];
                velocity[d] += posterior[j] * m->velocity[2 * j + d];
            }
            if (m->target[j] >= 0)
                target[m->target[j]] += posterior[j];
            place[m->place[j]] += posterior[j];
        }
        for (size_t p = 0; p < TRAJ_PLACES; p++)
            worst = fmax(worst, (double)fabsl(place[p] - e.place_prob[p]));
        for (size_t d = 0; d < 2; d++) {
            worst = fmax(worst, (double)fabsl(position[d] - e.position[d]) / 10.0);
            worst = fmax(worst, (double)fabsl(velocity[d] - e.velocity[d]) / 50.0);
            worst = fmax(worst, (double)fabsl(target[d] - e.target_prob[d]));
        }
    }
    free(memory);
    return worst;
}

static void equals_the_sum_over_all_paths(void **state)
{
    (void)state;
    struct random random = {test_seed(11)};
    for (int gaussian = 0; gaussian < 2; gaussian++) {
        double worst = 0.0;
        for (size_t i = 0; i < 20; i++) {
            struct chain_model m;
            struct story s;
            chain_draw(&m, &random, gaussian != 0, 0);
            m.model.chain.drift = gaussian ? 0.2 : 0.0;
            chain_draw_story(&s, &random);
            /* A burst, further off than any noise, moves the offset no further than noise would. */
            if (i % 4 == 0)
                s.count[1][0] = 400;
            worst = fmax(worst, compare(&m, &s));
        }
        printf("%s: largest difference %.2g\n", gaussian ? "gaussian" : "poisson", worst);
        assert_true(worst < 1e-9);
    }
}

/* log posterior of each state after all frames, where no path meets another. */
static void integrate(const struct chain_model *m, const struct story *s, real *log_weight)
{
    for (size_t j = 0; j < STATES; j++) {
        real v = 0.0L, h = 1.0L;
        log_weight[j] = logl(m->initial[j]);
        for (size_t t = 0; t < FRAMES; t++) {
            log_weight[j] += 0.6L * chain_likelihood(m, s, t, j);
            for (size_t n = 0; n < UNITS; n++) {
                if (s->count[t][n] == TRAJ_COUNT_MISSING)
                    continue;
                const real expected = s->dt[t] * chain_rate(m, j, n), g = m->gain[n];
                v += g * (s->count[t][n] - expected);
                h += g * g * expected;
            }
        }
        log_weight[j] += 0.6L * (v * v / h / 2 - logl(h) / 2);
    }
}

/* Largest difference of the position after the last frame, whose first unit has `burst` spikes. */
static double compare_gains(struct random *random, unsigned burst)
{
    struct chain_model m;
    struct story s;
    void *memory;
    real log_weight[STATES], most = -INFINITY, total = 0.0L, mean[2] = {0};
    chain_draw(&m, random, false, 1);
    chain_never_meet(&m);
    chain_draw_story(&s, random);
    if (burst > 0)
        s.count[FRAMES - 1][0] = (uint16_t)burst;
    struct traj_decoder *decoder = chain_decoder(&m.model, &memory);
    struct traj_estimate e;
    for (size_t t = 0; t < FRAMES; t++) {
        const struct traj_observation o = {s.count[t], NULL, s.dt[t], s.steps[t]};
        assert_int_equal(traj_decoder_step(decoder, &o, &e), TRAJ_OK);
        assert_int_equal(e.flags & TRAJ_FLAG_RECOVERED, 0);
    }
    integrate(&m, &s, log_weight);
    for (size_t j = 0; j < STATES; j++)
        most = fmaxl(most, log_weight[j]);
    for (size_t j = 0; j < STATES; j++) {
        const real weight = expl(log_weight[j] - most);
        total += weight;
        for (size_t d = 0; d < 2; d++)
            mean[d] += weight * m.position[2 * j + d];
    }
    double worst = 0.0;
    for (size_t d = 0; d < 2; d++)
        worst = fmax(worst, (double)fabsl(mean[d] / total - e.position[d]) / 10.0);
    free(memory);
    return worst;
}

static void gains_are_integrated_on_paths_that_never_meet(void **state)
{
    (void)state;
    struct random random = {test_seed(12)};
    double worst = 0.0;
    for (size_t i = 0; i < 50; i++)
        worst = fmax(worst, compare_gains(&random, 0));
    printf("gains: largest difference %.2g\n", worst);
    assert_true(worst < 1e-9);
}

/* A burst so great that what a state's rates say of it and what its gains say differ between the
 * states by more than a number's range. */
static void no_count_is_beyond_the_gains(void **state)
{
    (void)state;
    struct random random = {test_seed(15)};
    double worst = 0.0;
    for (size_t i = 0; i < 200; i++)
        worst = fmax(worst, compare_gains(&random, 100 + 160 * (unsigned)i));
    printf("gains and bursts: largest difference %.2g\n", worst);
    assert_true(worst < 1e-7); /* logarithms of 1e8 are known to 1e-8 */
}

/* Exchange between the targets of a group: p <- (1 - r) p + r (mean of the group). */
static void a_group_shares_what_is_exchanged(void **state)
{
    (void)state;
    struct random random = {test_seed(13)};
    struct chain_model m;
    void *memory;
    struct traj_estimate e;
    chain_draw(&m, &random, false, 0);
    chain_never_meet(&m);
    m.model.chain.switch_prob = 0.1;
    m.group[1] = m.group[2] = 0;
    for (size_t j = 0; j < STATES; j++) {
        m.node[j] = 0;
        m.share[j] = 0.0; /* all states look the same: counts tell nothing */
    }
    struct traj_decoder *decoder = chain_decoder(&m.model, &memory);
    const uint16_t count[UNITS] = {1, 0, 2};
    const struct traj_observation o = {count, NULL, 0.02, 1};
    double one = m.initial[1], two = m.initial[2];
    for (size_t t = 0; t < 5; t++) {
        assert_int_equal(traj_decoder_step(decoder, &o, &e), TRAJ_OK);
        if (t > 0) {
            const double both = one + two;
            one = 0.9 * one + 0.05 * both;
            two = 0.9 * two + 0.05 * both;
        }
        /* State 1 has target 0, states 2 has target 1; states 0 and 3 have none, 4 has target 0. */
        assert_true(fabs(e.target_prob[1] - two) < 1e-12);
        assert_true(fabs(e.target_prob[0] - one - m.initial[4]) < 1e-12);
    }
    free(memory);
}

/* Every index that a model file could carry is refused before it is followed. */
static void links_that_lead_astray_are_refused(void **state)
{
    (void)state;
    struct random random = {test_seed(14)};
    const int32_t astray[] = {-1, LINKS + 1, 20000, 2000000000};
    for (size_t i = 0; i < sizeof astray / sizeof *astray; i++) {
        struct chain_model m;
        const char *what = NULL;
        size_t index = 0;
        chain_draw(&m, &random, false, 0);
        m.first[1] = astray[i];
        assert_int_equal(traj_model_check(&m.model, &what, &index), TRAJ_E_RANGE);
        assert_string_equal(what, "chain.link_first");
        chain_draw(&m, &random, false, 0);
        m.to[3] = astray[i];
        assert_int_equal(traj_model_check(&m.model, &what, &index), TRAJ_E_RANGE);
        assert_string_equal(what, "chain.link_to");
    }
}

/* The last unit's root told as a feature, NaN where the count was missing. */
static float feature_of(const struct chain_model *m, const struct story *s, size_t t)
{
    const uint16_t count = s->count[t][UNITS - 1];
    return count == TRAJ_COUNT_MISSING
               ? NAN
               : (float)sqrt((double)count * m->model.bin_width / s->dt[t] + 0.25);
}

static void a_feature_is_read_as_a_root_is(void **state)
{
    (void)state;
    struct random random = {test_seed(15)};
    double worst = 0.0;
    for (size_t i = 0; i < 20; i++) {
        struct chain_model m;
        struct story s;
        void *memory[2];
        chain_draw(&m, &random, true, 0);
        m.model.chain.drift = 0.2;
        chain_draw_story(&s, &random);
        struct traj_decoder *of_counts = chain_decoder(&m.model, &memory[0]);
        struct traj_model other = m.model;
        other.dims.units = UNITS - 1;
        other.dims.features = 1;
        struct traj_decoder *of_both = chain_decoder(&other, &memory[1]);
        for (size_t t = 0; t < FRAMES; t++) {
            const float feature = feature_of(&m, &s, t);
            const struct traj_observation a = {s.count[t], NULL, s.dt[t], s.steps[t]};
            const struct traj_observation b = {s.count[t], &feature, s.dt[t], s.steps[t]};
            struct traj_estimate one, two;
            assert_int_equal(traj_decoder_step(of_counts, &a, &one), TRAJ_OK);
            assert_int_equal(traj_decoder_step(of_both, &b, &two), TRAJ_OK);
            for (size_t d = 0; d < 2; d++)
                worst = fmax(worst, fabs(one.position[d] - two.position[d]));
        }
        free(memory[0]);
        free(memory[1]);
    }
    printf("largest difference %.2g\n", worst);
    assert_true(worst < 1e-5); /* of the feature's 24 bits, where positions are some 10 */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(links_that_lead_astray_are_refused),
        cmocka_unit_test(equals_the_sum_over_all_paths),
        cmocka_unit_test(gains_are_integrated_on_paths_that_never_meet),
        cmocka_unit_test(no_count_is_beyond_the_gains),
        cmocka_unit_test(a_group_shares_what_is_exchanged),
        cmocka_unit_test(a_feature_is_read_as_a_root_is),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
