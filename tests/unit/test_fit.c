/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Does every kind of session train a valid model, the same one twice, or get refused with a
 * sentence? */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "daemon/learn/decode.h"
#include "daemon/learn/fit.h"
#include "daemon/learn/model_file.h"
#include "proto/intent.h"
#include "tests/common/made_session.h"
#include "traj/decoder.h"

static const enum traj_family families[] = {TRAJ_FAMILY_MIXTURE, TRAJ_FAMILY_STM, TRAJ_FAMILY_RWM,
                                            TRAJ_FAMILY_WARPED};
#define FAMILIES (sizeof families / sizeof families[0])

static struct traj_model *fit_one(const struct traj_session *session, enum traj_family family,
                                  struct traj_error *error)
{
    struct traj_fit_options options;
    traj_fit_options_default(&options);
    options.family = family;
    options.folds = 3;
    return traj_fit(&session, 1, NULL, 0, &options, error);
}

/* Fits, checks, and hands over; the caller frees. */
static struct traj_model *fit_valid(const struct traj_session *session, enum traj_family family)
{
    struct traj_error error = {""};
    struct traj_model *model = fit_one(session, family, &error);
    if (!model)
        fail_msg("%s: %s", traj_family_name(family), error.text);
    const char *what = "";
    size_t index = 0;
    if (traj_model_check(model, &what, &index) != TRAJ_OK)
        fail_msg("%s: %s[%zu]", traj_family_name(family), what, index);
    assert_string_equal(model->about.family, traj_family_name(family));
    assert_string_equal(model->about.length_unit, "mm");
    assert_non_null(model->about.training);
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
    size_t bin = (size_t)intent->frame;
    if (traj_session_kinematics(squares->session, squares->session->t_end[bin], 0.02, position,
                                NULL))
        return 0;
    squares->count++;
    for (size_t d = 0; d < intent->dim; d++)
        squares->sum += pow(intent->position[d] - position[d], 2);
    return 0;
}

/* Root mean square position error of a model on a session. */
static double rmse(const struct traj_model *model, const struct traj_session *session, bool trials)
{
    struct traj_error error = {""};
    struct traj_decode_options options = {.trials = trials};
    struct squares squares = {session, 0, 0};
    if (traj_decode(model, session, &options, add_square, &squares, NULL, &error))
        fail_msg("%s", error.text);
    assert_true(squares.count > 100);
    return sqrt(squares.sum / squares.count);
}

static void every_family_decodes_what_it_has_not_seen(void **state)
{
    (void)state;
    struct made_options options;
    made_options_default(&options);
    struct traj_session *train = made_session(&options);
    options.seed = 2;
    struct traj_session *test = made_session(&options);
    double error[FAMILIES];
    for (size_t i = 0; i < FAMILIES; i++) {
        struct traj_model *model = fit_valid(train, families[i]);
        error[i] = rmse(model, test, true);
        print_message("%s: %.2f mm\n", traj_family_name(families[i]), error[i]);
        if (i == 0 || families[i] == TRAJ_FAMILY_WARPED)
            assert_true(model->dims.components >= 5 && model->dims.targets == 4);
        else
            assert_int_equal(model->dims.components, 1);
        traj_model_free(model);
    }
    /* Reaches of 100 mm: someone who always says "at the start" is wrong by more than 50 mm. */
    assert_true(error[0] < 20);
    assert_true(error[0] < 0.62 * error[1] && error[0] < 0.62 * error[2]);
    assert_true(error[1] < 40 && error[2] < 40);
    assert_true(error[3] < 1.1 * error[0]);
    traj_session_free(train);
    traj_session_free(test);
}

static void one_trial_a_target_trains(void **state)
{
    (void)state;
    struct made_options options;
    made_options_default(&options);
    options.trials_per_target = 1;
    options.targets = 8;
    struct traj_session *train = made_session(&options);
    options.seed = 3;
    options.trials_per_target = 3;
    struct traj_session *test = made_session(&options);
    for (size_t i = 0; i < FAMILIES; i++) {
        struct traj_model *model = fit_valid(train, families[i]);
        double error = rmse(model, test, true);
        print_message("%s: %.2f mm from 8 trials\n", traj_family_name(families[i]), error);
        assert_true(error < 45);
        traj_model_free(model);
    }
    traj_session_free(train);
    traj_session_free(test);
}

