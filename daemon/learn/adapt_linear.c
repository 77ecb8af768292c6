/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The linear-Gaussian families on a new day: weights of units and features on the state, and the
 * rates of plan windows.  A unit is its weights in all tuning sets, in units of the state's spread;
 * a bin of a trial to a known target speaks for that target's set and, with half of its weight
 * each, for the shared one.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/learn/adapt_parts.h"
#include "daemon/learn/decode.h"
#include "daemon/learn/matrix.h"
#include "daemon/learn/model_file.h"

#define RANK 24 /* directions in which units differ */
#define ROWS_MAX 6000
#define ROUNDS 3            /* of decoding bins without movement and fitting to what was decoded */
#define LEVEL_OTHER 1.0     /* sd of another unit's log rate beyond the population's own */
#define LEVEL_SHARE 0.2     /* of the population's: sd of the same feature's level */
#define EVIDENCE_TEMPER 0.5 /* of counts: slow gains and bursts make them less telling */
#define GAUSSIAN_TEMPER 0.3
#define RESTED_S 1.0      /* s that bins weigh together whose state is a guess */
#define NOISE_BINS 1000.0 /* that yesterday's noise counts for */
#define PLAN_SAME_S 3.0   /* s of data that yesterday's rates of a plan window count for */
#define PLAN_OTHER_S 1.0  /* and a unit's own mean rate where it is another one */
#define RATE_FLOOR 0.02   /* spikes/s */
#define GRACE 1e-6

/* Units or features: what is fitted alike. */
struct block {
    bool gaussian; /* features, or roots of counts */
    bool units;
    size_t first, count, was; /* today's first channel, their number, that of yesterday's */
    size_t sets, size;        /* tuning sets, the shared one last; numbers of a channel */
    double *theta;            /* [was][size] yesterday's */
    double *unit, *unit_now;  /* [was], [count] sd of the noise; 1 where Poisson */
    struct traj_population population;
    struct traj_heir heir;
    size_t rows;
    size_t *bin;                                                          /* [rows] */
    size_t *set;                                                          /* [rows] */
    double *weight;                                                       /* [rows] */
    double *z;                                                            /* [rows][state + 1] */
    double *factor;                                                       /* [rows][columns] */
    double *base_same, *base_other, *y_same, *y_other, *e_same, *e_other; /* [rows] */
    double *found, *held; /* [count][size] from all data, and from all but a fold */
    int32_t *lag;         /* [count] */
    double *same;         /* [count] */
};

struct linear {
    struct traj_adapt *adapt;
    const struct traj_model *from;
    size_t dim, state;
    double center[TRAJ_DIM_MAX], scale[3];
    double *x;       /* [bins][3 dim] known, decoded or taken for rest */
    double *sure;    /* [bins] weight of that, 0 = the state is not known */
    size_t *history; /* [bins] as in training.h */
    int32_t lag_other;
    struct block units, features;
};

/* ---- states ---------------------------------------------------------------------------------- */

/* Where movements begin: mean over the components that start anew with a trial. */
static void resting_state(const struct linear *linear, double *x)
{
    const struct traj_model *from = linear->from;
    double count = 0;
    memset(x, 0, 3 * linear->dim * sizeof *x);
    for (size_t k = 0; k < from->dims.components; k++) {
        if (!from->trial_reset[k] && from->dims.components > 1)
            continue;
        for (size_t d = 0; d < linear->dim; d++)
            x[d] += from->dynamics.start[k * linear->state + d];
        count++;
    }
    for (size_t d = 0; d < linear->dim && count > 0; d++)
        x[d] /= count;
}

/* Bins whose movement was recorded, and those that are taken for rest. */
static void take_states(struct linear *linear)
{
    const struct traj_today *today = linear->adapt->today;
    size_t stride = 3 * linear->dim;
    double rest[3 * TRAJ_DIM_MAX], rested = 0;
    resting_state(linear, rest);
    memcpy(linear->x, today->x, today->bins * stride * sizeof *linear->x);
    for (size_t b = 0; b < today->bins; b++)
        rested += !today->known[b] && !today->marked[b] ? today->dt[b] : 0;
    for (size_t b = 0; b < today->bins; b++) {
        linear->sure[b] = today->known[b] ? 1 : 0;
        if (today->known[b] || today->marked[b])
            continue;
        memcpy(linear->x + b * stride, rest, stride * sizeof *rest);
        linear->sure[b] = fmin(1, RESTED_S / rested);
    }
}

