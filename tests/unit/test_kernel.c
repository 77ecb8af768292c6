/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The innermost loop: both compilations give the same bits, and the right sums. */
#include "daemon/model/kernel.h"
#include "daemon/model/observe.h"
#include "tests/oracle/random_model.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define STATE 6
#define ROUNDS 3000

struct sums {
    double value, gradient[STATE], information[STATE * STATE];
};

struct numbers {
    double weight[STATE * TRAJ_BLOCK_UNITS], offset[TRAJ_BLOCK_UNITS];
    double count[TRAJ_BLOCK_UNITS], exposure[TRAJ_BLOCK_UNITS], x[STATE];
};

/* Usual numbers, and in every eighth round rates up to and beyond the ceiling. */
static struct traj_block draw(struct numbers *to, struct random *random, size_t round)
{
    const size_t units = TRAJ_LANES * (1 + random_below(random, TRAJ_BLOCK_UNITS / TRAJ_LANES));
    const double scale = round % 8 == 7 ? 20.0 : 0.3;
    for (size_t i = 0; i < STATE * TRAJ_BLOCK_UNITS; i++)
        to->weight[i] = scale * random_normal(random);
    for (size_t i = 0; i < TRAJ_BLOCK_UNITS; i++) {
        to->offset[i] = random_between(random, -1.0, 5.0);
        to->count[i] = (double)random_poisson(random, 1.0);
        to->exposure[i] = i % 9 == 8 ? 0.0 : random_between(random, 0.01, 0.05);
    }
    for (size_t s = 0; s < STATE; s++)
        to->x[s] = random_normal(random);
    return (struct traj_block){.state = STATE,
                               .units = units,
                               .stride = TRAJ_BLOCK_UNITS,
                               .weight = to->weight,
                               .offset = to->offset,
                               .count = to->count,
                               .exposure = to->exposure};
}

static void run(traj_block_kernel *kernel, const struct traj_block *block, const double *x,
                struct sums *sums)
{
    memset(sums, 0, sizeof *sums);
    sums->value = kernel(block, x, sums->gradient, sums->information);
}

static void both_give_the_same_bits(void **state)
{
    struct random random = {*(uint64_t *)*state};
    static struct numbers numbers;
    for (size_t round = 0; round < ROUNDS; round++) {
        const struct traj_block block = draw(&numbers, &random, round);
        struct sums plain, chosen;
        run(traj_block_plain, &block, numbers.x, &plain);
        run(traj_block_choose(), &block, numbers.x, &chosen);
        assert_memory_equal(&plain, &chosen, sizeof plain);
    }
    printf("%d blocks: the same bits; %s\n", ROUNDS,
           traj_block_choose() == traj_block_wide ? "wide registers were used"
                                                  : "this processor has no wide registers");
}

static void close_to(double got, long double truth, long double size)
{
    assert_true(fabsl((long double)got - truth) <= 1e-13L * (1.0L + size));
}

static void the_sums_are_right(void **state)
{
    struct random random = {*(uint64_t *)*state + 1};
    static struct numbers numbers;
    for (size_t round = 0; round < ROUNDS / 10; round++) {
        if (round % 8 == 7)
            continue; /* sums of numbers of every size would need a bound of their own */
        const struct traj_block block = draw(&numbers, &random, round);
        struct sums sums;
        run(traj_block_plain, &block, numbers.x, &sums);
        long double value = 0.0L, gradient = 0.0L, information = 0.0L, size = 0.0L;
        for (size_t i = 0; i < block.units; i++) {
            long double eta = numbers.offset[i];
            for (size_t s = 0; s < STATE; s++)
                eta += (long double)numbers.weight[s * TRAJ_BLOCK_UNITS + i] * numbers.x[s];
            const long double rate = numbers.exposure[i] * expl(eta);
            const long double c1 = numbers.weight[TRAJ_BLOCK_UNITS + i];
            const long double c4 = numbers.weight[4 * TRAJ_BLOCK_UNITS + i];
            value += numbers.count[i] * eta - rate;
            gradient += (numbers.count[i] - rate) * c1;
            information += rate * c1 * c4;
            size += fabsl(numbers.count[i] * eta) + rate * (1.0L + fabsl(c1) + fabsl(c1 * c4));
        }
        close_to(sums.value, value, size);
        close_to(sums.gradient[1], gradient, size);
        close_to(sums.information[1 * STATE + 4], information, size);
        assert_true(sums.information[4 * STATE + 1] == 0.0); /* the upper triangle alone */
    }
}

