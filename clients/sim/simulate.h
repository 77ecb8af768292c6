/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Synthetic sessions: tasks, movements and a neural population, all from one seed. */
#ifndef TRAJ_SIM_SIMULATE_H
#define TRAJ_SIM_SIMULATE_H

#include <stdbool.h>
#include <stdint.h>

#include "daemon/learn/session.h"

enum traj_sim_task {
    TRAJ_SIM_DELAY,  /* centre-out with a delay period; plan activity; go cue */
    TRAJ_SIM_RANDOM, /* random targets one after the other, no rests */
    TRAJ_SIM_CURVED, /* centre-out through a via point */
    TRAJ_SIM_JUMP    /* centre-out whose target jumps in some trials */
};

struct traj_sim_options {
    enum traj_sim_task task;
    uint64_t seed;
    size_t targets, units, trials_per_target;
    double bin_s;         /* bin width */
    double rate_hz;       /* mean firing rate */
    bool unbroken;        /* rests and returns recorded too; else trials are cut out with gaps between */
    /* further parameters may follow; every one has a default */
};
void traj_sim_options_default(struct traj_sim_options *options);
struct traj_session *traj_simulate(const struct traj_sim_options *options, struct traj_error *error);
const char *traj_sim_task_name(enum traj_sim_task task);
int traj_sim_task_parse(const char *name, enum traj_sim_task *task);

#endif
