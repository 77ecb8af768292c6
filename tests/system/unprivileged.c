/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A library for LD_PRELOAD: sched_setscheduler as the system has it for who may take a real-time
 * priority by RLIMIT_RTPRIO, without CAP_SYS_NICE, as under trajd.service.  Anybody may set
 * SCHED_RESET_ON_FORK, nobody clears it.
 */
#define _GNU_SOURCE /* SCHED_RESET_ON_FORK, syscall */
#include <errno.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

int sched_setscheduler(pid_t pid, int policy, const struct sched_param *parameters)
{
    long now = syscall(SYS_sched_getscheduler, pid);

    if (now > 0 && (now & SCHED_RESET_ON_FORK) != 0 && (policy & SCHED_RESET_ON_FORK) == 0) {
        errno = EPERM;
        return -1;
    }
    return (int)syscall(SYS_sched_setscheduler, pid, policy, parameters);
}
