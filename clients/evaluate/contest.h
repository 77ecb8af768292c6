/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the bench keeps while its units are worked on.  Internal. */
#ifndef TRAJ_EVALUATE_CONTEST_H
#define TRAJ_EVALUATE_CONTEST_H

#include "clients/evaluate/bins.h"
#include "clients/evaluate/evaluate.h"
#include "clients/evaluate/picture.h"

/* One method, amount, draw and condition: all parts together. */
struct traj_run {
    size_t size, draw, method; /* indices into the options' lists (method: of method.h) */
    enum traj_condition condition;
    size_t first, parts, left;    /* units; those that have not answered */
    struct traj_decoded *decoded; /* of the scored session; NULL before the first and after the last
                                     answer */
    struct traj_score score;
    struct traj_group_sums tally;
    char failed[512];
};

/* The scored session of a draw, with what is known of its bins. */
struct traj_scored {
    size_t size, draw; /* whose it is */
    struct traj_session *session;
    struct traj_bins bins;
};

/* A method learned from the other day. */
struct traj_yesterday {
    struct traj_model *model; /* NULL where it could not be, or is not wanted */
    struct traj_error why;
};

struct traj_contest {
    const struct traj_session *session;
    struct traj_evaluate_options options;
    struct traj_protocol protocol;
    uint64_t *seed; /* [draws] */
    size_t *method; /* [methods] */
    size_t draws, methods, runs, units, taken, groups;
    struct traj_run *run;
    size_t *run_of;                   /* [units] */
    struct traj_yesterday *yesterday; /* [methods of method.h] */
    struct traj_scored scored;        /* the last that was needed */
    /* [methods of method.h] of the first draw at the last amount, plain; else NULL */
    struct traj_picture **picture;
    char digest[TRAJ_SHA256_HEX];
    bool by_trial;
};

/* Whether it begins with the model of another day. */
bool traj_condition_begins_yesterday(enum traj_condition condition);

/* Whether a method is run under a condition: a prior means nothing to a baseline. */
bool traj_contest_applies(const struct traj_contest *contest, enum traj_condition condition,
                          size_t method);

#endif
