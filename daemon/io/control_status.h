/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The daemon's state as JSON, for the control request and for the topic of that name. */
#ifndef TRAJ_IO_CONTROL_STATUS_H
#define TRAJ_IO_CONTROL_STATUS_H

#include <jansson.h>

#include "daemon/io/service.h"

/* Everything that `status` tells, at time now (s); a new reference, NULL when memory is short. */
json_t *traj_service_status(struct traj_service *service, double now);

/* What is being recorded; null where no directory is configured. */
json_t *traj_service_recording(struct traj_service *service);

/* The second model and how it compares; null where there is none. */
json_t *traj_service_shadow(const struct traj_service *service);

/* What recalibration does; null where it is off and no tables were moved. */
json_t *traj_service_recalibration(const struct traj_service *service);

/* Whether a model has the units that the source was opened for; 0, or -1 with a sentence. */
int traj_service_units_fit(const struct traj_service *service, const struct traj_model *model,
                           struct traj_error *error);

/* What is in a loaded model; null for NULL. */
json_t *traj_service_model(const struct traj_loaded *loaded);

#endif
