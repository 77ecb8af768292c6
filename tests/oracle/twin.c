/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The naive decoder; see twin.h. */
#include "tests/oracle/twin.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static real *reals(size_t n)
{
    real *out = calloc(n > 0 ? n : 1, sizeof *out);
    if (!out)
        abort();
    return out;
}

real twin_invert(size_t n, const real *a, real *inverse)
{
    real *m = reals(n * n);
    memcpy(m, a, n * n * sizeof *m);
    for (size_t i = 0; i < n * n; i++)
        inverse[i] = i / n == i % n ? 1.0L : 0.0L;
    real log_det = 0.0L;
    for (size_t c = 0; c < n; c++) {
        size_t pivot = c;
        for (size_t r = c + 1; r < n; r++)
            if (fabsl(m[r * n + c]) > fabsl(m[pivot * n + c]))
                pivot = r;
        for (size_t j = 0; j < n; j++) {
            real t = m[c * n + j];
            m[c * n + j] = m[pivot * n + j];
            m[pivot * n + j] = t;
            t = inverse[c * n + j];
            inverse[c * n + j] = inverse[pivot * n + j];
            inverse[pivot * n + j] = t;
        }
        const real p = m[c * n + c];
        log_det += logl(fabsl(p));
        for (size_t j = 0; j < n; j++) {
            m[c * n + j] /= p;
            inverse[c * n + j] /= p;
        }
        for (size_t r = 0; r < n; r++) {
            const real factor = m[r * n + c];
            for (size_t j = 0; j < n && r != c; j++) {
                m[r * n + j] -= factor * m[c * n + j];
                inverse[r * n + j] -= factor * inverse[c * n + j];
            }
        }
    }
    free(m);
    return log_det;
}

static bool all_restart(const struct traj_model *model)
{
    for (size_t k = 0; k < model->dims.components; k++)
        if (!model->trial_reset[k])
            return false;
    return true;
}

/* P(m | everything but the movement) / uniform, for the target of component k. */
static real belief(const struct twin *twin, size_t k)
{
    const int32_t m = twin->model->component_target[k];
    const real targets = (real)twin->model->dims.targets;
    if (m < 0)
        return 1.0L;
    return twin->prior[m] * targets * twin->gaze[m] * targets * twin->plan[m] * targets;
}

static void normalise(struct twin *twin)
{
    real most = -INFINITY, sum = 0.0L;
    for (size_t k = 0; k < twin->model->dims.components; k++)
        if (twin->present[k])
            most = fmaxl(most, twin->log_weight[k]);
    for (size_t k = 0; k < twin->model->dims.components; k++)
        if (twin->present[k])
            sum += expl(twin->log_weight[k] - most);
    for (size_t k = 0; k < twin->model->dims.components; k++)
        twin->log_weight[k] = twin->present[k] ? twin->log_weight[k] - most - logl(sum) : -INFINITY;
}

static void prior_weights(struct twin *twin)
{
    for (size_t k = 0; k < twin->model->dims.components; k++)
        twin->log_weight[k] = logl((real)twin->model->component_prior[k] * belief(twin, k));
    normalise(twin);
}

/* The component's row of model->warp, or -1. */
static int32_t warp_of(const struct traj_model *model, size_t k)
{
    return model->dims.warps > 0 ? model->warp.own[k] : -1;
}

/* Numbers of the component's state: S, and s where it has one. */
static size_t size_of(const struct traj_model *model, size_t k)
{
    return model->dims.state + (warp_of(model, k) >= 0 ? 1 : 0);
}

real twin_mean(const struct twin *twin, size_t k, size_t i)
{
    return twin->mean[k * (twin->model->dims.state + 1) + i];
}

real twin_cov(const struct twin *twin, size_t k, size_t i, size_t j)
{
    const size_t room = twin->model->dims.state + 1;
    return twin->cov[(k * room + i) * room + j];
}

/* mean[n] and cov[n][n] of a component, and back. */
static void load(const struct twin *twin, size_t k, real *mean, real *cov)
{
    const size_t n = size_of(twin->model, k);
    for (size_t i = 0; i < n; i++) {
        mean[i] = twin_mean(twin, k, i);
        for (size_t j = 0; j < n; j++)
            cov[i * n + j] = twin_cov(twin, k, i, j);
    }
}

static void store(const struct twin *twin, size_t k, const real *mean, const real *cov)
{
    const size_t n = size_of(twin->model, k), room = twin->model->dims.state + 1;
    for (size_t i = 0; i < n; i++) {
        twin->mean[k * room + i] = mean[i];
        for (size_t j = 0; j < n; j++)
            twin->cov[(k * room + i) * room + j] = cov[i * n + j];
    }
}

