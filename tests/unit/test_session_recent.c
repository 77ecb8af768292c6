/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The regression on the recent past: is it the ridge solution, does the regression without a fold
 * know nothing of that fold, and is the gain on what the posterior leaves unexplained found where
 * there is one and left out where there is none?
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

#include "daemon/learn/session_gain.h"
#include "daemon/learn/session_recent.h"
#include "daemon/learn/session_states.h"
#include "tests/common/made_session.h"
#include "tests/oracle/random_model.h"

static struct traj_session *unbroken(void)
{
    struct made_options options;
    made_options_default(&options);
    options.unbroken = true;
    return made_session(&options);
}

static struct traj_training *gather(const struct traj_session *const *session)
{
    struct traj_error error = {""};
    struct traj_training *training = traj_training_new(session, 1, NULL, 0, 4, 1, &error);
    if (!training)
        fail_msg("%s", error.text);
    assert_int_equal(training->folds, 4);
    return training;
}

/* Every stage of every bin, and a 1: [bins][inputs]. */
static double *all_stages(const struct traj_session_recent *recent)
{
    const struct traj_training *training = recent->training;
    const size_t c = recent->channels;
    double *z = calloc(training->bins * recent->inputs, sizeof *z);
    assert_non_null(z);
    for (size_t b = 0; b < training->bins; b++)
        for (size_t k = 0; k < recent->stages; k++)
            for (size_t n = 0; n < c; n++) {
                double *here = z + b * recent->inputs + k * c + n;
                const double before =
                    training->run_start[b] < b ? here[-(ptrdiff_t)recent->inputs] : 0;
                *here = k == 0 ? (double)recent->value[b * c + n] - recent->center[n]
                               : before + recent->follow * (here[-(ptrdiff_t)c] - before);
                z[b * recent->inputs + recent->inputs - 1] = 1;
            }
    return z;
}

static double target_of(const struct traj_training *training, size_t b, size_t o)
{
    return training->x[b * 3 * training->dim + o] - (o < training->dim ? training->center[o] : 0);
}

static bool used(const struct traj_training *training, size_t b, unsigned fold)
{
    return training->known[b] && training->fold[b] != fold;
}

/* At the solution squared error and penalty have no slope along any input. */
static void it_is_the_ridge_solution(void **state)
{
    (void)state;
    struct traj_session *session = unbroken();
    const struct traj_session *const list[] = {session};
    struct traj_training *training = gather(list);
    struct traj_error error = {""};
    struct traj_session_recent recent;
    float *value = traj_session_values(training);
    assert_int_equal(traj_session_recent_fit(&recent, training, value, training->units, &error), 0);
    assert_true(recent.stages > 1);
    const double *weight = traj_session_recent_weight(&recent, 1, 1);
    double *z = all_stages(&recent), worst = 0;
    double *left = calloc(training->bins * recent.out, sizeof *left);
    for (size_t b = 0; b < training->bins; b++)
        for (size_t o = 0; o < recent.out; o++) {
            left[b * recent.out + o] = target_of(training, b, o);
            for (size_t i = 0; i < recent.inputs; i++)
                left[b * recent.out + o] -= z[b * recent.inputs + i] * weight[i * recent.out + o];
        }
    for (size_t i = 0; i < recent.inputs; i++)
        for (size_t o = 0; o < recent.out; o++) {
            double slope = 0, square = 0, bins = 0, all = 0;
            for (size_t b = 0; b < training->bins; b++) {
                if (!used(training, b, 1))
                    continue;
                bins++;
                square += z[b * recent.inputs + i] * z[b * recent.inputs + i];
                slope += z[b * recent.inputs + i] * left[b * recent.out + o];
                all += target_of(training, b, o) * target_of(training, b, o);
            }
            if (i + 1 < recent.inputs)
                slope -= recent.ridge * square / bins * weight[i * recent.out + o];
            worst = fmax(worst, fabs(slope) / sqrt(square * all));
        }
    printf("ridge %g: largest slope %.2g\n", recent.ridge, worst);
    assert_true(worst < 1e-9);
    free(left);
    free(z);
    free(value);
    traj_session_recent_free(&recent);
    traj_training_free(training);
    traj_session_free(session);
}

