/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Any bytes as a message of Open Ephys' Event Broadcaster: refused with a reason, or read; what is
 * read is within its bounds, and its binary form reads equal.  The first two bytes are the first
 * part.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "proto/event_broadcaster.h"
#include "tests/fuzz/require.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

FUZZ_READERS(2);

static void require_same(const struct traj_eb_message *message, const uint8_t *first)
{
    static const float wave[2] = {0};
    unsigned char out[64];
    struct traj_eb_message again;
    size_t size = traj_eb_write_binary(message, 7, 3, wave, 2, out, sizeof out);
    REQUIRE(size > 0);
    REQUIRE(traj_eb_parse(first, 2, out, size, &again, NULL) == TRAJ_ACCEPTED);
    REQUIRE(again.kind == message->kind && again.sample == message->sample);
    REQUIRE(again.sorted_id == message->sorted_id && again.line == message->line);
    REQUIRE(again.state == message->state);
    REQUIRE(again.kind != TRAJ_EB_SPIKE || strcmp(again.electrode, "7:3") == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct traj_refusal_detail detail = {NULL, NULL, 0};
    struct traj_eb_message message;
    size_t first = size < 2 ? size : 2;
    /* A copy of exactly its size, so that a sanitizer sees the first byte read beyond the end. */
    unsigned char *body = malloc(size - first > 0 ? size - first : 1);
    REQUIRE(body != NULL);
    if (size > first) {
        memcpy(body, data + first, size - first);
    }
    enum traj_refusal refusal = traj_eb_parse(data, first, body, size - first, &message, &detail);
    if (refusal == TRAJ_ACCEPTED) {
        ACCEPTED(message.kind == TRAJ_EB_SPIKE ? 0 : 1);
        REQUIRE(memchr(message.stream, 0, sizeof message.stream) != NULL);
        REQUIRE(memchr(message.electrode, 0, sizeof message.electrode) != NULL);
        REQUIRE(message.sample >= 0 && message.state <= 1);
        REQUIRE(message.sorted_id >= 0 && message.sorted_id <= 65535);
        require_same(&message, data);
    } else {
        REQUIRE(refusal < TRAJ_REFUSALS && detail.reason != NULL);
        REQUIRE(detail.offset <= size);
    }
    free(body);
    return 0;
}