/* Which derivative number i of the state is. */
static real order_of(const struct traj_model *model, size_t i)
{
    const size_t order = i / model->dims.position;
    return (real)order;
}

/* D(s) as its diagonal. */
static void scales(const struct traj_model *model, real s, real *d)
{
    for (size_t i = 0; i < model->dims.state; i++)
        d[i] = expl(order_of(model, i) * s);
}

/* Of (x_1, s_1): x_1 = D(s) (pi + noise), so that dx_1/ds = K D pi with K the derivatives. */
static void first_moments(const struct traj_model *model, size_t k, real *mean, real *cov)
{
    const size_t s = model->dims.state, n = size_of(model, k);
    const int32_t row = warp_of(model, k);
    const real speed = row >= 0 ? (real)model->warp.mean[row] : 0.0L;
    const real variance = row >= 0 ? (real)model->warp.variance[row] : 0.0L;
    real *d = reals(s), *slope = reals(n);
    scales(model, speed, d);
    for (size_t i = 0; i < s; i++) {
        mean[i] = d[i] * model->dynamics.start[k * s + i];
        slope[i] = order_of(model, i) * mean[i];
    }
    if (row >= 0) {
        mean[s] = speed;
        slope[s] = 1.0L;
    }
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < n; j++) {
            cov[i * n + j] = slope[i] * variance * slope[j];
            if (i < s && j < s)
                cov[i * n + j] += d[i] * model->dynamics.start_cov[(k * s + i) * s + j] * d[j];
        }
    free(d);
    free(slope);
}

static void to_start(struct twin *twin, size_t k)
{
    const size_t n = size_of(twin->model, k);
    real *mean = reals(n), *cov = reals(n * n);
    first_moments(twin->model, k, mean, cov);
    store(twin, k, mean, cov);
    free(mean);
    free(cov);
    twin->fresh[k] = true;
    twin->wait[k] = twin->model->dims.delay > 0 ? (size_t)twin->model->component_delay[k] : 0;
}

static void forget_beliefs(struct twin *twin)
{
    for (size_t m = 0; m < twin->model->dims.targets; m++)
        twin->prior[m] = twin->gaze[m] = twin->plan[m] = 1.0L / (real)twin->model->dims.targets;
    for (size_t n = 0; n < twin->model->dims.units; n++)
        twin->plan_count[n] = twin->plan_time[n] = 0.0L;
}

void twin_reset(struct twin *twin)
{
    for (size_t i = 0; i < twin->frames; i++)
        free(twin->frame[i].counts);
    twin->frames = 0;
    twin->phase = TRAJ_PHASE_NONE;
    forget_beliefs(twin);
    for (size_t k = 0; k < twin->model->dims.components; k++) {
        to_start(twin, k);
        twin->present[k] = !twin->marks || all_restart(twin->model) || !twin->model->trial_reset[k];
        twin->running[k] = twin->present[k];
    }
    prior_weights(twin);
}

void twin_init(struct twin *twin, const struct traj_model *model)
{
    const struct traj_dims *d = &model->dims;
    memset(twin, 0, sizeof *twin);
    twin->model = model;
    twin->marks = true;
    twin->newton_steps = 200;
    twin->present = calloc(d->components, sizeof(bool));
    twin->running = calloc(d->components, sizeof(bool));
    twin->fresh = calloc(d->components, sizeof(bool));
    if (!twin->present || !twin->running || !twin->fresh)
        abort();
    twin->wait = calloc(d->components, sizeof *twin->wait);
    if (!twin->wait)
        abort();
    twin->mean = reals(d->components * (d->state + 1));
    twin->cov = reals(d->components * (d->state + 1) * (d->state + 1));
    twin->log_weight = reals(d->components);
    twin->prior = reals(d->targets);
    twin->gaze = reals(d->targets);
    twin->plan = reals(d->targets);
    twin->plan_count = reals(d->units);
    twin->plan_time = reals(d->units);
    twin->mixed_mean = reals(d->state);
    twin->mixed_cov = reals(d->state * d->state);
    twin_reset(twin);
}

void twin_free(struct twin *twin)
{
    for (size_t i = 0; i < twin->frames; i++)
        free(twin->frame[i].counts);
    free(twin->frame);
    free(twin->present);
    free(twin->running);
    free(twin->fresh);
    free(twin->wait);
    free(twin->mean);
    free(twin->cov);
    free(twin->log_weight);
    free(twin->prior);
    free(twin->gaze);
    free(twin->plan);
    free(twin->plan_count);
    free(twin->plan_time);
    free(twin->mixed_mean);
    free(twin->mixed_cov);
}