static void one_trial_in_all_trains(void **state)
{
    (void)state;
    struct made_options options;
    made_options_default(&options);
    options.targets = options.trials_per_target = 1;
    struct traj_session *train = made_session(&options);
    for (size_t i = 0; i < FAMILIES; i++)
        traj_model_free(fit_valid(train, families[i]));
    traj_session_free(train);
}

static void a_target_never_seen_gets_a_component(void **state)
{
    (void)state;
    struct made_options options;
    made_options_default(&options);
    struct traj_session *train = made_session(&options);
    /* The trials to target 2 are said to be of unknown target: it has none of its own. */
    for (size_t r = 0; r < train->trials; r++)
        train->target[r] = train->target[r] == 2 ? -1 : train->target[r];
    struct traj_model *model = fit_valid(train, TRAJ_FAMILY_MIXTURE);
    assert_int_equal(model->dims.targets, 4);
    /* Its mean course, without a spike, must end near the target. */
    size_t state_size = model->dims.state, k = 0;
    while (k + 1 < model->dims.components && model->component_target[k] != 2)
        k++;
    assert_int_equal(model->component_target[k], 2);
    double x[TRAJ_STATE_MAX], next[TRAJ_STATE_MAX];
    memcpy(x, model->dynamics.start + k * state_size, state_size * sizeof *x);
    for (int t = 0; t < 100; t++) {
        for (size_t i = 0; i < state_size; i++) {
            next[i] = model->dynamics.drift[k * state_size + i];
            for (size_t j = 0; j < state_size; j++)
                next[i] += model->dynamics.transition[(k * state_size + i) * state_size + j] * x[j];
        }
        memcpy(x, next, state_size * sizeof *x);
    }
    print_message("ends at (%.1f, %.1f), target at (%.1f, %.1f)\n", x[0], x[1],
                  train->target_position[4], train->target_position[5]);
    assert_true(hypot(x[0] - train->target_position[4], x[1] - train->target_position[5]) < 15);
    traj_model_free(model);
    traj_session_free(train);
}

static void sessions_that_lack_something_train(void **state)
{
    (void)state;
    struct made_options options;
    made_options_default(&options);
    options.labels = false;
    struct traj_session *session = made_session(&options);
    struct traj_model *model = fit_valid(session, TRAJ_FAMILY_MIXTURE);
    assert_int_equal(model->dims.targets, 0); /* trials without targets: one for all, one free */
    assert_int_equal(model->dims.components, 2);
    assert_true(rmse(model, session, true) < 40);
    traj_model_free(model);
    traj_session_free(session);

    options.unbroken = true;
    session = made_session(&options);
    session->trials = 0; /* nothing but bins and movement */
    model = fit_valid(session, TRAJ_FAMILY_MIXTURE);
    assert_int_equal(model->dims.components, 1);
    assert_int_equal(model->trial_reset[0], 0);
    assert_true(rmse(model, session, false) < 60);
    traj_model_free(model);
    traj_session_free(session);
}

static void features_alone_train(void **state)
{
    (void)state;
    struct made_options options;
    made_options_default(&options);
    options.units = 0;
    options.features = 12;
    struct traj_session *session = made_session(&options);
    for (size_t i = 0; i < 40; i++)
        session->feature[i * 7] = NAN;
    for (size_t i = 0; i < FAMILIES; i++) {
        struct traj_model *model = fit_valid(session, families[i]);
        double error = rmse(model, session, true);
        print_message("%s: %.2f mm from features\n", traj_family_name(families[i]), error);
        assert_null(model->tuning.weight);
        assert_true(error < 40);
        traj_model_free(model);
    }
    options.units = 10;
    struct traj_session *both = made_session(&options);
    traj_model_free(fit_valid(both, TRAJ_FAMILY_MIXTURE));
    traj_session_free(both);
    traj_session_free(session);
}

