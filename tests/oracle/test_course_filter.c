/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Does the filter over courses equal the sum over all paths, written out in long double: with
 * Poisson and with correlated Gaussian observations, tempered, with missing units, gaps and trial
 * starts; and, with slow gains, the Laplace integral over each path that never meets another?
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

#define STATES 5
#define NODES 4
#define UNITS 3
#define TARGETS 2
#define FRAMES 6
#define LINKS (STATES * STATES)
#define RANK 2

typedef long double real;

/* A chain with every transition possible, and what leads to its arrays. */
struct chain_model {
    struct traj_model model;
    double position[STATES * 2], velocity[STATES * 2], spread[STATES * 4];
    int32_t target[STATES], node[STATES], group[STATES], first[STATES + 1], to[LINKS];
    uint8_t place[STATES];
    double progress[STATES], eta[STATES], share[STATES];
    double mean[NODES * UNITS], noise[UNITS], factor[UNITS * RANK], gain[UNITS];
    double link[TRAJ_CONTEXTS * LINKS], initial[STATES], start[STATES];
    double target_position[TARGETS * 2];
};

static void draw_distribution(struct random *random, double *p, size_t n)
{
    double sum = 0.0;
    for (size_t i = 0; i < n; i++)
        sum += p[i] = random_between(random, 0.1, 1.0);
    for (size_t i = 0; i < n; i++)
        p[i] /= sum;
}

static void point_model(struct chain_model *m, bool gaussian, bool gains)
{
    m->model.dims = (struct traj_dims){.position = 2,
                                       .state = 4,
                                       .units = UNITS,
                                       .targets = TARGETS,
                                       .states = STATES,
                                       .nodes = NODES,
                                       .gains = gains ? 1 : 0,
                                       .factors = gaussian ? RANK : 0,
                                       .links = LINKS};
    m->model.bin_width = 0.02;
    m->model.target_position = m->target_position;
    m->model.plan.temper = m->model.evidence_temper = 1.0;
    m->model.calibration = (struct traj_calibration)TRAJ_CALIBRATION_NONE;
    m->model.chain = (struct traj_chain){.position = m->position,
                                         .velocity = m->velocity,
                                         .position_spread = m->spread,
                                         .velocity_spread = m->spread,
                                         .target = m->target,
                                         .place = m->place,
                                         .progress = m->progress,
                                         .eta = m->eta,
                                         .node = m->node,
                                         .share = m->share,
                                         .group = m->group,
                                         .emission_mean = m->mean,
                                         .emission_noise = m->noise,
                                         .emission_factor = m->factor,
                                         .gain = m->gain,
                                         .link_first = m->first,
                                         .link_to = m->to,
                                         .link_prob = m->link,
                                         .initial = m->initial,
                                         .start = m->start,
                                         .start_share = 0.7,
                                         .temper = 0.6,
                                         .gaussian = gaussian ? 1.0 : 0.0};
}

static void draw_model(struct chain_model *m, struct random *random, bool gaussian, bool gains)
{
    memset(m, 0, sizeof *m);
    point_model(m, gaussian, gains);
    for (size_t j = 0; j < STATES; j++) {
        m->target[j] = (int32_t)(j % 3) - 1;
        m->node[j] = (int32_t)random_below(random, NODES - 1);
        m->share[j] = j % 2 ? random_between(random, 0.0, 1.0) : 0.0;
        m->group[j] = -1;
        m->place[j] = (uint8_t)(j % TRAJ_PLACES);
        m->progress[j] = m->eta[j] = -1.0;
        m->first[j + 1] = (int32_t)((j + 1) * STATES);
        for (size_t d = 0; d < 2; d++) {
            m->position[2 * j + d] = 10.0 * random_normal(random);
            m->velocity[2 * j + d] = 50.0 * random_normal(random);
        }
        m->spread[4 * j] = m->spread[4 * j + 3] = random_between(random, 1.0, 3.0);
        for (size_t i = 0; i < STATES; i++)
            m->to[j * STATES + i] = (int32_t)i;
        for (size_t c = 0; c < TRAJ_CONTEXTS; c++)
            draw_distribution(random, m->link + c * LINKS + j * STATES, STATES);
    }
    for (size_t i = 0; i < NODES * UNITS; i++)
        m->mean[i] =
            gaussian ? random_between(random, 0.5, 2.0) : log(random_between(random, 10, 80));
    for (size_t n = 0; n < UNITS; n++) {
        m->noise[n] = random_between(random, 0.1, 0.5);
        m->gain[n] = 0.3 * random_normal(random);
        for (size_t r = 0; r < RANK; r++)
            m->factor[n * RANK + r] = 0.4 * random_normal(random);
    }
    draw_distribution(random, m->initial, STATES);
    draw_distribution(random, m->start, STATES);
}

