/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Trains of spikes -> counts in bins.  Internal to clients/files, but for the choices of bins. */
#ifndef TRAJ_FILES_SPIKE_BINS_H
#define TRAJ_FILES_SPIKE_BINS_H

#include "daemon/learn/session.h"

/* Where bins lie. */
enum traj_bin_alignment {
    TRAJ_BINS_CLOCK,         /* edges at whole multiples of the width on the file's clock */
    TRAJ_BINS_SAMPLES,       /* one ends at each sample of the kinematics */
    TRAJ_BINS_SAMPLES_START, /* one begins at each sample of the kinematics */
    TRAJ_BINS_TRIALS         /* counted from each trial's start, none outside trials */
};

struct traj_bin_choice {
    enum traj_bin_alignment align;
    double width;    /* s; 0 = TRAJ_BIN_WIDTH */
    double from, to; /* s, of what is to be binned; NaN = the kinematics, or else the spikes */
};

#define TRAJ_BIN_WIDTH 0.02

struct traj_spike_trains {
    const char *path, *name; /* the file and the object in it, for sentences */
    size_t units;
    const double *time; /* [end[units - 1]] s, of one unit after the other, in any order */
    const size_t *end;  /* [units] one past the unit's last spike */
};

/*
 * Gives a session without frames its bins and counts.  Kinematics and trials, where the choice
 * needs them, must be there already.  A bin holds the spikes with t_end - dt <= t < t_end, where a
 * spike less than 1e-6 of a width before an edge counts as after it: times that are multiples of a
 * sampling interval lie on edges and are rounded either way.  Where samples follow each other
 * faster than bins are wide, bins are as wide as the samples are apart.  `parts` as for
 * traj_session_make_frames.  0, or -1 with a sentence.
 */
int traj_spikes_bin(struct traj_session *session, const struct traj_spike_trains *trains,
                    const struct traj_bin_choice *choice, unsigned parts, struct traj_error *error);

/* What the choice means, for people: "bins of 20 ms at whole multiples of their width". */
void traj_bin_choice_text(const struct traj_bin_choice *choice, char *text, size_t size);

#endif
