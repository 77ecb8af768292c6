/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Replays a folder of inputs through a fuzzer's entry point, so that every input that once mattered
 * is an ordinary test with any compiler: replay_main CORPUS.  A folder of which the fuzzer reads
 * nothing is a failure, because a replay of refusals alone tries no more than the first check.
 */
#include <dirent.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "tests/fuzz/require.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Gives the file's bytes in a block of exactly their size, so that a sanitizer sees the first byte
 * read beyond the end.  The caller frees it; NULL after a message if the file cannot be read. */
static uint8_t *read_file(const char *path, size_t size)
{
    FILE *file = fopen(path, "rb");
    uint8_t *data = malloc(size > 0 ? size : 1);
    if (!file || !data || fread(data, 1, size, file) != size) {
        perror(path);
        free(data);
        data = NULL;
    }
    if (file)
        fclose(file);
    return data;
}

/* Returns 1 for a replayed file, 0 for something that is no file, -1 for an error. */
static int replay(const char *folder, const char *name)
{
    char path[4096];
    struct stat status;
    int length = snprintf(path, sizeof path, "%s/%s", folder, name);
    if (length < 0 || (size_t)length >= sizeof path || stat(path, &status) != 0) {
        fprintf(stderr, "%s/%s: cannot be looked at\n", folder, name);
        return -1;
    }
    if (!S_ISREG(status.st_mode))
        return 0;
    size_t size = (size_t)status.st_size;
    uint8_t *data = read_file(path, size);
    if (!data)
        return -1;
    LLVMFuzzerTestOneInput(data, size);
    free(data);
    return 1;
}

/* Says what was read, and for which way of reading the folder holds no input: false then. */
static bool all_accepted(const char *folder)
{
    bool all = true;
    for (size_t i = 0; i < traj_fuzz_readers; i++) {
        printf("%s %zu", i == 0 ? "read:" : ",", traj_fuzz_accepted[i]);
        all = all && traj_fuzz_accepted[i] > 0;
    }
    printf("%s\n", all ? "" : ": no input is read in some way");
    if (!all) {
        fprintf(stderr, "%s: holds no good input for each way of reading it\n", folder);
    }
    return all;
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        fprintf(stderr, "usage: %s CORPUS\n", argv[0]);
        return 2;
    }
    DIR *folder = opendir(argv[1]);
    if (!folder) {
        perror(argv[1]);
        return 1;
    }
    size_t replayed = 0;
    int outcome = 0;
    for (struct dirent *entry; outcome >= 0 && (entry = readdir(folder)) != NULL;) {
        outcome = replay(argv[1], entry->d_name);
        replayed += outcome == 1;
    }
    closedir(folder);
    printf("%zu inputs of %s replayed\n", replayed, argv[1]);
    return outcome < 0 || replayed == 0 || !all_accepted(argv[1]);
}
