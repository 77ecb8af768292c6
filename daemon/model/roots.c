/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Gaussian observation of the roots of counts; see roots.h. */
#include "daemon/model/roots.h"

#include "daemon/model/elementary.h"
#include "daemon/model/linalg.h"

#include <math.h>
#include <string.h>

void traj_roots_lay_out(struct traj_roots *roots, struct traj_arena *arena,
                        const struct traj_dims *dims)
{
    const size_t state = dims->state, sets = 1 + dims->tunings;
    roots->state = state;
    roots->factors = dims->components > 0 ? dims->factors : 0;
    roots->sets = sets;
    if (roots->factors == 0)
        return;
    roots->unit = traj_arena_take(arena, dims->units, sizeof(uint32_t));
    roots->inner = traj_arena_take(arena, roots->factors * roots->factors, sizeof(double));
    roots->loading = traj_arena_take(arena, sets * dims->units * state, sizeof(double));
    roots->curvature = traj_arena_take(arena, sets * state * state, sizeof(double));
    roots->slope = traj_arena_take(arena, sets * state, sizeof(double));
    roots->square = traj_arena_take(arena, sets, sizeof(double));
    roots->apart = traj_arena_take(arena, dims->units, sizeof(double));
    roots->shared = traj_arena_take(arena, roots->factors, sizeof(double));
}

void traj_roots_init(struct traj_roots *roots, const struct traj_model *model)
{
    roots->model = model;
    roots->units = SIZE_MAX;
}

/* Weights and offsets of a set, those of all units. */
static const double *weights_of(const struct traj_roots *roots, size_t set)
{
    const struct traj_tuning *tuning = &roots->model->tuning;
    const size_t units = roots->model->dims.units;
    return set == 0 ? tuning->weight : tuning->own_weight + (set - 1) * units * roots->state;
}

static const double *offsets_of(const struct traj_roots *roots, size_t set)
{
    const struct traj_tuning *tuning = &roots->model->tuning;
    return set == 0 ? tuning->offset : tuning->own_offset + (set - 1) * roots->model->dims.units;
}

/* shared = U' D^-1 v over the units at hand, v with the given stride. */
static void share(const struct traj_roots *roots, const double *v, size_t stride)
{
    const struct traj_tuning *tuning = &roots->model->tuning;
    memset(roots->shared, 0, roots->factors * sizeof(double));
    for (size_t i = 0; i < roots->units; i++) {
        const double *u = tuning->factor + roots->unit[i] * roots->factors;
        const double scaled = v[i * stride] / tuning->noise[roots->unit[i]];
        for (size_t a = 0; a < roots->factors; a++)
            roots->shared[a] += u[a] * scaled;
    }
}

/* The factor of I + U' D^-1 U and the constant. */
static bool factorise(struct traj_roots *roots)
{
    const struct traj_tuning *tuning = &roots->model->tuning;
    const size_t rank = roots->factors;
    double half_log = 0.0;
    for (size_t a = 0; a < rank; a++)
        for (size_t b = 0; b < rank; b++)
            roots->inner[a * rank + b] = a == b ? 1.0 : 0.0;
    for (size_t i = 0; i < roots->units; i++) {
        const double *u = tuning->factor + roots->unit[i] * rank;
        const double noise = tuning->noise[roots->unit[i]];
        half_log += 0.5 * traj_log(noise);
        for (size_t a = 0; a < rank; a++)
            for (size_t b = 0; b <= a; b++)
                roots->inner[a * rank + b] += u[a] * u[b] / noise;
    }
    if (!traj_cholesky(rank, roots->inner, roots->inner))
        return false;
    const double log_two_pi = 1.8378770664093453;
    roots->constant =
        -half_log - traj_log_diagonal(rank, roots->inner) - 0.5 * (double)roots->units * log_two_pi;
    return true;
}

