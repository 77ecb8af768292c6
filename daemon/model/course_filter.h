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
 *     s_n <- s_n - b_n,  b_n += drift (s_n - b_n - sum_j p_j f_jn)  where channel n was observed,
 * the residual held within 5 sd of the channel's noise; and s_n - b_n itself is held to what is no
 * further than 10 sd from all f_jn, so that a broken sample is remembered no longer than others.
 * A state lies between two nodes; its l is interpolated.  With gains, y_n ~ Poisson(rate_n exp((G
 * z)_n)), z ~ N(0, I) constant within a trial is integrated by Laplace about 0 (v = G'(y - rate),
 * H = I + G' diag(rate) G summed since the trial's start):
 *     weight_j = p_j exp(tau [v_j' H_j^-1 v_j / 2 - log|H_j| / 2])
 * which is exact over paths that never meet; where paths meet, v and H are averaged by weight.
 */
#ifndef TRAJ_MODEL_COURSE_FILTER_H
#define TRAJ_MODEL_COURSE_FILTER_H

#include "daemon/model/arena.h"
#include "daemon/model/course_kernel.h"
#include "daemon/model/kernel.h"
#include "daemon/model/opinion.h"
#include "daemon/model/recent.h"
#include "daemon/model/steer.h"
#include "traj/decoder.h"

/*
 * What a state in a plane is, in one row of this many numbers: position (2), velocity (2), spread
 * of the position (xx, xy, yy) and of the velocity, 1 where progress is defined and progress, the
 * same of eta; the rest is 0.
 */
#define TRAJ_SHAPE 16u

#define TRAJ_ROW_MOST 16u /* numbers of a row with TRAJ_GAINS_MAX gains */

/* Sums over the posterior in a plane. */
struct traj_plane {
    double position[2], velocity[2], position_cov[4], velocity_cov[4];
    double on_course, progress, timed, eta;
};

/* States that have probability, in their order; arrays have room for three more.  A row is what
 * goes along with a state's probability: 1, the residuals v, the curvature H (lower triangle by
 * rows), and zeros up to `width`, which is 1 where there are no gains. */
struct traj_course_states {
    size_t count;
    int32_t *active; /* [n] */
    int32_t *place;  /* [n] where its row stands */
    double *prob;    /* [n] without the gains' factor */
    double *row;     /* [n when they were gathered][width] */
};

/*
 * Much of a step does not depend on what the frame holds: it is done ahead where there is time for
 * it (traj_course_filter_prepare), from the states `now` to those `ahead`, which leaves the states
 * now as they are; and thrown away where the next frame turns out to be another than was
 * expected.  Arrays marked [n] are parallel to a list of states, those marked [J] hold every state.
 */
struct traj_course_filter {
    const struct traj_model *model;
    const struct traj_course_kernels *kernels;
    traj_rows_kernel *add_rows;
    size_t states, nodes, channels, gains, factors, links, dim;
    size_t factor_stride; /* numbers of a row over factors: rounded up to TRAJ_LANES */
    size_t tri;           /* gains (gains + 1) / 2 */
    size_t width;         /* numbers of a row */
    size_t stride; /* numbers of a row of a table over nodes: nodes, rounded up to TRAJ_LANES */
    bool fresh;    /* the next frame is the first since a reset: no transition before it */
    bool entering; /* a trial has begun; its start distribution enters with the next frame */
    bool prepared; /* the states ahead are those of one bin on, of length prepared_dt */
    double prepared_dt;
    enum traj_context context;
    struct traj_course_states now, ahead;
    double owed[TRAJ_ROW_MOST]; /* what all rows of the states now are still to get: G'y */
    double *weight;             /* [n] posterior of the states now, gains included */
    double *after;              /* [n ahead] scratch: prob after the frame */
    double *likely;             /* [n ahead] l of a state */
    double *evidence;           /* [n ahead] what the gains say of it, or the recent past */
    int32_t *low, *high;        /* [n ahead] its nodes, */
    double *share;              /* [n ahead] and the second one's share */
    double *factored;           /* [n ahead / 4][width][4] factors of H, and v */
    double *next;               /* [J][width] times probability, 0 between predictions */
    uint8_t *reached;           /* a block of TRAJ_LANES states: 1 where some of next are not 0 */
    double *members;            /* [J] states of each group */
    int32_t *node_after;        /* [J] the second node of a state; its first where it has none */
    int32_t *start;             /* [starts] states in which trials begin */
    size_t starts;
    int32_t *span; /* first and last block of nodes between which a block of states lies */
    double *shape; /* [J][TRAJ_SHAPE], in a plane */
    /* Tables for the channels observed now, E nodes: */
    uint8_t *observed; /* [C] which */
    double
        *table;   /* [C][stride] log rate, or f less its centre; of all channels, as what follows */
    double *rate; /* [C][stride] spikes/s (Poisson) */
    double *offset;   /* [stride] sum of rates less doubt (per bin width), or f' P f / 2 */
    double *node_row; /* [E][width] a second's residuals and curvature */
    /* [1 + q + tri][stride] sums of rate, of G' rate, of G' diag(rate) G (Poisson), or
     * [1 + r][stride] f' D^-1 f and U'D^-1 f: of the channels observed now, and of all */
    double *sums, *sums_of_all;
    double *log_likelihood; /* [stride] of this frame, where a state needs it */
    uint8_t *needed;        /* [stride / TRAJ_LANES] blocks of nodes that the states ahead need */
    double *noise_factor;   /* [r][r] Cholesky factor of I + U'D^-1 U, channels observed now */
    double *precision;      /* [C] D^-1 */
    double *scaled;         /* [C][factor_stride] D^-1 U, and */
    double *scaled_of;      /* [r][C] the same a row a factor */
    double *common;         /* [factor_stride] scratch: (I + U'D^-1 U)^-1 U'D^-1 y */
    double *weighed;        /* [C] scratch: P y */
    double *centre;         /* [C] mean of f over the nodes (Gaussian) */
    double *centred;        /* [C] scratch: y = s - b - centre, 0 where not observed */
    double normaliser;      /* log of the Gaussian density's constant, channels observed now */
    double frame_alone;     /* what this frame adds to log p at every node alike */
    double *least, *most;   /* [C] s - b is taken for within: 10 sd of the noise off all f */
    double *farthest;       /* [C] residual beyond which b moves no further: 5 sd of the noise */
    double *drifted;        /* [C] b, the offset of each channel by now */
    double *seen;           /* [C] s - b of this frame, 0 where not observed */
    double *node_weight;    /* [stride] scratch: posterior of the nodes */
    double *expected;       /* [C] scratch: what the posterior expects of the channels */
    struct traj_recent recent;    /* what the recent past says, where dims.stages > 0, */
    bool answers;                 /* and whether it weighs states */
    struct traj_steer steer;      /* an effector, where dims.paces > 0 */
    double *whole;                /* [C] scratch: channels, expectations where not observed */
    struct traj_opinion *opinion; /* another decoder's, borrowed */
    const double **row_of;        /* [C or E] scratch: rows to be added, and their factors */
    double *value_of;
};

void traj_course_filter_lay_out(struct traj_course_filter *filter, struct traj_arena *arena,
                                const struct traj_dims *dims);

/* Takes the model and stands at its initial distribution; TRAJ_E_NOT_PD where the noise is
 * unusable. */
enum traj_status traj_course_filter_init(struct traj_course_filter *filter,
                                         const struct traj_model *model);

void traj_course_filter_reset(struct traj_course_filter *filter);

/* Makes the tables those of the channels seen[C] that are not 0, as a frame that told of these
 * would. */
void traj_course_filter_observed(struct traj_course_filter *filter, const uint8_t *seen);
void traj_course_filter_marks(struct traj_course_filter *filter, bool marks);
/* belief[m] = log P(m) M. */
void traj_course_filter_trial_start(struct traj_course_filter *filter, const double *belief);
void traj_course_filter_trial_stop(struct traj_course_filter *filter);

/* Multiplies the probability of each target's states by exp(change[m]). */
void traj_course_filter_reweigh(struct traj_course_filter *filter, const double *change);

/*
 * Does ahead what does not depend on the next frame, if that is the next bin's, of length dt.  May
 * be called at any time between two steps, or never: no step gives anything else for it.
 */
void traj_course_filter_prepare(struct traj_course_filter *filter, double dt);

/*
 * Moves on by `steps` training bins and conditions on a frame; belief[m] = log P(m) M weighs what
 * enters with a trial.  Returns log p(frame | frames before), of counts, or of roots and features
 * where the channels are Gaussian; the gains and the recent past have no part in it.  *recovered:
 * the distribution had turned non-finite or empty and was put back to the initial one.
 */
double traj_course_filter_step(struct traj_course_filter *filter,
                               const struct traj_observation *observation, const double *belief,
                               bool *recovered);

/* Puts prob[J] in place of the distribution; what is known of the gains is forgotten. */
void traj_course_filter_stand(struct traj_course_filter *filter, const double *prob);

/* The state that the last frame made most probable; `states` before a first one. */
size_t traj_course_filter_likeliest(const struct traj_course_filter *filter);

/* Probability of every state by now, [J]: what is predicted from, priors that came included. */
void traj_course_filter_spread(const struct traj_course_filter *filter, double *prob);

/*
 * Moments and probabilities of filter->weight over filter->now.active: position[D], its cov[D][D],
 * velocity likewise, target[M], place[TRAJ_PLACES]; *progress NaN where no state on a course has
 * weight.
 */
void traj_course_filter_moments(const struct traj_course_filter *filter, double *position,
                                double *position_cov, double *velocity, double *velocity_cov,
                                double *target, double *place, double *progress, double *eta);

#endif
