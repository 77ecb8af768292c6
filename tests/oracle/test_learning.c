/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Do the parts of learning find again what the data were made with? */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "daemon/learn/courses.h"
#include "daemon/learn/dynamics.h"
#include "daemon/learn/frame_of_target.h"
#include "daemon/learn/poisson.h"
#include "daemon/learn/tuning.h"
#include "tests/common/made_session.h"

static struct traj_training *gather(const struct traj_session *const *session, size_t folds)
{
    struct traj_error error = {""};
    struct traj_training *training = traj_training_new(session, 1, NULL, 0, folds, 1, &error);
    if (!training)
        fail_msg("%s", error.text);
    return training;
}

/* ---- Poisson regression ---------------------------------------------------------------------- */

/* The log posterior of a unit's parameters, summed in the plainest way from the training data. */
static double plain_posterior(const struct traj_poisson_task *task, const double *parameter,
                              double offset)
{
    const struct traj_training *training = task->rows->training;
    double value = 0;
    for (size_t i = 0; i < task->rows->rows; i++) {
        size_t b = task->rows->bin[i];
        if (b < training->history[b] + task->lag)
            continue;
        double eta = parameter[task->columns];
        for (size_t j = 0; j < task->columns; j++)
            eta += parameter[j] * task->rows->z[i * task->rows->columns + j];
        double count = training->counts[task->unit * training->bins + b - task->lag];
        value += count * eta - training->dt[b - task->lag] * exp(eta);
    }
    for (size_t j = 0; j < task->columns; j++)
        value -= task->ridge * parameter[j] * parameter[j] / 2;
    return value - task->precision * pow(parameter[task->columns] - offset, 2) / 2;
}

/* Maximises it one coordinate at a time by ever smaller steps. */
static void plain_fit(const struct traj_poisson_task *task, double offset, double *parameter)
{
    double step = 0.5, best = plain_posterior(task, parameter, offset);
    while (step > 1e-7) {
        bool moved = false;
        for (size_t j = 0; j <= task->columns; j++)
            for (int sign = -1; sign <= 1; sign += 2) {
                double before = parameter[j];
                parameter[j] = before + sign * step;
                double value = plain_posterior(task, parameter, offset);
                if (value > best) {
                    best = value;
                    moved = true;
                } else {
                    parameter[j] = before;
                }
            }
        step = moved ? step : step / 2;
    }
}

static void regression_equals_a_plain_search(void **state)
{
    (void)state;
    struct made_options options;
    made_options_default(&options);
    options.trials_per_target = 2;
    options.units = 3;
    const struct traj_session *session = made_session(&options);
    struct traj_training *training = gather(&session, 2);
    struct traj_poisson_rows rows;
    struct traj_error error = {""};
    assert_int_equal(traj_poisson_rows_new(&rows, training, 4, 0, (size_t)-1, &error), 0);
    double worst = 0;
    for (size_t n = 0; n < 3; n++) {
        double spikes = 0.5, seconds = 1, fitted[5], plain[5] = {0};
        for (size_t i = 0; i < rows.rows; i++)
            if (rows.bin[i] >= training->history[rows.bin[i]] + n) {
                spikes += training->counts[n * training->bins + rows.bin[i] - n];
                seconds += training->dt[rows.bin[i] - n];
            }
        struct traj_poisson_task task = {.rows = &rows,
                                         .columns = 4,
                                         .unit = n,
                                         .lag = n,
                                         .target = -1,
                                         .without = TRAJ_FOLD_NONE,
                                         .ridge = 10,
                                         .precision = 1};
        traj_poisson_fit(&task, false, fitted);
        plain_fit(&task, log(spikes / seconds), plain);
        for (size_t j = 0; j < 5; j++)
            worst = fmax(worst, fabs(fitted[j] - plain[j]));
    }
    print_message("%zu rows, worst difference %.2g\n", rows.rows, worst);
    assert_true(worst < 1e-5);
    traj_poisson_rows_free(&rows);
    traj_training_free(training);
    traj_session_free((struct traj_session *)(uintptr_t)session);
}

