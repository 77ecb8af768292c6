/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Factors on covariances: do the regions hold what they say after the fit, at every size? */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "daemon/learn/random.h"
#include "daemon/learn/regions.h"
#include "daemon/model/curve.h"

#define BINS 20000

static double uniform(uint64_t *random)
{
    return ((double)(traj_random_next(random) >> 11) + 0.5) * 0x1p-53;
}

/* Squared distance of two coordinates of a unit Gaussian. */
static double chi_square(uint64_t *random)
{
    return -2 * log(uniform(random));
}

static void a_wrong_scale_is_found(void **state)
{
    (void)state;
    uint64_t random = 3;
    double *distance = malloc(BINS * sizeof *distance), coverage[2];
    for (size_t i = 0; i < BINS; i++)
        distance[i] = i % 10 == 0 ? (double)NAN : 7 * chi_square(&random);
    double factor = traj_regions_balance(distance, NULL, BINS, 2);
    printf("log factor %.3f for %.3f\n", factor, log(7));
    assert_true(fabs(factor - log(7)) < 0.03);
    for (size_t i = 0; i < BINS; i++)
        distance[i] *= exp(-factor);
    traj_regions_coverage(distance, BINS, 2, coverage);
    assert_true(fabs(coverage[0] - 0.5) < 0.02 && fabs(coverage[1] - 0.9) < 0.02);
    for (size_t i = 0; i < BINS; i++)
        distance[i] = (double)NAN;
    assert_true(traj_regions_balance(distance, NULL, BINS, 2) == 0);
    free(distance);
}

/* No factor serves both regions of a mixture of wide and narrow: both miss alike. */
static void heavy_tails_are_shared_out(void **state)
{
    (void)state;
    uint64_t random = 4;
    double *distance = malloc(BINS * sizeof *distance), coverage[2];
    for (size_t i = 0; i < BINS; i++)
        distance[i] = (i % 5 == 0 ? 9 : 1) * chi_square(&random);
    double factor = traj_regions_balance(distance, NULL, BINS, 2);
    for (size_t i = 0; i < BINS; i++)
        distance[i] *= exp(-factor);
    traj_regions_coverage(distance, BINS, 2, coverage);
    printf("heavy tails: %.3f and %.3f\n", coverage[0], coverage[1]);
    assert_true(coverage[0] > 0.51 && coverage[1] < 0.89);
    assert_true(fabs((coverage[0] - 0.5) / 0.05 - (0.9 - coverage[1]) / 0.04) < 0.05);
    free(distance);
}

static void a_factor_that_depends_on_the_size_is_found(void **state)
{
    (void)state;
    uint64_t random = 5;
    double *x = malloc(BINS * sizeof *x), *distance = malloc(BINS * sizeof *distance);
    struct traj_curve curve, few;
    for (size_t i = 0; i < BINS; i++) {
        x[i] = 6 * uniform(&random) - 2;
        distance[i] = exp(2 - x[i]) * chi_square(&random);
    }
    traj_regions_fit(x, distance, BINS, 2, 1e4, &curve);
    traj_regions_fit(x, distance, BINS, 2, 1, &few);
    traj_regions_apply(&curve, x, distance, BINS);
    double factor = traj_regions_balance(distance, NULL, BINS, 2);
    for (int third = 0; third < 3; third++) {
        double part[BINS], coverage[2];
        size_t count = 0;
        for (size_t i = 0; i < BINS; i++)
            if (x[i] >= 2 * third - 2 && x[i] < 2 * third)
                part[count++] = distance[i] * exp(-factor);
        traj_regions_coverage(part, count, 2, coverage);
        printf("third %d: %.3f and %.3f\n", third, coverage[0], coverage[1]);
        assert_true(fabs(coverage[0] - 0.5) < 0.05 && fabs(coverage[1] - 0.9) < 0.04);
    }
    for (size_t k = 0; k < TRAJ_CURVE_KNOTS; k++)
        assert_true(fabs(few.value[k]) < 0.1 * fabs(curve.value[k]) + 0.02);
    free(x);
    free(distance);
}

static void a_curve_is_linear_between_its_knots(void **state)
{
    (void)state;
    const struct traj_curve curve = {{-1, 0, 0, 2, 2, 2}, {3, 1, 5, 9, 7, 8}};
    const double x[] = {-INFINITY, -2, -1, -0.5, 0, 1, 1.5, 2, 3, INFINITY};
    const double y[] = {3, 3, 3, 2, 5, 7, 8, 8, 8, 8};
    const struct traj_curve none = {{0}, {0}};
    for (size_t i = 0; i < sizeof x / sizeof *x; i++) {
        assert_true(traj_curve_value(&curve, x[i]) == y[i]);
        assert_true(traj_curve_value(&none, x[i]) == 0);
    }
    assert_true(traj_curve_value(&curve, NAN) == 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_wrong_scale_is_found),
        cmocka_unit_test(heavy_tails_are_shared_out),
        cmocka_unit_test(a_factor_that_depends_on_the_size_is_found),
        cmocka_unit_test(a_curve_is_linear_between_its_knots),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
