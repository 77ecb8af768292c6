/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the page must know of a model to draw it. */
#ifndef DASHBOARD_DESCRIBE_H
#define DASHBOARD_DESCRIBE_H

#include <jansson.h>

#include "traj/model.h"

/*
 * Targets, courses (mean positions on the way to each target, in the order of progress) and names
 * as a new JSON object; NULL = memory is short.
 */
json_t *describe_model(const struct traj_model *model);

#endif
