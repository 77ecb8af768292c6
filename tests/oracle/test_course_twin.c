/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A naive twin of the filter over courses in long double: dense matrices, no table, nothing left
 * out; with slow gains, paths that meet, changes of target, trials, priors, gaps and missing units.
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

#define RUN 60

struct twin {
    const struct chain_model *m;
    size_t gains;
    bool fresh, entering, trial;
    real belief[TARGETS];
    real p[STATES], weight[STATES], v[STATES][GAINS], h[STATES][GAINS][GAINS];
    real stage[STAGES][UNITS], share[STAGES], answer[OUT], evidence;
};

static void twin_init(struct twin *twin, const struct chain_model *m)
{
    memset(twin, 0, sizeof *twin);
    twin->m = m;
    twin->gains = m->model.dims.gains;
    twin->fresh = true;
    for (size_t j = 0; j < STATES; j++)
        twin->p[j] = m->initial[j];
}

/* p <- p M; what is known of the gains goes with the probability. */
static void move(struct twin *twin, real matrix[STATES][STATES])
{
    struct twin old = *twin;
    for (size_t j = 0; j < STATES; j++) {
        twin->p[j] = 0.0L;
        memset(twin->v[j], 0, sizeof twin->v[j]);
        memset(twin->h[j], 0, sizeof twin->h[j]);
        for (size_t i = 0; i < STATES; i++)
            twin->p[j] += old.p[i] * matrix[i][j];
        for (size_t i = 0; i < STATES && twin->p[j] > 0.0L; i++) {
            const real share = old.p[i] * matrix[i][j] / twin->p[j];
            for (size_t a = 0; a < GAINS; a++) {
                twin->v[j][a] += share * old.v[i][a];
                for (size_t b = 0; b < GAINS; b++)
                    twin->h[j][a][b] += share * old.h[i][a][b];
            }
        }
    }
}

static void predict(struct twin *twin, size_t steps)
{
    const struct chain_model *m = twin->m;
    real link[STATES][STATES], change[STATES][STATES];
    const double *prob =
        m->link + (twin->trial ? TRAJ_CONTEXT_TRIAL : TRAJ_CONTEXT_BETWEEN) * LINKS;
    for (size_t i = 0; i < STATES; i++)
        for (size_t j = 0; j < STATES; j++) {
            size_t members = 0;
            for (size_t k = 0; k < STATES; k++)
                members += m->group[k] >= 0 && m->group[k] == m->group[i];
            link[i][j] = prob[i * STATES + j];
            change[i][j] = i == j ? 1.0L : 0.0L;
            if (members > 0)
                change[i][j] =
                    (1.0L - (real)m->model.chain.switch_prob) * (i == j) +
                    (m->group[i] == m->group[j] ? m->model.chain.switch_prob : 0.0L) / members;
        }
    for (size_t s = twin->fresh ? 1 : 0; s < steps; s++) {
        move(twin, link);
        move(twin, change);
    }
    twin->fresh = false;
}

static void enter(struct twin *twin)
{
    const struct chain_model *m = twin->m;
    const real share = m->model.chain.start_share;
    real start[STATES], total = 0.0L;
    for (size_t j = 0; j < STATES; j++) {
        start[j] = m->start[j] * (m->target[j] >= 0 ? expl(twin->belief[m->target[j]]) : 1.0L);
        total += start[j];
    }
    for (size_t j = 0; j < STATES; j++) {
        const real keep = (1.0L - share) * twin->p[j];
        twin->p[j] = keep + share * start[j] / total;
        for (size_t a = 0; a < GAINS; a++) {
            twin->v[j][a] *= keep / twin->p[j];
            for (size_t b = 0; b < GAINS; b++)
                twin->h[j][a][b] *= keep / twin->p[j];
        }
    }
    twin->entering = false;
}

/* v' (I + h)^-1 v / 2 - log|I + h| / 2 for one or two gains, by Cramer's rule. */
static real gain_evidence(const struct twin *twin, size_t j)
{
    const real a = 1.0L + twin->h[j][0][0], b = twin->h[j][0][1], c = 1.0L + twin->h[j][1][1];
    const real x = twin->v[j][0], y = twin->v[j][1], determinant = a * c - b * b;
    if (twin->gains == 0)
        return 0.0L;
    if (twin->gains == 1)
        return x * x / a / 2.0L - logl(a) / 2.0L;
    return (c * x * x - 2.0L * b * x * y + a * y * y) / determinant / 2.0L -
           logl(determinant) / 2.0L;
}

