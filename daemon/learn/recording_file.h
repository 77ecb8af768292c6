/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Reads a recording (proto/recording.md) from its files, part after part, whatever state they are
 * in: what is no record is passed over and told, and so is what is missing.
 */
#ifndef TRAJ_LEARN_RECORDING_FILE_H
#define TRAJ_LEARN_RECORDING_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/learn/error.h"
#include "proto/recording.h"

struct traj_recording;

enum traj_recording_found {
    TRAJ_FOUND_RECORD, /* record */
    TRAJ_FOUND_PART,   /* another part begins: header */
    TRAJ_FOUND_BROKEN, /* bytes in the midst of a part are no record */
    TRAJ_FOUND_GAP,    /* records are missing that nothing tells of: so many */
    TRAJ_FOUND_TORN,   /* bytes at the end of a part are a record that was cut off */
    TRAJ_FOUND_NO_PART /* the end, though later parts are there: the part of this number is not */
};

struct traj_recording_item {
    enum traj_recording_found found;
    struct traj_record record; /* its payload holds until the next call */
    uint64_t count;            /* bytes or records, or a part's number */
};

/*
 * Opens the file and, when its name ends as parts do (.0001.rec), goes on with the parts that
 * follow it.  NULL with a sentence.
 */
struct traj_recording *traj_recording_open(const char *path, struct traj_error *error);
void traj_recording_close(struct traj_recording *recording);

/* Of the part that is being read. */
const struct traj_recording_header *traj_recording_header(const struct traj_recording *recording);
const char *traj_recording_path(const struct traj_recording *recording);

/* The next item: 1, 0 at the end, or -1 with a sentence. */
int traj_recording_next(struct traj_recording *recording, struct traj_recording_item *item,
                        struct traj_error *error);

/*
 * After the end: the last part that lies beside the one that was read last although the one after
 * that is missing; 0 = no part is missing between those that are there.
 */
uint64_t traj_recording_later_part(struct traj_recording *recording);

/* Bytes read so far, of all parts, and of all there are. */
void traj_recording_progress(const struct traj_recording *recording, uint64_t *done, uint64_t *all);

#endif
