/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The linear-Gaussian component; see linear_gaussian.h. */
#include "daemon/model/linear_gaussian.h"

#include "daemon/model/affine.h"
#include "daemon/model/laplace.h"
#include "daemon/model/linalg.h"

#include <math.h>
#include <string.h>

/* A longer gap is predicted by squaring the transition instead of repeating it. */
#define REPEATED_STEPS 8u

struct component {
    size_t state;
    size_t delay;           /* bins that it waits at x_1 */
    size_t wait;            /* of these, still to come */
    size_t tuning;          /* 0 = the shared set, else 1 + the model's own set */
    struct traj_affine map; /* the model's A, b, Q of this component */
    const double *start;    /* and its pi, V */
    const double *start_cov;
    const struct traj_settings *settings;
    double *mean;                 /* [S] */
    double *cov;                  /* [S][S] */
    struct traj_laplace *laplace; /* shared scratch */
    double *gap;                  /* shared scratch: see traj_affine_scratch */
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
    component->laplace = traj_laplace_shared(arena, state);
    component->gap = traj_arena_take(arena, traj_affine_scratch(state), sizeof(double));
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
    component->map =
        (struct traj_affine){state, dynamics->transition + k * state * state,
                             dynamics->drift + k * state, dynamics->noise + k * state * state};
    component->start = dynamics->start + k * state;
    component->start_cov = dynamics->start_cov + k * state * state;
    component->delay = model->dims.delay > 0 ? (size_t)model->component_delay[k] : 0;
    component->tuning = model->dims.tunings > 0 ? (size_t)(model->tuning.own[k] + 1) : 0;
    component->settings = settings;
    reset(self);
}

static void predict(void *self, size_t steps)
{
    struct component *component = self;
    const size_t waited = steps < component->wait ? steps : component->wait;
    component->wait -= waited;
    steps -= waited;
    if (steps > REPEATED_STEPS) {
        traj_affine_far(&component->map, steps, component->mean, component->cov, component->gap);
        return;
    }
    for (size_t step = 0; step < steps; step++)
        traj_affine_step(&component->map, component->mean, component->cov, component->gap);
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
};
