/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What is intended where a subject steers an effector whose place is told: the goal, a target or
 * home, to which the effector is to go from wherever it is.  A course says what a hand does that
 * sets out from one place.  Who sees a cursor go astray corrects it by movements that no course
 * holds, but whose direction is known for every goal (goal-directed decoding: Shanechi et al.
 * 2013).
 *
 * Beside the filter over courses runs another, on states goal x pace.  In state (g, k) the subject
 * intends from the effector's place c the velocity
 *     v = pace_k (goal_g - c), at most speed_most, with variance velocity_spread about it,
 * because it sees the effector late and through noise; and the transformed channels are expected at
 * f = B x, x = (1, c, v, |v|), with the noise of the filter over courses.  With V the columns of B
 * that belong to v and q the variance, P of that noise becomes
 *     P <- P - P V (I / q + V' P V)^-1 V' P,
 * and l = (B' P s)' x - x' (B' P B) x / 2 costs one product with B' P a frame and a few numbers a
 * state.  It is tempered by the root of what tempers courses: that the intended velocity varies,
 * which is a part of why courses are tempered, is allowed for already.  A subject is still (pace 0)
 * before it moves and close to its goal alone.
 *
 * Courses say more as long as they last: they know plans and the units' rates better than any
 * regression.  They are in force first, from a trial's start on, and are over when the states that
 * stand for their end (course_filter.c: share_over) have lasted about as long as in training: then
 * what is steered is published, until the next trial starts or, where no marks come, until the goal
 * is reached.  The evidence of the two does not decide when: that of free states is as
 * good, and says nothing of where the effector is to go.  Before that, within a marked trial, the
 * probability of all but ways out is spread over the targets as it lies here (course_moments.c).
 *
 * While no place of an effector is told nothing here has any part in what is decoded.
 */
#ifndef TRAJ_MODEL_STEER_H
#define TRAJ_MODEL_STEER_H

#include "daemon/model/arena.h"
#include "traj/decoder.h"

struct traj_steer {
    const struct traj_model *model;
    size_t channels, dim, goals, paces;
    size_t inputs; /* 2 D + 2, numbers of x */
    bool marked;   /* trial marks come, */
    bool in_trial; /* and a trial runs */
    bool told;     /* the effector's place is known: */
    double at[TRAJ_DIM_MAX];
    size_t age;      /* bins since it was told */
    double over;     /* s for which courses have been over, on balance */
    bool steered;    /* what is published is steered */
    double arrived;  /* s for which the subject has been still at its goal */
    double *prob;    /* [goals][paces]; the last goal is home */
    double *next;    /* [goals][paces] scratch */
    double *likely;  /* [goals][paces] l of this frame */
    double *x;       /* [goals][paces][inputs] of this frame */
    double *reader;  /* [C][inputs] P B over the channels observed now */
    double *gram;    /* [inputs][inputs] B' P B */
    double *seen;    /* [inputs] scratch: B' P s */
    double *scratch; /* [inputs (r + inputs + 1)] */
};

void traj_steer_lay_out(struct traj_steer *steer, struct traj_arena *arena,
                        const struct traj_dims *dims);
void traj_steer_init(struct traj_steer *steer, const struct traj_model *model);

/* Nothing is known of an effector; whether a trial runs stays known. */
void traj_steer_clear(struct traj_steer *steer);

/* The noise of the channels, D + U U', as it is used (course_tables.c): borrowed. */
struct traj_noise {
    const double *precision; /* [C] D^-1 */
    const double *scaled;    /* [C][stride] D^-1 U, r numbers a row */
    size_t stride;
    const double *factor; /* [r][r] Cholesky factor of I + U'D^-1 U over the channels observed */
};

/* Tables for the channels that are observed[C]. */
void traj_steer_tabulate(struct traj_steer *steer, const uint8_t *observed,
                         const struct traj_noise *noise);

/* The effector is at position[D]; belief[M] = log P(m) M counts where nothing was known before. */
void traj_steer_effector(struct traj_steer *steer, const double *position, const double *belief);

/* A trial begins: the goal is a target, by belief; or it is over: the goal is home. */
void traj_steer_trial_start(struct traj_steer *steer, const double *belief);
void traj_steer_trial_stop(struct traj_steer *steer);

/* Multiplies the probability of each target by exp(change[m]). */
void traj_steer_reweigh(struct traj_steer *steer, const double *change);

/* Goes on where `from` stands, of a decoder whose model has the same sizes. */
void traj_steer_adopt(struct traj_steer *steer, const struct traj_steer *from);

/* Moves on by so many bins and conditions on seen[C], 0 where not observed. */
void traj_steer_step(struct traj_steer *steer, const double *seen, size_t steps);

/* Courses were over in the last bins with probability `share`. */
void traj_steer_wait(struct traj_steer *steer, double share, size_t steps);

/* Whether the effector is known to be elsewhere than at home. */
bool traj_steer_astray(const struct traj_steer *steer);

/* Where what is steered is published, expected[C] becomes what its states expect. */
void traj_steer_expect(const struct traj_steer *steer, double *expected);

/* Spreads `share` over the goals, as likely as they are here: target[M] gets all but home's. */
void traj_steer_redirect(const struct traj_steer *steer, double share, double *target);

/* Moments and probabilities of what is steered: position[D], its cov[D][D], of one bin on, velocity
 * likewise, target[M], place[TRAJ_PLACES]. */
void traj_steer_moments(const struct traj_steer *steer, double *position, double *position_cov,
                        double *velocity, double *velocity_cov, double *target, double *place);

#endif