void twin_marks(struct twin *twin, bool marks)
{
    const struct traj_model *model = twin->model;
    if (marks == twin->marks)
        return;
    twin->marks = marks;
    if (twin->phase != TRAJ_PHASE_NONE || all_restart(model))
        return;
    real others = 0.0L;
    for (size_t k = 0; k < model->dims.components; k++)
        others += model->trial_reset[k] ? 0.0L : (real)model->component_prior[k];
    for (size_t k = 0; k < model->dims.components; k++) {
        if (model->trial_reset[k] && !marks) {
            to_start(twin, k);
            twin->log_weight[k] = logl((real)model->component_prior[k]);
        } else if (!model->trial_reset[k] && !marks) {
            twin->log_weight[k] += logl(others);
        }
        twin->present[k] = twin->running[k] = !model->trial_reset[k] || !marks;
    }
    normalise(twin);
}

/* Everything that restarts stands at its start; it runs at once if there is no plan to wait for. */
static void open_trial(struct twin *twin, enum traj_phase phase)
{
    twin->phase = phase;
    for (size_t k = 0; k < twin->model->dims.components; k++) {
        if (twin->model->trial_reset[k])
            to_start(twin, k);
        twin->present[k] = true;
        twin->running[k] = phase == TRAJ_PHASE_MOVE || !twin->model->trial_reset[k];
    }
    prior_weights(twin);
}

static void mix(struct twin *twin)
{
    const size_t s = twin->model->dims.state;
    memset(twin->mixed_mean, 0, s * sizeof(real));
    memset(twin->mixed_cov, 0, s * s * sizeof(real));
    for (size_t k = 0; k < twin->model->dims.components; k++) {
        const real w = twin->present[k] ? expl(twin->log_weight[k]) : 0.0L;
        for (size_t i = 0; i < s; i++) {
            const real m = twin_mean(twin, k, i);
            twin->mixed_mean[i] += w * m;
            for (size_t j = 0; j < s; j++)
                twin->mixed_cov[i * s + j] +=
                    w * (twin_cov(twin, k, i, j) + m * twin_mean(twin, k, j));
        }
    }
    for (size_t i = 0; i < s; i++)
        for (size_t j = 0; j < s; j++)
            twin->mixed_cov[i * s + j] -= twin->mixed_mean[i] * twin->mixed_mean[j];
}

/*
 * (1 - share) own + share newcomers, by its first two moments about zero.  Newcomers are N(mean,
 * cov) with s as at the start, or, with mean NULL, are at the start.
 */
static void enter(struct twin *twin, size_t k, real share, const real *mean, const real *cov)
{
    const size_t s = twin->model->dims.state, n = size_of(twin->model, k);
    real *m = reals(n), *c = reals(n * n), *new_mean = reals(n), *new_cov = reals(n * n);
    load(twin, k, m, c);
    first_moments(twin->model, k, new_mean, new_cov);
    for (size_t i = 0; mean && i < n; i++)
        for (size_t j = 0; j < n; j++) {
            new_mean[i] = i < s ? mean[i] : new_mean[i];
            if (i < s && j < s)
                new_cov[i * n + j] = cov[i * s + j];
            else if (i < s || j < s)
                new_cov[i * n + j] = 0.0L;
        }
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < n; j++)
            c[i * n + j] = (1 - share) * (c[i * n + j] + m[i] * m[j]) +
                           share * (new_cov[i * n + j] + new_mean[i] * new_mean[j]);
    for (size_t i = 0; i < n; i++)
        m[i] = (1 - share) * m[i] + share * new_mean[i];
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < n; j++)
            c[i * n + j] -= m[i] * m[j];
    store(twin, k, m, c);
    free(m);
    free(c);
    free(new_mean);
    free(new_cov);
}

void twin_stop(struct twin *twin)
{
    const struct traj_model *model = twin->model;
    const enum traj_phase phase = twin->phase;
    bool observed = phase == TRAJ_PHASE_MOVE;
    for (size_t k = 0; k < model->dims.components; k++)
        observed = observed && !(model->trial_reset[k] && twin->fresh[k]);
    forget_beliefs(twin);
    twin->phase = TRAJ_PHASE_NONE;
    if (phase == TRAJ_PHASE_NONE)
        return;
    if (!twin->marks || all_restart(model)) {
        if (phase == TRAJ_PHASE_PLAN)
            open_trial(twin, TRAJ_PHASE_MOVE);
        twin->phase = TRAJ_PHASE_NONE;
        return;
    }
    mix(twin);
    for (size_t k = 0; k < model->dims.components; k++) {
        if (!model->trial_reset[k] && observed) {
            enter(twin, k, 1.0L, twin->mixed_mean, twin->mixed_cov);
        }
        twin->present[k] = twin->running[k] = !model->trial_reset[k];
    }
    prior_weights(twin);
}