/* Centre and spread of the states of today, or of where the model's movements lie. */
static void measure_scale(struct linear *linear)
{
    const struct traj_today *today = linear->adapt->today;
    size_t dim = linear->dim, stride = 3 * dim, targets = linear->from->dims.targets;
    double count = 0, extent = 0, sum[3] = {0, 0, 0}, rest[3 * TRAJ_DIM_MAX];
    resting_state(linear, rest);
    memcpy(linear->center, rest, dim * sizeof *rest);
    for (size_t i = 0; i < targets * dim; i++)
        extent +=
            pow(linear->from->target_position[i] - rest[i % dim], 2) / (double)(targets * dim);
    for (size_t b = 0; b < today->bins; b++) {
        if (!today->known[b])
            continue;
        count++;
        for (size_t j = 0; j < stride; j++)
            sum[j / dim] += pow(today->x[b * stride + j] - (j < dim ? rest[j] : 0), 2);
    }
    extent = extent > 0 ? sqrt(extent) : 1;
    for (size_t order = 0; order < 3; order++) {
        /* A movement over the extent lasts about half a second. */
        double usual = extent * pow(4, (double)order) / 2;
        double measured = count > 0 ? sqrt(sum[order] / (count * (double)dim)) : 0;
        linear->scale[order] = fmax(measured, usual);
    }
}

/* The first bin whose counts may explain a bin's state: after the last gap and plan window. */
static void set_history(struct linear *linear)
{
    const struct traj_today *today = linear->adapt->today;
    double end = linear->from->plan.end;
    memcpy(linear->history, today->run_start, today->bins * sizeof *linear->history);
    for (size_t r = 0; r < today->trials && end > 0; r++) {
        const struct traj_today_trial *trial = &today->trial_list[r];
        double limit = trial->start + end;
        limit = !isnan(trial->go) && trial->go < limit ? trial->go : limit;
        size_t b = trial->first;
        while (b < trial->first + trial->count && today->t_end[b] <= limit + GRACE)
            linear->history[b] = b + 1, b++;
        for (size_t first = b; b < trial->first + trial->count; b++)
            if (linear->history[b] < first)
                linear->history[b] = first;
    }
}

/* ---- yesterday ------------------------------------------------------------------------------- */

static double scale_of(const struct linear *linear, size_t j)
{
    return linear->scale[j / linear->dim];
}

/* Weights on the state and an offset, to and from units of the state's spread about its centre. */
static void standardise(const struct linear *linear, const double *weight, double offset,
                        double unit, double *out)
{
    out[linear->state] = offset / unit;
    for (size_t j = 0; j < linear->state; j++) {
        out[j] = weight[j] * scale_of(linear, j) / unit;
        out[linear->state] += j < linear->dim ? weight[j] * linear->center[j] / unit : 0;
    }
}

static void to_natural(const struct linear *linear, const double *from, double *weight,
                       double *offset)
{
    *offset = from[linear->state];
    for (size_t j = 0; j < linear->state; j++) {
        weight[j] = from[j] / scale_of(linear, j);
        *offset -= j < linear->dim ? weight[j] * linear->center[j] : 0;
    }
}

/* Sd of the noise of a unit's roots, 1 for Poisson counts. */
static double noise_of(const struct traj_model *model, size_t n)
{
    size_t rank = model->dims.factors;
    double variance = rank > 0 ? model->tuning.noise[n] : 1;
    for (size_t a = 0; a < rank; a++)
        variance += model->tuning.factor[n * rank + a] * model->tuning.factor[n * rank + a];
    return sqrt(variance);
}

static void read_units(struct linear *linear)
{
    const struct traj_tuning *tuning = &linear->from->tuning;
    size_t units = linear->from->dims.units, state = linear->state, each = state + 1;
    for (size_t n = 0; n < units; n++) {
        double *out = linear->units.theta + n * linear->units.size;
        double unit = noise_of(linear->from, n);
        linear->units.unit[n] = unit;
        for (size_t t = 0; t + 1 < linear->units.sets; t++)
            standardise(linear, tuning->own_weight + (t * units + n) * state,
                        tuning->own_offset[t * units + n], unit, out + t * each);
        standardise(linear, tuning->weight + n * state, tuning->offset[n], unit,
                    out + (linear->units.sets - 1) * each);
    }
}

static void read_features(struct linear *linear)
{
    const struct traj_feature_map *map = &linear->from->feature;
    size_t features = linear->from->dims.features;
    for (size_t f = 0; f < features; f++) {
        linear->features.unit[f] = sqrt(map->noise[f * features + f]);
        standardise(linear, map->weight + f * linear->state, map->offset[f],
                    linear->features.unit[f], linear->features.theta + f * linear->features.size);
    }
}

static int make_population(const struct linear *linear, struct block *block)
{
    size_t each = linear->state + 1;
    double *level = calloc(block->size + 1, sizeof *level);
    int status = -1;
    for (size_t t = 0; level && t < block->sets; t++)
        level[t * each + linear->state] = 1;
    if (level)
        status = traj_population_make(&block->population, block->theta, block->was, block->size,
                                      level, RANK, linear->adapt->error);
    free(level);
    return status;
}

