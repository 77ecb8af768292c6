/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Is the log evidence of the filter over courses the log density of the frame, written out in long
 * double with the covariance inverted whole: for more nodes and channels than the tables are made
 * of at a time, with channels missing, few or most, and a feature that lies far from 0?
 *
 * The filter stands in one state and stays there, so that nothing but that state's density is told.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/oracle/random_model.h"
#include "traj/decoder.h"

#define NODES 300
#define STATES 299
#define UNITS 37
#define FEATURES 4
#define CHANNELS (UNITS + FEATURES)
#define RANK 3
#define FRAMES 5
#define FAR 1e6 /* where the last feature lies, with a noise of 0.01 */

typedef long double real;

struct wide {
    struct traj_model model;
    size_t channels;
    double position[2 * STATES], velocity[2 * STATES], spread[4 * STATES];
    int32_t target[STATES], node[STATES], group[STATES], first[STATES + 1], to[STATES];
    uint8_t place[STATES];
    double none[STATES], share[STATES], initial[STATES], link[TRAJ_CONTEXTS * STATES];
    double mean[NODES * CHANNELS], doubt[NODES], noise[CHANNELS], factor[CHANNELS * RANK];
};

struct frame {
    uint16_t count[UNITS];
    float feature[FEATURES];
    double dt;
};

static void point_model(struct wide *w, bool gaussian)
{
    w->channels = gaussian ? CHANNELS : UNITS;
    w->model = (struct traj_model){.dims = {.position = 2,
                                            .state = 4,
                                            .units = UNITS,
                                            .features = gaussian ? FEATURES : 0,
                                            .states = STATES,
                                            .nodes = NODES,
                                            .factors = gaussian ? RANK : 0,
                                            .links = STATES},
                                   .bin_width = 0.02,
                                   .evidence_temper = 1.0,
                                   .plan = {.temper = 1.0},
                                   .calibration = TRAJ_CALIBRATION_NONE,
                                   .chain = {.position = w->position,
                                             .velocity = w->velocity,
                                             .position_spread = w->spread,
                                             .velocity_spread = w->spread,
                                             .target = w->target,
                                             .place = w->place,
                                             .progress = w->none,
                                             .eta = w->none,
                                             .node = w->node,
                                             .share = w->share,
                                             .group = w->group,
                                             .emission_mean = w->mean,
                                             .emission_doubt = w->doubt,
                                             .emission_noise = w->noise,
                                             .emission_factor = w->factor,
                                             .link_first = w->first,
                                             .link_to = w->to,
                                             .link_prob = w->link,
                                             .initial = w->initial,
                                             .start = w->initial,
                                             .start_share = 0.5,
                                             .temper = 0.3, /* has no part in the evidence */
                                             .gaussian = gaussian ? 1.0 : 0.0}};
}

static void draw(struct wide *w, struct random *random, bool gaussian)
{
    memset(w, 0, sizeof *w);
    point_model(w, gaussian);
    for (size_t j = 0; j < STATES; j++) {
        w->target[j] = w->group[j] = -1;
        w->none[j] = -1.0;
        w->node[j] = (int32_t)j;
        w->share[j] = j % 3 == 0 ? random_between(random, 0.0, 1.0) : 0.0;
        w->spread[4 * j] = w->spread[4 * j + 3] = 1.0;
        w->to[j] = (int32_t)j;
        w->first[j + 1] = (int32_t)(j + 1);
        for (size_t c = 0; c < TRAJ_CONTEXTS; c++)
            w->link[c * STATES + j] = 1.0;
    }
    for (size_t n = 0; n < w->channels; n++) {
        const bool far = n == CHANNELS - 1;
        w->noise[n] = far ? 1e-4 : random_between(random, 0.1, 0.5);
        for (size_t r = 0; r < RANK; r++)
            w->factor[n * RANK + r] = (far ? 0.01 : 0.4) * random_normal(random);
        for (size_t e = 0; e < NODES; e++)
            w->mean[e * w->channels + n] = far        ? FAR + 0.01 * random_normal(random)
                                           : gaussian ? random_between(random, 0.5, 2.0)
                                                      : log(random_between(random, 10, 80));
    }
    for (size_t e = 0; e < NODES && !gaussian; e++)
        w->doubt[e] = random_between(random, 0.0, 60.0);
}

/* One frame in which none, few, half, most or all of the channels are missing. */
static void draw_frame(struct frame *f, struct random *random, size_t t)
{
    static const double missing[FRAMES] = {0.0, 0.05, 0.5, 0.9, 1.0};
    f->dt = t % 2 ? 0.02 : 0.019;
    for (size_t n = 0; n < UNITS; n++)
        f->count[n] = random_uniform(random) < missing[t] ? TRAJ_COUNT_MISSING
                                                          : (uint16_t)random_below(random, 20);
    for (size_t n = 0; n < FEATURES; n++)
        f->feature[n] = random_uniform(random) < missing[t] ? NAN
                        : n == FEATURES - 1 ? (float)(FAR + 0.05 * random_normal(random))
                                            : (float)random_between(random, 0.5, 2.0);
}

