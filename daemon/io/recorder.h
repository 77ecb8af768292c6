/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The recorder: a thread that takes records off the decode thread's tape and writes them to files,
 * DIRECTORY/NAME.0001.rec and so on (proto/recording.md).  However slow or full the disk is, the
 * decode thread never learns of it: the tape fills, and what is lost is counted and told in the
 * file.
 *
 * The tape lies in shared memory, in a file of /dev/shm that this process holds a lock on: when the
 * process is killed, what was on the tape is still there, and traj_recording_mend_all adds it to
 * the recording.
 */
#ifndef TRAJ_IO_RECORDER_H
#define TRAJ_IO_RECORDER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/core/tape.h"
#include "daemon/io/config.h"
#include "daemon/io/log.h"
#include "daemon/learn/error.h"

struct traj_recorder;

struct traj_recorder_state {
    bool open;                  /* a recording is under way, or being finished */
    bool failing;               /* the disk refuses; `error` says why */
    char file[TRAJ_PATH_SIZE];  /* the part that is being written, or was last; "" = none yet */
    uint64_t part;              /* of the recording */
    uint64_t bytes;             /* written, all parts */
    uint64_t records;           /* written */
    uint64_t lost, lost_inputs; /* on the disk's account */
    size_t waiting, capacity;   /* bytes on the tape */
    char error[256];            /* of the last failure; "" = none */
};

/*
 * Checks and if need be makes the directory, gets the tape and starts the thread; what a former
 * daemon that was killed left of a recording in this directory is added to it.  NULL with a
 * sentence.
 */
struct traj_recorder *traj_recorder_open(const struct traj_record_config *config,
                                         struct traj_log *log, struct traj_error *error);

/* The writing end belongs to the decode thread. */
struct traj_tape *traj_recorder_tape(struct traj_recorder *recorder);

/*
 * Makes the first file of a new recording, under a model of this digest; 0, or -1 with a sentence.
 * After that, and not before, the decode thread may put records on the tape.
 */
int traj_recorder_begin(struct traj_recorder *recorder, const char *digest,
                        struct traj_error *error);

/*
 * Writes what is left on the tape and closes the file; the decode thread puts no more there.
 * Returns when it is done, or has been given up after some seconds: -1 with a sentence.
 */
int traj_recorder_finish(struct traj_recorder *recorder, struct traj_error *error);

void traj_recorder_state(struct traj_recorder *recorder, struct traj_recorder_state *state);

/* Finishes what is under way, ends the thread and gives the tape back. */
void traj_recorder_close(struct traj_recorder **recorder);

#endif
