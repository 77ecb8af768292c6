/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What names a session by what is in it: the same data, whatever the file is called. */
#ifndef TRAJ_LEARN_FINGERPRINT_H
#define TRAJ_LEARN_FINGERPRINT_H

#include "daemon/learn/session.h"

#define TRAJ_FINGERPRINT_SIZE 17 /* 16 hexadecimal digits and a NUL */

/*
 * The first digits of the SHA-256 of everything a model can be learned from: numbers in the order
 * of the session file's page, subject, length unit and names.  An array of which nothing is known
 * counts as one that is not there; any NaN is as good as another.  The description does not count.
 */
void traj_session_fingerprint(const struct traj_session *session,
                              char fingerprint[TRAJ_FINGERPRINT_SIZE]);

#endif
