/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The bench: decoders compared on the same training and test sets (protocol.h), at several amounts
 * of training data, over several draws.
 *
 * The work falls into units (one method, amount, draw, part and condition each) that know nothing
 * of each other.  Whoever runs the bench may work on them in any order, in other processes, or take
 * answers that were kept from an earlier run; the result is the same.
 */
#ifndef TRAJ_EVALUATE_EVALUATE_H
#define TRAJ_EVALUATE_EVALUATE_H

#include "clients/evaluate/method.h"
#include "clients/evaluate/protocol.h"
#include "clients/evaluate/resample.h"
#include "proto/sha256.h"

/* What is done to the test, or to the session. */
enum traj_condition {
    TRAJ_CONDITION_PLAIN,
    TRAJ_CONDITION_SILENT,      /* a share of the units counts nothing any more in the test */
    TRAJ_CONDITION_UNOBSERVED,  /* they are marked as not observed */
    TRAJ_CONDITION_REMOVED,     /* they were never there, neither in training nor in the test */
    TRAJ_CONDITION_WRONG_PRIOR, /* each trial starts with a prior for a target not its own */
    TRAJ_CONDITION_ADAPTED,     /* trained on another day, adapted to this one's training trials */
    TRAJ_CONDITION_YESTERDAY,   /* trained on another day alone */
    TRAJ_CONDITIONS
};
const char *traj_condition_name(enum traj_condition condition); /* "" for plain */

struct traj_evaluate_options {
    const struct traj_session *test;      /* another session to test on, or NULL */
    const struct traj_session *yesterday; /* another day's, for the conditions that begin there */
    size_t folds;                         /* default 5 */
    size_t missing_lead; /* at most so many first bins of a test trial are missing */
    bool one_target_out;
    const size_t *per_target; /* trials a target to train on; 0 = all that are not tested on */
    size_t per_target_count;  /* default one entry, 0 */
    const uint64_t *seed;     /* draws; NULL = 1, or 1 to 5 where a per_target is above 0 */
    size_t seed_count;
    const size_t *method; /* which of method.h; NULL = all of trajd's own */
    size_t method_count;
    bool condition[TRAJ_CONDITIONS]; /* default plain alone */
    double lost_share;               /* of units, for the conditions that lose some */
    bool marks;                      /* give decoders the trial marks; default true */
    double from;         /* score bins from so many seconds after their trial's start; NaN = all */
    bool movement;       /* score from movement onset (go cue, trial start) to trial stop alone */
    size_t resamples;    /* of the bootstrap; default 2000 */
    const char *program; /* who decodes, for the keys of answers: a version or digest */
};
void traj_evaluate_options_default(struct traj_evaluate_options *options);

/* One method under one condition at one amount of training data, averaged over draws. */
struct traj_row {
    size_t method;
    enum traj_condition condition;
    size_t per_target; /* 0 = all */
    char failed[512];  /* a sentence where it could not be fitted; then there are no figures */
    struct traj_measure stat[TRAJ_STATS];
    struct traj_score score; /* means over draws; counts of the first draw, tables summed */
    double *draw_rmse;       /* [draws] */
    double calibration;      /* of the summed table */
};

/* Two rows, paired over trials or stretches of time. */
struct traj_pair {
    size_t a, b; /* rows */
    struct traj_paired of[TRAJ_PAIRED];
};

struct traj_picture;
void traj_pictures_free(struct traj_picture **picture); /* [methods of method.h] */

struct traj_evaluation {
    const struct traj_session *session, *test; /* borrowed; test may be NULL */
    struct traj_evaluate_options options;      /* borrows what the caller's did */
    uint64_t *seed;                            /* [draws] */
    size_t draws, rows, pairs;
    struct traj_row *row;          /* [rows], by amount, condition, method */
    struct traj_pair *pair;        /* [pairs] */
    bool by_trial;                 /* groups are trials, else stretches of time */
    struct traj_picture **picture; /* [methods of method.h], of the first draw at the last amount;
                                      NULL where a method was not run */
};

struct traj_contest;

/* The session, and what options point to, are borrowed for the bench's life.  NULL with a
 * sentence. */
struct traj_contest *traj_contest_new(const struct traj_session *session,
                                      const struct traj_evaluate_options *options,
                                      struct traj_error *error);
void traj_contest_free(struct traj_contest *bench);

size_t traj_contest_units(const struct traj_contest *bench);

/* The method of a unit, by which units that take about as long are known. */
size_t traj_contest_method(const struct traj_contest *bench, size_t unit);

/* "course, 5 a target, draw 2, part 1 of 5"; returns out. */
const char *traj_contest_name(const struct traj_contest *bench, size_t unit, char *out, size_t cap);

/* What a unit's answer depends on, as a digest: session, options, program. */
void traj_contest_key(const struct traj_contest *bench, size_t unit, char hex[TRAJ_SHA256_HEX]);

/* An answer: bytes that traj_contest_take understands; data is the caller's to free. */
struct traj_answer {
    void *data;
    size_t size;
};

/*
 * Trains and decodes.  A method that cannot be fitted gives an answer that says so.  Changes
 * nothing in the bench.  0, or -1 with a sentence when memory is short.
 */
int traj_contest_work(const struct traj_contest *bench, size_t unit, struct traj_answer *answer,
                      struct traj_error *error);

/* Whether the bytes are a whole answer to this unit, as far as can be told without the work. */
bool traj_answer_good(const struct traj_answer *answer);

/* Whether an answer says that the method could not be fitted. */
bool traj_answer_failed(const struct traj_answer *answer);

/* Takes a unit's answer in; once each, in any order.  0, or -1 with a sentence. */
int traj_contest_take(struct traj_contest *bench, size_t unit, const struct traj_answer *answer,
                      struct traj_error *error);

/* The result, when every unit was taken.  NULL with a sentence. */
struct traj_evaluation *traj_contest_finish(struct traj_contest *bench, struct traj_error *error);
void traj_evaluation_free(struct traj_evaluation *evaluation);

/* All of it, one unit after the other. */
struct traj_evaluation *traj_evaluate(const struct traj_session *session,
                                      const struct traj_evaluate_options *options,
                                      struct traj_error *error);

#endif
