/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Is a trained model brought to a new day: nothing learned from nothing, other units found, lost
 * and new ones handled, what does not fit refused? */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "daemon/learn/adapt.h"
#include "daemon/learn/decode.h"
#include "daemon/learn/model_file.h"
#include "tests/common/made_session.h"
#include "traj/decoder.h"

#define UNITS 24

static struct made_options usual(uint64_t seed, size_t trials_per_target)
{
    struct made_options options;
    made_options_default(&options);
    options.seed = seed;
    options.units = UNITS;
    options.trials_per_target = trials_per_target;
    return options;
}

/* A day's session with names "u0", "u1", ... */
static struct traj_session *day(const struct made_options *options)
{
    struct traj_session *session = made_session(options);
    session->unit_name = calloc(session->units + 1, sizeof *session->unit_name);
    assert_non_null(session->unit_name);
    for (size_t n = 0; n < session->units; n++)
        (void)snprintf(session->unit_name[n], TRAJ_ID_SIZE, "u%zu", n);
    return session;
}

static struct traj_model *train(const struct traj_session *session, enum traj_family family)
{
    struct traj_error error = {""};
    struct traj_fit_options options;
    traj_fit_options_default(&options);
    options.family = family;
    options.folds = 3;
    options.calibrate = false;
    struct traj_model *model = traj_fit(&session, 1, NULL, 0, &options, &error);
    if (!model)
        fail_msg("%s: %s", traj_family_name(family), error.text);
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
    size_t bin = (size_t)intent->frame;
    if (traj_session_kinematics(squares->session, squares->session->t_end[bin], 0.02, position,
                                NULL))
        return 0;
    squares->count++;
    for (size_t d = 0; d < intent->dim; d++)
        squares->sum += pow(intent->position[d] - position[d], 2);
    return 0;
}

static double rmse(const struct traj_model *model, const struct traj_session *session)
{
    struct traj_error error = {""};
    struct traj_decode_options options = {.trials = session->trials > 0};
    struct squares squares = {session, 0, 0};
    if (traj_decode(model, session, &options, add_square, &squares, NULL, &error))
        fail_msg("%s", error.text);
    assert_true(squares.count > 100);
    return sqrt(squares.sum / squares.count);
}

/* Exchanges the counts of the first `count` units among them: those are other units now. */
static void turn_units(struct traj_session *session, size_t count)
{
    for (size_t b = 0; b < session->bins; b++) {
        uint16_t *row = session->counts + b * session->units, first = row[0];
        memmove(row, row + 1, (count - 1) * sizeof *row);
        row[count - 1] = first;
    }
}

/* The same of a third of the channels, whatever they are. */
static void turn_channels(struct traj_session *session)
{
    size_t count = session->features / 3;
    if (session->units > 0)
        turn_units(session, session->units / 3);
    for (size_t b = 0; b < session->bins && count > 0; b++) {
        float *row = session->feature + b * session->features, first = row[0];
        memmove(row, row + 1, (count - 1) * sizeof *row);
        row[count - 1] = first;
    }
}

/* Whether unit n is on a list of the model's description. */
static bool listed(const struct traj_model *model, const char *list, const char *unit)
{
    const char *at = strstr(model->about.training, list), *end;
    char quoted[TRAJ_ID_SIZE + 2];
    assert_non_null(at);
    end = strchr(at, ']');
    (void)snprintf(quoted, sizeof quoted, "\"%s\"", unit);
    at = strstr(at + strlen(list), quoted);
    return at && at < end;
}

static void silence(struct traj_session *session)
{
    for (size_t i = 0; i < session->bins * session->units; i++)
        session->counts[i] = TRAJ_COUNT_MISSING;
    for (size_t i = 0; i < session->bins * session->features; i++)
        session->feature[i] = NAN;
}

/* ---- nothing from nothing -------------------------------------------------------------------- */

