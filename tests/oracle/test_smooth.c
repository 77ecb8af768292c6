/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Is the smoothed posterior that of the whole story: for the filter over courses, the sum over all
 * paths, and with slow gains over paths that never meet; for mixtures of linear-Gaussian
 * components, the one Gaussian of all states and all observations, conditioned at once?
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "daemon/learn/smooth.h"
#include "tests/oracle/chain_model.h"
#include "traj/decoder.h"

/* ---- the filter over courses ---------------------------------------------------------------- */

/* Posterior of every frame's state given all frames, by all paths. */
static void enumerate(const struct chain_model *m, const struct story *s,
                      real posterior[FRAMES][STATES])
{
    size_t path[FRAMES], paths = 1;
    real total = 0.0L;
    for (size_t t = 0; t < FRAMES; t++)
        paths *= STATES;
    memset(posterior, 0, FRAMES * sizeof *posterior);
    for (size_t p = 0; p < paths; p++) {
        real weight = 1.0L;
        for (size_t t = 0, left = p; t < FRAMES; t++, left /= STATES)
            path[t] = left % STATES;
        for (size_t t = 0; t < FRAMES; t++)
            weight *= chain_arrival(m, s, t, t > 0 ? path[t - 1] : 0, path[t]) *
                      expl((real)m->model.chain.temper * chain_likelihood(m, s, t, path[t]));
        for (size_t t = 0; t < FRAMES; t++)
            posterior[t][path[t]] += weight;
        total += weight;
    }
    for (size_t t = 0; t < FRAMES; t++)
        for (size_t j = 0; j < STATES; j++)
            posterior[t][j] /= total;
}

/* Runs a story forward and backward. */
static struct traj_smoother *smooth(struct traj_decoder *decoder, const struct story *s, bool trial)
{
    struct traj_error error = {""};
    struct traj_estimate e = {0};
    struct traj_smoother *smoother = traj_smoother_new(decoder, &error);
    assert_non_null(smoother);
    for (size_t t = 0; t < FRAMES; t++) {
        const struct traj_observation o = {s->count[t], NULL, s->dt[t], s->steps[t]};
        if (trial && t == s->start_at)
            traj_decoder_trial_start(decoder);
        assert_int_equal(traj_decoder_step(decoder, &o, &e), TRAJ_OK);
        assert_int_equal(traj_smoother_keep(smoother, &e, &error), 0);
    }
    assert_int_equal(traj_smoother_run(smoother, &error), 0);
    assert_int_equal(traj_smoother_frames(smoother), FRAMES);
    return smoother;
}

static double apart(const struct chain_model *m, const real *posterior,
                    const struct traj_estimate *e)
{
    real worst = 0.0L, target[TARGETS] = {0}, place[TRAJ_PLACES] = {0};
    for (size_t d = 0; d < 2; d++) {
        real position = 0.0L, velocity = 0.0L;
        for (size_t j = 0; j < STATES; j++) {
            position += posterior[j] * m->position[2 * j + d];
            velocity += posterior[j] * m->velocity[2 * j + d];
        }
        worst = fmaxl(worst, fabsl(position - e->position[d]) / 10.0L);
        worst = fmaxl(worst, fabsl(velocity - e->velocity[d]) / 50.0L);
    }
    for (size_t j = 0; j < STATES; j++) {
        place[m->place[j]] += posterior[j];
        if (m->target[j] >= 0)
            target[m->target[j]] += posterior[j];
    }
    for (size_t k = 0; k < TARGETS; k++)
        worst = fmaxl(worst, fabsl(target[k] - e->target_prob[k]));
    for (size_t k = 0; k < TRAJ_PLACES; k++)
        worst = fmaxl(worst, fabsl(place[k] - e->place_prob[k]));
    return (double)worst;
}