/* What was observed, and what happened before it. */
struct story {
    uint16_t count[FRAMES][UNITS];
    double dt[FRAMES];
    size_t steps[FRAMES];
    size_t start_at; /* a trial starts before this frame */
};

static void draw_story(struct story *s, struct random *random)
{
    s->start_at = 2;
    for (size_t t = 0; t < FRAMES; t++) {
        s->dt[t] = t % 2 ? 0.02 : 0.019;
        s->steps[t] = t == 4 ? 2 : 1;
        for (size_t n = 0; n < UNITS; n++)
            s->count[t][n] =
                (uint16_t)(t == 3 && n == 1 ? TRAJ_COUNT_MISSING : random_below(random, 4));
    }
}

/* Inverse of a small symmetric matrix by Gauss-Jordan. */
static void invert(size_t n, real a[UNITS][UNITS])
{
    for (size_t p = 0; p < n; p++) {
        const real pivot = a[p][p];
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
}

/* Log likelihood of a frame at a node: Poisson, or Gaussian with the full covariance of what
 * was seen. */
static real node_likelihood(const struct chain_model *m, const struct story *s, size_t t,
                            size_t node)
{
    const double *mean = m->mean + node * UNITS;
    real sum = 0.0L, cov[UNITS][UNITS], f[UNITS], x[UNITS];
    size_t seen[UNITS], count = 0;
    for (size_t n = 0; n < UNITS; n++)
        if (s->count[t][n] != TRAJ_COUNT_MISSING)
            seen[count++] = n;
    if (m->model.chain.gaussian == 0.0) {
        for (size_t i = 0; i < count; i++)
            sum += s->count[t][seen[i]] * (real)mean[seen[i]] - s->dt[t] * expl(mean[seen[i]]);
        return sum;
    }
    for (size_t i = 0; i < count; i++) {
        f[i] = mean[seen[i]];
        x[i] = sqrtl(s->count[t][seen[i]] * (real)m->model.bin_width / s->dt[t] + 0.25L);
        for (size_t k = 0; k < count; k++) {
            cov[i][k] = i == k ? m->noise[seen[i]] : 0.0L;
            for (size_t r = 0; r < RANK; r++)
                cov[i][k] += (real)m->factor[seen[i] * RANK + r] * m->factor[seen[k] * RANK + r];
        }
    }
    invert(count, cov);
    for (size_t i = 0; i < count; i++)
        for (size_t k = 0; k < count; k++)
            sum += x[i] * cov[i][k] * f[k] - f[i] * cov[i][k] * f[k] / 2;
    return sum;
}

static real likelihood(const struct chain_model *m, const struct story *s, size_t t, size_t j)
{
    const size_t node = (size_t)m->node[j];
    const real first = node_likelihood(m, s, t, node);
    return first + (real)m->share[j] * (node_likelihood(m, s, t, node + 1) - first);
}

/* Probability of the state at frame t given that of the frame before (or the initial one). */
static real arrival(const struct chain_model *m, const struct story *s, size_t t, size_t from,
                    size_t to)
{
    const size_t context = t >= s->start_at ? TRAJ_CONTEXT_TRIAL : TRAJ_CONTEXT_BETWEEN;
    const double *link = m->link + context * LINKS;
    real prob = t == 0 ? (real)m->initial[to] : 0.0L;
    for (size_t mid = 0; t > 0 && mid < STATES; mid++) {
        const real twice =
            s->steps[t] == 2 ? (real)link[from * STATES + mid] * link[mid * STATES + to] : 0.0L;
        prob += s->steps[t] == 2 ? twice : 0.0L;
    }
    if (t > 0 && s->steps[t] == 1)
        prob = link[from * STATES + to];
    return t == s->start_at ? 0.3L * prob + 0.7L * m->start[to] : prob;
}

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
            weight *= arrival(m, s, t, t > 0 ? path[t - 1] : 0, path[t]) *
                      expl(0.6L * likelihood(m, s, t, path[t]));
        posterior[path[last]] += weight;
        total += weight;
    }
    for (size_t j = 0; j < STATES; j++)
        posterior[j] /= total;
}

static struct traj_decoder *make_decoder(const struct traj_model *model, void **memory)
{
    struct traj_decoder *decoder = NULL;
    const size_t size = traj_decoder_size(&model->dims);
    *memory = malloc(size);
    const char *what = NULL;
    size_t index = 0;
    if (traj_model_check(model, &what, &index) != TRAJ_OK)
        fail_msg("%s[%zu]", what, index);
    assert_int_equal(traj_decoder_init(*memory, size, model, NULL, &decoder), TRAJ_OK);
    return decoder;
}

