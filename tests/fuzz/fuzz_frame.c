/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Any bytes as a frame: refused with a reason, or parsed; what is parsed writes and parses equal,
 * as JSON and as binary.
 */
#include <stdint.h>
#include <string.h>

#include "proto/crc32c.h"
#include "proto/frame.h"
#include "tests/fuzz/require.h"

#define ROOM 256

struct room {
    struct traj_frame frame;
    uint16_t counts[ROOM];
    float features[ROOM];
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

FUZZ_READERS(2);

static enum traj_refusal parse(const void *body, size_t size, struct room *room,
                               struct traj_refusal_detail *detail)
{
    room->frame.counts = room->counts;
    room->frame.feature = room->features;
    room->frame.units_max = ROOM;
    room->frame.features_max = ROOM;
    return traj_frame_parse(body, size, &room->frame, detail);
}

static void require_same(const struct room *a, const struct room *b)
{
    REQUIRE(a->frame.seq == b->frame.seq && a->frame.device == b->frame.device);
    REQUIRE(memcmp(&a->frame.t, &b->frame.t, sizeof a->frame.t) == 0);
    REQUIRE(a->frame.dt == b->frame.dt);
    REQUIRE(a->frame.units == b->frame.units && a->frame.features == b->frame.features);
    REQUIRE(memcmp(a->counts, b->counts, a->frame.units * sizeof a->counts[0]) == 0);
    REQUIRE(memcmp(a->features, b->features, a->frame.features * sizeof a->features[0]) == 0);
}

static void try_body(const uint8_t *data, size_t size)
{
    static char out[256 + ROOM * 6 + ROOM * 32];
    static struct room first;
    static struct room second;
    struct traj_refusal_detail detail = {NULL, NULL, 0};
    enum traj_refusal refusal = parse(data, size, &first, &detail);
    if (refusal != TRAJ_ACCEPTED) {
        REQUIRE(refusal < TRAJ_REFUSALS && detail.reason != NULL && detail.offset <= size);
        return;
    }
    ACCEPTED(data[0] == 'T' ? 1 : 0);
    size_t written = traj_frame_write_json(&first.frame, out, sizeof out);
    REQUIRE(written > 0);
    REQUIRE(parse(out, written, &second, NULL) == TRAJ_ACCEPTED);
    require_same(&first, &second);

    written = traj_frame_write_binary(&first.frame, out, sizeof out);
    REQUIRE(written == TRAJ_FRAME_HEADER + 2 * first.frame.units + 4 * first.frame.features);
    REQUIRE(parse(out, written, &second, NULL) == TRAJ_ACCEPTED);
    require_same(&first, &second);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    try_body(data, size);
    if (size >= TRAJ_FRAME_HEADER && data[0] == 'T') {
        /* Once more with a checksum that fits, which no mutation would find. */
        uint8_t *copy = malloc(size);
        REQUIRE(copy != NULL);
        memcpy(copy, data, size);
        memset(copy + 52, 0, 4);
        uint32_t crc = traj_crc32c(0, copy, size);
        for (size_t i = 0; i < 4; i++) {
            copy[52 + i] = (uint8_t)(crc >> 8 * i);
        }
        try_body(copy, size);
        free(copy);
    }
    return 0;
}
