/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Signals as a descriptor; see signals.h. */
#include "daemon/io/signals.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

int traj_signals_open(struct traj_error *error)
{
    sigset_t mask;
    int fd;

    (void)sigemptyset(&mask);
    (void)sigaddset(&mask, SIGTERM);
    (void)sigaddset(&mask, SIGINT);
    (void)sigaddset(&mask, SIGHUP);
    (void)signal(SIGPIPE, SIG_IGN);
    (void)signal(SIGXFSZ, SIG_IGN);
    if (sigprocmask(SIG_BLOCK, &mask, NULL) != 0) {
        return traj_error_set(error, "cannot block signals: %s", strerror(errno));
    }
    fd = signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK);
    return fd >= 0 ? fd : traj_error_set(error, "cannot receive signals: %s", strerror(errno));
}

enum traj_signal traj_signals_next(int fd)
{
    struct signalfd_siginfo info;

    if (read(fd, &info, sizeof info) != (ssize_t)sizeof info) {
        return TRAJ_SIGNAL_NONE;
    }
    return info.ssi_signo == SIGHUP ? TRAJ_SIGNAL_RELOAD : TRAJ_SIGNAL_END;
}

void traj_signals_close(int fd)
{
    if (fd >= 0) {
        (void)close(fd);
    }
}
