/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The linear-Gaussian component; see linear_gaussian.h. */
#include "daemon/model/linear_gaussian.h"

#include "daemon/model/laplace.h"
#include "daemon/model/linalg.h"

#include <math.h>
#include <string.h>

/* A longer gap is predicted by squaring the transition instead of repeating it. */
#define REPEATED_STEPS 8u

struct component {
    size_t state;
    size_t delay;             /* bins that it waits at x_1 */
    size_t wait;              /* of these, still to come */
    size_t tuning;            /* 0 = the shared set, else 1 + the model's own set */
    const double *transition; /* the model's A, b, Q, pi, V of this component */
    const double *drift;
    const double *noise;
    const double *start;
    const double *start_cov;
    const struct traj_settings *settings;
    double *mean;                 /* [S] */
    double *cov;                  /* [S][S] */
    struct traj_laplace *laplace; /* shared scratch */
    double *gap;                  /* shared scratch, 4 S S + 2 S: see predict_far */
};

static size_t lay_out(struct component *component, struct traj_arena *arena,
                      const struct traj_dims *dims)
{
    const size_t state = dims->state;
    traj_arena_take(arena, 1, sizeof *component);
    component->mean = traj_arena_take(arena, state, sizeof(double));
    component->cov = traj_arena_take(arena, state * state, sizeof(double));
    return arena->used;
}

static size_t lay_out_scratch(struct component *component, struct traj_arena *arena,
                              const struct traj_dims *dims)
{
    const size_t state = dims->state;
    component->laplace = traj_arena_take(arena, 1, sizeof(struct traj_laplace));
    component->gap = traj_arena_take(arena, 4 * state * state + 2 * state, sizeof(double));
    struct traj_laplace counted;
    traj_laplace_lay_out(component->laplace ? component->laplace : &counted, arena, state);
    return arena->used;
}

static size_t size(const struct traj_dims *dims)
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

static void reset(void *self)
{
    struct component *component = self;
    const size_t state = component->state;
    memcpy(component->mean, component->start, state * sizeof(double));
    memcpy(component->cov, component->start_cov, state * state * sizeof(double));
    component->wait = component->delay;
}

static void init(void *self, const struct traj_model *model, size_t k,
                 const struct traj_settings *settings, void *scratch)
{
    struct component *component = self;
    const size_t state = model->dims.state;
    const struct traj_dynamics *dynamics = &model->dynamics;
    struct traj_arena own = {self, 0};
    struct traj_arena shared = {scratch, 0};
    lay_out(component, &own, &model->dims);
    lay_out_scratch(component, &shared, &model->dims);
    component->state = state;
    component->transition = dynamics->transition + k * state * state;
    component->drift = dynamics->drift + k * state;
    component->noise = dynamics->noise + k * state * state;
    component->start = dynamics->start + k * state;
    component->start_cov = dynamics->start_cov + k * state * state;
    component->delay = model->dims.delay > 0 ? (size_t)model->component_delay[k] : 0;
    component->tuning = model->dims.tunings > 0 ? (size_t)(model->tuning.own[k] + 1) : 0;
    component->settings = settings;
    reset(self);
}

/* One step of mean and covariance with x <- A x + b + N(0, Q); scratch S S + S. */
static void transit(struct component *component, const double *transition, const double *drift,
                    const double *noise, double *scratch)
{
    const size_t state = component->state;
    double *moved = scratch + state * state;
    traj_multiply_vector(state, state, transition, component->mean, moved);
    for (size_t s = 0; s < state; s++)
        component->mean[s] = moved[s] + drift[s];
    traj_congruence(state, transition, component->cov, component->cov, scratch);
    for (size_t s = 0; s < state * state; s++)
        component->cov[s] += noise[s];
}

/*
 * The same many times over: the map x <- A x + b + N(0, Q) taken twice is again such a map, with
 * A A, A b + b and A Q A' + Q, so that the binary digits of `steps` say which powers to apply.
 */
static void predict_far(struct component *component, size_t steps)
{
    const size_t state = component->state;
    const size_t square = state * state;
    double *transition = component->gap;
    double *noise = transition + square;
    double *scratch = noise + square; /* S S + S */
    double *next = scratch + square + state;
    double *drift = next + square;
    memcpy(transition, component->transition, square * sizeof(double));
    memcpy(noise, component->noise, square * sizeof(double));
    memcpy(drift, component->drift, state * sizeof(double));
    for (size_t left = steps; left > 0; left >>= 1) {
        if (left & 1u)
            transit(component, transition, drift, noise, scratch);
        if (left == 1)
            break;
        traj_congruence(state, transition, noise, next, scratch);
        for (size_t s = 0; s < square; s++)
            noise[s] += next[s];
        traj_multiply_vector(state, state, transition, drift, scratch);
        for (size_t s = 0; s < state; s++)
            drift[s] += scratch[s];
        traj_multiply(state, transition, transition, next);
        memcpy(transition, next, square * sizeof(double));
    }
}

static void predict(void *self, size_t steps)
{
    struct component *component = self;
    const size_t waited = steps < component->wait ? steps : component->wait;
    component->wait -= waited;
    steps -= waited;
    if (steps > REPEATED_STEPS) {
        predict_far(component, steps);
        return;
    }
    for (size_t step = 0; step < steps; step++)
        transit(component, component->transition, component->drift, component->noise,
                component->gap);
}

static double update(void *self, const struct traj_observed *observed)
{
    struct component *component = self;
    return traj_laplace_update(component->laplace, observed, component->settings, component->tuning,
                               component->mean, component->cov);
}

static void moments(const void *self, double *mean, double *cov)
{
    const struct component *component = self;
    const size_t state = component->state;
    memcpy(mean, component->mean, state * sizeof(double));
    memcpy(cov, component->cov, state * state * sizeof(double));
}

/* The one Gaussian with the mean and covariance of (1 - share) own + share N(mean, cov). */
static void enter(void *self, double share, const double *mean, const double *cov)
{
    struct component *component = self;
    const size_t state = component->state;
    const double stay = 1.0 - share;
    if (!mean) {
        mean = component->start;
        cov = component->start_cov;
    }
    for (size_t i = 0; i < state; i++) {
        const double apart = mean[i] - component->mean[i];
        for (size_t j = 0; j <= i; j++) {
            const double other = mean[j] - component->mean[j];
            const double mixed = stay * component->cov[i * state + j] + share * cov[i * state + j] +
                                 stay * share * apart * other;
            component->cov[i * state + j] = mixed;
            component->cov[j * state + i] = mixed;
        }
    }
    for (size_t i = 0; i < state; i++)
        component->mean[i] = stay * component->mean[i] + share * mean[i];
}

static bool sound(const void *self)
{
    const struct component *component = self;
    const size_t state = component->state;
    return traj_all_finite(state, component->mean) &&
           traj_all_finite(state * state, component->cov);
}

static void course(const void *self, double *progress, double *eta)
{
    (void)self;
    *progress = NAN;
    *eta = NAN;
}

const struct traj_component_table traj_linear_gaussian = {
    .size = size,
    .scratch = scratch_size,
    .init = init,
    .reset = reset,
    .predict = predict,
    .update = update,
    .moments = moments,
    .enter = enter,
    .sound = sound,
    .course = course,
};
