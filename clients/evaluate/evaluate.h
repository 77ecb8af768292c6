/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Cross-validated comparison of trajd's families with the baselines, on the same folds and trials.
 * Every method sees the same training bins; every bin is decoded once, by a decoder that never saw
 * its fold.
 */
#ifndef TRAJ_EVALUATE_EVALUATE_H
#define TRAJ_EVALUATE_EVALUATE_H

#include <stdio.h>

#include "clients/evaluate/metrics.h"

enum traj_method {
    TRAJ_METHOD_RWM,
    TRAJ_METHOD_STM,
    TRAJ_METHOD_MIXTURE,      /* without the prior from delay activity */
    TRAJ_METHOD_MIXTURE_PLAN, /* with it */
    TRAJ_METHOD_COURSE,       /* filter over courses; only where trials are cut out */
    TRAJ_METHOD_KALMAN,
    TRAJ_METHOD_WIENER,
    TRAJ_METHODS
};
const char *traj_method_name(enum traj_method method);

struct traj_evaluate_options {
    size_t folds;             /* default 5 */
    const size_t *per_target; /* trials a target to train on; 0 = all outside the fold */
    size_t per_target_count;  /* default one entry, 0 */
    const uint64_t *seed;     /* draws; default 1 */
    size_t seed_count;
    bool method[TRAJ_METHODS]; /* which to run; default all */
    bool marks;                /* give decoders the trial marks; default true */
    size_t resamples;          /* of the bootstrap over trials; default 2000 */
    void (*progress)(void *context, const char *what, double share);
    void *progress_context;
};
void traj_evaluate_options_default(struct traj_evaluate_options *options);

struct traj_measure {
    double value, low,
        high; /* 95 % interval, bootstrap over trials (blocks of 2 s where there are none) */
};

/* One method at one size of training set, averaged over draws. */
struct traj_result {
    enum traj_method method;
    size_t per_target; /* 0 = all */
    struct traj_measure
        rmse; /* over movement: from movement onset (go cue, trial start) to trial stop */
    struct traj_score
        movement;          /* all measures over movement; first draw's lag, means over draws else */
    struct traj_score all; /* all measures over all bins */
};

/* Ratio of two methods' rmse over movement, paired: the same trials are drawn for both. */
struct traj_ratio {
    enum traj_method over, under;
    size_t per_target;
    struct traj_measure ratio;
};

/* mixture/RWM, mixture/STM, plan/mixture, course/plan, best trajd/Kalman, best trajd/Wiener */
#define TRAJ_RATIOS 6

struct traj_evaluation {
    size_t results, ratios;
    struct traj_result *result; /* [results], by per_target, then method */
    struct traj_ratio *ratio;   /* [ratios] */
    size_t folds;
    bool by_trial;
};

/* NULL with a sentence. */
struct traj_evaluation *traj_evaluate(const struct traj_session *session,
                                      const struct traj_evaluate_options *options,
                                      struct traj_error *error);
void traj_evaluation_free(struct traj_evaluation *evaluation);

/* A table for people. */
void traj_evaluation_print(const struct traj_evaluation *evaluation,
                           const struct traj_session *session, FILE *out);

/* The same as one JSON object. */
void traj_evaluation_json(const struct traj_evaluation *evaluation,
                          const struct traj_session *session, FILE *out);

/* Collects intents into arrays: a sink for traj_decode whose context is a struct traj_collector. */
struct traj_collector {
    struct traj_decoded *decoded;
    size_t bin; /* the next bin; intents come one a bin, bins without one are found by t */
    const struct traj_session *session;
};
struct traj_intent;
int traj_collect(void *collector, const struct traj_intent *intent);

#endif
