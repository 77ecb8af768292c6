/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A library for LD_PRELOAD that watches what the decode thread of trajd asks of the system between
 * READY and STOPPING (which it sends to NOTIFY_SOCKET): allocations, memory maps, locks and waits
 * for other threads, opened files, what is written to files (a line of log), each by who called,
 * and page faults of that thread alone, also those after the first TRAJ_WATCH_WARM message parts
 * that it sent.  And how often a timer woke it: it expects a frame.  At STOPPING it writes what it
 * has seen to the file TRAJ_WATCH_OUT, as JSON.
 *
 * Callers: libzmq and the C++ runtime, which in trajd serves libzmq alone, are counted as "zmq";
 * everybody else, trajd itself, GSL, jansson, libc, as "own".
 *
 * With TRAJ_WATCH_ADD each message part that is sent costs one call more, of the name given
 * (malloc, map, lock, rwlock, condition, semaphore, open, openat, fopen, print, write); with fault
 * the first costs a page of the file TRAJ_WATCH_FILE that the disk must be asked for.  That the
 * test fails then shows that it can.
 */
#define _GNU_SOURCE /* RTLD_NEXT, dl_iterate_phdr, RUSAGE_THREAD */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <unistd.h>
#include <zmq.h>

enum call { CALL_ALLOCATE, CALL_FREE, CALL_MAP, CALL_LOCK, CALL_OPEN, CALL_WRITE, CALLS };
enum caller { CALLER_OWN, CALLER_ZMQ, CALLERS };

static const char *const call_name[CALLS] = {"allocate", "free", "map", "lock", "open", "write"};
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
static struct rusage before, warm;
static uint64_t parts; /* of messages, sent */
static uint64_t warm_after;
static uint64_t timers; /* that ran out and were put out of action by this thread */

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

/*
 * Functions of an integer result that take what `parameters` says and are passed on as they are.
 * Parameters and arguments come in parentheses.
 * NOLINTBEGIN(bugprone-macro-parentheses)
 */
#define PASS_ON(call, name, parameters, arguments)                                                 \
    int name parameters                                                                            \
    {                                                                                              \
        static int(*real) parameters;                                                              \
        if (!real) {                                                                               \
            *(void **)&real = next(#name);                                                         \
        }                                                                                          \
        COUNT(call);                                                                               \
        return real arguments;                                                                     \
    }
/* NOLINTEND(bugprone-macro-parentheses) */

/* Of each kind what may wait for another thread. */
PASS_ON(CALL_LOCK, pthread_mutex_lock, (pthread_mutex_t * mutex), (mutex))
PASS_ON(CALL_LOCK, pthread_rwlock_rdlock, (pthread_rwlock_t * lock), (lock))
PASS_ON(CALL_LOCK, pthread_rwlock_wrlock, (pthread_rwlock_t * lock), (lock))
PASS_ON(CALL_LOCK, pthread_cond_wait, (pthread_cond_t * condition, pthread_mutex_t *mutex),
        (condition, mutex))
PASS_ON(CALL_LOCK, pthread_cond_timedwait,
        (pthread_cond_t * condition, pthread_mutex_t *mutex, const struct timespec *until),
        (condition, mutex, until))
PASS_ON(CALL_LOCK, pthread_cond_signal, (pthread_cond_t * condition), (condition))
PASS_ON(CALL_LOCK, pthread_cond_broadcast, (pthread_cond_t * condition), (condition))
PASS_ON(CALL_LOCK, sem_wait, (sem_t * semaphore), (semaphore))
PASS_ON(CALL_LOCK, sem_timedwait, (sem_t * semaphore, const struct timespec *until),
        (semaphore, until))
PASS_ON(CALL_LOCK, sem_post, (sem_t * semaphore), (semaphore))
PASS_ON(CALL_WRITE, fputs, (const char *text, FILE *file), (text, file))
PASS_ON(CALL_WRITE, fputc, (int byte, FILE *file), (byte, file))
PASS_ON(CALL_WRITE, putc, (int byte, FILE *file), (byte, file))
PASS_ON(CALL_WRITE, puts, (const char *text), (text))
PASS_ON(CALL_WRITE, vfprintf, (FILE * file, const char *format, va_list rest), (file, format, rest))

static int (*format_to(void))(FILE *, const char *, va_list)
{
    static int (*real)(FILE *, const char *, va_list);
    if (!real) {
        *(void **)&real = next("vfprintf");
    }
    return real;
}

int fprintf(FILE *file, const char *format, ...)
{
    va_list rest;
    COUNT(CALL_WRITE);
    va_start(rest, format);
    int length = format_to()(file, format, rest);
    va_end(rest);
    return length;
}

/* What a compiler that checks makes of fprintf. */
int __fprintf_chk(FILE *file, int flag, const char *format, ...);
int __fprintf_chk(FILE *file, int flag, const char *format, ...)
{
    va_list rest;
    (void)flag;
    COUNT(CALL_WRITE);
    va_start(rest, format);
    int length = format_to()(file, format, rest);
    va_end(rest);
    return length;
}

size_t fwrite(const void *data, size_t size, size_t number, FILE *file)
{
    static size_t (*real)(const void *, size_t, size_t, FILE *);
    if (!real) {
        *(void **)&real = next("fwrite");
    }
    COUNT(CALL_WRITE);
    return real(data, size, number, file);
}

ssize_t write(int fd, const void *data, size_t size)
{
    static ssize_t (*real)(int, const void *, size_t);
    struct stat is;
    if (!real) {
        *(void **)&real = next("write");
    }
    /* To wake another thread by its eventfd, which is a file of no kind, is not to write. */
    if (watched && fstat(fd, &is) == 0 && (is.st_mode & S_IFMT) != 0) {
        COUNT(CALL_WRITE);
    }
    return real(fd, data, size);
}

FILE *fopen(const char *path, const char *mode)
{
    static FILE *(*real)(const char *, const char *);
    if (!real) {
        *(void **)&real = next("fopen");
    }
    COUNT(CALL_OPEN);
    return real(path, mode);
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

int openat(int folder, const char *path, int flags, ...)
{
    static int (*real)(int, const char *, int, ...);
    va_list rest;
    va_start(rest, flags);
    mode_t mode = (flags & O_CREAT) != 0 ? va_arg(rest, mode_t) : 0;
    va_end(rest);
    if (!real) {
        *(void **)&real = next("openat");
    }
    COUNT(CALL_OPEN);
    return real(folder, path, flags, mode);
}

/* A timer is set to a time, or to none when it has run out. */
int timerfd_settime(int fd, int flags, const struct itimerspec *to, struct itimerspec *was)
{
    static int (*real)(int, int, const struct itimerspec *, struct itimerspec *);
    if (!real) {
        *(void **)&real = next("timerfd_settime");
    }
    timers += watched && to->it_value.tv_sec == 0 && to->it_value.tv_nsec == 0 ? 1 : 0;
    return real(fd, flags, to, was);
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
    (void)fprintf(out, "\"ranges\":%zu,\"timers\":%llu,", ranges, (unsigned long long)timers);
    (void)fprintf(out, "\"major_faults\":%ld,\"minor_faults\":%ld,\"minor_faults_warm\":%ld}\n",
                  now.ru_majflt - before.ru_majflt, now.ru_minflt - before.ru_minflt,
                  parts > warm_after ? now.ru_minflt - warm.ru_minflt : -1);
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
        const char *text = getenv("TRAJ_WATCH_WARM");
        warm_after = text ? strtoull(text, NULL, 10) : 0;
        (void)dl_iterate_phdr(note_ranges, NULL);
        (void)getrusage(RUSAGE_THREAD, &before);
        watched = true;
    }
    return sent;
}

/* --- what is put back ------------------------------------------------------------------------- */

/* Through a pointer, or the compiler would leave the pair out. */
static void add_malloc(void)
{
    void *(*volatile allocate)(size_t) = malloc;
    free(allocate(8));
}

static void add_map(void)
{
    (void)munmap(mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), 4096);
}

