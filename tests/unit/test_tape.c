/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The tape between two threads, and one left behind: order, wrapping, refusal, nothing torn. */
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

#include "daemon/core/tape.h"

#define PAGE 4096
#define ROUNDS 200000

static struct traj_tape *make_tape(size_t room, void **memory, size_t *size)
{
    *size = (traj_tape_size(room) + PAGE - 1) / PAGE * PAGE;
    *memory = aligned_alloc(PAGE, *size);
    assert_non_null(*memory);
    struct traj_tape *tape = traj_tape_init(*memory, *size, "/some/where");
    assert_non_null(tape);
    return tape;
}

/* Records of all lengths, each of bytes that follow from its number. */
static size_t length_of(uint64_t number, size_t most)
{
    return (size_t)((number * 2654435761u) >> 7) % (most + 1);
}

static bool put_number(struct traj_tape *tape, uint64_t number, size_t most)
{
    size_t length = length_of(number, most);
    /* Sometimes more is reserved than used. */
    unsigned char *place = traj_tape_reserve(tape, length + number % 3 * 8);
    if (place == NULL)
        return false;
    assert_int_equal((uintptr_t)place % 8, 0);
    memset(place, (int)(number & 0xff), length);
    traj_tape_commit(tape, length);
    return true;
}

static bool check_number(struct traj_tape *tape, uint64_t *at, uint64_t number, size_t most)
{
    size_t size = 0;
    const unsigned char *bytes = traj_tape_read(tape, at, &size);
    if (bytes == NULL)
        return false;
    assert_int_equal(size, length_of(number, most));
    for (size_t i = 0; i < size; i++)
        assert_int_equal(bytes[i], number & 0xff);
    return true;
}

static void sizes_are_checked(void **state)
{
    (void)state;
    assert_int_equal(traj_tape_size(0), 0);
    assert_int_equal(traj_tape_size(SIZE_MAX), 0);
    void *memory;
    size_t size;
    struct traj_tape *tape = make_tape(1 << 16, &memory, &size);
    assert_null(traj_tape_init((char *)memory + 8, size - 8, ""));
    assert_null(traj_tape_init(memory, 100, ""));
    assert_null(traj_tape_reserve(tape, SIZE_MAX));
    assert_null(traj_tape_reserve(tape, traj_tape_capacity(tape)));
    assert_non_null(traj_tape_reserve(tape, traj_tape_capacity(tape) - 8));
    assert_string_equal(traj_tape_name(tape), "/some/where");
    assert_string_equal(traj_tape_peek(memory, size), "/some/where");
    assert_null(traj_tape_peek(memory, TRAJ_TAPE_PEEK - 1));
    assert_null(traj_tape_peek((char *)memory + 8, size - 8));
    /* A name without an end, and no tape. */
    unsigned char *bytes = memory;
    memset(bytes + 16, 'x', TRAJ_TAPE_NAME);
    assert_null(traj_tape_peek(memory, size));
    memset(bytes, 0, size);
    assert_null(traj_tape_peek(memory, size));
    free(memory);
}

/* What room says fits, and with it what is to stay free. */
static void room_is_what_fits(void **state)
{
    (void)state;
    void *memory;
    size_t size;
    struct traj_tape *tape = make_tape(1 << 14, &memory, &size);
    uint64_t number = 0, out = 0, at;
    for (int round = 0; round < 20000; round++) {
        size_t spare = (size_t)(round * 37 % 5000);
        size_t room = traj_tape_room(tape, spare);
        if (room > 0) {
            assert_non_null(traj_tape_reserve(tape, room));
            assert_true(traj_tape_waiting(tape) + 8 + room + spare <= traj_tape_capacity(tape));
        }
        assert_null(traj_tape_reserve(tape, traj_tape_room(tape, 0) + 8));
        number += put_number(tape, number, 900);
        at = traj_tape_begin(tape);
        if (round % 3 != 0 && check_number(tape, &at, out, 900)) {
            traj_tape_release(tape, at);
            out++;
        }
    }
    print_message("%lu records in, %lu out\n", (unsigned long)number, (unsigned long)out);
    assert_true(number > out && out > 5000);
    free(memory);
}

struct writer {
    struct traj_tape *tape;
    uint64_t refused;
};

static void *write_numbers(void *argument)
{
    struct writer *writer = argument;
    for (uint64_t number = 0; number < ROUNDS;) {
        if (put_number(writer->tape, number, 300)) {
            number++;
        } else {
            writer->refused++;
            (void)sched_yield();
        }
    }
    return NULL;
}

static void nothing_is_lost_between_two_threads(void **state)
{
    (void)state;
    void *memory;
    size_t size;
    struct writer writer = {.tape = make_tape(1 << 13, &memory, &size)};
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, write_numbers, &writer), 0);
    uint64_t number = 0;
    while (number < ROUNDS) {
        /* Several are read before they are given back. */
        uint64_t at = traj_tape_begin(writer.tape);
        size_t got = 0;
        while (got < 7 && check_number(writer.tape, &at, number, 300)) {
            number++;
            got++;
        }
        traj_tape_release(writer.tape, at);
        if (got == 0)
            (void)sched_yield();
    }
    assert_int_equal(pthread_join(thread, NULL), 0);
    print_message("%d records, %lu times full\n", ROUNDS, (unsigned long)writer.refused);
    free(memory);
}

/* A tape left behind reads as it was; one that is damaged gives less, and never reads outside. */
static void a_tape_left_behind(void **state)
{
    (void)state;
    void *memory;
    size_t size;
    struct traj_tape *tape = make_tape(1 << 13, &memory, &size);
    uint64_t number = 0;
    while (put_number(tape, number, 300))
        number++;
    unsigned char *copy = aligned_alloc(PAGE, size);
    assert_non_null(copy);
    memcpy(copy, memory, size);
    struct traj_tape *left = traj_tape_attach(copy, size);
    assert_non_null(left);
    uint64_t at = traj_tape_begin(left), read = 0;
    while (check_number(left, &at, read, 300))
        read++;
    assert_true(read == number && read > 20);
    assert_null(traj_tape_attach(copy, size - 8));
    uint64_t seed = 1;
    size_t attached = 0;
    for (int round = 0; round < 20000; round++) {
        memcpy(copy, memory, size);
        for (int k = 0; k < 4; k++) {
            seed = seed * 6364136223846793005u + 1442695040888963407u;
            copy[(seed >> 33) % size] = (unsigned char)(seed >> 25);
        }
        left = traj_tape_attach(copy, size);
        if (left == NULL)
            continue;
        attached++;
        at = traj_tape_begin(left);
        size_t length = 0;
        const unsigned char *bytes;
        for (int k = 0; k < 1000 && (bytes = traj_tape_read(left, &at, &length)) != NULL; k++) {
            assert_true(bytes >= copy && length <= (size_t)(copy + size - bytes));
        }
    }
    print_message("%zu damaged tapes read\n", attached);
    assert_true(attached > 1000);
    free(copy);
    free(memory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sizes_are_checked),
        cmocka_unit_test(room_is_what_fits),
        cmocka_unit_test(nothing_is_lost_between_two_threads),
        cmocka_unit_test(a_tape_left_behind),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
