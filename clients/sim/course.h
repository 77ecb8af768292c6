/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Where the hand is: minimum-jerk movements added up on a fine grid of time.  Internal to
 * clients/sim. */
#ifndef TRAJ_SIM_COURSE_H
#define TRAJ_SIM_COURSE_H

#include <stddef.h>

#define TRAJ_SIM_GRID_S 0.005 /* step of the grid: movements last a hundred of it */

/* A displacement that begins at `begin` and is complete at begin + duration. */
struct traj_sim_movement {
    double begin, duration;
    double step[2]; /* mm, from beginning to end */
    double side[2]; /* mm, the excursion at half time, perpendicular to the step */
};

struct traj_sim_course {
    size_t points;    /* at times 0, TRAJ_SIM_GRID_S, ... */
    double *position; /* [points][2] mm */
    double *velocity; /* [points][2] mm/s */
};

/* Progress of a minimum-jerk movement, 0 to 1 for s from 0 to 1, and its derivative by s. */
double traj_sim_progress(double s);
double traj_sim_progress_rate(double s);

/* Minimum-jerk excursion: 0 at s = 0 and 1, 1 at s = 1/2, at rest at both ends; and its derivative
 * by s. */
double traj_sim_excursion(double s);
double traj_sim_excursion_rate(double s);

/*
 * Adds the movements up, from rest at `origin`, until the time `end`.  0, or -1 when memory is
 * short; to be freed in either case.
 */
int traj_sim_course_make(struct traj_sim_course *course, const double origin[2],
                         const struct traj_sim_movement *movement, size_t movements, double end);
void traj_sim_course_free(struct traj_sim_course *course);

/* Position and velocity at any time, linear between grid points, held at the ends. */
void traj_sim_course_at(const struct traj_sim_course *course, double t, double position[2],
                        double velocity[2]);

#endif
