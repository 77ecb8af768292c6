/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Which units can be believed; see health.h. */
#include "daemon/model/health.h"

#include "daemon/model/elementary.h"

#include <math.h>
#include <string.h>

#define ALARM 13.815510557964274 /* -log 1e-6 */
#define ALARM_MOST (2.0 * ALARM) /* s goes no higher, so that a unit can recover */
#define WRONG 2.0                /* ALARMs where the most probable state is believed */
#define RATIO 3.0
#define LOG_RATIO 1.0986122886681098
#define MARGIN 1.5      /* by which the true extremes may lie beyond those of the model */
#define FLOOR 2.0       /* spikes/s that any unit may fire at */
#define SPREADS 2.0     /* standard deviations of gains and of states that count as ordinary */
#define PATH_STEPS 200u /* of a component's mean course that are looked at */

void traj_health_lay_out(struct traj_health *health, struct traj_arena *arena,
                         const struct traj_dims *dims)
{
    health->units = dims->units;
    health->most = traj_arena_take(arena, dims->units, sizeof(double));
    health->least = traj_arena_take(arena, dims->units, sizeof(double));
    health->excess = traj_arena_take(arena, dims->units, sizeof(double));
    health->silence = traj_arena_take(arena, dims->units, sizeof(double));
    health->expected = traj_arena_take(arena, dims->units, sizeof(double));
    health->unanswered = traj_arena_take(arena, dims->units, sizeof(double));
    health->believed = traj_arena_take(arena, dims->units, sizeof(uint16_t));
}

/* ---- what a model thinks possible ---------------------------------------------------------- */

static void extend(struct traj_health *health, size_t n, double low, double high)
{
    health->least[n] = low < health->least[n] ? low : health->least[n];
    health->most[n] = high > health->most[n] ? high : health->most[n];
}

/* Rates of the filter over courses, per second. */
static void look_at_nodes(struct traj_health *health, const struct traj_model *model)
{
    const struct traj_chain *chain = &model->chain;
    const size_t channels = model->dims.units + model->dims.features;
    for (size_t n = 0; n < health->units; n++) {
        double variance = chain->gaussian != 0.0 ? chain->emission_noise[n] : 0.0, gain = 0.0;
        for (size_t r = 0; r < model->dims.factors; r++) {
            const double u = chain->emission_factor[n * model->dims.factors + r];
            variance += u * u;
        }
        for (size_t a = 0; a < model->dims.gains; a++) {
            const double g = chain->gain[n * model->dims.gains + a];
            gain += g * g;
        }
        const double swing = traj_exp(SPREADS * sqrt(gain));
        for (size_t e = 0; e < model->dims.nodes; e++) {
            const double mean = chain->emission_mean[e * channels + n];
            if (chain->gaussian == 0.0) {
                const double rate = traj_exp(mean);
                extend(health, n, rate / swing, rate * swing);
            } else {
                /* y + 1/4 = s^2, whose mean is the square of the mean of s and its variance. */
                const double low = mean > 0.5 ? mean * mean - 0.25 : 0.0;
                extend(health, n, low / model->bin_width,
                       (mean * mean + variance) / model->bin_width);
            }
        }
    }
}

/* Roots between two means: y + 1/4 = z^2, whose mean is the square of the mean and its variance. */
static void extend_root(struct traj_health *health, const struct traj_model *model, size_t n,
                        double low, double high)
{
    double variance = model->tuning.noise[n];
    for (size_t r = 0; r < model->dims.factors; r++) {
        const double u = model->tuning.factor[n * model->dims.factors + r];
        variance += u * u;
    }
    const double most = high > 0.5 ? high * high : 0.25;
    const double least = low > 0.5 ? low * low - 0.25 : 0.0;
    extend(health, n, least / model->bin_width, (most + variance) / model->bin_width);
}

/* Rates of component k's tuning at a state x, with the spread of its start. */
static void look_at_state(struct traj_health *health, const struct traj_model *model, size_t k,
                          const double *x)
{
    const size_t state = model->dims.state, units = health->units;
    const int32_t own = model->dims.tunings > 0 ? model->tuning.own[k] : -1;
    const double *weight =
        own < 0 ? model->tuning.weight : model->tuning.own_weight + (size_t)own * units * state;
    const double *offset =
        own < 0 ? model->tuning.offset : model->tuning.own_offset + (size_t)own * units;
    const double *cov = model->dynamics.start_cov + k * state * state;
    for (size_t n = 0; n < units; n++) {
        const double *c = weight + n * state;
        double eta = offset[n], variance = 0.0;
        for (size_t s = 0; s < state; s++) {
            eta += c[s] * x[s];
            variance += c[s] * c[s] * cov[s * state + s];
        }
        const double swing = SPREADS * sqrt(variance);
        if (model->dims.factors > 0)
            extend_root(health, model, n, eta - swing, eta + swing);
        else
            extend(health, n, traj_exp(eta - swing), traj_exp(eta + swing));
    }
}