/* Largest relative difference between the decoder and the enumeration over a story. */
static double compare(const struct chain_model *m, const struct story *s)
{
    void *memory;
    struct traj_decoder *decoder = make_decoder(&m->model, &memory);
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
            draw_model(&m, &random, gaussian != 0, false);
            draw_story(&s, &random);
            worst = fmax(worst, compare(&m, &s));
        }
        printf("%s: largest difference %.2g\n", gaussian ? "gaussian" : "poisson", worst);
        assert_true(worst < 1e-9);
    }
}

/* Every state leads to itself alone: five paths that never meet. */
static void never_meet(struct chain_model *m)
{
    for (size_t c = 0; c < TRAJ_CONTEXTS; c++)
        for (size_t j = 0; j < STATES; j++)
            for (size_t i = 0; i < STATES; i++)
                m->link[c * LINKS + j * STATES + i] = i == j ? 1.0 : 0.0;
}

/* Rate of unit n in state j (interpolated between nodes, as the tables are). */
static real rate_of(const struct chain_model *m, size_t j, size_t n)
{
    const size_t node = (size_t)m->node[j];
    const real a = expl(m->mean[node * UNITS + n]);
    const real b = expl(m->mean[(m->share[j] > 0.0 ? node + 1 : node) * UNITS + n]);
    return a + (real)m->share[j] * (b - a);
}

static void gains_are_integrated_on_paths_that_never_meet(void **state)
{
    (void)state;
    struct random random = {test_seed(12)};
    double worst = 0.0;
    for (size_t i = 0; i < 50; i++) {
        struct chain_model m;
        struct story s;
        void *memory;
        real log_weight[STATES], v[STATES] = {0}, h[STATES], most = -INFINITY, total = 0.0L;
        draw_model(&m, &random, false, true);
        never_meet(&m);
        draw_story(&s, &random);
        struct traj_decoder *decoder = make_decoder(&m.model, &memory);
        struct traj_estimate e;
        for (size_t j = 0; j < STATES; j++) {
            log_weight[j] = logl(m.initial[j]);
            h[j] = 1.0L;
        }
        for (size_t t = 0; t < FRAMES; t++) {
            const struct traj_observation o = {s.count[t], NULL, s.dt[t], s.steps[t]};
            assert_int_equal(traj_decoder_step(decoder, &o, &e), TRAJ_OK);
            for (size_t j = 0; j < STATES; j++) {
                log_weight[j] += 0.6L * likelihood(&m, &s, t, j);
                for (size_t n = 0; n < UNITS; n++) {
                    if (s.count[t][n] == TRAJ_COUNT_MISSING)
                        continue;
                    const real expected = s.dt[t] * rate_of(&m, j, n), g = m.gain[n];
                    v[j] += g * (s.count[t][n] - expected);
                    h[j] += g * g * expected;
                }
            }
        }
        real mean[2] = {0}, weight[STATES];
        for (size_t j = 0; j < STATES; j++) {
            log_weight[j] += 0.6L * (v[j] * v[j] / h[j] / 2 - logl(h[j]) / 2);
            most = fmaxl(most, log_weight[j]);
        }
        for (size_t j = 0; j < STATES; j++)
            total += weight[j] = expl(log_weight[j] - most);
        for (size_t j = 0; j < STATES; j++)
            for (size_t d = 0; d < 2; d++)
                mean[d] += weight[j] / total * m.position[2 * j + d];
        for (size_t d = 0; d < 2; d++)
            worst = fmax(worst, (double)fabsl(mean[d] - e.position[d]) / 10.0);
        free(memory);
    }
    printf("gains: largest difference %.2g\n", worst);
    assert_true(worst < 1e-9);
}

/* Exchange between the targets of a group: p <- (1 - r) p + r (mean of the group). */
static void a_group_shares_what_is_exchanged(void **state)
{
    (void)state;
    struct random random = {test_seed(13)};
    struct chain_model m;
    void *memory;
    struct traj_estimate e;
    draw_model(&m, &random, false, false);
    never_meet(&m);
    m.model.chain.switch_prob = 0.1;
    m.group[1] = m.group[2] = 0;
    for (size_t j = 0; j < STATES; j++) {
        m.node[j] = 0;
        m.share[j] = 0.0; /* all states look the same: counts tell nothing */
    }
    struct traj_decoder *decoder = make_decoder(&m.model, &memory);
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
        draw_model(&m, &random, false, false);
        m.first[1] = astray[i];
        assert_int_equal(traj_model_check(&m.model, &what, &index), TRAJ_E_RANGE);
        assert_string_equal(what, "chain.link_first");
        draw_model(&m, &random, false, false);
        m.to[3] = astray[i];
        assert_int_equal(traj_model_check(&m.model, &what, &index), TRAJ_E_RANGE);
        assert_string_equal(what, "chain.link_to");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(links_that_lead_astray_are_refused),
        cmocka_unit_test(equals_the_sum_over_all_paths),
        cmocka_unit_test(gains_are_integrated_on_paths_that_never_meet),
        cmocka_unit_test(a_group_shares_what_is_exchanged),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
