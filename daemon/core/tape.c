/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A ring of bytes.  head counts bytes put in, tail bytes taken out; both only grow.  An entry is
 * eight bytes of length and then the record, padded to eight bytes; one that does not fit before
 * the end of the ring begins at its start, and a length of SKIP says so.
 *
 * The counters are 64-bit numbers without a lock, so that they mean the same in another process.
 */
#include "daemon/core/tape.h"

#include <assert.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <string.h>

#define CACHE_LINE 64
#define WORD 8u
#define SKIP UINT64_MAX
#define MAGIC UINT64_C(0x3145504154444a54) /* "TJDTAPE1" */

struct traj_tape {
    uint64_t magic;
    uint64_t capacity; /* bytes of the ring, a multiple of WORD */
    char name[TRAJ_TAPE_NAME];
    alignas(CACHE_LINE) _Atomic uint64_t head;
    uint64_t reserved; /* writer's own: bytes from head to the reserved entry */
    alignas(CACHE_LINE) _Atomic uint64_t tail;
    alignas(CACHE_LINE) unsigned char ring[];
};

static_assert(sizeof(_Atomic uint64_t) == WORD, "a counter is eight bytes in every process");

static size_t padded(size_t size)
{
    return (size + WORD - 1) / WORD * WORD;
}

size_t traj_tape_size(size_t room)
{
    if (room < CACHE_LINE || room > SIZE_MAX / 4)
        return 0;
    return sizeof(struct traj_tape) + padded(room);
}

struct traj_tape *traj_tape_init(void *memory, size_t size, const char *name)
{
    if (memory == NULL || (uintptr_t)memory % CACHE_LINE != 0 ||
        size < sizeof(struct traj_tape) + CACHE_LINE)
        return NULL;
    struct traj_tape *tape = memory;
    /* The ring too: its pages are there before the first record needs them. */
    memset(memory, 0, size);
    tape->capacity = (size - sizeof *tape) / WORD * WORD;
    memcpy(tape->name, name, strnlen(name, sizeof tape->name - 1));
    atomic_init(&tape->head, 0);
    atomic_init(&tape->tail, 0);
    tape->magic = MAGIC;
    return tape;
}

struct traj_tape *traj_tape_attach(void *memory, size_t size)
{
    if (memory == NULL || (uintptr_t)memory % CACHE_LINE != 0 || size < sizeof(struct traj_tape))
        return NULL;
    struct traj_tape *tape = memory;
    if (tape->magic != MAGIC || tape->capacity != (size - sizeof *tape) / WORD * WORD ||
        tape->capacity == 0 || tape->name[sizeof tape->name - 1] != '\0')
        return NULL;
    uint64_t head = atomic_load_explicit(&tape->head, memory_order_acquire);
    uint64_t tail = atomic_load_explicit(&tape->tail, memory_order_acquire);
    if (head < tail || head - tail > tape->capacity || head % WORD != 0 || tail % WORD != 0)
        return NULL;
    return tape;
}

const char *traj_tape_peek(const void *memory, size_t size)
{
    static_assert(sizeof(struct traj_tape) <= TRAJ_TAPE_PEEK, "the name is among them");
    const struct traj_tape *tape = memory;
    if (memory == NULL || (uintptr_t)memory % CACHE_LINE != 0 || size < TRAJ_TAPE_PEEK ||
        tape->magic != MAGIC || tape->name[sizeof tape->name - 1] != '\0')
        return NULL;
    return tape->name;
}

const char *traj_tape_name(const struct traj_tape *tape)
{
    return tape->name;
}

size_t traj_tape_capacity(const struct traj_tape *tape)
{
    return (size_t)tape->capacity;
}

/* --- writer ----------------------------------------------------------------------------------- */

/*
 * Bytes free for one entry, its length word included: either before the end of the ring, or at its
 * start.  *at_start tells which is larger.
 */
