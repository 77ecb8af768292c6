/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The parts of a session as tables that traj_csv_convert reads.  Page: clients/man/export.md. */
#ifndef TRAJ_FILES_CSV_WRITE_H
#define TRAJ_FILES_CSV_WRITE_H

#include <stdio.h>

#include "daemon/learn/session.h"

enum traj_csv_part {
    TRAJ_CSV_FRAMES,
    TRAJ_CSV_FEATURES,
    TRAJ_CSV_KINEMATICS,
    TRAJ_CSV_TRIALS,
    TRAJ_CSV_TARGETS,
    TRAJ_CSV_PARTS
};

/* How the part is called: "frames". */
extern const char *const traj_csv_part_name[TRAJ_CSV_PARTS];

/* Whether the session has that part. */
bool traj_csv_has(const struct traj_session *session, enum traj_csv_part part);

/*
 * Writes the part, its header line first.  Numbers read back exactly; what was not observed or is
 * not known is an empty field.  Whether all could be written is the caller's to ask (ferror).
 */
void traj_csv_write(FILE *out, const struct traj_session *session, enum traj_csv_part part);

/* One field: nothing for NaN; text in quotes where it needs them (RFC 4180). */
void traj_csv_number(FILE *out, double value);
void traj_csv_text(FILE *out, const char *text);

/* The name of an axis of `dim`, after a prefix: x, y, z up to three, else p1, p2, ..; of velocities
 * vx or v1. */
void traj_csv_axis(FILE *out, const char *prefix, bool velocity, size_t axis, size_t dim);

#endif
