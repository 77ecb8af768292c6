/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What single units say for the dashboard (clients/dashboard/evidence.h): whatever the counts, the
 * mean over targets of exp(e_n) is 1, and for two targets e_n follows from the ratio of likelihoods
 * alone, reckoned here by itself.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "clients/dashboard/evidence.h"

#define TARGETS 2
#define UNITS 3
#define STATES 4 /* each target at progress 0 and 1 */
#define BIN 0.05

static const int32_t target[STATES] = {0, 0, 1, 1};
static const int32_t node[STATES] = {0, 1, 2, 3};
static const double progress[STATES] = {0.0, 1.0, 0.0, 1.0};
/* Means of the units at each node: log rates, or roots of counts. */
static const double mean[STATES * UNITS] = {1.0, 2.0, 0.5, 3.0, 1.0, 2.0,
                                            1.0, 2.5, 1.5, 0.5, 2.0, 2.0};
static const double noise[UNITS] = {0.2, 0.3, 0.4};
static const double factor[UNITS] = {0.1, -0.5, 0.3};

static struct traj_model model_of(bool gaussian)
{
    struct traj_model model;
    memset(&model, 0, sizeof model);
    model.dims.targets = TARGETS;
    model.dims.units = UNITS;
    model.dims.states = STATES;
    model.dims.factors = 1;
    model.bin_width = BIN;
    model.chain.target = target;
    model.chain.node = node;
    model.chain.progress = progress;
    model.chain.emission_mean = mean;
    model.chain.emission_noise = noise;
    model.chain.emission_factor = factor;
    model.chain.gaussian = gaussian ? 1.0 : 0.0;
    return model;
}

/* log p of a count at a state, but for what the targets share. */
static double likelihood(bool gaussian, double count, double dt, size_t state, size_t unit)
{
    double m = mean[state * UNITS + unit];
    if (!gaussian) {
        return count * (m + log(dt)) - exp(m) * dt;
    }
    double left = sqrt(count * BIN / dt + 0.25) - m;
    return -left * left / (2.0 * (noise[unit] + factor[unit] * factor[unit]));
}

static void frame_and_intent(struct traj_frame *frame, uint16_t *counts, struct traj_intent *intent,
                             const double *prob, double at)
{
    memset(frame, 0, sizeof *frame);
    memset(intent, 0, sizeof *intent);
    frame->units = UNITS;
    frame->counts = counts;
    frame->dt = 0.02;
    intent->targets = TARGETS;
    intent->target_prob = prob;
    intent->progress = at;
}

static void check(bool gaussian)
{
    static const double prob[TARGETS][TARGETS] = {{0.9, 0.1}, {0.2, 0.8}};
    struct traj_model model = model_of(gaussian);
    size_t checked = 0;
    for (unsigned k = 0; k < 50; k++) {
        uint16_t counts[UNITS] = {(uint16_t)(k % 4), (uint16_t)(k % 3), (uint16_t)(k * k % 7)};
        double at = k % 2 ? 1.0 : 0.0, total[UNITS] = {0.0};
        for (size_t m = 0; m < TARGETS; m++) {
            struct evidence *evidence = evidence_new(&model);
            struct traj_frame frame;
            struct traj_intent intent;
            size_t units;
            assert_non_null(evidence);
            frame_and_intent(&frame, counts, &intent, prob[m], at);
            evidence_take(evidence, &frame, &intent);
            const double *e = evidence_of_units(evidence, &units);
            assert_int_equal(units, UNITS);
            for (size_t n = 0; n < UNITS; n++) {
                size_t own = 2 * m + k % 2, other = 2 * (1 - m) + k % 2;
                double ratio = likelihood(gaussian, counts[n], frame.dt, other, n) -
                               likelihood(gaussian, counts[n], frame.dt, own, n);
                assert_true(fabs(e[n] - (log(2.0) - log1p(exp(ratio)))) < 1e-9);
                total[n] += exp(e[n]) / TARGETS;
                checked++;
            }
            evidence_free(evidence);
        }
        for (size_t n = 0; n < UNITS; n++) {
            assert_true(fabs(total[n] - 1.0) < 1e-9);
        }
    }
    printf("%zu units checked\n", checked);
}

static void poisson(void **state)
{
    (void)state;
    check(false);
}

static void gaussian(void **state)
{
    (void)state;
    check(true);
}

/* What is missing, or about nothing, adds nothing; what was said fades. */
static void silence(void **state)
{
    (void)state;
    static const double prob[TARGETS] = {0.9, 0.1}, none[TARGETS] = {0.0, 0.0};
    struct traj_model model = model_of(false);
    struct evidence *evidence = evidence_new(&model);
    uint16_t counts[UNITS] = {5, TRAJ_COUNT_MISSING, 0};
    struct traj_frame frame;
    struct traj_intent intent;
    size_t units;
    frame_and_intent(&frame, counts, &intent, none, 0.0);
    evidence_take(evidence, &frame, &intent);
    frame_and_intent(&frame, counts, &intent, prob, NAN);
    evidence_take(evidence, &frame, &intent);
    const double *e = evidence_of_units(evidence, &units);
    for (size_t n = 0; n < UNITS; n++) {
        assert_true(e[n] == 0.0);
    }
    intent.progress = 1.0;
    evidence_take(evidence, &frame, &intent);
    double said = e[0];
    assert_true(said > 0.1 && e[1] == 0.0);
    intent.progress = NAN;
    for (int k = 0; k < 25; k++) { /* half a second */
        evidence_take(evidence, &frame, &intent);
    }
    assert_true(fabs(e[0] / said - exp(-1.0)) < 1e-9);
    evidence_free(evidence);
    model.dims.states = 0;
    assert_null(evidence_new(&model));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(poisson),
        cmocka_unit_test(gaussian),
        cmocka_unit_test(silence),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