void twin_start(struct twin *twin)
{
    if (twin->phase != TRAJ_PHASE_NONE)
        twin_stop(twin);
    twin->elapsed = 0;
    open_trial(twin, twin->model->plan.end > 0 ? TRAJ_PHASE_PLAN : TRAJ_PHASE_MOVE);
}

void twin_go(struct twin *twin)
{
    if (twin->phase == TRAJ_PHASE_PLAN)
        open_trial(twin, TRAJ_PHASE_MOVE);
}

/* p <- (1 - floor) p / sum p + floor / M. */
static void floored(size_t n, real *p)
{
    real sum = 0.0L;
    for (size_t m = 0; m < n; m++)
        sum += p[m];
    for (size_t m = 0; m < n; m++)
        p[m] = (1.0L - TRAJ_PRIOR_FLOOR) * p[m] / sum + TRAJ_PRIOR_FLOOR / (real)n;
}

/* Sets one belief to `next` and moves the weights by new / old. */
static void believe(struct twin *twin, real *which, const real *next)
{
    const size_t components = twin->model->dims.components;
    for (size_t k = 0; k < components; k++)
        twin->log_weight[k] -= logl(belief(twin, k));
    memcpy(which, next, twin->model->dims.targets * sizeof(real));
    for (size_t k = 0; k < components; k++)
        twin->log_weight[k] += logl(belief(twin, k));
    normalise(twin);
}

void twin_prior(struct twin *twin, const double *prob)
{
    const size_t targets = twin->model->dims.targets;
    real *next = reals(targets);
    for (size_t m = 0; m < targets; m++)
        next[m] = prob[m];
    floored(targets, next);
    believe(twin, twin->prior, next);
    free(next);
}

void twin_gaze(struct twin *twin, const double *position, const double *cov)
{
    const size_t targets = twin->model->dims.targets;
    const size_t d = twin->model->dims.position;
    real *next = reals(targets), *wide = reals(d * d), *inverse = reals(d * d);
    for (size_t i = 0; i < d * d; i++)
        wide[i] = cov[i];
    const real log_det = twin_invert(d, wide, inverse);
    for (size_t m = 0; m < targets; m++) {
        real square = 0.0L;
        for (size_t i = 0; i < d; i++)
            for (size_t j = 0; j < d; j++)
                square += ((real)position[i] - twin->model->target_position[m * d + i]) *
                          inverse[i * d + j] *
                          ((real)position[j] - twin->model->target_position[m * d + j]);
        next[m] = expl(-square / 2 - log_det / 2);
    }
    floored(targets, next);
    believe(twin, twin->gaze, next);
    free(next);
    free(wide);
    free(inverse);
}

/* log P(m | z) = const + temper sum_n [z_n log(r_nm T_n) - r_nm T_n] over the window so far. */
static void plan_belief(struct twin *twin)
{
    const struct traj_model *model = twin->model;
    const size_t targets = model->dims.targets;
    real most = -INFINITY;
    real *log_p = reals(targets);
    for (size_t m = 0; m < targets; m++) {
        for (size_t n = 0; n < model->dims.units; n++) {
            const real mean =
                (real)model->plan.rate[m * model->dims.units + n] * twin->plan_time[n];
            if (mean > 0.0L)
                log_p[m] += twin->plan_count[n] * logl(mean) - mean;
        }
        log_p[m] *= model->plan.temper;
        most = fmaxl(most, log_p[m]);
    }
    for (size_t m = 0; m < targets; m++)
        twin->plan[m] = expl(log_p[m] - most);
    floored(targets, twin->plan);
    free(log_p);
}

/* The frame that ended in a bin, or NULL. */
static const struct twin_frame *frame_of(const struct twin *twin, long bin)
{
    for (size_t i = twin->frames; i-- > 0;)
        if (twin->frame[i].bin == bin)
            return &twin->frame[i];
    return NULL;
}

