/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Any bytes as a key file, and line by line as a list of clients: refused, or whole. */
#include <stdint.h>
#include <string.h>

#include "proto/key.h"
#include "tests/fuzz/require.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

FUZZ_READERS(2);

static void require_key(const char *key)
{
    REQUIRE(memchr(key, '\0', TRAJ_KEY_SIZE) != NULL);
    REQUIRE(traj_key_valid(key, strlen(key)));
}

/* What is accepted is written as a line that reads back to the same. */
static void require_same(const struct traj_client_entry *entry)
{
    static const char *const rights[] = {
        "",        "frames",         "intents",         "frames,intents",
        "control", "frames,control", "intents,control", "control,intents,frames"};
    struct traj_client_entry again;
    char line[256];
    int length;

    REQUIRE(entry->rights < sizeof rights / sizeof rights[0]);
    require_key(entry->key);
    REQUIRE(memchr(entry->name, '\0', sizeof entry->name) != NULL);
    length =
        snprintf(line, sizeof line, "%s %s %s", rights[entry->rights], entry->key, entry->name);
    REQUIRE(length > 0 && traj_client_parse(line, (size_t)length, &again) == NULL);
    REQUIRE(again.rights == entry->rights && strcmp(again.key, entry->key) == 0);
    REQUIRE(strcmp(again.name, entry->name) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *text = (const char *)data;
    const char *end = text + size;
    struct traj_client_entry entry;
    struct traj_key_pair pair;

    if (traj_key_parse(text, size, &pair) == NULL) {
        ACCEPTED(0);
        require_key(pair.public_key);
        if (pair.secret_key[0] != '\0') {
            require_key(pair.secret_key);
        }
    }
    while (text < end) {
        const char *stop = memchr(text, '\n', (size_t)(end - text));

        stop = stop != NULL ? stop : end;
        if (traj_client_parse(text, (size_t)(stop - text), &entry) == NULL && entry.rights != 0) {
            ACCEPTED(1);
            require_same(&entry);
        }
        text = stop < end ? stop + 1 : end;
    }
    return 0;
}
