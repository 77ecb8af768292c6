/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Any bytes as a message of Open Ephys' ZMQ Interface: refused with a reason, or read; what is read
 * is within its bounds, and writes and reads equal.  An input is two lengths (u16 little-endian: of
 * the envelope and of the header), then the three parts.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "proto/open_ephys.h"
#include "tests/fuzz/require.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

FUZZ_READERS(4);

/* A copy of exactly its size, so that a sanitizer sees the first byte read beyond the end. */
static struct traj_oe_part copy_of(const uint8_t *data, size_t size)
{
    unsigned char *copy = malloc(size > 0 ? size : 1);
    REQUIRE(copy != NULL);
    memcpy(copy, data, size);
    return (struct traj_oe_part){copy, size};
}

static void require_same(const struct traj_oe_message *message, const struct traj_oe_part *payload)
{
    static char header[4096];
    struct traj_oe_message again;
    float *threshold = calloc(message->channels + 1u, sizeof *threshold);
    struct traj_oe_part part[3] = {traj_oe_envelope(message->kind), {header, 0}, *payload};
    REQUIRE(threshold != NULL);
    part[1].size = traj_oe_write_header(message, 1, threshold, header, sizeof header);
    free(threshold);
    if (part[1].size == 0) {
        REQUIRE(message->kind == TRAJ_OE_SPIKE && message->channels > 64);
        return;
    }
    REQUIRE(traj_oe_parse(part, &again, NULL) == TRAJ_ACCEPTED);
    REQUIRE(again.kind == message->kind && again.number == message->number);
    REQUIRE(again.sample == message->sample && again.samples == message->samples);
    REQUIRE(again.channels == message->channels && strcmp(again.name, message->name) == 0);
    REQUIRE(again.sorted_id == message->sorted_id && again.line == message->line);
    REQUIRE(again.word == message->word);
}

/* Text that the writer can write: the plugin's library escapes what is none. */
static int is_plain(const char *text)
{
    for (; *text != '\0'; text++) {
        if ((unsigned char)*text < 0x20) {
            return 0;
        }
    }
    return 1;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 4) {
        return 0;
    }
    size_t left = size - 4;
    size_t first = data[0] + 256u * data[1];
    size_t second = data[2] + 256u * data[3];
    first = first < left ? first : left;
    second = second < left - first ? second : left - first;
    struct traj_oe_part part[3] = {copy_of(data + 4, first), copy_of(data + 4 + first, second),
                                   copy_of(data + 4 + first + second, left - first - second)};
    struct traj_refusal_detail detail = {NULL, NULL, 0};
    struct traj_oe_message message;
    enum traj_refusal refusal = traj_oe_parse(part, &message, &detail);
    if (refusal != TRAJ_ACCEPTED) {
        REQUIRE(refusal < TRAJ_REFUSALS && detail.reason != NULL && detail.offset <= second);
    } else {
        ACCEPTED(message.kind);
        REQUIRE(memchr(message.stream, 0, sizeof message.stream) != NULL);
        REQUIRE(memchr(message.name, 0, sizeof message.name) != NULL);
        REQUIRE(message.sample >= 0 && message.state <= 1);
        REQUIRE(message.sorted_id >= 0 && message.sorted_id <= 65535);
        if (message.kind == TRAJ_OE_DATA) {
            REQUIRE(part[2].size == 4 * (size_t)message.samples && message.rate >= 1.0);
        }
        if (message.kind != TRAJ_OE_OTHER && message.channels <= 1024 && is_plain(message.stream) &&
            is_plain(message.name)) {
            require_same(&message, &part[2]);
        }
    }
    for (size_t i = 0; i < 3; i++) {
        free((void *)(uintptr_t)part[i].data);
    }
    return 0;
}
