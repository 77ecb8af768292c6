/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What of a message that was read well does not fit the model or the settings. */
#ifndef TRAJ_CORE_OBJECTION_H
#define TRAJ_CORE_OBJECTION_H

#include <stddef.h>

#include "proto/refusal.h"

#define TRAJ_OBJECTION_WHOLE ((size_t)-1) /* the field as a whole */

/*
 * "FIELD[INDEX]: GOT, and REASON LIMIT", as in "counts: 95, and the model's units are 96"; where
 * nothing is compared, limit is NaN: "FIELD[INDEX]: REASON".  Text is static, field NULL = nothing
 * is objected to.
 */
struct traj_objection {
    const char *field, *reason;
    size_t index;
    double got, limit;
};

/* Fills in *objection of the whole field, and returns refusal. */
enum traj_refusal traj_object(struct traj_objection *objection, enum traj_refusal refusal,
                              const char *field, double got, const char *reason, double limit);

#endif
