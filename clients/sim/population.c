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
#define GOLDEN_ANGLE 2.399963229728653

/* A vector of random direction whose length is lognormal about its median. */
static void draw_vector(gsl_rng *rng, size_t dim, double median, double spread, double *vector)
{
    if (dim == 2) {
        double angle = TWO_PI * gsl_rng_uniform(rng);
        vector[0] = cos(angle);
        vector[1] = sin(angle);
    } else {
        gsl_ran_dir_nd(rng, dim, vector);
    }
    double length = fmin(DEPTH_MAX, median * exp(gsl_ran_gaussian(rng, spread)));
    for (size_t d = 0; d < dim; d++)
        vector[d] *= length;
}

static void draw_unit(struct traj_sim_unit *unit, const struct traj_sim_options *o, gsl_rng *rng)
{
    bool silent = gsl_rng_uniform(rng) < o->silent_share;
    double scale = silent ? 0.0 : 1.0;
    unit->base = gsl_ran_gaussian(rng, o->rate_spread);
    draw_vector(rng, o->dim, scale * o->depth, o->depth_spread, unit->velocity);
    draw_vector(rng, o->dim, scale * o->position_depth, o->depth_spread, unit->position);
    draw_vector(rng, o->dim, scale * o->plan_depth, o->depth_spread, unit->plan);
    double speed = 0.5 * o->speed_depth + gsl_ran_gaussian(rng, o->speed_depth);
    unit->speed = scale * fmax(-DEPTH_MAX, fmin(DEPTH_MAX, speed));
    unit->lag = o->lag_max_s * gsl_rng_uniform(rng);
    for (size_t k = 0; k < o->gain_rank; k++)
        unit->gain[k] = gsl_ran_gaussian(rng, o->gain_sd / sqrt((double)o->gain_rank));
}

static double modulation(const struct traj_sim_unit *unit, size_t dim, const double *velocity,
                         const double *position)
{
    double sum = 0.0, speed = 0.0;
    for (size_t d = 0; d < dim; d++) {
        sum += unit->velocity[d] * velocity[d];
        speed = hypot(speed, velocity[d]);
    }
    sum += unit->speed * speed;
    for (size_t d = 0; d < dim; d++)
        sum += unit->position[d] * position[d];
    return sum;
}

/* Direction number i of REFERENCE_DIRECTIONS that are spread evenly: on a ring, or on a sphere by
 * a spiral of golden angles. */
static void reference_direction(size_t dim, int i, double *out)
{
    double angle = TWO_PI * i / REFERENCE_DIRECTIONS, radius = 1.0;
    if (dim > 2) {
        angle = GOLDEN_ANGLE * i;
        out[2] = 1.0 - (2.0 * i + 1.0) / REFERENCE_DIRECTIONS;
        radius = sqrt(1.0 - out[2] * out[2]);
    }
    out[0] = radius * cos(angle);
    out[1] = radius * sin(angle);
}

/*
 * Mean of exp(modulation + gains) over a reference: straight reaches in all directions, out and
 * back, holds and rests.  It does not depend on the session, so that a unit stays the same unit in
 * another one.
 */
static double reference_mean(const struct traj_sim_unit *unit, size_t dim, size_t gains)
{
    double move = 0.0, hold = 0.0, variance = 0.0;
    for (int i = 0; i < REFERENCE_DIRECTIONS; i++) {
        double out[TRAJ_SIM_DIM_MAX], still[TRAJ_SIM_DIM_MAX] = {0.0};
        reference_direction(dim, i, out);
        hold += exp(modulation(unit, dim, still, out)) / REFERENCE_DIRECTIONS;
        for (int j = 0; j < 2 * REFERENCE_PHASES; j++) {
            double s = (j % REFERENCE_PHASES + 0.5) / REFERENCE_PHASES;
            double sign = j < REFERENCE_PHASES ? 1.0 : -1.0;
            double speed = sign * traj_sim_progress_rate(s) / 1.875;
            double way = sign > 0.0 ? traj_sim_progress(s) : 1.0 - traj_sim_progress(s);
            double velocity[TRAJ_SIM_DIM_MAX], position[TRAJ_SIM_DIM_MAX];
            for (size_t d = 0; d < dim; d++) {
                velocity[d] = speed * out[d];
                position[d] = way * out[d];
            }
            move += exp(modulation(unit, dim, velocity, position)) /
                    (2 * REFERENCE_PHASES * REFERENCE_DIRECTIONS);
        }
    }
    for (size_t k = 0; k < gains; k++)
        variance += unit->gain[k] * unit->gain[k];
    return exp(0.5 * variance) * (REFERENCE_MOVE * move + REFERENCE_HOLD * hold +
                                  (1.0 - REFERENCE_MOVE - REFERENCE_HOLD));
}

