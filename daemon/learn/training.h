/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Recorded sessions brought into the one shape that all fitting reads: bins with the state at their
 * end, courses of states one training bin apart, and the fold of each.  Internal to this room.
 *
 * The conventions equal the decoder's (traj/decoder.h): the state of a bin is the kinematics at its
 * end, a unit's count of lag bins ago is explained by that state, a gap empties the history of
 * counts, and a trial's movement begins with the first bin after its plan window.
 */
#ifndef TRAJ_LEARN_TRAINING_H
#define TRAJ_LEARN_TRAINING_H

#include <stdbool.h>

#include "daemon/learn/error.h"
#include "daemon/learn/session.h"
#include "traj/model.h"

#define TRAJ_FOLD_NONE 255u   /* as the fold to leave out: leave nothing out */
#define TRAJ_FOLD_ALWAYS 254u /* kinematics-only sessions: in every training set */
/* Between trials that are dealt out one by one: only where nothing is left out. */
#define TRAJ_FOLD_NEVER 253u
#define TRAJ_FOLDS_MAX 32u

/* States one training bin apart: rows first .. first + count - 1 of traj_training.state. */
struct traj_course {
    size_t first, count;
    int32_t target;   /* -1 = not known, or no trial */
    unsigned fold;    /* of a trial; states outside trials carry their own */
    double t;         /* s, of the first state; a trial's lies up to one bin after its start */
    double offset;    /* s, of the first state after the trial's start; 0 where there is no trial */
    double go;        /* s after the trial's start, NaN = not known */
    double move;      /* likewise, of the movement's onset */
    size_t bin_first; /* the trial's bins, where its session has frames */
    size_t bin_count;
    size_t session; /* index, (size_t)-1 for a kinematics-only session */
};

struct traj_training {
    size_t dim, units, features, targets;
    double bin;    /* D, s: the median width of the bins */
    size_t folds;  /* 0 where the data are too few to leave any out */
    bool unbroken; /* rests and returns were recorded too */
    bool unit_names;

    size_t bins;
    double *x;         /* [bins][3 dim] position, velocity, acceleration at the bin's end */
    uint8_t *known;    /* [bins] 1 = x is known */
    uint8_t *fold;     /* [bins] */
    size_t *run_start; /* [bins] the first bin since the last gap */
    size_t *history;   /* [bins] the first bin whose counts may explain this one's state: after the
                           last gap and plan window; b + 1 for a bin of a plan window itself */
    double *dt;        /* [bins] s */
    double *t_end;     /* [bins] s, each session's own clock */
    uint16_t *counts;  /* [units][bins] */
    float *feature;    /* [bins][features] */

    size_t states;
    double *state;        /* [states][3 dim] */
    uint8_t *state_known; /* [states] */
    uint8_t *state_fold;  /* [states] */

    size_t trials; /* courses from a trial's start to its stop */
    struct traj_course *trial;
    size_t runs; /* courses of all recorded kinematics between gaps */
    struct traj_course *run;

    const double *target_position;             /* [targets][dim], borrowed from the first session */
    const struct traj_session *const *session; /* borrowed */
    size_t sessions;
    size_t labelled;   /* trials whose target is known, of sessions with frames */
    size_t taught;     /* the same, of kinematics-only sessions */
    size_t per_target; /* median number of labelled trials over the targets that have any */

    double center[TRAJ_DIM_MAX]; /* mean position */
    double scale[3]; /* root mean square of position about it, of velocity, of acceleration */
};

/* Whether data of a fold train a model that leaves out fold `without`. */
static inline bool traj_fold_used(unsigned fold, unsigned without)
{
    return without == TRAJ_FOLD_NONE || fold == TRAJ_FOLD_ALWAYS ||
           (fold != without && fold != TRAJ_FOLD_NEVER);
}

/* Checks that sessions can be learned from together; 0, or -1 with a sentence. */
int traj_training_agree(const struct traj_session *const *sessions, size_t count,
                        const struct traj_session *const *priors, size_t prior_count,
                        struct traj_error *error);

/* Gathers; NULL with a sentence.  The sessions are borrowed for its whole life. */
struct traj_training *traj_training_new(const struct traj_session *const *sessions, size_t count,
                                        const struct traj_session *const *priors,
                                        size_t prior_count, size_t folds, uint64_t seed,
                                        struct traj_error *error);
void traj_training_free(struct traj_training *training);

/*
 * Sets apart the bins of plan windows that end `end` s after the trial's start or at the go cue:
 * their activity prepares movement and must not be taken for activity that makes it.
 */
void traj_training_plan(struct traj_training *training, double end);

/* Index of a trial's first state of movement: after the go cue, or after end s where none is
 * known. */
size_t traj_movement_begin(const struct traj_training *training, const struct traj_course *trial,
                           double end);

/*
 * Bins from a trial's state `begin` to movement onset: where the session names it, else where the
 * speed, walked back from its peak, falls below 15 % of it.  Never negative.
 */
double traj_trial_onset(const struct traj_training *training, const struct traj_course *trial,
                        size_t begin);

/*
 * The part of a session that a fold leaves out, as a session of its own; bins in all at most about
 * bins_max.  NULL with error->text empty where the fold has nothing of this session.
 */
struct traj_session *traj_training_held_out(const struct traj_training *training, size_t session,
                                            unsigned fold, size_t bins_max,
                                            struct traj_error *error);

#endif