/* ---- rows ------------------------------------------------------------------------------------ */

/* The tuning set of trials to a target, or `shared`. */
static size_t set_of(const struct linear *linear, int32_t target, size_t shared)
{
    const struct traj_model *from = linear->from;
    for (size_t k = 0; target >= 0 && shared > 0 && k < from->dims.components; k++)
        if (from->component_target[k] == target && from->tuning.own[k] >= 0)
            return (size_t)from->tuning.own[k];
    return shared;
}

static void add_row(const struct linear *linear, struct block *block, size_t b, size_t set,
                    double weight)
{
    size_t state = linear->state, i = block->rows++;
    double *z = block->z + i * (state + 1);
    block->bin[i] = b;
    block->set[i] = set;
    block->weight[i] = weight * linear->sure[b];
    for (size_t j = 0; j < state; j++)
        z[j] = (linear->x[b * 3 * linear->dim + j] - (j < linear->dim ? linear->center[j] : 0)) /
               scale_of(linear, j);
    z[state] = 1;
}

static double predict(const struct linear *linear, const struct block *block, size_t i,
                      const double *theta)
{
    size_t each = linear->state + 1;
    double sum = 0;
    for (size_t j = 0; j < each; j++)
        sum += block->z[i * each + j] * theta[block->set[i] * each + j];
    return sum;
}

/* Rows of the bins whose state is known, and the population's directions along them. */
static void make_rows(const struct linear *linear, struct block *block)
{
    const struct traj_today *today = linear->adapt->today;
    const struct traj_population *population = &block->population;
    size_t each = linear->state + 1, columns = population->columns, shared = block->sets - 1;
    size_t usable = 0, seen = 0;
    for (size_t b = 0; b < today->bins; b++)
        usable += linear->sure[b] > 0 && linear->history[b] <= b;
    size_t every = usable / ROWS_MAX + 1;
    block->rows = 0;
    for (size_t b = 0; b < today->bins; b++) {
        if (!(linear->sure[b] > 0 && linear->history[b] <= b) || seen++ % every != 0)
            continue;
        size_t set = set_of(linear, today->target[b], shared);
        add_row(linear, block, b, shared, (set == shared ? 1 : 0.5) * (double)every);
        if (set != shared)
            add_row(linear, block, b, set, 0.5 * (double)every);
    }
    for (size_t i = 0; i < block->rows; i++) {
        double *row = block->factor + i * columns;
        memset(row, 0, columns * sizeof *row);
        for (size_t j = 0; j < each; j++)
            for (size_t k = 0; k < columns; k++)
                row[k] += block->z[i * each + j] *
                          population->factor[(block->set[i] * each + j) * columns + k];
        block->base_other[i] = predict(linear, block, i, population->mean);
    }
}

/* ---- one channel ----------------------------------------------------------------------------- */

/* Values along the rows, `lag` bins before them; returns the weight of what was seen. */
static double gather(const struct linear *linear, const struct block *block, size_t c, size_t lag,
                     unsigned without, double unit, double *y, double *e, double *squares)
{
    const struct traj_today *today = linear->adapt->today;
    double whole = 0;
    *squares = 0;
    for (size_t i = 0; i < block->rows; i++) {
        size_t b = block->bin[i];
        y[i] = e[i] = 0;
        if (b < linear->history[b] + lag ||
            (without != TRAJ_FOLD_NONE && traj_adapt_slot(linear->adapt, b) == without))
            continue;
        double value = traj_today_value(today, b - lag, block->first + c, block->gaussian);
        if (isnan(value))
            continue;
        y[i] = block->weight[i] * value / unit;
        e[i] = block->weight[i] * (block->gaussian ? 1 : today->dt[b - lag]);
        *squares += block->weight[i] * value * value / (unit * unit);
        whole += e[i];
    }
    return whole;
}

static void set_scales(const struct linear *linear, struct block *block)
{
    double level = block->population.level_sd;
    block->heir.level_same = block->gaussian ? LEVEL_SHARE * level : linear->adapt->spread;
    block->heir.level_other = block->gaussian ? 2 * level : LEVEL_OTHER;
    block->heir.temper = block->gaussian ? 1 : EVIDENCE_TEMPER;
}

static int32_t lag_of(const struct linear *linear, const struct block *block, size_t was)
{
    if (!block->units)
        return 0;
    return was == TRAJ_UNIT_NEW ? linear->lag_other : linear->from->tuning.lag[was];
}

