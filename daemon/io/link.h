/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The two data sockets: frames and events in (SUB), intents out (XPUB).  Owned by one thread.
 * Where the configuration names a source, its thread hands frames and events over by a third
 * (PAIR), and a frame from anywhere else is refused; events from outside are welcome all the same.
 *
 * In: whatever libzmq has taken in is decoded; at receive_hwm it stops reading, and then a source
 * that must lose nothing blocks (XPUB_NODROP) while one that cannot wait drops, on its side.  The
 * default is so high that a whole recording may wait: libzmq forgets what lies unread in an ipc://
 * connection whose other end goes away while the queue is full (over tcp:// it does not).
 * Out: publishing never blocks; a subscriber that is send_hwm messages behind loses messages.
 */
#ifndef TRAJ_IO_LINK_H
#define TRAJ_IO_LINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <zmq.h>

#include "daemon/io/config.h"
#include "daemon/io/guard.h"
#include "daemon/learn/error.h"

/* What a received message is, by its topic and number of parts. */
enum traj_arrival {
    TRAJ_ARRIVAL_NONE, /* nothing waits */
    TRAJ_ARRIVAL_FRAME,
    TRAJ_ARRIVAL_EVENT,
    TRAJ_ARRIVAL_BAD_FRAME, /* not two parts */
    TRAJ_ARRIVAL_BAD_EVENT, /* topic "event", not two parts */
    TRAJ_ARRIVAL_UNKNOWN,   /* another topic that begins with one of ours */
    TRAJ_ARRIVAL_STRANGE,   /* a frame from outside, where frames come from a source */
    TRAJ_ARRIVAL_ERROR      /* the socket has failed; errno says how */
};

struct traj_link {
    void *frames;
    void *source; /* NULL where none is configured */
    void *intents;
    /* Subscriptions by what their owners said: roughly, for what is taken back need not have been
       asked for, and who asks twice and goes has gone once. */
    uint64_t subscribers; /* that let intents through */
    uint64_t binaries;    /* that ask for intents as bytes */
    bool bytes;           /* somebody has asked for bytes; that stays, whatever the count says */
    /* Of a message with too many parts some wait: of frames, of source. */
    bool frames_rest, source_rest;
};

/* The zmq context of the whole daemon; NULL with a sentence. */
void *traj_link_context(struct traj_error *error);
/* Ends the context; waits for what lingers.  Every socket has been closed before. */
void traj_link_context_end(void *context);

/* Makes, sets up and attaches both sockets; 0, or -1 with a sentence, and then nothing is open. */
int traj_link_open(struct traj_link *link, void *context, const struct traj_config *config,
                   const struct traj_guard *guard, struct traj_error *error);
void traj_link_close(struct traj_link *link);

/* The address that a socket really has (a port chosen by the system included); out[cap]. */
void traj_link_address(void *socket, char *out, size_t cap);

/*
 * A file descriptor that becomes readable when anything happens to a socket, be it a message or
 * not; and whether a message waits.  One may sleep on the first after the second has said no, and
 * only then: looking at a socket is what makes its descriptor unreadable again.
 */
int traj_link_descriptor(void *socket);
bool traj_link_waits(void *socket);

/*
 * Takes one message if there is one; body is an initialised message and holds the second part.  Of
 * a message with very many parts it takes some; the next calls take more of them and say
 * TRAJ_ARRIVAL_NONE until they are gone, while the socket goes on saying that something waits.
 */
enum traj_arrival traj_link_receive(struct traj_link *link, zmq_msg_t *body);

/* Publishes; never blocks. */
void traj_link_publish(struct traj_link *link, const char *topic, const void *body, size_t size);

/* Reads who has subscribed and who has gone; call it when intents is readable. */
void traj_link_subscriptions(struct traj_link *link);

#endif
