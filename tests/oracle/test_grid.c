/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * How far Laplace's approximation is from the truth, found on grids.
 *
 * 1. One update of (position, velocity) by Poisson counts: the posterior by quadrature over a fine
 *    two-dimensional grid.
 * 2. A filter over many bins and its mixture weights: position and velocity go their ways
 *    independently and the units see position alone, so that a one-dimensional grid filter is
 exact.
 *
 * The more spikes a bin holds, the better Laplace: measured with few units (some six spikes a bin)
 * and with a usual population.
 */
#include "tests/oracle/random_model.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define FEW 12
#define USUAL 96
#define SIDE 301  /* grid of the single update, +-8 prior sd */
#define LINE 1201 /* grid of the filter */
#define BINS 60
#define REACH 8.0 /* of that grid, in units of position */

/* Differences: means in posterior sd, sd as a part of itself, evidence and log odds in nats a
 * bin. */
struct apart {
    double mean, sd, evidence, odds;
};

/* What was measured is printed; the bounds leave room for other seeds. */
static const struct apart few_bound = {0.25, 0.08, 0.05, 0.05};
static const struct apart usual_bound = {0.10, 0.03, 0.02, 0.05};

static void larger(double *largest, double value)
{
    if (!(value <= *largest))
        *largest = value;
}

/* The terms of the log likelihood that hold for every state. */
static double log_factorials(const struct traj_model *model, const uint16_t *counts)
{
    double sum = 0.0;
    for (size_t n = 0; n < model->dims.units; n++)
        sum += lgamma(counts[n] + 1.0) - counts[n] * log(model->bin_width);
    return sum;
}

static double log_counts(const struct traj_model *model, const uint16_t *counts, const double *x)
{
    double sum = 0.0;
    for (size_t n = 0; n < model->dims.units; n++) {
        const double *c = model->tuning.weight + n * model->dims.state;
        const double eta = c[0] * x[0] + c[1] * x[1] + model->tuning.offset[n];
        sum += counts[n] * eta - model->bin_width * exp(eta);
    }
    return sum;
}

/* Moments of the state and evidence by quadrature over u, x = start + L u. */
static double quadrature(const struct traj_model *model, const uint16_t *counts, double *mean,
                         double *sd)
{
    const double *m = model->dynamics.start, *v = model->dynamics.start_cov;
    const double l11 = sqrt(v[0]), l21 = v[1] / l11, l22 = sqrt(v[3] - l21 * l21);
    const double h = 16.0 / (SIDE - 1);
    double sum[5] = {0.0};
    double scale = -INFINITY;
    double *value = malloc((size_t)SIDE * SIDE * sizeof *value);
    assert_non_null(value);
    for (size_t i = 0; i < (size_t)SIDE * SIDE; i++) {
        const size_t row = i / SIDE, column = i % SIDE;
        const double u = -8.0 + h * (double)row, w = -8.0 + h * (double)column;
        const double x[2] = {m[0] + l11 * u, m[1] + l21 * u + l22 * w};
        value[i] = log_counts(model, counts, x) - (u * u + w * w) / 2;
        larger(&scale, value[i]);
    }
    for (size_t i = 0; i < (size_t)SIDE * SIDE; i++) {
        const size_t row = i / SIDE, column = i % SIDE;
        const double u = -8.0 + h * (double)row, w = -8.0 + h * (double)column;
        const double x[2] = {m[0] + l11 * u, m[1] + l21 * u + l22 * w};
        const double p = exp(value[i] - scale);
        sum[0] += p;
        for (size_t j = 0; j < 2; j++) {
            sum[1 + j] += p * x[j];
            sum[3 + j] += p * x[j] * x[j];
        }
    }
    free(value);
    for (size_t j = 0; j < 2; j++) {
        mean[j] = sum[1 + j] / sum[0];
        sd[j] = sqrt(sum[3 + j] / sum[0] - mean[j] * mean[j]);
    }
    return scale + log(sum[0] * h * h / 6.283185307179586) - log_factorials(model, counts);
}

static struct traj_dims small_dims(size_t units, size_t components)
{
    return (struct traj_dims){
        .position = 1, .state = 2, .units = units, .targets = components, .components = components};
}