static size_t was_of(const struct linear *linear, const struct block *block, size_t c)
{
    size_t was = linear->adapt->today->was[block->first + c];
    return was == TRAJ_UNIT_NEW || block->units ? was : was - linear->from->dims.units;
}

static int fit_channel(const struct linear *linear, struct block *block, size_t c, unsigned without,
                       bool *seen)
{
    size_t was = was_of(linear, block, c);
    double now = block->unit_now[c], then = was == TRAJ_UNIT_NEW ? now : block->unit[was];
    struct traj_unit_data rows = {.rows = block->rows,
                                  .columns = block->population.columns,
                                  .factor = block->factor,
                                  .variance = block->gaussian ? 1 / GAUSSIAN_TEMPER : 0};
    struct traj_heir_data data = {.same = rows, .other = rows, .base_other = block->base_other};
    double weight = gather(linear, block, c, (size_t)lag_of(linear, block, TRAJ_UNIT_NEW), without,
                           now, block->y_other, block->e_other, &data.other.squares);
    data.other.y = block->y_other;
    data.other.e = block->e_other;
    if (was != TRAJ_UNIT_NEW) {
        weight = gather(linear, block, c, (size_t)lag_of(linear, block, was), without, then,
                        block->y_same, block->e_same, &data.same.squares);
        for (size_t i = 0; i < block->rows; i++)
            block->base_same[i] = predict(linear, block, i, block->theta + was * block->size);
        data.same.y = block->y_same;
        data.same.e = block->e_same;
        data.base_same = block->base_same;
    }
    *seen = weight > 0;
    data.offset_same = block->gaussian ? -GAUSSIAN_TEMPER * weight * log(then) : 0;
    data.offset_other = block->gaussian ? -GAUSSIAN_TEMPER * weight * log(now) : 0;
    return traj_heir_fit(&block->heir, linear->adapt, &data);
}

/* A channel's numbers, in natural units of its noise: the mean under both hypotheses. */
static void put_channel(const struct linear *linear, struct block *block, size_t c, bool seen,
                        double *out)
{
    const struct traj_population *population = &block->population;
    size_t was = was_of(linear, block, c), each = linear->state + 1;
    double p = !seen && was != TRAJ_UNIT_NEW ? 1 : block->heir.probability;
    double now = block->unit_now[c], then = was == TRAJ_UNIT_NEW ? now : block->unit[was];
    for (size_t i = 0; i < block->size; i++) {
        const double *row = population->factor + i * population->columns;
        double same = 0, other = population->mean[i];
        bool level = !block->gaussian && i % each == linear->state;
        if (was != TRAJ_UNIT_NEW)
            same = block->theta[was * block->size + i] + (level && seen ? linear->adapt->shift : 0);
        if (was != TRAJ_UNIT_NEW && seen)
            same += traj_unit_fit_at(&block->heir.same, row, NULL);
        if (p < 1)
            other += traj_unit_fit_at(&block->heir.other, row, NULL);
        out[i] = p * same * then + (1 - p) * other * now;
    }
    block->same[c] = p;
    if (block->lag)
        block->lag[c] = lag_of(linear, block, p < 0.5 ? TRAJ_UNIT_NEW : was);
}

/* ---- all channels ---------------------------------------------------------------------------- */

/* How much more all units fire than yesterday's weights expect. */
static int measure_shift(const struct linear *linear, struct block *block)
{
    double *spikes = calloc(2 * block->count + 1, sizeof *spikes), squares;
    if (!spikes)
        return -1;
    double *wanted = spikes + block->count;
    for (size_t c = 0; c < block->count && !block->gaussian; c++) {
        size_t was = was_of(linear, block, c);
        if (was == TRAJ_UNIT_NEW)
            continue;
        gather(linear, block, c, (size_t)lag_of(linear, block, was), TRAJ_FOLD_NONE, 1,
               block->y_same, block->e_same, &squares);
        for (size_t i = 0; i < block->rows; i++) {
            double eta = predict(linear, block, i, block->theta + was * block->size);
            spikes[c] += block->y_same[i];
            wanted[c] += block->e_same[i] * exp(fmin(eta, 10));
        }
    }
    traj_adapt_shift(linear->adapt, spikes, wanted, block->gaussian ? 0 : block->count);
    free(spikes);
    return 0;
}

static int settle(const struct linear *linear, struct block *block)
{
    size_t count = block->count;
    double *same = malloc((TRAJ_DRIFTS + 1) * (count + 1) * sizeof *same);
    traj_adapt_usual(linear->adapt);
    int status = same ? measure_shift(linear, block) : -1;
    set_scales(linear, block);
    for (size_t c = 0; c < count && status == 0; c++) {
        bool seen, was = was_of(linear, block, c) != TRAJ_UNIT_NEW;
        status = fit_channel(linear, block, c, TRAJ_FOLD_NONE, &seen);
        memcpy(same + c * TRAJ_DRIFTS, block->heir.evidence_same, sizeof block->heir.evidence_same);
        same[TRAJ_DRIFTS * count + c] = seen && was ? block->heir.evidence_other : NAN;
    }
    if (status == 0)
        traj_adapt_settle(linear->adapt, same, same + TRAJ_DRIFTS * count, count);
    free(same);
    return status;
}

