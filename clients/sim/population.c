/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The units of a synthetic session and how they fire. */
#include "clients/sim/population.h"

#include <gsl/gsl_randist.h>
#include <math.h>
#include <stdlib.h>

/* The longest tuning vector: e^2 between rest and the best direction at full speed. */
#define DEPTH_MAX 2.0
/*
 * Shares of time in the reference that mean rates are set by: going out and back, and out at the
 * target.
 */
#define REFERENCE_MOVE 0.45
#define REFERENCE_HOLD 0.15
#define REFERENCE_DIRECTIONS 16
#define REFERENCE_PHASES 10
/* A smaller population has no room for a plan that movement does not read. */
#define SILENT_PLAN_UNITS 16
#define TWO_PI 6.283185307179586

/* A vector of random direction whose length is lognormal about its median. */
static void draw_vector(gsl_rng *rng, double median, double spread, double vector[2])
{
    double angle = TWO_PI * gsl_rng_uniform(rng);
    double length = fmin(DEPTH_MAX, median * exp(gsl_ran_gaussian(rng, spread)));
    vector[0] = length * cos(angle);
    vector[1] = length * sin(angle);
}

static void draw_unit(struct traj_sim_unit *unit, const struct traj_sim_options *o, gsl_rng *rng)
{
    bool silent = gsl_rng_uniform(rng) < o->silent_share;
    double scale = silent ? 0.0 : 1.0;
    unit->base = gsl_ran_gaussian(rng, o->rate_spread);
    draw_vector(rng, scale * o->depth, o->depth_spread, unit->velocity);
    draw_vector(rng, scale * o->position_depth, o->depth_spread, unit->position);
    draw_vector(rng, scale * o->plan_depth, o->depth_spread, unit->plan);
    double speed = 0.5 * o->speed_depth + gsl_ran_gaussian(rng, o->speed_depth);
    unit->speed = scale * fmax(-DEPTH_MAX, fmin(DEPTH_MAX, speed));
    unit->lag = o->lag_max_s * gsl_rng_uniform(rng);
    for (size_t k = 0; k < o->gain_rank; k++)
        unit->gain[k] = gsl_ran_gaussian(rng, o->gain_sd / sqrt((double)o->gain_rank));
}

static double modulation(const struct traj_sim_unit *unit, const double velocity[2],
                         const double position[2])
{
    return unit->velocity[0] * velocity[0] + unit->velocity[1] * velocity[1] +
           unit->speed * hypot(velocity[0], velocity[1]) + unit->position[0] * position[0] +
           unit->position[1] * position[1];
}

/*
 * Mean of exp(modulation + gains) over a reference: straight reaches in all directions, out and
 * back, holds and rests.  It does not depend on the session, so that a unit stays the same unit in
 * another one.
 */
static double reference_mean(const struct traj_sim_unit *unit, size_t gains)
{
    double move = 0.0, hold = 0.0, variance = 0.0;
    for (int i = 0; i < REFERENCE_DIRECTIONS; i++) {
        double angle = TWO_PI * i / REFERENCE_DIRECTIONS;
        double out[2] = {cos(angle), sin(angle)}, still[2] = {0.0, 0.0};
        hold += exp(modulation(unit, still, out)) / REFERENCE_DIRECTIONS;
        for (int j = 0; j < 2 * REFERENCE_PHASES; j++) {
            double s = (j % REFERENCE_PHASES + 0.5) / REFERENCE_PHASES;
            double sign = j < REFERENCE_PHASES ? 1.0 : -1.0;
            double speed = sign * traj_sim_progress_rate(s) / 1.875;
            double way = sign > 0.0 ? traj_sim_progress(s) : 1.0 - traj_sim_progress(s);
            double velocity[2] = {speed * out[0], speed * out[1]};
            double position[2] = {way * out[0], way * out[1]};
            move += exp(modulation(unit, velocity, position)) /
                    (2 * REFERENCE_PHASES * REFERENCE_DIRECTIONS);
        }
    }
    for (size_t k = 0; k < gains; k++)
        variance += unit->gain[k] * unit->gain[k];
    return exp(0.5 * variance) * (REFERENCE_MOVE * move + REFERENCE_HOLD * hold +
                                  (1.0 - REFERENCE_MOVE - REFERENCE_HOLD));
}

/*
 * The columns of the population's tuning, movement first: two of velocity, speed, two of position.
 */
#define MOVEMENT_COLUMNS 5
#define COLUMNS 7

static void columns_of(struct traj_sim_unit *unit, double *column[COLUMNS])
{
    double *const all[COLUMNS] = {&unit->velocity[0], &unit->velocity[1], &unit->speed,
                                  &unit->position[0], &unit->position[1], &unit->plan[0],
                                  &unit->plan[1]};
    for (int i = 0; i < COLUMNS; i++)
        column[i] = all[i];
}

