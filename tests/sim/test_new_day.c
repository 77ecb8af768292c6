/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A simulated new day on which 30 % of the units are others and the rest have drifted: a model
 * adapted with three trials a target is at least as good as one trained on ten trials from nothing,
 * and rest alone helps too; its tuning to what is steered is about that of a model trained on many
 * trials of that day, also of the units that are others.  On a day on which nothing changed, it is
 * as good as yesterday's.
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

/* A session of a population: on its first day, or on another one, other units perhaps renamed. */
static struct traj_session *session_of(uint64_t population, uint64_t seed, bool later,
                                       size_t trials_per_target, bool unbroken, bool renamed)
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
    options.rename_changed = renamed;
    struct traj_session *session = traj_simulate(&options, &error);
    if (!session)
        fail_msg("%s", error.text);
    return session;
}

/* The same without anything but rest at the centre between trials. */
static struct traj_session *rest_of(uint64_t population, uint64_t seed)
{
    struct traj_session *whole = session_of(population, seed, true, 5, true, false);
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

/* Not calibrated: only where the posterior's mean lies is looked at. */
static struct traj_model *adapt(const struct traj_model *from, const struct traj_session *session)
{
    struct traj_error error = {""};
    struct traj_fit_options options;
    traj_fit_options_default(&options);
    options.calibrate = false;
    struct traj_model *model = traj_adapt(from, &session, 1, &options, &error);
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
        struct traj_session *yesterday = session_of(p, 10 + p, false, 20, false, false);
        struct traj_session *few = session_of(p, 20 + p, true, 3, false, false);
        struct traj_session *many = session_of(p, 30 + p, true, 10, false, false);
        struct traj_session *test = session_of(p, 40 + p, true, 10, false, false);
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

/* An unbroken recording teaches a regression on the recent past too, which must not be lost. */
static void a_day_without_change_costs_little(void **state)
{
    (void)state;
    double old = 0, few = 0, many = 0;
    for (uint64_t p = 1; p <= POPULATIONS; p++) {
        struct traj_session *yesterday = session_of(p, 10 + p, false, 20, true, false);
        struct traj_session *five = session_of(p, 20 + p, false, 5, true, false);
        struct traj_session *ten = session_of(p, 30 + p, false, 10, true, false);
        struct traj_session *test = session_of(p, 40 + p, false, 10, true, false);
        struct traj_model *from = train(yesterday);
        few += mean_square(adapt(from, five), test) / POPULATIONS;
        many += mean_square(adapt(from, ten), test) / POPULATIONS;
        old += mean_square(from, test) / POPULATIONS;
        traj_session_free(yesterday);
        traj_session_free(five);
        traj_session_free(ten);
        traj_session_free(test);
    }
    print_message("populations 1 to %d on a day like yesterday, rmse: %.2f mm with yesterday's "
                  "model, %.2f mm adapted with 5 trials a target, %.2f mm with 10\n",
                  POPULATIONS, sqrt(old), sqrt(few), sqrt(many));
    /* A twentieth for chance, as above, and one for what few trials tell wrongly. */
    assert_true(sqrt(few) <= 1.1 * sqrt(old));
    assert_true(sqrt(many) <= 1.1 * sqrt(old));
}

/* Cosine of the tuning of a unit to place and velocity in two models. */
static double likeness(const struct traj_model *a, const struct traj_model *b, size_t n)
{
    const size_t dim = a->dims.position, row = 2 * dim + 2;
    const double *x = a->steer.tuning + n * row + 1, *y = b->steer.tuning + n * row + 1;
    double dot = 0, of_x = 0, of_y = 0;
    for (size_t i = 0; i < 2 * dim; i++) {
        dot += x[i] * y[i];
        of_x += x[i] * x[i];
        of_y += y[i] * y[i];
    }
    return of_x > 0 && of_y > 0 ? dot / sqrt(of_x * of_y) : 0;
}

static void steering_goes_along(void **state)
{
    (void)state;
    struct traj_session *yesterday = session_of(1, 11, false, 20, true, true);
    struct traj_session *few = session_of(1, 21, true, 5, true, true);
    struct traj_session *many = session_of(1, 31, true, 40, true, true);
    struct traj_model *from = train(yesterday), *model = adapt(from, few), *truth = train(many);
    /* [0] of units that stayed, [1] of others under a new name. */
    double adapted[2] = {0, 0}, unadapted[2] = {0, 0}, count[2] = {0, 0};
    assert_true(from->dims.paces > 0);
    assert_int_equal(model->dims.paces, from->dims.paces);
    assert_int_equal(model->dims.units, truth->dims.units);
    assert_memory_equal(model->steer.pace, from->steer.pace, from->dims.paces * sizeof(double));
    assert_true(model->steer.patience == from->steer.patience);
    for (size_t n = 0; n < model->dims.units; n++) {
        assert_string_equal(model->about.unit_name[n], truth->about.unit_name[n]);
        const int other = strcmp(model->about.unit_name[n], from->about.unit_name[n]) != 0;
        adapted[other] += likeness(model, truth, n);
        unadapted[other] += likeness(from, truth, n);
        count[other]++;
    }
    print_message("tuning to what is steered, mean cosine with that of many trials: %.2f of %g "
                  "units that stayed (yesterday's %.2f), %.2f of %g others (yesterday's %.2f)\n",
                  adapted[0] / count[0], count[0], unadapted[0] / count[0], adapted[1] / count[1],
                  count[1], unadapted[1] / count[1]);
    /* Few trials tell little of units that stayed: theirs must not suffer. */
    assert_true(count[1] > 5 && adapted[0] > unadapted[0] - 0.05 * count[0]);
    assert_true(adapted[1] > unadapted[1] + 0.3 * count[1] && adapted[1] > 0.5 * count[1]);
    traj_model_free(from);
    traj_model_free(model);
    traj_model_free(truth);
    traj_session_free(yesterday);
    traj_session_free(few);
    traj_session_free(many);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(three_trials_are_worth_ten),
                                       cmocka_unit_test(a_day_without_change_costs_little),
                                       cmocka_unit_test(steering_goes_along)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