static struct apart single_updates(uint64_t seed, size_t units,
                                   const struct traj_settings *settings)
{
    struct random random = {seed};
    struct apart apart = {0};
    const struct traj_dims dims = small_dims(units, 1);
    for (size_t i = 0; i < 10; i++) {
        struct random_model made;
        random_model_make(&made, &random, &dims, 0);
        void *memory;
        struct traj_decoder *decoder = random_decoder(&made.model, settings, &memory);
        uint16_t counts[USUAL];
        random_frame(&made.model, &random, 0.0, counts, NULL);
        const struct traj_observation frame = {counts, NULL, made.model.bin_width, 1};
        struct traj_estimate estimate;
        traj_decoder_step(decoder, &frame, &estimate);
        double mean[2], sd[2];
        const double evidence = quadrature(&made.model, counts, mean, sd);
        larger(&apart.mean, fabs(estimate.position[0] - mean[0]) / sd[0]);
        larger(&apart.mean, fabs(estimate.velocity[0] - mean[1]) / sd[1]);
        larger(&apart.sd, fabs(sqrt(estimate.position_cov[0]) / sd[0] - 1.0));
        larger(&apart.sd, fabs(sqrt(estimate.velocity_cov[0]) / sd[1] - 1.0));
        larger(&apart.evidence, fabs(estimate.log_evidence - evidence));
        free(memory);
        random_model_free(&made);
    }
    return apart;
}

/* Grid filter of the position of one component. */
struct line {
    double a, b, q;
    double p[LINE];
    double evidence;
};

static double place(size_t i)
{
    return REACH * (2.0 * (double)i / (LINE - 1) - 1.0);
}

static void line_move(struct line *line)
{
    static double next[LINE];
    for (size_t i = 0; i < LINE; i++)
        next[i] = 0.0;
    const double spacing = 2.0 * REACH / (LINE - 1);
    const double wide = 9.0 * sqrt(line->q) / spacing;
    for (size_t i = 0; i < LINE; i++) {
        const double to = line->a * place(i) + line->b;
        const double centre = (to + REACH) / spacing;
        for (size_t j = (size_t)fmax(0.0, centre - wide);
             j < LINE && (double)j <= centre + wide && line->p[i] > 0.0; j++)
            next[j] += line->p[i] * exp(-(place(j) - to) * (place(j) - to) / (2.0 * line->q));
    }
    const double norm = spacing / sqrt(6.283185307179586 * line->q);
    for (size_t i = 0; i < LINE; i++)
        line->p[i] = next[i] * norm;
}

static void line_observe(struct line *line, const struct traj_model *model, const uint16_t *counts)
{
    double sum = 0.0;
    for (size_t i = 0; i < LINE; i++) {
        const double x[2] = {place(i), 0.0};
        line->p[i] *= exp(log_counts(model, counts, x));
        sum += line->p[i];
    }
    line->evidence += log(sum) - log_factorials(model, counts);
    for (size_t i = 0; i < LINE; i++)
        line->p[i] /= sum;
}

static void line_moments(const struct line *line, double *mean, double *sd)
{
    double first = 0.0, second = 0.0;
    for (size_t i = 0; i < LINE; i++)
        first += line->p[i] * place(i);
    for (size_t i = 0; i < LINE; i++)
        second += line->p[i] * (place(i) - first) * (place(i) - first);
    *mean = first;
    *sd = sqrt(second);
}

/* Position and velocity apart in everything. */
static void separate(struct random_model *made)
{
    for (size_t k = 0; k < made->model.dims.components; k++) {
        double *const pair[] = {made->transition + 4 * k, made->noise + 4 * k,
                                made->start_cov + 4 * k};
        for (size_t i = 0; i < 3; i++)
            pair[i][1] = pair[i][2] = 0.0;
    }
    for (size_t n = 0; n < made->model.dims.units; n++)
        made->weight[2 * n + 1] = 0.0;
}

static void line_init(struct line *line, const struct traj_model *model, size_t k)
{
    *line = (struct line){.a = model->dynamics.transition[4 * k],
                          .b = model->dynamics.drift[2 * k],
                          .q = model->dynamics.noise[4 * k]};
    const double m = model->dynamics.start[2 * k], v = model->dynamics.start_cov[4 * k];
    for (size_t i = 0; i < LINE; i++)
        line->p[i] = exp(-(place(i) - m) * (place(i) - m) / (2.0 * v)) * 2.0 * REACH / (LINE - 1) /
                     sqrt(6.283185307179586 * v);
}