static void keep(struct twin *twin, const struct traj_observation *observation, bool plan)
{
    const size_t bytes = twin->model->dims.units * sizeof(uint16_t);
    if (!observation->counts || bytes == 0)
        return;
    if (twin->frames == twin->room) {
        twin->room = 2 * twin->room + 64;
        twin->frame = realloc(twin->frame, twin->room * sizeof *twin->frame);
        if (!twin->frame)
            abort();
    }
    struct twin_frame *frame = &twin->frame[twin->frames++];
    *frame = (struct twin_frame){twin->now, observation->dt, plan, malloc(bytes)};
    if (!frame->counts)
        abort();
    memcpy(frame->counts, observation->counts, bytes);
}

/* What a frame says, as lists: unit, its count and exposure; feature values. */
struct said {
    size_t units, features;
    size_t *unit, *feature;
    real *count, *exposure, *value;
    real *precision;      /* R^-1 of the features observed */
    real log_det;         /* log |R| */
    real *root_precision; /* likewise of the roots of counts, where the model has them */
    real root_log_det;
};

/* R^-1 of the roots that were observed, from the dense R = diag + U U'. */
static void listen_roots(const struct traj_model *model, struct said *said)
{
    const size_t units = said->units, rank = model->dims.factors;
    said->root_precision = reals(units * units);
    if (rank == 0)
        return;
    real *noise = reals(units * units);
    for (size_t i = 0; i < units; i++)
        for (size_t j = 0; j < units; j++) {
            const double *u = model->tuning.factor + said->unit[i] * rank;
            const double *v = model->tuning.factor + said->unit[j] * rank;
            noise[i * units + j] = i == j ? model->tuning.noise[said->unit[i]] : 0.0L;
            for (size_t a = 0; a < rank; a++)
                noise[i * units + j] += (real)u[a] * v[a];
        }
    said->root_log_det = twin_invert(units, noise, said->root_precision);
    free(noise);
}

static struct said listen(const struct twin *twin, const float *features)
{
    const struct traj_model *model = twin->model;
    const size_t n_units = model->dims.units, n_features = model->dims.features;
    struct said said = {0};
    said.unit = calloc(n_units + 1, sizeof(size_t));
    said.feature = calloc(n_features + 1, sizeof(size_t));
    if (!said.unit || !said.feature)
        abort();
    said.count = reals(n_units);
    said.exposure = reals(n_units);
    said.value = reals(n_features);
    said.precision = reals(n_features * n_features);
    for (size_t n = 0; n < n_units; n++) {
        const struct twin_frame *frame = frame_of(twin, twin->now - model->tuning.lag[n]);
        if (!frame || frame->counts[n] == TRAJ_COUNT_MISSING ||
            (frame->plan && twin->phase == TRAJ_PHASE_MOVE))
            continue;
        said.unit[said.units] = n;
        said.count[said.units] = frame->counts[n];
        said.exposure[said.units++] = frame->dt;
    }
    for (size_t f = 0; features && f < n_features; f++) {
        if (isnan(features[f]))
            continue;
        said.feature[said.features] = f;
        said.value[said.features++] = features[f];
    }
    real *noise = reals(said.features * said.features);
    for (size_t i = 0; i < said.features; i++)
        for (size_t j = 0; j < said.features; j++)
            noise[i * said.features + j] =
                model->feature.noise[said.feature[i] * n_features + said.feature[j]];
    said.log_det = twin_invert(said.features, noise, said.precision);
    free(noise);
    listen_roots(model, &said);
    return said;
}

static void said_free(struct said *said)
{
    free(said->unit);
    free(said->feature);
    free(said->count);
    free(said->exposure);
    free(said->value);
    free(said->precision);
    free(said->root_precision);
}

/* log p(roots | x), complete; adds its gradient and negative Hessian if these are wanted. */
static real root_likelihood(const struct traj_model *model, const struct said *said,
                            const double *weight, const double *offset, const real *x,
                            real *gradient, real *hessian)
{
    const size_t s = model->dims.state, n = said->units;
    real *apart = reals(n);
    real sum = n > 0 ? -said->root_log_det / 2 - (real)n * logl(2 * acosl(-1.0L)) / 2 : 0.0L;
    for (size_t i = 0; i < n; i++) {
        const real rate = said->count[i] * (real)model->bin_width / said->exposure[i];
        apart[i] = sqrtl(rate + 0.25L) - (real)offset[said->unit[i]];
        for (size_t a = 0; a < s; a++)
            apart[i] -= weight[said->unit[i] * s + a] * x[a];
    }
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < n; j++) {
            const double *ci = weight + said->unit[i] * s, *cj = weight + said->unit[j] * s;
            const real p = said->root_precision[i * n + j];
            sum -= apart[i] * p * apart[j] / 2;
            for (size_t a = 0; gradient && a < s; a++) {
                gradient[a] += ci[a] * p * apart[j];
                for (size_t b = 0; b < s; b++)
                    hessian[a * s + b] += ci[a] * p * cj[b];
            }
        }
    free(apart);
    return sum;
}

