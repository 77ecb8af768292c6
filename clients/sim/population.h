/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The units of a synthetic session and how they fire.  Internal to clients/sim. */
#ifndef TRAJ_SIM_POPULATION_H
#define TRAJ_SIM_POPULATION_H

#include <gsl/gsl_rng.h>

#include "clients/sim/course.h"
#include "clients/sim/simulate.h"

#define TRAJ_SIM_GAINS_MAX 8
#define TRAJ_SIM_DIM_MAX 3

/* Tuning of one unit, as in simulate.h; the first population.dim numbers of a vector count. */
struct traj_sim_unit {
    double base;                       /* log spikes/s at rest in the centre */
    double velocity[TRAJ_SIM_DIM_MAX]; /* w: per peak speed */
    double speed;                      /* k: per peak speed */
    double position[TRAJ_SIM_DIM_MAX]; /* q: per reach */
    double plan[TRAJ_SIM_DIM_MAX];
    double lag; /* s */
    double gain[TRAJ_SIM_GAINS_MAX];
    bool changed; /* another unit than was here on the first day */
};

struct traj_sim_population {
    size_t dim, units, gains;
    double reach, peak;  /* mm and mm/s that tuning is measured in */
    double log_rate_max; /* log spikes/s */
    struct traj_sim_unit *unit;
};

/* What drives the units beside the movement, at one instant. */
struct traj_sim_drive {
    double plan[TRAJ_SIM_DIM_MAX];   /* direction of the plan times its envelope */
    double gain[TRAJ_SIM_GAINS_MAX]; /* z */
};

/* 0, or -1 when memory is short; to be freed in either case. */
int traj_sim_population_draw(struct traj_sim_population *population,
                             const struct traj_sim_options *options, gsl_rng *rng);

/*
 * Puts other units, drawn like the first ones, in the place of some, options->changed_share of them
 * to the nearest whole number, and lets the rates of the others drift.  0, or -1 when memory is
 * short.
 */
int traj_sim_population_change(struct traj_sim_population *population,
                               const struct traj_sim_options *options, gsl_rng *rng);
void traj_sim_population_free(struct traj_sim_population *population);

/* Firing rate of unit n, spikes/s, that position (mm) and velocity (mm/s), both [dim], and the
 * rest drive; its lag is not looked at. */
double traj_sim_rate_at(const struct traj_sim_population *population, size_t n,
                        const double *position, const double *velocity,
                        const struct traj_sim_drive *drive);

/* Firing rate of unit n at t of a course in the plane, spikes/s. */
double traj_sim_rate(const struct traj_sim_population *population, size_t n,
                     const struct traj_sim_course *course, double t,
                     const struct traj_sim_drive *drive);

#endif
