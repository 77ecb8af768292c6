/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The daemon without sockets: a session through the pipeline, as fast as it goes. */
#ifndef TRAJ_LEARN_DECODE_H
#define TRAJ_LEARN_DECODE_H

#include "daemon/core/pipeline.h"
#include "daemon/learn/session.h"

/*
 * The session's column for each unit of the model, map[N], (size_t)-1 = not recorded: by name where
 * both name their units, else by place.  0, or -1 with a sentence: another number of units or
 * features, no unit in common, no frames.
 */
int traj_match_units(const struct traj_model *model, const struct traj_session *session,
                     size_t *map, struct traj_error *error);

struct traj_decode_options {
    bool trials; /* emit the session's trial marks */
    /* Tell the decoder at the beginning where the session's targets are, so that it is carried to
     * them where they are not those of its training. */
    bool targets;
    /* Every intent given the whole session, flag "smoothed" (learn/smooth.h), when all frames have
     * been decoded; false = given the frames up to its own, as the daemon. */
    bool smooth;
    const struct traj_pipeline_settings *pipeline; /* NULL = default */
    const struct traj_settings *decoder;           /* NULL = default */
    /* NULL, or called after each event of the session: one more that the pipeline is to have then
     * (a prior over targets, say), or NULL. */
    const struct traj_event *(*after)(void *context, const struct traj_event *given);
    void *after_context;
    /* NULL, or called before the first frame with the decoder, which the run owns. */
    void (*begun)(void *context, const struct traj_decoder *decoder);
    void *begun_context;
};

/*
 * Calls sink for every intent, in order; a sink that returns other than 0 ends the run with that
 * value.  stamps are null and 0: nothing in an intent depends on a clock.
 *
 * Units are matched by name where model and session both name them (those of the model that the
 * session lacks are not observed), else by place; by place, another number of units is refused, and
 * so is a session with no unit in common.  Kinematics are never read.
 *
 * The session has passed traj_session_check.  counters (may be NULL) receives the pipeline's at the
 * end: a frame that the pipeline refuses gives no intent and is counted there.  Returns 0, -1 with
 * a sentence, or the sink's value.
 */
int traj_decode(const struct traj_model *model, const struct traj_session *session,
                const struct traj_decode_options *options,
                int (*sink)(void *context, const struct traj_intent *intent), void *context,
                struct traj_counters *counters, struct traj_error *error);

#endif
