/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The filter over courses: a hidden Markov model whose states are places along learned movements.
 *
 *     p <- normalise((p T) exp(tau l(y)))
 *
 * l is linear in what was observed, so that one table serves all states of a node:
 *     Poisson    l_e = sum_n [y_n log(rate_en) - rate_en dt] + doubt_e dt (share of units seen)
 *     Gaussian   l_e = s' P f_e - f_e' P f_e / 2,  P = (diag + U U')^-1 over what was seen,
 *                s_n = sqrt(y_n D / dt + 1/4) for counts, features as they are
 * Rates drift over minutes, so a Gaussian channel is read from an offset b_n that follows what the
 * states leave unexplained, an exponential mean of the residual under the posterior:
 *     s_n <- s_n - b_n,  b_n += drift (s_n - b_n - sum_j p_j f_jn)  where channel n was observed.
 * A state lies between two nodes; its l is interpolated.  With gains, y_n ~ Poisson(rate_n exp((G
 * z)_n)), z ~ N(0, I) constant within a trial is integrated by Laplace about 0 (v = G'(y - rate),
 * H = I + G' diag(rate) G summed since the trial's start):
 *     weight_j = p_j exp(tau [v_j' H_j^-1 v_j / 2 - log|H_j| / 2])
 * which is exact over paths that never meet; where paths meet, v and H are averaged by weight.
 */
#ifndef TRAJ_MODEL_COURSE_FILTER_H
#define TRAJ_MODEL_COURSE_FILTER_H

#include "daemon/model/arena.h"
#include "daemon/model/kernel.h"
#include "traj/decoder.h"

struct traj_course_filter {
    const struct traj_model *model;
    size_t states, nodes, channels, gains, factors, links, dim;
    size_t tri; /* gains (gains + 1) / 2 */
    traj_rows_kernel *add_rows;
    bool fresh;    /* the next frame is the first since a reset: no transition before it */
    bool entering; /* a trial has begun; its start distribution enters with the next frame */
    enum traj_context context;
    /* States with probability, in order; everything below that has a row a state is 0 elsewhere,
     * and so is the second set of arrays between transitions. */
    int32_t *active;
    size_t actives;
    uint8_t *reached; /* [J] scratch, 0 between transitions */
    double *members;  /* [J] states of each group */
    double *prob;     /* [J] without the gains' factor */
    double *next;     /* [J] */
    double *weight;   /* [J] posterior, gains included */
    double *likely;   /* [J] scratch: l of a state */
    double *residual; /* [J][q] v */
    double *residual_next;
    double *curvature; /* [J][tri] H, lower triangle by rows */
    double *curvature_next;
    /* Tables for the channels observed now: */
    uint8_t *observed;      /* [C] which */
    double *table;          /* [C][E] log rate, or P f */
    double *rate;           /* [C][E] spikes/s (Poisson) */
    double *offset;         /* [E] sum of rates less doubt (per bin width), or f' P f / 2 */
    double *gain_rate;      /* [q][E] G' rate */
    double *gain_curve;     /* [tri][E] G' diag(rate) G */
    double *log_likelihood; /* [E] of this frame */
    double *noise_factor;   /* [r][r] scratch */
    double *loading;        /* [r][E] scratch */
    double *column;         /* [r] scratch */
    double *gain_counts;    /* [q] G'y */
    double *drifted;        /* [C] b, the offset of each channel by now */
    double *seen;           /* [C] s - b of this frame, 0 where not observed */
    double *node_weight;    /* [E] scratch: posterior of the nodes */
};

void traj_course_filter_lay_out(struct traj_course_filter *filter, struct traj_arena *arena,
                                const struct traj_dims *dims);

/* Takes the model and stands at its initial distribution; TRAJ_E_NOT_PD where the noise is
 * unusable. */
enum traj_status traj_course_filter_init(struct traj_course_filter *filter,
                                         const struct traj_model *model);

void traj_course_filter_reset(struct traj_course_filter *filter);
void traj_course_filter_marks(struct traj_course_filter *filter, bool marks);
void traj_course_filter_trial_start(struct traj_course_filter *filter);
void traj_course_filter_trial_stop(struct traj_course_filter *filter);

/* Multiplies the probability of each target's states by exp(change[m]). */
void traj_course_filter_reweigh(struct traj_course_filter *filter, const double *change);

/*
 * Moves on by `steps` training bins and conditions on a frame; belief[m] = log P(m) M weighs what
 * enters with a trial.  Returns the frame's log evidence but for what depends on the counts
 * alone.  *recovered: the distribution had turned non-finite or empty and was put back to the
 * initial one.
 */
double traj_course_filter_step(struct traj_course_filter *filter,
                               const struct traj_observation *observation, const double *belief,
                               bool *recovered);

/*
 * Moments and probabilities of filter->weight over filter->active: position[D], its cov[D][D],
 * velocity likewise, target[M], place[TRAJ_PLACES]; *progress NaN where no state on a course has
 * weight.
 */
void traj_course_filter_moments(const struct traj_course_filter *filter, double *position,
                                double *position_cov, double *velocity, double *velocity_cov,
                                double *target, double *place, double *progress, double *eta);

#endif