static int fit_block(const struct linear *linear, struct block *block, unsigned without,
                     double *out)
{
    int status = 0;
    set_scales(linear, block);
    for (size_t c = 0; c < block->count && status == 0; c++) {
        bool seen;
        status = fit_channel(linear, block, c, without, &seen);
        put_channel(linear, block, c, seen, out + c * block->size);
    }
    return status;
}

/* Rows, what is believed of all channels, then each of them.  Features before units: what is told
 * of the population is that of the last. */
static int fit_all(struct linear *linear)
{
    struct block *blocks[] = {&linear->features, &linear->units};
    for (size_t i = 0; i < 2; i++) {
        struct block *block = blocks[i];
        if (block->count == 0)
            continue;
        make_rows(linear, block);
        if (settle(linear, block) || fit_block(linear, block, TRAJ_FOLD_NONE, block->found))
            return -1;
        for (size_t c = 0; c < block->count; c++)
            linear->adapt->same[block->first + c] = block->same[c];
    }
    return 0;
}

/* ---- bins without movement ------------------------------------------------------------------- */

/* Yesterday's weights with each unit's level as it is today: where decoding begins. */
static void set_levels(struct linear *linear)
{
    const struct traj_today *today = linear->adapt->today;
    struct block *block = &linear->units;
    size_t each = linear->state + 1;
    for (size_t c = 0; c < block->count; c++) {
        size_t was = was_of(linear, block, c);
        double spikes = 0.5, seconds = 0.5, mean = 0;
        double unit = was == TRAJ_UNIT_NEW ? block->unit_now[c] : block->unit[was];
        double *out = block->found + c * block->size;
        for (size_t b = 0; b < today->bins; b++) {
            double value = traj_today_value(today, b, c, block->gaussian);
            spikes += isnan(value) ? 0 : value;
            seconds += isnan(value) ? 0 : block->gaussian ? 1 : today->dt[b];
        }
        memset(out, 0, block->size * sizeof *out);
        if (was != TRAJ_UNIT_NEW)
            memcpy(out, block->theta + was * block->size, block->size * sizeof *out);
        for (size_t t = 0; t < block->sets; t++)
            mean += out[t * each + linear->state] / (double)block->sets;
        double level = block->gaussian ? spikes / seconds / unit : log(spikes / seconds);
        for (size_t t = 0; t < block->sets; t++)
            out[t * each + linear->state] += level - mean;
        for (size_t i = 0; i < block->size; i++)
            out[i] *= unit;
        block->same[c] = was == TRAJ_UNIT_NEW ? 0 : 1;
        block->lag[c] = lag_of(linear, block, was);
    }
    for (size_t c = 0; c < linear->features.count; c++) {
        size_t was = was_of(linear, &linear->features, c), size = linear->features.size;
        for (size_t i = 0; i < size; i++)
            linear->features.found[c * size + i] =
                linear->features.theta[was * size + i] * linear->features.unit[was];
        linear->features.same[c] = 1;
    }
}

struct decoding {
    struct linear *linear;
    size_t first; /* bin of the session */
};

static int take_intent(void *context, const struct traj_intent *intent)
{
    const struct decoding *decoding = context;
    const struct linear *linear = decoding->linear;
    const struct traj_today *today = linear->adapt->today;
    size_t b = decoding->first + (size_t)intent->frame, dim = linear->dim;
    if (b >= today->bins || today->known[b] || !today->trial[b] || !intent->position ||
        !intent->velocity)
        return 0;
    for (size_t d = 0; d < dim; d++) {
        linear->x[b * 3 * dim + d] = intent->position[d];
        linear->x[(b * 3 + 1) * dim + d] = intent->velocity[d];
    }
    linear->sure[b] = 1;
    return 0;
}

/* Decodes the trials whose movement is not known, and fits to what was decoded, in turn. */
static int refine(struct linear *linear)
{
    const struct traj_today *today = linear->adapt->today;
    struct traj_decode_options options = {.trials = true};
    set_levels(linear);
    for (int round = 0; round < ROUNDS; round++) {
        struct traj_model *model = linear->adapt->make(linear->adapt);
        struct decoding decoding = {linear, 0};
        int status = model ? 0 : -1;
        for (size_t s = 0; s < today->sessions && status == 0; s++) {
            status = traj_decode(model, today->session[s], &options, take_intent, &decoding, NULL,
                                 linear->adapt->error);
            decoding.first += today->session[s]->bins;
        }
        traj_model_free(model);
        if (status || fit_all(linear))
            return -1;
        traj_adapt_tell(linear->adapt, "units", (double)(round + 1) / ROUNDS);
    }
    return 0;
}