static void equals_the_sum_over_all_paths(void **state)
{
    (void)state;
    struct random random = {test_seed(41)};
    for (int gaussian = 0; gaussian < 2; gaussian++) {
        double worst = 0.0, filtered = 0.0;
        for (size_t i = 0; i < 10; i++) {
            struct chain_model m;
            struct story s;
            void *memory;
            real posterior[FRAMES][STATES];
            struct traj_estimate e;
            chain_draw(&m, &random, gaussian != 0, 0);
            m.model.chain.switch_prob = i % 2 ? 0.1 : 0.0;
            m.group[1] = m.group[2] = 0;
            chain_draw_story(&s, &random);
            struct traj_decoder *decoder = chain_decoder(&m.model, &memory);
            struct traj_smoother *smoother = smooth(decoder, &s, true);
            enumerate(&m, &s, posterior);
            for (size_t t = 0; t < FRAMES; t++) {
                traj_smoother_show(smoother, t, &e);
                worst = fmax(worst, apart(&m, posterior[t], &e));
                if (t > 0)
                    filtered = fmax(filtered, apart(&m, posterior[t - 1], &e));
            }
            traj_smoother_free(smoother);
            free(memory);
        }
        printf("%s: largest difference %.2g; from the frame before, %.2g\n",
               gaussian ? "gaussian" : "poisson", worst, filtered);
        assert_true(worst < 1e-9 && filtered > 1e-2);
    }
}

/* Where paths never meet, what is known at the end was so from the beginning. */
static void gains_are_exact_on_paths_that_never_meet(void **state)
{
    (void)state;
    struct random random = {test_seed(42)};
    double worst = 0.0;
    for (size_t i = 0; i < 20; i++) {
        struct chain_model m;
        struct story s;
        void *memory;
        real weight[STATES], total = 0.0L;
        struct traj_estimate e;
        chain_draw(&m, &random, false, 1);
        chain_never_meet(&m);
        chain_draw_story(&s, &random);
        for (size_t j = 0; j < STATES; j++) {
            real v = 0.0L, h = 1.0L, sum = 0.0L;
            for (size_t t = 0; t < FRAMES; t++) {
                sum += chain_likelihood(&m, &s, t, j);
                for (size_t n = 0; n < UNITS; n++) {
                    const real expected = s.dt[t] * chain_rate(&m, j, n), g = m.gain[n];
                    if (s.count[t][n] == TRAJ_COUNT_MISSING)
                        continue;
                    v += g * (s.count[t][n] - expected);
                    h += g * g * expected;
                }
            }
            sum += v * v / h / 2.0L - logl(h) / 2.0L;
            total += weight[j] = m.initial[j] * expl((real)m.model.chain.temper * sum);
        }
        for (size_t j = 0; j < STATES; j++)
            weight[j] /= total;
        struct traj_decoder *decoder = chain_decoder(&m.model, &memory);
        struct traj_smoother *smoother = smooth(decoder, &s, false);
        for (size_t t = 0; t < FRAMES; t++) {
            traj_smoother_show(smoother, t, &e);
            worst = fmax(worst, apart(&m, weight, &e));
        }
        traj_smoother_free(smoother);
        free(memory);
    }
    printf("gains: largest difference %.2g\n", worst);
    assert_true(worst < 1e-9);
}

/* ---- mixtures ------------------------------------------------------------------------------- */

#define TIMES 5
#define SIZE 4 /* of the state */
#define SEEN 3 /* features */
#define ALL (TIMES * SEEN)

static const size_t bins[TIMES] = {1, 1, 3, 1, 2};

/* Solves a x = b for `columns` right sides in place, a symmetric positive definite; log|a|. */
static real solve(size_t n, real a[ALL][ALL], size_t columns, real b[ALL][ALL])
{
    real log_determinant = 0.0L;
    for (size_t p = 0; p < n; p++) {
        log_determinant += logl(a[p][p]);
        for (size_t r = 0; r < n; r++) {
            const real f = a[r][p] / a[p][p];
            for (size_t c = p; c < n && r != p; c++)
                a[r][c] -= f * a[p][c];
            for (size_t c = 0; c < columns && r != p; c++)
                b[r][c] -= f * b[p][c];
        }
    }
    for (size_t r = 0; r < n; r++)
        for (size_t c = 0; c < columns; c++)
            b[r][c] /= a[r][r];
    return log_determinant;
}

