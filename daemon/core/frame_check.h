/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What makes a frame fit for a model. */
#ifndef TRAJ_CORE_FRAME_CHECK_H
#define TRAJ_CORE_FRAME_CHECK_H

#include <stdbool.h>

#include "daemon/core/objection.h"
#include "proto/frame.h"
#include "traj/model.h"

/* Whether a time is one at all, s. */
bool traj_time_is_sane(double t);

/*
 * Whether a frame's numbers fit this model: as many counts and features, no count above count_max,
 * no infinite feature, a sane time, a width of TRAJ_DT_BINS_MIN to TRAJ_DT_BINS_MAX bins.
 * TRAJ_ACCEPTED, or the cause, and then *objection says more.
 */
enum traj_refusal traj_frame_check(const struct traj_frame *frame, const struct traj_model *model,
                                   unsigned count_max, struct traj_objection *objection);

#endif