static bool needs_decoding(const struct linear *linear)
{
    const struct traj_today *today = linear->adapt->today;
    for (size_t b = 0; b < today->bins; b++)
        if (today->trial[b] && !today->known[b])
            return true;
    return false;
}

/* ---- what goes into the model ---------------------------------------------------------------- */

static double *writable(const double *array)
{
    return (double *)(uintptr_t)array;
}

/* Yesterday's noise of units that are the same; of others, what they vary by, all their own. */
static void put_root_noise(const struct linear *linear, struct traj_model *model)
{
    const struct block *block = &linear->units;
    const struct traj_tuning *tuning = &linear->from->tuning;
    size_t rank = model->dims.factors, then = linear->from->dims.factors;
    for (size_t c = 0; c < block->count; c++) {
        size_t was = was_of(linear, block, c);
        double p = was == TRAJ_UNIT_NEW ? 0 : block->same[c], now = block->unit_now[c];
        double noise = (1 - p) * now * now, kept = 0, whole = 0;
        for (size_t a = 0; a < rank; a++) {
            double u = p > 0 ? sqrt(p) * tuning->factor[was * then + a] : 0;
            writable(model->tuning.factor)[c * rank + a] = u;
            kept += u * u;
        }
        if (p > 0)
            whole = p * block->unit[was] * block->unit[was];
        writable(model->tuning.noise)[c] = fmax(noise + whole - kept, 1e-4);
    }
}

static void put_units(const struct linear *linear, const double *found, struct traj_model *model)
{
    const struct block *block = &linear->units;
    size_t units = block->count, state = linear->state, each = state + 1;
    for (size_t c = 0; c < units; c++) {
        const double *from = found + c * block->size;
        for (size_t t = 0; t + 1 < block->sets; t++)
            to_natural(linear, from + t * each,
                       writable(model->tuning.own_weight) + (t * units + c) * state,
                       writable(model->tuning.own_offset) + t * units + c);
        to_natural(linear, from + (block->sets - 1) * each,
                   writable(model->tuning.weight) + c * state, writable(model->tuning.offset) + c);
        ((int32_t *)(uintptr_t)model->tuning.lag)[c] = block->lag[c];
    }
    if (model->dims.factors > 0)
        put_root_noise(linear, model);
}

/* Noise of the features about their new means, drawn towards yesterday's. */
static int put_noise(const struct linear *linear, const double *found, double *noise)
{
    const struct block *block = &linear->features;
    const struct traj_today *today = linear->adapt->today;
    size_t count = block->count, was = linear->from->dims.features;
    double *off = calloc(count * count + 3 * count + 1, sizeof *off);
    if (!off)
        return -1;
    double *work = off + count, *floor = work + count * count, *seen = floor + count;
    for (size_t c = 0; c < count; c++)
        for (size_t d = 0; d < count; d++) {
            double p = block->same[c], now = block->unit_now[c] * block->unit_now[c];
            double then = linear->from->feature.noise[c * was + d];
            noise[c * count + d] =
                NOISE_BINS * (c == d ? p * then + (1 - p) * now : p * block->same[d] * then);
        }
    for (size_t i = 0; i < block->rows; i++) {
        for (size_t c = 0; c < count; c++) {
            double value = traj_today_value(today, block->bin[i], block->first + c, false);
            off[c] = isnan(value) ? 0 : value - predict(linear, block, i, found + c * block->size);
            seen[c] += isnan(value) ? 0 : block->weight[i];
        }
        for (size_t c = 0; c < count; c++)
            for (size_t d = 0; d < count; d++)
                noise[c * count + d] += block->weight[i] * off[c] * off[d];
    }
    for (size_t i = 0; i < count * count; i++)
        noise[i] /= sqrt((seen[i / count] + NOISE_BINS) * (seen[i % count] + NOISE_BINS));
    traj_matrix_make_positive(noise, count, floor, work);
    free(off);
    return 0;
}

static int put_features(const struct linear *linear, const double *found, struct traj_model *model)
{
    const struct block *block = &linear->features;
    for (size_t c = 0; c < block->count; c++)
        to_natural(linear, found + c * block->size,
                   writable(model->feature.weight) + c * linear->state,
                   writable(model->feature.offset) + c);
    return put_noise(linear, found, writable(model->feature.noise));
}

