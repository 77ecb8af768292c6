/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Any bytes as what a Redis server sends: a reply, or none.  The first byte chooses how entries are
 * laid out.  What is read of an entry lies in the reply and is in range.
 */
#include <string.h>

#include "daemon/io/source/brand_reply.h"
#include "tests/fuzz/require.h"

#define ROOM 64

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

FUZZ_READERS(1);

static void try_fields(const struct traj_brand_layout *layout, const redisReply *fields)
{
    struct traj_brand_entry entry;
    uint16_t counts[ROOM];
    if (!traj_brand_read(layout, fields, counts, ROOM, &entry)) {
        return;
    }
    ACCEPTED(0);
    REQUIRE(entry.step >= 0 && entry.step <= INT64_C(9007199254740992));
    REQUIRE(entry.count > 0 && entry.count <= ROOM);
    for (size_t i = 0; i < entry.count; i++) {
        REQUIRE(counts[i] <= 65534);
    }
    REQUIRE(entry.sync == NULL || entry.sync[entry.sync_size] == '\0');
}

static void try_reply(const struct traj_brand_layout *layout, const redisReply *reply)
{
    const redisReply *entries = traj_brand_entries(reply);
    const redisReply *fields = NULL;
    const char *id = traj_brand_newest(reply);
    REQUIRE(id == NULL || strlen(id) < SIZE_MAX);
    for (size_t i = 0; entries != NULL && i < entries->elements; i++) {
        if (traj_brand_open(entries->element[i], &id, &fields)) {
            REQUIRE(strlen(id) < SIZE_MAX);
            try_fields(layout, fields);
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct traj_brand_layout layout = {.field = "f", .step_field = "i"};
    redisReader *reader = redisReaderCreate();
    void *reply = NULL;
    REQUIRE(reader != NULL);
    if (size > 0) {
        layout.type = (enum traj_brand_type)(data[0] % TRAJ_BRAND_TEXT);
        layout.step_type = (enum traj_brand_type)((data[0] >> 4) % (TRAJ_BRAND_TEXT + 1));
        if (data[0] == 255) {
            (void)strcpy(layout.step_label, "n");
        }
        traj_brand_bound(reader);
        REQUIRE(redisReaderFeed(reader, (const char *)data + 1, size - 1) == REDIS_OK);
    }
    while (redisReaderGetReply(reader, &reply) == REDIS_OK && reply != NULL) {
        try_reply(&layout, reply);
        freeReplyObject(reply);
    }
    REQUIRE(!traj_brand_too_long(reader));
    redisReaderFree(reader);
    return 0;
}
