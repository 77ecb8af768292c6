/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Features alone make the model linear and Gaussian, and then the filter must be exact.  Here the
 * whole series is one joint Gaussian: covariances of the states by propagation, of the observations
 * through C and R, everything conditioned at once by Cholesky in long double.  Frames are missing,
 * and so are single features.
 */
#include "tests/oracle/random_model.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

typedef long double real;

#define FRAMES 40
#define BOUND 1e-9

/* One component's joint Gaussian of the frames so far. */
struct joint {
    const struct traj_model *model;
    size_t k;
    size_t rows;   /* observed numbers so far */
    real *mean;    /* [S] of the state now, unconditionally */
    real *cov;     /* [S][S] */
    real *cross;   /* [rows][S] covariance of each observed number with the state now */
    real *factor;  /* [rows][rows] Cholesky factor of the observed numbers' covariance */
    real *white;   /* [rows] factor^-1 (observed - mean) */
    real *loading; /* [rows][S] factor^-1 cross */
    real evidence; /* log density of all observed numbers */
};

#define ROWS_MAX ((size_t)FRAMES * 8)

static real *reals(size_t n)
{
    real *out = calloc(n, sizeof *out);
    assert_non_null(out);
    return out;
}

static void joint_init(struct joint *joint, const struct traj_model *model, size_t k)
{
    const size_t s = model->dims.state;
    memset(joint, 0, sizeof *joint);
    joint->model = model;
    joint->k = k;
    joint->mean = reals(s);
    joint->cov = reals(s * s);
    joint->cross = reals(ROWS_MAX * s);
    joint->factor = reals(ROWS_MAX * ROWS_MAX);
    joint->white = reals(ROWS_MAX);
    joint->loading = reals(ROWS_MAX * s);
    for (size_t i = 0; i < s; i++)
        joint->mean[i] = model->dynamics.start[k * s + i];
    for (size_t i = 0; i < s * s; i++)
        joint->cov[i] = model->dynamics.start_cov[k * s * s + i];
}

static void joint_free(struct joint *joint)
{
    free(joint->mean);
    free(joint->cov);
    free(joint->cross);
    free(joint->factor);
    free(joint->white);
    free(joint->loading);
}

/* One bin on: mean and covariance of the state, and its covariance with all that was observed. */
static void joint_move(struct joint *joint)
{
    const size_t s = joint->model->dims.state;
    const double *a = joint->model->dynamics.transition + joint->k * s * s;
    const double *q = joint->model->dynamics.noise + joint->k * s * s;
    real *old = reals(s * s + s), *half = reals(s * s);
    memcpy(old, joint->mean, s * sizeof(real));
    for (size_t i = 0; i < s; i++) {
        joint->mean[i] = joint->model->dynamics.drift[joint->k * s + i];
        for (size_t j = 0; j < s; j++)
            joint->mean[i] += a[i * s + j] * old[j];
    }
    for (size_t r = 0; r < joint->rows; r++) {
        memcpy(old, joint->cross + r * s, s * sizeof(real));
        for (size_t i = 0; i < s; i++) {
            joint->cross[r * s + i] = 0.0L;
            for (size_t j = 0; j < s; j++)
                joint->cross[r * s + i] += a[i * s + j] * old[j];
        }
    }
    for (size_t i = 0; i < s; i++)
        for (size_t j = 0; j < s; j++)
            for (size_t t = 0; t < s; t++)
                half[i * s + j] += a[i * s + t] * joint->cov[t * s + j];
    for (size_t i = 0; i < s; i++) {
        for (size_t j = 0; j < s; j++) {
            joint->cov[i * s + j] = q[i * s + j];
            for (size_t t = 0; t < s; t++)
                joint->cov[i * s + j] += half[i * s + t] * a[j * s + t];
        }
    }
    free(old);
    free(half);
}

