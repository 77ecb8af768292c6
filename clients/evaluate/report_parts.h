/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The parts of a report below its figures.  Internal. */
#ifndef TRAJ_EVALUATE_REPORT_PARTS_H
#define TRAJ_EVALUATE_REPORT_PARTS_H

#include "clients/evaluate/report.h"

/* Trajectories, error and choice of target against time, calibration of regions, confusion. */
void report_pictures(const struct traj_evaluation *e, FILE *out);

/* What each unit does with direction; nothing where that cannot be told. */
void report_tuning(const struct traj_session *session, FILE *out);

/* A paragraph for a methods section. */
void report_methods(const struct traj_evaluation *e, FILE *out);

/* The command and digests that make it again. */
void report_origin(const struct traj_origin *origin, FILE *out);

#endif
