/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Any bytes as the memory of a tape that a killed process has left: it is no tape, or whatever is
 * read of it lies in its memory, record after record, and comes to an end.  Records are looked at
 * as whoever mends a recording does (daemon/learn/recording_mend.c).
 *
 * The first byte chooses: 1 = the bytes stand behind a tape's first word and its size, which no
 * mutation would get right for another length.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/core/tape.h"
#include "proto/recording.h"
#include "tests/fuzz/require.h"

enum { HEADED = 1, HEAD = 16, PAGE = 4096, WORD = 8 };

/* Ways of reading: the name alone, a tape, something on it, and a whole record of a recording. */
enum { READ_NAME, READ_TAPE, READ_BYTES, READ_RECORD, READ_WAYS };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

FUZZ_READERS(READ_WAYS);

/* Zeros of exactly this size that begin with a page. */
static unsigned char *page_memory(size_t size)
{
    void *memory = NULL;
    REQUIRE(posix_memalign(&memory, PAGE, size > 0 ? size : 1) == 0);
    unsigned char *bytes = memory;
    memset(bytes, 0, size);
    return bytes;
}

/* How a tape of this size begins; nothing where there is none. */
static size_t put_head(unsigned char *memory, size_t size)
{
    unsigned char *made = page_memory(size);
    const size_t used = traj_tape_init(made, size, "") != NULL ? HEAD : 0;
    memcpy(memory, made, used);
    free(made);
    return used;
}

static void try_peek(const unsigned char *memory, size_t size)
{
    /* As much as whoever looks for tapes has read, and not a byte more. */
    const size_t seen = size < TRAJ_TAPE_PEEK ? size : TRAJ_TAPE_PEEK;
    unsigned char *first = page_memory(seen);
    memcpy(first, memory, seen);
    const char *name = traj_tape_peek(first, seen);
    REQUIRE(name == NULL || seen == TRAJ_TAPE_PEEK);
    if (name != NULL) {
        ACCEPTED(READ_NAME);
        REQUIRE(strlen(name) < TRAJ_TAPE_NAME);
    }
    free(first);
}

static void try_record(unsigned char *bytes, size_t size)
{
    struct traj_record record, again;
    size_t used, wanted;
    if (!traj_record_view(bytes, size, &record) || TRAJ_RECORD_HEADER + record.size != size)
        return;
    ACCEPTED(READ_RECORD);
    REQUIRE((const unsigned char *)record.payload == bytes + TRAJ_RECORD_HEADER ||
            record.size == 0);
    traj_record_seal(bytes, size);
    REQUIRE(traj_record_next(bytes, size, &again, &used, &wanted) == TRAJ_RECORD_GOOD);
    REQUIRE(used == size && again.number == record.number && again.kind == record.kind);
}

/*
 * From where reading stands to the end: each record stands behind the one before, or, once, at the
 * start again.
 */
static void read_all(struct traj_tape *tape, unsigned char *memory, size_t size, bool change)
{
    const size_t capacity = traj_tape_capacity(tape), waiting = traj_tape_waiting(tape);
    const uint64_t begin = traj_tape_begin(tape);
    const unsigned char *behind = NULL;
    uint64_t at = begin, before = begin;
    unsigned char *bytes;
    size_t length = 0, turns = 0;
    REQUIRE(capacity < size && waiting <= capacity);
    while ((bytes = traj_tape_read(tape, &at, &length)) != NULL) {
        REQUIRE(bytes > memory && bytes <= memory + size && (uintptr_t)bytes % WORD == 0);
        REQUIRE(length <= (size_t)(memory + size - bytes));
        REQUIRE(at >= before + WORD + length && at - begin <= waiting);
        turns += behind != NULL && bytes < behind;
        REQUIRE(turns <= 1);
        behind = bytes + length;
        before = at;
        ACCEPTED(READ_BYTES);
        if (change)
            try_record(bytes, length);
    }
    traj_tape_release(tape, before);
    REQUIRE(traj_tape_begin(tape) == before);
    REQUIRE(traj_tape_waiting(tape) == waiting - (size_t)(before - begin));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const bool headed = size > 0 && (data[0] & HEADED) != 0;
    const size_t given = size > 0 ? size - 1 : 0;
    const size_t whole = given + (headed ? HEAD : 0);
    unsigned char *memory = page_memory(whole);
    const size_t head = headed ? put_head(memory, whole) : 0;
    if (given > 0)
        memcpy(memory + head, data + 1, given);
    try_peek(memory, whole);
    struct traj_tape *tape = traj_tape_attach(memory, whole);
    if (tape != NULL) {
        ACCEPTED(READ_TAPE);
        REQUIRE(strlen(traj_tape_name(tape)) < TRAJ_TAPE_NAME);
        const uint64_t begin = traj_tape_begin(tape);
        read_all(tape, memory, whole, false);
        /* Once more from where it stood, and now with changes, as its reader may make. */
        traj_tape_release(tape, begin);
        read_all(tape, memory, whole, true);
    }
    free(memory);
    return 0;
}