/* One bin of the cascade, whose first stage is given. */
static void pass_on(struct twin *twin)
{
    const real follow = twin->m->model.recent.follow;
    for (size_t k = 1; k < STAGES; k++) {
        for (size_t n = 0; n < UNITS; n++)
            twin->stage[k][n] += follow * (twin->stage[k - 1][n] - twin->stage[k][n]);
        twin->share[k] += follow * (twin->share[k - 1] - twin->share[k]);
    }
}

/* What the prediction expects of a unit. */
static real expectation(const struct twin *twin, size_t n)
{
    const struct chain_model *m = twin->m;
    real sum = 0.0L, total = 0.0L;
    for (size_t j = 0; j < STATES; j++) {
        const real first = m->mean[(size_t)m->node[j] * UNITS + n];
        const real next = m->mean[((size_t)m->node[j] + (m->share[j] > 0.0)) * UNITS + n];
        sum += twin->p[j] * (first + m->share[j] * (next - first));
        total += twin->p[j];
    }
    return sum / total;
}

/* The frame enters the memory, and the answer follows. */
static void remember(struct twin *twin, const struct story *s, size_t t, size_t steps)
{
    const struct chain_model *m = twin->m;
    size_t seen = 0;
    for (size_t i = 1; i < steps; i++) {
        memset(twin->stage[0], 0, sizeof twin->stage[0]);
        twin->share[0] = 0.0L;
        pass_on(twin);
    }
    for (size_t n = 0; n < UNITS; n++) {
        const bool missing = s->count[t][n] == TRAJ_COUNT_MISSING;
        seen += missing ? 0 : 1;
        twin->stage[0][n] =
            (missing ? expectation(twin, n) : chain_root(m, s, t, n)) - m->center[n];
    }
    twin->share[0] = (real)seen / UNITS;
    pass_on(twin);
    for (size_t o = 0; o < OUT; o++) {
        twin->answer[o] = m->answer_offset[o];
        for (size_t k = 0; k < STAGES; k++)
            for (size_t n = 0; n < UNITS; n++)
                twin->answer[o] += m->weight[(k * UNITS + n) * OUT + o] * twin->stage[k][n];
    }
}

/* x = Q^-1 b by elimination. */
static void solve(const double *q, const real *b, real *x)
{
    real a[OUT][OUT + 1];
    for (size_t i = 0; i < OUT; i++) {
        for (size_t k = 0; k < OUT; k++)
            a[i][k] = q[i * OUT + k];
        a[i][OUT] = b[i];
    }
    for (size_t p = 0; p < OUT; p++)
        for (size_t r = 0; r < OUT; r++) {
            const real f = a[r][p] / a[p][p];
            for (size_t k = p; r != p && k <= OUT; k++)
                a[r][k] -= f * a[p][k];
        }
    for (size_t i = 0; i < OUT; i++)
        x[i] = a[i][OUT] / a[i][i];
}

/* Log density of the answer in a state, but for what all states share. */
static real answer_likelihood(const struct twin *twin, size_t j)
{
    const struct chain_model *m = twin->m;
    real apart[OUT], whole[OUT], solved[OUT], sum = 0.0L;
    for (size_t o = 0; o < OUT; o++) {
        whole[o] = twin->answer[o];
        apart[o] = twin->answer[o] - m->answer[j * OUT + o];
    }
    solve(m->answer_noise, apart, solved);
    for (size_t o = 0; o < OUT; o++)
        sum -= apart[o] * solved[o] / 2;
    solve(m->answer_noise, whole, solved);
    for (size_t o = 0; o < OUT; o++)
        sum += whole[o] * solved[o] / 2;
    return twin->share[STAGES - 1] * sum;
}

