/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Newton's method and Laplace's approximation; see laplace.h. */
#include "daemon/model/laplace.h"

#include "daemon/model/linalg.h"

#include <math.h>
#include <string.h>

/* A step counts as no fall where l loses less than this part of 1 and itself: what rounding may
 * do; its terms may be large where their sum is not. */
#define ROUNDING 1e-12

static void lay_out(struct traj_laplace *laplace, struct traj_arena *arena, size_t state)
{
    const size_t square = state * state;
    laplace->state = state;
    laplace->prior_factor = traj_arena_take(arena, square, sizeof(double));
    laplace->information = traj_arena_take(arena, square, sizeof(double));
    laplace->precision = traj_arena_take(arena, square, sizeof(double));
    laplace->product = traj_arena_take(arena, square, sizeof(double));
    laplace->point = traj_arena_take(arena, state, sizeof(double));
    laplace->trial = traj_arena_take(arena, state, sizeof(double));
    laplace->step = traj_arena_take(arena, state, sizeof(double));
    laplace->slope = traj_arena_take(arena, state, sizeof(double));
    laplace->x = traj_arena_take(arena, state, sizeof(double));
    laplace->gradient = traj_arena_take(arena, state, sizeof(double));
}

struct traj_laplace *traj_laplace_shared(struct traj_arena *arena, size_t state)
{
    struct traj_laplace counted;
    struct traj_laplace *laplace = traj_arena_take(arena, 1, sizeof *laplace);
    lay_out(laplace ? laplace : &counted, arena, state);
    return laplace;
}

/* x = m + L u. */
static void place(const struct traj_laplace *laplace, const double *mean, const double *u)
{
    const size_t state = laplace->state;
    for (size_t i = 0; i < state; i++) {
        double sum = 0.0;
        for (size_t j = 0; j <= i; j++)
            sum += laplace->prior_factor[i * state + j] * u[j];
        laplace->x[i] = mean[i] + sum;
    }
}

/* l(u); leaves gradient and information at u. */
static double evaluate(struct traj_laplace *laplace, const struct traj_observed *observed,
                       const double *mean, const double *u)
{
    place(laplace, mean, u);
    const double value = traj_observed_evaluate(observed, laplace->tuning, laplace->x,
                                                laplace->gradient, laplace->information);
    double square = 0.0;
    for (size_t s = 0; s < laplace->state; s++)
        square += u[s] * u[s];
    return value - 0.5 * square;
}

/*
 * From gradient and information at `point`: the factor of M, the Newton step and its decrement
 * grad' M^-1 grad / 2; NaN where M has no factor.
 */
static double newton_step(struct traj_laplace *laplace)
{
    const size_t state = laplace->state;
    traj_congruence_lower(state, laplace->prior_factor, laplace->information, laplace->precision,
                          laplace->product);
    for (size_t s = 0; s < state; s++)
        laplace->precision[s * state + s] += 1.0;
    if (!traj_cholesky(state, laplace->precision, laplace->precision))
        return NAN;
    for (size_t j = 0; j < state; j++) {
        double sum = 0.0;
        for (size_t i = j; i < state; i++)
            sum += laplace->prior_factor[i * state + j] * laplace->gradient[i];
        laplace->slope[j] = sum - laplace->point[j];
        laplace->step[j] = laplace->slope[j];
    }
    traj_solve_lower(state, laplace->precision, laplace->step);
    double decrement = 0.0;
    for (size_t s = 0; s < state; s++)
        decrement += 0.5 * laplace->step[s] * laplace->step[s];
    traj_solve_lower_transposed(state, laplace->precision, laplace->step);
    return decrement;
}

/* Moves point along step, halving it while l falls; false if it fell every time. */
static bool climb(struct traj_laplace *laplace, const struct traj_observed *observed,
                  const struct traj_settings *settings, const double *mean, double *value)
{
    double length = 1.0;
    for (size_t halving = 0; halving <= settings->halvings; halving++) {
        for (size_t s = 0; s < laplace->state; s++)
            laplace->trial[s] = laplace->point[s] + length * laplace->step[s];
        const double reached = evaluate(laplace, observed, mean, laplace->trial);
        if (reached >= *value - ROUNDING * (1.0 + fabs(*value))) {
            memcpy(laplace->point, laplace->trial, laplace->state * sizeof(double));
            *value = reached;
            return true;
        }
        length *= 0.5;
    }
    return false;
}

/*
 * To the maximum of l from u = 0; returns l there, NaN in vain.  Leaves T in precision.  The last
 * step, whose decrement is below the tolerance, is taken without looking at l again: it leaves the
 * decrement's square as error where stopping short would leave its root.
 */
static double maximise(struct traj_laplace *laplace, const struct traj_observed *observed,
                       const struct traj_settings *settings, const double *mean)
{
    const size_t state = laplace->state;
    memset(laplace->point, 0, state * sizeof(double));
    double value = evaluate(laplace, observed, mean, laplace->point);
    double decrement = newton_step(laplace);
    for (size_t step = 0; step < settings->newton_steps; step++) {
        if (!(decrement > settings->newton_tolerance))
            break;
        if (!climb(laplace, observed, settings, mean, &value))
            return value;
        decrement = newton_step(laplace);
    }
    if (isnan(decrement))
        return NAN;
    if (decrement <= settings->newton_tolerance) {
        for (size_t s = 0; s < state; s++)
            laplace->point[s] += laplace->step[s];
        value += decrement;
    }
    return value;
}

/* cov = W W' with rows w_i = T^-1 l_i, l_i the rows of L. */
static void condense(struct traj_laplace *laplace, double *cov)
{
    const size_t state = laplace->state;
    double *row = laplace->product;
    memcpy(row, laplace->prior_factor, state * state * sizeof(double));
    for (size_t i = 0; i < state; i++)
        traj_solve_lower(state, laplace->precision, row + i * state);
    for (size_t i = 0; i < state; i++) {
        for (size_t j = 0; j <= i; j++) {
            double sum = 0.0;
            for (size_t s = 0; s < state; s++)
                sum += row[i * state + s] * row[j * state + s];
            cov[i * state + j] = sum;
            cov[j * state + i] = sum;
        }
    }
}

double traj_laplace_update(struct traj_laplace *laplace, const struct traj_observed *observed,
                           const struct traj_settings *settings, size_t tuning, double *mean,
                           double *cov)
{
    const size_t state = laplace->state;
    laplace->tuning = tuning;
    if (!traj_observed_any(observed))
        return 0.0;
    if (!traj_cholesky(state, cov, laplace->prior_factor))
        return NAN;
    const double value = maximise(laplace, observed, settings, mean);
    if (!isfinite(value))
        return NAN;
    place(laplace, mean, laplace->point);
    if (!traj_all_finite(state, laplace->x))
        return NAN;
    memcpy(mean, laplace->x, state * sizeof(double));
    condense(laplace, cov);
    return value + observed->constant - traj_log_diagonal(state, laplace->precision);
}
