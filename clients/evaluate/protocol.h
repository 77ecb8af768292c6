/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Who is trained on what and tested on what.
 *
 * Trials that were cut out of a recording:  with per_target = n > 0 a draw trains on n trials of
 * each target and tests on all others; with 0 it deals the trials to folds, target by target, and
 * each fold is tested by a decoder trained on the rest.
 * An unbroken session is cut into folds of contiguous time at trial starts; with n > 0 the decoder
 * of a block is trained on n trials a target from outside it, each with what follows it.
 * One target out: a decoder for each target, trained without its trials and tested on them.
 * Another session to test on: trained on the first, whole or n trials a target.
 *
 * A trial's first bins may be missing in the test: so many as a seed draws, 0 to missing_lead; the
 * trial then starts where its first remaining bin does.  Training trials are whole.
 */
#ifndef TRAJ_EVALUATE_PROTOCOL_H
#define TRAJ_EVALUATE_PROTOCOL_H

#include <stdbool.h>
#include <stdint.h>

#include "daemon/learn/session.h"

struct traj_protocol {
    const struct traj_session *session;
    const struct traj_session *test; /* another session to test on, or NULL */
    size_t folds;                    /* at least 2 */
    size_t missing_lead;             /* bins */
    bool one_target_out;
};

/* 0, or -1 with a sentence where the session cannot be used so. */
int traj_protocol_check(const struct traj_protocol *protocol, struct traj_error *error);

/*
 * The fewest and the most trials to one target that every draw has to train on; targets without any
 * trials do not count, nor does the one that is left out.  0, or -1 without memory.
 */
int traj_protocol_trials(const struct traj_protocol *protocol, size_t *fewest, size_t *most);

/* 0, or -1 with a sentence where no target has so many trials to train on. */
int traj_protocol_enough(const struct traj_protocol *protocol, size_t per_target,
                         struct traj_error *error);

/* Decoders that one draw trains: folds, targets, or 1. */
size_t traj_protocol_parts(const struct traj_protocol *protocol, size_t per_target);

/* What part k of a draw trains on and is tested on; both are the caller's.  0, or -1 with a
 * sentence. */
int traj_protocol_split(const struct traj_protocol *protocol, size_t per_target, uint64_t seed,
                        size_t k, struct traj_session **train, struct traj_session **test,
                        struct traj_error *error);

/* The tests of all parts of a draw as one session.  The caller's; NULL with a sentence. */
struct traj_session *traj_protocol_scored(const struct traj_protocol *protocol, size_t per_target,
                                          uint64_t seed, struct traj_error *error);

/*
 * A copy of the session whose trials have lost their first 0..most bins, uniformly by the seed (a
 * trial's last bin is never lost).  NULL with a sentence.
 */
struct traj_session *traj_without_leads(const struct traj_session *session, size_t most,
                                        uint64_t seed, struct traj_error *error);

/* What becomes of some units: named by lost[units]. */
enum traj_loss {
    TRAJ_UNITS_SILENT,     /* count nothing any more, and nobody says so */
    TRAJ_UNITS_UNOBSERVED, /* are marked as not observed */
    TRAJ_UNITS_REMOVED     /* are not in the session */
};

/* A share of the units (rounded, at most all but one), drawn by the seed; 0, or -1. */
int traj_draw_units(size_t units, double share, uint64_t seed, bool *lost);

/* Changes the session in place. */
void traj_lose_units(struct traj_session *session, const bool *lost, enum traj_loss how);

#endif
