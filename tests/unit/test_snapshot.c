/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The snapshot of counters: what is read is always one value that was written, never two halves. */
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "daemon/core/snapshot.h"

/* Its size, that of the daemon's counters, is no multiple of eight; all its numbers are equal. */
enum { NUMBERS = 2049 };
struct value {
    uint32_t number[NUMBERS];
};

static struct value make_value(uint32_t number)
{
    struct value value;
    for (size_t i = 0; i < NUMBERS; i++)
        value.number[i] = number;
    return value;
}

static struct traj_snapshot *make_snapshot(void **memory)
{
    size_t size = traj_snapshot_size(sizeof(struct value));
    *memory = malloc(size + 1);
    assert_non_null(*memory);
    return traj_snapshot_init((unsigned char *)*memory + 1, size, sizeof(struct value));
}

static void sizes_are_checked(void **state)
{
    (void)state;
    assert_int_equal(traj_snapshot_size(0), 0);
    assert_int_equal(traj_snapshot_size(SIZE_MAX), 0);
    size_t size = traj_snapshot_size(12);
    void *memory = malloc(size);
    assert_non_null(memory);
    assert_null(traj_snapshot_init(memory, size - 1, 12));
    assert_non_null(traj_snapshot_init(memory, size, 12));
    free(memory);
}

static void the_last_value_written_is_read(void **state)
{
    (void)state;
    void *memory;
    struct traj_snapshot *snapshot = make_snapshot(&memory);
    assert_non_null(snapshot);
    /* One byte more than the value, to see that it is not touched. */
    unsigned char read[sizeof(struct value) + 1];
    read[sizeof(struct value)] = 0xa5;
    for (uint32_t i = 0; i < 100; i++) {
        struct value expected = make_value(i);
        if (i > 0)
            traj_snapshot_write(snapshot, &expected);
        assert_true(traj_snapshot_read(snapshot, read, 1));
        assert_memory_equal(read, &expected, sizeof expected);
    }
    assert_int_equal(read[sizeof(struct value)], 0xa5);
    assert_false(traj_snapshot_read(snapshot, read, 0));
    free(memory);
}

struct shared {
    struct traj_snapshot *snapshot;
    atomic_bool done;
};

/* What one reader saw. */
struct reader {
    pthread_t thread;
    struct shared *shared;
    unsigned long reads, overtaken, torn, backward;
};

/* More readers than this machine is likely to have idle processors: now and then the writer is put
 * to sleep in the middle of a value. */
enum { WRITES = 5000, READERS = 3 };

static void *write_on(void *argument)
{
    struct shared *shared = argument;
    for (uint32_t i = 1; i <= WRITES; i++) {
        struct value value = make_value(i);
        traj_snapshot_write(shared->snapshot, &value);
    }
    atomic_store(&shared->done, true);
    return NULL;
}

static void *read_on(void *argument)
{
    struct reader *reader = argument;
    uint32_t last = 0;
    bool done = false;
    while (!done) {
        done = atomic_load(&reader->shared->done);
        struct value value;
        if (!traj_snapshot_read(reader->shared->snapshot, &value, 1)) {
            reader->overtaken++;
            sched_yield();
            continue;
        }
        reader->reads++;
        for (size_t i = 1; i < NUMBERS; i++)
            reader->torn += value.number[i] != value.number[0];
        reader->backward += value.number[0] < last;
        last = value.number[0];
    }
    return NULL;
}

static void a_value_is_never_torn_between_threads(void **state)
{
    (void)state;
    void *memory;
    struct shared shared = {.snapshot = make_snapshot(&memory)};
    struct reader reader[READERS];
    memset(reader, 0, sizeof reader);
    assert_non_null(shared.snapshot);
    for (size_t i = 0; i < READERS; i++) {
        reader[i].shared = &shared;
        assert_int_equal(pthread_create(&reader[i].thread, NULL, read_on, &reader[i]), 0);
    }
    (void)write_on(&shared);
    for (size_t i = 0; i < READERS; i++) {
        assert_int_equal(pthread_join(reader[i].thread, NULL), 0);
        printf("%lu reads, %lu overtaken\n", reader[i].reads, reader[i].overtaken);
        assert_true(reader[i].reads > 0);
        assert_int_equal(reader[i].torn, 0);
        assert_int_equal(reader[i].backward, 0);
    }
    struct value value;
    assert_true(traj_snapshot_read(shared.snapshot, &value, 1));
    assert_int_equal(value.number[NUMBERS - 1], WRITES);
    free(memory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sizes_are_checked),
        cmocka_unit_test(the_last_value_written_is_read),
        cmocka_unit_test(a_value_is_never_torn_between_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
