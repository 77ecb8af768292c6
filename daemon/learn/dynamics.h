/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Linear-Gaussian trajectory models from recorded movement (Yu et al. 2007): per target, pooled
 * over all, and a random walk.  The rows of A that integrate are known,
 *     p' = p + v D [+ a D^2 / 2],   v' = v + a D   (order 3),
 * and the row of the highest derivative is a ridge regression on the state before.  What a target's
 * own trials do not say, the pooled movement says, turned and scaled to that target.
 * Internal to this room.
 */
#ifndef TRAJ_LEARN_DYNAMICS_H
#define TRAJ_LEARN_DYNAMICS_H

#include "daemon/learn/training.h"

/* In which coordinates the movements to different targets are alike. */
enum traj_likeness {
    TRAJ_ALIKE_TURNED,  /* turned and scaled with the line from the start to the target */
    TRAJ_ALIKE_SHIFTED, /* relative to the target alone */
};

/* What cross-validation chose about dynamics. */
struct traj_dynamics_choice {
    bool course;   /* targets' components follow their mean courses (courses.h), not pairs */
    size_t delays; /* of each target, components that begin to move after as many reaction times */
    enum traj_likeness likeness;
    double shrinkage;  /* weight of the pooled movement in a target's own, in trials */
    double decay;      /* of the random walk's highest derivative in one bin, 1 = none */
    bool settling;     /* the free component is no walk: its last rows are a regression, too */
    size_t memory;     /* bins over which what the model misses is alike; see below */
    double pair_score; /* held-out log density of a pair of states, nats; NaN = not measured */
};

/* One component's numbers; arrays of the caller. */
struct traj_dynamics_part {
    double *transition; /* [S][S] */
    double *drift;      /* [S] */
    double *noise;      /* [S][S] */
    double *start;      /* [S] */
    double *start_cov;  /* [S][S] */
};

/*
 * What a linear model misses of a reach is no white noise: for a whole reaction time it pushes
 * while the hand rests, and then lags.  A filter told the variance of one bin's residual would
 * believe the model far too much.  Q is therefore the residuals' long-run covariance (Newey and
 * West 1987, flat windows): the covariance of their sum over `memory` bins, divided by memory.
 */

struct traj_movement;

/* Gathers the moments of all movement for S = state and a plan window that ends at plan_end s. */
struct traj_movement *traj_movement_new(const struct traj_training *training, size_t state,
                                        double plan_end, size_t memory, struct traj_error *error);
void traj_movement_free(struct traj_movement *movement);

/* Chooses by held-out density of pairs; keeps its defaults where no fold can be left out. */
void traj_dynamics_choose(const struct traj_movement *movement,
                          struct traj_dynamics_choice *choice);

/* Fits on all folds but `without`. */
void traj_dynamics_target(const struct traj_movement *movement,
                          const struct traj_dynamics_choice *choice, unsigned without,
                          size_t target, const struct traj_dynamics_part *part);
void traj_dynamics_single(const struct traj_movement *movement, unsigned without,
                          const struct traj_dynamics_part *part);
/*
 * everywhere: the start is any state that was recorded, not the start of a trial's movement; then,
 * where the choice says `settling`, all recorded kinematics teach a linear rule in place of the
 * walk: hands and cursors come to rest and come back, and a walk never does.
 */
void traj_dynamics_walk(const struct traj_movement *movement,
                        const struct traj_dynamics_choice *choice, unsigned without,
                        bool everywhere, const struct traj_dynamics_part *part);

#endif