static void odd_units_and_bins_do_no_harm(void **state)
{
    (void)state;
    struct made_options options;
    made_options_default(&options);
    struct traj_session *session = made_session(&options);
    for (size_t b = 0; b < session->bins; b++) {
        session->counts[b * session->units] = 0;                      /* never fires */
        session->counts[b * session->units + 1] = 1;                  /* always the same */
        session->counts[b * session->units + 2] = TRAJ_COUNT_MISSING; /* never observed */
        if (b % 3 == 0)
            session->counts[b * session->units + 3] = TRAJ_COUNT_MISSING;
        session->dt[b] = b % 2 ? 0.019 : 0.02;
    }
    struct traj_model *model = fit_valid(session, TRAJ_FAMILY_MIXTURE);
    assert_true(rmse(model, session, true) < 20);
    for (size_t n = 0; n < 3; n++)
        for (size_t j = 0; j < 4; j++)
            assert_true(fabs(model->tuning.weight[n * model->dims.state + j]) < 0.02);
    traj_model_free(model);
    traj_session_free(session);
}

static void one_and_three_dimensions_train(void **state)
{
    (void)state;
    for (size_t dim = 1; dim <= 3; dim += 2) {
        struct made_options options;
        made_options_default(&options);
        options.dim = dim;
        struct traj_session *session = made_session(&options);
        for (size_t i = 0; i < FAMILIES; i++) {
            struct traj_model *model = fit_valid(session, families[i]);
            double error = rmse(model, session, true);
            print_message("%zu-D %s: %.2f mm\n", dim, traj_family_name(families[i]), error);
            assert_true(error < 45);
            traj_model_free(model);
        }
        traj_session_free(session);
    }
}

static void several_sessions_and_priors_train(void **state)
{
    (void)state;
    struct made_options options;
    made_options_default(&options);
    options.trials_per_target = 3;
    struct traj_session *a = made_session(&options);
    options.seed = 5;
    options.unbroken = true;
    struct traj_session *b = made_session(&options);
    options.seed = 6;
    struct traj_session *prior = made_session(&options);
    prior->bins = prior->units = 0; /* kinematics and trials alone */
    const struct traj_session *sessions[] = {a, b}, *priors[] = {prior};
    struct traj_fit_options fit;
    traj_fit_options_default(&fit);
    fit.family = TRAJ_FAMILY_MIXTURE;
    struct traj_error error = {""};
    struct traj_model *model = traj_fit(sessions, 2, priors, 1, &fit, &error);
    if (!model)
        fail_msg("%s", error.text);
    assert_non_null(strstr(model->about.training, "\"prior_sessions\":1"));
    assert_non_null(strstr(model->about.training, "\"trials\":36"));
    assert_true(rmse(model, b, true) < 25);
    traj_model_free(model);
    traj_session_free(a);
    traj_session_free(b);
    traj_session_free(prior);
}

/* A session with a delay has its plan window end with the go cue, and plan activity tells the
 * target. */
static void plan_activity_tells_the_target(void **state)
{
    (void)state;
    struct made_options options;
    made_options_default(&options);
    options.delay = 0.4;
    struct traj_session *session = made_session(&options);
    uint64_t random = 9;
    for (size_t b = 0; b < session->bins; b++) {
        size_t r = traj_session_trial_at(session, session->t_end[b]);
        if (session->t_end[b] > session->go[r])
            continue;
        for (size_t n = 0; n < session->units; n++)
            session->counts[b * session->units + n] =
                made_poisson(&random, (n % 4 == (size_t)session->target[r] ? 1.2 : 0.3));
    }
    struct traj_model *model = fit_valid(session, TRAJ_FAMILY_MIXTURE);
    assert_true(fabs(model->plan.end - 0.4) < 1e-9);
    assert_non_null(model->plan.rate);
    for (size_t n = 0; n < 20; n++)
        for (size_t m = 0; m < 4; m++) {
            double expected = n % 4 == m ? 60 : 15;
            /* 8 trials of 0.4 s: within 4.5 standard errors */
            assert_true(fabs(model->plan.rate[m * 20 + n] - expected) < 4.5 * sqrt(expected / 3.2));
        }
    traj_model_free(model);
    struct traj_fit_options fit;
    traj_fit_options_default(&fit);
    fit.family = TRAJ_FAMILY_MIXTURE;
    fit.plan = false;
    struct traj_error error = {""};
    const struct traj_session *one = session;
    model = traj_fit(&one, 1, NULL, 0, &fit, &error);
    assert_non_null(model);
    assert_null(model->plan.rate);
    traj_model_free(model);
    traj_session_free(session);
}

static void count_progress(void *context, const char *stage, double share)
{
    assert_non_null(stage);
    assert_true(share >= 0 && share <= 1);
    ++*(size_t *)context;
}

