/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A library for LD_PRELOAD that watches what the decode thread of trajd asks of the system between
 * READY and STOPPING (which it sends to NOTIFY_SOCKET): allocations, memory maps, locks, opened
 * files, each by who called, and page faults of that thread alone.  At STOPPING it writes what it
 * has seen to the file TRAJ_WATCH_OUT, as JSON.
 *
 * Callers: libzmq and the C++ runtime, which in trajd serves libzmq alone, are counted as "zmq";
 * everybody else, trajd itself, GSL, jansson, libc, as "own".
 *
 * With TRAJ_WATCH_ADD=malloc each message part that is sent costs one malloc more: that the test
 * fails then shows that it can.
 */
#define _GNU_SOURCE /* RTLD_NEXT, dl_iterate_phdr, RUSAGE_THREAD */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>
#include <zmq.h>

enum call { CALL_ALLOCATE, CALL_FREE, CALL_MAP, CALL_LOCK, CALL_OPEN, CALLS };
enum caller { CALLER_OWN, CALLER_ZMQ, CALLERS };

static const char *const call_name[CALLS] = {"allocate", "free", "map", "lock", "open"};
static const char *const caller_name[CALLERS] = {"own", "zmq"};

/* glibc's own, so that nothing has to be looked up before the first allocation. */
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *memory, size_t size);
void *__libc_memalign(size_t alignment, size_t size);
void __libc_free(void *memory);

static __thread bool watched; /* this is the decode thread, between READY and STOPPING */
static uint64_t seen[CALLS][CALLERS];
static const void *first_own; /* where the first call of "own" came from */
static struct rusage before;

/* Text segments of libzmq and of the C++ runtime. */
#define RANGES 16
static struct range {
    uintptr_t from, to;
} range[RANGES];
static size_t ranges;

static int note_ranges(struct dl_phdr_info *info, size_t size, void *unused)
{
    (void)size;
    (void)unused;
    if (!strstr(info->dlpi_name, "/libzmq") && !strstr(info->dlpi_name, "/libstdc++")) {
        return 0;
    }
    for (size_t i = 0; i < info->dlpi_phnum && ranges < RANGES; i++) {
        const ElfW(Phdr) *header = &info->dlpi_phdr[i];
        if (header->p_type == PT_LOAD && (header->p_flags & PF_X) != 0) {
            uintptr_t from = (uintptr_t)info->dlpi_addr + (uintptr_t)header->p_vaddr;
            range[ranges++] = (struct range){from, from + (uintptr_t)header->p_memsz};
        }
    }
    return 0;
}

static void count(enum call call, const void *from)
{
    uintptr_t at = (uintptr_t)from;
    if (!watched) {
        return;
    }
    for (size_t i = 0; i < ranges; i++) {
        if (at >= range[i].from && at < range[i].to) {
            seen[call][CALLER_ZMQ]++;
            return;
        }
    }
    if (!first_own) {
        first_own = from;
    }
    seen[call][CALLER_OWN]++;
}

#define COUNT(call) count(call, __builtin_return_address(0))

void *malloc(size_t size)
{
    COUNT(CALL_ALLOCATE);
    return __libc_malloc(size);
}

void *calloc(size_t number, size_t size)
{
    COUNT(CALL_ALLOCATE);
    return __libc_calloc(number, size);
}

void *realloc(void *memory, size_t size)
{
    COUNT(CALL_ALLOCATE);
    return __libc_realloc(memory, size);
}

int posix_memalign(void **memory, size_t alignment, size_t size)
{
    COUNT(CALL_ALLOCATE);
    *memory = __libc_memalign(alignment, size);
    return *memory ? 0 : ENOMEM;
}

void *aligned_alloc(size_t alignment, size_t size)
{
    COUNT(CALL_ALLOCATE);
    return __libc_memalign(alignment, size);
}

void free(void *memory)
{
    if (memory) {
        COUNT(CALL_FREE);
    }
    __libc_free(memory);
}

/* The next library's function of this name. */
static void *next(const char *name)
{
    void *function = dlsym(RTLD_NEXT, name);
    if (!function) {
        abort();
    }
    return function;
}

void *mmap(void *address, size_t length, int protection, int flags, int fd, off_t offset)
{
    static void *(*real)(void *, size_t, int, int, int, off_t);
    if (!real) {
        *(void **)&real = next("mmap");
    }
    COUNT(CALL_MAP);
    return real(address, length, protection, flags, fd, offset);
}

int pthread_mutex_lock(pthread_mutex_t *mutex)
{
    static int (*real)(pthread_mutex_t *);
    if (!real) {
        *(void **)&real = next("pthread_mutex_lock");
    }
    COUNT(CALL_LOCK);
    return real(mutex);
}

int open(const char *path, int flags, ...)
{
    static int (*real)(const char *, int, ...);
    va_list rest;
    va_start(rest, flags);
    mode_t mode = (flags & O_CREAT) != 0 ? va_arg(rest, mode_t) : 0;
    va_end(rest);
    if (!real) {
        *(void **)&real = next("open");
    }
    COUNT(CALL_OPEN);
    return real(path, flags, mode);
}

static void report(void)
{
    const char *path = getenv("TRAJ_WATCH_OUT");
    FILE *out = path ? fopen(path, "w") : NULL;
    struct rusage now;
    Dl_info where = {0};
    if (!out) {
        return;
    }
    (void)getrusage(RUSAGE_THREAD, &now);
    (void)fprintf(out, "{");
    for (int call = 0; call < CALLS; call++) {
        for (int caller = 0; caller < CALLERS; caller++) {
            (void)fprintf(out, "\"%s_%s\":%llu,", call_name[call], caller_name[caller],
                          (unsigned long long)seen[call][caller]);
        }
    }
    if (first_own) {
        (void)dladdr(first_own, &where);
    }
    (void)fprintf(out, "\"first_own\":\"%s %s\",", where.dli_fname ? where.dli_fname : "",
                  where.dli_sname ? where.dli_sname : "");
    (void)fprintf(out, "\"ranges\":%zu,\"major_faults\":%ld,\"minor_faults\":%ld}\n", ranges,
                  now.ru_majflt - before.ru_majflt, now.ru_minflt - before.ru_minflt);
    (void)fclose(out);
}

ssize_t sendto(int fd, const void *data, size_t size, int flags, __CONST_SOCKADDR_ARG address,
               socklen_t length)
{
    static ssize_t (*real)(int, const void *, size_t, int, __CONST_SOCKADDR_ARG, socklen_t);
    if (!real) {
        *(void **)&real = next("sendto");
    }
    if (size >= 9 && memcmp(data, "STOPPING=", 9) == 0 && watched) {
        watched = false;
        report();
    }
    ssize_t sent = real(fd, data, size, flags, address, length);
    if (size >= 6 && memcmp(data, "READY=", 6) == 0) {
        (void)dl_iterate_phdr(note_ranges, NULL);
        (void)getrusage(RUSAGE_THREAD, &before);
        watched = true;
    }
    return sent;
}

int zmq_send(void *socket, const void *data, size_t size, int flags)
{
    static int (*real)(void *, const void *, size_t, int);
    static const char *add;
    if (!real) {
        *(void **)&real = next("zmq_send");
        add = getenv("TRAJ_WATCH_ADD");
    }
    if (watched && add && strcmp(add, "malloc") == 0) {
        /* Through a pointer, or the compiler would leave the pair out. */
        void *(*volatile allocate)(size_t) = malloc;
        free(allocate(8));
    }
    return real(socket, data, size, flags);
}
