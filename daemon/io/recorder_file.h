/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The files of a recording: names, parts, what happens when the disk refuses.  Used by one thread
 * at a time.
 *
 * A part is never written over: it is made anew or not at all, for its owner alone to read.  It
 * only grows; where the disk has taken half a record, that half is cut off again, so that whole
 * records follow whole records.
 */
#ifndef TRAJ_IO_RECORDER_FILE_H
#define TRAJ_IO_RECORDER_FILE_H

#include <stdbool.h>

#include "daemon/core/tape.h"
#include "daemon/io/config.h"
#include "daemon/io/log.h"
#include "daemon/io/recorder.h"
#include "daemon/learn/error.h"

struct traj_recorder_file;

/* Checks the directory, or makes it; NULL with a sentence. */
struct traj_recorder_file *traj_recorder_file_open(const struct traj_record_config *config,
                                                   struct traj_error *error);
void traj_recorder_file_free(struct traj_recorder_file **file);

/* Adds what killed daemons left on their tapes to their recordings in this directory. */
void traj_recorder_file_mend(struct traj_recorder_file *file, struct traj_log *log);

/* A new recording's first part; 0, or -1 with a sentence. */
int traj_recorder_file_begin(struct traj_recorder_file *file, const char *digest,
                             struct traj_error *error);

/* DIRECTORY/NAME of the recording, of which DIRECTORY/NAME.0001.rec is the first part. */
const char *traj_recorder_file_base(const struct traj_recorder_file *file);

/*
 * Writes some of what is on the tape at time now (s), the rest of it if `last`; flushes when it is
 * time to.  false if there was nothing to do.
 */
bool traj_recorder_file_take(struct traj_recorder_file *file, struct traj_tape *tape, bool last,
                             double now);

/* Flushes and closes the part. */
void traj_recorder_file_close(struct traj_recorder_file *file);

/* All of *state that is known here; the rest is 0. */
void traj_recorder_file_state(const struct traj_recorder_file *file,
                              struct traj_recorder_state *state);

#endif
