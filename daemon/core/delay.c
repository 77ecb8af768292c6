/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The smallest delay of late; see delay.h. */
#include "daemon/core/delay.h"

#include <math.h>

#define PERIOD_S 10.0

void traj_delay_clear(struct traj_delay *delay)
{
    delay->smallest = (double)INFINITY;
    delay->former = (double)INFINITY;
    delay->since = NAN;
}

void traj_delay_note(struct traj_delay *delay, double stamp, double now)
{
    double seen = now - stamp;

    if (isnan(delay->since)) {
        delay->since = now;
    } else if (now - delay->since > PERIOD_S) {
        delay->former = delay->smallest;
        delay->smallest = (double)INFINITY;
        delay->since = now;
    }
    if (seen < delay->smallest) {
        delay->smallest = seen;
    }
}

double traj_delay_offset(const struct traj_delay *delay)
{
    double offset = delay->smallest < delay->former ? delay->smallest : delay->former;

    return isinf(offset) ? NAN : offset;
}
