/* SPDX-License-Identifier: GPL-3.0-or-later */
/* See objection.h. */
#include "daemon/core/objection.h"

#include <math.h>
#include <stdio.h>

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

void traj_objection_write(const struct traj_objection *objection, char text[TRAJ_OBJECTION_TEXT])
{
    char index[24] = "";
    text[0] = '\0';
    if (objection->field == NULL)
        return;
    if (objection->index != TRAJ_OBJECTION_WHOLE)
        (void)snprintf(index, sizeof index, "[%zu]", objection->index);
    if (isnan(objection->limit))
        (void)snprintf(text, TRAJ_OBJECTION_TEXT, "%s%s: %s", objection->field, index,
                       objection->reason);
    else
        (void)snprintf(text, TRAJ_OBJECTION_TEXT, "%s%s: %.10g, and %s %.10g", objection->field,
                       index, objection->got, objection->reason, objection->limit);
}
