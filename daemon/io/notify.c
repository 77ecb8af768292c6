/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The sd_notify protocol without libsystemd; see notify.h. */
#include "daemon/io/notify.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Signs of life in the time after which the manager takes the daemon for dead. */
#define BEATS 3

/* The period of the watchdog, s, or 0. */
static double watchdog_period(void)
{
    const char *microseconds = getenv("WATCHDOG_USEC");
    const char *pid = getenv("WATCHDOG_PID");
    double value = microseconds != NULL ? 1e-6 * strtod(microseconds, NULL) : 0.0;

    if (pid != NULL && strtol(pid, NULL, 10) != (long)getpid()) {
        return 0.0; /* it is another process's */
    }
    return value > 0.0 && value < 1e9 ? value / BEATS : 0.0;
}

void traj_notifier_open(struct traj_notifier *notifier)
{
    const char *path = getenv("NOTIFY_SOCKET");
    size_t length = path != NULL ? strlen(path) : 0;

    memset(notifier, 0, sizeof *notifier);
    notifier->fd = -1;
    if (length == 0 || (path[0] != '/' && path[0] != '@') ||
        length >= sizeof notifier->address.sun_path) {
        return;
    }
    notifier->address.sun_family = AF_UNIX;
    memcpy(notifier->address.sun_path, path, length);
    if (path[0] == '@') {
        notifier->address.sun_path[0] = '\0'; /* the abstract name space */
    }
    notifier->length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length);
    notifier->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    notifier->period = notifier->fd >= 0 ? watchdog_period() : 0.0;
}

void traj_notifier_close(struct traj_notifier *notifier)
{
    if (notifier->fd >= 0) {
        (void)close(notifier->fd);
        notifier->fd = -1;
    }
}

void traj_notifier_say(const struct traj_notifier *notifier, const char *state)
{
    if (notifier->fd >= 0) {
        /* A manager that does not listen is no reason to stop decoding. */
        (void)sendto(notifier->fd, state, strlen(state), MSG_NOSIGNAL | MSG_DONTWAIT,
                     (const struct sockaddr *)&notifier->address, notifier->length);
    }
}

void traj_notifier_beat(struct traj_notifier *notifier, double now)
{
    if (notifier->period > 0.0 && now >= notifier->next) {
        traj_notifier_say(notifier, "WATCHDOG=1");
        notifier->next = now + notifier->period;
    }
}
