/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Where the time goes; see stages.h. */
#include "daemon/io/stages.h"

const char *traj_stage_name(enum traj_stage stage)
{
    static const char *const name[TRAJ_STAGES] = {"receive", "wait", "parse", "decode",
                                                  "format",  "send", "total"};

    return name[stage];
}

void traj_stages_init(struct traj_stages *stages)
{
    for (int stage = 0; stage < TRAJ_STAGES; stage++) {
        traj_tally_init(&stages->tally[stage]);
    }
}

void traj_stages_record(struct traj_stages *stages, enum traj_stage stage, double duration)
{
    traj_tally_record(&stages->tally[stage], duration > 0.0 ? (uint64_t)(1e9 * duration) : 0);
}
