/* SPDX-License-Identifier: GPL-3.0-or-later */
/* See objection.h. */
#include "daemon/core/objection.h"

enum traj_refusal traj_object(struct traj_objection *objection, enum traj_refusal refusal,
                              const char *field, double got, const char *reason, double limit)
{
    *objection = (struct traj_objection){.field = field,
                                         .reason = reason,
                                         .index = TRAJ_OBJECTION_WHOLE,
                                         .got = got,
                                         .limit = limit};
    return refusal;
}
