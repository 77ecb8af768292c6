/* SPDX-License-Identifier: GPL-3.0-or-later */
/* From the estimate to the intent: what is published, held at a limit, or withheld. */
#ifndef TRAJ_CORE_PUBLISH_H
#define TRAJ_CORE_PUBLISH_H

#include <stdbool.h>

#include "daemon/core/pipeline.h"

/* Position and velocity as published: copies, so that limits never touch the estimator. */
struct traj_published {
    double position[TRAJ_DIM_MAX];
    double velocity[TRAJ_DIM_MAX];
};

/* Whether every number that would be published is finite (progress, eta and evidence may be not
 * defined). */
bool traj_publish_possible(const struct traj_estimate *estimate, const struct traj_dims *dims);

/*
 * Fills in all of *intent that comes from the estimate, which has passed traj_publish_possible, or
 * is NULL where there is none to be trusted: then position and velocity are null and valid is
 * false.  Returns the flags TRAJ_INTENT_LIMITED and TRAJ_INTENT_PAUSED that this gives rise to.
 */
unsigned traj_publish(const struct traj_model *model, const struct traj_estimate *estimate,
                      const struct traj_pipeline_settings *settings, bool paused,
                      struct traj_published *published, struct traj_intent *intent);

#endif
