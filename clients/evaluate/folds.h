/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Cross-validation of one session: which trials or stretches of time are held out in turn. */
#ifndef TRAJ_EVALUATE_FOLDS_H
#define TRAJ_EVALUATE_FOLDS_H

#include <stdbool.h>
#include <stdint.h>

#include "daemon/learn/session.h"

struct traj_folds {
    size_t count;
    bool by_trial;    /* false: contiguous blocks of time, as an unbroken session needs */
    size_t *of_trial; /* [trials] fold of each trial; NULL when there are none */
    double *edge;     /* [count + 1] s: block k is (edge[k], edge[k + 1]]; NULL when by_trial */
};

/*
 * Trials that are cut out of a recording (hardly any bin lies outside them) are dealt to folds at
 * random, target by target, from the seed.  An unbroken session is cut into blocks of equal numbers
 * of trials (or of equal time) at trial starts.  0, or -1 with a sentence.
 */
int traj_folds_init(struct traj_folds *folds, const struct traj_session *session, size_t count,
                    uint64_t seed, struct traj_error *error);
void traj_folds_free(struct traj_folds *folds);

/*
 * Splits the session for fold k.  per_target = 0 trains on everything outside the fold; n > 0 on n
 * trials a target drawn by the seed (cut out with what follows them until the next trial, where
 * unbroken). Either result is the caller's.  0, or -1 with a sentence.
 */
int traj_folds_split(const struct traj_folds *folds, const struct traj_session *session, size_t k,
                     size_t per_target, uint64_t seed, struct traj_session **train,
                     struct traj_session **test, struct traj_error *error);

/* The part of the session in which the given trials lie (sorted, ascending). */
struct traj_session *traj_cut_trials(const struct traj_session *session, const size_t *trial,
                                     size_t count, bool unbroken, struct traj_error *error);

/* Whether hardly any bin (2 %) lies outside the trials. */
bool traj_session_is_cut(const struct traj_session *session);

#endif
