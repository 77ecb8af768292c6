/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The observation model; see observe.h. */
#include "daemon/model/observe.h"

#include "daemon/model/elementary.h"
#include "daemon/model/linalg.h"

#include <math.h>
#include <string.h>

static size_t padded(size_t units)
{
    return (units + TRAJ_LANES - 1) / TRAJ_LANES * TRAJ_LANES;
}

/* Features that components read; the filter over courses has its own way, and no feature.noise. */
static size_t features_of(const struct traj_dims *dims)
{
    return dims->components > 0 ? dims->features : 0;
}

void traj_observed_lay_out(struct traj_observed *observed, struct traj_arena *arena,
                           const struct traj_dims *dims)
{
    const size_t stride = padded(dims->units);
    observed->state = dims->state;
    observed->stride = stride;
    observed->tunings = 1 + dims->tunings;
    observed->unit = traj_arena_take(arena, dims->units, sizeof(uint32_t));
    observed->gathered = traj_arena_take(arena, dims->units, sizeof(uint32_t));
    traj_roots_lay_out(&observed->roots, arena, dims);
    const size_t gathered = observed->roots.factors > 0 ? 0 : observed->tunings * stride;
    observed->weight = traj_arena_take(arena, gathered * dims->state, sizeof(double));
    observed->offset = traj_arena_take(arena, gathered, sizeof(double));
    observed->count = traj_arena_take(arena, stride, sizeof(double));
    observed->exposure = traj_arena_take(arena, stride, sizeof(double));
    const size_t features = features_of(dims);
    observed->feature = traj_arena_take(arena, features, sizeof(uint32_t));
    observed->whitened = traj_arena_take(arena, features, sizeof(uint32_t));
    observed->factor = traj_arena_take(arena, features * features, sizeof(double));
    observed->loading = traj_arena_take(arena, features * dims->state, sizeof(double));
    observed->information = traj_arena_take(arena, dims->state * dims->state, sizeof(double));
    observed->residual = traj_arena_take(arena, features, sizeof(double));
}

/* One set of the units' tuning, turned so that a loop over units runs through memory in order. */
static void gather_set(const struct traj_observed *observed, const double *weight,
                       const double *offset, double *turned, double *offsets)
{
    const size_t state = observed->state;
    for (size_t i = 0; i < observed->padded; i++) {
        const bool real = i < observed->units;
        const size_t n = real ? observed->unit[i] : 0;
        offsets[i] = real ? offset[n] : 0.0;
        for (size_t s = 0; s < state; s++)
            turned[s * observed->stride + i] = real ? weight[n * state + s] : 0.0;
    }
}

static void gather_tuning(struct traj_observed *observed)
{
    const struct traj_tuning *tuning = &observed->model->tuning;
    const size_t units = observed->model->dims.units, set = units * observed->state;
    gather_set(observed, tuning->weight, tuning->offset, observed->weight, observed->offset);
    for (size_t w = 1; w < observed->tunings; w++)
        gather_set(observed, tuning->own_weight + (w - 1) * set,
                   tuning->own_offset + (w - 1) * units,
                   observed->weight + w * observed->state * observed->stride,
                   observed->offset + w * observed->stride);
    memcpy(observed->gathered, observed->unit, observed->units * sizeof *observed->unit);
    observed->gathered_units = observed->units;
}

/* The frame's roots; numbers that give no finite answer leave the units unobserved. */
static void prepare_roots(struct traj_observed *observed)
{
    if (observed->units == 0)
        return;
    if (traj_roots_prepare(&observed->roots, observed->unit, observed->count, observed->units))
        observed->constant += observed->roots.constant;
    else
        observed->units = 0;
}

static void prepare_counts(struct traj_observed *observed, const struct traj_history *history,
                           bool with_plan)
{
    const struct traj_model *model = observed->model;
    const bool roots = observed->roots.factors > 0;
    struct traj_history_bin bin[TRAJ_LAG_MAX + 1];
    for (size_t lag = 0; lag <= model->dims.lag; lag++)
        bin[lag] = traj_history_bin(history, lag, with_plan);
    size_t units = 0;
    for (size_t n = 0; n < model->dims.units; n++) {
        const struct traj_history_bin *from = &bin[model->tuning.lag[n]];
        if (!from->counts || from->counts[n] == TRAJ_COUNT_MISSING)
            continue;
        const unsigned count = from->counts[n];
        observed->unit[units] = (uint32_t)n;
        observed->exposure[units] = from->width;
        if (roots) {
            observed->count[units] = sqrt((double)count * (model->bin_width / from->width) + 0.25);
        } else {
            observed->count[units] = (double)count;
            observed->constant += (double)count * from->log_width - traj_log_factorial(count);
        }
        units++;
    }
    observed->units = units;
    if (roots) {
        prepare_roots(observed);
        return;
    }
    observed->padded = padded(units);
    for (size_t i = units; i < observed->padded; i++) {
        observed->count[i] = 0.0;
        observed->exposure[i] = 0.0;
    }
    if (units != observed->gathered_units ||
        memcmp(observed->unit, observed->gathered, units * sizeof *observed->unit) != 0)
        gather_tuning(observed);
}

