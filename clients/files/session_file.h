/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Session files: HDF5 <-> struct traj_session. Page: proto/session.md. */
#ifndef TRAJ_FILES_SESSION_FILE_H
#define TRAJ_FILES_SESSION_FILE_H

#include "daemon/learn/session.h"

/*
 * Reads and checks a session file.  NULL with one sentence that names the file, the dataset and the
 * index where that helps; the caller frees the session.
 *
 * Integer and float types are converted where no value is lost or changed in meaning: counts may be
 * of any numeric type as long as each is a whole number from 0 to 65535, targets likewise, times
 * and positions any number that a double holds exactly.  Features wider than 32 bits are rounded to
 * float32, the precision of the page.  Truth values are read as 0 and 1.  A wrong type or rank is
 * refused.  Strings may be of fixed or variable length, ASCII or UTF-8.  Trials or targets of
 * length zero count as absent.
 */
struct traj_session *traj_session_read(const char *path, struct traj_error *error);

/*
 * Writes a session (checked first) to a temporary file beside path that is then renamed, so that
 * path is never half written.  The same session gives the same bytes: no time of day is stored.
 * Returns 0, or -1 with a sentence.
 */
int traj_session_write(const struct traj_session *session, const char *path,
                       struct traj_error *error);

#endif
