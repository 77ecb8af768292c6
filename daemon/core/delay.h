/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * How far two clocks are apart, from messages that go one way: the smallest difference between
 * arrival and stamp that was seen in the last 10 to 20 s.  What delays a message only ever adds to
 * it, so the smallest is the nearest; the window lets slow drift be followed.
 */
#ifndef TRAJ_CORE_DELAY_H
#define TRAJ_CORE_DELAY_H

struct traj_delay {
    double smallest, former; /* s: of this period and of the one before */
    double since;            /* s: when this period began */
};

void traj_delay_clear(struct traj_delay *delay);

/* A message with this stamp, s, on the sender's clock has come at time now, s, on ours. */
void traj_delay_note(struct traj_delay *delay, double stamp, double now);

/* Our clock less the sender's, s; NaN before anything has come. */
double traj_delay_offset(const struct traj_delay *delay);

#endif
