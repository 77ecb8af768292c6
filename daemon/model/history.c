/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The ring of past counts; see history.h. */
#include "daemon/model/history.h"

#include "daemon/model/elementary.h"

#include <string.h>

void traj_history_lay_out(struct traj_history *history, struct traj_arena *arena,
                          const struct traj_dims *dims)
{
    history->units = dims->units;
    history->bins = dims->lag + 1;
    history->counts = traj_arena_take(arena, history->bins * dims->units, sizeof(uint16_t));
    history->width = traj_arena_take(arena, history->bins, sizeof(double));
    history->log_width = traj_arena_take(arena, history->bins, sizeof(double));
    history->plan = traj_arena_take(arena, history->bins, 1);
}

void traj_history_clear(struct traj_history *history)
{
    history->newest = 0;
    for (size_t i = 0; i < history->bins; i++)
        history->width[i] = 0.0;
}

void traj_history_push(struct traj_history *history, const uint16_t *counts, double width,
                       size_t steps, bool plan)
{
    const size_t moves = steps < history->bins ? steps : history->bins;
    for (size_t i = 0; i < moves; i++) {
        history->newest = (history->newest + 1) % history->bins;
        history->width[history->newest] = 0.0;
    }
    if (!counts || history->units == 0)
        return;
    memcpy(history->counts + history->newest * history->units, counts,
           history->units * sizeof *counts);
    history->width[history->newest] = width;
    history->log_width[history->newest] = traj_log(width);
    history->plan[history->newest] = plan;
}

struct traj_history_bin traj_history_bin(const struct traj_history *history, size_t lag,
                                         bool with_plan)
{
    const size_t slot = (history->newest + history->bins - lag) % history->bins;
    struct traj_history_bin bin = {NULL, 0.0, 0.0};
    if (!(history->width[slot] > 0.0) || (history->plan[slot] && !with_plan))
        return bin;
    bin.counts = history->counts + slot * history->units;
    bin.width = history->width[slot];
    bin.log_width = history->log_width[slot];
    return bin;
}