/* log p(said | x) in component k, complete; adds its gradient and negative Hessian if these are
 * wanted. */
static real log_likelihood(const struct traj_model *model, size_t k, const struct said *said,
                           const real *x, real *gradient, real *hessian)
{
    const size_t s = model->dims.state;
    const double *weight = model->tuning.weight, *offset = model->tuning.offset;
    if (model->dims.tunings > 0 && model->tuning.own[k] >= 0) {
        weight = model->tuning.own_weight + (size_t)model->tuning.own[k] * model->dims.units * s;
        offset = model->tuning.own_offset + (size_t)model->tuning.own[k] * model->dims.units;
    }
    const real ceiling = 20.0L;
    const bool roots = model->dims.factors > 0;
    real sum = roots ? root_likelihood(model, said, weight, offset, x, gradient, hessian) : 0.0L;
    for (size_t i = 0; i < said->units && !roots; i++) {
        const double *c = weight + said->unit[i] * s;
        real eta = offset[said->unit[i]];
        for (size_t a = 0; a < s; a++)
            eta += c[a] * x[a];
        const real over = eta > ceiling ? eta - ceiling : 0.0L;
        const real base = said->exposure[i] * expl(fminl(eta, ceiling));
        sum += said->count[i] * (eta + logl(said->exposure[i])) -
               base * (1.0L + over + over * over / 2) - lgammal(said->count[i] + 1.0L);
        for (size_t a = 0; gradient && a < s; a++) {
            gradient[a] += (said->count[i] - base * (1.0L + over)) * c[a];
            for (size_t b = 0; b < s; b++)
                hessian[a * s + b] += base * c[a] * c[b];
        }
    }
    const size_t f = said->features;
    real *apart = reals(f);
    for (size_t i = 0; i < f; i++) {
        apart[i] = said->value[i] - (real)model->feature.offset[said->feature[i]];
        for (size_t a = 0; a < s; a++)
            apart[i] -= model->feature.weight[said->feature[i] * s + a] * x[a];
    }
    for (size_t i = 0; i < f; i++) {
        for (size_t j = 0; j < f; j++) {
            const double *ci = model->feature.weight + said->feature[i] * s;
            const double *cj = model->feature.weight + said->feature[j] * s;
            const real p = said->precision[i * f + j];
            sum -= apart[i] * p * apart[j] / 2;
            for (size_t a = 0; gradient && a < s; a++) {
                gradient[a] += ci[a] * p * apart[j];
                for (size_t b = 0; b < s; b++)
                    hessian[a * s + b] += ci[a] * p * cj[b];
            }
        }
    }
    free(apart);
    return sum - (f > 0 ? said->log_det / 2 + (real)f * logl(2 * acosl(-1.0L)) / 2 : 0.0L);
}

/* (x - m)' P (x - m) / 2. */
static real distance(size_t s, const real *x, const real *m, const real *p)
{
    real sum = 0.0L;
    for (size_t i = 0; i < s; i++)
        for (size_t j = 0; j < s; j++)
            sum += (x[i] - m[i]) * p[i * s + j] * (x[j] - m[j]) / 2;
    return sum;
}

/* Newton with halving from the prediction (Yu et al. 2007), jointly in (x, s) where a component has
 * s; returns Laplace's evidence. */