static void add_lock(void)
{
    static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
    (void)pthread_mutex_lock(&mutex);
    (void)pthread_mutex_unlock(&mutex);
}

static void add_rwlock(void)
{
    static pthread_rwlock_t lock = PTHREAD_RWLOCK_INITIALIZER;
    (void)pthread_rwlock_wrlock(&lock);
    (void)pthread_rwlock_unlock(&lock);
}

static void add_condition(void)
{
    static pthread_cond_t condition = PTHREAD_COND_INITIALIZER;
    (void)pthread_cond_signal(&condition);
}

static void add_semaphore(void)
{
    static sem_t semaphore;
    (void)sem_post(&semaphore);
}

static void add_open(void)
{
    (void)close(open("/dev/null", O_RDONLY | O_CLOEXEC));
}

static void add_openat(void)
{
    (void)close(openat(AT_FDCWD, "/dev/null", O_RDONLY | O_CLOEXEC));
}

static void add_fopen(void)
{
    FILE *file = fopen("/dev/null", "re");
    if (file) {
        (void)fclose(file);
    }
}

static void add_print(void)
{
    (void)fprintf(stderr, "trajd: %d\n", 1);
}

static void add_write(void)
{
    if (write(STDERR_FILENO, "\n", 1) < 0) {
        abort();
    }
}

/* The first time alone: there is nothing more to be shown. */
static void add_fault(void)
{
    static bool done;
    const char *path = getenv("TRAJ_WATCH_FILE");
    int fd = path && !done ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    done = true;
    if (fd < 0) {
        return;
    }
    char *page = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, fd, 0);
    if (page != MAP_FAILED) {
        /* Where memory is locked the page is there by now: it goes, and what is kept of it. */
        (void)munlock(page, 4096);
        (void)madvise(page, 4096, MADV_DONTNEED);
        (void)posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
        (void)*(volatile char *)page;
    }
    (void)close(fd);
}

static const struct addition {
    const char *name;
    void (*call)(void);
} additions[] = {{"malloc", add_malloc},       {"map", add_map},
                 {"lock", add_lock},           {"rwlock", add_rwlock},
                 {"condition", add_condition}, {"semaphore", add_semaphore},
                 {"open", add_open},           {"openat", add_openat},
                 {"fopen", add_fopen},         {"print", add_print},
                 {"write", add_write},         {"fault", add_fault}};

static void add_one(void)
{
    const char *name = getenv("TRAJ_WATCH_ADD");
    for (size_t i = 0; name && i < sizeof additions / sizeof additions[0]; i++) {
        if (strcmp(name, additions[i].name) == 0) {
            additions[i].call();
        }
    }
}

int zmq_send(void *socket, const void *data, size_t size, int flags)
{
    static int (*real)(void *, const void *, size_t, int);
    if (!real) {
        *(void **)&real = next("zmq_send");
    }
    if (watched) {
        if (parts++ == warm_after) {
            (void)getrusage(RUSAGE_THREAD, &warm);
        }
        add_one();
    }
    return real(socket, data, size, flags);
}
