/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * From choices to a model: everything that is fitted given what was chosen, on all training data or
 * on all but one fold.  Internal to this room.
 */
#ifndef TRAJ_LEARN_ASSEMBLE_H
#define TRAJ_LEARN_ASSEMBLE_H

#include "daemon/learn/courses.h"
#include "daemon/learn/dynamics.h"
#include "daemon/learn/fit.h"
#include "daemon/learn/plan.h"
#include "daemon/learn/training.h"
#include "daemon/learn/tuning.h"

/* Families with a component for each target. */
static inline bool traj_family_directed(enum traj_family family)
{
    return family == TRAJ_FAMILY_MIXTURE || family == TRAJ_FAMILY_WARPED;
}

/* Everything that cross-validation chooses. */
struct traj_choice {
    enum traj_family family;
    size_t state; /* S */
    struct traj_tuning_choice tuning;
    double to_diagonal; /* of the features' noise */
    struct traj_dynamics_choice dynamics;
    struct traj_plan_choice plan;
    double noise_scale; /* factor on Q and V: how far movement is believed against spikes */
    double walk_scale;  /* the same for the free component beside targets */
    double evidence_temper;
    double free_prior;
    double switch_rate;
    double speed_spread; /* warped: standard deviation of s, of that of training; */
    double speed_walk;   /* variance of its step in one bin, of its variance */
    struct traj_calibration calibration;
};

/* Fits that do not depend on the later choices, kept for each fold; slot folds = nothing left
 * out. */
struct traj_fits {
    const struct traj_training *training;
    size_t columns;      /* C: observations depend on position and velocity alone, whatever S is */
    double *weight;      /* [folds + 1][units][C] */
    double *offset;      /* [folds + 1][units] */
    double *own_weight;  /* [folds + 1][targets][units][C], NULL where targets have no sets */
    double *own_offset;  /* [folds + 1][targets][units] */
    double *root_noise;  /* [folds + 1][units], NULL where counts are Poisson */
    double *root_factor; /* [folds + 1][units][rank] */
    double *feature_weight;         /* [folds + 1][F][C] */
    double *feature_offset;         /* [folds + 1][F] */
    double *feature_noise;          /* [folds + 1][F][F] */
    struct traj_movement *movement; /* for plan_end, memory and state */
    struct traj_courses *courses;   /* for plan_end, state and delays */
    struct traj_speeds speeds;      /* for plan_end; of the warped family alone */
    double plan_end;
    size_t memory, state, delays;
};

/* Fits tuning and features under the choice, for every fold and for all. */
int traj_fits_make(struct traj_fits *fits, const struct traj_training *training,
                   const struct traj_choice *choice, struct traj_error *error);
void traj_fits_free(struct traj_fits *fits);

/* Gathers movement anew if plan window, state or the memory of its noise have changed. */
int traj_fits_movement(struct traj_fits *fits, const struct traj_choice *choice,
                       struct traj_error *error);

/*
 * A checked model from all data but fold `without`; training_text becomes about.training (NULL =
 * none).  NULL with a sentence.
 */
struct traj_model *traj_assemble(struct traj_fits *fits, const struct traj_choice *choice,
                                 unsigned without, const char *training_text,
                                 struct traj_error *error);

#endif
