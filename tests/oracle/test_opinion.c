/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Is what an opinion does what the definition says: bias, lag, scale and powers kept beside it by a
 * naive twin in long double, and the states' probabilities after each frame those of the twin?
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "daemon/model/opinion.h"
#include "daemon/model/target.h"
#include "tests/oracle/random_model.h"

#define STATES 6
#define FRAMES 400
#define LAGS TRAJ_OPINION_LAGS
#define POWERS TRAJ_OPINION_POWERS

typedef long double real;

/* What has been seen so far, all of it. */
struct twin {
    real mean[LAGS][2], square[LAGS], off[LAGS], own[LAGS], count;
    real sum[POWERS], power;
    double past[FRAMES][2], past_cov[FRAMES][4];
    size_t frames;
};

struct places {
    struct traj_model model;
    double position[STATES * 2], velocity[STATES * 2], spread[STATES * 4];
};

static void draw_places(struct places *p, struct random *random)
{
    memset(p, 0, sizeof *p);
    p->model.dims.position = 2;
    p->model.bin_width = 0.02;
    p->model.chain.temper = 0.6;
    p->model.chain.position = p->position;
    p->model.chain.velocity = p->velocity;
    p->model.chain.position_spread = p->model.chain.velocity_spread = p->spread;
    for (size_t j = 0; j < STATES; j++) {
        for (size_t d = 0; d < 2; d++) {
            p->position[2 * j + d] = 50.0 * random_normal(random);
            p->velocity[2 * j + d] = 100.0 * random_normal(random);
        }
        p->spread[4 * j] = p->spread[4 * j + 3] = random_between(random, 9.0, 30.0);
        p->spread[4 * j + 1] = p->spread[4 * j + 2] = 2.0;
    }
}

/* x' A^-1 x and log|A| / 2 of a 2 by 2 matrix. */
static real form(const real *a, const real *x, real *half_log)
{
    const real determinant = a[0] * a[3] - a[1] * a[2];
    if (half_log)
        *half_log = logl(determinant) / 2;
    return (a[3] * x[0] * x[0] - (a[1] + a[2]) * x[0] * x[1] + a[0] * x[1] * x[1]) / determinant;
}

static real trace_ratio(const double *r, const double *p)
{
    const real determinant = (real)r[0] * r[3] - (real)r[1] * r[2];
    return (r[3] * (real)p[0] - r[1] * (real)p[2] - r[2] * (real)p[1] + r[0] * (real)p[3]) /
           determinant;
}

static void learn(struct twin *t, const double *z, const double *r)
{
    const real cov[4] = {r[0], r[1], r[2], r[3]};
    t->count += t->count < 2000.0L ? 1 : 0;
    for (size_t i = 0; i < LAGS; i++) {
        const size_t at = t->frames - 1 - i;
        real e[2], square = 0;
        for (size_t d = 0; d < 2; d++) {
            e[d] = (real)z[d] - t->past[at][d];
            square += e[d] * e[d];
            t->mean[i][d] += (e[d] - t->mean[i][d]) / t->count;
            e[d] -= t->mean[i][d];
        }
        t->square[i] += (square - t->square[i]) / t->count;
        t->off[i] += (form(cov, e, NULL) - t->off[i]) / t->count;
        t->own[i] += (trace_ratio(r, t->past_cov[at]) - t->own[i]) / t->count;
    }
}

static size_t lag_of(const struct twin *t)
{
    size_t best = 0;
    real least = INFINITY;
    for (size_t i = 0; i < LAGS; i++) {
        const real v = t->square[i] - t->mean[i][0] * t->mean[i][0] - t->mean[i][1] * t->mean[i][1];
        if (v < least) {
            least = v;
            best = i;
        }
    }
    return best;
}

