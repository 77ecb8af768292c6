/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The daemon's state as JSON, for the control request and for the topic of that name. */
#ifndef TRAJ_IO_STATUS_H
#define TRAJ_IO_STATUS_H

#include <jansson.h>

#include "daemon/io/service.h"

/* Everything that `status` tells, at time now (s); a new reference, NULL when memory is short. */
json_t *traj_status_json(struct traj_service *service, double now);

/* What is in a loaded model; null for NULL. */
json_t *traj_status_model(const struct traj_loaded *loaded);

/* A number, or null where it is not finite: JSON has no word for those. */
json_t *traj_status_number(double value);

/* Brings the frame rate up to date. */
void traj_status_rate(struct traj_service *service, const struct traj_state *state, double now);

#endif
