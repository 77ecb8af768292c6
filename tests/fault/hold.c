/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A library for LD_PRELOAD: while there is a file TRAJ_HOLD the process's first thread, which in
 * trajd is the one that decodes, stays in its next poll, and all others go on.  While it stays
 * there, so does a file TRAJ_HOLD with ".held" behind it.
 */
#define _GNU_SOURCE /* RTLD_NEXT, gettid */
#include <dlfcn.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

/* What a compiler that checks makes of poll. */
int __poll_chk(struct pollfd *item, nfds_t count, int timeout, size_t size);

static void hold(void)
{
    const char *path = getenv("TRAJ_HOLD");
    const struct timespec moment = {.tv_nsec = 1000000};
    char held[PATH_MAX];
    int fd;

    if (path == NULL || gettid() != getpid() || access(path, F_OK) != 0) {
        return;
    }
    (void)snprintf(held, sizeof held, "%s.held", path);
    fd = open(held, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    while (access(path, F_OK) == 0) {
        (void)nanosleep(&moment, NULL);
    }
    (void)unlink(held);
    (void)close(fd);
}

int poll(struct pollfd *item, nfds_t count, int timeout)
{
    static int (*real)(struct pollfd *, nfds_t, int);

    if (real == NULL) {
        *(void **)&real = dlsym(RTLD_NEXT, "poll");
    }
    hold();
    return real(item, count, timeout);
}

int __poll_chk(struct pollfd *item, nfds_t count, int timeout, size_t size)
{
    return size / sizeof *item < count ? (abort(), -1) : poll(item, count, timeout);
}
