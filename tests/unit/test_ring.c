/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The ring between two threads: capacity, order, refusal, wrapping, and nothing torn or lost. */
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "daemon/core/ring.h"

/* A record whose size is no power of two; every field says the same number. */
struct record {
    uint64_t number;
    uint64_t twice;
    unsigned char byte[5];
};

static struct record make_record(uint64_t number)
{
    struct record record;
    memset(&record, 0, sizeof record);
    record.number = number;
    record.twice = 2 * number;
    memset(record.byte, (int)(number & 0xff), sizeof record.byte);
    return record;
}

static void check_record(const struct record *record, uint64_t number)
{
    struct record expected = make_record(number);
    assert_memory_equal(record, &expected, sizeof expected);
}

static struct traj_ring *make_ring(size_t capacity, void **memory)
{
    size_t size = traj_ring_size(sizeof(struct record), capacity);
    *memory = malloc(size + 1);
    assert_non_null(*memory);
    /* A block that is not aligned at all: the size asked for includes the slack. */
    return traj_ring_init((unsigned char *)*memory + 1, size, sizeof(struct record), capacity);
}

static void sizes_are_checked(void **state)
{
    (void)state;
    assert_int_equal(traj_ring_size(0, 4), 0);
    assert_int_equal(traj_ring_size(8, 0), 0);
    assert_int_equal(traj_ring_size(SIZE_MAX / 2, 4), 0);
    assert_int_equal(traj_ring_size(1024, SIZE_MAX / 1024), 0);
    size_t size = traj_ring_size(8, 4);
    void *memory = malloc(size);
    assert_non_null(memory);
    assert_null(traj_ring_init(memory, size - 1, 8, 4));
    assert_null(traj_ring_init(NULL, size, 8, 4));
    assert_non_null(traj_ring_init(memory, size, 8, 4));
    free(memory);
}

static void a_full_ring_refuses_and_an_empty_one_has_nothing(void **state)
{
    (void)state;
    void *memory;
    struct traj_ring *ring = make_ring(5, &memory);
    assert_non_null(ring);
    assert_int_equal(traj_ring_capacity(ring), 8);
    struct record record;
    assert_false(traj_ring_pop(ring, &record));
    for (uint64_t i = 0; i < 8; i++) {
        record = make_record(i);
        assert_true(traj_ring_push(ring, &record));
        assert_int_equal(traj_ring_waiting(ring), i + 1);
    }
    assert_false(traj_ring_push(ring, &record));
    assert_null(traj_ring_reserve(ring));
    for (uint64_t i = 0; i < 8; i++) {
        assert_true(traj_ring_pop(ring, &record));
        check_record(&record, i);
    }
    assert_null(traj_ring_peek(ring));
    assert_int_equal(traj_ring_waiting(ring), 0);
    free(memory);
}

static void it_wraps_many_times(void **state)
{
    (void)state;
    void *memory;
    struct traj_ring *ring = make_ring(4, &memory);
    assert_non_null(ring);
    uint64_t in = 0;
    uint64_t out = 0;
    for (int round = 0; round < 1000; round++) {
        for (int i = 0; i < round % 5; i++) {
            struct record *slot = traj_ring_reserve(ring);
            if (slot == NULL)
                break;
            *slot = make_record(in++);
            traj_ring_commit(ring);
        }
        for (int i = 0; i < (round + 2) % 4; i++) {
            const struct record *slot = traj_ring_peek(ring);
            if (slot == NULL)
                break;
            check_record(slot, out++);
            traj_ring_release(ring);
        }
        assert_int_equal(traj_ring_waiting(ring), in - out);
    }
    assert_true(out > 1000);
    free(memory);
}

#define THROUGH 200000

static void *produce(void *argument)
{
    struct traj_ring *ring = argument;
    for (uint64_t i = 0; i < THROUGH;) {
        struct record record = make_record(i);
        if (traj_ring_push(ring, &record))
            i++;
        else
            sched_yield();
    }
    return NULL;
}

static void nothing_is_lost_or_torn_between_threads(void **state)
{
    (void)state;
    void *memory;
    struct traj_ring *ring = make_ring(16, &memory);
    assert_non_null(ring);
    pthread_t producer;
    assert_int_equal(pthread_create(&producer, NULL, produce, ring), 0);
    for (uint64_t i = 0; i < THROUGH;) {
        struct record record;
        assert_true(traj_ring_waiting(ring) <= traj_ring_capacity(ring));
        if (traj_ring_pop(ring, &record))
            check_record(&record, i++);
        else
            sched_yield();
    }
    assert_int_equal(pthread_join(producer, NULL), 0);
    assert_int_equal(traj_ring_waiting(ring), 0);
    printf("%d records went through a ring of %zu\n", THROUGH, traj_ring_capacity(ring));
    free(memory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sizes_are_checked),
        cmocka_unit_test(a_full_ring_refuses_and_an_empty_one_has_nothing),
        cmocka_unit_test(it_wraps_many_times),
        cmocka_unit_test(nothing_is_lost_or_torn_between_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
