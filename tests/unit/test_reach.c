/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Are courses found that lie near the true ones, is the movement of other sessions believed as far
 * as it helps, and is a gain that is common to all units found for what it is? */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "daemon/learn/rates.h"
#include "daemon/learn/reach.h"
#include "tests/common/made_session.h"

#define TARGETS 8

/* Courses at rest in between, of sessions with frames and of one without. */
struct scene {
    struct traj_session *own, *other;
    const struct traj_session *list[1]; /* borrowed by the training data */
    struct traj_training *training;
};

/* trials a target of the session with frames and of the one without (0 = there is none), whose
 * reaches are turned by up to `turn` rad on their way. */
static void make_scene(struct scene *scene, size_t trials, size_t others, double turn)
{
    struct made_options options;
    made_options_default(&options);
    options.targets = TARGETS;
    options.trials_per_target = trials;
    *scene = (struct scene){.own = made_session(&options)};
    scene->list[0] = scene->own;
    struct traj_error error = {""};
    if (others > 0) {
        options.seed = 9;
        options.trials_per_target = others;
        scene->other = made_session(&options);
        scene->other->bins = scene->other->units = 0;
        double *position = scene->other->position;
        for (size_t i = 0; i < scene->other->samples; i++) {
            double x = position[2 * i], y = position[2 * i + 1];
            double angle = turn * sin(M_PI * fmin(1, hypot(x, y) / 100));
            position[2 * i] = x * cos(angle) - y * sin(angle);
            position[2 * i + 1] = x * sin(angle) + y * cos(angle);
        }
    }
    const struct traj_session *other[] = {scene->other};
    scene->training = traj_training_new(scene->list, 1, other, others > 0 ? 1 : 0, 5, 1, &error);
    if (!scene->training)
        fail_msg("%s", error.text);
}

static void end_scene(struct scene *scene)
{
    traj_training_free(scene->training);
    traj_session_free(scene->own);
    traj_session_free(scene->other);
}

static struct traj_reach *fit(const struct scene *scene, double taught_weight)
{
    struct traj_error error = {""};
    struct traj_reach *reach = traj_reach_fit(scene->training, traj_reach_onset(scene->training),
                                              taught_weight, TRAJ_FOLD_NONE, &error);
    if (!reach)
        fail_msg("%s", error.text);
    return reach;
}

static double worth(const struct scene *scene)
{
    struct traj_error error = {""};
    double weight;
    if (traj_reach_taught(scene->training, traj_reach_onset(scene->training), &weight, &error))
        fail_msg("%s", error.text);
    return weight;
}

/* Root mean square distance between the courses of two fits, where both have phases. */
static double apart(const struct traj_reach *a, const struct traj_reach *b)
{
    size_t phases = a->phases < b->phases ? a->phases : b->phases;
    double sum = 0;
    for (size_t m = 0; m < TARGETS; m++)
        for (size_t i = 0; i < phases * 2; i++)
            sum += pow(a->course[m * a->phases * 2 + i] - b->course[m * b->phases * 2 + i], 2);
    return sqrt(sum / (double)(TARGETS * phases));
}

static void other_sessions_movement_makes_courses_better(void **state)
{
    (void)state;
    struct scene much, little;
    make_scene(&much, 40, 0, 0);
    make_scene(&little, 1, 40, 0);
    double weight = worth(&little);
    struct traj_reach *truth = fit(&much, 0), *alone = fit(&little, 0);
    struct traj_reach *taught = fit(&little, weight);
    double without = apart(alone, truth), with = apart(taught, truth);
    print_message("from the mean of many: %.2f mm alone, %.2f mm with others' at weight %g\n",
                  without, with, weight);
    assert_true(weight >= 0.1 && with < 0.8 * without);
    assert_int_equal(taught->trials, TARGETS);
    assert_int_equal(taught->taught, 40 * TARGETS);
    assert_true(fabs(taught->per_target - 1) < 1e-12);
    assert_true(fabs(taught->per_course - (1 + 40 * weight)) < 1e-9);
    assert_int_equal(alone->taught, 0);
    traj_reach_free(truth);
    traj_reach_free(alone);
    traj_reach_free(taught);
    end_scene(&much);
    end_scene(&little);
}

