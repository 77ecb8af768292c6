/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Small filters over courses; see chain_model.h. */
#include "tests/oracle/chain_model.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void draw_distribution(struct random *random, double *p, size_t n)
{
    double sum = 0.0;
    for (size_t i = 0; i < n; i++)
        sum += p[i] = random_between(random, 0.1, 1.0);
    for (size_t i = 0; i < n; i++)
        p[i] /= sum;
}

static void point_model(struct chain_model *m, bool gaussian, size_t gains)
{
    m->model.dims = (struct traj_dims){.position = 2,
                                       .state = 4,
                                       .units = UNITS,
                                       .targets = TARGETS,
                                       .states = STATES,
                                       .nodes = NODES,
                                       .gains = gains,
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
                                         .emission_doubt = m->doubt,
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

void chain_draw(struct chain_model *m, struct random *random, bool gaussian, size_t gains)
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
    for (size_t e = 0; e < NODES; e++)
        m->doubt[e] = random_between(random, 0.0, 60.0);
    for (size_t n = 0; n < UNITS; n++) {
        m->noise[n] = random_between(random, 0.1, 0.5);
        for (size_t a = 0; a < gains; a++)
            m->gain[n * gains + a] = 0.3 * random_normal(random);
        for (size_t r = 0; r < RANK; r++)
            m->factor[n * RANK + r] = 0.4 * random_normal(random);
    }
    draw_distribution(random, m->initial, STATES);
    draw_distribution(random, m->start, STATES);
}

void chain_remember(struct chain_model *m, struct random *random)
{
    m->model.dims.stages = STAGES;
    m->model.recent = (struct traj_recent_model){.center = m->center,
                                                 .weight = m->weight,
                                                 .offset = m->answer_offset,
                                                 .mean = m->answer,
                                                 .noise = m->answer_noise,
                                                 .gain = m->answer_gain,
                                                 .follow = random_between(random, 0.2, 0.9),
                                                 .temper = random_between(random, 0.05, 0.5)};
    for (size_t n = 0; n < UNITS; n++)
        m->center[n] = random_between(random, 0.5, 2.0);
    for (size_t i = 0; i < STAGES * UNITS * OUT; i++)
        m->weight[i] = random_normal(random);
    for (size_t i = 0; i < STATES * OUT; i++)
        m->answer[i] = random_normal(random);
    for (size_t o = 0; o < OUT; o++) {
        m->answer_offset[o] = random_normal(random);
        for (size_t p = 0; p < OUT; p++) {
            m->answer_noise[o * OUT + p] = o == p ? random_between(random, 2.0, 3.0) : 0.3;
            m->answer_gain[o * OUT + p] = 0.01 * random_normal(random);
        }
    }
}

void chain_draw_story(struct story *s, struct random *random)
{
    memset(s, 0, sizeof *s);
    s->start_at = 2;
    for (size_t t = 0; t < FRAMES; t++) {
        s->dt[t] = t % 2 ? 0.02 : 0.019;
        s->steps[t] = t == 4 ? 2 : 1;
        for (size_t n = 0; n < UNITS; n++) {
            s->count[t][n] = (uint16_t)random_below(random, 4);
            /* One, two or all: what is looked up is summed over the missing, or over the others. */
            if (t == 3 && (n == 1 || random_below(random, 2) == 0))
                s->count[t][n] = TRAJ_COUNT_MISSING;
        }
    }
}

/* Inverts a small symmetric matrix in place by Gauss-Jordan; the log of its determinant. */
static real invert(size_t n, real a[UNITS][UNITS])
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

void chain_add_steering(struct chain_model *m, struct chain_steering *s, struct random *random)
{
    m->model.dims.paces = PACES;
    m->model.steer = (struct traj_steer_model){.tuning = s->tuning,
                                               .pace = s->pace,
                                               .pace_prob = s->pace_prob,
                                               .home = s->home,
                                               .speed_most = 150.0,
                                               .velocity_spread = 900.0,
                                               .place_spread = 4.0,
                                               .close = 8.0,
                                               .mark = 0.9,
                                               .change = 0.05,
                                               .change_unmarked = 0.2,
                                               .patience = 1e9};
    for (size_t i = 0; i < UNITS * INPUTS; i++)
        s->tuning[i] = random_normal(random) * (i % INPUTS == 0 ? 1.0 : 0.01);
    for (size_t k = 0; k < PACES; k++) {
        s->pace[k] = 4.0 * (double)k;
        for (size_t to = 0; to < PACES; to++)
            s->pace_prob[k * PACES + to] = k == to ? 0.6 : 0.2;
    }
    for (size_t d = 0; d < 2; d++)
        s->home[d] = random_normal(random);
    for (size_t m_ = 0; m_ < TARGETS; m_++)
        for (size_t d = 0; d < 2; d++)
            m->target_position[2 * m_ + d] = 20.0 * random_normal(random);
    m->model.target_position = m->target_position;
}

/* The transformed count. */
real chain_root(const struct chain_model *m, const struct story *s, size_t t, size_t n)
{
    return sqrtl(s->count[t][n] * (real)m->model.bin_width / s->dt[t] + 0.25L);
}

real chain_value(const struct chain_model *m, const struct story *s, size_t t, size_t n)
{
    real variance = m->noise[n], least = INFINITY, most = -INFINITY;
    for (size_t r = 0; r < RANK; r++)
        variance += (real)m->factor[n * RANK + r] * m->factor[n * RANK + r];
    for (size_t e = 0; e < NODES; e++) {
        least = fminl(least, m->mean[e * UNITS + n]);
        most = fmaxl(most, m->mean[e * UNITS + n]);
    }
    least -= 10.0L * sqrtl(variance);
    most += 10.0L * sqrtl(variance);
    return fminl(fmaxl(chain_root(m, s, t, n) - s->offset[t][n], least), most);
}

/* The units that were seen, and their full covariance. */
static size_t seen_units(const struct chain_model *m, const struct story *s, size_t t, size_t *seen,
                         real cov[UNITS][UNITS])
{
    size_t count = 0;
    for (size_t n = 0; n < UNITS; n++)
        if (s->count[t][n] != TRAJ_COUNT_MISSING)
            seen[count++] = n;
    for (size_t i = 0; i < count; i++)
        for (size_t k = 0; k < count; k++) {
            cov[i][k] = i == k ? m->noise[seen[i]] : 0.0L;
            for (size_t r = 0; r < RANK; r++)
                cov[i][k] += (real)m->factor[seen[i] * RANK + r] * m->factor[seen[k] * RANK + r];
        }
    return count;
}

/* Log likelihood of a frame at a node: Poisson, or Gaussian with the full covariance of what
 * was seen. */
static real node_likelihood(const struct chain_model *m, const struct story *s, size_t t,
                            size_t node)
{
    const double *mean = m->mean + node * UNITS;
    real sum = 0.0L, cov[UNITS][UNITS], f[UNITS], x[UNITS];
    size_t seen[UNITS];
    const size_t count = seen_units(m, s, t, seen, cov);
    if (m->model.chain.gaussian == 0.0) {
        for (size_t i = 0; i < count; i++)
            sum += s->count[t][seen[i]] * (real)mean[seen[i]] - s->dt[t] * expl(mean[seen[i]]);
        return sum + s->dt[t] * (real)m->doubt[node] * (real)count / UNITS;
    }
    for (size_t i = 0; i < count; i++) {
        f[i] = mean[seen[i]];
        x[i] = chain_value(m, s, t, seen[i]);
    }
    (void)invert(count, cov);
    for (size_t i = 0; i < count; i++)
        for (size_t k = 0; k < count; k++)
            sum += x[i] * cov[i][k] * f[k] - f[i] * cov[i][k] * f[k] / 2;
    return sum;
}

real chain_alone(const struct chain_model *m, const struct story *s, size_t t)
{
    real sum = 0.0L, cov[UNITS][UNITS];
    size_t seen[UNITS];
    const size_t count = seen_units(m, s, t, seen, cov);
    for (size_t i = 0; m->model.chain.gaussian == 0.0 && i < count; i++)
        sum += s->count[t][seen[i]] * logl(s->dt[t]) - lgammal(s->count[t][seen[i]] + 1.0L);
    if (m->model.chain.gaussian == 0.0)
        return sum;
    sum -= (invert(count, cov) + (real)count * logl(2.0L * acosl(-1.0L))) / 2;
    for (size_t i = 0; i < count; i++)
        for (size_t k = 0; k < count; k++)
            sum -=
                (chain_value(m, s, t, seen[i])) * cov[i][k] * (chain_value(m, s, t, seen[k])) / 2;
    return sum;
}

real chain_likelihood(const struct chain_model *m, const struct story *s, size_t t, size_t j)
{
    const size_t node = (size_t)m->node[j];
    const real first = node_likelihood(m, s, t, node);
    return first + (real)m->share[j] * (node_likelihood(m, s, t, node + 1) - first);
}

/* Every state leads to itself alone: five paths that never meet. */
void chain_drift(const struct chain_model *m, struct story *s, size_t t, const real *posterior)
{
    for (size_t n = 0; n < UNITS; n++) {
        real expected = 0.0L;
        for (size_t j = 0; j < STATES; j++) {
            const real first = m->mean[(size_t)m->node[j] * UNITS + n];
            const real second =
                m->mean[((size_t)m->node[j] + (m->share[j] > 0.0 ? 1 : 0)) * UNITS + n];
            expected += posterior[j] * (first + m->share[j] * (second - first));
        }
        real variance = m->noise[n], apart = chain_value(m, s, t, n) - expected;
        for (size_t r = 0; r < RANK; r++)
            variance += (real)m->factor[n * RANK + r] * m->factor[n * RANK + r];
        apart = fminl(fmaxl(apart, -5.0L * sqrtl(variance)), 5.0L * sqrtl(variance));
        s->offset[t + 1][n] = s->offset[t][n];
        if (s->count[t][n] != TRAJ_COUNT_MISSING)
            s->offset[t + 1][n] += m->model.chain.drift * apart;
    }
}

void chain_never_meet(struct chain_model *m)
{
    for (size_t c = 0; c < TRAJ_CONTEXTS; c++)
        for (size_t j = 0; j < STATES; j++)
            for (size_t i = 0; i < STATES; i++)
                m->link[c * LINKS + j * STATES + i] = i == j ? 1.0 : 0.0;
}

/* Rate of unit n in state j (interpolated between nodes, as the tables are). */
real chain_rate(const struct chain_model *m, size_t j, size_t n)
{
    const size_t node = (size_t)m->node[j];
    const real a = expl(m->mean[node * UNITS + n]);
    const real b = expl(m->mean[(m->share[j] > 0.0 ? node + 1 : node) * UNITS + n]);
    return a + (real)m->share[j] * (b - a);
}

/* One bin: a transition, then the change of targets. */
static real one_bin(const struct chain_model *m, size_t context, size_t from, size_t to)
{
    const double *link = m->link + context * LINKS + from * STATES;
    const real share = m->model.chain.switch_prob;
    real prob = m->group[to] < 0 ? link[to] : (1.0L - share) * link[to];
    size_t members = 0;
    real sum = 0.0L;
    for (size_t j = 0; j < STATES; j++)
        if (m->group[to] >= 0 && m->group[j] == m->group[to]) {
            members++;
            sum += link[j];
        }
    return members > 0 ? prob + share * sum / members : prob;
}

real chain_arrival(const struct chain_model *m, const struct story *s, size_t t, size_t from,
                   size_t to)
{
    const size_t context = t >= s->start_at ? TRAJ_CONTEXT_TRIAL : TRAJ_CONTEXT_BETWEEN;
    real prob = t == 0 ? (real)m->initial[to] : 0.0L;
    for (size_t mid = 0; t > 0 && s->steps[t] == 2 && mid < STATES; mid++)
        prob += one_bin(m, context, from, mid) * one_bin(m, context, mid, to);
    if (t > 0 && s->steps[t] == 1)
        prob = one_bin(m, context, from, to);
    return t == s->start_at ? 0.3L * prob + 0.7L * m->start[to] : prob;
}

struct traj_decoder *chain_decoder(const struct traj_model *model, void **memory)
{
    return chain_decoder_that(model, true, memory); /* the oracles believe every unit */
}

struct traj_decoder *chain_decoder_that(const struct traj_model *model, bool believes,
                                        void **memory)
{
    struct traj_decoder *decoder = NULL;
    struct traj_settings settings;
    traj_settings_default(&settings);
    settings.believe = believes;
    const size_t size = traj_decoder_size(&model->dims);
    *memory = malloc(size);
    const char *what = NULL;
    size_t index = 0;
    if (traj_model_check(model, &what, &index) != TRAJ_OK ||
        traj_decoder_init(*memory, size, model, &settings, &decoder) != TRAJ_OK) {
        fprintf(stderr, "%s[%zu]\n", what ? what : "?", index);
        abort();
    }
    return decoder;
}
