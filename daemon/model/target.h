/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What is believed about the target apart from the movement itself: a prior given from outside,
 * where the eyes are, and plan activity.  Each is kept as log P(m) M, its ratio to the uniform
 * distribution, by which the weights of a target's components are multiplied; components without a
 * target are not touched.  Each is mixed with the uniform one at weight TRAJ_PRIOR_FLOOR.
 */
#ifndef TRAJ_MODEL_TARGET_H
#define TRAJ_MODEL_TARGET_H

#include "daemon/model/arena.h"
#include "daemon/model/history.h"
#include "traj/decoder.h"

struct traj_target_belief {
    const struct traj_model *model;
    size_t targets;
    double *prior;      /* [M] log ratio of the prior from outside */
    double *gaze;       /* [M] of the gaze */
    double *plan;       /* [M] of plan activity */
    double *opinion;    /* [M] of another decoder's opinion (opinion.h) */
    double *total;      /* [M] their sum: what the mixture uses */
    double *likelihood; /* [M] log p(plan counts | m) so far, but for what all targets share */
    double *log_rate;   /* [M][N] log of the model's plan rates */
};

void traj_target_belief_lay_out(struct traj_target_belief *belief, struct traj_arena *arena,
                                const struct traj_dims *dims);
void traj_target_belief_init(struct traj_target_belief *belief, const struct traj_model *model);

/* All forgotten: every target as likely as the next. */
void traj_target_belief_clear(struct traj_target_belief *belief);

/* TRAJ_E_RANGE where a probability is negative, not finite, or all are 0; nothing changes then. */
enum traj_status traj_target_belief_prior(struct traj_target_belief *belief, const double *prob);

/* P(m) proportional to N(position; target m, cov); TRAJ_E_NONFINITE, TRAJ_E_NOT_PD. */
enum traj_status traj_target_belief_gaze(struct traj_target_belief *belief, const double *position,
                                         const double *cov);

/* Another decoder's opinion, log ratio[M], in place of its last. */
void traj_target_belief_opinion(struct traj_target_belief *belief, const double *ratio);

/* log P(m) M for P(m) proportional to exp(temper likelihood[m]), floored; ratio may be
 * likelihood. */
void traj_target_likelihood(size_t targets, double temper, const double *likelihood, double *ratio);

/*
 * A bin of the plan window, NULL counts = unobserved:
 *     log P(m | z) = const + temper sum_n [z_n log(r_nm T_n) - r_nm T_n]
 * over the bins so far; z_n, T_n the unit's counts and observed time.  sum z_n log T_n is the same
 * for all targets and is left out.
 */
void traj_target_belief_plan(struct traj_target_belief *belief, const uint16_t *counts, double dt);

#endif