static void the_same_twice(void **state)
{
    (void)state;
    struct made_options options;
    made_options_default(&options);
    struct traj_session *session = made_session(&options);
    const struct traj_session *one = session;
    enum { RUNS = 3 }; // twice the same seed, and another
    char digest[RUNS][65], folder[] = "/tmp/test_fit.XXXXXX", path[64];
    assert_non_null(mkdtemp(folder));
    (void)snprintf(path, sizeof path, "%s/a.tjm", folder);
    size_t calls = 0;
    for (size_t i = 0; i < RUNS; i++) {
        struct traj_fit_options fit;
        traj_fit_options_default(&fit);
        fit.seed = i < 2 ? 1 : 2;
        fit.progress = i == 0 ? count_progress : NULL;
        fit.progress_context = &calls;
        struct traj_error error = {""};
        struct traj_model *model = traj_fit(&one, 1, NULL, 0, &fit, &error);
        assert_non_null(model);
        if (traj_model_save(model, path, &error))
            fail_msg("%s", error.text);
        memcpy(digest[i], model->about.digest, 65);
        traj_model_free(model);
    }
    assert_string_equal(digest[0], digest[1]);
    assert_string_not_equal(digest[0], digest[2]);
    assert_true(calls > 10);
    (void)unlink(path);
    (void)rmdir(folder);
    traj_session_free(session);
}

/* ---- refusals -------------------------------------------------------------------------------- */

static void refuse(struct traj_session *a, struct traj_session *b, const char *sentence)
{
    const struct traj_session *sessions[] = {a, b};
    struct traj_fit_options options;
    traj_fit_options_default(&options);
    struct traj_error error = {""};
    struct traj_model *model = traj_fit(sessions, b ? 2 : 1, NULL, 0, &options, &error);
    if (model)
        fail_msg("accepted in spite of: %s", sentence);
    assert_string_equal(error.text, sentence);
    print_message("%s\n", error.text);
}

static void sessions_that_disagree_are_refused(void **state)
{
    (void)state;
    struct made_options options;
    made_options_default(&options);
    options.trials_per_target = 2;
    struct traj_session *a = made_session(&options), *b = made_session(&options);
    free(b->path);
    b->path = strdup("b.h5");
    b->units = 19;
    refuse(a, b, "b.h5: /frames/counts: 19 units, but 20 in made.h5");
    b->units = 20;
    (void)snprintf(b->length_unit, sizeof b->length_unit, "cm");
    refuse(a, b, "b.h5: length_unit: \"cm\", but \"mm\" in made.h5");
    (void)snprintf(b->length_unit, sizeof b->length_unit, "mm");
    b->target_position[2] += 1;
    refuse(a, b, "b.h5: /targets/position[1]: another place than in made.h5");
    b->target_position[2] -= 1;
    a->unit_name = calloc(20, TRAJ_ID_SIZE);
    b->unit_name = calloc(20, TRAJ_ID_SIZE);
    for (size_t n = 0; n < 20; n++) {
        (void)snprintf(a->unit_name[n], TRAJ_ID_SIZE, "u%zu", n);
        (void)snprintf(b->unit_name[n], TRAJ_ID_SIZE, "u%zu", n == 7 ? 70 : n);
    }
    refuse(a, b, "b.h5: /frames/unit_name[7]: \"u70\", but \"u7\" in made.h5");
    free(b->unit_name);
    b->unit_name = NULL;
    for (size_t i = 0; i < b->bins; i++)
        b->dt[i] = 0.01;
    refuse(a, b, "b.h5: /frames/dt: bins of 0.01 s, but 0.02 s in made.h5");
    traj_session_free(b);
    a->samples = 0;
    refuse(a, NULL, "made.h5: /kinematics: none, so there is nothing to learn movement from");
    traj_session_free(a);
    a = made_session(&options);
    a->bins = a->units = 0;
    refuse(a, NULL, "made.h5: /frames: none, so there is nothing to learn decoding from");
    traj_session_free(a);
}

