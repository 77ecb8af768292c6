/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What happens in a session: trials, their times and the movements made in them.  Internal to
 * clients/sim. */
#ifndef TRAJ_SIM_TASK_H
#define TRAJ_SIM_TASK_H

#include <gsl/gsl_rng.h>

#include "clients/sim/course.h"
#include "clients/sim/simulate.h"

struct traj_sim_trial {
    double start, go, move, stop;
    size_t target; /* where the movement ends */
    bool rewarded;
    double plan; /* direction of the planned movement, rad */
};

struct traj_sim_script {
    size_t targets, trials, movements;
    double *target_position; /* [targets][2] mm */
    struct traj_sim_trial *trial;
    struct traj_sim_movement *movement; /* in order of their beginning, a jump's excepted */
    double origin[2];
    double end; /* of the session, s */
};

/* Draws the whole session.  0, or -1 when memory is short; to be freed in either case. */
int traj_sim_script_make(struct traj_sim_script *script, const struct traj_sim_options *options,
                         gsl_rng *rng);
void traj_sim_script_free(struct traj_sim_script *script);

#endif