/* Takes out of `plan` (one number a unit) its part along `basis`, units weighted by their rates. */
static void take_out(double *plan, const double *basis, const double *rate, size_t units)
{
    double along = 0.0, length = 0.0;
    for (size_t n = 0; n < units; n++) {
        along += rate[n] * plan[n] * basis[n];
        length += rate[n] * basis[n] * basis[n];
    }
    for (size_t n = 0; length > 0.0 && n < units; n++)
        plan[n] -= along / length * basis[n];
}

/*
 * Preparation lies where it does not move the hand: in the null space of what movement reads
 * (Kaufman et al. 2014).  Gram-Schmidt on the columns of tuning, in which units count by their
 * rates; the plan's two columns come last.
 */
static int make_plan_silent(struct traj_sim_unit *unit, const double *rate, size_t units)
{
    double *table = calloc(COLUMNS * units, sizeof *table);
    if (table == NULL)
        return -1;
    for (size_t n = 0; n < units; n++) {
        double *column[COLUMNS];
        columns_of(&unit[n], column);
        for (size_t i = 0; i < COLUMNS; i++)
            table[i * units + n] = *column[i];
    }
    for (size_t i = 0; i < COLUMNS; i++)
        for (size_t j = 0; j < i && j < MOVEMENT_COLUMNS; j++)
            take_out(table + i * units, table + j * units, rate, units);
    for (size_t n = 0; n < units; n++) {
        unit[n].plan[0] = table[MOVEMENT_COLUMNS * units + n];
        unit[n].plan[1] = table[(MOVEMENT_COLUMNS + 1) * units + n];
    }
    free(table);
    return 0;
}

int traj_sim_population_draw(struct traj_sim_population *population,
                             const struct traj_sim_options *options, gsl_rng *rng)
{
    population->units = options->units;
    population->gains = options->gain_rank;
    population->reach = options->reach_mm;
    population->peak = 1.875 * options->reach_mm / options->duration_s;
    population->log_rate_max = log(options->rate_max_hz);
    population->unit = calloc(options->units, sizeof *population->unit);
    double *rate = calloc(options->units, sizeof *rate);
    if (population->unit == NULL || rate == NULL) {
        free(rate);
        return -1;
    }
    double total = 0.0;
    for (size_t n = 0; n < options->units; n++) {
        draw_unit(&population->unit[n], options, rng);
        rate[n] = exp(population->unit[n].base);
        total += rate[n];
    }
    for (size_t n = 0; n < options->units; n++) {
        struct traj_sim_unit *unit = &population->unit[n];
        unit->base += log(options->rate_hz * (double)options->units / total) -
                      log(reference_mean(unit, options->gain_rank));
    }
    int status = options->units < SILENT_PLAN_UNITS
                     ? 0
                     : make_plan_silent(population->unit, rate, options->units);
    free(rate);
    return status;
}

int traj_sim_population_change(struct traj_sim_population *population,
                               const struct traj_sim_options *options, gsl_rng *rng)
{
    size_t units = population->units, left = (size_t)(options->changed_share * (double)units + 0.5);
    struct traj_sim_population other = {0};
    if (left == 0 && !(options->drift_sd > 0.0))
        return 0;
    if (traj_sim_population_draw(&other, options, rng) != 0) {
        traj_sim_population_free(&other);
        return -1;
    }
    /* Every subset of that size is as likely as any other. */
    for (size_t n = 0; n < units; n++) {
        double drift = gsl_ran_gaussian(rng, options->drift_sd);
        if (gsl_rng_uniform(rng) * (double)(units - n) < (double)left) {
            population->unit[n] = other.unit[n];
            population->unit[n].changed = true;
            left--;
        } else {
            population->unit[n].base += drift;
        }
    }
    traj_sim_population_free(&other);
    return 0;
}

void traj_sim_population_free(struct traj_sim_population *population)
{
    free(population->unit);
    *population = (struct traj_sim_population){0};
}

double traj_sim_rate(const struct traj_sim_population *population, size_t n,
                     const struct traj_sim_course *course, double t,
                     const struct traj_sim_drive *drive)
{
    const struct traj_sim_unit *unit = &population->unit[n];
    double position[2], velocity[2];
    traj_sim_course_at(course, t + unit->lag, position, velocity);
    for (int d = 0; d < 2; d++) {
        position[d] /= population->reach;
        velocity[d] /= population->peak;
    }
    double eta = unit->base + modulation(unit, velocity, position) +
                 unit->plan[0] * drive->plan[0] + unit->plan[1] * drive->plan[1];
    for (size_t k = 0; k < population->gains; k++)
        eta += unit->gain[k] * drive->gain[k];
    return exp(fmin(eta, population->log_rate_max));
}
