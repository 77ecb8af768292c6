/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Names of families; see family.h. */
#include "daemon/learn/family.h"

#include <stddef.h>
#include <string.h>

static const char *const family_name[TRAJ_FAMILIES] = {"auto",   "course", "places", "mixture",
                                                       "warped", "stm",    "rwm"};

const char *traj_family_name(enum traj_family family)
{
    return family_name[family];
}

int traj_family_parse(const char *name, enum traj_family *family)
{
    for (size_t i = 0; i < TRAJ_FAMILIES; i++)
        if (strcmp(name, family_name[i]) == 0) {
            *family = (enum traj_family)i;
            return 0;
        }
    return -1;
}
