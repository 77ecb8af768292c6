/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Any bytes as a map of units: refused with a reason, or read; then it writes and reads equal. */
#include <stdint.h>
#include <string.h>

#include "proto/units_map.h"
#include "tests/fuzz/require.h"

#define ROOM 32

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

FUZZ_READERS(1);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct traj_map_unit unit[ROOM], other[ROOM];
    static char text[ROOM * 1024];
    struct traj_units_map map = {.unit = unit, .units_max = ROOM};
    struct traj_units_map again = {.unit = other, .units_max = ROOM};
    struct traj_refusal_detail detail = {NULL, NULL, 0};
    enum traj_refusal refusal = traj_units_map_parse(data, size, &map, &detail);
    if (refusal != TRAJ_ACCEPTED) {
        REQUIRE(refusal < TRAJ_REFUSALS && detail.reason != NULL && detail.offset <= size);
        return 0;
    }
    ACCEPTED(0);
    size_t written = traj_units_map_write(&map, text, sizeof text);
    REQUIRE(written > 0);
    REQUIRE(traj_units_map_parse(text, written, &again, NULL) == TRAJ_ACCEPTED);
    REQUIRE(again.units == map.units && strcmp(again.source, map.source) == 0);
    REQUIRE(again.rate == map.rate && strcmp(again.stream, map.stream) == 0);
    for (size_t n = 0; n < map.units; n++) {
        REQUIRE(strcmp(unit[n].name, other[n].name) == 0 && unit[n].unit == other[n].unit);
        REQUIRE(strcmp(unit[n].channel, other[n].channel) == 0);
        REQUIRE(traj_units_map_find(&map, unit[n].channel, unit[n].unit) == n);
    }
    return 0;
}
