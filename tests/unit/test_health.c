/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * One broken unit must not drag the posterior: what a unit that fires at absurd rates, and what
 * half of the units falling silent, cost a trained decoder; and that nothing changes where nothing
 * is broken.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "daemon/learn/decode.h"
#include "daemon/learn/fit.h"
#include "daemon/learn/model_file.h"
#include "tests/common/made_session.h"

#define UNITS 40
#define SILENT (UNITS / 2)
#define SPAN 10.0 /* s for which a unit is broken */

struct errors {
    const struct traj_session *session;
    double sum;
    size_t bins;
};

static int add(void *context, const struct traj_intent *intent)
{
    struct errors *errors = context;
    double truth[3];
    if (traj_session_kinematics(errors->session, intent->t, 0.05, truth, NULL) != 0)
        return 0;
    for (size_t d = 0; d < intent->dim; d++)
        errors->sum += (intent->position[d] - truth[d]) * (intent->position[d] - truth[d]);
    errors->bins++;
    return 0;
}

static double rmse(const struct traj_model *model, const struct traj_session *session, bool believe)
{
    struct traj_settings settings;
    struct traj_error error = {""};
    traj_settings_default(&settings);
    settings.believe = believe;
    const struct traj_decode_options options = {.trials = true, .decoder = &settings};
    struct errors errors = {session, 0, 0};
    if (traj_decode(model, session, &options, add, &errors, NULL, &error) != 0)
        fail_msg("%s", error.text);
    return sqrt(errors.sum / (double)errors.bins);
}

static struct traj_session *make(uint64_t seed)
{
    struct made_options options;
    made_options_default(&options);
    options.seed = seed;
    options.targets = 6;
    options.trials_per_target = seed == 1 ? 12 : 25;
    options.units = UNITS;
    options.features = 0;
    struct traj_session *session = made_session(&options);
    assert_non_null(session);
    return session;
}

/* A unit fires 25 times in every bin for SPAN seconds of frames. */
static void shout(struct traj_session *session, size_t unit)
{
    size_t bins = (size_t)(SPAN / session->dt[0]);
    for (size_t i = session->bins / 4; i < session->bins / 4 + bins && i < session->bins; i++)
        session->counts[i * UNITS + unit] = 25;
}

static void silence(struct traj_session *session, uint16_t count)
{
    for (size_t i = 0; i < session->bins; i++)
        for (size_t n = 0; n < SILENT; n++)
            session->counts[i * UNITS + n] = count;
}

static void broken_units_cost_little(enum traj_family family)
{
    struct traj_fit_options options;
    struct traj_error error = {""};
    struct traj_session *train = make(1), *test = make(2), *shouting = make(2);
    struct traj_session *silent = make(2), *missing = make(2);
    traj_fit_options_default(&options);
    options.family = family;
    options.calibrate = false;
    struct traj_model *model =
        traj_fit((const struct traj_session *const *)&train, 1, NULL, 0, &options, &error);
    if (!model)
        fail_msg("%s", error.text);
    shout(shouting, 5);
    silence(silent, 0);
    silence(missing, TRAJ_COUNT_MISSING);
    double usual = rmse(model, test, false), trusting = rmse(model, test, true);
    double guarded = rmse(model, shouting, false), dragged = rmse(model, shouting, true);
    double found = rmse(model, silent, false), misled = rmse(model, silent, true);
    double without = rmse(model, missing, true);
    printf("%s: rmse %.2f mm (believing %.2f); a unit shouts: %.2f, believed %.2f; half silent: "
           "%.2f, believed %.2f, unobserved %.2f\n",
           model->about.family, usual, trusting, guarded, dragged, found, misled, without);
    assert_true(usual == trusting); /* nothing is broken, nothing changes */
    assert_true(guarded < 1.1 * usual);
    assert_true(dragged > 1.5 * usual); /* the test can fail */
    assert_true(found < 1.5 * without && found < misled);
    traj_model_free(model);
    traj_session_free(train);
    traj_session_free(test);
    traj_session_free(shouting);
    traj_session_free(silent);
    traj_session_free(missing);
}

static void the_filter_over_courses_is_guarded(void **state)
{
    (void)state;
    broken_units_cost_little(TRAJ_FAMILY_COURSE);
}

static void the_mixture_is_guarded(void **state)
{
    (void)state;
    broken_units_cost_little(TRAJ_FAMILY_MIXTURE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_filter_over_courses_is_guarded),
        cmocka_unit_test(the_mixture_is_guarded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