static real update(const struct twin *twin, size_t k, const struct said *said)
{
    const struct traj_model *model = twin->model;
    const size_t s = model->dims.state, n = size_of(model, k);
    real *mean = reals(n), *cov = reals(n * n), *said_gradient = reals(s),
         *said_hessian = reals(s * s);
    real *before = reals(n * n), *x = reals(n), *next = reals(n), *step = reals(n);
    real *gradient = reals(n), *hessian = reals(n * n), *after = reals(n * n);
    load(twin, k, mean, cov);
    const real log_before = twin_invert(n, cov, before);
    memcpy(x, mean, n * sizeof(real));
    real log_after = 0.0L, value = 0.0L;
    for (size_t newton = 0;; newton++) {
        memset(gradient, 0, n * sizeof(real));
        memset(said_gradient, 0, s * sizeof(real));
        memset(said_hessian, 0, s * s * sizeof(real));
        memcpy(hessian, before, n * n * sizeof(real));
        value = log_likelihood(model, k, said, x, said_gradient, said_hessian) -
                distance(n, x, mean, before);
        for (size_t i = 0; i < s; i++) {
            gradient[i] = said_gradient[i];
            for (size_t j = 0; j < s; j++)
                hessian[i * n + j] += said_hessian[i * s + j];
        }
        log_after = -twin_invert(n, hessian, after);
        real size = 0.0L;
        for (size_t i = 0; i < n; i++) {
            step[i] = 0.0L;
            for (size_t j = 0; j < n; j++)
                gradient[i] -= before[i * n + j] * (x[j] - mean[j]);
        }
        for (size_t i = 0; i < n; i++) {
            for (size_t j = 0; j < n; j++)
                step[i] += after[i * n + j] * gradient[j];
            size = fmaxl(size, fabsl(step[i]));
        }
        if (size < 1e-16L || newton == twin->newton_steps)
            break;
        real length = 1.0L;
        for (size_t halving = 0; halving < 60; halving++, length /= 2) {
            for (size_t i = 0; i < n; i++)
                next[i] = x[i] + length * step[i];
            if (log_likelihood(model, k, said, next, NULL, NULL) -
                    distance(n, next, mean, before) >=
                value - 1e-16L * fabsl(value))
                break;
        }
        memcpy(x, next, n * sizeof(real));
    }
    if (n > s) {
        const real limit = model->warp.limit[warp_of(model, k)];
        const real beyond = x[s] - fmaxl(-limit, fminl(limit, x[s]));
        const real slope = beyond / after[n * n - 1];
        for (size_t i = 0; i < n; i++)
            x[i] -= after[i * n + s] * slope;
    }
    store(twin, k, x, after);
    free(mean);
    free(cov);
    free(said_gradient);
    free(said_hessian);
    free(before);
    free(x);
    free(next);
    free(step);
    free(gradient);
    free(hessian);
    free(after);
    return value + log_after / 2 - log_before / 2;
}

/*
 * J, f and noise of one step at (x, s): F = D (I + e^s (A - I)) D^-1 and e^s D b, and, with K the
 * diagonal of derivatives and G = F - I, dG/ds = G + K G - G K and d(e^s D b)/ds = (I + K) e^s D b.
 * Without s: A, A x + b and Q.
 */
static void linearise(const struct traj_model *model, size_t k, const real *x, real *jacobian,
                      real *reached, real *noise)
{
    const size_t s = model->dims.state, n = size_of(model, k);
    const int32_t row = warp_of(model, k);
    const real clock = row >= 0 ? expl(x[s]) : 1.0L;
    real *d = reals(s);
    scales(model, row >= 0 ? x[s] : 0.0L, d);
    for (size_t i = 0; i < s; i++) {
        const real ki = order_of(model, i);
        const real b = clock * d[i] * model->dynamics.drift[k * s + i];
        real slope = (1.0L + ki) * b;
        reached[i] = x[i] + b;
        for (size_t j = 0; j < s; j++) {
            const real kj = order_of(model, j), unit = i == j ? 1.0L : 0.0L;
            const real a = model->dynamics.transition[(k * s + i) * s + j];
            const real g = d[i] * clock * (a - unit) / d[j];
            jacobian[i * n + j] = unit + g;
            noise[i * n + j] = clock * d[i] * model->dynamics.noise[(k * s + i) * s + j] * d[j];
            reached[i] += g * x[j];
            slope += (g + ki * g - g * kj) * x[j];
        }
        if (row >= 0)
            jacobian[i * n + s] = slope;
    }
    if (row >= 0) {
        reached[s] = x[s];
        jacobian[s * n + s] = 1.0L;
        noise[s * n + s] = model->warp.walk[row];
    }
    free(d);
}

static void predict(struct twin *twin, size_t k, size_t steps)
{
    const size_t n = size_of(twin->model, k);
    for (; steps > 0 && twin->wait[k] > 0; steps--)
        twin->wait[k]--;
    real *mean = reals(n), *half = reals(n * n), *cov = reals(n * n), *reached = reals(n);
    real *jacobian = reals(n * n), *noise = reals(n * n);
    for (size_t step = 0; step < steps; step++) {
        load(twin, k, mean, cov);
        linearise(twin->model, k, mean, jacobian, reached, noise);
        for (size_t i = 0; i < n; i++) {
            for (size_t j = 0; j < n; j++) {
                half[i * n + j] = 0.0L;
                for (size_t t = 0; t < n; t++)
                    half[i * n + j] += jacobian[i * n + t] * cov[t * n + j];
            }
        }
        for (size_t i = 0; i < n; i++) {
            for (size_t j = 0; j < n; j++) {
                cov[i * n + j] = noise[i * n + j];
                for (size_t t = 0; t < n; t++)
                    cov[i * n + j] += half[i * n + t] * jacobian[j * n + t];
            }
        }
        store(twin, k, reached, cov);
    }
    free(mean);
    free(half);
    free(cov);
    free(reached);
    free(jacobian);
    free(noise);
}

