/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Order of frames, with a bitset over the last seqs. */
#include "daemon/core/order.h"

#include <string.h>

static bool seen(const struct traj_order *order, uint64_t seq)
{
    uint64_t place = seq % TRAJ_ORDER_WINDOW;
    return (order->seen[place / 64] >> (place % 64) & 1u) != 0;
}

static void mark(struct traj_order *order, uint64_t seq, bool came)
{
    uint64_t place = seq % TRAJ_ORDER_WINDOW;
    uint64_t bit = (uint64_t)1 << (place % 64);
    if (came)
        order->seen[place / 64] |= bit;
    else
        order->seen[place / 64] &= ~bit;
}

/* Whether the window still reaches back to a seq that is not ahead of the last. */
static bool in_window(const struct traj_order *order, uint64_t seq)
{
    return order->last - seq < TRAJ_ORDER_WINDOW;
}

void traj_order_clear(struct traj_order *order)
{
    memset(order, 0, sizeof *order);
}

enum traj_order_verdict traj_order_judge(const struct traj_order *order, uint64_t seq, double t)
{
    if (!order->started)
        return TRAJ_ORDER_NEXT;
    if (seq > order->last)
        return t > order->t ? TRAJ_ORDER_NEXT : TRAJ_ORDER_LATE;
    if (in_window(order, seq) && seen(order, seq))
        return TRAJ_ORDER_DUPLICATE;
    return TRAJ_ORDER_LATE;
}

uint64_t traj_order_take(struct traj_order *order, uint64_t seq, double t)
{
    uint64_t skipped = 0;
    if (!order->started) {
        order->started = true;
        order->first = seq;
    } else {
        uint64_t ahead = seq - order->last;
        skipped = ahead - 1;
        if (ahead >= TRAJ_ORDER_WINDOW) {
            memset(order->seen, 0, sizeof order->seen);
        } else {
            for (uint64_t s = order->last + 1; s != seq; s++)
                mark(order, s, false);
        }
    }
    mark(order, seq, true);
    order->last = seq;
    order->t = t;
    return skipped;
}

bool traj_order_note_late(struct traj_order *order, uint64_t seq)
{
    /* A seq that is ahead is late by its time alone: the frame that really has it may yet come. */
    if (!order->started || seq > order->last || !in_window(order, seq))
        return false;
    mark(order, seq, true);
    return seq > order->first;
}