/* The states' probabilities by the power that was in force; then the powers learn. */
static void weigh(struct twin *t, const struct places *p, const double *z, const double *r,
                  const double *likely, size_t steps, real *prob)
{
    const size_t lag = lag_of(t);
    const real s = fmaxl((t->off[lag] - t->own[lag]) / 2, 0.25L);
    real log_w[STATES], before[POWERS + 1] = {0}, after[POWERS + 1] = {0};
    for (size_t j = 0; j < STATES; j++) {
        real cov[4], x[2], half;
        for (size_t i = 0; i < 4; i++)
            cov[i] = s * r[i] + p->spread[4 * j + i];
        for (size_t d = 0; d < 2; d++)
            x[d] = z[d] - t->mean[lag][d] - p->position[2 * j + d] +
                   (real)(lag + steps) * 0.02L * p->velocity[2 * j + d];
        log_w[j] = -form(cov, x, &half) / 2;
        log_w[j] -= half;
    }
    for (size_t j = 0; j < STATES; j++)
        for (size_t k = 0; k <= POWERS; k++) {
            const real w = k == POWERS ? 1 : expl(log_w[j] / powl(2, (real)k));
            before[k] += prob[j] * w;
            after[k] += prob[j] * w * expl(0.6L * likely[j]);
        }
    for (size_t j = 0; j < STATES; j++)
        prob[j] *= expl(t->power * log_w[j]);
    t->power = 0;
    real most = 3.0L;
    for (size_t k = 0; k < POWERS; k++) {
        t->sum[k] -= t->sum[k] / 3000;
        t->sum[k] += logl(after[k] / after[POWERS]) - logl(before[k] / before[POWERS]);
        if (t->sum[k] > most) {
            most = t->sum[k];
            t->power = 1 / powl(2, (real)k);
        }
    }
}

static void equals_its_twin(void **state)
{
    (void)state;
    struct random random = {test_seed(41)};
    double worst = 0.0;
    size_t believed = 0;
    for (size_t turn = 0; turn < 10; turn++) {
        struct places p;
        struct twin twin = {.count = 0};
        struct traj_opinion opinion;
        const struct traj_dims dims = {.position = 2, .states = STATES, .targets = 0};
        struct traj_arena arena = {NULL, 0};
        draw_places(&p, &random);
        traj_opinion_lay_out(&opinion, &arena, &dims);
        unsigned char *block = aligned_alloc(TRAJ_ALIGNMENT, arena.used);
        assert_non_null(block);
        memset(&opinion, 0, sizeof opinion);
        arena = (struct traj_arena){block, 0};
        traj_opinion_lay_out(&opinion, &arena, &dims);
        traj_opinion_forget(&opinion);
        for (size_t f = 0; f < FRAMES; f++) {
            const size_t truth = f / 10 % STATES, steps = f % 7 == 0 ? 2 : 1;
            const int32_t active[STATES] = {0, 1, 2, 3, 4, 5};
            double prob[STATES], likely[STATES], z[2];
            const double r[4] = {4.0, 0.5, 0.5, 3.0};
            real expected[STATES], total[2] = {0, 0};
            for (size_t d = 0; d < 2; d++)
                z[d] = p.position[2 * truth + d] + 7.0 +
                       (turn % 2 ? 5.0 : 40.0) * random_normal(&random);
            if (f > 20) {
                assert_int_equal(traj_opinion_take(&opinion, 0, z, r), TRAJ_OK);
                learn(&twin, z, r);
            }
            for (size_t j = 0; j < STATES; j++) {
                prob[j] = random_between(&random, 0.05, 1.0);
                expected[j] = prob[j];
                likely[j] = (j == truth ? 1.0 : 0.0) + 0.5 * random_normal(&random);
            }
            assert_int_equal(traj_opinion_waits(&opinion), twin.count >= 50);
            if (twin.count >= 50) {
                weigh(&twin, &p, z, r, likely, steps, expected);
                believed += twin.power > 0;
            }
            traj_opinion_weigh(&opinion, &p.model, steps, active, STATES, likely, prob);
            for (size_t j = 0; j < STATES; j++) {
                total[0] += prob[j];
                total[1] += expected[j];
            }
            for (size_t j = 0; j < STATES; j++)
                worst = fmax(worst, (double)fabsl(prob[j] / total[0] - expected[j] / total[1]));
            for (size_t k = 0; k < POWERS && twin.count >= 50; k++)
                worst = fmax(worst, (double)fabsl(opinion.stream[0].worth.sum[k] - twin.sum[k]) /
                                        (1.0 + fabs((double)twin.sum[k])));
            for (size_t d = 0; d < 2; d++)
                twin.past[f][d] = p.position[2 * truth + d] + 3.0 * random_normal(&random);
            twin.past_cov[f][0] = twin.past_cov[f][3] = random_between(&random, 5.0, 9.0);
            twin.past_cov[f][1] = twin.past_cov[f][2] = 1.0;
            traj_opinion_note(&opinion, twin.past[f], twin.past_cov[f], twin.past[f],
                              twin.past_cov[f]);
            twin.frames = f + 1;
        }
        free(block);
    }
    printf("believed in %zu frames, largest difference %.2g\n", believed, worst);
    assert_true(believed > 100);
    assert_true(worst < 1e-8);
}

