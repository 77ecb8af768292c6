/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Reaches brought onto one clock.  A trial's bin i lies at place z = i - d of the course, d the
 * delay of its onset, and at phase
 *     phi = z for z <= onset,  onset + (z - onset) / s beyond it
 * s the factor by which the movement lasts longer; holding still after the end is not slow
 * movement, so the warp begins at the onset.  Which (s, d) a training trial has is inferred from
 * its kinematics together with the targets' mean courses, by soft assignment.  Internal to this
 * room.
 */
#ifndef TRAJ_LEARN_REACH_H
#define TRAJ_LEARN_REACH_H

#include "daemon/learn/training.h"

/* Warps that are tried. */
#define TRAJ_REACH_SLOWS 10
extern const double traj_reach_slow[TRAJ_REACH_SLOWS]; /* s */
#define TRAJ_REACH_DELAYS 9
#define TRAJ_REACH_CELLS (TRAJ_REACH_SLOWS * TRAJ_REACH_DELAYS)
#define TRAJ_REACH_PRIOR 0.3 /* trials that the pooled profile counts for in a target's course */
#define TRAJ_REACH_HEAVY 6   /* cells of a trial that are kept */

/* A trial as the fit reads it: a cell's number is slow index * DELAYS + delay index. */
struct traj_reach_trial {
    size_t first, count;  /* bins; of a kinematics-only session: states */
    const double *x;      /* [count][3 dim] position, velocity, acceleration, borrowed */
    const uint8_t *known; /* [count], borrowed */
    double early;         /* bins: row i was sampled so long before the end of the trial's bin i */
    size_t target;
    size_t heavy; /* cells kept */
    size_t cell[TRAJ_REACH_HEAVY];
    double weight[TRAJ_REACH_HEAVY]; /* sum to 1 */
};

struct traj_reach {
    const struct traj_training *training;
    size_t dim, targets, phases;
    size_t trials;                   /* that have frames */
    size_t taught;                   /* of kinematics-only sessions: they teach courses alone */
    double taught_weight;            /* trials that one of them counts for */
    double onset;                    /* bins after the trial's start */
    double delay[TRAJ_REACH_DELAYS]; /* bins */
    struct traj_reach_trial *trial;  /* [trials + taught] */
    double origin[TRAJ_DIM_MAX];     /* where reaches begin */
    double *course;                  /* [targets][phases][dim] mean course */
    double *count;                   /* [targets] trials of each, the taught ones by weight */
    double prior[TRAJ_REACH_CELLS];  /* of the warps, sums to 1 */
    double scatter; /* length: sd of a position about its course that is believed, see assignment */
    double per_target; /* median number of trials with frames, of the targets that have any */
    double per_course; /* median of count, of the targets that have any */
};

/*
 * Fits courses and warps on the trials outside fold `without` whose target is known.  onset: bins
 * from a trial's start to movement onset, the mean over trials.  taught_weight: trials that one of
 * a kinematics-only session counts for, 0 = none are read.  NULL with a sentence.
 */
struct traj_reach *traj_reach_fit(const struct traj_training *training, double onset,
                                  double taught_weight, unsigned without, struct traj_error *error);

/*
 * What a trial of the kinematics-only sessions is worth for the courses, in trials: another subject
 * may move otherwise.  Of a few weights the one under which courses make the positions of trials
 * that were left out most probable; leaves out parts of the trials with frames.  0 where there are
 * none.  -1 with a sentence.
 */
int traj_reach_taught(const struct traj_training *training, double onset, double *weight,
                      struct traj_error *error);
void traj_reach_free(struct traj_reach *reach);

/* Phase of place z under slowness s; within [0, phases - 1]. */
double traj_reach_phase(const struct traj_reach *reach, double z, double slow);

/* Position of target m's course at a phase. */
void traj_reach_position(const struct traj_reach *reach, size_t target, double phase, double *out);

/* The trial's bin i (0 = first) in cell c. */
double traj_reach_place(const struct traj_reach *reach, size_t cell, size_t i);
double traj_reach_slowness(size_t cell);

/* Mean bins from the start of a trial to movement onset (traj_trial_onset). */
double traj_reach_onset(const struct traj_training *training);

#endif
