/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A library for LD_PRELOAD: the TRAJ_SYNC_FAILS-th fdatasync (from 1) says EIO, once, as the system
 * does of pages that the disk has not taken and that it has let go of.
 */
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

int fdatasync(int fd);

int fdatasync(int fd)
{
    static atomic_long calls;
    const char *at = getenv("TRAJ_SYNC_FAILS");
    const long call = atomic_fetch_add(&calls, 1) + 1;

    if (at != NULL && call == strtol(at, NULL, 10)) {
        errno = EIO;
        return -1;
    }
    return (int)syscall(SYS_fdatasync, fd);
}
