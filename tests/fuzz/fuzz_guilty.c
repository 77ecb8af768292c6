/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Ends in every way that judge.py has to tell apart, by the first letter of the input, so that
 * test_judge.py notices a judge that finds nobody guilty.  It tries no parser and has no corpus.
 */
#include <jansson.h>
#include <limits.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include "tests/fuzz/require.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

FUZZ_READERS(1);

/* A library writes past the end of a block of ours, because we say that it is larger. */
static void lie_to_library(void)
{
    char *block = malloc(4);
    json_t *text = json_string("more than four bytes");
    (void)json_dumpb(text, block, 64, JSON_ENCODE_ANY);
    json_decref(text);
    free(block);
}

static void read_past_end(void)
{
    volatile char *block = malloc(4);
    volatile size_t beyond = 4;
    (void)block[beyond];
    free((void *)(uintptr_t)block);
}

static void count_past_end(void)
{
    volatile int most = INT_MAX;
    most = most + 1;
}

/* As a library does that believes what a file claims. */
static void end_in_library(void)
{
    volatile uintptr_t nowhere = 16;
    (void)json_object_size((const json_t *)nowhere);
}

static void go_round(void)
{
    for (volatile int i = 0;; i = !i) {
    }
}

/* Longer than judge.py lets an input take, whatever signals come; without the processor. */
static void wait_long(void)
{
    for (unsigned left = 9; left > 0;)
        left = sleep(left);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    ACCEPTED(0);
    switch (size > 0 ? data[0] : 0) {
    case 'R':
        REQUIRE(size == 0);
        break;
    case 'A':
        abort();
    case 'H':
        read_past_end();
        break;
    case 'U':
        count_past_end();
        break;
    case 'W':
        lie_to_library();
        break;
    case 'T':
        go_round();
        break;
    case 'S':
        wait_long();
        break;
    case 'L':
        end_in_library();
        break;
    default:
        break;
    }
    return 0;
}
