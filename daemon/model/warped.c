/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The time-warped component; see warped.h. */
#include "daemon/model/warped.h"

#include "daemon/model/affine.h"
#include "daemon/model/elementary.h"
#include "daemon/model/laplace.h"
#include "daemon/model/linalg.h"

#include <math.h>
#include <string.h>

/* Beyond so many bins of a gap the linearisation stays as it is and is squared instead. */
#define REPEATED_STEPS 32u

/* Powers of e^s that occur: derivatives up to the second give -1 .. 5. */
#define POWERS 7
#define POWER_ZERO 1 /* where e^0 stands */

struct component {
    size_t dim;
    size_t state;             /* S */
    size_t size;              /* n = S + 1: x, then s */
    size_t delay;             /* bins that it waits at x_1 */
    size_t wait;              /* of these, still to come */
    size_t tuning;            /* 0 = the shared set, else 1 + the model's own set */
    const double *transition; /* the model's A, b, Q, pi, V of this component */
    const double *drift;
    const double *noise;
    const double *start;
    const double *start_cov;
    double speed, variance, walk, limit; /* of s */
    const struct traj_settings *settings;
    double *mean; /* [n] */
    double *cov;  /* [n][n] */
    /* Shared scratch: */
    struct traj_laplace *laplace;
    struct traj_affine *map; /* the linearisation, whose arrays are the next three */
    double *jacobian;        /* [n][n] */
    double *shift;           /* [n] */
    double *diffusion;       /* [n][n] */
    double *work;            /* see traj_affine_scratch */
    double *other_mean;      /* [n] */
    double *other_cov;       /* [n][n] */
};

static size_t lay_out(struct component *component, struct traj_arena *arena,
                      const struct traj_dims *dims)
{
    const size_t size = dims->state + 1;
    traj_arena_take(arena, 1, sizeof *component);
    component->mean = traj_arena_take(arena, size, sizeof(double));
    component->cov = traj_arena_take(arena, size * size, sizeof(double));
    return arena->used;
}

static size_t lay_out_scratch(struct component *component, struct traj_arena *arena,
                              const struct traj_dims *dims)
{
    const size_t size = dims->state + 1;
    component->laplace = traj_laplace_shared(arena, dims->state);
    component->map = traj_arena_take(arena, 1, sizeof(struct traj_affine));
    component->jacobian = traj_arena_take(arena, size * size, sizeof(double));
    component->shift = traj_arena_take(arena, size, sizeof(double));
    component->diffusion = traj_arena_take(arena, size * size, sizeof(double));
    component->work = traj_arena_take(arena, traj_affine_scratch(size), sizeof(double));
    component->other_mean = traj_arena_take(arena, size, sizeof(double));
    component->other_cov = traj_arena_take(arena, size * size, sizeof(double));
    return arena->used;
}

static size_t size_of(const struct traj_dims *dims)
{
    struct component component;
    struct traj_arena arena = {NULL, 0};
    return lay_out(&component, &arena, dims);
}

static size_t scratch_size(const struct traj_dims *dims)
{
    struct component component;
    struct traj_arena arena = {NULL, 0};
    return lay_out_scratch(&component, &arena, dims);
}

/* Which derivative a number of the kinematic state is: 0 position, 1 velocity, 2 acceleration. */
static int derivative(const struct component *component, size_t i)
{
    return (int)(i / component->dim);
}

/* power[POWER_ZERO + j] = e^(j s). */
static void raise(double s, double power[POWERS])
{
    for (int j = 0; j < POWERS; j++)
        power[j] = traj_exp((double)(j - POWER_ZERO) * s);
}

/* The distribution of (x_1, s_1), linearised in s: d(D pi)/ds = k e^ks pi. */
static void beginning(const struct component *component, double *mean, double *cov)
{
    const size_t state = component->state, n = component->size;
    double powers[POWERS];
    raise(component->speed, powers);
    const double *power = powers + POWER_ZERO;
    mean[state] = component->speed;
    cov[state * n + state] = component->variance;
    for (size_t i = 0; i < state; i++) {
        const int k = derivative(component, i);
        mean[i] = power[k] * component->start[i];
        const double slope = (double)k * mean[i];
        cov[i * n + state] = slope * component->variance;
        cov[state * n + i] = cov[i * n + state];
        for (size_t j = 0; j <= i; j++) {
            const int l = derivative(component, j);
            const double joint = power[k + l] * component->start_cov[i * state + j] +
                                 slope * ((double)l * mean[j]) * component->variance;
            cov[i * n + j] = joint;
            cov[j * n + i] = joint;
        }
    }
}

