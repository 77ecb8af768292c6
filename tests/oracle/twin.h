/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The decoder once more, written as the paper states it (Yu et al. 2007): long double, dense
 * inverses by Gauss-Jordan, libm's expl and logl, every past frame kept, Newton's method in the
 * state's own coordinates until nothing moves.  Slow and plain; shares no code with daemon/model.
 */
#ifndef TRAJ_TESTS_TWIN_H
#define TRAJ_TESTS_TWIN_H

#include "traj/decoder.h"

typedef long double real;

struct twin_frame {
    long bin; /* number of the training bin in which the frame ends */
    real dt;
    bool plan;
    uint16_t *counts; /* [N] */
};

struct twin {
    const struct traj_model *model;
    size_t newton_steps; /* default 200; cut it to see that a test notices */
    bool marks;
    enum traj_phase phase;
    long now;     /* bin of the last frame */
    long elapsed; /* bins since trial start */
    struct twin_frame *frame;
    size_t frames, room;
    bool *present, *running, *fresh; /* [K] */
    size_t *wait;                    /* [K] bins that a component still waits */
    /* [K][S + 1], [K][S + 1][S + 1], [K]; what comes last is s, which warped components alone
     * have. */
    real *mean, *cov, *log_weight;
    real *prior, *gaze, *plan;    /* [M] probabilities over targets, sum 1 */
    real *plan_count, *plan_time; /* [N] z, T */
    real *mixed_mean, *mixed_cov; /* [S], [S][S] */
    real log_evidence;
};

/* Kinematic moments of component k. */
real twin_mean(const struct twin *twin, size_t k, size_t i);
real twin_cov(const struct twin *twin, size_t k, size_t i, size_t j);

void twin_init(struct twin *twin, const struct traj_model *model);
void twin_free(struct twin *twin);
void twin_reset(struct twin *twin);
void twin_marks(struct twin *twin, bool marks);
void twin_start(struct twin *twin);
void twin_go(struct twin *twin);
void twin_stop(struct twin *twin);
void twin_prior(struct twin *twin, const double *prob);
void twin_gaze(struct twin *twin, const double *position, const double *cov);
void twin_step(struct twin *twin, const struct traj_observation *observation);

/* a^-1 by Gauss-Jordan with pivoting; returns log |det a|. */
real twin_invert(size_t n, const real *a, real *inverse);

#endif
