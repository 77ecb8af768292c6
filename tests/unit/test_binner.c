/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The binner: edges, closing by lag and by waiting, late spikes, leaps, restarts. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "daemon/core/binner.h"

#define UNITS 3
#define NEVER (-1e9) /* a time at which no wait is over */

static const struct traj_binner_settings usual = {.rate = 1000.0,
                                                  .bin_s = 0.02,
                                                  .lag_s = 0.005,
                                                  .wait_s = 0.1,
                                                  .silence_s = 0.3,
                                                  .jump_s = 2.0,
                                                  .units = UNITS};

struct bench {
    void *memory;
    struct traj_binner *binner;
    struct traj_frame frame;
    uint16_t counts[UNITS];
};

static struct bench make(const struct traj_binner_settings *settings)
{
    struct bench bench = {0};
    size_t size = traj_binner_size(settings);

    assert_true(size > 0);
    bench.memory = malloc(size);
    assert_null(traj_binner_init(bench.memory, size - 1, settings));
    bench.binner = traj_binner_init(bench.memory, size, settings);
    assert_non_null(bench.binner);
    return bench;
}

static bool next(struct bench *bench, double now)
{
    bench->frame.counts = bench->counts;
    bench->frame.units_max = UNITS;
    return traj_binner_next(bench->binner, now, &bench->frame);
}

static void settings_are_checked(void **state)
{
    struct traj_binner_settings wrong = usual;

    (void)state;
    assert_null(traj_binner_check(&usual));
    wrong.bin_s = 0.001;
    assert_string_equal(traj_binner_check(&wrong), "bin");
    wrong = usual;
    wrong.rate = NAN;
    assert_string_equal(traj_binner_check(&wrong), "rate");
    wrong = usual;
    wrong.silence_s = wrong.lag_s;
    assert_string_equal(traj_binner_check(&wrong), "silence");
    wrong = usual;
    wrong.units = 0;
    assert_string_equal(traj_binner_check(&wrong), "units");
    assert_int_equal(traj_binner_size(&wrong), 0);
}

/* Joined in the middle of bin 1: bin 2 is the first, and a bin closes lag after its end. */
static void bins_lie_on_the_clock_of_the_source(void **state)
{
    struct bench bench = make(&usual);

    (void)state;
    assert_int_equal(traj_binner_seen(bench.binner, 33, 0.0), TRAJ_BINNER_FINE);
    assert_false(traj_binner_spikes(bench.binner, 39, 0, 1));
    assert_true(traj_binner_spikes(bench.binner, 40, 0, 1));
    assert_true(traj_binner_spikes(bench.binner, 59, 1, 2));
    assert_true(traj_binner_spikes(bench.binner, 60, 2, 1));
    (void)traj_binner_seen(bench.binner, 64, 0.031);
    assert_false(next(&bench, 0.031));
    (void)traj_binner_seen(bench.binner, 65, 0.032);
    assert_true(next(&bench, 0.032));
    assert_int_equal(bench.frame.seq, 0);
    assert_true(bench.frame.t == 0.06 && bench.frame.dt == 0.02);
    assert_int_equal(bench.frame.device, 60);
    assert_int_equal(bench.counts[0], 1);
    assert_int_equal(bench.counts[1], 2);
    assert_int_equal(bench.counts[2], 0);
    assert_false(next(&bench, 0.032));
    /* The given bin takes nothing more. */
    assert_false(traj_binner_spikes(bench.binner, 50, 0, 3));
    (void)traj_binner_seen(bench.binner, 85, 0.05);
    assert_true(next(&bench, 0.05));
    assert_int_equal(bench.frame.seq, 1);
    assert_int_equal(bench.counts[0], 0);
    assert_int_equal(bench.counts[2], 1);
    assert_int_equal(traj_binner_counters(bench.binner)->late, 3);
    assert_int_equal(traj_binner_counters(bench.binner)->early, 1);
    assert_int_equal(traj_binner_counters(bench.binner)->spikes, 4);
    free(bench.memory);
}

/* 24414.0625 samples/s and 20 ms: 488.28 samples a bin; every sample belongs to exactly one. */
static void bins_need_not_be_whole_samples(void **state)
{
    struct traj_binner_settings settings = usual;
    uint64_t binned = 0;
    int64_t last = 0;

    (void)state;
    settings.rate = 24414.0625;
    struct bench bench = make(&settings);
    (void)traj_binner_seen(bench.binner, 0, 0.0);
    for (int64_t sample = 0; sample < 100000; sample++) {
        assert_true(traj_binner_spikes(bench.binner, sample, 0, 1));
        (void)traj_binner_seen(bench.binner, sample + 1, (double)sample / settings.rate);
        while (next(&bench, NEVER)) {
            int64_t end = (int64_t)bench.frame.device;

            assert_int_equal(bench.counts[0], end - last);
            assert_true(end - last == 488 || end - last == 489);
            assert_true(fabs(bench.frame.dt - (double)(end - last) / settings.rate) < 1e-12);
            binned += bench.counts[0];
            last = end;
        }
    }
    assert_int_equal(binned, last);
    printf("%llu samples in %llu bins\n", (unsigned long long)binned,
           (unsigned long long)traj_binner_counters(bench.binner)->bins);
    free(bench.memory);
}

