/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A synthetic population that fires while a user intends: the units of clients/sim/population.h
 * (tuned to velocity, speed, position and plan, with slow gains that all share), driven by what
 * the user intends in this moment instead of a course that is known beforehand, and more that real
 * units have.  Unit n fires counts with rate
 *     r_n(t) = base_n f_n(v, p, e, z)  exp(history_depth h_n(t))  gain_n(t)  burst(t)
 * where v, p and e are the user's intended velocity, the cursor's position as the user takes it and
 * the plan, as they were latency_n ago (lag_max_s - lag_n: a hand that follows the intent lag_max_s
 * later is led by lag_n); f_n is sim's exp(...), or for the mixed_share of units, which no model of
 * trajd or of its rivals describes,
 *     f_n = (0.2 + s(w1 . x + o1) + s(w2 . x + o2) (1 + m . p / reach)) / its mean over reaches,
 *           s(y) = tanh(max(y, 0)),  x = (v / peak, |v| / peak, p / reach, e),
 * with every weight random: rectified, saturating, with a gain field and mixed selectivity; h_n is
 * the unit's own spikes filtered with history_tau_s; counts are Poisson around a gamma-distributed
 * rate of squared coefficient of variation `dispersion`; and bursts (movement of the electrode,
 * chewing) multiply the rates of all units by burst_factor for burst_s, burst_hz times a second.
 */
#ifndef TRAJ_RIG_NEURONS_H
#define TRAJ_RIG_NEURONS_H

#include <stdint.h>

#include "clients/rig/user.h"
#include "clients/sim/population.h"
#include "daemon/learn/error.h"

struct traj_neurons_options {
    struct traj_sim_options sim; /* of the population; its tasks and times mean nothing here */
    double history_depth;        /* log rate per unit of h_n; below 0 = refractory */
    double history_tau_s;
    double mixed_share;
    double dispersion;
    double burst_hz, burst_s, burst_factor;
};
void traj_neurons_options_default(struct traj_neurons_options *options);

/* What becomes of a share of the units in the course of a run. */
enum traj_change_kind {
    TRAJ_CHANGE_SILENCE, /* they fire no more */
    TRAJ_CHANGE_GAIN,    /* their rates are multiplied by `size` */
    TRAJ_CHANGE_DRIFT    /* their log rates wander: a random walk of sd `size` a minute */
};
struct traj_change {
    enum traj_change_kind kind;
    double at_s; /* of the closed-loop run */
    double share;
    double size;
};

struct traj_mixed;
struct traj_neurons {
    struct traj_neurons_options options;
    struct traj_sim_population population;
    struct traj_mixed *mixed; /* [units] */
    struct traj_sim_drive drive;
    double plan[TRAJ_SIM_DIM_MAX];                /* envelope so far */
    struct traj_intention past[TRAJ_USER_MEMORY]; /* [bin % memory], plan replaced by envelope */
    double *history;                              /* [units] h_n */
    double *log_gain;                             /* [units] */
    double *wander;                               /* [units] sd a minute */
    double burst_left;                            /* s */
    size_t bin;
    gsl_rng *gains, *spikes; /* own */
};

/* The population that belongs to a seed, and how it fires in a block of that number.  0, or -1 when
 * memory is short; traj_neurons_free in either case. */
int traj_neurons_init(struct traj_neurons *neurons, const struct traj_neurons_options *options,
                      uint64_t seed, uint64_t block);
void traj_neurons_free(struct traj_neurons *neurons);

/* A change sets in; which units it hits is drawn from the seed that the population came from. */
void traj_neurons_change(struct traj_neurons *neurons, const struct traj_change *change,
                         gsl_rng *rng);

/* Counts [units] of the next bin. */
void traj_neurons_fire(struct traj_neurons *neurons, const struct traj_intention *intention,
                       uint16_t *counts);

#endif
