/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What a command tells of what it did not find in a recording or a session. */
#ifndef TRAJCTL_OMISSIONS_H
#define TRAJCTL_OMISSIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "daemon/learn/recording_session.h"
#include "traj/model.h"

/* A sentence on stderr if the part of this number is missing; 0 = none is. */
void tell_missing_part(const char *command, const char *path, uint64_t part);

/*
 * For what becomes a file of its own, which nobody can tell from a whole one: 0, or -1 with a
 * sentence where a part is missing and it was not said that what is before it will do (partial).
 */
int check_parts(const char *path, const struct traj_recording_omissions *omitted, bool partial,
                struct traj_error *error);

/* Sentences on stderr of all that is not in the session that was made from the recording path. */
void tell_omissions(const char *command, const char *path,
                    const struct traj_recording_omissions *omitted);

/*
 * A sentence on stderr if model and session name their units and some are in one alone.  Sessions
 * that do not match at all are refused by whoever uses them.
 */
void tell_units(const char *command, const struct traj_model *model,
                const struct traj_session *session);

#endif
