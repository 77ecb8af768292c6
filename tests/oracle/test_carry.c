/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Is a filter over courses that is carried to new targets what the definition says: weights against
 * the linear system solved in long double, positions and means against sums written out; equal to
 * the model itself where the targets are its own; a good model wherever they are; back again to the
 * bit; with fewer links where room is short; and as after a reset where there is none?
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "daemon/model/carry.h"
#include "daemon/model/internal.h"
#include "tests/oracle/random_model.h"

#define M 5    /* targets */
#define S 3    /* states of each */
#define FREE 2 /* free places */
#define J (1 + M * S + FREE)
#define C 4 /* channels */
#define L 400
#define TOLERANCE 1e-9

typedef long double real;

/* A rest, M courses of S places, two free places; Gaussian, or Poisson without rest and free
 * places. */
struct ring {
    struct traj_model model;
    double position[J * 2], velocity[J * 2], spread[J * 4], progress[J], eta[J], share[J];
    double initial[J], start[J], mean[J * C], doubt[J], noise[C], factor[C];
    double link[TRAJ_CONTEXTS * L], target_position[M * 2];
    int32_t target[J], node[J], group[J], first[J + 1], to[L];
    uint8_t place[J];
    char id[M][TRAJ_ID_SIZE];
};

static void add_link(struct ring *r, size_t to, double a, double b, double c)
{
    const size_t l = r->model.dims.links++;
    r->to[l] = (int32_t)to;
    r->link[l] = a;
    r->link[L + l] = b;
    r->link[2 * L + l] = c;
}

static size_t state_of(const struct ring *r, size_t m, size_t o)
{
    return (r->model.chain.gaussian != 0.0 ? 1 : 0) + m * S + o;
}

static void link_all(struct ring *r)
{
    const bool gaussian = r->model.chain.gaussian != 0.0;
    const size_t states = r->model.dims.states;
    r->model.dims.links = 0;
    for (size_t j = 0; j < states; j++) {
        r->first[j] = (int32_t)r->model.dims.links;
        if (gaussian && j == 0) {
            add_link(r, 0, 0.9, 0.8, 0.7);
            for (size_t m = 0; m < M; m++)
                add_link(r, state_of(r, m, 0), 0.1 / M, 0.2 / M, 0.3 / M);
        } else if (r->target[j] >= 0) {
            const size_t o = (j - state_of(r, 0, 0)) % S, next = o + 1 < S ? j + 1 : j;
            const double stay = next == j ? 0.0 : 0.4, cross = gaussian ? 0.05 : 0.0;
            if (stay > 0.0)
                add_link(r, j, stay, stay, stay);
            add_link(r, next, 1 - stay - cross, 1 - stay - cross, 1 - stay - cross);
            for (size_t i = 0; gaussian && i < FREE; i++)
                add_link(r, states - FREE + i, cross / FREE, cross / FREE, cross / FREE);
        } else {
            for (size_t i = 0; i + FREE < states; i++)
                add_link(r, i, 0.05 / (double)(states - FREE), 0.05 / (double)(states - FREE),
                         0.05 / (double)(states - FREE));
            add_link(r, states - 2, 0.5, 0.5, 0.5);
            add_link(r, states - 1, 0.45, 0.45, 0.45);
        }
    }
    r->first[states] = (int32_t)r->model.dims.links;
    for (size_t c = 1; c < TRAJ_CONTEXTS; c++)
        memmove(r->link + c * r->model.dims.links, r->link + c * L,
                r->model.dims.links * sizeof(double));
}