static void condition(struct twin *twin, const struct story *s, size_t t)
{
    const struct chain_model *m = twin->m;
    real sum = 0.0L, total = 0.0L, predicted = 0.0L, seen = 0.0L;
    for (size_t j = 0; j < STATES; j++) {
        predicted += twin->p[j];
        seen += twin->p[j] * expl(chain_likelihood(m, s, t, j));
        twin->p[j] *= expl((real)m->model.chain.temper * chain_likelihood(m, s, t, j));
        if (m->model.dims.stages > 0)
            twin->p[j] *= expl((real)m->model.recent.temper * answer_likelihood(twin, j));
        sum += twin->p[j];
        for (size_t n = 0; n < UNITS && twin->gains > 0; n++) {
            const double *g = m->gain + n * twin->gains;
            const real expected = s->dt[t] * chain_rate(m, j, n);
            if (s->count[t][n] == TRAJ_COUNT_MISSING)
                continue;
            for (size_t a = 0; a < twin->gains; a++) {
                twin->v[j][a] += g[a] * (s->count[t][n] - expected);
                for (size_t b = 0; b < twin->gains; b++)
                    twin->h[j][a][b] += (real)g[a] * g[b] * expected;
            }
        }
    }
    for (size_t j = 0; j < STATES; j++) {
        twin->p[j] /= sum;
        twin->weight[j] = twin->p[j] * expl((real)m->model.chain.temper * gain_evidence(twin, j));
        total += twin->weight[j];
    }
    for (size_t j = 0; j < STATES; j++)
        twin->weight[j] /= total;
    twin->evidence = logl(seen / predicted) + chain_alone(m, s, t);
}

/* A prior over targets, normalised and floored as the decoder does; it replaces the last. */
static void prior(struct twin *twin, const double *prob)
{
    for (size_t k = 0; k < TARGETS; k++) {
        const real share = (real)prob[k] / ((real)prob[0] + prob[1]) * TARGETS;
        const real now = logl((1.0L - TRAJ_PRIOR_FLOOR) * share + TRAJ_PRIOR_FLOOR);
        for (size_t j = 0; j < STATES; j++)
            if (twin->m->target[j] == (int32_t)k)
                twin->p[j] *= expl(now - twin->belief[k]);
        twin->belief[k] = now;
    }
}

static void stop(struct twin *twin)
{
    memset(twin->belief, 0, sizeof twin->belief);
    twin->trial = twin->entering = false;
}

/* The same events, drawn at random, for both. */
static void happen(struct twin *twin, struct traj_decoder *decoder, struct random *random)
{
    if (random_uniform(random) < 0.1) {
        traj_decoder_trial_stop(decoder);
        stop(twin);
    }
    if (random_uniform(random) < 0.15) {
        traj_decoder_trial_start(decoder);
        if (twin->trial)
            stop(twin);
        twin->trial = twin->entering = true;
    }
    if (random_uniform(random) < 0.15) {
        const double prob[TARGETS] = {random_uniform(random), random_uniform(random)};
        assert_int_equal(traj_decoder_target_prior(decoder, prob), TRAJ_OK);
        prior(twin, prob);
    }
}

/* Mean and covariance of what the states have; what the answer says beyond it moves the mean. */
static void moments(const struct twin *twin, const double *value, size_t part, real mean[2],
                    real cov[4])
{
    const struct chain_model *m = twin->m;
    for (size_t d = 0; d < 2; d++) {
        mean[d] = 0.0L;
        for (size_t j = 0; j < STATES; j++)
            mean[d] += twin->weight[j] * value[2 * j + d];
    }
    for (size_t d = 0; d < 4; d++) {
        cov[d] = 0.0L;
        for (size_t j = 0; j < STATES; j++)
            cov[d] +=
                twin->weight[j] * (m->spread[4 * j + d] + (value[2 * j + d / 2] - mean[d / 2]) *
                                                              (value[2 * j + d % 2] - mean[d % 2]));
    }
    const real variance = (cov[0] + cov[3]) / 2,
               speed = sqrtl(mean[0] * mean[0] + mean[1] * mean[1]);
    const real reach = part == 0 ? variance : variance * speed / (speed + sqrtl(variance));
    for (size_t o = 0; o < OUT && m->model.dims.stages > 0; o++) {
        real apart = twin->answer[o];
        for (size_t j = 0; j < STATES; j++)
            apart -= twin->weight[j] * m->answer[j * OUT + o];
        for (size_t d = 0; d < 2; d++)
            mean[d] +=
                reach * twin->share[STAGES - 1] * apart * m->answer_gain[o * OUT + 2 * part + d];
    }
}