/* Nothing comes any more: bins close by waiting, as far as the clock is trusted, and no further. */
static void waiting_is_bounded(void **state)
{
    struct bench bench = make(&usual);
    size_t bins = 0;

    (void)state;
    (void)traj_binner_seen(bench.binner, 0, 10.0);
    (void)traj_binner_seen(bench.binner, 45, 10.045);
    assert_true(next(&bench, 10.045)); /* 0 .. 20; that of 20 .. 40 waits for the lag or */
    assert_true(next(&bench, 10.045));
    assert_false(next(&bench, 10.045));
    /* for its end at 60 and 100 ms more. */
    assert_true(fabs(traj_binner_deadline(bench.binner) - 10.16) < 1e-9);
    assert_false(next(&bench, 10.159));
    assert_true(next(&bench, 10.161));
    while (next(&bench, 100.0)) {
        bins++;
    }
    /* The clock is trusted up to 45 + 300 ms; ends up to 245 are due by then. */
    assert_int_equal(bins, 9);
    assert_true(isinf(traj_binner_deadline(bench.binner)));
    assert_int_equal(traj_binner_counters(bench.binner)->waited, 10);
    free(bench.memory);
}

/* How many steps of 10 samples are binned; the first comes at now, the others in this pace. */
static uint64_t feed(struct bench *bench, int64_t first, int64_t last, double now, double pace)
{
    uint64_t binned = traj_binner_counters(bench->binner)->spikes;

    for (int64_t sample = first; sample < last; sample += 10) {
        (void)traj_binner_spikes(bench->binner, sample + 5, 0, 1);
        (void)traj_binner_seen(bench->binner, sample + 10, now);
        while (next(bench, now + 0.9 * pace)) {
        }
        now += pace;
    }
    return traj_binner_counters(bench->binner)->spikes - binned;
}

/* Held up for 0.8 s and then quicker than time: only what was closed meanwhile is late. */
static void a_source_catches_up(void **state)
{
    struct bench bench = make(&usual);

    (void)state;
    (void)traj_binner_seen(bench.binner, 0, 0.01);
    assert_int_equal(feed(&bench, 0, 1000, 0.01, 0.01), 100);
    while (next(&bench, 1.8)) {
    }
    /* The clock is trusted until 1.3 s, and waits are 100 ms: ends from 1 to 1.2 s were due. */
    assert_int_equal(traj_binner_counters(bench.binner)->waited, 11);
    assert_int_equal(feed(&bench, 1000, 1800, 1.8, 0.002), 60);
    assert_int_equal(traj_binner_counters(bench.binner)->waited, 11);
    assert_int_equal(traj_binner_counters(bench.binner)->late, 20);
    free(bench.memory);
}

/* From one step on everything comes 0.25 s later, more than a wait, and nothing more is lost. */
static void a_source_may_come_later_than_it_used_to(void **state)
{
    struct bench bench = make(&usual);

    (void)state;
    (void)traj_binner_seen(bench.binner, 0, 0.01);
    assert_int_equal(feed(&bench, 0, 1000, 0.01, 0.01), 100);
    /* Of the 0.25 s that nothing comes the first 0.1 s are the wait. */
    while (next(&bench, 1.25)) {
    }
    assert_int_equal(feed(&bench, 1000, 3000, 1.26, 0.01), 186);
    assert_int_equal(traj_binner_counters(bench.binner)->late, 14);
    free(bench.memory);
}

static void leaps_are_not_filled(void **state)
{
    struct bench bench = make(&usual);

    (void)state;
    (void)traj_binner_seen(bench.binner, 0, 0.0);
    (void)traj_binner_seen(bench.binner, 50, 0.05);
    while (next(&bench, NEVER)) {
    }
    (void)traj_binner_spikes(bench.binner, 55, 0, 1);
    (void)traj_binner_spikes(bench.binner, 105, 0, 1); /* in what turns out to be a leap */
    (void)traj_binner_seen(bench.binner, 1050, 1.05);
    assert_true(next(&bench, NEVER));
    assert_int_equal(bench.frame.seq, 2); /* 40 .. 60, of which something was seen */
    assert_int_equal(bench.counts[0], 1);
    assert_false(next(&bench, NEVER));
    (void)traj_binner_seen(bench.binner, 1070, 1.07);
    assert_true(next(&bench, NEVER));
    assert_int_equal(bench.frame.seq, 52); /* 1040 .. 1060 */
    assert_int_equal(bench.counts[0], 0);
    assert_int_equal(traj_binner_counters(bench.binner)->skipped, 49);
    assert_int_equal(traj_binner_counters(bench.binner)->leaps, 1);
    free(bench.memory);
}