static void movement_of_another_kind_is_not_believed(void **state)
{
    (void)state;
    struct scene same, bent, none;
    make_scene(&same, 5, 20, 0);
    make_scene(&bent, 5, 20, 0.8);
    make_scene(&none, 5, 0, 0);
    double a = worth(&same), b = worth(&bent);
    print_message("a trial that goes alike is worth %g, a bent one %g\n", a, b);
    assert_true(a >= 0.1 && b <= 0.01);
    assert_true(worth(&none) == 0);
    end_scene(&same);
    end_scene(&bent);
    end_scene(&none);
}

static void only_trials_with_frames_count_as_seen(void **state)
{
    (void)state;
    struct scene scene;
    make_scene(&scene, 2, 10, 0);
    assert_int_equal(scene.training->labelled, 2 * TARGETS);
    assert_int_equal(scene.training->taught, 10 * TARGETS);
    assert_int_equal(scene.training->per_target, 2);
    end_scene(&scene);
}

/* Every second round of the targets as it is, the others with twice the counts. */
static void enliven(struct scene *scene)
{
    struct traj_session *session = scene->own;
    for (size_t r = 0; r < session->trials; r++)
        for (size_t b = 0; r / TARGETS % 2 > 0 && b < session->bins; b++)
            for (size_t n = 0; n < session->units; n++)
                if (session->t_end[b] > session->start[r] && session->t_end[b] <= session->stop[r])
                    session->counts[b * session->units + n] *= 2;
}

/* sd of the log gain that all units have in common. */
static double common_gain(struct scene *scene)
{
    struct traj_error error = {""};
    struct traj_reach *reach = fit(scene, 0);
    struct traj_rate_kernel kernel;
    struct traj_rates rates;
    if (traj_rate_kernel_init(&kernel, reach, &traj_rate_prior_usual, &error) ||
        traj_rates_fit(&rates, reach, &kernel, NULL, &error))
        fail_msg("%s", error.text);
    assert_true(rates.gains >= 1);
    double gain = rates.gain[rates.gains - 1];
    for (size_t n = 0; n < rates.units; n++)
        assert_true(rates.gain[n * rates.gains + rates.gains - 1] == gain);
    traj_rates_free(&rates);
    traj_rate_kernel_free(&kernel);
    traj_reach_free(reach);
    return gain;
}

static void a_gain_common_to_all_units_is_found(void **state)
{
    (void)state;
    struct scene scene;
    make_scene(&scene, 1, 0, 0);
    double believed = common_gain(&scene);
    end_scene(&scene);
    make_scene(&scene, 6, 0, 0);
    double steady = common_gain(&scene);
    end_scene(&scene);
    make_scene(&scene, 6, 0, 0);
    enliven(&scene);
    traj_training_free(scene.training);
    struct traj_error error = {""};
    scene.training = traj_training_new(scene.list, 1, NULL, 0, 5, 1, &error);
    if (!scene.training)
        fail_msg("%s", error.text);
    double lively = common_gain(&scene);
    end_scene(&scene);
    print_message(
        "sd of the log gain: %.3f from one trial a target, %.3f from six, %.3f where every "
        "second has twice the counts (%.3f)\n",
        believed, steady, lively, log(2) / 2);
    assert_true(believed > 0.1);
    assert_true(steady < believed);
    assert_true(lively > 0.75 * log(2) / 2 && lively < 1.25 * log(2) / 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(other_sessions_movement_makes_courses_better),
        cmocka_unit_test(movement_of_another_kind_is_not_believed),
        cmocka_unit_test(only_trials_with_frames_count_as_seen),
        cmocka_unit_test(a_gain_common_to_all_units_is_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
