/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Usage as /proc tells it; see usage.h. */
#define _GNU_SOURCE /* syscall */
#include "daemon/io/usage.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/* The beginning of a small file, terminated; false if it cannot be read. */
static bool read_text(const char *path, char *text, size_t cap)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t size;

    if (fd < 0) {
        return false;
    }
    size = read(fd, text, cap - 1);
    (void)close(fd);
    text[size > 0 ? size : 0] = '\0';
    return size > 0;
}

/* The whole number that is word `place`, from 0, of words between spaces. */
static bool read_word(const char *text, size_t place, uint64_t *value)
{
    char *end;

    text += strspn(text, " ");
    for (size_t i = 0; i < place; i++) {
        text += strcspn(text, " ");
        text += strspn(text, " ");
    }
    *value = strtoull(text, &end, 10);
    return end != text;
}

long traj_usage_thread(void)
{
    return syscall(SYS_gettid);
}

bool traj_usage_faults(long thread, uint64_t *minor, uint64_t *major)
{
    char path[64];
    char text[1024];
    const char *after;

    (void)snprintf(path, sizeof path, "/proc/self/task/%ld/stat", thread);
    if (!read_text(path, text, sizeof text)) {
        return false;
    }
    /* The name in brackets may hold anything, brackets too; see proc(5) for what follows it. */
    after = strrchr(text, ')');
    return after != NULL && read_word(after + 1, 7, minor) && read_word(after + 1, 9, major);
}

bool traj_usage_memory(uint64_t *bytes)
{
    char text[128];
    uint64_t pages;

    if (!read_text("/proc/self/statm", text, sizeof text) || !read_word(text, 1, &pages)) {
        return false;
    }
    *bytes = pages * (uint64_t)sysconf(_SC_PAGESIZE);
    return true;
}