/*
 * The columns of the population's tuning, movement first: dim of velocity, one of speed, dim of
 * position; then dim of the plan.
 */
#define COLUMNS_MAX (3 * TRAJ_SIM_DIM_MAX + 1)

static size_t columns_of(struct traj_sim_unit *unit, size_t dim, double *column[COLUMNS_MAX])
{
    size_t count = 0;
    for (size_t d = 0; d < dim; d++)
        column[count++] = &unit->velocity[d];
    column[count++] = &unit->speed;
    for (size_t d = 0; d < dim; d++)
        column[count++] = &unit->position[d];
    for (size_t d = 0; d < dim; d++)
        column[count++] = &unit->plan[d];
    return count;
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
static int make_plan_silent(struct traj_sim_unit *unit, size_t dim, const double *rate,
                            size_t units)
{
    size_t columns = 3 * dim + 1, movement = 2 * dim + 1;
    double *table = calloc(columns * units, sizeof *table), *column[COLUMNS_MAX];
    if (table == NULL)
        return -1;
    for (size_t n = 0; n < units; n++) {
        (void)columns_of(&unit[n], dim, column);
        for (size_t i = 0; i < columns; i++)
            table[i * units + n] = *column[i];
    }
    for (size_t i = 0; i < columns; i++)
        for (size_t j = 0; j < i && j < movement; j++)
            take_out(table + i * units, table + j * units, rate, units);
    for (size_t n = 0; n < units; n++)
        for (size_t d = 0; d < dim; d++)
            unit[n].plan[d] = table[(movement + d) * units + n];
    free(table);
    return 0;
}

int traj_sim_population_draw(struct traj_sim_population *population,
                             const struct traj_sim_options *options, gsl_rng *rng)
{
    population->dim = options->dim;
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
                      log(reference_mean(unit, options->dim, options->gain_rank));
    }
    int status = options->units < SILENT_PLAN_UNITS
                     ? 0
                     : make_plan_silent(population->unit, options->dim, rate, options->units);
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

double traj_sim_rate_at(const struct traj_sim_population *population, size_t n,
                        const double *position, const double *velocity,
                        const struct traj_sim_drive *drive)
{
    const struct traj_sim_unit *unit = &population->unit[n];
    double p[TRAJ_SIM_DIM_MAX], v[TRAJ_SIM_DIM_MAX];
    for (size_t d = 0; d < population->dim; d++) {
        p[d] = position[d] / population->reach;
        v[d] = velocity[d] / population->peak;
    }
    double eta = unit->base + modulation(unit, population->dim, v, p);
    for (size_t d = 0; d < population->dim; d++)
        eta += unit->plan[d] * drive->plan[d];
    for (size_t k = 0; k < population->gains; k++)
        eta += unit->gain[k] * drive->gain[k];
    return exp(fmin(eta, population->log_rate_max));
}

double traj_sim_rate(const struct traj_sim_population *population, size_t n,
                     const struct traj_sim_course *course, double t,
                     const struct traj_sim_drive *drive)
{
    double position[2], velocity[2];
    traj_sim_course_at(course, t + population->unit[n].lag, position, velocity);
    return traj_sim_rate_at(population, n, position, velocity, drive);
}
