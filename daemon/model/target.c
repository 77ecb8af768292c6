/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Beliefs about the target; see target.h. */
#include "daemon/model/target.h"

#include "daemon/model/elementary.h"
#include "daemon/model/linalg.h"

#define FARTHEST 1e300 /* nats */

void traj_target_belief_lay_out(struct traj_target_belief *belief, struct traj_arena *arena,
                                const struct traj_dims *dims)
{
    const size_t targets = dims->targets;
    belief->targets = targets;
    belief->prior = traj_arena_take(arena, targets, sizeof(double));
    belief->gaze = traj_arena_take(arena, targets, sizeof(double));
    belief->plan = traj_arena_take(arena, targets, sizeof(double));
    belief->opinion = traj_arena_take(arena, targets, sizeof(double));
    belief->total = traj_arena_take(arena, targets, sizeof(double));
    belief->likelihood = traj_arena_take(arena, targets, sizeof(double));
    belief->log_rate = traj_arena_take(arena, targets * dims->units, sizeof(double));
}

void traj_target_belief_init(struct traj_target_belief *belief, const struct traj_model *model)
{
    belief->model = model;
    const double *rate = model->plan.rate;
    for (size_t i = 0; rate && i < belief->targets * model->dims.units; i++)
        belief->log_rate[i] = traj_log(rate[i]);
    traj_target_belief_clear(belief);
}

void traj_target_belief_clear(struct traj_target_belief *belief)
{
    for (size_t m = 0; m < belief->targets; m++) {
        belief->prior[m] = 0.0;
        belief->gaze[m] = 0.0;
        belief->plan[m] = 0.0;
        belief->opinion[m] = 0.0;
        belief->total[m] = 0.0;
        belief->likelihood[m] = 0.0;
    }
}

static void add_up(struct traj_target_belief *belief)
{
    for (size_t m = 0; m < belief->targets; m++)
        belief->total[m] =
            belief->prior[m] + belief->gaze[m] + belief->plan[m] + belief->opinion[m];
}

/* Log ratio to the uniform distribution of weight[m] / sum, floored; weight and ratio may be
 * one. */
static void floored_ratio(size_t targets, const double *weight, double *ratio)
{
    double sum = 0.0;
    for (size_t m = 0; m < targets; m++)
        sum += weight[m];
    for (size_t m = 0; m < targets; m++) {
        const double to_uniform = weight[m] / sum * (double)targets;
        ratio[m] = traj_log((1.0 - TRAJ_PRIOR_FLOOR) * to_uniform + TRAJ_PRIOR_FLOOR);
    }
}

void traj_target_likelihood(size_t targets, double temper, const double *likelihood, double *ratio)
{
    double most = likelihood[0];
    for (size_t m = 1; m < targets; m++)
        most = likelihood[m] > most ? likelihood[m] : most;
    for (size_t m = 0; m < targets; m++) {
        /* Two finite numbers may lie infinitely far apart, of which no power is a number. */
        const double apart = likelihood[m] - most;
        ratio[m] = traj_exp(temper * (apart < -FARTHEST ? -FARTHEST : apart));
    }
    floored_ratio(targets, ratio, ratio);
}

enum traj_status traj_target_belief_prior(struct traj_target_belief *belief, const double *prob)
{
    if (belief->targets == 0)
        return TRAJ_E_DIMS;
    double most = 0.0;
    for (size_t m = 0; m < belief->targets; m++) {
        if (!traj_all_finite(1, &prob[m]))
            return TRAJ_E_NONFINITE;
        if (prob[m] < 0.0)
            return TRAJ_E_RANGE;
        most = prob[m] > most ? prob[m] : most;
    }
    if (!(most > 0.0))
        return TRAJ_E_RANGE;
    /* Divided by the largest first, so that no sum of finite numbers overflows. */
    for (size_t m = 0; m < belief->targets; m++)
        belief->prior[m] = prob[m] / most;
    floored_ratio(belief->targets, belief->prior, belief->prior);
    add_up(belief);
    return TRAJ_OK;
}

enum traj_status traj_target_belief_gaze(struct traj_target_belief *belief, const double *position,
                                         const double *cov)
{
    const size_t dim = belief->model->dims.position;
    double factor[TRAJ_DIM_MAX * TRAJ_DIM_MAX];
    double apart[TRAJ_DIM_MAX];
    if (belief->targets == 0)
        return TRAJ_E_DIMS;
    if (!traj_all_finite(dim, position) || !traj_all_finite(dim * dim, cov))
        return TRAJ_E_NONFINITE;
    if (!traj_cholesky(dim, cov, factor))
        return TRAJ_E_NOT_PD;
    for (size_t m = 0; m < belief->targets; m++) {
        double distance = 0.0;
        for (size_t d = 0; d < dim; d++)
            apart[d] = position[d] - belief->model->target_position[m * dim + d];
        traj_solve_lower(dim, factor, apart);
        for (size_t d = 0; d < dim; d++)
            distance += apart[d] * apart[d];
        /* Eyes impossibly far from every target say nothing rather than infinity minus infinity. */
        belief->gaze[m] = distance < 1e300 ? -0.5 * distance : -0.5e300;
    }
    traj_target_likelihood(belief->targets, 1.0, belief->gaze, belief->gaze);
    add_up(belief);
    return TRAJ_OK;
}

void traj_target_belief_opinion(struct traj_target_belief *belief, const double *ratio)
{
    for (size_t m = 0; m < belief->targets; m++)
        belief->opinion[m] = ratio[m];
    add_up(belief);
}

void traj_target_belief_plan(struct traj_target_belief *belief, const uint16_t *counts, double dt)
{
    const struct traj_plan *plan = &belief->model->plan;
    const size_t units = belief->model->dims.units;
    if (!plan->rate || !counts || belief->targets == 0)
        return;
    for (size_t m = 0; m < belief->targets; m++) {
        const double *rate = plan->rate + m * units;
        const double *log_rate = belief->log_rate + m * units;
        double sum = 0.0;
        for (size_t n = 0; n < units; n++)
            if (counts[n] != TRAJ_COUNT_MISSING)
                sum += (double)counts[n] * log_rate[n] - rate[n] * dt;
        sum += belief->likelihood[m];
        /* A bin of absurd width must not leave infinity minus infinity. */
        belief->likelihood[m] = sum > -1e300 ? sum : -1e300;
    }
    traj_target_likelihood(belief->targets, plan->temper, belief->likelihood, belief->plan);
    add_up(belief);
}
