/* SPDX-License-Identifier: GPL-3.0-or-later */
/* An input as a file that nobody else sees, for readers that take a path. */
#ifndef TRAJ_FUZZ_HELD_FILE_H
#define TRAJ_FUZZ_HELD_FILE_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <unistd.h>

#include "tests/fuzz/require.h"

struct held_file {
    int fd;
    char path[32]; /* may be opened as often as wished, until it is dropped */
};

/* It keeps its name: HDF5 wants the real path of what it opens, which a deleted file has not. */
static inline void held_file_make(struct held_file *held, const void *data, size_t size)
{
    (void)snprintf(held->path, sizeof held->path, "/tmp/trajd-fuzz-XXXXXX");
    held->fd = mkstemp(held->path);
    REQUIRE(held->fd >= 0);
    REQUIRE(size == 0 || write(held->fd, data, size) == (ssize_t)size);
}

static inline void held_file_drop(struct held_file *held)
{
    REQUIRE(unlink(held->path) == 0);
    (void)close(held->fd);
}

#endif
