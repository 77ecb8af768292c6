/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The real recordings read, have the shapes that their page names, and give kinematics for every
 * bin.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "clients/files/session_file.h"

static void recording(const char *name, char *path, size_t size)
{
    const char *folder = getenv("TRAJ_SHARED_DATA");
    (void)snprintf(path, size, "%s/%s", folder != NULL ? folder : ".", name);
}

static struct traj_session *read_recording(const char *name)
{
    struct traj_error error = {{0}};
    char path[1024];
    recording(name, path, sizeof path);
    struct traj_session *s = traj_session_read(path, &error);
    if (s == NULL)
        fail_msg("%s", error.text);
    return s;
}

/* How many bins have no kinematics; *speed is the root mean square of their velocity. */
static size_t bins_without(const struct traj_session *s, double *speed)
{
    size_t without = 0;
    double squares = 0.0, p[TRAJ_DIM_MAX], v[TRAJ_DIM_MAX];
    for (size_t i = 0; i < s->bins; i++) {
        if (traj_session_kinematics(s, s->t_end[i], 0.05, p, v) != 0) {
            without++;
            continue;
        }
        squares += v[0] * v[0] + v[1] * v[1];
    }
    *speed = sqrt(squares / (double)s->bins);
    return without;
}

static size_t bins_in_trials(const struct traj_session *s)
{
    size_t inside = 0;
    for (size_t i = 0; i < s->bins; i++)
        inside += traj_session_trial_at(s, s->t_end[i]) != (size_t)-1 ? 1 : 0;
    return inside;
}

static void test_reach8(void **state)
{
    (void)state;
    struct traj_session *s = read_recording("reach8-train.h5");
    double speed = 0.0;
    assert_true(s->trials == 480 && s->units == 98 && s->targets == 8 && s->dim == 2);
    assert_string_equal(s->length_unit, "mm");
    assert_true(s->move != NULL && s->go == NULL && s->velocity == NULL);
    assert_true(bins_without(s, &speed) == 0);
    assert_true(bins_in_trials(s) == s->bins); /* every trial is cut out */
    assert_true(speed > 200.0 && speed < 400.0);
    print_message("reach8: %zu bins, rms speed %.0f mm/s\n", s->bins, speed);
    traj_session_free(s);
}

static void test_chewie(void **state)
{
    (void)state;
    struct traj_session *s = read_recording("chewie-co-a.h5");
    double speed = 0.0;
    assert_true(s->trials == 155 && s->units == 95 && s->targets == 8 && s->dim == 2);
    assert_true(s->go != NULL && s->rewarded != NULL && s->velocity != NULL);
    assert_true(bins_without(s, &speed) == 0);
    size_t inside = bins_in_trials(s);
    assert_true(inside > s->bins / 4 && inside < s->bins / 2);
    print_message("chewie: %zu bins, %zu of them in trials, rms speed %.0f mm/s\n", s->bins, inside,
                  speed);
    traj_session_free(s);
}

int main(void)
{
    static const char *const needed[] = {"reach8-train.h5", "chewie-co-a.h5"};
    for (size_t i = 0; i < 2; i++) {
        char path[1024];
        recording(needed[i], path, sizeof path);
        if (access(path, R_OK) != 0) {
            (void)fprintf(stderr, "skipped: there is no recording %s\n", path);
            return 77;
        }
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reach8),
        cmocka_unit_test(test_chewie),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