/* Weights come back within their standard errors (from the curvature: depth at peak speed). */
static void tuning_and_lags_are_found(void **state)
{
    (void)state;
    struct made_options options;
    made_options_default(&options);
    options.trials_per_target = 25;
    options.depth = 1.5;
    options.unbroken = true;
    const struct traj_session *session = made_session(&options);
    struct traj_training *training = gather(&session, 4);
    int32_t lag[20];
    double weight[20 * 4], offset[20], peak = 100 * 1.875 / 0.5;
    struct traj_tuning_choice choice = {.columns = 4, .lag = lag};
    struct traj_error error = {""};
    assert_int_equal(traj_tuning_choose(training, &choice, NULL, NULL, &error), 0);
    assert_int_equal(traj_tuning_fit(training, 4, &choice, TRAJ_FOLD_NONE, weight, offset, &error),
                     0);
    size_t off = 0, exact = 0;
    double worst = 0, worst_offset = 0;
    for (size_t n = 0; n < 20; n++) {
        size_t found = (size_t)lag[n], true_lag = made_lag(n);
        exact += found == true_lag;
        off += found > true_lag + 1 || true_lag > found + 1;
        double angle = 6.28318530717958647692 * 0.381966 * (double)n;
        worst = fmax(worst, fabs(weight[n * 4 + 2] * peak - options.depth * cos(angle)));
        worst = fmax(worst, fabs(weight[n * 4 + 3] * peak - options.depth * sin(angle)));
        worst_offset = fmax(worst_offset, fabs(offset[n] - log(options.rate)));
    }
    print_message(
        "of 20 lags %zu are exact, %zu differ by more than a bin; weights by %.3f, offsets "
        "by %.3f\n",
        exact, off, worst, worst_offset);
    assert_true(exact >= 10 && off <= 1);
    /* About 3000 spikes a unit, root mean square speed a third of the peak: a standard error of
     * 1 / (sqrt(3000) / 3 / sqrt(2)) = 0.08; the worst of 40 at four of them. */
    assert_true(worst < 0.32);
    assert_true(worst_offset < 0.1);
    assert_true(choice.gain > 0);
    traj_training_free(training);
    traj_session_free((struct traj_session *)(uintptr_t)session);
}

/* ---- dynamics -------------------------------------------------------------------------------- */

/* A session of one dimension whose hand is a noisy spring: v' = v + D (k (T - p) - d v) + noise. */
static struct traj_session *spring_session(double k, double d, double deviation, size_t trials)
{
    struct made_options options;
    made_options_default(&options);
    options.dim = 1;
    options.targets = 2;
    options.trials_per_target = trials / 2;
    options.units = 1;
    struct traj_session *session = made_session(&options);
    uint64_t random = 12;
    session->velocity = calloc(session->samples, sizeof(double));
    assert_non_null(session->velocity);
    size_t trial = (size_t)-1;
    double p = 0, v = 0;
    for (size_t i = 0; i < session->samples; i++) {
        size_t r = traj_session_trial_at(session, session->kin_t[i]);
        if (r != trial) {
            p = 2 * made_normal(&random);
            v = 10 * made_normal(&random);
            trial = r;
        } else {
            double target = session->target_position[session->target[r]];
            double next = v + 0.02 * (k * (target - p) - d * v) + deviation * made_normal(&random);
            p += 0.02 * v;
            v = next;
        }
        session->position[i] = p;
        session->velocity[i] = v;
    }
    return session;
}

static void a_spring_is_found(void **state)
{
    (void)state;
    const double k = 30, d = 8, deviation = 5;
    const struct traj_session *session = spring_session(k, d, deviation, 200);
    struct traj_training *training = gather(&session, 4);
    struct traj_error error = {""};
    struct traj_movement *movement = traj_movement_new(training, 2, 0, 1, &error);
    assert_non_null(movement);
    struct traj_dynamics_choice choice = {.memory = 1};
    traj_dynamics_choose(movement, &choice);
    for (size_t m = 0; m < 2; m++) {
        double transition[4], drift[2], noise[4], start[2], cov[4];
        struct traj_dynamics_part part = {transition, drift, noise, start, cov};
        traj_dynamics_target(movement, &choice, TRAJ_FOLD_NONE, m, &part);
        double target = session->target_position[m];
        print_message("target %g: v row %.4f %.4f, drift %.3f, noise %.3f, start %.2f +- %.2f\n",
                      target, transition[2], transition[3], drift[1], sqrt(noise[3]), start[0],
                      sqrt(cov[0]));
        assert_true(transition[0] == 1 && transition[1] == 0.02 && drift[0] == 0);
        /* about 3500 pairs a target: standard errors well below these */
        assert_true(fabs(transition[2] + 0.02 * k) < 0.03);
        assert_true(fabs(transition[3] - (1 - 0.02 * d)) < 0.02);
        assert_true(fabs(drift[1] - 0.02 * k * target) < 2.5);
        assert_true(fabs(sqrt(noise[3]) - deviation) < 0.3);
        assert_true(noise[0] < 0.01 && fabs(start[0]) < 1 && sqrt(cov[0]) > 1 && sqrt(cov[0]) < 4);
    }
    double transition[4], drift[2], noise[4], start[2], cov[4];
    struct traj_dynamics_part part = {transition, drift, noise, start, cov};
    choice.settling = false;
    traj_dynamics_walk(movement, &choice, TRAJ_FOLD_NONE, true, &part);
    assert_true(transition[2] == 0 && transition[3] == choice.decay && drift[1] == 0);
    double walking = noise[3];
    assert_true(walking > deviation * deviation);
    choice.settling = true; /* one rule for both springs: drawn to the middle */
    traj_dynamics_walk(movement, &choice, TRAJ_FOLD_NONE, true, &part);
    print_message("settling: v row %.4f %.4f, noise %.3f against %.3f\n", transition[2],
                  transition[3], noise[3], walking);
    assert_true(transition[2] < -0.05 && noise[3] < 0.9 * walking);
    traj_movement_free(movement);
    traj_training_free(training);
    traj_session_free((struct traj_session *)(uintptr_t)session);
}

