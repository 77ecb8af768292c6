/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "clients/evaluate/bins.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

size_t traj_groups_of(const struct traj_session *s, bool *by_trial)
{
    *by_trial = !traj_session_is_unbroken(s);
    return *by_trial ? s->trials
                     : (size_t)((s->t_end[s->bins - 1] - s->t_end[0]) / TRAJ_STRETCH_S) + 1;
}

/* A trial's movement begins at its onset, or the go cue, or its start: the first that is known. */
static double movement_onset(const struct traj_session *s, size_t r)
{
    if (s->move && !isnan(s->move[r])) {
        return s->move[r];
    }
    return s->go && !isnan(s->go[r]) ? s->go[r] : s->start[r];
}

static bool counts(const struct traj_window *w, const struct traj_session *s, size_t r, double t)
{
    if (s->trials == 0 || (!w->movement && isnan(w->from))) {
        return true;
    }
    if (r == (size_t)-1 || (w->movement && t <= movement_onset(s, r))) {
        return false;
    }
    return isnan(w->from) || t - s->start[r] >= w->from - 1e-9;
}

int traj_bins_init(struct traj_bins *b, const struct traj_session *s,
                   const struct traj_session *whole, const struct traj_window *window,
                   struct traj_error *error)
{
    size_t known = 0;
    memset(b, 0, sizeof *b);
    b->groups = traj_groups_of(whole, &b->by_trial);
    b->truth = traj_truth_new(s, error);
    if (!b->truth) {
        return -1;
    }
    b->keep = calloc(s->bins + 1, sizeof *b->keep);
    b->group = calloc(s->bins + 1, sizeof *b->group);
    if (!b->keep || !b->group) {
        return traj_error_set(error, "%s: not enough memory to score %zu bins", s->path, s->bins);
    }
    for (size_t i = 0; i < s->bins; i++) {
        size_t r = b->truth->trial[i];
        b->keep[i] = b->truth->known[i] && counts(window, s, r, s->t_end[i]);
        b->group[i] = (size_t)-1;
        if (!b->by_trial) {
            b->group[i] = (size_t)((s->t_end[i] - whole->t_end[0]) / TRAJ_STRETCH_S);
        } else if (r != (size_t)-1) {
            while (known < whole->trials && whole->stop[known] < s->stop[r]) {
                known++;
            }
            b->group[i] = known;
        }
    }
    return 0;
}

void traj_bins_free(struct traj_bins *b)
{
    traj_truth_free(b->truth);
    free(b->keep);
    free(b->group);
    memset(b, 0, sizeof *b);
}
