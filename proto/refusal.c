/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The words under which refusals are counted. */
#include "proto/refusal.h"

const char *traj_refusal_name(enum traj_refusal refusal)
{
    switch (refusal) {
    case TRAJ_ACCEPTED:
        return "accepted";
    case TRAJ_REFUSED_SYNTAX:
        return "syntax";
    case TRAJ_REFUSED_VERSION:
        return "version";
    case TRAJ_REFUSED_CHECKSUM:
        return "checksum";
    case TRAJ_REFUSED_TYPE:
        return "type";
    case TRAJ_REFUSED_FIELD:
        return "field";
    case TRAJ_REFUSED_SIZE:
        return "size";
    case TRAJ_REFUSED_UNITS:
        return "units";
    case TRAJ_REFUSED_COUNTS:
        return "counts";
    case TRAJ_REFUSALS:
        break;
    }
    return "unknown";
}

enum traj_refusal traj_refuse(struct traj_refusal_detail *detail, enum traj_refusal refusal,
                              const char *field, const char *reason, size_t offset)
{
    if (detail != NULL) {
        detail->field = field;
        detail->reason = reason;
        detail->offset = offset;
    }
    return refusal;
}