/* Above the ceiling value, gradient and Hessian are still those of one function. */
static void beyond_the_ceiling(void **state)
{
    (void)state;
    static struct numbers numbers;
    memset(&numbers, 0, sizeof numbers);
    numbers.weight[0] = 1.0;
    numbers.exposure[0] = 0.02;
    numbers.count[0] = 3.0;
    const struct traj_block block = {.state = 1,
                                     .units = TRAJ_LANES,
                                     .stride = TRAJ_BLOCK_UNITS,
                                     .weight = numbers.weight,
                                     .offset = numbers.offset,
                                     .count = numbers.count,
                                     .exposure = numbers.exposure};
    for (double eta = TRAJ_LOG_RATE_CEILING - 2.0; eta < 1e8; eta *= 1.3) {
        const double h = 1e-4 * eta;
        struct sums at[3];
        for (size_t i = 0; i < 3; i++) {
            const double x = eta + h * ((double)i - 1.0);
            run(traj_block_plain, &block, &x, &at[i]);
            assert_true(isfinite(at[i].value) && isfinite(at[i].gradient[0]));
        }
        const double slope = (at[2].value - at[0].value) / (2.0 * h);
        const double bend = (at[2].gradient[0] - at[0].gradient[0]) / (2.0 * h);
        assert_true(fabs(slope / at[1].gradient[0] - 1.0) < 1e-4);
        assert_true(eta < 1.01 * TRAJ_LOG_RATE_CEILING && eta > 0.99 * TRAJ_LOG_RATE_CEILING
                        ? true
                        : fabs(bend / -at[1].information[0] - 1.0) < 1e-4);
    }
}

#define ROWS 9

/* Every number of rows, and lengths that are no multiple of a register, from any place on. */
static void rows_give_the_same_bits(void **state)
{
    struct random random = {*(uint64_t *)*state + 1};
    static double table[ROWS][101], plain[101], wide[101], one[101];
    const double *row[ROWS];
    double value[ROWS];
    for (size_t i = 0; i < ROWS; i++) {
        row[i] = table[i];
        for (size_t e = 0; e < 101; e++)
            table[i][e] = random_normal(&random);
    }
    for (size_t count = 0; count <= ROWS; count++)
        for (size_t n = 0; n <= 90; n++) {
            const struct traj_rows rows = {count, row, value};
            const size_t first = n % 3 * 5;
            for (size_t e = 0; e < 101; e++)
                plain[e] = wide[e] = one[e] = random_normal(&random);
            for (size_t i = 0; i < count; i++) {
                value[i] = random_normal(&random);
                for (size_t e = first; e < first + n; e++)
                    one[e] += value[i] * table[i][e];
            }
            traj_rows_plain(&rows, first, n, plain);
            traj_rows_choose()(&rows, first, n, wide);
            assert_memory_equal(plain, one, sizeof one);
            assert_memory_equal(wide, one, sizeof one);
        }
}

int main(void)
{
    uint64_t seed = test_seed(8);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_prestate(both_give_the_same_bits, &seed),
        cmocka_unit_test_prestate(the_sums_are_right, &seed),
        cmocka_unit_test_prestate(rows_give_the_same_bits, &seed),
        cmocka_unit_test(beyond_the_ceiling),
    };
    return cmocka_run_group_tests_name("kernel", tests, NULL, NULL);
}