/* What no sender means is refused, and nothing is learned of it. */
static void an_absurd_opinion_teaches_nothing(void **state)
{
    (void)state;
    const double far[2] = {1e200, 0}, near[2] = {3, 4}, away[2] = {1e7, 0};
    const double wide[4] = {1e300, 0, 0, 1e300}, usual[4] = {4, 0, 0, 4};
    const double sure[4] = {1e-300, 0, 0, 1e-300}, past[2] = {1, 2}, cov[4] = {5, 0, 0, 5};
    const struct traj_dims dims = {.position = 2, .states = STATES, .targets = 0};
    struct traj_opinion opinion;
    struct traj_arena arena = {NULL, 0};
    memset(&opinion, 0, sizeof opinion);
    traj_opinion_lay_out(&opinion, &arena, &dims);
    unsigned char *block = aligned_alloc(TRAJ_ALIGNMENT, arena.used);
    assert_non_null(block);
    arena = (struct traj_arena){block, 0};
    traj_opinion_lay_out(&opinion, &arena, &dims);
    traj_opinion_forget(&opinion);
    for (size_t f = 0; f < 100; f++)
        traj_opinion_note(&opinion, past, cov, past, cov);
    assert_int_equal(traj_opinion_take(&opinion, 0, near, usual), TRAJ_OK);
    const struct traj_opinion before = opinion;
    assert_int_equal(traj_opinion_take(&opinion, 0, far, usual), TRAJ_E_RANGE);
    assert_int_equal(traj_opinion_take(&opinion, 0, far, wide), TRAJ_E_RANGE);
    assert_int_equal(traj_opinion_take(&opinion, 0, away, usual), TRAJ_E_RANGE);
    assert_int_equal(traj_opinion_take(&opinion, 0, past, sure), TRAJ_E_RANGE);
    assert_memory_equal(&before, &opinion, sizeof opinion);
    free(block);
}

/* Likelihoods that lie infinitely far apart leave a belief: the floor, and the rest. */
static void likelihoods_of_any_size_make_a_belief(void **state)
{
    (void)state;
    const double likelihood[2] = {1e308, -1e308};
    const double powers[2] = {0.0, 1.0};
    for (size_t i = 0; i < 2; i++) {
        double ratio[2];
        traj_target_likelihood(2, powers[i], likelihood, ratio);
        assert_true(isfinite(ratio[0]) && isfinite(ratio[1]));
        assert_true(powers[i] > 0.0 ? ratio[0] > 0.6 && ratio[1] < -5.0
                                    : ratio[0] == 0.0 && ratio[1] == 0.0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(equals_its_twin),
                                       cmocka_unit_test(an_absurd_opinion_teaches_nothing),
                                       cmocka_unit_test(likelihoods_of_any_size_make_a_belief)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