/* Whether a bin of a trial belongs to the window that feeds the prior over targets. */
static bool in_window(const struct linear *linear, const struct traj_today_trial *trial, size_t b)
{
    const struct traj_today *today = linear->adapt->today;
    const struct traj_plan *plan = &linear->from->plan;
    double bin = linear->from->bin_width;
    size_t first = (size_t)(plan->begin / bin + GRACE), last = (size_t)(plan->end / bin + GRACE);
    size_t elapsed = 1 + (size_t)((today->t_end[b] - today->t_end[trial->first]) / bin + 0.5);
    return elapsed > first && elapsed <= last &&
           !(today->t_end[b] > trial->go + GRACE); /* an unknown go cue is NaN */
}

/* Rates of the plan window: yesterday's or the unit's mean, as data of so many seconds. */
static int put_plan(const struct linear *linear, unsigned without, struct traj_model *model)
{
    const struct traj_today *today = linear->adapt->today;
    size_t targets = linear->from->dims.targets, units = today->units;
    double *count = calloc(2 * targets * units + 1, sizeof *count);
    if (!count)
        return -1;
    double *time = count + targets * units;
    for (size_t r = 0; r < today->trials; r++) {
        const struct traj_today_trial *trial = &today->trial_list[r];
        for (size_t b = trial->first; trial->target >= 0 && b < trial->first + trial->count; b++) {
            if (!in_window(linear, trial, b) ||
                (without != TRAJ_FOLD_NONE && traj_adapt_slot(linear->adapt, b) == without))
                continue;
            for (size_t n = 0; n < units; n++) {
                double value = traj_today_value(today, b, n, false);
                count[(size_t)trial->target * units + n] += isnan(value) ? 0 : value;
                time[(size_t)trial->target * units + n] += isnan(value) ? 0 : today->dt[b];
            }
        }
    }
    for (size_t n = 0; n < units; n++) {
        size_t was = today->was[n], old = linear->from->dims.units;
        double p = linear->units.same[n], spikes = 0.5, seconds = 0.1;
        for (size_t m = 0; m < targets; m++) {
            spikes += count[m * units + n];
            seconds += time[m * units + n];
        }
        double mean = seconds > 0.2 ? spikes / seconds
                                    : exp(linear->units.found[(n + 1) * linear->units.size - 1]);
        for (size_t m = 0; m < targets; m++) {
            double y = count[m * units + n], t = time[m * units + n], same = 0;
            if (was != TRAJ_UNIT_NEW)
                same =
                    (y + PLAN_SAME_S * linear->from->plan.rate[m * old + was]) / (t + PLAN_SAME_S);
            double other = (y + PLAN_OTHER_S * mean) / (t + PLAN_OTHER_S);
            writable(model->plan.rate)[m * units + n] =
                fmax(p * same + (1 - p) * other, RATE_FLOOR);
        }
    }
    free(count);
    return 0;
}

static int fill(void *self, unsigned without, struct traj_model *model)
{
    struct linear *linear = self;
    const double *units = linear->units.found, *features = linear->features.found;
    if (without != TRAJ_FOLD_NONE) {
        units = linear->units.held;
        features = linear->features.held;
        if ((linear->features.count > 0 &&
             fit_block(linear, &linear->features, without, linear->features.held)) ||
            (linear->units.count > 0 &&
             fit_block(linear, &linear->units, without, linear->units.held)))
            return -1;
    }
    if (linear->units.count > 0)
        put_units(linear, units, model);
    if (model->plan.rate && put_plan(linear, without, model))
        return -1;
    return linear->features.count > 0 ? put_features(linear, features, model) : 0;
}

/* ---- the family ------------------------------------------------------------------------------ */

static int allocate_block(const struct linear *linear, struct block *block)
{
    size_t bins = linear->adapt->today->bins, each = linear->state + 1;
    size_t rows = 2 * (bins < ROWS_MAX + 1 ? bins : ROWS_MAX + 1);
    block->size = block->sets * each;
    block->theta = calloc(block->was * (block->size + 1) + block->count + 1, sizeof(double));
    block->bin = calloc(2 * rows + 1, sizeof *block->bin);
    block->weight = calloc(rows * (each + 7 + RANK + 1) + 1, sizeof(double));
    block->found = calloc(block->count * (2 * block->size + 1) + 1, sizeof(double));
    block->lag = calloc(block->count + 1, sizeof *block->lag);
    if (!block->theta || !block->bin || !block->weight || !block->found || !block->lag)
        return traj_error_set(linear->adapt->error, "no memory for %zu channels", block->count);
    block->unit = block->theta + block->was * block->size;
    block->unit_now = block->unit + block->was;
    block->set = block->bin + rows;
    block->base_same = block->weight + rows;
    block->base_other = block->base_same + rows;
    block->y_same = block->base_other + rows;
    block->y_other = block->y_same + rows;
    block->e_same = block->y_other + rows;
    block->e_other = block->e_same + rows;
    block->z = block->e_other + rows;
    block->factor = block->z + rows * each;
    block->held = block->found + block->count * block->size;
    block->same = block->held + block->count * block->size;
    return 0;
}

