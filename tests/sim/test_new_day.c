/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A simulated new day on which 30 % of the units are others and the rest have drifted: a model
 * adapted with three trials a target is at least as good as one trained on ten trials from nothing,
 * and rest alone helps too.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "clients/sim/simulate.h"
#include "daemon/learn/adapt.h"
#include "daemon/learn/decode.h"
#include "daemon/learn/model_file.h"

#define POPULATIONS 2

/* A session of a population: on its first day, or on another one. */
static struct traj_session *session_of(uint64_t population, uint64_t seed, bool later,
                                       size_t trials_per_target, bool unbroken)
{
    struct traj_sim_options options;
    struct traj_error error = {""};
    traj_sim_options_default(&options);
    options.units = 32;
    options.targets = 8;
    options.trials_per_target = trials_per_target;
    options.unbroken = unbroken;
    options.population_seed = population;
    options.seed = seed;
    options.changed_share = later ? 0.3 : 0.0;
    options.drift_sd = later ? 0.1 : 0.0;
    options.day = 1;
    struct traj_session *session = traj_simulate(&options, &error);
    if (!session)
        fail_msg("%s", error.text);
    return session;
}

/* The same without anything but rest at the centre between trials. */
static struct traj_session *rest_of(uint64_t population, uint64_t seed)
{
    struct traj_session *whole = session_of(population, seed, true, 5, true);
    struct traj_error error = {""};
    struct traj_span *span = calloc(whole->trials + 1, sizeof *span);
    assert_non_null(span);
    for (size_t r = 0; r < whole->trials; r++)
        span[r] = (struct traj_span){whole->start[r] - 0.2, whole->start[r]};
    struct traj_session *rest = traj_session_cut(whole, span, whole->trials, &error);
    if (!rest)
        fail_msg("%s", error.text);
    free(span);
    traj_session_free(whole);
    return rest;
}

static struct traj_model *train(const struct traj_session *session)
{
    struct traj_error error = {""};
    struct traj_fit_options options;
    traj_fit_options_default(&options);
    options.family = TRAJ_FAMILY_COURSE;
    options.folds = 3;
    options.calibrate = false;
    struct traj_model *model = traj_fit(&session, 1, NULL, 0, &options, &error);
    if (!model)
        fail_msg("%s", error.text);
    return model;
}

static struct traj_model *adapt(const struct traj_model *from, const struct traj_session *session)
{
    struct traj_error error = {""};
    struct traj_model *model = traj_adapt(from, &session, 1, NULL, &error);
    if (!model)
        fail_msg("%s", error.text);
    return model;
}

struct squares {
    const struct traj_session *session;
    double sum, count;
};

static int add_square(void *context, const struct traj_intent *intent)
{
    struct squares *squares = context;
    double position[TRAJ_DIM_MAX];
    if (traj_session_kinematics(squares->session, squares->session->t_end[(size_t)intent->frame],
                                0.02, position, NULL))
        return 0;
    squares->count++;
    for (size_t d = 0; d < intent->dim; d++)
        squares->sum += pow(intent->position[d] - position[d], 2);
    return 0;
}

static double mean_square(struct traj_model *model, const struct traj_session *session)
{
    struct traj_error error = {""};
    struct traj_decode_options options = {.trials = true};
    struct squares squares = {session, 0, 0};
    if (traj_decode(model, session, &options, add_square, &squares, NULL, &error))
        fail_msg("%s", error.text);
    traj_model_free(model);
    return squares.sum / squares.count;
}

static void three_trials_are_worth_ten(void **state)
{
    (void)state;
    double old = 0, rested = 0, three = 0, ten = 0;
    for (uint64_t p = 1; p <= POPULATIONS; p++) {
        struct traj_session *yesterday = session_of(p, 10 + p, false, 20, false);
        struct traj_session *few = session_of(p, 20 + p, true, 3, false);
        struct traj_session *many = session_of(p, 30 + p, true, 10, false);
        struct traj_session *test = session_of(p, 40 + p, true, 10, false);
        struct traj_session *rest = rest_of(p, 50 + p);
        struct traj_model *from = train(yesterday);
        rested += mean_square(adapt(from, rest), test) / POPULATIONS;
        three += mean_square(adapt(from, few), test) / POPULATIONS;
        ten += mean_square(train(many), test) / POPULATIONS;
        old += mean_square(from, test) / POPULATIONS;
        traj_session_free(yesterday);
        traj_session_free(few);
        traj_session_free(many);
        traj_session_free(test);
        traj_session_free(rest);
    }
    print_message("populations 1 to %d, rmse: %.2f mm as it was, %.2f mm adapted at rest, %.2f mm "
                  "adapted with 3 trials a target, %.2f mm with 10 from nothing\n",
                  POPULATIONS, sqrt(old), sqrt(rested), sqrt(three), sqrt(ten));
    /* Two hundred test trials leave a twentieth to chance. */
    assert_true(sqrt(three) <= 1.05 * sqrt(ten));
    assert_true(sqrt(rested) < sqrt(old));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(three_trials_are_worth_ten)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
