/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Messages that wait to be decoded; see inbox.h. */
#include "daemon/io/inbox.h"

#include "daemon/io/clock.h"

static bool is_event(enum traj_arrival arrival)
{
    return arrival == TRAJ_ARRIVAL_EVENT || arrival == TRAJ_ARRIVAL_BAD_EVENT;
}

void traj_inbox_init(struct traj_inbox *inbox)
{
    inbox->head = 0;
    inbox->count = 0;
    inbox->frames = 0;
    for (size_t i = 0; i < TRAJ_INBOX_SIZE; i++) {
        (void)zmq_msg_init(&inbox->item[i].body);
    }
}

void traj_inbox_close(struct traj_inbox *inbox)
{
    for (size_t i = 0; i < TRAJ_INBOX_SIZE; i++) {
        (void)zmq_msg_close(&inbox->item[i].body);
    }
}

bool traj_inbox_fill(struct traj_inbox *inbox, struct traj_link *link, double recv)
{
    double began = recv;

    while (inbox->count < TRAJ_INBOX_SIZE) {
        size_t place = (inbox->head + inbox->count) % TRAJ_INBOX_SIZE;
        struct traj_inbox_item *item = &inbox->item[place];

        item->arrival = traj_link_receive(link, &item->body);
        if (item->arrival == TRAJ_ARRIVAL_NONE) {
            return true;
        }
        if (item->arrival == TRAJ_ARRIVAL_ERROR) {
            return false;
        }
        item->recv = recv;
        item->began = began;
        item->taken = traj_clock_now();
        began = item->taken;
        inbox->count++;
        inbox->frames += is_event(item->arrival) ? 0 : 1;
    }
    return true;
}

struct traj_inbox_item *traj_inbox_first(struct traj_inbox *inbox)
{
    return inbox->count > 0 ? &inbox->item[inbox->head] : NULL;
}

void traj_inbox_drop(struct traj_inbox *inbox)
{
    struct traj_inbox_item *item = &inbox->item[inbox->head];

    inbox->frames -= is_event(item->arrival) ? 0 : 1;
    inbox->count--;
    inbox->head = (inbox->head + 1) % TRAJ_INBOX_SIZE;
    /* Give the bytes back at once: a burst of long messages must not stay in memory for ever. */
    (void)zmq_msg_close(&item->body);
    (void)zmq_msg_init(&item->body);
}