static void free_block(struct block *block)
{
    free(block->theta);
    free(block->bin);
    free(block->weight);
    free(block->found);
    free(block->lag);
    traj_population_free(&block->population);
    traj_heir_free(&block->heir);
}

/* Sd of a feature today, whatever it stands for; 1 for units. */
static void measure_units(const struct linear *linear, struct block *block)
{
    const struct traj_today *today = linear->adapt->today;
    for (size_t c = 0; c < block->count; c++) {
        double sum = 0, square = 0, count = 0;
        block->unit_now[c] = 1;
        for (size_t b = 0; b < today->bins && block->gaussian; b++) {
            double value = traj_today_value(today, b, block->first + c, block->gaussian);
            if (isnan(value))
                continue;
            sum += value;
            square += value * value;
            count++;
        }
        if (!block->gaussian)
            continue;
        double mean = count > 0 ? sum / count : 0, floor = 0.2 * block->unit[c];
        double variance = count > 1 ? square / count - mean * mean : 0;
        block->unit_now[c] = fmax(sqrt(fmax(variance, 0)), floor);
    }
}

static int compare_lags(const void *a, const void *b)
{
    int32_t x, y;
    memcpy(&x, a, sizeof x);
    memcpy(&y, b, sizeof y);
    return (x > y) - (x < y);
}

/* The usual lag, which an unknown unit is taken to have. */
static int usual_lag(struct linear *linear)
{
    size_t units = linear->from->dims.units;
    int32_t *lag = malloc((units + 1) * sizeof *lag);
    if (!lag)
        return -1;
    memcpy(lag, linear->from->tuning.lag, units * sizeof *lag);
    qsort(lag, units, sizeof *lag, compare_lags);
    linear->lag_other = lag[units / 2];
    free(lag);
    return 0;
}

static int prepare_block(struct linear *linear, struct block *block)
{
    if (allocate_block(linear, block))
        return -1;
    if (block->units)
        read_units(linear);
    else
        read_features(linear);
    measure_units(linear, block);
    if (make_population(linear, block))
        return -1;
    if (traj_heir_init(&block->heir, 2 * (ROWS_MAX + 1), block->population.columns) ||
        (block->units && usual_lag(linear)))
        return traj_error_set(linear->adapt->error, "no memory for the population of units");
    return 0;
}

static int allocate(struct linear *linear)
{
    size_t bins = linear->adapt->today->bins + 1;
    linear->x = calloc(bins * 3 * linear->dim, sizeof *linear->x);
    linear->sure = calloc(bins, sizeof *linear->sure);
    linear->history = calloc(bins, sizeof *linear->history);
    if (linear->x && linear->sure && linear->history)
        return 0;
    return traj_error_set(linear->adapt->error, "no memory for %zu bins", bins);
}

static int prepare(struct traj_adapt *adapt, void **self)
{
    struct linear *linear = calloc(1, sizeof *linear);
    *self = linear;
    if (!linear)
        return traj_error_set(adapt->error, "no memory");
    const struct traj_dims *dims = &adapt->from->dims;
    linear->adapt = adapt;
    linear->from = adapt->from;
    linear->dim = dims->position;
    linear->state = dims->state;
    linear->units = (struct block){.gaussian = dims->factors > 0,
                                   .units = true,
                                   .count = adapt->today->units,
                                   .was = dims->units,
                                   .sets = dims->tunings + 1};
    linear->features = (struct block){.gaussian = true,
                                      .first = adapt->today->units,
                                      .count = adapt->today->features,
                                      .was = dims->features,
                                      .sets = 1};
    if (allocate(linear))
        return -1;
    take_states(linear);
    measure_scale(linear);
    set_history(linear);
    if ((linear->units.count > 0 && prepare_block(linear, &linear->units)) ||
        (linear->features.count > 0 && prepare_block(linear, &linear->features)))
        return -1;
    if (needs_decoding(linear) ? refine(linear) : fit_all(linear))
        return traj_error_set(adapt->error, "the units of %s could not be fitted",
                              adapt->today->session[0]->path);
    return 0;
}

static void release(void *self)
{
    struct linear *linear = self;
    if (!linear)
        return;
    free_block(&linear->units);
    free_block(&linear->features);
    free(linear->x);
    free(linear->sure);
    free(linear->history);
    free(linear);
}

const struct traj_adapt_family traj_adapt_linear = {prepare, fill, release};