static size_t largest_entry(const struct traj_tape *tape, bool *at_start)
{
    uint64_t head = atomic_load_explicit(&tape->head, memory_order_relaxed);
    uint64_t tail = atomic_load_explicit(&tape->tail, memory_order_acquire);
    uint64_t free_bytes = tape->capacity - (head - tail);
    uint64_t to_end = tape->capacity - head % tape->capacity;
    *at_start = false;
    if (free_bytes <= to_end)
        return (size_t)free_bytes;
    if (free_bytes - to_end > to_end) {
        *at_start = true;
        return (size_t)(free_bytes - to_end);
    }
    return (size_t)to_end;
}

size_t traj_tape_room(const struct traj_tape *tape, size_t spare)
{
    bool at_start;
    uint64_t used = atomic_load_explicit(&tape->head, memory_order_relaxed) -
                    atomic_load_explicit(&tape->tail, memory_order_acquire);
    size_t free_bytes = (size_t)(tape->capacity - used);
    size_t entry = largest_entry(tape, &at_start);
    if (free_bytes <= spare + WORD || entry <= WORD)
        return 0;
    size_t most = (free_bytes - spare) / WORD * WORD - WORD;
    return most < entry - WORD ? most : entry - WORD;
}

static void put_word(struct traj_tape *tape, uint64_t at, uint64_t value)
{
    memcpy(tape->ring + at % tape->capacity, &value, sizeof value);
}

void *traj_tape_reserve(struct traj_tape *tape, size_t size)
{
    uint64_t head = atomic_load_explicit(&tape->head, memory_order_relaxed);
    uint64_t tail = atomic_load_explicit(&tape->tail, memory_order_acquire);
    uint64_t free_bytes = tape->capacity - (head - tail);
    uint64_t to_end = tape->capacity - head % tape->capacity;
    if (size > tape->capacity)
        return NULL;
    uint64_t entry = WORD + padded(size);
    tape->reserved = 0;
    if (entry > to_end)
        tape->reserved = to_end;
    if (tape->reserved + entry > free_bytes)
        return NULL;
    return tape->ring + (head + tape->reserved) % tape->capacity + WORD;
}

void traj_tape_commit(struct traj_tape *tape, size_t used)
{
    uint64_t head = atomic_load_explicit(&tape->head, memory_order_relaxed);
    if (tape->reserved > 0)
        put_word(tape, head, SKIP);
    put_word(tape, head + tape->reserved, used);
    atomic_store_explicit(&tape->head, head + tape->reserved + WORD + padded(used),
                          memory_order_release);
}

/* --- reader ----------------------------------------------------------------------------------- */

uint64_t traj_tape_begin(const struct traj_tape *tape)
{
    return atomic_load_explicit(&tape->tail, memory_order_relaxed);
}

void *traj_tape_read(struct traj_tape *tape, uint64_t *at, size_t *size)
{
    uint64_t head = atomic_load_explicit(&tape->head, memory_order_acquire);
    for (int i = 0; i < 2; i++) {
        uint64_t place = *at % tape->capacity;
        uint64_t to_end = tape->capacity - place;
        uint64_t waiting = head - *at;
        uint64_t length;
        if (waiting < WORD || waiting > tape->capacity)
            return NULL;
        memcpy(&length, tape->ring + place, sizeof length);
        if (length == SKIP) {
            *at += to_end;
            continue;
        }
        /* A tape of another process may hold anything, so that no length is believed. */
        if (length > to_end - WORD || waiting < WORD + padded((size_t)length))
            return NULL;
        *at += WORD + padded((size_t)length);
        *size = (size_t)length;
        return tape->ring + place + WORD;
    }
    return NULL;
}

void traj_tape_release(struct traj_tape *tape, uint64_t at)
{
    atomic_store_explicit(&tape->tail, at, memory_order_release);
}

size_t traj_tape_waiting(const struct traj_tape *tape)
{
    /* tail first: read in the other order it might be beyond head */
    uint64_t tail = atomic_load_explicit(&tape->tail, memory_order_acquire);
    uint64_t head = atomic_load_explicit(&tape->head, memory_order_acquire);
    uint64_t waiting = head - tail;
    return (size_t)(waiting <= tape->capacity ? waiting : tape->capacity);
}
