/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A library for LD_PRELOAD: the TRAJ_FAIL_AT-th allocation (from 1) that the process asks for
 * outside of libzmq finds no memory.  With TRAJ_FAIL_ZMQ=1 it is the n-th of
 * theirs instead.  0 = none.  At the end, how many there were goes to the file TRAJ_FAIL_OUT.
 */
#define _GNU_SOURCE /* dladdr */
#include <dlfcn.h>
#include <errno.h>
#include <execinfo.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *memory, size_t size);
void *__libc_memalign(size_t alignment, size_t size);

static long at = -1;
static bool of_zmq;
static _Atomic long seen[2];
static __thread bool inside; /* what this library itself asks for */

/* Whether libzmq, or a library that serves it alone, is among those who are waiting for this. */
static bool is_zmq(void)
{
    static const char *const theirs[] = {"libzmq",    "libpgm",  "libnorm",
                                         "libsodium", "libkrb5", "libgssapi"};
    void *frame[64];
    int depth = backtrace(frame, sizeof frame / sizeof frame[0]);
    Dl_info info;

    for (int i = 0; i < depth; i++) {
        for (size_t k = 0; k < sizeof theirs / sizeof theirs[0]; k++) {
            if (dladdr(frame[i], &info) != 0 && info.dli_fname != NULL &&
                strstr(info.dli_fname, theirs[k]) != NULL) {
                return true;
            }
        }
    }
    return false;
}

/* Whether this allocation is to fail. */
static bool fails(void)
{
    bool zmq;

    if (inside) {
        return false;
    }
    inside = true;
    if (at < 0) {
        const char *text = getenv("TRAJ_FAIL_AT");
        const char *whose = getenv("TRAJ_FAIL_ZMQ");

        at = text != NULL ? strtol(text, NULL, 10) : 0;
        of_zmq = whose != NULL && whose[0] == '1';
    }
    zmq = is_zmq();
    inside = false;
    return ++seen[zmq] == at && zmq == of_zmq;
}

void *malloc(size_t size)
{
    if (fails()) {
        errno = ENOMEM;
        return NULL;
    }
    return __libc_malloc(size);
}

void *calloc(size_t count, size_t size)
{
    if (fails()) {
        errno = ENOMEM;
        return NULL;
    }
    return __libc_calloc(count, size);
}

void *realloc(void *memory, size_t size)
{
    if (fails()) {
        errno = ENOMEM;
        return NULL;
    }
    return __libc_realloc(memory, size);
}

int posix_memalign(void **memory, size_t alignment, size_t size)
{
    if (fails()) {
        return ENOMEM;
    }
    *memory = __libc_memalign(alignment, size);
    return *memory != NULL ? 0 : ENOMEM;
}

void *aligned_alloc(size_t alignment, size_t size)
{
    if (fails()) {
        errno = ENOMEM;
        return NULL;
    }
    return __libc_memalign(alignment, size);
}

/* A process that ends by a signal writes nothing, and need not. */
__attribute__((destructor)) static void tell(void)
{
    const char *path = getenv("TRAJ_FAIL_OUT");
    FILE *file;

    inside = true;
    file = path != NULL ? fopen(path, "w") : NULL;
    if (file != NULL) {
        fprintf(file, "%ld %ld\n", (long)seen[0], (long)seen[1]);
        (void)fclose(file);
    }
}
