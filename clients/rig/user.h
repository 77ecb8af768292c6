/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A synthetic user: an optimal feedback controller (Todorov and Jordan 2002; for brain-machine
 * interfaces Lagang and Srinivasan 2013, Neural Computation 25:374) who sees the cursor late and
 * through noise, believes something about how it answers, and intends velocities.
 *
 * Belief, the same on every axis:  w' = smoothing w + (1 - smoothing) gain u(-delay) + b,  p' = p +
 * dt w',  with u the intended velocity, w and p the cursor's, `delay` bins of dead time, and b a
 * random walk: a pull of the cursor that does not come from the user.  An arm has a belief of this
 * form too, so that a user begins with that one and learns the decoder's.
 *
 * Knowledge: a Kalman filter of (p, w, b) on what was on the screen sensory_delay_s ago, carried
 * forward over the delays by the user's own past intents: optimal for dead times in a linear
 * system.
 *
 * Control: u' = u + dt a',  a' = a + dt j;  the input j is that of least squared jerk that reaches
 * the goal at rest when the planned time has run out (finite-horizon regulator; with a cursor that
 * does as intended, a minimum-jerk movement: Flash and Hogan 1985, Hoff and Arbib 1993).  A new
 * goal is planned for duration_s sqrt(distance / reach) after the reaction time; when the time has
 * run out, the horizon stays at correction_s, and a goal still far away is planned for anew.  What
 * the cursor is pulled by is intended against, and nobody intends more than speed_max.
 *
 * Motor noise stands between intent and execution: what the units encode is u (1 + cv e1) +
 * floor e2 with e AR(1) of motor_tau_s: noise that grows with the signal (Harris and Wolpert 1998).
 * The user does not know of it.
 */
#ifndef TRAJ_RIG_USER_H
#define TRAJ_RIG_USER_H

#include <gsl/gsl_rng.h>
#include <stdbool.h>
#include <stddef.h>

#include "clients/rig/regulator.h"

#define TRAJ_RIG_DIM 3      /* most dimensions of a task */
#define TRAJ_USER_STEPS 160 /* longest horizon, bins */
#define TRAJ_USER_MEMORY 64 /* bins of sensory delay and dead time together, at most */
#define TRAJ_USER_STATES 4  /* p - goal, w, u, a */

struct traj_belief {
    double gain;      /* cursor velocity per intended velocity, in the end */
    double smoothing; /* in [0, 1) */
    size_t delay;     /* bins from an intent to the first movement */
    double noise;     /* sd of what the cursor does of its own accord, length/s a bin */
};

struct traj_user_options {
    double bin_s;
    double reach;                /* length that duration_s is for */
    double duration_s;           /* of a movement over `reach` */
    double reaction_s[2];        /* to a new goal, uniform between */
    double jump_reaction_s;      /* to a goal that jumps under way */
    double correction_s;         /* horizon of corrections */
    double speed_max;            /* length/s, of an intent */
    double sensory_delay_s;      /* of sight */
    double sight_noise;          /* length, sd of the seen position */
    double sight_velocity_noise; /* length/s, sd of the seen velocity */
    double motor_cv;             /* noise per intended velocity */
    double motor_floor;          /* length/s, noise at rest */
    double motor_tau_s;
};
void traj_user_options_default(struct traj_user_options *options);

struct traj_user {
    struct traj_user_options options;
    size_t dim;
    struct traj_belief belief;
    gsl_rng *rng; /* borrowed */

    /* derived from the belief */
    double gains[TRAJ_USER_STEPS][TRAJ_USER_STATES]; /* [steps left - 1] */
    double sight[9];                                 /* Kalman gain over (p, w, b) */
    size_t sensory;                                  /* bins */

    /* knowledge */
    double seen_p[TRAJ_RIG_DIM], seen_w[TRAJ_RIG_DIM]; /* as of `sensory` bins ago */
    double pull[TRAJ_RIG_DIM];                         /* b */
    double here[TRAJ_RIG_DIM];                         /* the cursor now, as far as is known */
    double u[TRAJ_RIG_DIM], a[TRAJ_RIG_DIM];
    double past[TRAJ_USER_MEMORY][TRAJ_RIG_DIM]; /* own intents; [bin % memory] */
    double screen[TRAJ_USER_MEMORY][2 * TRAJ_RIG_DIM];
    size_t bin; /* acts so far */

    /* plan */
    double goal[TRAJ_RIG_DIM], next[TRAJ_RIG_DIM];
    double drift[TRAJ_RIG_DIM]; /* velocity of a goal that moves */
    double tolerance;           /* of the goal */
    bool preparing;             /* for `next`, whose time has not come */
    bool waiting;               /* `next` will be the goal in `reaction` bins */
    size_t reaction, horizon;

    double noise[2][TRAJ_RIG_DIM]; /* AR(1), unit variance */
};

/* What the user is about in one bin. */
struct traj_intention {
    double velocity[TRAJ_RIG_DIM]; /* executed: with motor noise */
    double wanted[TRAJ_RIG_DIM];   /* without */
    double position[TRAJ_RIG_DIM]; /* where the user takes the cursor to be */
    double plan[TRAJ_RIG_DIM];     /* unit vector to the goal that is being prepared for, or 0 */
};

/* At rest with the cursor at `position`; rng is borrowed for the user's life. */
void traj_user_init(struct traj_user *user, const struct traj_user_options *options, size_t dim,
                    const double *position, gsl_rng *rng);

/* The user believes otherwise from now on. */
void traj_user_believe(struct traj_user *user, const struct traj_belief *belief);

/* A goal is shown that must not be reached for yet. */
void traj_user_prepare(struct traj_user *user, const double *goal);

/* How a new goal comes, which is how long the user takes to turn to it. */
enum traj_goal { TRAJ_GOAL_NEW, TRAJ_GOAL_JUMPED, TRAJ_GOAL_KNOWN /* beforehand: at once */ };
void traj_user_aim(struct traj_user *user, const double *goal, double tolerance,
                   enum traj_goal how);

/* Bins from now until a goal that is followed ought to be met: the cursor's dead time and the
 * horizon of corrections. */
size_t traj_user_ahead(const struct traj_user *user);

/* Follows a moving goal: `goal` and its velocity as they will be traj_user_ahead bins from now. */
void traj_user_follow(struct traj_user *user, const double *goal, const double *velocity);

/* The experimenter put the cursor elsewhere and the user saw it. */
void traj_user_place(struct traj_user *user, const double *position);

/* The next bin: what is on the screen now (cursor's position and velocity), what is intended. */
void traj_user_act(struct traj_user *user, const double *position, const double *velocity,
                   struct traj_intention *intention);

/*
 * Learns how a cursor answers that is moved by a decoder while the user intends something else than
 * to correct it: least squares of w, simulated from u alone, over gain, smoothing and every dead
 * time up to delay_max.  wanted and cursor are [bins][dim] velocities of successive bins.  The
 * belief is left as it was where there is nothing to learn from.
 */
void traj_belief_learn(struct traj_belief *belief, const double *wanted, const double *cursor,
                       size_t bins, size_t dim, size_t delay_max);

#endif
