/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A recorded session in memory: what the session file holds (the page proto/session.md), array by array.
 * Everything is owned by the struct and freed by traj_session_free.
 */
#ifndef TRAJ_LEARN_SESSION_H
#define TRAJ_LEARN_SESSION_H

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
    char (*target_id)[TRAJ_ID_SIZE]; /* [targets], never NULL when targets > 0 (default "0", "1", ..) */
};

/* An empty session with the given path (copied); NULL when memory is short. */
struct traj_session *traj_session_new(const char *path);
void traj_session_free(struct traj_session *session);

/*
 * Every check of the session file's page that needs no file: lengths, order of times, range of targets,
 * finiteness.  0, or -1 with a sentence that names path, dataset and index.
 */
int traj_session_check(const struct traj_session *session, struct traj_error *error);

struct traj_span {
    double from, to; /* s; a bin belongs if from < t_end <= to (+- 1e-6), a sample likewise with from <= t */
};

/*
 * A new session that holds only what lies in the spans (ascending, disjoint): bins by their end, samples
 * by their time, trials that lie inside a span whole.  Targets are kept all.  Times stay as they are.
 */
struct traj_session *traj_session_cut(const struct traj_session *session,
                                      const struct traj_span *spans, size_t count,
                                      struct traj_error *error);

/*
 * Kinematics at an instant by linear interpolation: position[dim] and velocity[dim] (recorded velocity where
 * the session has it, else a central difference over 2 * half_window s; one-sided at the edges of a gap).
 * Returns 0, or -1 when t lies more than one sample interval outside the samples or inside a
 * gap (neighbouring samples more than 0.5 s apart).  Either output may be NULL.
 */
int traj_session_kinematics(const struct traj_session *session, double t, double half_window,
                            double *position, double *velocity);

/* The trial that t lies in (start < t <= stop, with 1e-6 s grace), or (size_t)-1. */
size_t traj_session_trial_at(const struct traj_session *session, double t);

#endif
