/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Tables of comma-separated values -> struct traj_session.  Page: clients/man/convert-csv.md. */
#ifndef TRAJ_FILES_CSV_H
#define TRAJ_FILES_CSV_H

#include "daemon/learn/session.h"

/*
 * Files to read; NULL where there is none, but frames, features or kinematics must be given.
 *
 *     frames      t_end[,dt], then one column a unit, named by the header: counts;
 *                 empty = not observed
 *     features    t_end[,dt], then one column a feature; empty = not observed
 *     kinematics  t, position (x[,y[,z]] or p1,p2,..) [, velocity (vx[,vy[,vz]] or v1,v2,..)]
 *     trials      start,stop[,target][,go][,move][,rewarded]; empty = not known
 *     targets     [id,] position as in kinematics
 *
 * Columns may stand in any order.  `target` holds a target's id.  Where dt is missing every bin is
 * as wide as the median difference of t_end.
 */
struct traj_csv_options {
    const char *frames, *features, *kinematics, *trials, *targets;
    const char *length_unit;           /* needed where there are positions */
    const char *subject, *description; /* or NULL */
};

/*
 * A checked session, which the caller frees; its path is that of the first file given.  NULL with
 * one sentence that names file, line and column.
 */
struct traj_session *traj_csv_convert(const struct traj_csv_options *options,
                                      struct traj_error *error);

#endif