static void draw_ring(struct ring *r, struct random *random, bool gaussian)
{
    memset(r, 0, sizeof *r);
    const size_t states = gaussian ? J : M * S;
    r->model.dims = (struct traj_dims){.position = 2,
                                       .state = 4,
                                       .units = C,
                                       .targets = M,
                                       .states = states,
                                       .nodes = states,
                                       .factors = gaussian ? 1 : 0};
    r->model.bin_width = 0.02;
    r->model.plan.temper = r->model.evidence_temper = 1.0;
    r->model.calibration = (struct traj_calibration)TRAJ_CALIBRATION_NONE;
    r->model.target_position = r->target_position;
    r->model.about.target_id = (const char(*)[TRAJ_ID_SIZE])r->id;
    r->model.chain = (struct traj_chain){r->position,   r->velocity,
                                         r->spread,     r->spread,
                                         r->target,     r->place,
                                         r->progress,   r->eta,
                                         r->node,       r->share,
                                         r->group,      r->mean,
                                         NULL,          r->noise,
                                         r->factor,     NULL,
                                         r->first,      r->to,
                                         r->link,       r->initial,
                                         r->start,      .start_share = 0.9,
                                         .temper = 0.5, .gaussian = gaussian ? 1.0 : 0.0};
    if (!gaussian)
        r->model.chain.emission_doubt = r->doubt;
    for (size_t m = 0; m < M; m++) {
        const double angle = 2.0 * 3.14159265358979 * (double)m / M;
        r->target_position[2 * m] = 5.0 + 90.0 * cos(angle) + random_normal(random);
        r->target_position[2 * m + 1] = -3.0 + 90.0 * sin(angle) + random_normal(random);
        (void)snprintf(r->id[m], TRAJ_ID_SIZE, "t%zu", m);
    }
    for (size_t j = 0; j < states; j++) {
        r->target[j] = r->group[j] = -1;
        r->progress[j] = r->eta[j] = -1.0;
        r->place[j] = gaussian && j == 0 ? TRAJ_PLACE_REST : TRAJ_PLACE_FREE;
        r->node[j] = (int32_t)j;
        r->initial[j] = r->start[j] = 1.0 / (double)states;
        r->spread[4 * j] = r->spread[4 * j + 3] = random_between(random, 4.0, 9.0);
        r->spread[4 * j + 1] = r->spread[4 * j + 2] = 1.0;
        r->doubt[j] = random_between(random, 0.0, 3.0);
        for (size_t d = 0; d < 2; d++) {
            r->position[2 * j + d] = 30.0 * random_normal(random);
            r->velocity[2 * j + d] = 100.0 * random_normal(random);
        }
        for (size_t n = 0; n < C; n++)
            r->mean[j * C + n] = random_between(random, 0.5, 2.0);
    }
    for (size_t m = 0; m < M; m++)
        for (size_t o = 0; o < S; o++) {
            const size_t j = state_of(r, m, o);
            r->target[j] = (int32_t)m;
            r->place[j] = (uint8_t)(o == 0 ? TRAJ_PLACE_PLAN : TRAJ_PLACE_MOVE);
            for (size_t d = 0; d < 2; d++)
                r->position[2 * j + d] =
                    (d ? -3.0 : 5.0) +
                    (double)o / (S - 1.0) * (r->target_position[2 * m + d] - (d ? -3.0 : 5.0));
        }
    for (size_t n = 0; n < C; n++) {
        r->noise[n] = 0.3;
        r->factor[n] = 0.2;
    }
    link_all(r);
}

static void check_model(const struct traj_model *model)
{
    const char *what = NULL;
    size_t index = 0;
    const enum traj_status status = traj_model_check(model, &what, &index);
    if (status != TRAJ_OK)
        fail_msg("%s[%zu]: %s", what ? what : "?", index, traj_status_text(status));
}

static struct traj_carry *carry_of(const struct traj_model *model, void **memory)
{
    struct traj_carry counted, *carry = calloc(1, sizeof *carry);
    struct traj_arena arena = {NULL, 0};
    assert_non_null(carry);
    traj_carry_lay_out(&counted, &arena, &model->dims);
    *memory = aligned_alloc(TRAJ_ALIGNMENT, arena.used);
    assert_non_null(*memory);
    memset(*memory, 0, arena.used);
    arena = (struct traj_arena){*memory, 0};
    traj_carry_lay_out(carry, &arena, &model->dims);
    traj_carry_init(carry, model);
    assert_true(carry->able);
    return carry;
}

/* The kernel, as carry.h writes it. */
static real kernel(const double *a, const double *b, real size)
{
    const real s[2] = {(a[0] - 5.0L) / size, (a[1] + 3.0L) / size};
    const real t[2] = {(b[0] - 5.0L) / size, (b[1] + 3.0L) / size};
    const real dot = s[0] * t[0] + s[1] * t[1], ss = s[0] * s[0] + s[1] * s[1],
               tt = t[0] * t[0] + t[1] * t[1];
    const real apart = (s[0] - t[0]) * (s[0] - t[0]) + (s[1] - t[1]) * (s[1] - t[1]);
    return 0.16L * dot + 0.014L * (2 * dot * dot - ss * tt + (ss - 1) * (tt - 1)) +
           0.008L * expl(-apart / (2 * 0.16L));
}

