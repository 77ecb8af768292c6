/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What the subject is to do: trials one after the other, judged by the cursor alone.
 *
 * centre-out: the cursor rests at the centre; at `start` a target appears, after a delay comes the
 *     go cue, and the cursor must come to the target and stay within its radius for hold_s before
 *     timeout_s is over; then back to the centre.  A centre that is not reached within return_s is
 *     given up and the next trial begins where the cursor is.
 * random: targets one after the other, each shown when the last one is over; no returns.
 * jump: centre-out whose target moves to another one, jump_s after the go cue, in jump_share of the
 *     trials.
 * via: centre-out through a point half way, via_mm to one side, which must be entered first.
 * draw: a goal moves along a smooth figure (three sines an axis) and is to be followed: no targets.
 */
#ifndef TRAJ_RIG_TASK_H
#define TRAJ_RIG_TASK_H

#include <gsl/gsl_rng.h>
#include <stdbool.h>
#include <stddef.h>

#include "clients/rig/user.h"

enum traj_task_kind {
    TRAJ_TASK_CENTRE_OUT,
    TRAJ_TASK_RANDOM,
    TRAJ_TASK_JUMP,
    TRAJ_TASK_VIA,
    TRAJ_TASK_DRAW
};
/* "centre-out", "random", "jump", "via", "draw"; parse: 0, or -1 and *kind stays. */
const char *traj_task_kind_name(enum traj_task_kind kind);
int traj_task_kind_parse(const char *name, enum traj_task_kind *kind);

#define TRAJ_TASK_TARGETS 64
#define TRAJ_TASK_SINES 3

struct traj_task_options {
    enum traj_task_kind kind;
    size_t dim, targets;
    double bin_s;
    double reach;  /* distance of targets; half the side of the random task's workspace */
    double radius; /* of targets, centre and via points */
    double hold_s, timeout_s, return_s;
    double rest_s[2], delay_s[2]; /* uniform between */
    double jump_share, jump_s[2];
    double via_mm;
    double turn, scale; /* of the places of targets, rad and factor: 0 and 1 as they were learned */
    double draw_speed;  /* root mean square speed of the drawn goal, length/s */
};
void traj_task_options_default(struct traj_task_options *options);

/* How one trial went. */
struct traj_trial_result {
    bool success, jumped;
    size_t target, before_jump;
    double start, go, stop; /* s */
    double jump;            /* s, NaN = none */
    double time_to_target;  /* s from go to the entry that was held; NaN where it failed */
    double dial_in;         /* s from the first entry to that one; NaN where it failed */
    double path_efficiency; /* straight way over the way made, until that entry; NaN likewise */
    double follow;   /* s from the jump until the new target's probability was above a half; NaN */
    double distance; /* length, from where the cursor was at go to the target's centre */
};

/* What happened in a bin. */
enum {
    TRAJ_TASK_SHOWN = 1, /* a trial started; its target is on the screen */
    TRAJ_TASK_GO = 2,
    TRAJ_TASK_GOAL = 4, /* there is a new goal to go for: the centre, the target, a via point */
    TRAJ_TASK_JUMPED = 8,
    TRAJ_TASK_STOP = 16 /* the trial is over: `result` is complete */
};

enum traj_task_phase { TRAJ_TASK_REST, TRAJ_TASK_DELAY, TRAJ_TASK_REACH };

struct traj_task {
    struct traj_task_options options;
    gsl_rng *rng; /* borrowed */
    double place[TRAJ_TASK_TARGETS][TRAJ_RIG_DIM];
    struct {
        double size, rate, phase;
    } sine[TRAJ_RIG_DIM][TRAJ_TASK_SINES];

    enum traj_task_phase phase;
    double now; /* s, end of the last bin */
    double goal[TRAJ_RIG_DIM];
    enum traj_goal how;                     /* the goal came */
    size_t order[TRAJ_TASK_TARGETS], dealt; /* targets of this round */
    double wait;                            /* s: rest or delay that was drawn */
    double since;                           /* s, when the phase began */
    double inside;            /* s, when the cursor last entered; NaN = it is outside */
    double first_inside;      /* s, NaN = never */
    double way, way_at_entry; /* length made since go */
    double last[TRAJ_RIG_DIM], from[TRAJ_RIG_DIM];
    bool via_done;
    double jump_at;                  /* s, NaN = no jump (any more) */
    struct traj_trial_result result; /* of the trial that runs or was the last */
};

/* Target places and figures come from `places`, everything else from `rng`, borrowed for life. */
void traj_task_init(struct traj_task *task, const struct traj_task_options *options,
                    gsl_rng *places, gsl_rng *rng);

/* The bin that ends at `now` is over with the cursor there; returns what happened (bits above). */
unsigned traj_task_step(struct traj_task *task, double now, const double *cursor);

/* Where the goal that is drawn is at t, and its velocity. */
void traj_task_figure(const struct traj_task *task, double t, double *position, double *velocity);

/* Whether a trial runs and its target may be gone for. */
bool traj_task_reaching(const struct traj_task *task);

#endif
