/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What a command that reads a recording tells of what it did not find in it. */
#ifndef TRAJCTL_OMISSIONS_H
#define TRAJCTL_OMISSIONS_H

#include <stdint.h>

#include "daemon/learn/recording_session.h"

/* A sentence on stderr if the part of this number is missing; 0 = none is. */
void tell_missing_part(const char *command, const char *path, uint64_t part);

/* Sentences on stderr of all that is not in the session that was made from the recording path. */
void tell_omissions(const char *command, const char *path,
                    const struct traj_recording_omissions *omitted);

#endif
