/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The decode path's own exp, log and log factorial against libm in long double. */
#include "daemon/model/elementary.h"
#include "tests/oracle/random_model.h"

#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#define DRAWS 2000000

/* What elementary.h promises. */
#define EXP_BOUND 2.3e-16L
#define LOG_BOUND 2.3e-16L
#define FACTORIAL_BOUND 5e-16L

static long double relative(double got, long double truth)
{
    return truth == 0.0L ? (long double)fabs(got) : fabsl(((long double)got - truth) / truth);
}

static void exp_is_accurate(void **state)
{
    struct random random = {*(uint64_t *)*state};
    long double worst = 0.0L;
    double at = 0.0;
    for (size_t i = 0; i < DRAWS; i++) {
        const double span = i % 4 == 0 ? 1.0 : i % 4 == 1 ? 30.0 : 707.0;
        const double x = random_between(&random, -span, span);
        const long double error = relative(traj_exp(x), expl((long double)x));
        if (error > worst) {
            worst = error;
            at = x;
        }
    }
    printf("exp: %d draws, largest relative error %.3Lg at %.17g\n", DRAWS, worst, at);
    assert_true(worst < EXP_BOUND);
}

static void exp_at_the_edges(void **state)
{
    (void)state;
    assert_true(traj_exp(0.0) == 1.0 && traj_exp(-0.0) == 1.0);
    assert_true(traj_exp(0x1p-1074) == 1.0 && traj_exp(-0x1p-1022) == 1.0);
    assert_true(isnan(traj_exp(NAN)));
    assert_true(traj_exp(INFINITY) == INFINITY && traj_exp(-INFINITY) == 0.0);
    assert_true(traj_exp(1e300) == INFINITY && traj_exp(-1e300) == 0.0);
    assert_true(traj_exp(709.79) == INFINITY && traj_exp(-745.2) == 0.0);
    const double high = 709.78271289338397; /* the largest whose exponential is finite */
    assert_true(relative(traj_exp(high), expl((long double)high)) < EXP_BOUND);
    assert_true(relative(traj_exp(-708.3), expl(-708.3L)) < 1e-13L);
    size_t subnormal = 0;
    for (double x = -745.1; x < -708.5; x += 0.0137) {
        const long double truth = expl((long double)x);
        const long double error = fabsl((long double)traj_exp(x) - truth);
        assert_true(error <= 0.5L * 0x1p-1074L + 1.01L * EXP_BOUND * truth);
        subnormal++;
    }
    assert_true(subnormal > 2000);
}

static void log_is_accurate(void **state)
{
    struct random random = {*(uint64_t *)*state + 1};
    long double worst = 0.0L;
    double at = 0.0;
    for (size_t i = 0; i < DRAWS; i++) {
        double x = random_between(&random, 0.5, 2.0);
        if (i % 4 == 1)
            x = 1.0 + 1e-3 * random_normal(&random);
        else if (i % 4 > 1)
            x = exp(random_between(&random, -708.0, 709.0));
        const long double error = relative(traj_log(x), logl((long double)x));
        if (error > worst) {
            worst = error;
            at = x;
        }
    }
    printf("log: %d draws, largest relative error %.3Lg at %.17g\n", DRAWS, worst, at);
    assert_true(worst < LOG_BOUND);
}

static void log_at_the_edges(void **state)
{
    (void)state;
    assert_true(traj_log(1.0) == 0.0);
    assert_true(traj_log(0.0) == -INFINITY && traj_log(-0.0) == -INFINITY);
    assert_true(isnan(traj_log(-1.0)) && isnan(traj_log(NAN)) && isnan(traj_log(-INFINITY)));
    assert_true(traj_log(INFINITY) == INFINITY);
    const double edges[] = {0x1p-1074,
                            3 * 0x1p-1074,
                            0x1p-1022,
                            DBL_MIN * 0.7,
                            DBL_MAX,
                            1.0 + DBL_EPSILON,
                            1.0 - DBL_EPSILON / 2,
                            0x1.6a09e667f3bcdp0,
                            0x1.6a09e667f3bcep0,
                            0x1.6a09e667f3bccp-1,
                            1e-300,
                            1e300};
    for (size_t i = 0; i < sizeof edges / sizeof *edges; i++)
        assert_true(relative(traj_log(edges[i]), logl((long double)edges[i])) < LOG_BOUND);
}

static void factorials_are_accurate(void **state)
{
    (void)state;
    long double worst = 0.0L;
    for (unsigned n = 0; n < 65536; n++) {
        const long double error = relative(traj_log_factorial(n), lgammal((long double)n + 1.0L));
        worst = error > worst ? error : worst;
    }
    printf("log factorial: 0..65535, largest relative error %.3Lg\n", worst);
    assert_true(worst < FACTORIAL_BOUND);
}

int main(void)
{
    uint64_t seed = test_seed(411);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_prestate(exp_is_accurate, &seed), cmocka_unit_test(exp_at_the_edges),
        cmocka_unit_test_prestate(log_is_accurate, &seed), cmocka_unit_test(log_at_the_edges),
        cmocka_unit_test(factorials_are_accurate),
    };
    return cmocka_run_group_tests_name("elementary", tests, NULL, NULL);
}
