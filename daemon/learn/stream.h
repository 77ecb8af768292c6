/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A recorded session as the live stream that it once was: frames and events in the order in which a
 * rig would have sent them.  `decode` and `replay` both read this, which is why they agree to the
 * byte.
 *
 * An event comes before the first frame whose t is later than the event's (by more than
 * TRAJ_TIME_GRACE of core/pipeline.h); those later than all frames come after the last.  Events of
 * equal time come in the order session, trial_stop, trial_start, go, kinematics, trial_label.  The
 * stream opens with a session event, named after the file ("marks" true when trial events will
 * come).  A trial ends at its stop or at the next trial's start, whichever is first; a go outside
 * its trial is left out.  A trial_label comes with its trial's end.
 *
 * With `recordings` all that is in the session goes along, so that a recording of the stream can be
 * made a session again: subject and length unit in the session event, right after it the targets
 * and the names of the units, in each label its trial's own start and stop.
 */
#ifndef TRAJ_LEARN_STREAM_H
#define TRAJ_LEARN_STREAM_H

#include <stdbool.h>

#include "daemon/learn/session.h"
#include "proto/event.h"
#include "proto/frame.h"

struct traj_stream_options {
    bool trials;     /* emit trial_start, go, trial_stop; false = "marks": false and none of them */
    bool targets;    /* right after the session event, where the targets are; it tells the unit */
    bool recordings; /* emit what a decoder never sees: kinematics, labels, targets, units' names */
    const size_t *unit_map; /* [units_out]: column of the session for each unit of the output,
                               (size_t)-1 = not observed; NULL = as recorded */
    size_t units_out;
};

struct traj_stream;

/* The session is borrowed and has passed traj_session_check.  NULL with a sentence when memory
 * is short. */
struct traj_stream *traj_stream_open(const struct traj_session *session,
                                     const struct traj_stream_options *options,
                                     struct traj_error *error);
void traj_stream_close(struct traj_stream *stream);

enum traj_stream_item { TRAJ_STREAM_END, TRAJ_STREAM_FRAME, TRAJ_STREAM_EVENT };

/* The next item; *frame (seq from 0; buffers lead into the stream) or *event points into the stream
 * until the next call, the other is NULL. */
enum traj_stream_item traj_stream_next(struct traj_stream *stream, const struct traj_frame **frame,
                                       const struct traj_event **event);

#endif