/* Inverts a symmetric matrix in place by Gauss-Jordan; the log of its determinant. */
static real invert(size_t n, real a[CHANNELS][CHANNELS])
{
    real log_determinant = 0.0L;
    for (size_t p = 0; p < n; p++) {
        const real pivot = a[p][p];
        log_determinant += logl(pivot);
        a[p][p] = 1.0L;
        for (size_t c = 0; c < n; c++)
            a[p][c] /= pivot;
        for (size_t r = 0; r < n; r++) {
            const real f = a[r][p];
            if (r == p)
                continue;
            a[r][p] = 0.0L;
            for (size_t c = 0; c < n; c++)
                a[r][c] -= f * a[p][c];
        }
    }
    return log_determinant;
}

static real gaussian_density(const struct wide *w, const struct frame *f, size_t node)
{
    static real cov[CHANNELS][CHANNELS];
    real apart[CHANNELS], sum = 0.0L;
    size_t seen[CHANNELS], count = 0;
    for (size_t n = 0; n < CHANNELS; n++)
        if (n < UNITS ? f->count[n] != TRAJ_COUNT_MISSING : !isnan(f->feature[n - UNITS]))
            seen[count++] = n;
    for (size_t i = 0; i < count; i++) {
        const size_t n = seen[i];
        const real s = n < UNITS ? sqrtl(f->count[n] * (real)w->model.bin_width / f->dt + 0.25L)
                                 : (real)f->feature[n - UNITS];
        apart[i] = s - w->mean[node * CHANNELS + n];
        for (size_t k = 0; k < count; k++) {
            cov[i][k] = i == k ? w->noise[n] : 0.0L;
            for (size_t r = 0; r < RANK; r++)
                cov[i][k] += (real)w->factor[n * RANK + r] * w->factor[seen[k] * RANK + r];
        }
    }
    const real log_determinant = invert(count, cov);
    for (size_t i = 0; i < count; i++)
        for (size_t k = 0; k < count; k++)
            sum += apart[i] * cov[i][k] * apart[k];
    return -0.5L * (sum + log_determinant + (real)count * logl(2.0L * acosl(-1.0L)));
}

/* The doubt about a node's rates is part of what is said about it. */
static real poisson_probability(const struct wide *w, const struct frame *f, size_t node)
{
    real sum = 0.0L, seen = 0.0L;
    for (size_t n = 0; n < UNITS; n++) {
        const real expected = f->dt * expl(w->mean[node * UNITS + n]);
        if (f->count[n] == TRAJ_COUNT_MISSING)
            continue;
        seen += 1.0L;
        sum += f->count[n] * logl(expected) - expected - lgammal(f->count[n] + 1.0L);
    }
    return sum + f->dt * (real)w->doubt[node] * seen / UNITS;
}

static real density(const struct wide *w, const struct frame *f, size_t j)
{
    real at[2];
    for (size_t i = 0; i < 2; i++)
        at[i] = w->model.chain.gaussian != 0.0 ? gaussian_density(w, f, j + i)
                                               : poisson_probability(w, f, j + i);
    return at[0] + (real)w->share[j] * (at[1] - at[0]);
}

/* Largest difference over a story of frames, nats. */
static double run(struct wide *w, struct random *random, size_t j)
{
    struct traj_settings settings;
    struct traj_decoder *decoder = NULL;
    double worst = 0.0;
    const char *what = NULL;
    size_t index = 0;
    traj_settings_default(&settings);
    settings.believe = true;
    memset(w->initial, 0, sizeof w->initial);
    w->initial[j] = 1.0;
    assert_int_equal(traj_model_check(&w->model, &what, &index), TRAJ_OK);
    const size_t size = traj_decoder_size(&w->model.dims);
    void *memory = malloc(size);
    assert_non_null(memory);
    assert_int_equal(traj_decoder_init(memory, size, &w->model, &settings, &decoder), TRAJ_OK);
    for (size_t t = 0; t < FRAMES; t++) {
        struct frame f;
        struct traj_estimate e;
        draw_frame(&f, random, t);
        const struct traj_observation o = {f.count, w->model.dims.features ? f.feature : NULL, f.dt,
                                           1};
        assert_int_equal(traj_decoder_step(decoder, &o, &e), TRAJ_OK);
        worst = fmax(worst, fabs((double)(e.log_evidence - density(w, &f, j))));
    }
    free(memory);
    return worst;
}

static void the_evidence_is_the_density(void **state)
{
    (void)state;
    static struct wide w;
    struct random random = {test_seed(41)};
    for (int gaussian = 0; gaussian < 2; gaussian++) {
        double worst = 0.0;
        draw(&w, &random, gaussian != 0);
        for (size_t j = 0; j < STATES; j += 13)
            worst = fmax(worst, run(&w, &random, j));
        printf("%s: largest difference %.2g nats\n", gaussian ? "gaussian" : "poisson", worst);
        assert_true(worst < 1e-9);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(the_evidence_is_the_density)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
