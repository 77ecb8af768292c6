/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A recorded session in memory: what the session file holds (the page proto/session.md), array by
 * array. Everything is owned by the struct and freed by traj_session_free.
 */
#ifndef TRAJ_LEARN_SESSION_H
#define TRAJ_LEARN_SESSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/learn/error.h"
#include "traj/model.h"

struct traj_session {
    char *path; /* where it came from, for sentences; never NULL */
    char subject[64];
    char description[512];
    char length_unit[TRAJ_ID_SIZE];

    /* frames; bins = 0 where the session is kinematics alone */
    size_t bins, units, features;
    uint16_t *counts; /* [bins][units], 65535 = not observed; NULL when units = 0 */
    float *feature;   /* [bins][features], NaN = not observed; NULL when features = 0 */
    double *t_end;    /* [bins] s, strictly increasing */
    double *dt;       /* [bins] s, positive */
    char (*unit_name)[TRAJ_ID_SIZE]; /* [units] or NULL */

    /* kinematics; samples = 0 where none */
    size_t samples, dim;
    double *kin_t;    /* [samples] s, strictly increasing */
    double *position; /* [samples][dim] */
    double *velocity; /* [samples][dim], length/s, or NULL */

    /* trials; trials = 0 where none.  Optional arrays are NULL where absent */
    size_t trials;
    double *start, *stop;         /* [trials] s, start increasing, stop > start */
    double *go, *move, *rewarded; /* [trials], NaN = not known */
    int32_t *target;              /* [trials] row of target_position, -1 = not known */

    /* targets; targets = 0 where none */
    size_t targets;
    size_t target_dim;       /* columns of target_position; equals dim where there are kinematics */
    double *target_position; /* [targets][target_dim] */
    char (*target_id)[TRAJ_ID_SIZE]; /* [targets], never NULL when targets > 0 (default "0", "1",
                                        ..) */
};

/* An empty session with the given path (copied); NULL when memory is short. */
struct traj_session *traj_session_new(const char *path);
void traj_session_free(struct traj_session *session); /* NULL is allowed */

enum traj_session_part { /* optional arrays, for the functions below */
                         TRAJ_SESSION_UNIT_NAME = 1,
                         TRAJ_SESSION_VELOCITY = 2,
                         TRAJ_SESSION_GO = 4,
                         TRAJ_SESSION_MOVE = 8,
                         TRAJ_SESSION_REWARDED = 16,
                         TRAJ_SESSION_TARGET = 32
};

/*
 * Give an empty session its arrays, zeroed (go, move and rewarded NaN, target -1, target ids "0",
 * "1", ..), and set the counts that belong to them.  `parts` names the optional arrays wanted.  To
 * be called at most once each.  0, or -1 with a sentence where a size is beyond the limits of
 * traj/model.h or memory is short.
 */
int traj_session_make_frames(struct traj_session *session, size_t bins, size_t units,
                             size_t features, unsigned parts, struct traj_error *error);
int traj_session_make_kinematics(struct traj_session *session, size_t samples, size_t dim,
                                 unsigned parts, struct traj_error *error);
int traj_session_make_trials(struct traj_session *session, size_t trials, unsigned parts,
                             struct traj_error *error);
int traj_session_make_targets(struct traj_session *session, size_t targets, size_t dim,
                              struct traj_error *error);

/*
 * Every check of the session file's page that needs no file: lengths, order of times, range of
 * targets, finiteness, names that are UTF-8, not empty and unlike each other.  0, or -1 with a
 * sentence that names path, dataset and index.
 */
int traj_session_check(const struct traj_session *session, struct traj_error *error);

/*
 * Whether there is anything to learn from in the frames of a session that was checked: units that
 * never fire and features that never change tell nothing, nor does what is missing throughout.
 * The same of kinematics that do not move.  0, or -1 with a sentence.
 */
int traj_session_says(const struct traj_session *session, struct traj_error *error);
int traj_session_moves(const struct traj_session *session, struct traj_error *error);

/*
 * A piece of the session clock, s.  A bin belongs to it if from < t_end <= to, a sample if from <=
 * t <= to; ends that differ by less than 1e-6 s count as equal.
 */
struct traj_span {
    double from, to;
};

/*
 * A new session that holds only what lies in the spans (ascending, disjoint): bins by their end,
 * samples by their time, trials that lie inside a span whole.  Targets are kept all.  Times stay as
 * they are. Nothing is left of a part that no span touches (its count is 0, its width stays).  NULL
 * with a sentence when the spans are not ascending or memory is short.
 */
struct traj_session *traj_session_cut(const struct traj_session *session,
                                      const struct traj_span *spans, size_t count,
                                      struct traj_error *error);

/*
 * Kinematics at an instant by linear interpolation: position[dim] and velocity[dim] (recorded
 * velocity where the session has it, else a central difference over 2 * half_window s; one-sided at
 * the edges of a gap). Within two sample intervals outside a run of samples the position goes on in
 * a straight line, so that the last bin of a trial that was cut out has one too. Returns 0, or -1
 * when t lies more than two sample intervals outside the samples or inside a gap (neighbouring
 * samples more than 0.5 s apart), or when velocity is asked of a single lone sample. Either output
 * may be NULL.  half_window > 0 where the session has no velocity.
 */
int traj_session_kinematics(const struct traj_session *session, double t, double half_window,
                            double *position, double *velocity);

/* The trial that t lies in (start < t <= stop; differences below 1e-6 s count as equal), or
 * (size_t)-1. */
size_t traj_session_trial_at(const struct traj_session *session, double t);

/*
 * Whether the session is an unbroken recording: it has no trials, or more than a tenth of its bins
 * lie outside them (rests, returns), or its trials follow each other without gaps (random targets).
 * Otherwise its trials were cut out of a recording.
 */
bool traj_session_is_unbroken(const struct traj_session *session);

#endif
