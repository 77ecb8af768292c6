/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What is run under which condition; see contest.h. */
#include "clients/evaluate/contest.h"

#include "clients/evaluate/method.h"

bool traj_condition_begins_yesterday(enum traj_condition condition)
{
    return condition == TRAJ_CONDITION_ADAPTED || condition == TRAJ_CONDITION_YESTERDAY;
}

bool traj_contest_applies(const struct traj_contest *b, enum traj_condition condition,
                          size_t method)
{
    bool own =
        condition == TRAJ_CONDITION_WRONG_PRIOR || traj_condition_begins_yesterday(condition);
    return b->options.condition[condition] && (!own || !traj_method_at(method).baseline);
}