static void reset(void *self)
{
    struct component *component = self;
    beginning(component, component->mean, component->cov);
    component->wait = component->delay;
}

static void init(void *self, const struct traj_model *model, size_t k,
                 const struct traj_settings *settings, void *scratch)
{
    struct component *component = self;
    const size_t state = model->dims.state;
    const struct traj_dynamics *dynamics = &model->dynamics;
    const size_t row = (size_t)model->warp.own[k];
    struct traj_arena own = {self, 0};
    struct traj_arena shared = {scratch, 0};
    lay_out(component, &own, &model->dims);
    lay_out_scratch(component, &shared, &model->dims);
    component->dim = model->dims.position;
    component->state = state;
    component->size = state + 1;
    component->transition = dynamics->transition + k * state * state;
    component->drift = dynamics->drift + k * state;
    component->noise = dynamics->noise + k * state * state;
    component->start = dynamics->start + k * state;
    component->start_cov = dynamics->start_cov + k * state * state;
    component->delay = model->dims.delay > 0 ? (size_t)model->component_delay[k] : 0;
    component->tuning = model->dims.tunings > 0 ? (size_t)(model->tuning.own[k] + 1) : 0;
    component->speed = model->warp.mean[row];
    component->variance = model->warp.variance[row];
    component->walk = model->warp.walk[row];
    component->limit = model->warp.limit[row];
    component->settings = settings;
    reset(self);
}

/*
 * The map at (x, s) = mean.  With M_ij = e^((1 + k_i - k_j) s) (A - I)_ij and
 * c_i = e^((1 + k_i) s) b_i, k the derivatives,
 *     f(x, s) = x + M x + c,  df/dx = I + M,
 *     df_i/ds = sum_j (1 + k_i - k_j) M_ij x_j + (1 + k_i) c_i.
 * `shift` makes the affine map equal to f at the mean.
 */
static void linearise(struct component *component)
{
    const size_t state = component->state, n = component->size;
    const double *mean = component->mean;
    double powers[POWERS];
    raise(mean[state], powers);
    const double *power = powers + POWER_ZERO;
    memset(component->jacobian, 0, n * n * sizeof(double));
    memset(component->diffusion, 0, n * n * sizeof(double));
    for (size_t i = 0; i < state; i++) {
        const int k = derivative(component, i);
        const double drift = power[1 + k] * component->drift[i];
        double slope = (double)(1 + k) * drift;
        for (size_t j = 0; j < state; j++) {
            const int l = derivative(component, j);
            const double unit = i == j ? 1.0 : 0.0;
            const double rate = power[1 + k - l] * (component->transition[i * state + j] - unit);
            component->jacobian[i * n + j] = unit + rate;
            component->diffusion[i * n + j] = power[1 + k + l] * component->noise[i * state + j];
            slope += (double)(1 + k - l) * rate * mean[j];
        }
        component->jacobian[i * n + state] = slope;
        component->shift[i] = drift - slope * mean[state];
    }
    component->jacobian[state * n + state] = 1.0;
    component->diffusion[state * n + state] = component->walk;
    component->shift[state] = 0.0;
    *component->map =
        (struct traj_affine){n, component->jacobian, component->shift, component->diffusion};
}

static void predict(void *self, size_t steps)
{
    struct component *component = self;
    const size_t waited = steps < component->wait ? steps : component->wait;
    component->wait -= waited;
    steps -= waited;
    const size_t near = steps < REPEATED_STEPS ? steps : REPEATED_STEPS;
    for (size_t step = 0; step < near; step++) {
        linearise(component);
        traj_affine_step(component->map, component->mean, component->cov, component->work);
    }
    if (steps > near) {
        linearise(component);
        traj_affine_far(component->map, steps - near, component->mean, component->cov,
                        component->work);
    }
}

/* The kinematic part of a covariance [n][n], into out[S][S]. */
static void kinematic(const struct component *component, const double *cov, double *out)
{
    for (size_t i = 0; i < component->state; i++)
        memcpy(out + i * component->state, cov + i * component->size,
               component->state * sizeof(double));
}

/*
 * (x, s) from x before and after its update: s = s- + g'(x - x-), g = P_xx^-1 P_xs before, and what
 * of s does not hang on x stays as it was.
 */
