/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What must hold in a fuzzer, whatever the build: assert that NDEBUG cannot take away. */
#ifndef TRAJ_FUZZ_REQUIRE_H
#define TRAJ_FUZZ_REQUIRE_H

#include <stdio.h>
#include <stdlib.h>

#define REQUIRE(condition)                                                                         \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: %s does not hold\n", __FILE__, __LINE__, #condition);          \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

#endif
