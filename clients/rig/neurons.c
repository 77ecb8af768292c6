/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A synthetic population in a closed loop; see neurons.h. */
#include "clients/rig/neurons.h"

#include <gsl/gsl_randist.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "clients/rig/streams.h"

#define INPUTS_MAX (3 * TRAJ_SIM_DIM_MAX + 1)
#define PLAN_TAU_S 0.06  /* rise and fall of the plan's envelope */
#define MEAN_SAMPLES 400 /* points of reaches that a mixed unit's mean rate is taken over */
#define FIELD_MAX 2.0
#define COUNT_MAX 60000u

struct traj_mixed {
    bool is;
    double weight[2][INPUTS_MAX], offset[2], field[TRAJ_SIM_DIM_MAX];
    double scale; /* 1 / mean */
};

void traj_neurons_options_default(struct traj_neurons_options *options)
{
    *options = (struct traj_neurons_options){
        .history_depth = -0.15,
        .history_tau_s = 0.02,
        .burst_s = 0.1,
        .burst_factor = 3.0,
    };
    traj_sim_options_default(&options->sim);
    options->sim.units = 96;
}

static double bend(double y)
{
    return y > 0.0 ? tanh(y) : 0.0;
}

static double mixed_rate(const struct traj_mixed *m, size_t dim, const double *v, const double *p,
                         const double *e)
{
    double y[2] = {m->offset[0], m->offset[1]}, field = 1.0, speed = 0.0;
    for (size_t d = 0; d < dim; d++) {
        for (size_t i = 0; i < 2; i++) {
            y[i] += m->weight[i][d] * v[d] + m->weight[i][dim + d] * p[d] +
                    m->weight[i][2 * dim + d] * e[d];
        }
        field += m->field[d] * p[d];
        speed += v[d] * v[d];
    }
    for (size_t i = 0; i < 2; i++) {
        y[i] += m->weight[i][3 * dim] * sqrt(speed);
    }
    return 0.2 + bend(y[0]) + bend(y[1]) * fmin(FIELD_MAX, fmax(0.0, field));
}

/* Weights, and the mean over points of straight reaches, which the rate is divided by. */
static void draw_mixed(struct traj_mixed *m, size_t dim, gsl_rng *rng)
{
    double sum = 0.0;
    for (size_t i = 0; i < 2; i++) {
        m->offset[i] = gsl_ran_gaussian(rng, 0.5);
        for (size_t k = 0; k < 3 * dim + 1; k++) {
            m->weight[i][k] = gsl_ran_gaussian(rng, k < dim ? 1.2 : 0.7);
        }
    }
    for (size_t d = 0; d < dim; d++) {
        m->field[d] = gsl_ran_gaussian(rng, 0.8);
    }
    for (size_t k = 0; k < MEAN_SAMPLES; k++) {
        double out[TRAJ_SIM_DIM_MAX], v[TRAJ_SIM_DIM_MAX], none[TRAJ_SIM_DIM_MAX] = {0};
        double s = gsl_rng_uniform(rng);
        gsl_ran_dir_nd(rng, dim, out);
        for (size_t d = 0; d < dim; d++) {
            v[d] = out[d] * traj_sim_progress_rate(s) / 1.875;
            out[d] *= traj_sim_progress(s);
        }
        sum += mixed_rate(m, dim, v, out, none) / MEAN_SAMPLES;
    }
    m->scale = 1.0 / sum;
}

static int draw_population(struct traj_neurons *n, uint64_t seed)
{
    const struct traj_neurons_options *o = &n->options;
    gsl_rng *units = traj_rig_stream(seed, 0, TRAJ_RIG_STREAM_UNITS),
            *mixed = traj_rig_stream(seed, 0, TRAJ_RIG_STREAM_MIXED);
    int result =
        units && mixed && traj_sim_population_draw(&n->population, &o->sim, units) == 0 ? 0 : -1;
    for (size_t i = 0; result == 0 && i < o->sim.units; i++) {
        n->mixed[i].is = gsl_rng_uniform(mixed) < o->mixed_share;
        draw_mixed(&n->mixed[i], o->sim.dim, mixed);
    }
    gsl_rng_free(units);
    gsl_rng_free(mixed);
    return result;
}

int traj_neurons_init(struct traj_neurons *neurons, const struct traj_neurons_options *options,
                      uint64_t seed, uint64_t block)
{
    size_t units = options->sim.units;
    memset(neurons, 0, sizeof *neurons);
    neurons->options = *options;
    neurons->mixed = calloc(units, sizeof *neurons->mixed);
    neurons->history = calloc(units, sizeof *neurons->history);
    neurons->log_gain = calloc(units, sizeof *neurons->log_gain);
    neurons->wander = calloc(units, sizeof *neurons->wander);
    neurons->gains = traj_rig_stream(seed, block, TRAJ_RIG_STREAM_GAINS);
    neurons->spikes = traj_rig_stream(seed, block, TRAJ_RIG_STREAM_SPIKES);
    if (!neurons->mixed || !neurons->history || !neurons->log_gain || !neurons->wander ||
        !neurons->gains || !neurons->spikes || draw_population(neurons, seed) != 0) {
        return -1;
    }
    for (size_t k = 0; k < neurons->population.gains; k++) {
        neurons->drive.gain[k] = gsl_ran_gaussian(neurons->gains, 1.0);
    }
    return 0;
}

