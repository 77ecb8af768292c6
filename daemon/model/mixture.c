/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The mixture of components; see mixture.h. */
#include "daemon/model/mixture.h"

#include "daemon/model/elementary.h"
#include "daemon/model/linalg.h"

#include <math.h>
#include <string.h>

/* Evidence beyond any that numbers of this world give: the component has lost its way. */
#define ABSURD 1e100

void traj_mixture_lay_out(struct traj_mixture *mixture, struct traj_arena *arena,
                          const struct traj_dims *dims)
{
    const size_t components = dims->components;
    const size_t state = dims->state;
    mixture->components = components;
    mixture->state = state;
    mixture->component = traj_arena_take(arena, components, sizeof(struct traj_mixture_component));
    mixture->memory = traj_arena_take(arena, components, traj_component_size(dims));
    mixture->scratch = traj_arena_take(arena, 1, traj_component_scratch(dims));
    mixture->log_weight = traj_arena_take(arena, components, sizeof(double));
    mixture->weight = traj_arena_take(arena, components, sizeof(double));
    mixture->evidence = traj_arena_take(arena, components, sizeof(double));
    mixture->entering = traj_arena_take(arena, components, sizeof(double));
    mixture->mean = traj_arena_take(arena, state, sizeof(double));
    mixture->cov = traj_arena_take(arena, state * state, sizeof(double));
    mixture->one_mean = traj_arena_take(arena, state, sizeof(double));
    mixture->one_cov = traj_arena_take(arena, state * state, sizeof(double));
}

void traj_mixture_init(struct traj_mixture *mixture, const struct traj_model *model,
                       const struct traj_settings *settings,
                       const struct traj_target_belief *belief)
{
    const size_t size = traj_component_size(&model->dims);
    mixture->model = model;
    mixture->belief = belief;
    mixture->all_restart = true;
    for (size_t k = 0; k < mixture->components; k++) {
        struct traj_mixture_component *one = &mixture->component[k];
        one->table = traj_component_of(model, k);
        one->self = (unsigned char *)mixture->memory + k * size;
        one->restarts = model->trial_reset[k] != 0;
        one->table->init(one->self, model, k, settings, mixture->scratch);
        mixture->all_restart = mixture->all_restart && one->restarts;
    }
}

double traj_log_sum_exp(size_t n, const double *x)
{
    double most = -INFINITY;
    for (size_t i = 0; i < n; i++)
        most = x[i] > most ? x[i] : most;
    if (!(most > -INFINITY))
        return most;
    double sum = 0.0;
    for (size_t i = 0; i < n; i++)
        sum += traj_exp(x[i] - most);
    return most + traj_log(sum);
}

static void normalise(struct traj_mixture *mixture)
{
    const double total = traj_log_sum_exp(mixture->components, mixture->log_weight);
    for (size_t k = 0; k < mixture->components; k++)
        if (mixture->component[k].present)
            mixture->log_weight[k] -= total;
}

void traj_mixture_prior_weights(struct traj_mixture *mixture)
{
    const struct traj_model *model = mixture->model;
    for (size_t k = 0; k < mixture->components; k++) {
        const int32_t target = model->component_target[k];
        const double belief = target < 0 ? 0.0 : mixture->belief->total[target];
        mixture->log_weight[k] = mixture->component[k].present
                                     ? traj_log(model->component_prior[k]) + belief
                                     : -INFINITY;
    }
    normalise(mixture);
}

void traj_mixture_reweigh(struct traj_mixture *mixture, const double *change)
{
    for (size_t k = 0; k < mixture->components; k++) {
        const int32_t target = mixture->model->component_target[k];
        if (mixture->component[k].present && target >= 0)
            mixture->log_weight[k] += change[target];
    }
    normalise(mixture);
}

/* Back to x_1. */
static void restart(struct traj_mixture_component *one)
{
    one->table->reset(one->self);
    one->fresh = 1;
}

void traj_mixture_reset(struct traj_mixture *mixture, bool all)
{
    for (size_t k = 0; k < mixture->components; k++) {
        struct traj_mixture_component *one = &mixture->component[k];
        restart(one);
        one->present = all || mixture->all_restart || !one->restarts;
        one->running = one->present;
    }
    traj_mixture_prior_weights(mixture);
}

void traj_mixture_restarting(struct traj_mixture *mixture, bool present)
{
    if (mixture->all_restart)
        return;
    double others = 0.0;
    for (size_t k = 0; k < mixture->components; k++)
        if (!mixture->component[k].restarts)
            others += mixture->model->component_prior[k];
    for (size_t k = 0; k < mixture->components; k++) {
        struct traj_mixture_component *one = &mixture->component[k];
        if (one->restarts) {
            if (present && !one->present)
                restart(one);
            one->present = present;
            one->running = present;
            mixture->log_weight[k] =
                present ? traj_log(mixture->model->component_prior[k]) : -INFINITY;
        } else if (present) {
            mixture->log_weight[k] += traj_log(others);
        }
    }
    normalise(mixture);
}

void traj_mixture_plan(struct traj_mixture *mixture)
{
    for (size_t k = 0; k < mixture->components; k++) {
        struct traj_mixture_component *one = &mixture->component[k];
        if (one->restarts)
            restart(one);
        one->present = 1;
        one->running = !one->restarts;
    }
    traj_mixture_prior_weights(mixture);
}

