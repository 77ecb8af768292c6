/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Tells the service manager how things stand, by the sd_notify protocol (one datagram a word, no
 * library); nothing where there is none.
 */
#ifndef TRAJ_IO_NOTIFY_H
#define TRAJ_IO_NOTIFY_H

#include <sys/socket.h>
#include <sys/un.h>

struct traj_notifier {
    int fd; /* -1 = nobody listens */
    struct sockaddr_un address;
    socklen_t length;
    double period; /* s, between two signs of life; 0 = nobody asks for them */
    double next;   /* s, daemon's clock: when the next is due */
};

/*
 * Reads $NOTIFY_SOCKET, and $WATCHDOG_USEC with $WATCHDOG_PID, and opens the socket once, so that
 * nothing has to be opened later.
 */
void traj_notifier_open(struct traj_notifier *notifier);
void traj_notifier_close(struct traj_notifier *notifier);

/* state is "READY=1", "STOPPING=1", ...  Never waits. */
void traj_notifier_say(const struct traj_notifier *notifier, const char *state);

/* Gives the sign of life if it is due at time now (s): a third of what the manager waits for. */
void traj_notifier_beat(struct traj_notifier *notifier, double now);

#endif
