/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Any bytes as a closed-loop experiment: refused by a sentence, or read. */
#include <stdint.h>

#include "clients/rig/scenario.h"
#include "tests/fuzz/require.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

FUZZ_READERS(1);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct traj_scenario scenario;
    struct traj_error error = {{0}};
    traj_scenario_default(&scenario);
    int result = traj_scenario_parse(&scenario, (const char *)data, size, "fuzz", &error);
    REQUIRE((result != 0) == (error.text[0] != '\0'));
    if (result == 0) {
        REQUIRE(scenario.block.changes <= TRAJ_BLOCK_CHANGES);
        ACCEPTED(0);
    }
    return 0;
}
