/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What must hold in a fuzzer, whatever the build: assert that NDEBUG cannot take away; and the
 * count of inputs that were read, without which a fuzzer that never gets past the first check of a
 * parser would pass for one that tries it.
 */
#ifndef TRAJ_FUZZ_REQUIRE_H
#define TRAJ_FUZZ_REQUIRE_H

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#define REQUIRE(condition)                                                                         \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: %s does not hold\n", __FILE__, __LINE__, #condition);          \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

/*
 * Each way of reading that a fuzzer tries has a number from 0.  FUZZ_READERS(n) once in the file
 * says how many there are, ACCEPTED(i) that the input at hand was read in the way i.  A replay of
 * the corpus (replay_main.c) fails unless it holds an input for each way.
 */
enum { FUZZ_READERS_MAX = 24 };
extern const size_t traj_fuzz_readers;
extern size_t traj_fuzz_accepted[FUZZ_READERS_MAX];
#define FUZZ_READERS(count)                                                                        \
    const size_t traj_fuzz_readers = (count);                                                      \
    size_t traj_fuzz_accepted[FUZZ_READERS_MAX]
#define ACCEPTED(reader) (traj_fuzz_accepted[reader]++)

#endif