/* Factor of the observed features' part of R, and C seen through it; false if not definite. */
static bool whiten(struct traj_observed *observed)
{
    const struct traj_feature_map *map = &observed->model->feature;
    const size_t all = observed->model->dims.features;
    const size_t count = observed->features;
    const size_t state = observed->state;
    double *factor = observed->factor;
    observed->whitened_features = SIZE_MAX;
    for (size_t i = 0; i < count; i++)
        for (size_t j = 0; j < count; j++)
            factor[i * count + j] = map->noise[observed->feature[i] * all + observed->feature[j]];
    if (!traj_cholesky(count, factor, factor))
        return false;
    const double log_two_pi = 1.8378770664093453;
    observed->factor_constant =
        -traj_log_diagonal(count, factor) - 0.5 * (double)count * log_two_pi;
    double *loading = observed->loading;
    for (size_t i = 0; i < count; i++) {
        for (size_t s = 0; s < state; s++)
            loading[i * state + s] = map->weight[observed->feature[i] * state + s];
        for (size_t j = 0; j < i; j++)
            for (size_t s = 0; s < state; s++)
                loading[i * state + s] -= factor[i * count + j] * loading[j * state + s];
        for (size_t s = 0; s < state; s++)
            loading[i * state + s] /= factor[i * count + i];
    }
    memset(observed->information, 0, state * state * sizeof(double));
    for (size_t i = 0; i < count; i++)
        for (size_t s = 0; s < state; s++)
            for (size_t t = 0; t < state; t++)
                observed->information[s * state + t] +=
                    loading[i * state + s] * loading[i * state + t];
    memcpy(observed->whitened, observed->feature, count * sizeof *observed->feature);
    observed->whitened_features = count;
    return true;
}

static void prepare_features(struct traj_observed *observed, const float *features)
{
    const struct traj_feature_map *map = &observed->model->feature;
    size_t count = 0;
    for (size_t f = 0; features && f < observed->model->dims.features; f++) {
        if (!isfinite(features[f]))
            continue;
        observed->feature[count] = (uint32_t)f;
        observed->residual[count] = (double)features[f] - map->offset[f];
        count++;
    }
    observed->features = count;
    if (count == 0)
        return;
    if (count != observed->whitened_features ||
        memcmp(observed->feature, observed->whitened, count * sizeof *observed->feature) != 0) {
        /* Part of a matrix that init has found positive definite; rounding alone can refuse it. */
        if (!whiten(observed)) {
            observed->features = 0;
            return;
        }
    }
    traj_solve_lower(count, observed->factor, observed->residual);
    observed->constant += observed->factor_constant;
}

enum traj_status traj_observed_init(struct traj_observed *observed, const struct traj_model *model)
{
    observed->model = model;
    observed->kernel = traj_block_choose();
    traj_roots_init(&observed->roots, model);
    observed->units = 0;
    observed->padded = 0;
    observed->gathered_units = 0;
    observed->constant = 0.0;
    observed->features = features_of(&model->dims);
    observed->whitened_features = SIZE_MAX;
    for (size_t f = 0; f < observed->features; f++)
        observed->feature[f] = (uint32_t)f;
    const bool definite = observed->features == 0 || whiten(observed);
    observed->features = 0;
    return definite ? TRAJ_OK : TRAJ_E_NOT_PD;
}

void traj_observed_prepare(struct traj_observed *observed, const struct traj_history *history,
                           bool with_plan, const float *features)
{
    observed->constant = 0.0;
    observed->units = 0;
    observed->padded = 0;
    if (observed->model->dims.units > 0)
        prepare_counts(observed, history, with_plan);
    prepare_features(observed, features);
}

bool traj_observed_any(const struct traj_observed *observed)
{
    return observed->units > 0 || observed->features > 0;
}

static double evaluate_features(const struct traj_observed *observed, const double *x,
                                double *gradient)
{
    const size_t state = observed->state;
    double value = 0.0;
    for (size_t i = 0; i < observed->features; i++) {
        const double *loading = observed->loading + i * state;
        double residual = observed->residual[i];
        for (size_t s = 0; s < state; s++)
            residual -= loading[s] * x[s];
        for (size_t s = 0; s < state; s++)
            gradient[s] += residual * loading[s];
        value -= 0.5 * residual * residual;
    }
    return value;
}

double traj_observed_evaluate(const struct traj_observed *observed, size_t tuning, const double *x,
                              double *gradient, double *information)
{
    const size_t state = observed->state;
    double value = 0.0;
    for (size_t s = 0; s < state; s++)
        gradient[s] = 0.0;
    if (observed->features > 0) {
        memcpy(information, observed->information, state * state * sizeof(double));
        value = evaluate_features(observed, x, gradient);
    } else {
        memset(information, 0, state * state * sizeof(double));
    }
    if (observed->roots.factors > 0 && observed->units > 0)
        return value + traj_roots_evaluate(&observed->roots, tuning, x, gradient, information);
    struct traj_block block = {.state = state, .stride = observed->stride};
    for (size_t first = 0; first < observed->padded; first += block.units) {
        const size_t left = observed->padded - first;
        block.units = left < TRAJ_BLOCK_UNITS ? left : TRAJ_BLOCK_UNITS;
        block.weight = observed->weight + tuning * state * observed->stride + first;
        block.offset = observed->offset + tuning * observed->stride + first;
        block.count = observed->count + first;
        block.exposure = observed->exposure + first;
        value += observed->kernel(&block, x, gradient, information);
    }
    for (size_t s = 0; s < state; s++)
        for (size_t t = 0; t < s; t++)
            information[s * state + t] = information[t * state + s];
    return value;
}
