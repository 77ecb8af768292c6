/* SPDX-License-Identifier: GPL-3.0-or-later */
/* While a library reads a file that nobody vouches for; see foreign.h. */
#include "clients/files/foreign.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Deflate packs at most 1032 bytes into one; what is read is kept twice at most.  A small file may
 * still be of much fill value. */
#define UNPACK_MAX 2200.0
#define MEMORY_FLOOR 1073741824.0
/* Of the processor: a byte that was packed a thousandfold takes some microseconds. */
#define SECONDS_FLOOR 10.0
#define SECONDS_A_BYTE 4e-6

static const int number[TRAJ_FOREIGN_SIGNALS] = {SIGABRT, SIGSEGV, SIGBUS, SIGFPE, SIGXCPU};

/* Composed beforehand, because a handler may hardly call anything. */
static char sentence[1024];
static size_t length;
static const struct traj_foreign *earlier;

static void restore_signals(const struct traj_foreign *before)
{
    for (size_t i = 0; i < TRAJ_FOREIGN_SIGNALS; i++)
        (void)sigaction(number[i], &before->action[i], NULL);
}

static void say(int signal)
{
    restore_signals(earlier);
    for (size_t done = 0; done < length;) {
        ssize_t written = write(STDERR_FILENO, sentence + done, length - done);
        if (written <= 0)
            break;
        done += (size_t)written;
    }
    /* Once this returns the signal comes again, and ends the process as it would have. */
    (void)raise(signal);
}

static void take_signals(struct traj_foreign *before)
{
    /* A stack of its own, because what failed may have used up the other. */
    static char stack[65536];
    const stack_t alternative = {.ss_sp = stack, .ss_size = sizeof stack};
    struct sigaction action = {.sa_handler = say, .sa_flags = SA_ONSTACK};
    (void)sigemptyset(&action.sa_mask);
    (void)sigaltstack(&alternative, &before->stack);
    for (size_t i = 0; i < TRAJ_FOREIGN_SIGNALS; i++)
        (void)sigaction(number[i], &action, &before->action[i]);
}

/* Bytes of address space in use; 0 where that cannot be found out. */
static double memory_in_use(void)
{
    char line[128] = "";
    FILE *file = fopen("/proc/self/statm", "r");
    if (file == NULL)
        return 0.0;
    if (fgets(line, sizeof line, file) == NULL)
        line[0] = '\0';
    (void)fclose(file);
    return (double)strtoul(line, NULL, 10) * (double)sysconf(_SC_PAGESIZE);
}

/* Of the processor, so far; s. */
static double time_in_use(void)
{
    struct rusage usage;
    if (getrusage(RUSAGE_SELF, &usage) != 0)
        return 0.0;
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec + 1);
}

/* Lowers a limit to `most`, and says what it was. */
static struct rlimit lower(int resource, double most)
{
    struct rlimit before;
    if (getrlimit(resource, &before) != 0)
        return (struct rlimit){RLIM_INFINITY, RLIM_INFINITY};
    struct rlimit bound = before;
    if (most < (double)before.rlim_cur) {
        bound.rlim_cur = (rlim_t)most;
        (void)setrlimit(resource, &bound);
    }
    return before;
}

void traj_foreign_begin(struct traj_foreign *before, const char *path)
{
    struct stat about;
    double bytes = stat(path, &about) == 0 ? (double)about.st_size : 0.0, used = memory_in_use();
    int put = snprintf(sentence, sizeof sentence,
                       "trajctl: %.900s: is damaged in a way that the library for such files is "
                       "not proof against\n",
                       path);
    length = put > 0 && (size_t)put < sizeof sentence ? (size_t)put : 0;
    earlier = before;
    take_signals(before);
    before->time = lower(RLIMIT_CPU, time_in_use() + SECONDS_FLOOR + SECONDS_A_BYTE * bytes);
    before->memory =
        lower(RLIMIT_AS, used > 0.0 ? used + MEMORY_FLOOR + UNPACK_MAX * bytes : INFINITY);
}

void traj_foreign_end(const struct traj_foreign *before)
{
    (void)setrlimit(RLIMIT_AS, &before->memory);
    (void)setrlimit(RLIMIT_CPU, &before->time);
    restore_signals(before);
    (void)sigaltstack(&before->stack, NULL);
}