static void no_data_leave_the_tables_as_they_were(void **state)
{
    (void)state;
    struct made_options options = usual(1, 6);
    struct traj_session *yesterday = day(&options);
    options.seed = 2;
    struct traj_session *today = day(&options);
    silence(today);
    struct traj_model *from = train(yesterday, TRAJ_FAMILY_COURSE);
    struct traj_model *model = adapt(from, today);
    assert_memory_equal(&model->dims, &from->dims, sizeof model->dims);
    assert_memory_equal(model->chain.emission_mean, from->chain.emission_mean,
                        from->dims.nodes * UNITS * sizeof(double));
    assert_memory_equal(model->chain.gain, from->chain.gain,
                        UNITS * from->dims.gains * sizeof(double));
    assert_memory_equal(model->chain.link_prob, from->chain.link_prob,
                        TRAJ_CONTEXTS * from->dims.links * sizeof(double));
    assert_memory_equal(model->chain.position, from->chain.position,
                        from->dims.states * from->dims.position * sizeof(double));
    assert_true(model->chain.temper == from->chain.temper);
    traj_model_free(model);
    traj_model_free(from);
    traj_session_free(yesterday);
    traj_session_free(today);
}

/* Whether numbers differ by no more than rounding. */
static void alike(const double *a, const double *b, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (!(fabs(a[i] - b[i]) <= 1e-9 * (1 + fabs(b[i]))))
            fail_msg("[%zu]: %.17g, not %.17g", i, a[i], b[i]);
}

static void no_data_leave_noise_as_it_was(void **state)
{
    (void)state;
    struct made_options options = usual(1, 12);
    options.unbroken = true;
    struct traj_session *yesterday = day(&options);
    options.seed = 2;
    struct traj_session *today = day(&options);
    silence(today);
    struct traj_model *from = train(yesterday, TRAJ_FAMILY_PLACES);
    struct traj_model *model = adapt(from, today);
    assert_memory_equal(&model->dims, &from->dims, sizeof model->dims);
    assert_memory_equal(model->chain.emission_mean, from->chain.emission_mean,
                        from->dims.nodes * UNITS * sizeof(double));
    alike(model->chain.emission_noise, from->chain.emission_noise, UNITS);
    alike(model->chain.emission_factor, from->chain.emission_factor, UNITS * from->dims.factors);
    /* What was regressed on them, too. */
    const size_t out = 2 * from->dims.position;
    assert_true(from->dims.stages > 0 && from->recent.temper > 0);
    alike(model->recent.center, from->recent.center, UNITS);
    alike(model->recent.weight, from->recent.weight, from->dims.stages * UNITS * out);
    alike(model->recent.offset, from->recent.offset, out);
    alike(model->recent.mean, from->recent.mean, from->dims.states * out);
    alike(model->recent.noise, from->recent.noise, out * out);
    alike(model->recent.gain, from->recent.gain, out * out);
    alike(&model->recent.temper, &from->recent.temper, 1);
    assert_true(model->recent.follow == from->recent.follow);
    traj_model_free(model);
    traj_model_free(from);
    traj_session_free(yesterday);
    traj_session_free(today);
}

static void no_data_leave_components_as_they_were(void **state)
{
    (void)state;
    static const enum traj_family families[] = {TRAJ_FAMILY_MIXTURE, TRAJ_FAMILY_STM,
                                                TRAJ_FAMILY_RWM};
    struct made_options options = usual(1, 4);
    options.delay = 0.3;
    options.features = 4;
    struct traj_session *yesterday = day(&options);
    options.seed = 2;
    struct traj_session *today = day(&options);
    silence(today);
    for (size_t i = 0; i < sizeof families / sizeof *families; i++) {
        struct traj_model *from = train(yesterday, families[i]);
        struct traj_model *model = adapt(from, today);
        const struct traj_dims *dims = &from->dims;
        assert_memory_equal(&model->dims, dims, sizeof model->dims);
        alike(model->tuning.weight, from->tuning.weight, UNITS * dims->state);
        alike(model->tuning.offset, from->tuning.offset, UNITS);
        alike(model->tuning.own_weight, from->tuning.own_weight,
              dims->tunings * UNITS * dims->state);
        alike(model->feature.weight, from->feature.weight, dims->features * dims->state);
        alike(model->feature.noise, from->feature.noise, dims->features * dims->features);
        if (from->plan.rate)
            alike(model->plan.rate, from->plan.rate, dims->targets * UNITS);
        assert_memory_equal(model->tuning.lag, from->tuning.lag, UNITS * sizeof(int32_t));
        assert_memory_equal(model->dynamics.transition, from->dynamics.transition,
                            dims->components * dims->state * dims->state * sizeof(double));
        traj_model_free(model);
        traj_model_free(from);
    }
    traj_session_free(yesterday);
    traj_session_free(today);
}

