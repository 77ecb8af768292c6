/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Session files: HDF5 <-> struct traj_session. Page: proto/session.md. */
#ifndef TRAJ_FILES_SESSION_FILE_H
#define TRAJ_FILES_SESSION_FILE_H

#include "daemon/learn/session.h"

/*
 * Reads and checks a session file.  NULL with one sentence that names the file, the dataset and the index
 * where that helps.  Integer and float types are converted by HDF5 where no value can be lost or changed in
 * meaning; a wrong type or rank is refused.
 */
struct traj_session *traj_session_read(const char *path, struct traj_error *error);

/* Writes a session (checked first) to a temporary file that is then renamed. */
int traj_session_write(const struct traj_session *session, const char *path,
                       struct traj_error *error);

#endif