static void sessions_that_tell_nothing_are_refused(void **state)
{
    (void)state;
    struct made_options options;
    made_options_default(&options);
    options.trials_per_target = 2;
    struct traj_session *a = made_session(&options), *b = made_session(&options);
    for (size_t i = 0; i < a->bins * a->units; i++)
        a->counts[i] = i % 2 ? 0 : TRAJ_COUNT_MISSING;
    refuse(a, NULL,
           "made.h5: /frames/counts: no unit fires in any bin, so there is nothing to learn from");
    refuse(b, a,
           "made.h5: /frames/counts: no unit fires in any bin, so there is nothing to learn from");
    for (size_t i = 0; i < a->bins * a->units; i++)
        a->counts[i] = TRAJ_COUNT_MISSING;
    refuse(a, NULL, "made.h5: /frames/counts: all are missing, so there is nothing to learn from");
    for (size_t i = 0; i < b->samples * b->dim; i++)
        b->position[i] = i % b->dim ? 3.5 : -20.25;
    refuse(b, NULL,
           "made.h5: /kinematics/position: the same in all samples, so there is no movement to "
           "learn from");
    traj_session_free(a);
    traj_session_free(b);
    options.units = 0;
    options.features = 3;
    a = made_session(&options);
    for (size_t i = 0; i < a->bins * a->features; i++)
        a->feature[i] = (float)(i % a->features);
    refuse(a, NULL,
           "made.h5: /frames/features: none ever changes, so there is nothing to learn from");
    for (size_t i = 0; i < a->bins * a->features; i++)
        a->feature[i] = NAN;
    refuse(a, NULL,
           "made.h5: /frames/features: all are missing, so there is nothing to learn from");
    traj_session_free(a);
}

/* A single spike is something, however little it teaches. */
static void hardly_anything_trains(void **state)
{
    (void)state;
    struct made_options options;
    made_options_default(&options);
    options.trials_per_target = 2;
    struct traj_session *session = made_session(&options);
    memset(session->counts, 0, session->bins * session->units * sizeof *session->counts);
    session->counts[session->bins * session->units / 2] = 1;
    traj_model_free(fit_valid(session, TRAJ_FAMILY_RWM));
    traj_session_free(session);
}

static void options_out_of_range_are_refused(void **state)
{
    (void)state;
    struct made_options made;
    made_options_default(&made);
    made.trials_per_target = 1;
    struct traj_session *session = made_session(&made);
    const struct traj_session *one = session;
    struct traj_fit_options options;
    struct traj_error error = {""};
    traj_fit_options_default(&options);
    options.order = 4;
    assert_null(traj_fit(&one, 1, NULL, 0, &options, &error));
    assert_string_equal(error.text, "order: 4 is not 0, 2 or 3");
    traj_fit_options_default(&options);
    options.folds = 1;
    error.text[0] = '\0';
    assert_null(traj_fit(&one, 1, NULL, 0, &options, &error));
    assert_string_equal(error.text, "folds: 1 is less than 2");
    traj_fit_options_default(&options);
    options.family = TRAJ_FAMILY_STM;
    session->trials = 0;
    error.text[0] = '\0';
    assert_null(traj_fit(&one, 1, NULL, 0, &options, &error));
    assert_string_equal(error.text,
                        "made.h5: /trials: none, and a single-trajectory model needs them");
    error.text[0] = '\0';
    assert_null(traj_fit(&one, 0, NULL, 0, NULL, &error));
    assert_string_equal(error.text, "no session to learn from");
    enum traj_family family;
    assert_int_equal(traj_family_parse("stm", &family), 0);
    assert_int_equal(family, TRAJ_FAMILY_STM);
    assert_int_equal(traj_family_parse("STM", &family), -1);
    traj_session_free(session);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_family_decodes_what_it_has_not_seen),
        cmocka_unit_test(one_trial_a_target_trains),
        cmocka_unit_test(one_trial_in_all_trains),
        cmocka_unit_test(a_target_never_seen_gets_a_component),
        cmocka_unit_test(sessions_that_lack_something_train),
        cmocka_unit_test(features_alone_train),
        cmocka_unit_test(odd_units_and_bins_do_no_harm),
        cmocka_unit_test(one_and_three_dimensions_train),
        cmocka_unit_test(several_sessions_and_priors_train),
        cmocka_unit_test(plan_activity_tells_the_target),
        cmocka_unit_test(the_same_twice),
        cmocka_unit_test(sessions_that_disagree_are_refused),
        cmocka_unit_test(sessions_that_tell_nothing_are_refused),
        cmocka_unit_test(hardly_anything_trains),
        cmocka_unit_test(options_out_of_range_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
