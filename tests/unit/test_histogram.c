/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The latency histogram: quantiles within 1/32 of the truth, overflow counted, merging exact. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "daemon/core/histogram.h"
#include "daemon/core/tally.h"
#include "tests/common/tiny_model.h"

static void an_empty_one_knows_nothing(void **state)
{
    (void)state;
    static struct traj_histogram h;
    assert_int_equal(traj_histogram_quantile(&h, 0.5), 0);
    traj_histogram_record(&h, 77);
    traj_histogram_clear(&h);
    assert_int_equal(h.count, 0);
    assert_int_equal(traj_histogram_quantile(&h, 1), 0);
}

static void small_values_are_exact(void **state)
{
    (void)state;
    static struct traj_histogram h;
    for (uint64_t v = 0; v < 32; v++)
        traj_histogram_record(&h, v);
    assert_int_equal(traj_histogram_quantile(&h, 0), 0);
    assert_int_equal(traj_histogram_quantile(&h, 1.0 / 32), 0);
    assert_int_equal(traj_histogram_quantile(&h, 2.0 / 32), 1);
    assert_int_equal(traj_histogram_quantile(&h, 0.5), 15);
    assert_int_equal(traj_histogram_quantile(&h, 1), 31);
    assert_int_equal(h.min, 0);
    assert_int_equal(h.max, 31);
    assert_int_equal(h.sum, 496);
}

/* Every bin's neighbours: a value stands in the bin whose upper edge is the next one not below. */
static void each_value_falls_into_its_bin(void **state)
{
    (void)state;
    static struct traj_histogram h;
    for (unsigned bit = 0; bit < TRAJ_HISTOGRAM_OCTAVES; bit++) {
        for (uint64_t part = 32; part < 64; part++) {
            uint64_t low = bit < 5 ? (part - 32) : part << (bit - 5);
            for (uint64_t v = low > 0 ? low - 1 : 0; v <= low + 1; v++) {
                traj_histogram_clear(&h);
                traj_histogram_record(&h, v);
                h.max = UINT64_MAX; /* so that the bin's own edge is told */
                if (v >> TRAJ_HISTOGRAM_OCTAVES != 0)
                    continue;
                uint64_t edge = traj_histogram_quantile(&h, 1);
                assert_true(edge >= v);
                assert_true(edge - v <= v / 32);
            }
        }
    }
}

static int compare(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a;
    uint64_t y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

static void quantiles_are_those_of_the_sorted_values(void **state)
{
    (void)state;
    enum { COUNT = 5000 };
    static uint64_t value[COUNT];
    static struct traj_histogram h;
    uint64_t seed = tiny_seed();
    for (size_t i = 0; i < COUNT; i++) {
        value[i] = tiny_random(&seed) >> (28 + tiny_choice(&seed, 36));
        traj_histogram_record(&h, value[i]);
    }
    qsort(value, COUNT, sizeof value[0], compare);
    const size_t rank[] = {1, 2, 50, 2500, 4500, 4950, 4995, 5000};
    for (size_t i = 0; i < sizeof rank / sizeof rank[0]; i++) {
        uint64_t truth = value[rank[i] - 1];
        uint64_t found = traj_histogram_quantile(&h, (double)rank[i] / COUNT);
        assert_true(found >= truth && found - truth <= truth / 32);
    }
    assert_int_equal(traj_histogram_quantile(&h, 1), value[COUNT - 1]);
    assert_int_equal(traj_histogram_quantile(&h, 2), value[COUNT - 1]);
    assert_int_equal(h.min, value[0]);
}

static void overflow_is_counted(void **state)
{
    (void)state;
    static struct traj_histogram h;
    uint64_t limit = UINT64_C(1) << TRAJ_HISTOGRAM_OCTAVES;
    traj_histogram_record(&h, limit - 1);
    assert_int_equal(h.overflow, 0);
    traj_histogram_record(&h, limit);
    traj_histogram_record(&h, UINT64_MAX);
    traj_histogram_record(&h, UINT64_MAX);
    assert_int_equal(h.overflow, 3);
    assert_int_equal(h.count, 4);
    assert_int_equal(traj_histogram_quantile(&h, 0.25), limit - 1);
    assert_int_equal(traj_histogram_quantile(&h, 0.5), UINT64_MAX);
    assert_int_equal(h.sum, UINT64_MAX); /* saturated, not wrapped */
}

static void merging_is_as_if_one_had_recorded_all(void **state)
{
    (void)state;
    static struct traj_histogram a, b, both, empty;
    uint64_t seed = 7;
    for (int i = 0; i < 1000; i++) {
        uint64_t v = tiny_random(&seed) >> (20 + tiny_choice(&seed, 40));
        traj_histogram_record(i % 3 != 0 ? &a : &b, v);
        traj_histogram_record(&both, v);
    }
    traj_histogram_merge(&a, &b);
    traj_histogram_merge(&a, &empty);
    assert_memory_equal(&a, &both, sizeof both);
    traj_histogram_merge(&empty, &both);
    assert_memory_equal(&empty, &both, sizeof both);
}

static void a_tally_reads_as_the_histogram(void **state)
{
    (void)state;
    static struct traj_histogram plain, copy;
    static struct traj_tally tally;
    uint64_t seed = tiny_seed();
    traj_tally_init(&tally);
    traj_tally_read(&tally, &copy);
    assert_memory_equal(&copy, &plain, sizeof copy);
    for (int i = 0; i < 2000; i++) {
        uint64_t v = tiny_random(&seed) >> tiny_choice(&seed, 60);
        traj_histogram_record(&plain, v);
        traj_tally_record(&tally, v);
    }
    traj_tally_read(&tally, &copy);
    assert_true(copy.overflow > 0);
    assert_memory_equal(&copy, &plain, sizeof copy);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_one_knows_nothing),
        cmocka_unit_test(small_values_are_exact),
        cmocka_unit_test(each_value_falls_into_its_bin),
        cmocka_unit_test(quantiles_are_those_of_the_sorted_values),
        cmocka_unit_test(overflow_is_counted),
        cmocka_unit_test(merging_is_as_if_one_had_recorded_all),
        cmocka_unit_test(a_tally_reads_as_the_histogram),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