static double farthest(const struct twin *twin, const struct traj_estimate *e)
{
    const struct chain_model *m = twin->m;
    real mean[2], speed[2], target[TARGETS] = {0}, cov[4], speed_cov[4], worst = 0.0L;
    moments(twin, m->position, 0, mean, cov);
    moments(twin, m->velocity, 1, speed, speed_cov);
    for (size_t j = 0; j < STATES; j++)
        if (m->target[j] >= 0)
            target[m->target[j]] += twin->weight[j];
    for (size_t d = 0; d < 2; d++) {
        worst = fmaxl(worst, fabsl(mean[d] - e->position[d]) / 10.0L);
        worst = fmaxl(worst, fabsl(speed[d] - e->velocity[d]) / 50.0L);
        worst = fmaxl(worst, fabsl(target[d] - e->target_prob[d]));
    }
    for (size_t d = 0; d < 4; d++)
        worst = fmaxl(worst, fabsl(cov[d] - e->position_cov[d]) / 100.0L);
    worst = fmaxl(worst, fabsl(twin->evidence - e->log_evidence) / 10.0L);
    return (double)worst;
}

/* Runs both through one random story; frames are those of `story` over and over. */
static double run(struct random *random, bool gaussian, bool past, size_t gains, double wrong)
{
    static const size_t steps[8] = {1, 1, 1, 1, 1, 2, 1, 4};
    struct chain_model m, twins;
    struct twin twin;
    void *memory;
    double worst = 0.0;
    chain_draw(&m, random, gaussian, gains);
    if (past)
        chain_remember(&m, random);
    m.model.chain.switch_prob = 0.05;
    m.group[1] = m.group[2] = 0;
    m.group[0] = m.group[3] = m.group[4] = 3;
    twins = m;
    twins.model.chain.temper *= 1.0 + wrong;
    twin_init(&twin, &twins);
    struct traj_decoder *decoder = chain_decoder(&m.model, &memory);
    for (size_t i = 0; i < RUN; i++) {
        struct story s;
        struct traj_estimate e;
        chain_draw_story(&s, random);
        const size_t t = i % FRAMES, step = steps[random_below(random, 8)];
        happen(&twin, decoder, random);
        const struct traj_observation o = {s.count[t], NULL, s.dt[t], step};
        assert_int_equal(traj_decoder_step(decoder, &o, &e), TRAJ_OK);
        predict(&twin, step);
        if (twin.entering)
            enter(&twin);
        if (past)
            remember(&twin, &s, t, step);
        condition(&twin, &s, t);
        worst = fmax(worst, farthest(&twin, &e));
    }
    free(memory);
    return worst;
}

static void the_filter_agrees_with_its_twin(void **state)
{
    (void)state;
    struct random random = {test_seed(31)};
    for (size_t gains = 0; gains <= GAINS; gains++)
        for (int gaussian = 0; gaussian < (gains == 0 ? 2 : 1); gaussian++) {
            double worst = 0.0;
            for (size_t i = 0; i < 40; i++)
                worst = fmax(worst, run(&random, gaussian != 0, false, gains, 0.0));
            printf("%s, %zu gains: largest difference %.2g\n", gaussian ? "gaussian" : "poisson",
                   gains, worst);
            assert_true(worst < 1e-9);
        }
}

static void the_recent_past_agrees_too(void **state)
{
    (void)state;
    struct random random = {test_seed(33)};
    double worst = 0.0;
    for (size_t i = 0; i < 40; i++)
        worst = fmax(worst, run(&random, true, true, 0, 0.0));
    printf("with a regression on the recent past: largest difference %.2g\n", worst);
    assert_true(worst < 1e-9);
    assert_true(run(&random, true, true, 0, 1e-6) > 1e-8);
}

/* The comparison can fail. */
static void another_temper_is_seen(void **state)
{
    (void)state;
    struct random random = {test_seed(32)};
    assert_true(run(&random, false, false, 1, 1e-6) > 1e-8);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_filter_agrees_with_its_twin),
        cmocka_unit_test(the_recent_past_agrees_too),
        cmocka_unit_test(another_temper_is_seen),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