/* Weights by elimination. */
static void weights(const struct ring *r, const double *at, real *weight)
{
    real a[M][M + 1], size = 0.0L, sum = 0.0L;
    for (size_t m = 0; m < M; m++)
        size += (powl(r->target_position[2 * m] - 5.0L, 2) +
                 powl(r->target_position[2 * m + 1] + 3.0L, 2)) /
                M;
    size = sqrtl(size);
    for (size_t i = 0; i < M; i++) {
        for (size_t k = 0; k < M; k++)
            a[i][k] = kernel(r->target_position + 2 * i, r->target_position + 2 * k, size) +
                      (i == k ? 0.002L : 0.0L);
        a[i][M] = kernel(r->target_position + 2 * i, at, size);
    }
    for (size_t p = 0; p < M; p++)
        for (size_t i = 0; i < M; i++) {
            const real f = i == p ? 0.0L : a[i][p] / a[p][p];
            for (size_t k = p; k <= M; k++)
                a[i][k] -= f * a[p][k];
        }
    for (size_t m = 0; m < M; m++)
        sum += weight[m] = a[m][M] / a[m][m];
    for (size_t m = 0; m < M; m++)
        weight[m] += (1.0L - sum) / M;
}

/* Complex ratio of two places from the origin: turns and scales in the plane. */
static void turned(const struct ring *r, size_t m, const double *at, const real *x, real *out)
{
    const real u[2] = {r->target_position[2 * m] - 5.0L, r->target_position[2 * m + 1] + 3.0L};
    const real v[2] = {at[0] - 5.0L, at[1] + 3.0L}, uu = u[0] * u[0] + u[1] * u[1];
    const real c = (v[0] * u[0] + v[1] * u[1]) / uu, s = (v[1] * u[0] - v[0] * u[1]) / uu;
    out[0] = c * x[0] - s * x[1];
    out[1] = s * x[0] + c * x[1];
}

static void equals_what_is_written_out(void **state)
{
    (void)state;
    struct random random = {test_seed(31)};
    double worst = 0.0;
    for (size_t i = 0; i < 40; i++) {
        static struct ring r;
        void *memory;
        double at[3 * 2];
        const char id[3][TRAJ_ID_SIZE] = {"x", "y", "z"};
        draw_ring(&r, &random, i % 2 == 0);
        check_model(&r.model);
        struct traj_carry *carry = carry_of(&r.model, &memory);
        for (size_t k = 0; k < 6; k++)
            at[k] = 120.0 * random_normal(&random);
        assert_int_equal(traj_carry_to(carry, "new", 3, id, at), TRAJ_OK);
        check_model(&carry->model);
        assert_int_equal(carry->model.dims.targets, 3);
        for (size_t m = 0; m < 3; m++) {
            real w[M];
            weights(&r, at + 2 * m, w);
            for (size_t o = 0; o < S; o++) {
                const size_t j = state_of(&r, m, o);
                real place[2] = {5.0L, -3.0L}, speed[2] = {0.0L, 0.0L}, mean[C] = {0.0L};
                for (size_t k = 0; k < M; k++) {
                    const size_t from = state_of(&r, k, o);
                    const real x[2] = {r.position[2 * from] - 5.0L,
                                       r.position[2 * from + 1] + 3.0L};
                    const real v[2] = {r.velocity[2 * from], r.velocity[2 * from + 1]};
                    real one[2], two[2];
                    turned(&r, k, at + 2 * m, x, one);
                    turned(&r, k, at + 2 * m, v, two);
                    for (size_t d = 0; d < 2; d++) {
                        place[d] += w[k] * one[d];
                        speed[d] += w[k] * two[d];
                    }
                    for (size_t n = 0; n < C; n++)
                        mean[n] += w[k] * r.mean[from * C + n];
                }
                for (size_t d = 0; d < 2; d++) {
                    worst = fmax(worst, (double)fabsl(place[d] - carry->position[2 * j + d]) / 100);
                    worst = fmax(worst, (double)fabsl(speed[d] - carry->velocity[2 * j + d]) / 100);
                }
                for (size_t n = 0; n < C && r.model.chain.gaussian != 0.0; n++)
                    worst = fmax(worst, (double)fabsl(mean[n] - carry->emission_mean[j * C + n]));
            }
        }
        free(carry);
        free(memory);
    }
    printf("largest difference %.2g\n", worst);
    assert_true(worst < TOLERANCE);
}

