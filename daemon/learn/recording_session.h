/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A recording as a session to learn from: frames as they came, whether the daemon's model could
 * decode them or not, and what events told of movement, trials, targets and units
 * (proto/event.md).  A session that was replayed and recorded comes back as it was.
 */
#ifndef TRAJ_LEARN_RECORDING_SESSION_H
#define TRAJ_LEARN_RECORDING_SESSION_H

#include <stddef.h>
#include <stdint.h>

#include "daemon/learn/error.h"
#include "daemon/learn/session.h"

struct traj_recording_choice {
    const char *run; /* of the session event; NULL = the only one that has frames or kinematics */
    size_t number;   /* of the run, among those that have some, from 1; 0 = it goes by its name */
    /* Laid over what the session event says; NULL = as that says. */
    const char *subject, *length_unit, *description;
};

/* What is not in the session. */
struct traj_recording_omissions {
    size_t duplicate; /* frames whose seq, or samples whose time, had come before; of frames of one
                         seq the one that was decoded is in */
    size_t backwards; /* frames whose t is not later than that of the seq before, or, not decoded,
                         not earlier than that of a later seq that was */
    size_t other;     /* frames of another number of units or features than the first; samples of
                         other dimensions */
    size_t refused;   /* frames and events that were none, or whose time is none */
    size_t lost;      /* places of the run at which records are missing or damaged */
    uint64_t part;    /* number of the part that is missing though later ones are there, or 0 */
};

/*
 * Reads the recording whose first part is path; the session's name is name.  A trial goes by its
 * label, which says start and stop itself or follows its trial_start and trial_stop; without any
 * label the marks alone make trials of unknown target.  NULL with a sentence; the session has
 * passed traj_session_check.
 */
struct traj_session *traj_recording_session(const char *path, const char *name,
                                            const struct traj_recording_choice *choice,
                                            struct traj_recording_omissions *omissions,
                                            struct traj_error *error);

#endif
