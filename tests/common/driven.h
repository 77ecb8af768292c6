/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A simulated session through the pipeline, with events of a test's own on the way. */
#ifndef TRAJ_TESTS_DRIVEN_H
#define TRAJ_TESTS_DRIVEN_H

#include "clients/sim/simulate.h"
#include "daemon/core/pipeline.h"
#include "daemon/learn/fit.h"

struct driven {
    const struct traj_model *model;
    const struct traj_session *session;
    bool trials; /* tell of trials' start, go and stop */
    /* Called before each bin; sends what events it likes (driven_send).  May be NULL. */
    void (*before)(struct driven *driven, size_t bin);
    void (*after)(struct driven *driven, size_t bin, const struct traj_intent *intent);
    void *context;
    struct traj_pipeline *pipeline; /* while it runs */
};

/* The whole session from its first bin; fails the test where something is refused. */
void driven_run(struct driven *driven);

/* Hands an event of so many numbers to the pipeline, which must accept it. */
void driven_send(struct driven *driven, enum traj_event_kind kind, double t, const double *value,
                 size_t count, size_t dim);

/* The same of an estimate of another decoder. */
void driven_estimate(struct driven *driven, enum traj_estimate_of of, double t, const double *value,
                     size_t count, size_t dim);

/* Tells the pipeline where a session's targets are. */
void driven_targets(struct driven *driven, double t, const struct traj_session *session);

/* The trial that bin lies in, (size_t)-1 = none. */
size_t driven_trial(const struct traj_session *session, size_t bin);

/* Fail the test where they cannot. */
struct traj_session *driven_simulate(const struct traj_sim_options *options);
struct traj_model *driven_train(const struct traj_session *session, bool calibrate);

double driven_median(double *value, size_t count);

#endif
