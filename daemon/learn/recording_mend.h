/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Adds to a recording what a daemon that was killed had put on its tape (core/tape.h) and not yet
 * written: the tape lies in shared memory and outlives the process.
 */
#ifndef TRAJ_LEARN_RECORDING_MEND_H
#define TRAJ_LEARN_RECORDING_MEND_H

#include <stddef.h>

#include "daemon/learn/error.h"

struct traj_mended {
    char file[4096]; /* the part that was added to */
    size_t records;  /* added to it */
    size_t cut;      /* bytes of half a record that were cut off its end */
};

/*
 * Looks at every tape on this machine that no living process holds and whose recording's name (its
 * folder, resolved, and the name of its files up to the part) begins with prefix.  What is on it is
 * added to the recording's last part; half a record behind that part's last whole one is cut off
 * first.  Then the tape is removed.  A tape that is not this user's alone (owner, mode 0600), one
 * that is damaged and one of whose recording no part is there stay as they are.  tell is called for
 * each: reason NULL = done, else one sentence; and once where tapes cannot be looked for.
 */
void traj_recording_mend_all(const char *prefix,
                             void (*tell)(void *context, const struct traj_mended *mended,
                                          const char *reason),
                             void *context);

#endif