/* Rates along the mean course of component k, at steps that lie the further apart the later. */
static void look_along(struct traj_health *health, const struct traj_model *model, size_t k)
{
    const size_t state = model->dims.state;
    const double *transition = model->dynamics.transition + k * state * state;
    double x[TRAJ_STATE_MAX], next[TRAJ_STATE_MAX];
    memcpy(x, model->dynamics.start + k * state, state * sizeof(double));
    for (size_t step = 0, due = 0; step < PATH_STEPS; step++) {
        if (step == due) {
            look_at_state(health, model, k, x);
            due += 1 + due / 4;
        }
        for (size_t s = 0; s < state; s++) {
            next[s] = model->dynamics.drift[k * state + s];
            for (size_t t = 0; t < state; t++)
                next[s] += transition[s * state + t] * x[t];
        }
        memcpy(x, next, state * sizeof(double));
    }
}

void traj_health_init(struct traj_health *health, const struct traj_model *model)
{
    for (size_t n = 0; n < health->units; n++) {
        health->most[n] = 0.0;
        health->least[n] = INFINITY;
    }
    if (model->dims.states > 0)
        look_at_nodes(health, model);
    else
        for (size_t k = 0; k < model->dims.components; k++)
            look_along(health, model, k);
    for (size_t n = 0; n < health->units; n++) {
        /* A course that runs away leaves the unit unguarded rather than never believed. */
        health->most[n] = health->most[n] < 1e9 ? MARGIN * health->most[n] + FLOOR : 1e9;
        health->least[n] = health->least[n] > 0.0 ? health->least[n] / MARGIN : 0.0;
    }
    memset(health->expected, 0, health->units * sizeof(double));
    traj_health_clear(health);
}

void traj_health_clear(struct traj_health *health)
{
    memset(health->excess, 0, health->units * sizeof(double));
    memset(health->silence, 0, health->units * sizeof(double));
    memset(health->unanswered, 0, health->units * sizeof(double));
}

void traj_health_expect(struct traj_health *health, const struct traj_model *model, size_t state)
{
    const struct traj_chain *chain = &model->chain;
    if (state >= model->dims.states) {
        memset(health->expected, 0, health->units * sizeof(double));
        return;
    }
    const size_t node = (size_t)chain->node[state] + (chain->share[state] > 0.5 ? 1 : 0);
    const double *mean = chain->emission_mean + node * (model->dims.units + model->dims.features);
    for (size_t n = 0; n < health->units; n++) {
        if (chain->gaussian == 0.0)
            health->expected[n] = traj_exp(mean[n]);
        else
            health->expected[n] =
                mean[n] > 0.5 ? (mean[n] * mean[n] - 0.25) / model->bin_width : 0.0;
    }
}

/* ---- judging --------------------------------------------------------------------------------- */

static bool ordinary(struct traj_health *health, size_t n, unsigned count, double dt)
{
    double excess =
        health->excess[n] + (double)count * LOG_RATIO - (RATIO - 1.0) * health->most[n] * dt;
    excess = excess > 0.0 ? excess : 0.0;
    health->excess[n] = excess < ALARM_MOST ? excess : ALARM_MOST;
    health->silence[n] = count > 0 ? 0.0 : health->silence[n] + health->least[n] * dt;
    health->unanswered[n] = count > 0 ? 0.0 : health->unanswered[n] + health->expected[n] * dt;
    return health->excess[n] <= ALARM && health->silence[n] <= ALARM &&
           health->unanswered[n] <= WRONG * ALARM;
}

const uint16_t *traj_health_judge(struct traj_health *health, const uint16_t *counts, double dt)
{
    bool all = true;
    if (!counts)
        return NULL;
    for (size_t n = 0; n < health->units; n++) {
        const bool believed = counts[n] == TRAJ_COUNT_MISSING || ordinary(health, n, counts[n], dt);
        health->believed[n] = believed ? counts[n] : (uint16_t)TRAJ_COUNT_MISSING;
        all = all && believed;
    }
    return all ? counts : health->believed;
}