static void own_targets_in_another_order_are_themselves(void **state)
{
    (void)state;
    struct random random = {test_seed(32)};
    static struct ring r;
    static const size_t order[M] = {3, 1, 4, 0, 2};
    double at[2 * M];
    char id[M][TRAJ_ID_SIZE];
    void *memory;
    draw_ring(&r, &random, true);
    struct traj_carry *carry = carry_of(&r.model, &memory);
    for (size_t m = 0; m < M; m++) {
        memcpy(at + 2 * m, r.target_position + 2 * order[m], 2 * sizeof(double));
        memcpy(id[m], r.id[order[m]], TRAJ_ID_SIZE);
    }
    assert_int_equal(traj_carry_to(carry, "turned", M, (const char(*)[TRAJ_ID_SIZE])id, at),
                     TRAJ_OK);
    check_model(&carry->model);
    for (size_t m = 0; m < M; m++)
        for (size_t o = 0; o < S; o++) {
            const size_t j = state_of(&r, m, o), from = state_of(&r, order[m], o);
            assert_memory_equal(carry->position + 2 * j, r.position + 2 * from, 2 * sizeof(double));
            assert_memory_equal(carry->emission_mean + C * j, r.mean + C * from,
                                C * sizeof(double));
        }
    free(carry);
    free(memory);
}

/* One decoder through some frames, moved meanwhile; another that was never moved. */
static void back_again_it_decodes_the_same_bits(void **state)
{
    (void)state;
    struct random random = {test_seed(33)};
    for (int gaussian = 0; gaussian < 2; gaussian++) {
        static struct ring r;
        struct traj_decoder *decoder[2];
        void *memory[2];
        struct traj_estimate e[2];
        const double at[6 * 2] = {50, 60, -70, 20, 5, 90, -30, -40, 20, 20, 110, -3};
        const char id[6][TRAJ_ID_SIZE] = {"a", "t1", "b", "c", "d", "e"};
        draw_ring(&r, &random, gaussian != 0);
        const size_t size = traj_decoder_size(&r.model.dims);
        for (size_t i = 0; i < 2; i++) {
            memory[i] = malloc(size);
            assert_int_equal(traj_decoder_init(memory[i], size, &r.model, NULL, &decoder[i]),
                             TRAJ_OK);
        }
        for (size_t t = 0; t < 60; t++) {
            uint16_t counts[C];
            for (size_t n = 0; n < C; n++)
                counts[n] = (uint16_t)random_below(&random, 4);
            const struct traj_observation o = {counts, NULL, 0.02, 1};
            if (t == 20) {
                assert_int_equal(traj_decoder_targets(decoder[0], "new", 6, id, at), TRAJ_OK);
                assert_int_equal(traj_decoder_model(decoder[0])->dims.targets, 6);
            }
            if (t == 40) {
                assert_int_equal(traj_decoder_targets(decoder[0], NULL, 0, NULL, NULL), TRAJ_OK);
                assert_ptr_equal(traj_decoder_model(decoder[0]), &r.model);
                traj_decoder_reset(decoder[0]);
                traj_decoder_reset(decoder[1]);
            }
            for (size_t i = 0; i < 2; i++)
                assert_int_equal(traj_decoder_step(decoder[i], &o, &e[i]), TRAJ_OK);
            if (t >= 20 && t < 40) {
                double sum = e[0].free_prob;
                for (size_t m = 0; m < 6; m++)
                    sum += e[0].target_prob[m];
                assert_true(fabs(sum - 1.0) < 1e-9);
                continue;
            }
            assert_memory_equal(e[0].position, e[1].position, 2 * sizeof(double));
            assert_memory_equal(e[0].velocity_cov, e[1].velocity_cov, 4 * sizeof(double));
            assert_memory_equal(e[0].target_prob, e[1].target_prob, M * sizeof(double));
        }
        assert_int_equal(traj_decoder_targets(decoder[0], "many", TRAJ_SLOTS_LEAST + 1, id, at),
                         TRAJ_E_MEMORY);
        free(memory[0]);
        free(memory[1]);
    }
}

