/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The names of a recording's parts: NAME.0001.rec and so on, with more digits where four are too
 * few.
 */
#ifndef TRAJ_LEARN_RECORDING_PARTS_H
#define TRAJ_LEARN_RECORDING_PARTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Bytes of what follows NAME, NUL included. */
#define TRAJ_RECORDING_PART_SUFFIX 32

/*
 * Splits a path: the length of what stands before ".0001.rec", and the number.  false where it is
 * not the name of a part.
 */
bool traj_recording_part(const char *path, size_t *stem, uint64_t *part);

/* Writes ".0001.rec", or what it is for this part. */
void traj_recording_part_suffix(char out[TRAJ_RECORDING_PART_SUFFIX], uint64_t part);

/*
 * The highest number of a part that lies in the folder of the recording whose paths begin with
 * path[0..stem); 0 = there is none, or the folder cannot be read.
 */
uint64_t traj_recording_last_part(const char *path, size_t stem);

#endif
