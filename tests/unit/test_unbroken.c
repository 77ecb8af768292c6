/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Unbroken recordings: are places on courses found where the hand was, do transitions make a
 * distribution in every context and lead everywhere, and does the filter decode what it has not
 * seen, with trial marks and without, in one to three dimensions, without targets, without trials,
 * without some units?
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

#include "clients/evaluate/baseline.h"
#include "daemon/learn/course_basis.h"
#include "daemon/learn/decode.h"
#include "daemon/learn/fit.h"
#include "daemon/learn/model_file.h"
#include "daemon/learn/session_links.h"
#include "tests/common/made_session.h"
#include "traj/decoder.h"

static struct traj_session *unbroken(uint64_t seed, size_t dim)
{
    struct made_options options;
    made_options_default(&options);
    options.unbroken = true;
    options.seed = seed;
    options.dim = dim;
    return made_session(&options);
}

static double distance(const double *a, const double *b, size_t dim)
{
    double sum = 0;
    for (size_t d = 0; d < dim; d++)
        sum += (a[d] - b[d]) * (a[d] - b[d]);
    return sqrt(sum);
}

/* ---- labels and transitions ---------------------------------------------------------------- */

static struct traj_training *gather(const struct traj_session *const *session)
{
    struct traj_error error = {""};
    struct traj_training *training = traj_training_new(session, 1, NULL, 0, 5, 1, &error);
    if (!training)
        fail_msg("%s", error.text);
    assert_true(training->unbroken);
    return training;
}

static void places_are_where_the_hand_was(void **state)
{
    (void)state;
    for (size_t dim = 1; dim <= 3; dim++) {
        struct traj_session *session = unbroken(1, dim);
        const struct traj_session *const list[] = {session};
        struct traj_training *training = gather(list);
        struct traj_error error = {""};
        assert_null(traj_labels_obstacle(training));
        struct traj_labels *labels = traj_labels_new(training, &error);
        assert_non_null(labels);
        assert_int_equal(labels->cycles, session->trials);
        double farthest = 0, hold = 0, rest = 0, holds = 0, rests = 0;
        size_t jumps = 0, labelled = 0;
        for (size_t b = 0; b < training->bins; b++) {
            int32_t place = labels->place[b], before = b > 0 ? labels->place[b - 1] : -1;
            assert_true(place >= -1 && place < (int32_t)(1 + labels->targets * labels->row));
            labelled += place >= 0;
            size_t g = place > 0 ? ((size_t)place - 1) % labels->row : 0;
            size_t m = place > 0 ? ((size_t)place - 1) / labels->row : 0;
            const double *x = training->x + b * 3 * dim;
            double from_target = distance(x, session->target_position + m * dim, dim);
            double from_origin = distance(x, labels->origin, dim);
            farthest = fmax(farthest, from_origin);
            hold += place > 0 && g == labels->steps ? from_target : 0;
            holds += place > 0 && g == labels->steps;
            rest += place == TRAJ_LABEL_REST ? from_origin : 0;
            rests += place == TRAJ_LABEL_REST;
            jumps += place > before + 2 && before > 0 && g > 2;
        }
        printf("%zu-D: %zu of %zu bins labelled; hold %.1f mm from target, rest %.1f from origin\n",
               dim, labelled, training->bins, hold / holds, rest / rests);
        assert_true((double)labelled > 0.7 * (double)training->bins);
        assert_true(farthest > 90 && hold / holds < 15);
        assert_true(rests == 0 || rest / rests < 10);
        assert_true(jumps < session->trials / 4);
        traj_labels_free(labels);
        traj_training_free(training);
        traj_session_free(session);
    }
}