/* Weights with newcomers; what goes on takes them in at once, share[k] is for what restarts. */
static void exchange(struct twin *twin, size_t steps, real *share)
{
    const struct traj_model *model = twin->model;
    const size_t components = model->dims.components;
    const real r = 1.0L - expl(-(real)model->switch_rate * (real)model->bin_width * (real)steps);
    real total = 0.0L;
    for (size_t k = 0; k < components; k++) {
        if (twin->fresh[k] || model->switch_rate == 0.0)
            return;
        total += (real)model->component_prior[k] * belief(twin, k);
    }
    mix(twin);
    for (size_t k = 0; k < components; k++) {
        const real entering = r * (real)model->component_prior[k] * belief(twin, k) / total;
        const real weight = (1 - r) * expl(twin->log_weight[k]) + entering;
        twin->log_weight[k] = logl(weight);
        if (model->trial_reset[k])
            share[k] = entering / weight;
        else
            enter(twin, k, entering / weight, twin->mixed_mean, twin->mixed_cov);
    }
}

static void move(struct twin *twin, size_t k, size_t steps, size_t fresh_steps, real share)
{
    predict(twin, k, twin->fresh[k] ? fresh_steps - 1 : steps);
    twin->fresh[k] = false;
    if (share != 0.0L)
        enter(twin, k, share, NULL, NULL);
}

/* The plan window: whether this bin belongs to it, and how long movement has gone on if it
 * ended. */
static bool in_plan(struct twin *twin, size_t steps, size_t *fresh_steps)
{
    const struct traj_plan *plan = &twin->model->plan;
    *fresh_steps = 1;
    if (twin->phase != TRAJ_PHASE_PLAN)
        return false;
    const long end = (long)floor(plan->end / twin->model->bin_width + 1e-6);
    const long begin = (long)floor(plan->begin / twin->model->bin_width + 1e-6);
    twin->elapsed += twin->elapsed == 0 ? 1 : (long)steps;
    if (twin->elapsed <= end)
        return twin->elapsed > begin;
    *fresh_steps = (size_t)(twin->elapsed - end);
    open_trial(twin, TRAJ_PHASE_MOVE);
    return false;
}

void twin_step(struct twin *twin, const struct traj_observation *observation)
{
    const struct traj_model *model = twin->model;
    const size_t components = model->dims.components;
    real *share = reals(components), *joint = reals(components), *evidence = reals(components);
    size_t fresh_steps;
    const bool plan = in_plan(twin, observation->steps, &fresh_steps);
    if (plan && model->plan.rate && observation->counts) {
        for (size_t n = 0; n < model->dims.units; n++) {
            if (observation->counts[n] == TRAJ_COUNT_MISSING)
                continue;
            twin->plan_count[n] += observation->counts[n];
            twin->plan_time[n] += observation->dt;
        }
        plan_belief(twin);
    }
    if (twin->phase == TRAJ_PHASE_PLAN)
        prior_weights(twin);
    else if (!twin->marks)
        exchange(twin, observation->steps, share);
    twin->now += (long)observation->steps;
    keep(twin, observation, plan);
    struct said said = listen(twin, observation->features);
    real before = 0.0L, most = -INFINITY, after = 0.0L;
    for (size_t k = 0; k < components; k++) {
        if (!twin->running[k])
            continue;
        move(twin, k, observation->steps, fresh_steps, share[k]);
        evidence[k] = said.units + said.features > 0 ? update(twin, k, &said) : 0.0L;
        joint[k] = twin->log_weight[k] + evidence[k];
        before += expl(twin->log_weight[k]);
        most = fmaxl(most, joint[k]);
    }
    for (size_t k = 0; k < components; k++)
        if (twin->running[k])
            after += expl(joint[k] - most);
    twin->log_evidence = before > 0.0L ? most + logl(after) - logl(before) : (real)NAN;
    for (size_t k = 0; k < components; k++)
        if (twin->running[k] && twin->phase != TRAJ_PHASE_PLAN)
            twin->log_weight[k] += model->evidence_temper * evidence[k];
    normalise(twin);
    mix(twin);
    said_free(&said);
    free(share);
    free(joint);
    free(evidence);
}