/* The mean course of a reach, integrated from the fitted component, against the reach itself. */
static void a_mean_course_is_followed(void **state)
{
    (void)state;
    struct made_options options;
    made_options_default(&options);
    options.units = 1;
    const struct traj_session *session = made_session(&options);
    struct traj_training *training = gather(&session, 4);
    struct traj_error error = {""};
    struct traj_courses *courses = traj_courses_new(training, 6, 0, 1, NULL, &error);
    assert_non_null(courses);
    struct traj_course_shape shape;
    assert_int_equal(traj_courses_shape(courses, TRAJ_FOLD_NONE, &shape), 0);
    for (size_t m = 0; m < 4; m++) {
        double transition[36], drift[6], noise[36], start[6], cov[36], x[6], next[6], sum = 0;
        struct traj_dynamics_part part = {transition, drift, noise, start, cov};
        traj_courses_target(courses, &shape, 1, TRAJ_FOLD_NONE, m, &part);
        memcpy(x, start, sizeof x);
        for (size_t t = 0; t < 34; t++) {
            double mean[2] = {0, 0}, trials = 0;
            for (size_t r = 0; r < training->trials; r++)
                if (training->trial[r].target == (int32_t)m && t < training->trial[r].count) {
                    trials++;
                    for (size_t i = 0; i < 2; i++)
                        mean[i] += training->state[(training->trial[r].first + t) * 6 + i];
                }
            sum += pow(x[0] - mean[0] / trials, 2) + pow(x[1] - mean[1] / trials, 2);
            for (size_t i = 0; i < 6; i++) {
                next[i] = drift[i];
                for (size_t j = 0; j < 6; j++)
                    next[i] += transition[i * 6 + j] * x[j];
            }
            memcpy(x, next, sizeof x);
        }
        print_message("target %zu: %.2f mm from the mean course\n", m, sqrt(sum / 34));
        assert_true(sqrt(sum / 34) < 6); /* reaches of 100 mm */
    }
    traj_courses_free(courses);
    traj_training_free(training);
    traj_session_free((struct traj_session *)(uintptr_t)session);
}

static void rotations_carry_the_first_axis(void **state)
{
    (void)state;
    uint64_t random = 4;
    for (size_t dim = 1; dim <= 5; dim++)
        for (size_t draw = 0; draw < 20; draw++) {
            double vector[5], r[25], length = 0;
            for (size_t i = 0; i < dim; i++) {
                vector[i] = draw == 0 ? (i == 0 ? -2 : 0) : made_normal(&random);
                length += vector[i] * vector[i];
            }
            traj_rotation_to(vector, dim, r);
            for (size_t i = 0; i < dim; i++) {
                /* Near half a turn the formula divides by little. */
                assert_true(fabs(r[i * dim] - vector[i] / sqrt(length)) < 1e-9);
                for (size_t j = 0; j < dim; j++) {
                    double product = 0;
                    for (size_t k = 0; k < dim; k++)
                        product += r[i * dim + k] * r[j * dim + k];
                    assert_true(fabs(product - (i == j)) < 1e-9);
                }
            }
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(regression_equals_a_plain_search),
        cmocka_unit_test(tuning_and_lags_are_found),
        cmocka_unit_test(a_spring_is_found),
        cmocka_unit_test(a_mean_course_is_followed),
        cmocka_unit_test(rotations_carry_the_first_axis),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