/* States that can be reached from state 0 in one context. */
static size_t reachable(const struct traj_session_links *links, size_t context)
{
    if (links->states == 0)
        return 0;
    uint8_t *seen = calloc(links->states, 1);
    size_t *stack = malloc(links->states * sizeof *stack), depth = 0, count = 0;
    stack[depth++] = 0;
    seen[0] = 1;
    while (depth > 0) {
        size_t j = stack[--depth];
        count++;
        for (int32_t l = links->first[j]; l < links->first[j + 1]; l++) {
            size_t to = (size_t)links->to[l];
            if (links->prob[context * links->links + (size_t)l] > 0 && !seen[to]) {
                seen[to] = 1;
                stack[depth++] = to;
            }
        }
    }
    free(seen);
    free(stack);
    return count;
}

static void check_links(const struct traj_session_links *links)
{
    double initial = 0, start = 0;
    for (size_t j = 0; j < links->states; j++) {
        initial += links->initial[j];
        start += links->start[j];
        for (size_t c = 0; c < TRAJ_CONTEXTS; c++) {
            double sum = 0;
            for (int32_t l = links->first[j]; l < links->first[j + 1]; l++) {
                double prob = links->prob[c * links->links + (size_t)l];
                assert_true(prob >= 0);
                sum += prob;
            }
            assert_true(fabs(sum - 1) < 1e-12);
        }
    }
    assert_true(fabs(initial - 1) < 1e-12 && fabs(start - 1) < 1e-12);
    for (size_t c = 0; c < TRAJ_CONTEXTS; c++)
        assert_int_equal(reachable(links, c), links->states);
}

static void transitions_are_distributions_and_lead_everywhere(void **state)
{
    (void)state;
    struct traj_session *session = unbroken(2, 2);
    const struct traj_session *const list[] = {session};
    struct traj_training *training = gather(list);
    struct traj_error error = {""};
    for (size_t courses = 0; courses < 2; courses++) {
        struct traj_session_design design = {
            .training = training, .channels = training->units, .places = 30, .rank = 3, .seed = 1};
        design.value = traj_session_values(training);
        design.unit[0] = training->scale[0];
        design.unit[1] = training->scale[1];
        design.labels = courses ? traj_labels_new(training, &error) : NULL;
        design.basis =
            courses ? traj_course_basis(design.labels, training, &design.columns, &error) : NULL;
        struct traj_session_states states = {.courses = 0};
        struct traj_session_links links = {.states = 0};
        if (traj_session_states_fit(&states, &design, 0, &error) ||
            traj_session_links_make(&links, &states, &error))
            fail_msg("%s", error.text);
        printf("%zu states, %zu links\n", links.states, links.links);
        assert_int_equal(links.states, states.courses + 30);
        check_links(&links);
        traj_session_links_free(&links);
        traj_session_states_free(&states);
        traj_labels_free((struct traj_labels *)(uintptr_t)design.labels);
        free((void *)(uintptr_t)design.basis);
        free((void *)(uintptr_t)design.value);
    }
    traj_training_free(training);
    traj_session_free(session);
}

/* ---- decoding ------------------------------------------------------------------------------ */

struct squares {
    const struct traj_session *session;
    double sum, count;
};

static void add_square(struct squares *squares, size_t bin, const double *position)
{
    const struct traj_session *session = squares->session;
    double truth[TRAJ_DIM_MAX];
    if (traj_session_kinematics(session, session->t_end[bin], 0.02, truth, NULL))
        return;
    squares->count++;
    squares->sum += pow(distance(position, truth, session->dim), 2);
}

static int take(void *context, const struct traj_intent *intent)
{
    assert_non_null(intent->position);
    assert_non_null(intent->velocity);
    add_square(context, (size_t)intent->frame, intent->position);
    return 0;
}

static double rmse(const struct traj_model *model, const struct traj_session *session, bool trials)
{
    struct traj_error error = {""};
    struct traj_decode_options options = {.trials = trials};
    struct squares squares = {session, 0, 0};
    if (traj_decode(model, session, &options, take, &squares, NULL, &error))
        fail_msg("%s", error.text);
    assert_true(squares.count > 100);
    return sqrt(squares.sum / squares.count);
}