/* ---- other units ----------------------------------------------------------------------------- */

static void other_units_are_found(void **state)
{
    (void)state;
    struct made_options options = usual(1, 8);
    struct traj_session *yesterday = day(&options);
    struct traj_model *from = train(yesterday, TRAJ_FAMILY_COURSE);
    options = usual(2, 2);
    struct traj_session *today = day(&options);
    options = usual(3, 8);
    struct traj_session *test = day(&options);
    turn_units(today, UNITS / 3);
    turn_units(test, UNITS / 3);
    struct traj_model *model = adapt(from, today);
    struct traj_model *scratch = train(today, TRAJ_FAMILY_COURSE);
    size_t hits = 0, alarms = 0;
    for (size_t n = 0; n < UNITS; n++) {
        char name[TRAJ_ID_SIZE];
        (void)snprintf(name, sizeof name, "u%zu", n);
        bool changed = listed(model, "\"changed\":[", name);
        hits += changed && n < UNITS / 3;
        alarms += changed && n >= UNITS / 3;
    }
    double old = rmse(from, test), adapted = rmse(model, test), fresh = rmse(scratch, test);
    print_message("2 trials a target, 8 of 24 units exchanged: %zu found, %zu false; %.1f mm as it "
                  "was, %.1f mm adapted, %.1f mm from nothing\n",
                  hits, alarms, old, adapted, fresh);
    assert_true(hits >= 6 && alarms <= 3);
    assert_true(adapted < 0.8 * old && adapted < fresh);
    traj_model_free(model);
    traj_model_free(scratch);
    traj_model_free(from);
    traj_session_free(yesterday);
    traj_session_free(today);
    traj_session_free(test);
}

/* Components, places; counts, features; with and without a delay. */
static void every_family_adapts(void **state)
{
    (void)state;
    static const struct {
        enum traj_family family;
        bool unbroken, features;
        double delay;
    } cases[] = {{TRAJ_FAMILY_MIXTURE, false, false, 0.3}, {TRAJ_FAMILY_STM, false, false, 0},
                 {TRAJ_FAMILY_RWM, false, false, 0},       {TRAJ_FAMILY_MIXTURE, true, false, 0},
                 {TRAJ_FAMILY_PLACES, true, false, 0},     {TRAJ_FAMILY_MIXTURE, false, true, 0},
                 {TRAJ_FAMILY_COURSE, true, false, 0}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct made_options options = usual(1, cases[i].unbroken ? 12 : 6);
        options.unbroken = cases[i].unbroken;
        options.delay = cases[i].delay;
        if (cases[i].features) {
            options.features = 16;
            options.units = 0;
        }
        struct traj_session *yesterday = day(&options);
        struct traj_model *from = train(yesterday, cases[i].family);
        options.seed = 2;
        options.trials_per_target = 3;
        struct traj_session *today = day(&options);
        options.seed = 3;
        options.trials_per_target = 6;
        struct traj_session *test = day(&options);
        turn_channels(today);
        turn_channels(test);
        struct traj_model *model = adapt(from, today);
        double old = rmse(from, test), adapted = rmse(model, test);
        print_message("%s%s%s: %.1f mm as it was, %.1f mm adapted\n",
                      traj_family_name(cases[i].family), cases[i].unbroken ? ", unbroken" : "",
                      cases[i].features ? ", features" : "", old, adapted);
        assert_true(adapted < 0.9 * old);
        traj_model_free(model);
        traj_model_free(from);
        traj_session_free(yesterday);
        traj_session_free(today);
        traj_session_free(test);
    }
}

static void the_same_day_changes_little(void **state)
{
    (void)state;
    struct made_options options = usual(1, 8);
    struct traj_session *yesterday = day(&options);
    struct traj_model *from = train(yesterday, TRAJ_FAMILY_COURSE);
    options = usual(2, 3);
    struct traj_session *today = day(&options);
    options = usual(3, 8);
    struct traj_session *test = day(&options);
    struct traj_model *model = adapt(from, today);
    double old = rmse(from, test), adapted = rmse(model, test);
    print_message("nothing changed: %.2f mm as it was, %.2f mm adapted\n", old, adapted);
    assert_true(adapted < 1.1 * old);
    traj_model_free(model);
    traj_model_free(from);
    traj_session_free(yesterday);
    traj_session_free(today);
    traj_session_free(test);
}