/* Adds feature f, seen now together with the `fellows` rows before it, as one more row. */
static void joint_row(struct joint *joint, size_t f, float value, const size_t *fellow,
                      size_t fellows)
{
    const struct traj_feature_map *map = &joint->model->feature;
    const size_t s = joint->model->dims.state, all = joint->model->dims.features;
    const size_t row = joint->rows++;
    real *factor = joint->factor + row * ROWS_MAX;
    real mean = map->offset[f], variance = map->noise[f * all + f];
    for (size_t i = 0; i < s; i++) {
        mean += map->weight[f * s + i] * joint->mean[i];
        joint->cross[row * s + i] = 0.0L;
        for (size_t j = 0; j < s; j++) {
            joint->cross[row * s + i] += map->weight[f * s + j] * joint->cov[j * s + i];
            variance += map->weight[f * s + i] * map->weight[f * s + j] * joint->cov[i * s + j];
        }
    }
    for (size_t r = 0; r < row; r++) {
        factor[r] = 0.0L;
        for (size_t i = 0; i < s; i++)
            factor[r] += map->weight[f * s + i] * joint->cross[r * s + i];
        if (r + fellows >= row)
            factor[r] += map->noise[f * all + fellow[r + fellows - row]];
        for (size_t t = 0; t < r; t++)
            factor[r] -= factor[t] * joint->factor[r * ROWS_MAX + t];
        factor[r] /= joint->factor[r * ROWS_MAX + r];
        variance -= factor[r] * factor[r];
    }
    factor[row] = sqrtl(variance);
    joint->white[row] = (real)value - mean;
    for (size_t r = 0; r < row; r++)
        joint->white[row] -= factor[r] * joint->white[r];
    joint->white[row] /= factor[row];
    joint->evidence -=
        logl(factor[row]) + joint->white[row] * joint->white[row] / 2 + logl(2 * acosl(-1.0L)) / 2;
}

static void joint_observe(struct joint *joint, const float *features)
{
    size_t fellow[8], fellows = 0;
    for (size_t f = 0; f < joint->model->dims.features; f++) {
        if (isnan(features[f]))
            continue;
        joint_row(joint, f, features[f], fellow, fellows);
        fellow[fellows++] = f;
    }
}

/* The state now given everything: mean + cross' Sigma^-1 (y - m), cov - cross' Sigma^-1 cross. */
static void joint_condition(struct joint *joint, real *mean, real *cov)
{
    const size_t s = joint->model->dims.state;
    memcpy(mean, joint->mean, s * sizeof(real));
    memcpy(cov, joint->cov, s * s * sizeof(real));
    for (size_t r = 0; r < joint->rows; r++) {
        real *loading = joint->loading + r * s;
        memcpy(loading, joint->cross + r * s, s * sizeof(real));
        for (size_t t = 0; t < r; t++)
            for (size_t i = 0; i < s; i++)
                loading[i] -= joint->factor[r * ROWS_MAX + t] * joint->loading[t * s + i];
        for (size_t i = 0; i < s; i++)
            loading[i] /= joint->factor[r * ROWS_MAX + r];
        for (size_t i = 0; i < s; i++) {
            mean[i] += loading[i] * joint->white[r];
            for (size_t j = 0; j < s; j++)
                cov[i * s + j] -= loading[i] * loading[j];
        }
    }
}

static double difference(double got, real truth)
{
    return (double)(fabsl((real)got - truth) / (1.0L + fabsl(truth)));
}

static void keep_larger(double *largest, double value)
{
    if (!(value <= *largest))
        *largest = value;
}

struct apart {
    double mean, cov, weight, evidence;
};

/* Each component, its weight, and the evidence of all frames so far. */
static void compare(const struct traj_decoder *decoder, struct joint *joint, double evidence,
                    struct apart *apart)
{
    const struct traj_model *model = joint[0].model;
    const size_t s = model->dims.state, components = model->dims.components;
    double mean[TRAJ_STATE_MAX], cov[TRAJ_STATE_MAX * TRAJ_STATE_MAX], log_weight;
    real true_mean[TRAJ_STATE_MAX], true_cov[TRAJ_STATE_MAX * TRAJ_STATE_MAX];
    real most = -INFINITY, total = 0.0L;
    for (size_t k = 0; k < components; k++)
        most = fmaxl(most, joint[k].evidence + logl(model->component_prior[k]));
    for (size_t k = 0; k < components; k++)
        total += expl(joint[k].evidence + logl(model->component_prior[k]) - most);
    total = most + logl(total);
    keep_larger(&apart->evidence, difference(evidence, total));
    for (size_t k = 0; k < components; k++) {
        traj_decoder_component(decoder, k, &log_weight, mean, cov);
        joint_condition(&joint[k], true_mean, true_cov);
        for (size_t i = 0; i < s; i++)
            keep_larger(&apart->mean, difference(mean[i], true_mean[i]));
        for (size_t i = 0; i < s * s; i++)
            keep_larger(&apart->cov, difference(cov[i], true_cov[i]));
        keep_larger(
            &apart->weight,
            difference(log_weight, joint[k].evidence + logl(model->component_prior[k]) - total));
    }
}

