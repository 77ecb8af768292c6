/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Whether the states of a steered effector have the probabilities that a plain forward recursion
 * gives them, in long double, with the noise's covariance written out and solved anew for every
 * state; and whether they have a part in what is decoded only when they should.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "daemon/learn/model_file.h"
#include "daemon/learn/retune.h"
#include "daemon/model/internal.h"
#include "tests/oracle/chain_model.h"

#define GOALS (TARGETS + 1)
#define BOUND 1e-9

/* ---- the twin ------------------------------------------------------------------------------- */

struct twin {
    const struct chain_model *m;
    const struct chain_steering *s;
    real prob[GOALS][PACES], at[2];
};

static const double *goal_of(const struct twin *t, size_t g)
{
    return g < TARGETS ? t->m->target_position + 2 * g : t->s->home;
}

static real way(const struct twin *t, size_t g)
{
    const double *goal = goal_of(t, g);
    return hypotl((real)goal[0] - t->at[0], (real)goal[1] - t->at[1]);
}

/* log density of what was seen, but for a constant: noise = diag + U U' + q V V' over the units
 * seen, solved by elimination. */
static real density(const struct twin *t, const struct story *story, size_t frame, size_t g,
                    size_t k)
{
    const struct chain_model *m = t->m;
    const double *goal = goal_of(t, g);
    const real far = way(t, g);
    real pace = t->s->pace[k], x[INPUTS], noise[UNITS][UNITS + 1], sum = 0;
    size_t unit[UNITS], count = 0;
    if (pace * far > m->model.steer.speed_most)
        pace = m->model.steer.speed_most / far;
    x[0] = 1;
    for (size_t d = 0; d < 2; d++) {
        x[1 + d] = t->at[d];
        x[3 + d] = pace * ((real)goal[d] - t->at[d]);
    }
    x[5] = pace * far;
    for (size_t n = 0; n < UNITS; n++)
        if (story->count[frame][n] != TRAJ_COUNT_MISSING)
            unit[count++] = n;
    real apart[UNITS];
    for (size_t a = 0; a < count; a++) {
        const size_t n = unit[a];
        apart[a] = chain_root(m, story, frame, n);
        for (size_t i = 0; i < INPUTS; i++)
            apart[a] -= t->s->tuning[n * INPUTS + i] * x[i];
        for (size_t b = 0; b < count; b++) {
            const size_t o = unit[b];
            noise[a][b] = a == b ? m->noise[n] : 0;
            for (size_t r = 0; r < RANK; r++)
                noise[a][b] += (real)m->factor[n * RANK + r] * m->factor[o * RANK + r];
            for (size_t d = 0; d < 2; d++)
                noise[a][b] += (real)m->model.steer.velocity_spread *
                               t->s->tuning[n * INPUTS + 3 + d] * t->s->tuning[o * INPUTS + 3 + d];
        }
        noise[a][count] = apart[a];
    }
    for (size_t p = 0; p < count; p++)
        for (size_t a = 0; a < count; a++) {
            const real by = a == p ? 0 : noise[a][p] / noise[p][p];
            for (size_t b = 0; b <= count; b++)
                noise[a][b] -= by * noise[p][b];
        }
    for (size_t a = 0; a < count; a++)
        sum += apart[a] * noise[a][count] / noise[a][a];
    return -sum / 2;
}

static void aim(struct twin *t, real share, bool targets)
{
    for (size_t g = 0; g < GOALS; g++) {
        for (size_t k = 0; k < PACES; k++)
            t->prob[g][k] *= 1 - share;
        if (targets ? g < TARGETS : g == TARGETS)
            t->prob[g][0] += share / (targets ? TARGETS : 1);
    }
}

static void step(struct twin *t, const struct story *story, size_t frame, bool trial)
{
    real next[GOALS][PACES] = {{0}}, all = 0;
    const real change = t->m->model.steer.change;
    for (size_t bin = 0; bin < story->steps[frame]; bin++) {
        const size_t can = trial ? TARGETS : GOALS;
        memset(next, 0, sizeof next);
        for (size_t g = 0; g < GOALS; g++)
            for (size_t k = 0; k < PACES; k++)
                for (size_t to = 0; to < PACES; to++) {
                    const bool stays = to == 0 && way(t, g) > t->m->model.steer.close;
                    const real mass = t->prob[g][k] * t->s->pace_prob[k * PACES + to];
                    next[g][stays ? k : to] += (1 - change) * mass;
                    for (size_t o = 0; o < can; o++)
                        next[o][0] += change * mass / (real)can;
                }
        memcpy(t->prob, next, sizeof next);
    }
    for (size_t g = 0; g < GOALS; g++)
        for (size_t k = 0; k < PACES; k++)
            all += t->prob[g][k] *=
                expl(sqrtl((real)t->m->model.chain.temper) * density(t, story, frame, g, k));
    for (size_t g = 0; g < GOALS; g++)
        for (size_t k = 0; k < PACES; k++)
            t->prob[g][k] /= all;
}