static void compare_lines(const struct traj_decoder *decoder, const struct line *line,
                          const struct traj_model *model, size_t bins, struct apart *apart)
{
    double m[2], v[4], log_weight[2], mean, sd;
    for (size_t k = 0; k < 2; k++) {
        traj_decoder_component(decoder, k, &log_weight[k], m, v);
        line_moments(&line[k], &mean, &sd);
        larger(&apart->mean, fabs(m[0] - mean) / sd);
        larger(&apart->sd, fabs(sqrt(v[0]) / sd - 1.0));
    }
    const double odds = line[1].evidence - line[0].evidence +
                        log(model->component_prior[1] / model->component_prior[0]);
    larger(&apart->odds, fabs(log_weight[1] - log_weight[0] - odds) / (double)bins);
}

static struct apart filters(uint64_t seed, size_t units, const struct traj_settings *settings)
{
    struct random random = {seed};
    struct apart apart = {0};
    static struct line line[2];
    const struct traj_dims dims = small_dims(units, 2);
    for (size_t i = 0; i < 4; i++) {
        struct random_model made;
        random_model_make(&made, &random, &dims, 0);
        separate(&made);
        void *memory;
        struct traj_decoder *decoder = random_decoder(&made.model, settings, &memory);
        for (size_t k = 0; k < 2; k++)
            line_init(&line[k], &made.model, k);
        double x = 0.0, sum = 0.0;
        for (size_t bin = 1; bin <= BINS; bin++) {
            uint16_t counts[USUAL];
            x = 0.95 * x + 0.25 * random_normal(&random);
            for (size_t n = 0; n < units; n++)
                counts[n] = (uint16_t)random_poisson(
                    &random, made.model.bin_width * exp(made.weight[2 * n] * x + made.offset[n]));
            const struct traj_observation frame = {counts, NULL, made.model.bin_width, 1};
            struct traj_estimate estimate;
            traj_decoder_step(decoder, &frame, &estimate);
            sum += estimate.log_evidence;
            for (size_t k = 0; k < 2; k++) {
                if (bin > 1)
                    line_move(&line[k]);
                line_observe(&line[k], &made.model, counts);
            }
            compare_lines(decoder, line, &made.model, bin, &apart);
        }
        const double truth =
            log(made.prior[0] * exp(line[0].evidence - line[1].evidence) + made.prior[1]) +
            line[1].evidence;
        larger(&apart.evidence, fabs(sum - truth) / BINS);
        free(memory);
        random_model_free(&made);
    }
    return apart;
}

static bool within(const struct apart *apart, const struct apart *bound)
{
    return apart->mean <= bound->mean && apart->sd <= bound->sd &&
           apart->evidence <= bound->evidence && apart->odds <= bound->odds;
}

static void report(const char *name, size_t units, const struct apart *apart)
{
    printf("%s, %zu units: mean off by %.3f posterior sd, sd by %.3f of itself, log evidence by "
           "%.4f and log odds by %.4f a bin\n",
           name, units, apart->mean, apart->sd, apart->evidence, apart->odds);
}

static void one_update(void **state)
{
    const struct apart few = single_updates(*(uint64_t *)*state, FEW, NULL);
    const struct apart usual = single_updates(*(uint64_t *)*state, USUAL, NULL);
    report("one update", FEW, &few);
    report("one update", USUAL, &usual);
    assert_true(within(&few, &few_bound) && within(&usual, &usual_bound));
}

static void many_bins(void **state)
{
    const struct apart few = filters(*(uint64_t *)*state + 1, FEW, NULL);
    const struct apart usual = filters(*(uint64_t *)*state + 1, USUAL, NULL);
    report("filter of 60 bins", FEW, &few);
    report("filter of 60 bins", USUAL, &usual);
    assert_true(within(&few, &few_bound) && within(&usual, &usual_bound));
}

/* Without Newton steps the bounds are broken: they do hold the decoder to the posterior. */
static void no_newton_step_is_seen(void **state)
{
    const struct traj_settings none = {
        .newton_steps = 0, .halvings = 10, .newton_tolerance = 1e-10};
    const struct apart one = single_updates(*(uint64_t *)*state, FEW, &none);
    const struct apart many = filters(*(uint64_t *)*state + 1, FEW, &none);
    report("one update without Newton", FEW, &one);
    report("filter without Newton", FEW, &many);
    assert_true(one.mean > few_bound.mean && one.evidence > few_bound.evidence);
    assert_true(many.mean > few_bound.mean && many.evidence > few_bound.evidence);
}

int main(void)
{
    uint64_t seed = test_seed(5);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_prestate(one_update, &seed),
        cmocka_unit_test_prestate(many_bins, &seed),
        cmocka_unit_test_prestate(no_newton_step_is_seen, &seed),
    };
    return cmocka_run_group_tests_name("grid", tests, NULL, NULL);
}