/* One component's states at all times as one Gaussian. */
struct joint {
    real mean[TIMES][SIZE];
    real cov[TIMES][TIMES][SIZE][SIZE]; /* of the states at two times */
};

static void one_bin_on(const struct traj_model *model, size_t k, struct joint *joint, size_t t)
{
    const double *a = model->dynamics.transition + k * SIZE * SIZE;
    const double *q = model->dynamics.noise + k * SIZE * SIZE;
    struct joint old = *joint;
    for (size_t i = 0; i < SIZE; i++) {
        joint->mean[t][i] = model->dynamics.drift[k * SIZE + i];
        for (size_t j = 0; j < SIZE; j++)
            joint->mean[t][i] += a[i * SIZE + j] * old.mean[t][j];
    }
    for (size_t u = 0; u <= t; u++)
        for (size_t i = 0; i < SIZE; i++)
            for (size_t j = 0; j < SIZE; j++) {
                real sum = u == t ? q[i * SIZE + j] : 0.0L;
                for (size_t x = 0; x < SIZE; x++)
                    for (size_t y = 0; y < SIZE; y++)
                        sum += a[i * SIZE + x] * old.cov[t][u][x][y] *
                               (u == t ? (real)a[j * SIZE + y] : (real)(j == y));
                joint->cov[t][u][i][j] = sum;
            }
    for (size_t u = 0; u < t; u++)
        for (size_t i = 0; i < SIZE; i++)
            for (size_t j = 0; j < SIZE; j++)
                joint->cov[u][t][j][i] = joint->cov[t][u][i][j];
}

static void lay_joint(const struct traj_model *model, size_t k, struct joint *joint)
{
    memset(joint, 0, sizeof *joint);
    for (size_t i = 0; i < SIZE; i++) {
        joint->mean[0][i] = model->dynamics.start[k * SIZE + i];
        for (size_t j = 0; j < SIZE; j++)
            joint->cov[0][0][i][j] = model->dynamics.start_cov[(k * SIZE + i) * SIZE + j];
    }
    for (size_t t = 1; t < TIMES; t++) {
        memcpy(joint->mean[t], joint->mean[t - 1], sizeof joint->mean[t]);
        for (size_t u = 0; u < t; u++) {
            memcpy(joint->cov[t][u], joint->cov[t - 1][u], sizeof joint->cov[t][u]);
            memcpy(joint->cov[u][t], joint->cov[u][t - 1], sizeof joint->cov[u][t]);
        }
        memcpy(joint->cov[t][t], joint->cov[t - 1][t - 1], sizeof joint->cov[t][t]);
        for (size_t b = 0; b < bins[t]; b++)
            one_bin_on(model, k, joint, t);
    }
}

/* Conditions on all features at once: mean[TIMES][SIZE] and the log evidence (but a constant). */
static real condition(const struct traj_model *model, const struct joint *joint,
                      float feature[TIMES][SEEN], real mean[TIMES][SIZE])
{
    const double *c = model->feature.weight, *r = model->feature.noise;
    real cov[ALL][ALL], right[ALL][ALL], apart[ALL], quadratic = 0.0L;
    for (size_t x = 0; x < ALL; x++) {
        const size_t t = x / SEEN, f = x % SEEN;
        apart[x] = (real)feature[t][f] - model->feature.offset[f];
        for (size_t i = 0; i < SIZE; i++)
            apart[x] -= c[f * SIZE + i] * joint->mean[t][i];
        right[x][0] = apart[x];
        for (size_t y = 0; y < ALL; y++) {
            const size_t u = y / SEEN, g = y % SEEN;
            cov[x][y] = t == u ? r[f * SEEN + g] : 0.0L;
            for (size_t i = 0; i < SIZE; i++)
                for (size_t j = 0; j < SIZE; j++)
                    cov[x][y] += c[f * SIZE + i] * joint->cov[t][u][i][j] * c[g * SIZE + j];
        }
    }
    const real log_determinant = solve(ALL, cov, 1, right);
    for (size_t x = 0; x < ALL; x++)
        quadratic += apart[x] * right[x][0];
    for (size_t t = 0; t < TIMES; t++)
        for (size_t i = 0; i < SIZE; i++) {
            mean[t][i] = joint->mean[t][i];
            for (size_t y = 0; y < ALL; y++)
                for (size_t j = 0; j < SIZE; j++)
                    mean[t][i] +=
                        joint->cov[t][y / SEEN][i][j] * c[(y % SEEN) * SIZE + j] * right[y][0];
        }
    return -0.5L * (quadratic + log_determinant);
}