/* ---- tests ---------------------------------------------------------------------------------- */

static struct traj_observation frame_of(const struct story *story, size_t t)
{
    return (struct traj_observation){
        .counts = story->count[t], .dt = story->dt[t], .steps = story->steps[t]};
}

static void equals_the_plain_recursion(void **state)
{
    (void)state;
    double most = 0;
    for (uint64_t seed = 1; seed <= 30; seed++) {
        struct random random = {seed};
        struct chain_model m;
        struct chain_steering s;
        struct story story;
        void *memory;
        chain_draw(&m, &random, true, 0);
        chain_add_steering(&m, &s, &random);
        chain_draw_story(&story, &random);
        struct traj_decoder *decoder = chain_decoder(&m.model, &memory);
        struct twin twin = {.m = &m, .s = &s};
        for (size_t t = 0; t < FRAMES; t++) {
            const double at[2] = {8.0 * random_normal(&random), 8.0 * random_normal(&random)};
            struct traj_estimate estimate;
            const struct traj_observation frame = frame_of(&story, t);
            assert_int_equal(traj_decoder_effector(decoder, at), TRAJ_OK);
            if (t == 0) {
                twin.prob[TARGETS][0] = 1;
                aim(&twin, 0.5L, true);
            }
            if (t == story.start_at) {
                traj_decoder_trial_start(decoder);
                aim(&twin, (real)m.model.steer.mark, true);
            }
            twin.at[0] = at[0];
            twin.at[1] = at[1];
            assert_int_equal(traj_decoder_step(decoder, &frame, &estimate), TRAJ_OK);
            step(&twin, &story, t, t >= story.start_at);
            for (size_t g = 0; g < GOALS; g++)
                for (size_t k = 0; k < PACES; k++) {
                    const double off =
                        fabs((double)(twin.prob[g][k] - decoder->filter.steer.prob[g * PACES + k]));
                    most = off > most ? off : most;
                    if (!(off < BOUND))
                        fail_msg("seed %llu, frame %zu: %g off", (unsigned long long)seed, t, off);
                }
        }
        free(memory);
    }
    printf("seeds 1 to 30: at most %.1e off\n", most);
}

/* Nobody tells of an effector: the bits are those of a model that knows nothing of steering. */
static void has_no_part_while_nothing_is_told(void **state)
{
    (void)state;
    struct random random = {7};
    struct chain_model m;
    struct chain_steering s;
    struct story story;
    void *memory, *other;
    chain_draw(&m, &random, true, 0);
    chain_add_steering(&m, &s, &random);
    chain_draw_story(&story, &random);
    struct chain_model without = m;
    without.model.dims.paces = 0;
    struct traj_decoder *decoder = chain_decoder(&m.model, &memory);
    struct traj_decoder *plain = chain_decoder(&without.model, &other);
    for (size_t t = 0; t < FRAMES; t++) {
        struct traj_estimate a, b;
        const struct traj_observation frame = frame_of(&story, t);
        assert_int_equal(traj_decoder_step(decoder, &frame, &a), TRAJ_OK);
        assert_int_equal(traj_decoder_step(plain, &frame, &b), TRAJ_OK);
        assert_memory_equal(a.position, b.position, 2 * sizeof(double));
        assert_memory_equal(a.velocity_cov, b.velocity_cov, 4 * sizeof(double));
        assert_memory_equal(a.target_prob, b.target_prob, TARGETS * sizeof(double));
        assert_true(memcmp(&a.log_evidence, &b.log_evidence, sizeof a.log_evidence) == 0);
    }
    free(memory);
    free(other);
}

/* Within a trial the probability of all but ways out is the targets' by where the effector goes;
 * outside every state's is its own target's. */