/* As many links as there is room for, and a good model for all that. */
static void where_room_is_short_the_nearest_are_linked(void **state)
{
    (void)state;
    struct random random = {test_seed(36)};
    static struct ring r;
    void *memory;
    const double at[6 * 2] = {50, 60, 51, 61, 52, 60, 50, 61, 49, 59, 51, 60};
    const char id[6][TRAJ_ID_SIZE] = {"a", "b", "c", "d", "e", "f"};
    draw_ring(&r, &random, true);
    struct traj_carry *carry = carry_of(&r.model, &memory);
    assert_int_equal(traj_carry_to(carry, "new", 6, id, at), TRAJ_OK);
    const size_t all = carry->model.dims.links;
    size_t fewest = all;
    for (size_t room = all; room-- > 0;) {
        carry->room.links = room;
        if (traj_carry_to(carry, "new", 6, id, at) != TRAJ_OK)
            break;
        assert_true(carry->model.dims.links <= room);
        check_model(&carry->model);
        fewest = carry->model.dims.links;
    }
    print_message("%zu links, %zu where room is shortest\n", all, fewest);
    assert_true(fewest < all);
    free(carry);
    free(memory);
}

/* Without trial marks, which is kept: with them transitions would be others. */
static void where_there_is_no_room_it_starts_anew(void **state)
{
    (void)state;
    struct random random = {test_seed(35)};
    static struct ring r;
    struct traj_decoder *decoder[2];
    void *memory[2];
    struct traj_estimate e[2];
    const double at[2 * 2] = {50, 60, -70, 20};
    const char id[2][TRAJ_ID_SIZE] = {"a", "b"};
    draw_ring(&r, &random, true);
    const size_t size = traj_decoder_size(&r.model.dims);
    for (size_t i = 0; i < 2; i++) {
        memory[i] = malloc(size);
        assert_int_equal(traj_decoder_init(memory[i], size, &r.model, NULL, &decoder[i]), TRAJ_OK);
        traj_decoder_marks(decoder[i], false);
    }
    for (size_t t = 0; t < 30; t++) {
        uint16_t counts[C];
        for (size_t n = 0; n < C; n++)
            counts[n] = (uint16_t)random_below(&random, 4);
        const struct traj_observation o = {counts, NULL, 0.02, 1};
        if (t == 15) {
            decoder[0]->carry.room.links = 3;
            assert_int_equal(traj_decoder_targets(decoder[0], "new", 2, id, at), TRAJ_E_MEMORY);
            assert_ptr_equal(traj_decoder_model(decoder[0]), &r.model);
            traj_decoder_reset(decoder[1]);
        }
        for (size_t i = 0; i < 2; i++)
            assert_int_equal(traj_decoder_step(decoder[i], &o, &e[i]), TRAJ_OK);
        assert_memory_equal(e[0].position, e[1].position, 2 * sizeof(double));
        assert_memory_equal(e[0].target_prob, e[1].target_prob, M * sizeof(double));
    }
    free(memory[0]);
    free(memory[1]);
}

/* The posterior of a target goes with its name. */
static void what_is_believed_goes_with_the_name(void **state)
{
    (void)state;
    struct random random = {test_seed(34)};
    static struct ring r;
    struct traj_decoder *decoder;
    struct traj_estimate e;
    double at[2 * M], before[M];
    draw_ring(&r, &random, true);
    const size_t size = traj_decoder_size(&r.model.dims);
    void *memory = malloc(size);
    assert_int_equal(traj_decoder_init(memory, size, &r.model, NULL, &decoder), TRAJ_OK);
    for (size_t t = 0; t < 10; t++) {
        const uint16_t counts[C] = {1, 0, 2, 3};
        const struct traj_observation o = {counts, NULL, 0.02, 1};
        assert_int_equal(traj_decoder_step(decoder, &o, &e), TRAJ_OK);
    }
    memcpy(before, e.target_prob, sizeof before);
    memcpy(at, r.target_position, sizeof at);
    at[0] += 20.0;
    assert_int_equal(
        traj_decoder_targets(decoder, "moved", M, (const char(*)[TRAJ_ID_SIZE])r.id, at), TRAJ_OK);
    /* A bin of which nothing is seen moves it but little. */
    const struct traj_observation nothing = {NULL, NULL, 0.02, 1};
    assert_int_equal(traj_decoder_step(decoder, &nothing, &e), TRAJ_OK);
    for (size_t m = 0; m < M; m++)
        assert_true(fabs(e.target_prob[m] - before[m]) < 0.1);
    free(memory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equals_what_is_written_out),
        cmocka_unit_test(own_targets_in_another_order_are_themselves),
        cmocka_unit_test(back_again_it_decodes_the_same_bits),
        cmocka_unit_test(where_room_is_short_the_nearest_are_linked),
        cmocka_unit_test(where_there_is_no_room_it_starts_anew),
        cmocka_unit_test(what_is_believed_goes_with_the_name)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