void traj_mixture_move(struct traj_mixture *mixture)
{
    traj_mixture_plan(mixture);
    for (size_t k = 0; k < mixture->components; k++)
        mixture->component[k].running = 1;
}

void traj_mixture_end(struct traj_mixture *mixture, bool moved)
{
    for (size_t k = 0; k < mixture->components; k++)
        if (mixture->component[k].restarts && mixture->component[k].fresh)
            moved = false; /* no frame since */
    if (moved)
        traj_mixture_moments(mixture);
    for (size_t k = 0; k < mixture->components; k++) {
        struct traj_mixture_component *one = &mixture->component[k];
        if (!one->restarts && moved)
            one->table->enter(one->self, 1.0, mixture->mean, mixture->cov);
        one->present = !one->restarts;
        one->running = one->present;
    }
    traj_mixture_prior_weights(mixture);
}

/* Log evidence of component k after moving it on; NaN where it failed. */
static double advance(struct traj_mixture_component *one, const struct traj_observed *observed,
                      size_t steps, size_t fresh_steps, double entering)
{
    const size_t moves = one->fresh ? fresh_steps - 1 : steps;
    if (moves > 0)
        one->table->predict(one->self, moves);
    one->fresh = 0;
    if (entering > 0.0)
        one->table->enter(one->self, entering, NULL, NULL);
    const double evidence = one->table->update(one->self, observed);
    return one->table->sound(one->self) && fabs(evidence) < ABSURD ? evidence : NAN;
}

/* What failed starts from x_1 and is counted as badly as the worst of the others. */
static void recover(struct traj_mixture *mixture)
{
    double worst = INFINITY;
    for (size_t k = 0; k < mixture->components; k++)
        if (mixture->component[k].running && mixture->evidence[k] < worst)
            worst = mixture->evidence[k];
    for (size_t k = 0; k < mixture->components; k++) {
        struct traj_mixture_component *one = &mixture->component[k];
        if (!one->running || !isnan(mixture->evidence[k]))
            continue;
        one->table->reset(one->self);
        mixture->evidence[k] = worst < INFINITY ? worst : 0.0;
    }
}

double traj_mixture_step(struct traj_mixture *mixture, const struct traj_observed *observed,
                         size_t steps, size_t fresh_steps, bool weigh, bool *recovered)
{
    double *joint = mixture->weight;
    bool any = false;
    *recovered = false;
    for (size_t k = 0; k < mixture->components; k++) {
        struct traj_mixture_component *one = &mixture->component[k];
        if (!one->running)
            continue;
        any = true;
        mixture->evidence[k] = advance(one, observed, steps, fresh_steps, mixture->entering[k]);
        mixture->entering[k] = 0.0;
        *recovered = *recovered || isnan(mixture->evidence[k]);
    }
    if (!any)
        return NAN;
    if (*recovered)
        recover(mixture);
    for (size_t k = 0; k < mixture->components; k++)
        joint[k] = mixture->component[k].running ? mixture->log_weight[k] : -INFINITY;
    const double before = traj_log_sum_exp(mixture->components, joint);
    for (size_t k = 0; k < mixture->components; k++)
        if (mixture->component[k].running)
            joint[k] += mixture->evidence[k];
    const double after = traj_log_sum_exp(mixture->components, joint);
    if (weigh) {
        for (size_t k = 0; k < mixture->components; k++)
            if (mixture->component[k].running)
                mixture->log_weight[k] += mixture->model->evidence_temper * mixture->evidence[k];
        normalise(mixture);
    }
    return after - before;
}

void traj_mixture_weights(struct traj_mixture *mixture)
{
    for (size_t k = 0; k < mixture->components; k++)
        mixture->weight[k] = mixture->component[k].present ? traj_exp(mixture->log_weight[k]) : 0.0;
}

/* sum w (C + (m - mean)(m - mean)'): the mean is taken away first, so that nothing cancels. */
void traj_mixture_moments(struct traj_mixture *mixture)
{
    const size_t state = mixture->state;
    double *mean = mixture->one_mean;
    double *cov = mixture->one_cov;
    traj_mixture_weights(mixture);
    memset(mixture->mean, 0, state * sizeof(double));
    memset(mixture->cov, 0, state * state * sizeof(double));
    for (size_t k = 0; k < mixture->components; k++) {
        const double weight = mixture->weight[k];
        if (!(weight > 0.0))
            continue;
        mixture->component[k].table->moments(mixture->component[k].self, mean, cov);
        for (size_t s = 0; s < state; s++)
            mixture->mean[s] += weight * mean[s];
    }
    for (size_t k = 0; k < mixture->components; k++) {
        const double weight = mixture->weight[k];
        if (!(weight > 0.0))
            continue;
        mixture->component[k].table->moments(mixture->component[k].self, mean, cov);
        for (size_t s = 0; s < state; s++)
            mean[s] -= mixture->mean[s];
        for (size_t s = 0; s < state; s++)
            for (size_t t = 0; t < state; t++)
                mixture->cov[s * state + t] += weight * (cov[s * state + t] + mean[s] * mean[t]);
    }
}