/* ---- lost and new units ---------------------------------------------------------------------- */

/* Leaves out the first `lost` units and calls the last `fresh` ones by names never heard. */
static void reshape(struct traj_session *session, size_t lost, size_t fresh)
{
    size_t units = session->units, left = units - lost;
    for (size_t b = 0; b < session->bins; b++)
        memmove(session->counts + b * left, session->counts + b * units + lost,
                left * sizeof *session->counts);
    memmove(session->unit_name, session->unit_name + lost, left * sizeof *session->unit_name);
    session->units = left;
    for (size_t n = left - fresh; n < left; n++)
        (void)snprintf(session->unit_name[n], TRAJ_ID_SIZE, "v%zu", n);
}

static void lost_units_vanish_and_new_ones_come_in(void **state)
{
    (void)state;
    struct made_options options = usual(1, 8);
    struct traj_session *yesterday = day(&options);
    struct traj_model *from = train(yesterday, TRAJ_FAMILY_COURSE);
    options = usual(2, 3);
    struct traj_session *today = day(&options);
    options = usual(3, 8);
    struct traj_session *test = day(&options);
    reshape(today, 5, 4);
    reshape(test, 5, 4);
    (void)snprintf(from->about.digest, sizeof from->about.digest, "0123abcd");
    struct traj_model *model = adapt(from, today);
    assert_int_equal(model->dims.units, UNITS - 5);
    assert_non_null(strstr(model->about.training, "{\"from\":\"0123abcd\","));
    assert_string_equal(model->about.unit_name[0], "u5");
    assert_true(listed(model, "\"lost\":[", "u0") && listed(model, "\"lost\":[", "u4"));
    assert_false(listed(model, "\"lost\":[", "u5"));
    assert_true(listed(model, "\"new\":[", "v18") && !listed(model, "\"new\":[", "u10"));
    double old = rmse(from, test), adapted = rmse(model, test);
    print_message("5 lost, 4 new of 24: %.2f mm with those known, %.2f mm adapted\n", old, adapted);
    assert_true(adapted < 1.05 * old);
    traj_model_free(model);
    traj_model_free(from);
    traj_session_free(yesterday);
    traj_session_free(today);
    traj_session_free(test);
}

/* Of the regression on the recent past those stay who are there still, and count for less. */
static void what_lost_units_said_is_not_believed(void **state)
{
    (void)state;
    struct made_options options = usual(1, 12);
    options.unbroken = true;
    struct traj_session *yesterday = day(&options);
    options.seed = 2;
    struct traj_session *today = day(&options);
    silence(today);
    reshape(today, 5, 4);
    struct traj_model *from = train(yesterday, TRAJ_FAMILY_PLACES);
    struct traj_model *model = adapt(from, today);
    const size_t out = 2 * from->dims.position, left = UNITS - 5;
    assert_true(from->dims.stages > 0 && model->dims.stages == from->dims.stages);
    for (size_t k = 0; k < from->dims.stages; k++)
        for (size_t n = 0; n < left; n++)
            for (size_t o = 0; o < out; o++) {
                const double was = from->recent.weight[(k * UNITS + n + 5) * out + o];
                const double is = model->recent.weight[(k * left + n) * out + o];
                assert_true(n < left - 4 ? fabs(is - was) <= 1e-9 * fabs(was) : is == 0);
            }
    const double share = model->recent.temper / from->recent.temper;
    print_message("9 of 24 units are gone: what is left is believed by %.2f\n", share);
    assert_true(share > 0.2 && share < 0.95);
    for (size_t i = 0; i < out * out; i++)
        assert_true(fabs(model->recent.gain[i] - share * from->recent.gain[i]) <=
                    1e-9 * fabs(from->recent.gain[i]));
    traj_model_free(model);
    traj_model_free(from);
    traj_session_free(yesterday);
    traj_session_free(today);
}

