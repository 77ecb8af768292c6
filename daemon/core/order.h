/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Order of frames: which seq comes next, which came before, which never came.  A window of the
 * last TRAJ_ORDER_WINDOW seqs remembers what came, in place and too late alike.
 */
#ifndef TRAJ_CORE_ORDER_H
#define TRAJ_CORE_ORDER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TRAJ_ORDER_WINDOW 8192

struct traj_order {
    bool started;   /* a frame of this run has been decoded */
    uint64_t first; /* seq of the first frame of this run */
    uint64_t last;  /* seq and t of the last decoded one */
    double t;
    uint64_t seen[TRAJ_ORDER_WINDOW / 64]; /* bit seq % window: this seq came */
};

enum traj_order_verdict {
    TRAJ_ORDER_NEXT,      /* later than all before it, by seq and by time */
    TRAJ_ORDER_LATE,      /* a seq that a later one has overtaken, or a time that is past */
    TRAJ_ORDER_DUPLICATE, /* this seq came before */
};

/* A new run: any seq and time may come first. */
void traj_order_clear(struct traj_order *order);

/* Where a frame stands; changes nothing. */
enum traj_order_verdict traj_order_judge(const struct traj_order *order, uint64_t seq, double t);

/* Takes a frame that was judged NEXT; returns how many seqs it skipped. */
uint64_t traj_order_take(struct traj_order *order, uint64_t seq, double t);

/*
 * Notes a frame that was judged LATE, so that its second copy is a duplicate.  True if it had been
 * counted among the skipped; a seq that has left the window cannot be told from a duplicate, and a
 * seq from before the run's first frame was never counted.
 */
bool traj_order_note_late(struct traj_order *order, uint64_t seq);

#endif