static void check_redirected(const struct traj_decoder *decoder,
                             const struct traj_estimate *estimate, bool trial)
{
    const struct traj_course_filter *f = &decoder->filter;
    const struct traj_chain *chain = &f->model->chain;
    double expected[TARGETS] = {0.0}, elsewhere = 1.0;
    for (size_t i = 0; i < f->now.count; i++) {
        const size_t j = (size_t)f->now.active[i];
        const bool out = chain->place[j] == TRAJ_PLACE_PLAN || chain->place[j] == TRAJ_PLACE_MOVE;
        if (chain->target[j] < 0 || (trial && !out))
            continue;
        elsewhere -= f->weight[i];
        expected[chain->target[j]] += f->weight[i];
    }
    for (size_t m = 0; m < TARGETS; m++) {
        for (size_t k = 0; k < PACES; k++)
            expected[m] += trial ? elsewhere * f->steer.prob[m * PACES + k] : 0.0;
        assert_true(fabs(estimate->target_prob[m] - expected[m]) < 1e-12);
    }
    double home = 0.0;
    for (size_t k = 0; k < PACES; k++)
        home += f->steer.prob[TARGETS * PACES + k];
    assert_true(elsewhere > 0.01 && elsewhere < 0.99 && home > 1e-3);
    assert_true(fabs(estimate->free_prob - (trial ? elsewhere * home : elsewhere)) < 1e-9);
}

static void draw_steered(struct chain_model *m, struct chain_steering *s, struct story *story,
                         uint64_t seed)
{
    struct random random = {seed};
    chain_draw(m, &random, true, 0);
    chain_add_steering(m, s, &random);
    chain_draw_story(story, &random);
}

static void ways_out_alone_tell_of_a_target(void **state)
{
    (void)state;
    struct chain_model m;
    struct chain_steering s;
    struct story story;
    void *memory;
    draw_steered(&m, &s, &story, 13);
    for (size_t j = 0; j < sizeof m.place; j++)
        m.place[j] = (uint8_t[]){TRAJ_PLACE_MOVE, TRAJ_PLACE_HOLD, TRAJ_PLACE_RETURN,
                                 TRAJ_PLACE_FREE, TRAJ_PLACE_PLAN}[j % 5];
    m.model.steer.patience = 10.0;
    struct traj_decoder *decoder = chain_decoder(&m.model, &memory);
    const double at[2] = {3.0, -40.0};
    const struct traj_observation frame = {.counts = story.count[0], .dt = 0.02, .steps = 1};
    struct traj_estimate estimate;
    for (size_t t = 0; t < 7; t++) {
        /* Between trials home is believed in too, and a mark does not take that away altogether. */
        if (t == 1)
            traj_decoder_trial_start(decoder);
        if (t == 6)
            traj_decoder_trial_stop(decoder);
        assert_int_equal(traj_decoder_effector(decoder, at), TRAJ_OK);
        assert_int_equal(traj_decoder_step(decoder, &frame, &estimate), TRAJ_OK);
        check_redirected(decoder, &estimate, t > 0 && t < 6);
    }
    free(memory);
}

/*
 * Every state is one in which courses are over: what is steered comes into force after the
 * patience, goes on from the effector's place by what is intended, ends with the next trial, and
 * is forgotten where nothing more is told.
 */
