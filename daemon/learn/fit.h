/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Fits a model from recorded sessions.  Everything that is chosen from data (lag of each unit,
 * ridge, plan window, tempers, switching rate, calibration) is chosen by cross-validation inside
 * these sessions.
 * The same sessions, options and seed give the same bytes on the same machine, whatever the number
 * of threads.
 */
#ifndef TRAJ_LEARN_FIT_H
#define TRAJ_LEARN_FIT_H

#include <stdbool.h>
#include <stdint.h>

#include "daemon/learn/error.h"
#include "daemon/learn/family.h"
#include "daemon/learn/session.h"
#include "traj/model.h"

struct traj_fit_options {
    enum traj_family family;
    bool plan;      /* learn the target prior from delay activity; default true */
    bool calibrate; /* fit calibration on held-out folds; default true */
    size_t folds;   /* of the inner cross-validation; default 5 */
    uint64_t seed;  /* of the assignment of trials to folds; default 1 */
    /* 2 = position, velocity; 3 = and acceleration; 0 = by cross-validation, the default */
    size_t order;
    /* Called with a stage ("lag", "dynamics", ...) and the share that is done; may be NULL. */
    void (*progress)(void *context, const char *stage, double share);
    void *progress_context;
};
void traj_fit_options_default(struct traj_fit_options *options);

/*
 * sessions[count] have frames and kinematics; priors[prior_count] teach movement alone (frames
 * unused; may be NULL).  All must agree on units, dimensions, length unit and targets.  Returns a
 * model (traj_model_free), or NULL with a sentence.
 */
struct traj_model *traj_fit(const struct traj_session *const *sessions, size_t count,
                            const struct traj_session *const *priors, size_t prior_count,
                            const struct traj_fit_options *options, struct traj_error *error);

#endif
