/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Where the hand is: minimum-jerk movements added up on a fine grid of time. */
#include "clients/sim/course.h"

#include <math.h>
#include <stdlib.h>

double traj_sim_progress(double s)
{
    if (s <= 0.0)
        return 0.0;
    if (s >= 1.0)
        return 1.0;
    return s * s * s * (10.0 + s * (-15.0 + s * 6.0));
}

double traj_sim_progress_rate(double s)
{
    if (s <= 0.0 || s >= 1.0)
        return 0.0;
    return 30.0 * s * s * (1.0 - s) * (1.0 - s);
}

/*
 * With rest at both ends and position alone prescribed at s = 1/2, the integral of squared jerk is
 * least for a quintic on each half whose derivatives up to the fourth agree in the middle (Flash &
 * Hogan 1985); by symmetry p' = p''' = 0 there, which leaves these three coefficients.
 */
double traj_sim_excursion(double s)
{
    double r = s > 0.5 ? 1.0 - s : s;
    if (r <= 0.0)
        return 0.0;
    return r * r * r * (160.0 + r * (-400.0 + r * 256.0)) / 3.0;
}

double traj_sim_excursion_rate(double s)
{
    double r = s > 0.5 ? 1.0 - s : s;
    if (r <= 0.0)
        return 0.0;
    double rate = r * r * (480.0 + r * (-1600.0 + r * 1280.0)) / 3.0;
    return s > 0.5 ? -rate : rate;
}

/* Adds one movement while it lasts, and its step to the settled displacement where it has ended. */
static void add_movement(struct traj_sim_course *course, double *settled,
                         const struct traj_sim_movement *m)
{
    size_t i = (size_t)ceil(m->begin / TRAJ_SIM_GRID_S);
    for (; i < course->points; i++) {
        double s = ((double)i * TRAJ_SIM_GRID_S - m->begin) / m->duration;
        if (s >= 1.0)
            break;
        for (int d = 0; d < 2; d++) {
            course->position[2 * i + (size_t)d] +=
                m->step[d] * traj_sim_progress(s) + m->side[d] * traj_sim_excursion(s);
            course->velocity[2 * i + (size_t)d] +=
                (m->step[d] * traj_sim_progress_rate(s) + m->side[d] * traj_sim_excursion_rate(s)) /
                m->duration;
        }
    }
    if (i < course->points) {
        settled[2 * i] += m->step[0];
        settled[2 * i + 1] += m->step[1];
    }
}

int traj_sim_course_make(struct traj_sim_course *course, const double origin[2],
                         const struct traj_sim_movement *movement, size_t movements, double end)
{
    course->points = (size_t)ceil(end / TRAJ_SIM_GRID_S) + 2;
    course->position = calloc(course->points, 2 * sizeof *course->position);
    course->velocity = calloc(course->points, 2 * sizeof *course->velocity);
    double *settled = calloc(course->points, 2 * sizeof *settled);
    if (course->position == NULL || course->velocity == NULL || settled == NULL) {
        free(settled);
        return -1;
    }
    for (size_t k = 0; k < movements; k++)
        add_movement(course, settled, &movement[k]);
    double here[2] = {origin[0], origin[1]};
    for (size_t i = 0; i < course->points; i++)
        for (size_t d = 0; d < 2; d++) {
            here[d] += settled[2 * i + d];
            course->position[2 * i + d] += here[d];
        }
    free(settled);
    return 0;
}

void traj_sim_course_free(struct traj_sim_course *course)
{
    free(course->position);
    free(course->velocity);
    *course = (struct traj_sim_course){0};
}

void traj_sim_course_at(const struct traj_sim_course *course, double t, double position[2],
                        double velocity[2])
{
    double at = t / TRAJ_SIM_GRID_S;
    double last = (double)(course->points - 1);
    at = at < 0.0 ? 0.0 : at > last ? last : at;
    size_t i = (size_t)at;
    if (i + 1 >= course->points)
        i = course->points - 2;
    double fraction = at - (double)i;
    for (size_t d = 0; d < 2; d++) {
        const double *p = course->position + 2 * i + d, *v = course->velocity + 2 * i + d;
        position[d] = p[0] + fraction * (p[2] - p[0]);
        velocity[d] = v[0] + fraction * (v[2] - v[0]);
    }
}
