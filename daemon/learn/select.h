/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Chooses what only decoding can tell, by decoding held-out folds.  Internal to this room. */
#ifndef TRAJ_LEARN_SELECT_H
#define TRAJ_LEARN_SELECT_H

#include "daemon/learn/assemble.h"
#include "daemon/learn/bench.h"

/* What was measured on the way, for the model's description. */
struct traj_selection {
    double rmse; /* held-out root mean square position error at the choice; NaN = not measured */
    double rmse_unmarked; /* the same with trial marks hidden */
    size_t bins;          /* held-out bins that the choice rests on */
    size_t decodings;     /* how many candidates were decoded */
};

/*
 * First the plan window, then, with tuning fitted outside that window, memory, noise_scale,
 * evidence_temper, free_prior and switch_rate; the other fields of *choice are settled.  Where the
 * data are too few they keep what traj_choice_default gave them.  The selection is added to.
 */
int traj_select_window(struct traj_fits *fits, const struct traj_fit_options *options,
                       struct traj_choice *choice, struct traj_selection *selection,
                       struct traj_error *error);
/*
 * In between, whether counts are Poisson or their roots Gaussian with noise that is correlated over
 * units: choice->tuning, and the fits anew.
 */
int traj_select_observation(struct traj_fits *fits, const struct traj_fit_options *options,
                            struct traj_choice *choice, struct traj_selection *selection,
                            struct traj_error *error);
int traj_select(struct traj_fits *fits, const struct traj_fit_options *options,
                struct traj_choice *choice, struct traj_selection *selection,
                struct traj_error *error);

/* What is believed before any data have spoken. */
void traj_choice_default(const struct traj_training *training,
                         const struct traj_fit_options *options, struct traj_choice *choice);

/* The maker of the component families; fits and choice are borrowed and may change in between. */
struct traj_assembly {
    struct traj_fits *fits;
    const struct traj_choice *choice;
};
struct traj_maker traj_assembly_maker(struct traj_assembly *assembly);

/* Fits a calibration, which the maker's models must carry, on held-out folds; see calibrate.c. */
struct traj_calibrated {
    double coverage_before; /* share of held-out bins in the stated 90 % region of position */
    double log_score_before, log_score_after; /* mean log probability of the true target */
    size_t bins;
};
int traj_calibrate(const struct traj_maker *maker, struct traj_calibration *calibration,
                   struct traj_calibrated *calibrated, struct traj_error *error);

#endif
