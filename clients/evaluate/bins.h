/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Which bins of a session are scored, and the group that each belongs to. */
#ifndef TRAJ_EVALUATE_BINS_H
#define TRAJ_EVALUATE_BINS_H

#include "clients/evaluate/resample.h"

#define TRAJ_STRETCH_S 5.0 /* groups of an unbroken session are stretches of so much time */

struct traj_window {
    double from;   /* s after the trial's start; NaN = all bins */
    bool movement; /* from movement onset (else go cue, else trial start) to trial stop alone */
};

struct traj_bins {
    struct traj_truth *truth;
    bool *keep;    /* [bins] */
    size_t *group; /* [bins], (size_t)-1 = none */
    size_t groups;
    bool by_trial; /* groups are trials, else stretches of time */
};

/*
 * Describes the bins of a session that was cut from another (or is it): groups are the trials of
 * the whole one, which are known by their stops.  0, or -1 with a sentence; free it in either case.
 */
int traj_bins_init(struct traj_bins *bins, const struct traj_session *session,
                   const struct traj_session *whole, const struct traj_window *window,
                   struct traj_error *error);
void traj_bins_free(struct traj_bins *bins);

/* Groups of a session, and whether they are trials. */
size_t traj_groups_of(const struct traj_session *whole, bool *by_trial);

#endif