/* Movement of a fold that is made up changes no answer of a regression without it. */
static void a_fold_that_is_left_out_is_not_known(void **state)
{
    (void)state;
    struct traj_session *session = unbroken();
    const struct traj_session *const list[] = {session};
    struct traj_training *training = gather(list);
    struct traj_error error = {""};
    struct traj_session_recent recent, other;
    float *value = traj_session_values(training);
    assert_int_equal(traj_session_recent_fit(&recent, training, value, training->units, &error), 0);
    for (size_t b = 0; b < training->bins; b++)
        for (size_t i = 0; training->fold[b] == 2 && i < 3 * training->dim; i++)
            training->x[b * 3 * training->dim + i] *= 0.9;
    assert_int_equal(traj_session_recent_fit(&other, training, value, training->units, &error), 0);
    assert_true(other.ridge == recent.ridge);
    const size_t bytes = recent.inputs * recent.out * sizeof(double);
    for (unsigned f = 0; f <= 4; f++) {
        const unsigned fold = f < 4 ? f : TRAJ_FOLD_NONE;
        assert_memory_equal(traj_session_recent_weight(&recent, fold, 2),
                            traj_session_recent_weight(&other, fold, 2), bytes);
        assert_memory_equal(traj_session_recent_weight(&recent, 2, fold),
                            traj_session_recent_weight(&other, 2, fold), bytes);
    }
    assert_memory_not_equal(traj_session_recent_weight(&recent, 1, 3),
                            traj_session_recent_weight(&other, 1, 3), bytes);
    traj_session_recent_free(&recent);
    traj_session_recent_free(&other);
    free(value);
    traj_training_free(training);
    traj_session_free(session);
}

/* e = true_gain' (spread u) + noise in position; in velocity noise alone. */
static void the_gain_is_found_where_there_is_one(void **state)
{
    (void)state;
    static const double truth[4][2] = {{0.5, 0}, {0.1, -0.2}, {0, 0.3}, {-0.4, 0.2}};
    struct random random = {test_seed(5)};
    struct traj_session_gain gain;
    double left[TRAJ_SESSION_RUNS][2], matrix[16], before[2] = {0, 0}, worst = 0;
    assert_int_equal(traj_session_gain_init(&gain, 2, 4), 0);
    for (unsigned i = 0; i < 4000; i++) {
        double u[4], e[4] = {0};
        const double spread[2] = {random_between(&random, 0.5, 2), random_between(&random, 0.5, 2)};
        for (size_t k = 0; k < 4; k++)
            u[k] = random_normal(&random);
        for (size_t o = 0; o < 4; o++) {
            e[o] = random_normal(&random);
            for (size_t k = 0; o < 2 && k < 4; k++)
                e[o] += spread[0] * u[k] * truth[k][o];
            before[o / 2] += e[o] * e[o];
        }
        traj_session_gain_add(&gain, i % 2, i % 4, u, spread, e);
    }
    assert_int_equal(traj_session_gain_settle(&gain, left, matrix), 0);
    for (size_t k = 0; k < 4; k++)
        for (size_t o = 0; o < 2; o++)
            worst = fmax(worst, fabs(matrix[k * 4 + o] - truth[k][o]));
    printf("gain within %.3f; position error %.0f -> %.0f\n", worst, before[0],
           left[0][0] + left[1][0]);
    assert_true(worst < 0.05);
    assert_true(fabs((left[0][0] + left[1][0]) / 8000 - 1) < 0.05);
    /* What noise alone suggests is worse on bins that it was not found on, or all but nothing. */
    assert_true(left[0][1] + left[1][1] <= before[1]);
    for (size_t k = 0; k < 4; k++)
        assert_true(fabs(matrix[k * 4 + 2]) < 0.05 && fabs(matrix[k * 4 + 3]) < 0.05);
    traj_session_gain_free(&gain);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_is_the_ridge_solution),
        cmocka_unit_test(a_fold_that_is_left_out_is_not_known),
        cmocka_unit_test(the_gain_is_found_where_there_is_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
