/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Scheduler and memory; see realtime.h. */
#define _GNU_SOURCE /* processor sets, dl_iterate_phdr */
#include "daemon/io/realtime.h"

#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <malloc.h>
#include <sched.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <zmq.h>

/*
 * The kernel's PM QoS interface (Documentation/power/pm_qos_interface.rst): as long as somebody
 * holds it open, no processor sleeps so deep that waking takes longer than the number written, us.
 */
#define WAKE_DEVICE "/dev/cpu_dma_latency"

/* The decode thread's stack is touched so deep, bytes; it needs a fraction of it. */
#define STACK_TOUCHED (256 * 1024)
#define PAGE 4096

const char *traj_grant_name(enum traj_grant grant)
{
    static const char *const name[] = {"not asked", "granted", "refused"};

    return name[grant];
}

/* Keeps the answer to one request; refused is 0 or an errno value. */
static enum traj_grant report(struct traj_log *log, const char *what, int refused)
{
    if (refused != 0) {
        traj_log_write(log, TRAJ_LOG_WARNING, "%s refused by the system, going on without: %s",
                       what, strerror(refused));
        return TRAJ_GRANT_REFUSED;
    }
    traj_log_write(log, TRAJ_LOG_INFO, "%s granted", what);
    return TRAJ_GRANT_GIVEN;
}

/* 0 or an errno value. */
static int run_on(int cpu)
{
    cpu_set_t set;

    CPU_ZERO(&set);
    CPU_SET((size_t)cpu, &set);
    return pthread_setaffinity_np(pthread_self(), sizeof set, &set);
}

/* For the calling thread; 0 or an errno value. */
static int schedule(int policy, int priority)
{
    const struct sched_param parameters = {.sched_priority = priority};

    return sched_setscheduler(0, policy, &parameters) == 0 ? 0 : errno;
}

/*
 * Whether a thread may have this priority; this one is an ordinary one again.  0 or an errno value.
 * Without SCHED_RESET_ON_FORK: who has the priority by RLIMIT_RTPRIO and no privilege may set that
 * flag, but cannot go back to a policy without it.
 */
static int try_priority(int priority)
{
    int refused = schedule(SCHED_FIFO, priority);

    return refused != 0 ? refused : schedule(SCHED_OTHER, 0);
}

/* Whether this thread could run there; it stays where it was.  0 or an errno value. */
static int try_cpu(int cpu)
{
    cpu_set_t former;
    int refused = pthread_getaffinity_np(pthread_self(), sizeof former, &former);

    if (refused == 0) {
        refused = run_on(cpu);
    }
    if (refused == 0) {
        refused = pthread_setaffinity_np(pthread_self(), sizeof former, &former);
    }
    return refused;
}

/* The device, told how long waking may take; 0, or an errno value and nothing is open. */
static int hold_awake(int wake_us, int *fd)
{
    const int32_t most = wake_us;
    int refused = 0;

    *fd = open(WAKE_DEVICE, O_WRONLY | O_CLOEXEC);
    if (*fd < 0) {
        return errno;
    }
    if (write(*fd, &most, sizeof most) != (ssize_t)sizeof most) {
        refused = errno;
        (void)close(*fd);
    }
    return refused;
}

void traj_realtime_end(struct traj_realtime *realtime)
{
    if (realtime->wake_us == TRAJ_GRANT_GIVEN) {
        (void)close(realtime->wake_fd);
        realtime->wake_us = TRAJ_GRANT_NOT_ASKED;
    }
}

void traj_realtime_context(struct traj_realtime *realtime, void *context,
                           const struct traj_config *config, struct traj_log *log)
{
    if (config->wake_us >= 0) {
        realtime->wake_us = report(log, "wake_us", hold_awake(config->wake_us, &realtime->wake_fd));
    }
    if (config->io_cpu >= 0) {
        int refused = try_cpu(config->io_cpu);

        if (refused == 0 &&
            zmq_ctx_set(context, ZMQ_THREAD_AFFINITY_CPU_ADD, config->io_cpu) != 0) {
            refused = zmq_errno();
        }
        realtime->io_cpu = report(log, "io_cpu", refused);
    }
    /*
     * A frame goes through libzmq's thread before it reaches the decode thread, so both get the
     * priority or neither does.
     */
    if (config->priority > 0) {
        int refused = try_priority(config->priority);

        if (refused == 0 && (zmq_ctx_set(context, ZMQ_THREAD_SCHED_POLICY, SCHED_FIFO) != 0 ||
                             zmq_ctx_set(context, ZMQ_THREAD_PRIORITY, config->priority) != 0)) {
            refused = zmq_errno();
        }
        /* Said once, when the decode thread has it too. */
        realtime->priority = refused == 0 ? TRAJ_GRANT_GIVEN : report(log, "priority", refused);
    }
}

/* Pages of the stack that a deep call will need are there before it comes. */
static void touch_stack(void)
{
    volatile unsigned char stack[STACK_TOUCHED];

    for (size_t i = 0; i < sizeof stack; i += PAGE) {
        stack[i] = 0;
    }
}