static void one_absurd_sample_number_moves_nothing(void **state)
{
    struct bench bench = make(&usual);

    (void)state;
    (void)traj_binner_seen(bench.binner, 10000, 0.0);
    assert_int_equal(traj_binner_seen(bench.binner, INT64_C(1) << 60, 0.01), TRAJ_BINNER_DOUBTFUL);
    assert_int_equal(traj_binner_seen(bench.binner, 9000000, 0.01), TRAJ_BINNER_DOUBTFUL);
    assert_int_equal(traj_binner_seen(bench.binner, -1, 0.01), TRAJ_BINNER_DOUBTFUL);
    assert_int_equal(traj_binner_seen(bench.binner, 10010, 0.01), TRAJ_BINNER_FINE);
    assert_false(traj_binner_spikes(bench.binner, 9000000, 0, 1));
    assert_int_equal(traj_binner_counters(bench.binner)->doubtful, 4);
    /* Two that agree are believed, and going back is a new start. */
    assert_int_equal(traj_binner_seen(bench.binner, 100, 0.02), TRAJ_BINNER_DOUBTFUL);
    assert_int_equal(traj_binner_seen(bench.binner, 130, 0.05), TRAJ_BINNER_ANEW);
    traj_binner_restart(bench.binner);
    assert_int_equal(traj_binner_seen(bench.binner, 140, 0.05), TRAJ_BINNER_FINE);
    (void)traj_binner_seen(bench.binner, 165, 0.07);
    assert_true(next(&bench, NEVER));
    assert_int_equal(bench.frame.seq, 0);
    assert_true(bench.frame.t == 0.16);
    free(bench.memory);
}

static void counts_do_not_overflow(void **state)
{
    struct bench bench = make(&usual);

    (void)state;
    (void)traj_binner_seen(bench.binner, 0, 0.0);
    for (int i = 0; i < 3; i++) {
        assert_true(traj_binner_spikes(bench.binner, 1, 0, 60000));
    }
    (void)traj_binner_seen(bench.binner, 30, 0.0);
    assert_true(next(&bench, NEVER));
    assert_int_equal(bench.counts[0], 65534);
    free(bench.memory);
}

/* Any order of calls: what went in is what comes out or is counted. */
static void nothing_is_lost_silently(void **state)
{
    struct bench bench = make(&usual);
    const struct traj_binner_counters *counters = traj_binner_counters(bench.binner);
    uint64_t random = 12345, sent = 0, given = 0, seq = 0;
    int64_t clock = 0;
    bool any = false;

    (void)state;
    for (int i = 0; i < 200000; i++) {
        random = random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        unsigned draw = (unsigned)(random >> 40);
        double now = 1e-3 * (double)clock;

        clock += draw % 97 == 0 ? draw % 3000 : draw % 3;
        if (draw % 5 == 0) {
            if (traj_binner_seen(bench.binner, clock, now) == TRAJ_BINNER_ANEW) {
                fail();
            }
        } else {
            int64_t away = (int64_t)(random >> 33 & 0xff) - 128;

            (void)traj_binner_spikes(bench.binner, clock + away, draw % UNITS, 1);
            sent++;
        }
        while (next(&bench, now)) {
            assert_true(!any || bench.frame.seq > seq);
            any = true;
            seq = bench.frame.seq;
            given += (uint64_t)bench.counts[0] + bench.counts[1] + bench.counts[2];
        }
    }
    for (int i = 1; i < 40; i++) {
        (void)traj_binner_seen(bench.binner, clock + 10 * i, 1e-3 * (double)clock);
        while (next(&bench, NEVER)) {
            given += (uint64_t)bench.counts[0] + bench.counts[1] + bench.counts[2];
        }
    }
    printf("%llu spikes: %llu binned, %llu late, %llu early, %llu doubtful; %llu leaps\n",
           (unsigned long long)sent, (unsigned long long)counters->spikes,
           (unsigned long long)counters->late, (unsigned long long)counters->early,
           (unsigned long long)counters->doubtful, (unsigned long long)counters->leaps);
    assert_true(counters->leaps > 100 && counters->late > 100);
    assert_true(given <= counters->spikes);
    /* What was binned and not given lay in a leap that was seen to be one afterwards. */
    assert_true(counters->spikes - given < counters->leaps * 16);
    assert_true(sent <= counters->spikes + counters->late + counters->early + counters->doubtful);
    free(bench.memory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(settings_are_checked),
        cmocka_unit_test(bins_lie_on_the_clock_of_the_source),
        cmocka_unit_test(bins_need_not_be_whole_samples),
        cmocka_unit_test(waiting_is_bounded),
        cmocka_unit_test(a_source_catches_up),
        cmocka_unit_test(a_source_may_come_later_than_it_used_to),
        cmocka_unit_test(leaps_are_not_filled),
        cmocka_unit_test(one_absurd_sample_number_moves_nothing),
        cmocka_unit_test(counts_do_not_overflow),
        cmocka_unit_test(nothing_is_lost_silently),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
