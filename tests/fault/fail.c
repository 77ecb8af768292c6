/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A library for LD_PRELOAD: the TRAJ_FAIL_AT-th allocation (from 1) that the process asks for
 * outside of libzmq finds no memory.  With TRAJ_FAIL_ZMQ=1 it is the n-th of
 * theirs instead.  0 = none.  At the end, how many there were goes to the file TRAJ_FAIL_OUT, and
 * behind that who asked for the one that failed, innermost first: functions of libraries by name,
 * or by that of the library where they have none outside of it, those of the program by +ADDRESS in
 * its file.
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
static char asked[2048];     /* who, for the one that failed, with a space before each */

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

static void note_asked(void)
{
    void *frame[32];
    int depth = backtrace(frame, sizeof frame / sizeof frame[0]);
    size_t length = 0;
    const char *name;
    Dl_info info;

    for (int i = 2; i < depth && length < sizeof asked; i++) {
        if (dladdr(frame[i], &info) == 0 || info.dli_fname == NULL) {
            continue;
        }
        name = strrchr(info.dli_fname, '/');
        name = name != NULL ? name + 1 : info.dli_fname;
        if (strstr(name, ".so") == NULL) {
            /* The call stands before the address to which it returns. */
            length +=
                (size_t)snprintf(asked + length, sizeof asked - length, " +%lx",
                                 (unsigned long)((char *)frame[i] - (char *)info.dli_fbase) - 1);
        } else {
            length += (size_t)snprintf(asked + length, sizeof asked - length, " %s",
                                       info.dli_sname != NULL ? info.dli_sname : name);
        }
    }
}

/* Whether this allocation is to fail. */
static bool fails(void)
{
    bool zmq, fail;

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
    fail = ++seen[zmq] == at && zmq == of_zmq;
    if (fail) {
        note_asked();
    }
    inside = false;
    return fail;
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
        fprintf(file, "%ld %ld%s\n", (long)seen[0], (long)seen[1], asked);
        (void)fclose(file);
    }
}