#define COMPONENTS 3

/* Largest difference between the smoother and the mixture of joint Gaussians. */
static double compare_mixture(const struct traj_model *model, struct traj_smoother *smoother,
                              float feature[TIMES][SEEN])
{
    real mean[COMPONENTS][TIMES][SIZE], weight[COMPONENTS], most = -INFINITY, total = 0.0L;
    double worst = 0.0;
    for (size_t k = 0; k < COMPONENTS; k++) {
        struct joint joint;
        lay_joint(model, k, &joint);
        weight[k] = logl(model->component_prior[k]) + condition(model, &joint, feature, mean[k]);
        most = fmaxl(most, weight[k]);
    }
    for (size_t k = 0; k < COMPONENTS; k++)
        total += weight[k] = expl(weight[k] - most);
    for (size_t t = 0; t < TIMES; t++) {
        struct traj_estimate e;
        traj_smoother_show(smoother, t, &e);
        for (size_t d = 0; d < 2; d++) {
            real position = 0.0L, velocity = 0.0L;
            for (size_t k = 0; k < COMPONENTS; k++) {
                position += weight[k] / total * mean[k][t][d];
                velocity += weight[k] / total * mean[k][t][2 + d];
            }
            worst =
                fmax(worst, (double)(fabsl(position - e.position[d]) / (1.0L + fabsl(position))));
            worst =
                fmax(worst, (double)(fabsl(velocity - e.velocity[d]) / (1.0L + fabsl(velocity))));
        }
        worst = fmax(worst, (double)fabsl(weight[0] / total - e.target_prob[0]));
    }
    return worst;
}

static void a_mixture_equals_the_joint_gaussian(void **state)
{
    (void)state;
    struct random random = {test_seed(43)};
    const struct traj_dims dims = {
        .position = 2, .state = SIZE, .features = SEEN, .targets = 2, .components = COMPONENTS};
    double worst = 0.0;
    for (size_t i = 0; i < 10; i++) {
        struct random_model made;
        struct traj_error error = {""};
        void *memory;
        float feature[TIMES][SEEN];
        random_model_make(&made, &random, &dims, 1);
        made.model.evidence_temper = 1.0;
        struct traj_decoder *decoder = random_decoder(&made.model, NULL, &memory);
        struct traj_smoother *smoother = traj_smoother_new(decoder, &error);
        assert_non_null(smoother);
        traj_decoder_trial_start(decoder);
        for (size_t t = 0; t < TIMES; t++) {
            struct traj_estimate e;
            const struct traj_observation o = {NULL, feature[t], made.model.bin_width, bins[t]};
            random_frame(&made.model, &random, 0.0, NULL, feature[t]);
            assert_int_equal(traj_decoder_step(decoder, &o, &e), TRAJ_OK);
            assert_int_equal(traj_smoother_keep(smoother, &e, &error), 0);
        }
        assert_int_equal(traj_smoother_run(smoother, &error), 0);
        worst = fmax(worst, compare_mixture(&made.model, smoother, feature));
        traj_smoother_free(smoother);
        free(memory);
        random_model_free(&made);
    }
    printf("mixture: largest difference %.2g\n", worst);
    assert_true(worst < 1e-9);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equals_the_sum_over_all_paths),
        cmocka_unit_test(gains_are_exact_on_paths_that_never_meet),
        cmocka_unit_test(a_mixture_equals_the_joint_gaussian),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
