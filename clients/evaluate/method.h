/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The decoders that an evaluation knows by name: `default` (the family that `trajctl train` chooses
 * for itself), every family of daemon/learn/family.h, and the baselines.
 */
#ifndef TRAJ_EVALUATE_METHOD_H
#define TRAJ_EVALUATE_METHOD_H

#include "clients/evaluate/metrics.h"
#include "daemon/learn/decode.h"
#include "daemon/learn/fit.h"

struct traj_method {
    const char *name;
    enum traj_family family; /* of trajd's own */
    bool plan;               /* with the prior from delay activity */
    /* A decoder that is not trajd's (baseline.h); else NULL. */
    struct traj_decoded *(*baseline)(const struct traj_session *train,
                                     const struct traj_session *test, struct traj_error *error);
};

/* How many there are, and the i-th; trajd's own come first. */
size_t traj_methods(void);
struct traj_method traj_method_at(size_t i);

/* The method of a name (length characters of it), or traj_methods(). */
size_t traj_method_find(const char *name, size_t length);

/* How a method is run. */
struct traj_method_run {
    bool trials; /* give the decoder the trial marks (baselines are told of none) */
    /* At each trial's start a target_prior event gives a probability of .9 to a target that is not
     * the trial's, drawn by the seed. */
    bool wrong_prior;
    uint64_t seed;
    const struct traj_model *from; /* NULL, or a model that is adapted instead of training anew */
    bool as_is;                    /* `from` decodes as it is */
    void (*progress)(void *context, const char *stage, double share);
    void *progress_context;
};

/* The model that one of trajd's own methods learns from a session; NULL with a sentence. */
struct traj_model *traj_method_fit(size_t method, const struct traj_session *train,
                                   const struct traj_method_run *how, struct traj_error *error);

/* Trains on one session and decodes another.  NULL with a sentence. */
struct traj_decoded *traj_method_decode(size_t method, const struct traj_session *train,
                                        const struct traj_session *test,
                                        const struct traj_method_run *how,
                                        struct traj_error *error);

/* Decodes a session with a model; NULL with a sentence. */
struct traj_decoded *traj_model_decode(const struct traj_model *model,
                                       const struct traj_session *session,
                                       const struct traj_decode_options *options,
                                       struct traj_error *error);

/* Collects intents into arrays: a sink for traj_decode whose context is a struct traj_collector. */
struct traj_collector {
    struct traj_decoded *decoded;
    size_t bin; /* the next bin; intents come one a bin, bins without one are found by t */
    const struct traj_session *session;
};
struct traj_intent;
int traj_collect(void *collector, const struct traj_intent *intent);

#endif