static void comes_into_force_when_courses_are_over(void **state)
{
    (void)state;
    struct chain_model m;
    struct chain_steering s;
    struct story story;
    void *memory;
    draw_steered(&m, &s, &story, 11);
    memset(m.place, TRAJ_PLACE_FREE, sizeof m.place);
    m.model.steer.patience = 0.05;
    struct traj_decoder *decoder = chain_decoder(&m.model, &memory);
    const double at[2] = {3.0, -40.0};
    const struct traj_observation frame = {.counts = story.count[0], .dt = 0.02, .steps = 1};
    struct traj_estimate estimate;
    for (size_t t = 1; t <= 5; t++) {
        assert_int_equal(traj_decoder_effector(decoder, at), TRAJ_OK);
        assert_int_equal(traj_decoder_step(decoder, &frame, &estimate), TRAJ_OK);
        assert_int_equal(decoder->filter.steer.steered, t >= 3);
        assert_int_equal((estimate.flags & TRAJ_FLAG_STEERED) != 0, t >= 3);
    }
    double sum = estimate.free_prob;
    for (size_t d = 0; d < 2; d++)
        assert_true(fabs(estimate.position[d] - at[d] - 0.02 * estimate.velocity[d]) < 1e-12);
    for (size_t i = 0; i < TARGETS; i++)
        sum += estimate.target_prob[i];
    assert_true(fabs(sum - 1.0) < 1e-12);
    traj_decoder_trial_start(decoder);
    assert_false(decoder->filter.steer.steered);
    for (size_t t = 0; t < 5; t++) {
        assert_int_equal(traj_decoder_effector(decoder, at), TRAJ_OK);
        assert_int_equal(traj_decoder_step(decoder, &frame, &estimate), TRAJ_OK);
    }
    assert_true(decoder->filter.steer.steered);
    for (size_t t = 0; t < 14; t++) /* 0.28 s without a word */
        assert_int_equal(traj_decoder_step(decoder, &frame, &estimate), TRAJ_OK);
    assert_false(decoder->filter.steer.told || decoder->filter.steer.steered);
    /* The trial still runs: who is heard of again goes for a target. */
    assert_int_equal(traj_decoder_effector(decoder, at), TRAJ_OK);
    for (size_t k = 0; k < PACES; k++)
        assert_true(decoder->filter.steer.prob[TARGETS * PACES + k] == 0.0);
    const double nowhere[2] = {NAN, 0.0};
    assert_int_equal(traj_decoder_effector(decoder, nowhere), TRAJ_E_NONFINITE);
    free(memory);
}

/* The mean over a node's states of (1, place, velocity, speed). */
static void mean_input(const struct chain_model *m, size_t node, double *x)
{
    double count = 0;
    memset(x, 0, INPUTS * sizeof *x);
    for (size_t j = 0; j < STATES; j++) {
        if ((size_t)m->node[j] != node)
            continue;
        const double *v = m->velocity + 2 * j;
        const double one[INPUTS] = {1,    m->position[2 * j], m->position[2 * j + 1], v[0],
                                    v[1], hypot(v[0], v[1])};
        count++;
        for (size_t i = 0; i < INPUTS; i++)
            x[i] += one[i];
    }
    for (size_t i = 0; i < INPUTS; i++)
        x[i] /= count;
}

static double product(const double *a, const double *b)
{
    double sum = 0;
    for (size_t i = 0; i < INPUTS; i++)
        sum += a[i] * b[i];
    return sum;
}

/* Recalibration moves tables and the tuning to what is steered alike: where the tables are what
 * the tuning expects, they still are afterwards. */
static void is_recalibrated_as_the_tables_are(void **state)
{
    (void)state;
    struct random random = {5};
    struct chain_model m;
    struct chain_steering s;
    struct traj_error error = {""};
    double x[INPUTS], coefficient[UNITS * TRAJ_RETUNE_COLUMNS_MAX];
    chain_draw(&m, &random, true, 0);
    chain_add_steering(&m, &s, &random);
    for (size_t j = 0; j < STATES; j++) {
        m.node[j] = (int32_t)(j % NODES);
        m.share[j] = 0;
    }
    for (size_t e = 0; e < NODES; e++) {
        mean_input(&m, e, x);
        for (size_t n = 0; n < UNITS; n++)
            m.mean[e * UNITS + n] = product(s.tuning + n * INPUTS, x);
    }
    static const char id[TARGETS][TRAJ_ID_SIZE] = {"a", "b"};
    m.model.about.target_id = id;
    const size_t columns = traj_retune_columns(&m.model);
    for (size_t i = 0; i < UNITS * columns; i++)
        coefficient[i] = 0.3 * random_normal(&random);
    struct traj_model *model = traj_retune(&m.model, coefficient, columns, &error);
    if (!model)
        fail_msg("%s", error.text);
    for (size_t e = 0; e < NODES; e++) {
        mean_input(&m, e, x);
        for (size_t n = 0; n < UNITS; n++) {
            const double is = model->chain.emission_mean[e * UNITS + n];
            assert_true(fabs(is - m.mean[e * UNITS + n]) > 1e-3);
            assert_true(fabs(is - product(model->steer.tuning + n * INPUTS, x)) < 1e-9);
        }
    }
    traj_model_free(model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equals_the_plain_recursion),
        cmocka_unit_test(has_no_part_while_nothing_is_told),
        cmocka_unit_test(ways_out_alone_tell_of_a_target),
        cmocka_unit_test(comes_into_force_when_courses_are_over),
        cmocka_unit_test(is_recalibrated_as_the_tables_are),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
