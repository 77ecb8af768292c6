/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Reaches at many speeds: the spread of speeds that a simulation was made with is found again, and
 * movements half as fast and twice as fast as most are followed better by courses that may be
 * warped than by courses that may not, trained on the same session.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "clients/sim/simulate.h"
#include "daemon/learn/decode.h"
#include "daemon/learn/fit.h"
#include "daemon/learn/model_file.h"
#include "daemon/learn/speeds.h"
#include "proto/intent.h"

static struct traj_session *simulate(uint64_t seed, size_t trials, double spread)
{
    struct traj_sim_options options;
    traj_sim_options_default(&options);
    options.seed = seed;
    options.population_seed = 5;
    options.targets = 4;
    options.units = 40;
    options.trials_per_target = trials;
    options.duration_spread = spread;
    options.unbroken = false;
    struct traj_error error = {""};
    struct traj_session *session = traj_simulate(&options, &error);
    if (!session)
        fail_msg("%s", error.text);
    return session;
}

static void the_spread_of_speeds_is_found(void **state)
{
    static const double spread[] = {0.08, 0.15, 0.3};
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        const struct traj_session *session = simulate(11 + i, 40, spread[i]);
        struct traj_error error = {""};
        struct traj_training *training = traj_training_new(&session, 1, NULL, 0, 5, 1, &error);
        struct traj_speeds speeds;
        double mean, variance;
        if (!training || traj_speeds_make(&speeds, training, 0, &error))
            fail_msg("%s", error.text);
        traj_speeds_prior(&speeds, training, TRAJ_FOLD_NONE, &mean, &variance);
        print_message("160 trials, log duration spread by %.3f: %.3f found\n", spread[i],
                      sqrt(variance));
        /* Three standard errors of the standard deviation of 160 draws. */
        assert_true(fabs(sqrt(variance) / spread[i] - 1) < 0.17);
        assert_true(fabs(mean) < 1e-9);
        traj_speeds_free(&speeds);
        traj_training_free(training);
        traj_session_free((struct traj_session *)(uintptr_t)session);
    }
}

/* Squared errors of the trials of one kind of speed. */
struct squares {
    const struct traj_session *session;
    const double *pace; /* [trials] */
    double low, high, sum, count;
};

static int add_square(void *context, const struct traj_intent *intent)
{
    struct squares *squares = context;
    const struct traj_session *session = squares->session;
    size_t bin = (size_t)intent->frame, r = traj_session_trial_at(session, session->t_end[bin]);
    double position[2];
    if (r == (size_t)-1 || squares->pace[r] < squares->low || squares->pace[r] > squares->high ||
        traj_session_kinematics(session, session->t_end[bin], 0.02, position, NULL))
        return 0;
    squares->count++;
    for (size_t d = 0; d < 2; d++)
        squares->sum += pow(intent->position[d] - position[d], 2);
    return 0;
}

/* Each trial's peak speed as a multiple of that of a reach of median duration. */
static void paces(const struct traj_session *session, double *pace)
{
    struct traj_sim_options usual;
    traj_sim_options_default(&usual);
    double peak = 1.875 * usual.reach_mm / usual.duration_s;
    for (size_t r = 0; r < session->trials; r++) {
        pace[r] = 0;
        for (double t = session->start[r]; t < session->stop[r]; t += 0.01) {
            double position[2], velocity[2];
            if (traj_session_kinematics(session, t, 0.02, position, velocity) == 0)
                pace[r] = fmax(pace[r], hypot(velocity[0], velocity[1]) / peak);
        }
    }
}

static double rmse(const struct traj_model *model, const struct traj_session *session,
                   const double *pace, double low, double high)
{
    struct traj_error error = {""};
    struct traj_decode_options options = {.trials = true};
    struct squares squares = {session, pace, low, high, 0, 0};
    if (traj_decode(model, session, &options, add_square, &squares, NULL, &error))
        fail_msg("%s", error.text);
    assert_true(squares.count > 200);
    return sqrt(squares.sum / squares.count);
}

static struct traj_model *fit(const struct traj_session *session, enum traj_family family)
{
    struct traj_fit_options options;
    struct traj_error error = {""};
    traj_fit_options_default(&options);
    options.family = family;
    options.folds = 3;
    struct traj_model *model = traj_fit(&session, 1, NULL, 0, &options, &error);
    if (!model)
        fail_msg("%s: %s", traj_family_name(family), error.text);
    return model;
}

static void half_and_double_speed_are_followed(void **state)
{
    (void)state;
    double pace[400];
    struct traj_session *train = simulate(1, 12, 0.3), *test = simulate(2, 60, 0.5);
    assert_true(test->trials <= 400);
    paces(test, pace);
    struct traj_model *plain = fit(train, TRAJ_FAMILY_MIXTURE);
    struct traj_model *warped = fit(train, TRAJ_FAMILY_WARPED);
    assert_int_equal(warped->dims.warps, 1);
    const struct {
        const char *name;
        double low, high;
    } kind[] = {{"half speed", 0.4, 0.6}, {"double speed", 1.7, 2.4}};
    double product = 1;
    for (size_t i = 0; i < 2; i++) {
        double one = rmse(plain, test, pace, kind[i].low, kind[i].high);
        double other = rmse(warped, test, pace, kind[i].low, kind[i].high);
        print_message("%s: mixture %.2f mm, warped %.2f mm, ratio %.2f\n", kind[i].name, one, other,
                      other / one);
        assert_true(other < one);
        product *= other / one;
    }
    assert_true(product < 0.81); /* nine tenths, on average */
    traj_model_free(plain);
    traj_model_free(warped);
    traj_session_free(train);
    traj_session_free(test);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_spread_of_speeds_is_found),
        cmocka_unit_test(half_and_double_speed_are_followed),
    };
    return cmocka_run_group_tests_name("warped", tests, NULL, NULL);
}