static void follow(struct component *component, const double *after_mean, const double *after_cov)
{
    const size_t state = component->state, n = component->size;
    double *gain = component->shift, *across = component->work;
    double *cov = component->cov;
    for (size_t i = 0; i < state; i++)
        gain[i] = cov[i * n + state];
    traj_solve_lower(state, component->laplace->prior_factor, gain);
    traj_solve_lower_transposed(state, component->laplace->prior_factor, gain);
    double rest = cov[state * n + state];
    for (size_t i = 0; i < state; i++) {
        rest -= gain[i] * cov[i * n + state];
        component->mean[state] += gain[i] * (after_mean[i] - component->mean[i]);
    }
    rest = rest > 0.0 ? rest : 0.0;
    traj_multiply_vector(state, state, after_cov, gain, across);
    for (size_t i = 0; i < state; i++) {
        rest += gain[i] * across[i];
        component->mean[i] = after_mean[i];
        memcpy(cov + i * n, after_cov + i * state, state * sizeof(double));
        cov[i * n + state] = across[i];
        cov[state * n + i] = across[i];
    }
    cov[state * n + state] = rest;
}

/* Where s lies beyond its limit: the mean given that it lies there. */
static void hold(struct component *component)
{
    const size_t state = component->state, n = component->size;
    const double speed = component->mean[state], variance = component->cov[state * n + state];
    double held = speed;
    held = held > component->limit ? component->limit : held;
    held = held < -component->limit ? -component->limit : held;
    if (held == speed)
        return;
    for (size_t i = 0; i < state && variance > 0.0; i++)
        component->mean[i] += component->cov[i * n + state] / variance * (held - speed);
    component->mean[state] = held;
}

static double update(void *self, const struct traj_observed *observed)
{
    struct component *component = self;
    if (!traj_observed_any(observed))
        return 0.0;
    memcpy(component->other_mean, component->mean, component->state * sizeof(double));
    kinematic(component, component->cov, component->other_cov);
    const double evidence =
        traj_laplace_update(component->laplace, observed, component->settings, component->tuning,
                            component->other_mean, component->other_cov);
    if (isnan(evidence))
        return evidence;
    follow(component, component->other_mean, component->other_cov);
    hold(component);
    return evidence;
}

static void moments(const void *self, double *mean, double *cov)
{
    const struct component *component = self;
    memcpy(mean, component->mean, component->state * sizeof(double));
    kinematic(component, component->cov, cov);
}

/*
 * The one Gaussian with the mean and covariance of (1 - share) own + share newcomers.  Newcomers
 * whose x is given come at any of the speeds that x_1 has.
 */
static void enter(void *self, double share, const double *mean, const double *cov)
{
    struct component *component = self;
    const size_t state = component->state, n = component->size;
    double *new_mean = component->other_mean, *new_cov = component->other_cov;
    const double stay = 1.0 - share;
    beginning(component, new_mean, new_cov);
    for (size_t i = 0; mean && i < state; i++) {
        new_mean[i] = mean[i];
        memcpy(new_cov + i * n, cov + i * state, state * sizeof(double));
        new_cov[i * n + state] = 0.0;
        new_cov[state * n + i] = 0.0;
    }
    for (size_t i = 0; i < n; i++) {
        const double apart = new_mean[i] - component->mean[i];
        for (size_t j = 0; j <= i; j++) {
            const double other = new_mean[j] - component->mean[j];
            const double mixed = stay * component->cov[i * n + j] + share * new_cov[i * n + j] +
                                 stay * share * apart * other;
            component->cov[i * n + j] = mixed;
            component->cov[j * n + i] = mixed;
        }
    }
    for (size_t i = 0; i < n; i++)
        component->mean[i] = stay * component->mean[i] + share * new_mean[i];
}

static bool sound(const void *self)
{
    const struct component *component = self;
    return traj_all_finite(component->size, component->mean) &&
           traj_all_finite(component->size * component->size, component->cov);
}

void traj_warped_speed(const void *self, double *mean, double *variance)
{
    const struct component *component = self;
    *mean = component->mean[component->state];
    *variance = component->cov[component->size * component->size - 1];
}

const struct traj_component_table traj_warped = {
    .size = size_of,
    .scratch = scratch_size,
    .init = init,
    .reset = reset,
    .predict = predict,
    .update = update,
    .moments = moments,
    .enter = enter,
    .sound = sound,
};