static double wiener_rmse(const struct traj_session *train, const struct traj_session *test)
{
    struct traj_error error = {""};
    struct squares squares = {test, 0, 0};
    struct traj_decoded *decoded = traj_wiener(train, test, &error);
    if (!decoded)
        fail_msg("%s", error.text);
    for (size_t b = 0; b < test->bins; b++)
        add_square(&squares, b, decoded->position + b * test->dim);
    traj_decoded_free(decoded);
    return sqrt(squares.sum / squares.count);
}

static struct traj_model *fit(const struct traj_session *session, enum traj_family family)
{
    struct traj_error error = {""};
    struct traj_fit_options options;
    traj_fit_options_default(&options);
    options.family = family;
    options.folds = 3;
    struct traj_model *model = traj_fit(&session, 1, NULL, 0, &options, &error);
    if (!model)
        fail_msg("%s", error.text);
    return model;
}

static void decodes_better_than_wiener_with_marks_and_without(void **state)
{
    (void)state;
    for (size_t dim = 1; dim <= 3; dim++) {
        struct traj_session *train = unbroken(1, dim), *test = unbroken(2, dim);
        struct traj_model *model = fit(train, TRAJ_FAMILY_COURSE);
        double wiener = wiener_rmse(train, test);
        double marks = rmse(model, test, true), none = rmse(model, test, false);
        printf("%zu-D: %.2f mm with marks, %.2f without, Wiener %.2f\n", dim, marks, none, wiener);
        assert_string_equal(model->about.family, "course");
        assert_int_equal(model->dims.targets, 4);
        assert_true(marks < 0.8 * wiener && none < 0.85 * wiener);
        traj_model_free(model);
        traj_session_free(train);
        traj_session_free(test);
    }
}

static void without_targets_or_trials_free_places_remain(void **state)
{
    (void)state;
    struct traj_session *train = unbroken(1, 2), *test = unbroken(2, 2);
    double wiener = wiener_rmse(train, test);
    for (size_t lack = 0; lack < 2; lack++) {
        for (size_t r = 0; r < train->trials; r++)
            train->target[r] = -1;
        if (lack == 1)
            train->trials = 0;
        struct traj_model *model = fit(train, TRAJ_FAMILY_COURSE);
        double error = rmse(model, test, false);
        printf("no %s: %.2f mm, Wiener %.2f\n", lack ? "trials" : "targets", error, wiener);
        assert_string_equal(model->about.family, "places");
        assert_int_equal(model->dims.targets, 0);
        assert_true(error < wiener);
        traj_model_free(model);
    }
    traj_session_free(train);
    traj_session_free(test);
}

static void missing_units_do_little_harm(void **state)
{
    (void)state;
    struct traj_session *train = unbroken(1, 2), *test = unbroken(2, 2);
    struct traj_model *model = fit(train, TRAJ_FAMILY_COURSE);
    double whole = rmse(model, test, true);
    for (size_t b = 0; b < test->bins; b++)
        for (size_t n = 0; n < 4; n++)
            test->counts[b * test->units + n] = TRAJ_COUNT_MISSING;
    double lacking = rmse(model, test, true);
    traj_model_free(model);
    for (size_t b = 0; b < train->bins; b++) {
        train->counts[b * train->units] = TRAJ_COUNT_MISSING;
        if (b % 3 == 0)
            train->counts[b * train->units + 1] = TRAJ_COUNT_MISSING;
        train->counts[b * train->units + 2] = 0;
    }
    model = fit(train, TRAJ_FAMILY_COURSE);
    double trained = rmse(model, test, true);
    printf("%.2f mm; %.2f without 4 of 20 units, %.2f trained without some\n", whole, lacking,
           trained);
    assert_true(lacking < 1.6 * whole && trained < 1.6 * whole);
    traj_model_free(model);
    traj_session_free(train);
    traj_session_free(test);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(places_are_where_the_hand_was),
        cmocka_unit_test(transitions_are_distributions_and_lead_everywhere),
        cmocka_unit_test(decodes_better_than_wiener_with_marks_and_without),
        cmocka_unit_test(without_targets_or_trials_free_places_remain),
        cmocka_unit_test(missing_units_do_little_harm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
