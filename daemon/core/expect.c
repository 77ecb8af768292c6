/* SPDX-License-Identifier: GPL-3.0-or-later */
/* When the next frame will come; see expect.h. */
#include "daemon/core/expect.h"

#include <math.h>

/* The window on either side, as a part of the bin and at most so long: what is spent on looking
 * stays below a fifth of the processor, and mostly at half of that. */
#define PART 0.1
#define WINDOW_MOST 300e-6 /* s */

#define FOLLOW 0.05 /* share of a frame's lateness by which the schedule gives way */
#define ANEW 0.5    /* bins off the schedule that are no lateness */

#define REMEMBERED 0xffu /* eight frames */
#define REGULAR 6        /* of them within their windows */

void traj_expect_clear(struct traj_expect *expect)
{
    expect->next = (double)NAN;
    expect->window = 0.0;
    expect->kept = 0;
}

void traj_expect_frame(struct traj_expect *expect, double recv, double dt)
{
    const double late = recv - expect->next;
    const bool within = fabs(late) <= expect->window;
    double at = recv;

    if (late > 0.0 && late < ANEW * dt)
        at = expect->next + FOLLOW * late;
    expect->kept = (expect->kept << 1 | (within ? 1u : 0u)) & REMEMBERED;
    expect->next = at + dt;
    expect->window = PART * dt < WINDOW_MOST ? PART * dt : WINDOW_MOST;
}

bool traj_expect_regular(const struct traj_expect *expect)
{
    int met = 0;
    for (unsigned left = expect->kept; left > 0; left >>= 1)
        met += (left & 1u) != 0;
    return met >= REGULAR;
}

double traj_expect_from(const struct traj_expect *expect)
{
    return expect->next - expect->window;
}

double traj_expect_until(const struct traj_expect *expect)
{
    return expect->next + expect->window;
}
