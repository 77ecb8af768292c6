/* SPDX-License-Identifier: GPL-3.0-or-later */
/* When the next frame is expected: from frames that keep to their times, are delayed, stop. */
#include "daemon/core/expect.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define BIN 0.005

static void frames(struct traj_expect *expect, double *t, int count, const double *late, int lates)
{
    for (int i = 0; i < count; i++) {
        *t += BIN;
        traj_expect_frame(expect, *t + (lates > 0 ? late[i % lates] : 0.0), BIN);
    }
}

static void regular_frames_are_met(void **state)
{
    (void)state;
    struct traj_expect expect;
    double t = 100.0;
    traj_expect_clear(&expect);
    assert_false(traj_expect_regular(&expect));
    frames(&expect, &t, 3, NULL, 0);
    assert_false(traj_expect_regular(&expect));
    frames(&expect, &t, 6, NULL, 0);
    assert_true(traj_expect_regular(&expect));
    assert_true(traj_expect_from(&expect) < t + BIN && traj_expect_until(&expect) > t + BIN);
    /* No more than 0.3 ms before and after, nor a tenth of the bin. */
    assert_true(traj_expect_until(&expect) - traj_expect_from(&expect) < 601e-6);
}

/* Some frames are held up; the others come when they would have, and the schedule stays. */
static void lateness_moves_the_schedule_little(void **state)
{
    (void)state;
    const double late[] = {0.0, 20e-6, 5e-6, 400e-6, 10e-6, 0.0, 50e-6};
    struct traj_expect expect;
    double t = 50.0;
    traj_expect_clear(&expect);
    frames(&expect, &t, 500, late, 7);
    assert_true(traj_expect_regular(&expect));
    assert_true(fabs(expect.next - (t + BIN)) < 100e-6);
}

/* Frames that come when they like: nobody stays awake for them. */
static void chaos_is_not_regular(void **state)
{
    (void)state;
    const double late[] = {0.0, 2e-3, 0.5e-3, 4e-3, 1e-3, 3e-3};
    struct traj_expect expect;
    double t = 50.0;
    int regular = 0;
    traj_expect_clear(&expect);
    for (int i = 0; i < 600; i++) {
        frames(&expect, &t, 1, &late[i % 6], 1);
        regular += traj_expect_regular(&expect);
    }
    assert_int_equal(regular, 0);
}

static void another_time_is_taken_up_at_once(void **state)
{
    (void)state;
    struct traj_expect expect;
    double t = 50.0;
    traj_expect_clear(&expect);
    frames(&expect, &t, 20, NULL, 0);
    t += 3.0 + 0.4 * BIN; /* the source paused */
    frames(&expect, &t, 2, NULL, 0);
    assert_true(fabs(expect.next - (t + BIN)) < 1e-9);
    frames(&expect, &t, 8, NULL, 0);
    assert_true(traj_expect_regular(&expect));
}

/* A slow drift of the source's clock against ours is followed. */
static void drift_is_followed(void **state)
{
    (void)state;
    struct traj_expect expect;
    traj_expect_clear(&expect);
    for (int slow = -1; slow <= 1; slow += 2) {
        double t = 50.0;
        for (int i = 0; i < 5000; i++) {
            t += BIN * (1.0 + slow * 200e-6);
            traj_expect_frame(&expect, t, BIN);
        }
        assert_true(traj_expect_regular(&expect));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(regular_frames_are_met),
        cmocka_unit_test(lateness_moves_the_schedule_little),
        cmocka_unit_test(chaos_is_not_regular),
        cmocka_unit_test(another_time_is_taken_up_at_once),
        cmocka_unit_test(drift_is_followed),
    };
    return cmocka_run_group_tests_name("expect", tests, NULL, NULL);
}
