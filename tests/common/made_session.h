/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Small sessions with known truth for tests of learning: minimum-jerk reaches from the origin to
 * targets on a ring (a line in one dimension, a ring in the first two of three), cut out, bins of
 * 20 ms, Poisson units tuned to velocity with a known lag, features linear in velocity.
 */
#ifndef TESTS_COMMON_MADE_SESSION_H
#define TESTS_COMMON_MADE_SESSION_H

#include <stdbool.h>

#include "daemon/learn/session.h"

struct made_options {
    uint64_t seed;
    size_t dim, targets, trials_per_target, units, features;
    double delay;  /* s from trial start to the go cue; 0 = no go cue, the reach begins at once */
    bool unbroken; /* trials follow each other after rests that are recorded too */
    bool labels;   /* targets of trials are known */
    double rate;   /* spikes/s at rest */
    double depth;  /* log rate at peak speed in the best direction */
};
void made_options_default(struct made_options *options);

/* The session, to be freed with traj_session_free; lag of unit n is made_lag(n) bins. */
struct traj_session *made_session(const struct made_options *options);
size_t made_lag(size_t unit);

/* Uniform in (0, 1), standard normal, and Poisson numbers from a seed. */
double made_uniform(uint64_t *random);
double made_normal(uint64_t *random);
uint16_t made_poisson(uint64_t *random, double mean);

#endif