/* R^-1 C and C' R^-1 C of a set. */
static void tabulate(struct traj_roots *roots, size_t set)
{
    const struct traj_tuning *tuning = &roots->model->tuning;
    const size_t state = roots->state, rank = roots->factors;
    const double *weight = weights_of(roots, set);
    double *loading = roots->loading + set * roots->model->dims.units * state;
    double *curvature = roots->curvature + set * state * state;
    for (size_t i = 0; i < roots->units; i++)
        memcpy(loading + i * state, weight + roots->unit[i] * state, state * sizeof(double));
    for (size_t s = 0; s < state; s++) {
        share(roots, loading + s, state);
        traj_solve_lower(rank, roots->inner, roots->shared);
        traj_solve_lower_transposed(rank, roots->inner, roots->shared);
        for (size_t i = 0; i < roots->units; i++) {
            const double *u = tuning->factor + roots->unit[i] * rank;
            double left = loading[i * state + s];
            for (size_t a = 0; a < rank; a++)
                left -= u[a] * roots->shared[a];
            loading[i * state + s] = left / tuning->noise[roots->unit[i]];
        }
    }
    memset(curvature, 0, state * state * sizeof(double));
    for (size_t i = 0; i < roots->units; i++) {
        const double *c = weight + roots->unit[i] * state;
        for (size_t s = 0; s < state; s++)
            for (size_t t = 0; t <= s; t++)
                curvature[s * state + t] += c[s] * loading[i * state + t];
    }
    for (size_t s = 0; s < state; s++)
        for (size_t t = 0; t < s; t++)
            curvature[t * state + s] = curvature[s * state + t];
}

static bool retabulate(struct traj_roots *roots, const uint32_t *unit, size_t units)
{
    if (units == roots->units && memcmp(unit, roots->unit, units * sizeof *unit) == 0)
        return true;
    memcpy(roots->unit, unit, units * sizeof *unit);
    roots->units = units;
    if (!factorise(roots)) {
        roots->units = SIZE_MAX;
        return false;
    }
    for (size_t set = 0; set < roots->sets; set++)
        tabulate(roots, set);
    return true;
}

bool traj_roots_prepare(struct traj_roots *roots, const uint32_t *unit, const double *root,
                        size_t units)
{
    const size_t state = roots->state;
    if (!retabulate(roots, unit, units))
        return false;
    for (size_t set = 0; set < roots->sets; set++) {
        const double *offset = offsets_of(roots, set);
        const double *loading = roots->loading + set * roots->model->dims.units * state;
        double *slope = roots->slope + set * state;
        double square = 0.0;
        memset(slope, 0, state * sizeof(double));
        for (size_t i = 0; i < units; i++) {
            const double apart = root[i] - offset[unit[i]];
            roots->apart[i] = apart;
            square += apart * apart / roots->model->tuning.noise[unit[i]];
            for (size_t s = 0; s < state; s++)
                slope[s] += apart * loading[i * state + s];
        }
        share(roots, roots->apart, 1);
        traj_solve_lower(roots->factors, roots->inner, roots->shared);
        for (size_t a = 0; a < roots->factors; a++)
            square -= roots->shared[a] * roots->shared[a];
        roots->square[set] = square;
    }
    return true;
}

double traj_roots_evaluate(const struct traj_roots *roots, size_t set, const double *x,
                           double *gradient, double *information)
{
    const size_t state = roots->state;
    const double *slope = roots->slope + set * state;
    const double *curvature = roots->curvature + set * state * state;
    double value = -0.5 * roots->square[set];
    for (size_t s = 0; s < state; s++) {
        double bent = 0.0;
        for (size_t t = 0; t < state; t++)
            bent += curvature[s * state + t] * x[t];
        value += x[s] * (slope[s] - 0.5 * bent);
        gradient[s] += slope[s] - bent;
        for (size_t t = 0; t < state; t++)
            information[s * state + t] += curvature[s * state + t];
    }
    return value;
}
