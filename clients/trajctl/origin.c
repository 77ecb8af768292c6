/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "clients/trajctl/origin.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A word as a shell takes it. */
static void quote(const char *word, FILE *out)
{
    static const char harmless[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./,:=+@%";
    if (*word && word[strspn(word, harmless)] == '\0') {
        fputs(word, out);
        return;
    }
    putc('\'', out);
    for (; *word; word++) {
        if (*word == '\'') {
            fputs("'\\''", out);
        } else {
            putc(*word, out);
        }
    }
    putc('\'', out);
}

int origin_command(struct origin *origin, int argc, char **argv)
{
    size_t size = 0;
    FILE *memory = open_memstream(&origin->command, &size);
    if (!memory) {
        return -1;
    }
    fputs("trajctl", memory);
    for (int i = 0; i < argc; i++) {
        putc(' ', memory);
        quote(argv[i], memory);
    }
    return fclose(memory) == 0 ? 0 : -1;
}

int origin_digest(struct origin *origin, const char *path, struct traj_error *error)
{
    unsigned char bytes[65536], digest[TRAJ_SHA256_SIZE];
    struct traj_sha256 sha;
    size_t size;
    FILE *file = fopen(path, "rb");
    if (!file) {
        return traj_error_set(error, "%s: %s", path, strerror(errno));
    }
    traj_sha256_init(&sha);
    while ((size = fread(bytes, 1, sizeof bytes, file)) > 0) {
        traj_sha256_update(&sha, bytes, size);
    }
    bool failed = ferror(file) != 0;
    fclose(file);
    if (failed) {
        return traj_error_set(error, "%s: cannot be read", path);
    }
    traj_sha256_final(&sha, digest);
    traj_sha256_hex(digest, origin->digest);
    return 0;
}

void origin_free(struct origin *origin)
{
    free(origin->command);
    origin->command = NULL;
}
