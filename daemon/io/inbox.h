/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Messages that were taken from the frames socket and wait to be decoded, in the order of their
 * arrival. Taking them in before decoding is what makes `behind` a true count: a zmq socket tells
 * whether something waits, never how much.
 */
#ifndef TRAJ_IO_INBOX_H
#define TRAJ_IO_INBOX_H

#include <stdbool.h>
#include <stddef.h>
#include <zmq.h>

#include "daemon/io/link.h"

/*
 * `behind` is exact up to this many waiting messages and then stays there; the rest wait inside
 * libzmq.
 */
#define TRAJ_INBOX_SIZE 1024

struct traj_inbox_item {
    enum traj_arrival arrival;
    double recv;    /* s, clock reading after which the message was found */
    double began;   /* s, when its receipt began: recv, or when the message before it was taken */
    double taken;   /* s, when it was out of the socket */
    zmq_msg_t body; /* always initialised */
};

struct traj_inbox {
    size_t head;
    size_t count;  /* items */
    size_t frames; /* items that are not events */
    struct traj_inbox_item item[TRAJ_INBOX_SIZE];
};

void traj_inbox_init(struct traj_inbox *inbox);
void traj_inbox_close(struct traj_inbox *inbox);

/*
 * Takes in what waits, as far as there is room; recv is the time now.  false if the socket has
 * failed.
 */
bool traj_inbox_fill(struct traj_inbox *inbox, struct traj_link *link, double recv);

/* The oldest item, or NULL; it stays until traj_inbox_drop. */
struct traj_inbox_item *traj_inbox_first(struct traj_inbox *inbox);
void traj_inbox_drop(struct traj_inbox *inbox);

#endif
