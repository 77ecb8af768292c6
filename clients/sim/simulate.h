/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Synthetic sessions: tasks, movements and a neural population, all from one seed.
 *
 * Lengths are in mm, times in s.  The hand moves in a plane around the centre (0, 0).
 *
 * A trial of the centre-out tasks: the hand rests at the centre; at `start` the target appears;
 * after a delay comes the go cue (`go`); after the reaction time the hand begins to move (`move`,
 * the true first instant, when speed is still zero); it reaches the target and holds there until
 * `stop`.  Then it returns and rests until the next trial.  `target` is the row of the target that
 * the movement ends at, and `rewarded` is 1 when it ended within the target's radius, else 0.
 *
 * In the random task the next target appears the moment that a movement ends (`stop` = next
 * `start`), without delay (`go` = `start`), hold or return, so that the reaction time is the only
 * pause.
 *
 * Courses are minimum-jerk (Flash & Hogan 1985): with s from 0 to 1 over the movement
 *     p(s) = from + (to - from) (10 s^3 - 15 s^4 + 6 s^5) + normal a u(s)
 * where `normal` is perpendicular to (to - from) and u(s) = u(1 - s) = 160/3 s^3 - 400/3 s^4 +
 * 256/3 s^5 for s <= 1/2 is the minimum-jerk excursion through 1 at s = 1/2; a gives each movement
 * its own slight curvature and, in the curved task, leads it through the via point.  When the
 * target jumps, a second movement from the old to the new target is added to the first (Flash &
 * Henis 1991).
 *
 * Unit n fires Poisson counts with rate exp(eta_n(t)), at most rate_max_hz:
 *     eta_n(t) = base_n + w_n . v(t + lag_n) / peak + k_n |v(t + lag_n)| / peak
 *              + q_n . p(t + lag_n) / reach + plan_n . e(t) + sum_k g_nk z_k(t)
 * with peak = 1.875 reach / duration, the top speed of a reach of median duration; v and p velocity
 * and position; e(t) the direction of the planned movement times an envelope that rises 0.08 s
 * after `start` with time constant 0.06 s and falls from 0.1 s before `move` with the same; z_k
 * slow gains, each AR(1) with unit variance.  w_n, q_n and plan_n are drawn with independent
 * directions; then, in a population of 16 units or more, the plan is made orthogonal to the tuning
 * to movement (units weighted by their rates), since preparation lies in the null space of what
 * drives the hand (Kaufman et al. 2014).
 */
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
    size_t dim;   /* of what the units are tuned to, 2 or 3; sessions are made in the plane alone */
    double bin_s; /* bin width */
    double rate_hz; /* mean firing rate over units and time, met to about a tenth */
    bool unbroken;  /* rests and returns recorded too; else trials are cut out with gaps between */

    /*
     * The population, drawn from population_seed alone (0: from seed), whatever the task and its
     * length: so that two sessions with different seeds can come from the same units.
     */
    uint64_t population_seed;
    /*
     * Another day of the same population: so many of its units are other ones now.  Which, and
     * which others, is drawn from population_seed and day alone.
     */
    double changed_share;
    uint64_t day;
    double drift_sd;       /* sd by which the log rates of the units that stayed have moved */
    bool rename_changed;   /* other units have other names; else a name means an electrode */
    double rate_spread;    /* sd of the units' log base rates */
    double rate_max_hz;    /* no unit fires faster */
    double silent_share;   /* share of units that carry nothing */
    double depth;          /* median length of w_n among the others: log rate at peak speed */
    double depth_spread;   /* sd of log depth: the tail of strongly tuned units */
    double speed_depth;    /* sd of k_n; its mean is half of it */
    double position_depth; /* median length of q_n, spread like depth */
    double plan_depth;     /* median length of plan_n, spread like depth */
    double lag_max_s;      /* lag_n is uniform between 0 and this: activity leads movement */
    double gain_sd;        /* sd of a unit's slow gain, log rate */
    size_t gain_rank;      /* how many gains are shared by all units, 0..8 */
    double gain_tau_s;     /* time constant of a slow gain */

    /* The movements */
    double reach_mm;         /* distance of targets; half the side of the random task's workspace */
    double target_radius_mm; /* movements that end farther off are not rewarded */
    double duration_s;       /* median over reach_mm; of other distances by their square root */
    double duration_spread;  /* sd of log duration */
    double endpoint_sd_mm;   /* scatter of the endpoint, each axis */
    double curvature_sd_mm;  /* sd of a, the excursion to the side */
    double plan_sd_rad;      /* sd of the planned direction about the target's */
    double via_mm;           /* curved: excursion, to the left for even targets, right for odd */
    double jump_share;       /* jump: share of trials in which the target jumps to a neighbour */

    /* The times, each uniform between its two ends */
    double delay_s[2];    /* start to go cue (none in the random task) */
    double reaction_s[2]; /* go cue to movement; triangular instead of uniform */
    double hold_s[2];     /* end of movement to stop */
    double rest_s[2];     /* at the centre before start; a third of it at the target after stop */

    double sample_s; /* interval of the kinematics */
};

/* Delay task, 8 targets, 20 trials a target, 96 units, 20-ms bins, 12 spikes/s, seed 1. */
void traj_sim_options_default(struct traj_sim_options *options);

/*
 * A session that passes traj_session_check, with counts, unit names, kinematics with velocity,
 * trials with all their labels and targets.  The same options give the same session, byte for byte,
 * on the same machine.  NULL with a sentence when an option is out of range or memory is short; the
 * caller frees it.
 */
struct traj_session *traj_simulate(const struct traj_sim_options *options,
                                   struct traj_error *error);

/* "delay", "random", "curved", "jump"; parsing returns 0, or -1 and leaves *task as it was. */
const char *traj_sim_task_name(enum traj_sim_task task);
int traj_sim_task_parse(const char *name, enum traj_sim_task *task);

#endif
