/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The daemon without sockets: a session through the pipeline, as fast as it goes. */
#ifndef TRAJ_LEARN_DECODE_H
#define TRAJ_LEARN_DECODE_H

#include "daemon/core/pipeline.h"
#include "daemon/learn/session.h"

struct traj_decode_options {
    bool trials; /* emit the session's trial marks */
    const struct traj_pipeline_settings *pipeline; /* NULL = default */
    const struct traj_settings *decoder;           /* NULL = default */
};

/*
 * Calls sink for every intent, in order; a sink that returns other than 0 ends the run with that value.
 * Units are matched by name where model and session both name them, else by place; a session with another
 * number of units, or no unit in common, is refused.  Kinematics are never read.
 * counters (may be NULL) receives the pipeline's at the end.  Returns 0, -1 with a sentence, or the sink's value.
 */
int traj_decode(const struct traj_model *model, const struct traj_session *session,
                const struct traj_decode_options *options,
                int (*sink)(void *context, const struct traj_intent *intent), void *context,
                struct traj_counters *counters, struct traj_error *error);

#endif
