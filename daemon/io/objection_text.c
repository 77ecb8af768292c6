/* SPDX-License-Identifier: GPL-3.0-or-later */
/* See objection_text.h. */
#include "daemon/io/objection_text.h"

#include <math.h>
#include <stdio.h>

void traj_objection_write(const struct traj_objection *objection, char text[TRAJ_OBJECTION_TEXT])
{
    char index[24] = "";

    text[0] = '\0';
    if (objection->field == NULL) {
        return;
    }
    if (objection->index != TRAJ_OBJECTION_WHOLE) {
        (void)snprintf(index, sizeof index, "[%zu]", objection->index);
    }
    if (isnan(objection->limit)) {
        (void)snprintf(text, TRAJ_OBJECTION_TEXT, "%s%s: %s", objection->field, index,
                       objection->reason);
    } else {
        (void)snprintf(text, TRAJ_OBJECTION_TEXT, "%s%s: %.10g, and %s %.10g", objection->field,
                       index, objection->got, objection->reason, objection->limit);
    }
}
