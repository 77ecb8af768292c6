/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Do the rivals decode what they were trained on, bin by bin as over a whole session? */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "clients/evaluate/wiener.h"
#include "clients/rig/rival.h"
#include "clients/rig/scenario.h"

/* A block by hand. */
static struct traj_block by_hand(uint64_t number)
{
    struct traj_scenario s;
    struct traj_block block;
    struct traj_error error = {{0}};
    traj_scenario_default(&s);
    s.block.neurons.sim.units = 24;
    s.block.neurons.sim.depth = 0.8;
    s.block.seconds = 60.0;
    s.block.practice_s = s.block.watch_s = 0.0;
    s.block.seed = 11;
    s.block.block = number;
    if (traj_block_run(&s.block, NULL, &block, &error) != 0) {
        fail_msg("%s", error.text);
    }
    return block;
}

static struct traj_rival *trained(enum traj_rival_kind kind, const struct traj_session *session,
                                  const struct traj_session *second)
{
    struct traj_error error = {{0}};
    struct traj_rival *rival = traj_rival_train(kind, session, second, second ? 15.0 : 0.0, &error);
    if (!rival) {
        fail_msg("%s", error.text);
    }
    return rival;
}

/* Share of the velocity `lead` bins later that is accounted for. */
static double accounted(struct traj_rival *rival, const struct traj_session *test, size_t lead)
{
    double error = 0.0, all = 0.0;
    traj_rival_reset(rival);
    for (size_t i = 0; i + lead < test->bins; i++) {
        double decoded[TRAJ_RIG_DIM], position[TRAJ_RIG_DIM], velocity[TRAJ_RIG_DIM];
        assert_int_equal(traj_session_kinematics(test, test->t_end[i], 0.05, position, NULL), 0);
        assert_int_equal(traj_session_kinematics(test, test->t_end[i + lead], 0.05, NULL, velocity),
                         0);
        traj_rival_effector(rival, position);
        traj_rival_step(rival, test->counts + i * test->units, decoded);
        for (size_t d = 0; d < test->dim; d++) {
            error += (decoded[d] - velocity[d]) * (decoded[d] - velocity[d]);
            all += velocity[d] * velocity[d];
        }
    }
    return 1.0 - error / all;
}

static void all_decode_velocity(void **state)
{
    (void)state;
    struct traj_block train = by_hand(0), test = by_hand(1);
    for (int kind = 0; kind < TRAJ_RIVALS; kind++) {
        bool refit = kind == TRAJ_RIVAL_REFIT;
        struct traj_rival *rival =
            trained((enum traj_rival_kind)kind, train.session, refit ? train.session : NULL);
        double share = accounted(rival, test.session, refit ? 0 : traj_rival_lead(rival));
        printf("%s: %.3f, lead %zu\n", traj_rival_name((enum traj_rival_kind)kind), share,
               traj_rival_lead(rival));
        assert_true(share > 0.3);
        traj_rival_free(rival);
    }
    traj_block_free(&train);
    traj_block_free(&test);
}

/* Frame by frame, the Wiener filter says what it says of a session as a whole. */
static void wiener_says_the_same_bin_by_bin(void **state)
{
    (void)state;
    struct traj_block train = by_hand(0), test = by_hand(1);
    struct traj_error error = {{0}};
    struct traj_wiener_filter whole = {0};
    struct traj_rival *rival = trained(TRAJ_RIVAL_WIENER, train.session, NULL);
    for (size_t i = 0; i < train.session->samples; i++) {
        train.session->kin_t[i] -= 0.02 * (double)traj_rival_lead(rival);
    }
    assert_int_equal(traj_wiener_train(&whole, train.session, &error), 0);
    struct traj_decoded *decoded = traj_wiener_run(&whole, test.session);
    assert_non_null(decoded);
    for (size_t i = 0; i < test.session->bins; i++) {
        double velocity[TRAJ_RIG_DIM];
        traj_rival_step(rival, test.session->counts + i * test.session->units, velocity);
        for (size_t d = 0; d < 2; d++) {
            assert_true(fabs(velocity[d] - decoded->velocity[2 * i + d]) < 1e-6);
        }
    }
    traj_decoded_free(decoded);
    traj_wiener_free(&whole);
    traj_rival_free(rival);
    traj_block_free(&train);
    traj_block_free(&test);
}

/* Velocities that lead astray in the second session are turned to where the targets are. */
static void refit_learns_what_was_intended(void **state)
{
    (void)state;
    struct traj_block train = by_hand(0), second = by_hand(2), test = by_hand(1);
    struct traj_session *s = second.session;
    for (size_t i = 1; i < s->samples; i++) { /* a cursor that turns each step by 50 degrees */
        double x = s->position[2 * i], y = s->position[2 * i + 1];
        s->position[2 * i] = 0.643 * x - 0.766 * y;
        s->position[2 * i + 1] = 0.766 * x + 0.643 * y;
    }
    struct traj_rival *straight = trained(TRAJ_RIVAL_REFIT, train.session, train.session);
    struct traj_rival *turned = trained(TRAJ_RIVAL_REFIT, train.session, s);
    struct traj_rival *astray = trained(TRAJ_RIVAL_KALMAN, s, NULL);
    double good = accounted(straight, test.session, 0), mended = accounted(turned, test.session, 0);
    double bad = accounted(astray, test.session, 0);
    printf("straight %.3f, turned back %.3f, not turned back %.3f\n", good, mended, bad);
    assert_true(mended > bad);
    traj_rival_free(straight);
    traj_rival_free(turned);
    traj_rival_free(astray);
    traj_block_free(&train);
    traj_block_free(&second);
    traj_block_free(&test);
}

/* Units that are not observed count as their mean, and nothing explodes. */
static void missing_units_are_survived(void **state)
{
    (void)state;
    struct traj_block train = by_hand(0);
    for (int kind = 0; kind < TRAJ_RIVALS; kind++) {
        struct traj_rival *rival = trained((enum traj_rival_kind)kind, train.session,
                                           kind == TRAJ_RIVAL_REFIT ? train.session : NULL);
        uint16_t counts[24];
        double velocity[TRAJ_RIG_DIM];
        memset(counts, 0xff, sizeof counts);
        for (size_t i = 0; i < 200; i++) {
            traj_rival_step(rival, counts, velocity);
            assert_true(hypot(velocity[0], velocity[1]) < 500.0);
        }
        traj_rival_free(rival);
    }
    traj_block_free(&train);
}

static void refit_without_targets_is_refused(void **state)
{
    (void)state;
    struct traj_block train = by_hand(0);
    struct traj_error error = {{0}};
    assert_null(traj_rival_train(TRAJ_RIVAL_REFIT, train.session, NULL, 15.0, &error));
    assert_non_null(strstr(error.text, "refit could not be fitted: it needs trials with known "));
    error.text[0] = '\0';
    for (size_t i = 0; i < train.session->trials; i++) {
        train.session->target[i] = -1;
    }
    assert_null(traj_rival_train(TRAJ_RIVAL_REFIT, train.session, train.session, 15.0, &error));
    assert_non_null(strstr(error.text, "refit could not be fitted: it needs trials with known "));
    traj_block_free(&train);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_decode_velocity),
        cmocka_unit_test(wiener_says_the_same_bin_by_bin),
        cmocka_unit_test(refit_learns_what_was_intended),
        cmocka_unit_test(missing_units_are_survived),
        cmocka_unit_test(refit_without_targets_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
