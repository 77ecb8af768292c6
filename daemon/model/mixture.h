/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The mixture of components: weights by evidence, exchange of probability between components, and
 * the moments of the whole.  It knows components by their table alone.
 *
 * A component is *present* when it has weight, and *running* when it is predicted and updated; in
 * a plan window the components that start afresh with the movement are present and wait.
 */
#ifndef TRAJ_MODEL_MIXTURE_H
#define TRAJ_MODEL_MIXTURE_H

#include "daemon/model/component.h"
#include "daemon/model/target.h"

struct traj_mixture_component {
    const struct traj_component_table *table;
    void *self;
    uint8_t restarts; /* trial_reset */
    uint8_t present;
    uint8_t running;
    uint8_t fresh; /* at x_1: the next bin is its first and is not predicted to */
};

struct traj_mixture {
    const struct traj_model *model;
    const struct traj_target_belief *belief;
    size_t components;
    size_t state;
    bool all_restart;                         /* no component outlives a trial */
    struct traj_mixture_component *component; /* [K] */
    void *memory;                             /* the components' own */
    void *scratch;
    double *log_weight; /* [K], -infinity where not present */
    double *weight;     /* [K] scratch */
    double *evidence;   /* [K] log evidence of the last frame */
    double *entering;   /* [K] share that enters after the prediction */
    double *mean;       /* [S] of the mixture */
    double *cov;        /* [S][S] */
    double *one_mean;   /* [S] scratch: a component's */
    double *one_cov;    /* [S][S] */
};

void traj_mixture_lay_out(struct traj_mixture *mixture, struct traj_arena *arena,
                          const struct traj_dims *dims);
void traj_mixture_init(struct traj_mixture *mixture, const struct traj_model *model,
                       const struct traj_settings *settings,
                       const struct traj_target_belief *belief);

/* Every component at x_1; those that restart are present only if `all`, or if there are no
 * others. */
void traj_mixture_reset(struct traj_mixture *mixture, bool all);

/* Between trials: brings in, at x_1, or takes out the components that restart with each trial. */
void traj_mixture_restarting(struct traj_mixture *mixture, bool present);

/* A plan window opens: what restarts waits at x_1, present but not running. */
void traj_mixture_plan(struct traj_mixture *mixture);

/* Movement begins: what restarts stands at x_1 and runs, all weights are as before any movement. */
void traj_mixture_move(struct traj_mixture *mixture);

/*
 * A trial ends: what restarts is taken out, and what goes on goes on from the mean and covariance
 * of the mixture, if it had moved: if the trial got as far as a frame of the movement.  Not for
 * models in which everything restarts.
 */
void traj_mixture_end(struct traj_mixture *mixture, bool moved);

/* Weights of the components present: component_prior times what is believed about the targets. */
void traj_mixture_prior_weights(struct traj_mixture *mixture);

/* Multiplies each target's weights by exp(change[m]) and normalises. */
void traj_mixture_reweigh(struct traj_mixture *mixture, const double *change);

/* Probability moves between components for so many bins at model->switch_rate (switching.c). */
void traj_mixture_switch(struct traj_mixture *mixture, size_t steps);

/*
 * Predicts the running components over `steps` bins (fresh ones over fresh_steps - 1) and
 * conditions them on the frame; their evidence moves the weights if `weigh`.  Returns the frame's
 * log evidence, NaN if nothing runs.  *recovered: a component failed and was rebuilt.
 */
double traj_mixture_step(struct traj_mixture *mixture, const struct traj_observed *observed,
                         size_t steps, size_t fresh_steps, bool weigh, bool *recovered);

/* weight[k] from log_weight[k]. */
void traj_mixture_weights(struct traj_mixture *mixture);

/* Fills weight, mean and cov from the components. */
void traj_mixture_moments(struct traj_mixture *mixture);

/* Log of the sum of exp(x[k]); -infinity for nothing. */
double traj_log_sum_exp(size_t n, const double *x);

#endif