/* Bins by which the decoder is told the wrong length of a gap: 0 for the truth. */
static struct apart run(struct random *random, size_t components, size_t lie)
{
    const size_t d = 1 + random_below(random, 2);
    const struct traj_dims dims = {.position = d,
                                   .state = d * (2 + random_below(random, 2)),
                                   .features = 1 + random_below(random, 7),
                                   .targets = components,
                                   .components = components};
    struct random_model made;
    random_model_make(&made, random, &dims, 0);
    void *memory;
    struct traj_decoder *decoder = random_decoder(&made.model, NULL, &memory);
    struct joint *joint = calloc(components, sizeof *joint);
    assert_non_null(joint);
    for (size_t k = 0; k < components; k++)
        joint_init(&joint[k], &made.model, k);
    struct apart apart = {0};
    float features[8];
    double evidence = 0.0;
    traj_decoder_trial_start(decoder);
    for (size_t i = 0; i < FRAMES; i++) {
        const size_t steps = i > 0 && i % 7 == 0 ? 1 + random_below(random, 14) : 1;
        random_frame(&made.model, random, i % 2 ? 0.3 : 0.0, NULL, features);
        const struct traj_observation frame = {NULL, features, 0.02, steps > 1 ? steps + lie : 1};
        struct traj_estimate estimate;
        assert_int_equal(traj_decoder_step(decoder, &frame, &estimate), TRAJ_OK);
        evidence += estimate.log_evidence;
        for (size_t k = 0; k < components; k++) {
            for (size_t step = 0; step < steps && i > 0; step++)
                joint_move(&joint[k]);
            joint_observe(&joint[k], features);
        }
        compare(decoder, joint, evidence, &apart);
    }
    for (size_t k = 0; k < components; k++)
        joint_free(&joint[k]);
    free(joint);
    free(memory);
    random_model_free(&made);
    return apart;
}

static void run_many(uint64_t seed, size_t components, const char *name)
{
    struct random random = {seed};
    struct apart largest = {0};
    for (size_t i = 0; i < 12; i++) {
        const struct apart apart = run(&random, components, 0);
        keep_larger(&largest.mean, apart.mean);
        keep_larger(&largest.cov, apart.cov);
        keep_larger(&largest.weight, apart.weight);
        keep_larger(&largest.evidence, apart.evidence);
    }
    printf("%s: 12 models of %d frames, largest differences relative to 1 + |x|:\n"
           "  mean %.2g, covariance %.2g, log weight %.2g, log evidence of all frames %.2g\n",
           name, FRAMES, largest.mean, largest.cov, largest.weight, largest.evidence);
    assert_true(largest.mean <= BOUND && largest.cov <= BOUND);
    assert_true(largest.weight <= BOUND && largest.evidence <= BOUND);
}

static void one_component(void **state)
{
    run_many(*(uint64_t *)*state, 1, "one component");
}

static void mixture(void **state)
{
    run_many(*(uint64_t *)*state + 1, 4, "mixture of four");
}

static void a_wrong_gap_is_seen(void **state)
{
    struct random random = {*(uint64_t *)*state + 2};
    const struct apart apart = run(&random, 2, 1);
    printf("gaps told one bin too long: mean off by %.2g\n", apart.mean);
    assert_true(apart.mean > 1e-4 && apart.evidence > 1e-5);
}

int main(void)
{
    uint64_t seed = test_seed(77);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_prestate(one_component, &seed),
        cmocka_unit_test_prestate(mixture, &seed),
        cmocka_unit_test_prestate(a_wrong_gap_is_seen, &seed),
    };
    return cmocka_run_group_tests_name("exact conditioning", tests, NULL, NULL);
}