void traj_neurons_free(struct traj_neurons *neurons)
{
    traj_sim_population_free(&neurons->population);
    free(neurons->mixed);
    free(neurons->history);
    free(neurons->log_gain);
    free(neurons->wander);
    gsl_rng_free(neurons->gains);
    gsl_rng_free(neurons->spikes);
    memset(neurons, 0, sizeof *neurons);
}

void traj_neurons_change(struct traj_neurons *neurons, const struct traj_change *change,
                         gsl_rng *rng)
{
    size_t units = neurons->options.sim.units;
    size_t left = (size_t)lround(change->share * (double)units);
    for (size_t n = 0; n < units; n++) { /* every subset of that size is as likely as any other */
        if (gsl_rng_uniform(rng) * (double)(units - n) >= (double)left) {
            continue;
        }
        left--;
        if (change->kind == TRAJ_CHANGE_SILENCE) {
            neurons->log_gain[n] = -INFINITY;
        } else if (change->kind == TRAJ_CHANGE_GAIN) {
            neurons->log_gain[n] += log(change->size);
        } else {
            neurons->wander[n] = change->size;
        }
    }
}

/* Everything that all units share moves on by a bin. */
static double share(struct traj_neurons *n, const struct traj_intention *intention)
{
    const struct traj_neurons_options *o = &n->options;
    double dt = o->sim.bin_s, keep = exp(-dt / o->sim.gain_tau_s);
    double rise = 1.0 - exp(-dt / PLAN_TAU_S);
    struct traj_intention *now = &n->past[n->bin % TRAJ_USER_MEMORY];
    for (size_t k = 0; k < n->population.gains; k++) {
        n->drive.gain[k] =
            keep * n->drive.gain[k] + sqrt(1.0 - keep * keep) * gsl_ran_gaussian(n->gains, 1.0);
    }
    *now = *intention;
    for (size_t d = 0; d < o->sim.dim; d++) {
        n->plan[d] += rise * (intention->plan[d] - n->plan[d]);
        now->plan[d] = n->plan[d];
    }
    if (n->bin == 0) { /* as it is now it has always been */
        for (size_t k = 1; k < TRAJ_USER_MEMORY; k++) {
            n->past[k] = *now;
        }
    }
    n->bin++;
    n->burst_left -= dt;
    if (gsl_rng_uniform(n->gains) < o->burst_hz * dt) {
        n->burst_left = o->burst_s;
    }
    return n->burst_left > 0.0 ? o->burst_factor : 1.0;
}

/* What the user was about `latency` s ago, linear between bins. */
static void recall(const struct traj_neurons *n, double latency, double *velocity, double *position,
                   double *plan)
{
    double bins = latency / n->options.sim.bin_s;
    size_t whole = (size_t)bins, newest = n->bin - 1 + 2 * TRAJ_USER_MEMORY;
    double part = bins - (double)whole;
    const struct traj_intention *late = &n->past[(newest - whole) % TRAJ_USER_MEMORY];
    const struct traj_intention *later = &n->past[(newest - whole - 1) % TRAJ_USER_MEMORY];
    for (size_t d = 0; d < n->options.sim.dim; d++) {
        velocity[d] = late->velocity[d] + part * (later->velocity[d] - late->velocity[d]);
        position[d] = late->position[d] + part * (later->position[d] - late->position[d]);
        plan[d] = late->plan[d] + part * (later->plan[d] - late->plan[d]);
    }
}

/* spikes/s of unit i, without its own history. */
static double rate_of(struct traj_neurons *n, size_t i)
{
    const struct traj_sim_population *p = &n->population;
    const struct traj_sim_unit *unit = &p->unit[i];
    double v[TRAJ_SIM_DIM_MAX], x[TRAJ_SIM_DIM_MAX];
    recall(n, n->options.sim.lag_max_s - unit->lag, v, x, n->drive.plan);
    if (!n->mixed[i].is) {
        return traj_sim_rate_at(p, i, x, v, &n->drive);
    }
    double slow = unit->base;
    for (size_t k = 0; k < p->gains; k++) {
        slow += unit->gain[k] * n->drive.gain[k];
    }
    for (size_t d = 0; d < p->dim; d++) {
        v[d] /= p->peak;
        x[d] /= p->reach;
    }
    return fmin(n->options.sim.rate_max_hz,
                exp(slow) * n->mixed[i].scale *
                    mixed_rate(&n->mixed[i], p->dim, v, x, n->drive.plan));
}

void traj_neurons_fire(struct traj_neurons *neurons, const struct traj_intention *intention,
                       uint16_t *counts)
{
    const struct traj_neurons_options *o = &neurons->options;
    double dt = o->sim.bin_s, burst = share(neurons, intention);
    double keep = exp(-dt / o->history_tau_s);
    for (size_t i = 0; i < o->sim.units; i++) {
        neurons->log_gain[i] +=
            neurons->wander[i] > 0.0
                ? gsl_ran_gaussian(neurons->gains, neurons->wander[i] * sqrt(dt / 60.0))
                : 0.0;
        double mean = dt * burst * rate_of(neurons, i) *
                      exp(o->history_depth * neurons->history[i] + neurons->log_gain[i]);
        if (o->dispersion > 0.0 && mean > 0.0) {
            mean = gsl_ran_gamma(neurons->spikes, 1.0 / o->dispersion, o->dispersion * mean);
        }
        unsigned count = gsl_ran_poisson(neurons->spikes, mean);
        counts[i] = (uint16_t)(count > COUNT_MAX ? COUNT_MAX : count);
        neurons->history[i] = keep * neurons->history[i] + (double)count;
    }
}