/*
 * Reads a byte of every page of a program or library that is loaded; between its variables too,
 * which AddressSanitizer would take for a mistake.
 */
__attribute__((no_sanitize_address)) static int touch_object(struct dl_phdr_info *info, size_t size,
                                                             void *sum)
{
    (void)size;
    for (size_t i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *part = &info->dlpi_phdr[i];
        uintptr_t from = (uintptr_t)info->dlpi_addr + (uintptr_t)part->p_vaddr;
        uintptr_t to = from + (uintptr_t)part->p_memsz;

        if (part->p_type != PT_LOAD || (part->p_flags & PF_R) == 0) {
            continue;
        }
        for (uintptr_t at = from; at < to; at = at - at % PAGE + PAGE) {
            *(volatile unsigned char *)sum += *(const volatile unsigned char *)at;
        }
    }
    return 0;
}

enum traj_receive traj_realtime_receive(const struct traj_realtime *realtime,
                                        enum traj_receive asked)
{
    const bool first = realtime->priority == TRAJ_GRANT_GIVEN; /* others wait for this thread */

    if (asked == TRAJ_RECEIVE_BLOCK || asked == TRAJ_RECEIVE_EXPECT ||
        (asked == TRAJ_RECEIVE_SPIN && (!first || realtime->apart))) {
        return asked;
    }
    return first && realtime->two ? TRAJ_RECEIVE_EXPECT : TRAJ_RECEIVE_BLOCK;
}

void traj_realtime_tell(const struct traj_realtime *realtime, enum traj_receive asked,
                        struct traj_log *log)
{
    enum traj_receive given = traj_realtime_receive(realtime, asked);

    if (asked != TRAJ_RECEIVE_AUTO && given != asked) {
        traj_log_write(log, TRAJ_LOG_WARNING,
                       "receive is \"%s\" instead of \"%s\", which with a priority needs \"cpu\" "
                       "and \"io_cpu\" granted at the start",
                       traj_receive_name(given), traj_receive_name(asked));
    }
}

/*
 * Whether this thread and libzmq's can run at the same time, by the processors that they were
 * granted; former are those of a thread that was granted none.
 */
static bool have_two(const struct traj_realtime *realtime, const struct traj_config *config,
                     const cpu_set_t *former)
{
    const bool decode = realtime->cpu == TRAJ_GRANT_GIVEN;
    const bool io = realtime->io_cpu == TRAJ_GRANT_GIVEN;
    cpu_set_t either;

    CPU_ZERO(&either);
    if (!decode || !io) {
        either = *former;
    }
    if (decode) {
        CPU_SET((size_t)config->cpu, &either);
    }
    if (io) {
        CPU_SET((size_t)config->io_cpu, &either);
    }
    return CPU_COUNT(&either) > 1;
}

void traj_realtime_thread(struct traj_realtime *realtime, const struct traj_config *config,
                          struct traj_log *log)
{
    unsigned char sum = 0;
    cpu_set_t former;

    if (pthread_getaffinity_np(pthread_self(), sizeof former, &former) != 0) {
        CPU_ZERO(&former); /* cannot be told, and so not counted upon */
    }
    touch_stack();
    /* Code that the first frame is the first to need must not come from the disk then. */
    (void)dl_iterate_phdr(touch_object, &sum);
    if (config->lock_memory) {
        /* What libzmq gives back is kept, so that it need not be asked of the system again. */
        (void)mallopt(M_TRIM_THRESHOLD, 1 << 30);
        (void)mallopt(M_MMAP_MAX, 0);
        realtime->lock_memory =
            report(log, "lock_memory", mlockall(MCL_CURRENT | MCL_FUTURE) == 0 ? 0 : errno);
    }
    if (config->cpu >= 0) {
        realtime->cpu = report(log, "cpu", run_on(config->cpu));
    }
    if (realtime->priority == TRAJ_GRANT_GIVEN) {
        /* glibc's attributes cannot say SCHED_OTHER to a child of SCHED_FIFO; the flag does. */
        realtime->priority =
            report(log, "priority", schedule(SCHED_FIFO | SCHED_RESET_ON_FORK, config->priority));
    }
    realtime->two = have_two(realtime, config, &former);
    realtime->apart = realtime->cpu == TRAJ_GRANT_GIVEN && realtime->io_cpu == TRAJ_GRANT_GIVEN &&
                      config->cpu != config->io_cpu;
    traj_realtime_tell(realtime, config->receive, log);
}

int traj_realtime_ordinary(pthread_attr_t *attributes)
{
    cpu_set_t set;
    int refused = pthread_attr_init(attributes);

    /* Where the processors cannot be told, the thread gets those of its maker. */
    if (refused == 0 && pthread_getaffinity_np(pthread_self(), sizeof set, &set) == 0) {
        refused = pthread_attr_setaffinity_np(attributes, sizeof set, &set);
    }
    return refused;
}