/* ---- what does not fit ----------------------------------------------------------------------- */

static void refused(const struct traj_model *from, const struct traj_session *session,
                    const char *words)
{
    struct traj_error error = {""};
    struct traj_model *model = traj_adapt(from, &session, 1, NULL, &error);
    if (model)
        fail_msg("was not refused for %s", words);
    if (!strstr(error.text, words) || !strstr(error.text, "made.h5"))
        fail_msg("\"%s\" does not say \"%s\"", error.text, words);
    assert_null(strchr(error.text, '\n'));
}

static void what_does_not_fit_is_refused(void **state)
{
    (void)state;
    struct made_options options = usual(1, 4);
    struct traj_session *session = day(&options);
    struct traj_model *from = train(session, TRAJ_FAMILY_COURSE);
    for (size_t n = 0; n < UNITS; n++)
        session->unit_name[n][0] = 'w';
    refused(from, session, "/frames/unit_name: no unit in common");
    free(session->unit_name);
    session->unit_name = NULL;
    session->units--; /* rows are read askew, but only their width is looked at */
    refused(from, session, "/frames/counts: 23 units");
    session->units++;
    for (size_t b = 0; b < session->bins; b++)
        session->dt[b] = 0.019;
    refused(from, session, "/frames/dt: bins of");
    for (size_t b = 0; b < session->bins; b++)
        session->dt[b] = 0.02;
    (void)snprintf(session->length_unit, sizeof session->length_unit, "cm");
    refused(from, session, "length_unit");
    (void)snprintf(session->length_unit, sizeof session->length_unit, "mm");
    session->target_position[2] += 60;
    refused(from, session, "/targets/position[1]: no target");
    session->target_position[2] -= 60;
    size_t bins = session->bins;
    session->bins = 0;
    refused(from, session, "/frames: none");
    session->bins = bins;
    traj_session_free(session);
    options.features = 3;
    session = day(&options);
    refused(from, session, "/frames/features: 3 columns, the model has 0");
    traj_session_free(session);
    options.features = 0;
    options.dim = 3;
    session = day(&options);
    refused(from, session, "/kinematics/position: 3 columns");
    traj_session_free(session);
    traj_model_free(from);
}

/* ---- without movement ------------------------------------------------------------------------ */

/* Takes the movement out of a session. */
static void blind(struct traj_session *session)
{
    free(session->kin_t);
    free(session->position);
    session->kin_t = session->position = NULL;
    session->samples = session->dim = 0;
}

static void targets_of_trials_suffice(void **state)
{
    (void)state;
    struct made_options options = usual(1, 8);
    struct traj_session *yesterday = day(&options);
    struct traj_model *from = train(yesterday, TRAJ_FAMILY_COURSE);
    options = usual(2, 3);
    struct traj_session *today = day(&options);
    options = usual(3, 8);
    struct traj_session *test = day(&options);
    turn_units(today, UNITS / 3);
    turn_units(test, UNITS / 3);
    blind(today);
    struct traj_model *labelled = adapt(from, today);
    for (size_t r = 0; r < today->trials; r++)
        today->target[r] = -1;
    struct traj_model *unlabelled = adapt(from, today);
    double old = rmse(from, test), some = rmse(labelled, test), none = rmse(unlabelled, test);
    print_message("without movement: %.1f mm as it was, %.1f mm told the targets, %.1f mm not\n",
                  old, some, none);
    assert_true(some < 0.8 * old && none < 0.9 * old);
    traj_model_free(labelled);
    traj_model_free(unlabelled);
    traj_model_free(from);
    traj_session_free(yesterday);
    traj_session_free(today);
    traj_session_free(test);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_data_leave_the_tables_as_they_were),
        cmocka_unit_test(no_data_leave_components_as_they_were),
        cmocka_unit_test(no_data_leave_noise_as_it_was),
        cmocka_unit_test(other_units_are_found),
        cmocka_unit_test(every_family_adapts),
        cmocka_unit_test(the_same_day_changes_little),
        cmocka_unit_test(lost_units_vanish_and_new_ones_come_in),
        cmocka_unit_test(what_lost_units_said_is_not_believed),
        cmocka_unit_test(what_does_not_fit_is_refused),
        cmocka_unit_test(targets_of_trials_suffice),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
