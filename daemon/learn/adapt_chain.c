/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A filter over courses or places on a new day: tables, noise and gains of its channels. */
#include <gsl/gsl_eigen.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/learn/adapt_parts.h"
#include "daemon/learn/matrix.h"
#include "daemon/learn/occupancy.h"

#define ROUNDS 4            /* of placing bins by their activity and fitting to where they lie */
#define COUNT_MIN 0.002     /* spikes a bin: no rate is quite 0 */
#define LOG_COUNT_MAX 3.0   /* log of the expected count of a bin */
#define LEVEL_OTHER 1.0     /* sd of the log rate of another unit beyond the population's own */
#define LEVEL_SHARE 0.2     /* of the population's: sd of the same channel's level (Gaussian) */
#define UNCERTAINTY_MAX 0.5 /* of log rates by which a mean rate exceeds the median */
#define EVIDENCE_TEMPER 0.5 /* of counts: slow gains and bursts make them less telling */
#define GAUSSIAN_TEMPER 0.3 /* likewise, of neighbouring bins' roots and features */
#define NOISE_BINS 1000.0   /* that yesterday's noise counts for */
#define NOISE_CHANNELS 1000 /* above which the noise's shape is kept */
#define NOISE_BINS_MAX 6000 /* bins that the noise is measured on */
#define UNIQUE_FLOOR 0.05   /* of a channel's variance that is its own at least */
#define VARIANCE_FLOOR 0.05 /* of the channels' median variance: a silent one is not infallible */

struct chain {
    struct traj_adapt *adapt;
    const struct traj_model *from;
    bool gaussian;
    size_t nodes, channels, was_channels, slots;
    struct traj_population population;
    double *table;    /* [was_channels][nodes] in units of the channel's noise where Gaussian */
    double *unit;     /* [was_channels] that noise's sd; 1 where Poisson */
    double *unit_now; /* [channels] sd of today's values; 1 where Poisson */
    double *y, *e;    /* [slots][channels][nodes] sums of values and exposures */
    double *squares;  /* [slots][channels] */
    double *weight;   /* [slots][channels] sum of bins' weights */
    double *sum_y, *sum_e; /* [nodes] of one channel, scratch */
    double *scaled;        /* [nodes] scratch */
    double *mean;          /* [nodes][channels] the new tables */
    double *same;          /* [channels] of the last fit */
    struct traj_occupancy occupancy;
    struct traj_heir heir;
};

/* ---- yesterday ------------------------------------------------------------------------------- */

static void read_tables(struct chain *chain)
{
    const struct traj_chain *from = &chain->from->chain;
    size_t was = chain->was_channels, rank = chain->from->dims.factors;
    for (size_t m = 0; m < was; m++) {
        chain->unit[m] = 1;
        if (chain->gaussian) {
            double variance = from->emission_noise[m];
            for (size_t k = 0; k < rank; k++)
                variance +=
                    from->emission_factor[m * rank + k] * from->emission_factor[m * rank + k];
            chain->unit[m] = sqrt(variance);
        }
        for (size_t e = 0; e < chain->nodes; e++)
            chain->table[m * chain->nodes + e] = from->emission_mean[e * was + m] / chain->unit[m];
    }
}

static int make_population(struct chain *chain)
{
    double *level = malloc(chain->nodes * sizeof *level);
    int status = -1;
    for (size_t e = 0; level && e < chain->nodes; e++)
        level[e] = 1;
    if (level)
        status =
            traj_population_make(&chain->population, chain->table, chain->was_channels,
                                 chain->nodes, level, TRAJ_POPULATION_RANK, chain->adapt->error);
    free(level);
    return status;
}

static int compare_doubles(const void *a, const void *b)
{
    double x, y;
    memcpy(&x, a, sizeof x);
    memcpy(&y, b, sizeof y);
    return (x > y) - (x < y);
}

/* Sd of what each channel does today, whatever it stands for. */
static int measure_units(struct chain *chain)
{
    const struct traj_today *today = chain->adapt->today;
    double *sorted = malloc((chain->was_channels + 1) * sizeof *sorted);
    if (!sorted)
        return -1;
    memcpy(sorted, chain->unit, chain->was_channels * sizeof *sorted);
    qsort(sorted, chain->was_channels, sizeof *sorted, compare_doubles);
    double floor =
        VARIANCE_FLOOR * sorted[chain->was_channels / 2] * sorted[chain->was_channels / 2];
    for (size_t c = 0; c < chain->channels; c++) {
        double sum = 0, square = 0, count = 0;
        for (size_t b = 0; b < today->bins && chain->gaussian; b++) {
            double value = traj_today_value(today, b, c, true);
            if (isnan(value))
                continue;
            sum += value;
            square += value * value;
            count++;
        }
        double mean = count > 0 ? sum / count : 0;
        double variance = count > 1 ? square / count - mean * mean : floor;
        /* Features have scales of their own. */
        if (c >= today->units && today->was[c] != TRAJ_UNIT_NEW)
            floor = VARIANCE_FLOOR * chain->unit[today->was[c]] * chain->unit[today->was[c]];
        chain->unit_now[c] = chain->gaussian ? sqrt(fmax(variance, floor)) : 1;
    }
    free(sorted);
    return 0;
}

/* ---- today ----------------------------------------------------------------------------------- */

static void gather(struct chain *chain)
{
    const struct traj_today *today = chain->adapt->today;
    size_t cells = chain->channels * chain->nodes;
    memset(chain->y, 0, chain->slots * cells * sizeof *chain->y);
    memset(chain->e, 0, chain->slots * cells * sizeof *chain->e);
    memset(chain->squares, 0, chain->slots * chain->channels * sizeof *chain->squares);
    memset(chain->weight, 0, chain->slots * chain->channels * sizeof *chain->weight);
    for (size_t b = 0; b < today->bins; b++) {
        size_t slot = traj_adapt_slot(chain->adapt, b);
        double exposure = chain->gaussian ? 1 : today->dt[b];
        for (size_t c = 0; c < chain->channels; c++) {
            double value = traj_today_value(today, b, c, chain->gaussian), whole = 0;
            double *y = chain->y + slot * cells + c * chain->nodes;
            double *e = chain->e + slot * cells + c * chain->nodes;
            if (isnan(value))
                continue;
            for (size_t i = chain->occupancy.first[b]; i < chain->occupancy.first[b + 1]; i++) {
                double weight = chain->occupancy.weight[i];
                y[chain->occupancy.node[i]] += weight * value;
                e[chain->occupancy.node[i]] += weight * exposure;
                whole += weight;
            }
            chain->squares[slot * chain->channels + c] += whole * value * value;
            chain->weight[slot * chain->channels + c] += whole;
        }
    }
}

/* Sums of one channel over the slots that train. */
static void add_slots(struct chain *chain, size_t c, unsigned without, double *squares,
                      double *weight)
{
    size_t cells = chain->channels * chain->nodes;
    memset(chain->sum_y, 0, chain->nodes * sizeof *chain->sum_y);
    memset(chain->sum_e, 0, chain->nodes * sizeof *chain->sum_e);
    *squares = *weight = 0;
    for (size_t s = 0; s < chain->slots; s++) {
        if (s == without)
            continue;
        for (size_t e = 0; e < chain->nodes; e++) {
            chain->sum_y[e] += chain->y[s * cells + c * chain->nodes + e];
            chain->sum_e[e] += chain->e[s * cells + c * chain->nodes + e];
        }
        *squares += chain->squares[s * chain->channels + c];
        *weight += chain->weight[s * chain->channels + c];
    }
}

/* ---- one channel ----------------------------------------------------------------------------- */

static double clamp_log(const struct chain *chain, double log_rate)
{
    double bin = chain->from->bin_width;
    return fmin(fmax(log_rate, log(COUNT_MIN / bin)), LOG_COUNT_MAX - log(bin));
}

/* Fits channel c to the slots that train; *seen = whether it was observed in them. */
static int fit_channel(struct chain *chain, size_t c, unsigned without, bool *seen)
{
    size_t was = chain->adapt->today->was[c];
    double squares, weight, now = chain->unit_now[c];
    double then = was == TRAJ_UNIT_NEW ? now : chain->unit[was];
    add_slots(chain, c, without, &squares, &weight);
    *seen = weight > 0;
    struct traj_unit_data rows = {.rows = chain->nodes,
                                  .columns = chain->population.columns,
                                  .factor = chain->population.factor,
                                  .y = chain->sum_y,
                                  .e = chain->sum_e};
    struct traj_heir_data data = {
        .same = rows,
        .other = rows,
        .base_other = chain->population.mean,
        .base_same = was == TRAJ_UNIT_NEW ? NULL : chain->table + was * chain->nodes};
    if (chain->gaussian) {
        /* Each hypothesis reads the values in units of its own noise. */
        for (size_t e = 0; e < chain->nodes; e++) {
            chain->scaled[e] = chain->sum_y[e] / then;
            chain->sum_y[e] /= now;
        }
        data.same.y = chain->scaled;
        data.same.variance = data.other.variance = 1 / GAUSSIAN_TEMPER;
        data.same.squares = squares / (then * then);
        data.other.squares = squares / (now * now);
        data.offset_same = -GAUSSIAN_TEMPER * weight * log(then);
        data.offset_other = -GAUSSIAN_TEMPER * weight * log(now);
    }
    return traj_heir_fit(&chain->heir, chain->adapt, &data);
}

/* What a hypothesis expects at a node: a rate, or a value in units of its noise. */
static double expected(struct chain *chain, struct traj_unit_fit *fit, const double *base, size_t e)
{
    double variance;
    double mean =
        base[e] +
        traj_unit_fit_at(fit, chain->population.factor + e * chain->population.columns, &variance);
    return chain->gaussian ? mean
                           : exp(clamp_log(chain, mean + fmin(variance / 2, UNCERTAINTY_MAX)));
}

/* The table of channel c after fit_channel, into column c of mean[nodes][channels]. */
static void put_channel(struct chain *chain, size_t c, bool seen, double *mean)
{
    size_t was = chain->adapt->today->was[c];
    double p = chain->heir.probability, now = chain->unit_now[c];
    for (size_t e = 0; e < chain->nodes; e++) {
        double *into = mean + e * chain->channels + c, sum = 0;
        if (!seen && was != TRAJ_UNIT_NEW) {
            *into = chain->from->chain.emission_mean[e * chain->was_channels + was];
            continue;
        }
        if (p > 0)
            sum += p * expected(chain, &chain->heir.same, chain->heir.base, e) *
                   (chain->gaussian ? chain->unit[was] : 1);
        if (p < 1)
            sum += (1 - p) * expected(chain, &chain->heir.other, chain->population.mean, e) *
                   (chain->gaussian ? now : 1);
        *into = chain->gaussian ? sum : clamp_log(chain, log(sum));
    }
    chain->same[c] = !seen && was != TRAJ_UNIT_NEW ? 1 : p;
}

/* ---- all channels ---------------------------------------------------------------------------- */

static void set_scales(struct chain *chain)
{
    double level = chain->population.level_sd;
    chain->heir.level_same = chain->gaussian ? LEVEL_SHARE * level : chain->adapt->spread;
    chain->heir.level_other = chain->gaussian ? 2 * level : LEVEL_OTHER;
    chain->heir.temper = chain->gaussian ? 1 : EVIDENCE_TEMPER;
    chain->heir.mean_rates = true;
}

/* How much more all units fire than yesterday's tables expect. */
static int measure_shift(struct chain *chain)
{
    struct traj_adapt *adapt = chain->adapt;
    double *spikes = calloc(2 * chain->channels + 1, sizeof *spikes), squares, weight;
    if (!spikes)
        return -1;
    double *wanted = spikes + chain->channels;
    for (size_t c = 0; c < chain->channels && !chain->gaussian; c++) {
        size_t was = adapt->today->was[c];
        add_slots(chain, c, TRAJ_FOLD_NONE, &squares, &weight);
        for (size_t e = 0; was != TRAJ_UNIT_NEW && e < chain->nodes; e++) {
            spikes[c] += chain->sum_y[e];
            wanted[c] += chain->sum_e[e] * exp(chain->table[was * chain->nodes + e]);
        }
    }
    traj_adapt_shift(adapt, spikes, wanted, chain->gaussian ? 0 : chain->channels);
    free(spikes);
    return 0;
}

/* How far units drift, and how many are others. */
static int settle(struct chain *chain)
{
    size_t channels = chain->channels;
    double *same = malloc((TRAJ_DRIFTS + 1) * channels * sizeof *same);
    traj_adapt_usual(chain->adapt);
    int status = same ? measure_shift(chain) : -1;
    set_scales(chain);
    for (size_t c = 0; c < channels && status == 0; c++) {
        bool seen, was = chain->adapt->today->was[c] != TRAJ_UNIT_NEW;
        status = fit_channel(chain, c, TRAJ_FOLD_NONE, &seen);
        memcpy(same + c * TRAJ_DRIFTS, chain->heir.evidence_same, sizeof chain->heir.evidence_same);
        same[TRAJ_DRIFTS * channels + c] = seen && was ? chain->heir.evidence_other : NAN;
    }
    if (status == 0)
        traj_adapt_settle(chain->adapt, same, same + TRAJ_DRIFTS * channels, channels);
    free(same);
    return status;
}

static int fit_tables(struct chain *chain, unsigned without, double *mean)
{
    int status = 0;
    set_scales(chain);
    for (size_t c = 0; c < chain->channels && status == 0; c++) {
        bool seen;
        status = fit_channel(chain, c, without, &seen);
        put_channel(chain, c, seen, mean);
    }
    return status;
}

/* ---- noise ----------------------------------------------------------------------------------- */

/* Yesterday's covariance of two of today's channels, as far as they are still the same. */
static double noise_then(const struct chain *chain, size_t c, size_t d)
{
    const struct traj_chain *from = &chain->from->chain;
    size_t rank = chain->from->dims.factors;
    size_t a = chain->adapt->today->was[c], b = chain->adapt->today->was[d];
    double p = chain->same[c], now = chain->unit_now[c], sum = 0;
    if (c == d)
        return a == TRAJ_UNIT_NEW ? now * now
                                  : p * chain->unit[a] * chain->unit[a] + (1 - p) * now * now;
    if (a == TRAJ_UNIT_NEW || b == TRAJ_UNIT_NEW)
        return 0;
    for (size_t k = 0; k < rank; k++)
        sum += from->emission_factor[a * rank + k] * from->emission_factor[b * rank + k];
    return p * chain->same[d] * sum;
}

/* Products of today's residuals about the new tables into cov; seen[channels] = bins of each. */
static void add_residuals(const struct chain *chain, double *cov, double *off, double *seen)
{
    const struct traj_today *today = chain->adapt->today;
    const struct traj_occupancy *at = &chain->occupancy;
    size_t channels = chain->channels, every = today->bins / NOISE_BINS_MAX + 1;
    for (size_t b = 0; b < today->bins; b += every) {
        double whole = 0;
        for (size_t i = at->first[b]; i < at->first[b + 1]; i++)
            whole += at->weight[i];
        /* A bin that is only guessed at says little about noise. */
        if (whole < 0.99)
            continue;
        for (size_t c = 0; c < channels; c++) {
            double value = traj_today_value(today, b, c, true), mean = 0;
            for (size_t i = at->first[b]; i < at->first[b + 1]; i++)
                mean += at->weight[i] * chain->mean[(size_t)at->node[i] * channels + c];
            off[c] = isnan(value) ? 0 : value - mean;
            seen[c] += isnan(value) ? 0 : 1;
        }
        for (size_t c = 0; c < channels; c++)
            for (size_t d = 0; d <= c; d++)
                cov[c * channels + d] += off[c] * off[d];
    }
}

/*
 * cov[channels][channels]: yesterday's and today's, by what each rests on.  room[2 channels].
 * Dividing by roots of what the two channels rest on keeps it positive where some were not seen.
 */
static void blend_noise(const struct chain *chain, double *cov, double *room)
{
    size_t channels = chain->channels;
    double *seen = room + channels;
    memset(cov, 0, channels * channels * sizeof *cov);
    memset(seen, 0, channels * sizeof *seen);
    add_residuals(chain, cov, room, seen);
    for (size_t c = 0; c < channels; c++)
        for (size_t d = 0; d <= c; d++) {
            double value = cov[c * channels + d] + NOISE_BINS * noise_then(chain, c, d);
            value /= sqrt((seen[c] + NOISE_BINS) * (seen[d] + NOISE_BINS));
            cov[c * channels + d] = cov[d * channels + c] = value;
        }
}

/* diag + U U' from the largest eigenvalues, less what the rest has on average (see codebook.c). */
static int factor_noise(const double *cov, size_t channels, size_t rank, double *noise,
                        double *factor)
{
    gsl_matrix *copy = gsl_matrix_alloc(channels, channels);
    gsl_matrix *vector = gsl_matrix_alloc(channels, channels);
    gsl_vector *value = gsl_vector_alloc(channels);
    gsl_eigen_symmv_workspace *work = gsl_eigen_symmv_alloc(channels);
    int status = copy && vector && value && work ? 0 : -1;
    for (size_t i = 0; i < channels * channels && status == 0; i++)
        gsl_matrix_set(copy, i / channels, i % channels, cov[i]);
    if (status == 0 && (gsl_eigen_symmv(copy, value, vector, work) ||
                        gsl_eigen_symmv_sort(value, vector, GSL_EIGEN_SORT_VAL_DESC)))
        status = -1;
    double rest = 0;
    for (size_t k = rank; k < channels && status == 0; k++)
        rest += gsl_vector_get(value, k) / (double)(channels - rank);
    if (status == 0 && rank == channels)
        rest = gsl_vector_get(value, channels - 1) / 2;
    for (size_t c = 0; c < channels && status == 0; c++) {
        double own = cov[c * channels + c], shared = 0;
        for (size_t k = 0; k < rank; k++) {
            double u =
                gsl_matrix_get(vector, c, k) * sqrt(fmax(gsl_vector_get(value, k) - rest, 0));
            factor[c * rank + k] = u;
            shared += u * u;
        }
        noise[c] = fmax(own - shared, UNIQUE_FLOOR * own);
    }
    gsl_matrix_free(copy);
    gsl_matrix_free(vector);
    gsl_vector_free(value);
    gsl_eigen_symmv_free(work);
    return status;
}

/* Yesterday's noise row by row: where today says nothing, or channels are too many. */
static void carry_noise(const struct chain *chain, size_t rank, double *noise, double *factor)
{
    const struct traj_chain *from = &chain->from->chain;
    size_t was_rank = chain->from->dims.factors;
    for (size_t c = 0; c < chain->channels; c++) {
        size_t was = chain->adapt->today->was[c];
        double p = chain->same[c], now = chain->unit_now[c];
        noise[c] =
            was == TRAJ_UNIT_NEW ? now * now : p * from->emission_noise[was] + (1 - p) * now * now;
        for (size_t k = 0; k < rank && was != TRAJ_UNIT_NEW; k++)
            factor[c * rank + k] = p * from->emission_factor[was * was_rank + k];
    }
}

static int fit_noise(struct chain *chain, size_t rank, double *noise, double *factor)
{
    size_t channels = chain->channels;
    double seen = 0;
    for (size_t i = 0; i < chain->slots * channels; i++)
        seen += chain->weight[i];
    if (channels > NOISE_CHANNELS || !(seen > 0)) {
        carry_noise(chain, rank, noise, factor);
        return 0;
    }
    double *cov = malloc((channels * channels + 2 * channels) * sizeof *cov);
    int status = -1;
    if (cov) {
        blend_noise(chain, cov, cov + channels * channels);
        status = factor_noise(cov, channels, rank, noise, factor);
    }
    free(cov);
    return status;
}

/* Inverse of the noise's covariance, or NULL. */
static double *precision_of(const struct chain *chain)
{
    size_t channels = chain->channels;
    double *cov = malloc((channels * channels + 2 * channels) * sizeof *cov);
    double *inverse = calloc(channels * channels + 1, sizeof *inverse);
    if (cov && inverse) {
        blend_noise(chain, cov, cov + channels * channels);
        for (size_t c = 0; c < channels; c++) {
            cov[c * channels + c] *= 1.01;
            inverse[c * channels + c] = 1;
        }
        if (traj_matrix_cholesky(cov, channels) == 0) {
            traj_matrix_cholesky_solve(cov, channels, inverse, channels);
            free(cov);
            return inverse;
        }
    }
    free(cov);
    free(inverse);
    return NULL;
}

/* ---- bins without movement ------------------------------------------------------------------- */

/* Yesterday's tables with each channel's level as it is today: where placing by activity begins. */
static void set_levels(struct chain *chain)
{
    double squares, weight;
    for (size_t c = 0; c < chain->channels; c++) {
        size_t was = chain->adapt->today->was[c];
        double spikes = 0, exposure = 0, wanted = 0;
        add_slots(chain, c, TRAJ_FOLD_NONE, &squares, &weight);
        for (size_t e = 0; e < chain->nodes; e++) {
            double then = was == TRAJ_UNIT_NEW ? 0 : chain->table[was * chain->nodes + e];
            spikes += chain->sum_y[e];
            exposure += chain->sum_e[e];
            wanted += chain->sum_e[e] * (chain->gaussian ? then : exp(then));
        }
        for (size_t e = 0; e < chain->nodes; e++) {
            double then = was == TRAJ_UNIT_NEW ? 0 : chain->table[was * chain->nodes + e], level;
            if (chain->gaussian)
                level = was == TRAJ_UNIT_NEW
                            ? spikes / fmax(exposure, 1e-9)
                            : then * chain->unit[was] +
                                  (spikes - wanted * chain->unit[was]) / fmax(exposure, 1e-9);
            else
                level = was == TRAJ_UNIT_NEW ? log((spikes + 0.5) / (exposure + 0.5))
                                             : then + log((spikes + 0.5) / (wanted + 0.5));
            chain->mean[e * chain->channels + c] =
                chain->gaussian ? level : clamp_log(chain, level);
        }
        chain->same[c] = was == TRAJ_UNIT_NEW ? 0 : 1;
    }
}

static int place(struct chain *chain, const double *mean, const double *precision)
{
    traj_occupancy_free(&chain->occupancy);
    if (traj_occupancy_make(&chain->occupancy, chain->adapt->today, mean, precision,
                            chain->adapt->error))
        return -1;
    gather(chain);
    return 0;
}

/* Places bins by their activity and fits the channels to where they lie, in turn. */
static int refine(struct chain *chain)
{
    int status = 0;
    set_levels(chain);
    if (chain->gaussian && chain->channels > NOISE_CHANNELS)
        return 0;
    for (int round = 0; round < ROUNDS && status == 0; round++) {
        double *precision = chain->gaussian ? precision_of(chain) : NULL;
        if (chain->gaussian && !precision)
            return -1;
        status = place(chain, chain->mean, precision);
        free(precision);
        if (status == 0 && (settle(chain) || fit_tables(chain, TRAJ_FOLD_NONE, chain->mean)))
            status = -1;
        traj_adapt_tell(chain->adapt, "units", (double)(round + 1) / ROUNDS);
    }
    return status;
}

/* ---- the family ------------------------------------------------------------------------------ */

static int allocate(struct chain *chain)
{
    size_t nodes = chain->nodes, channels = chain->channels, was = chain->was_channels;
    size_t cells = chain->slots * channels;
    chain->table = malloc((was * nodes + was + channels) * sizeof *chain->table);
    chain->y = malloc((2 * cells * nodes + 2 * cells + 1) * sizeof *chain->y);
    chain->sum_y = malloc(3 * nodes * sizeof *chain->sum_y);
    chain->mean = calloc(nodes * channels + channels, sizeof *chain->mean);
    if (!chain->table || !chain->y || !chain->sum_y || !chain->mean)
        return traj_error_set(chain->adapt->error, "no memory for %zu channels at %zu nodes",
                              channels, nodes);
    chain->unit = chain->table + was * nodes;
    chain->unit_now = chain->unit + was;
    chain->e = chain->y + cells * nodes;
    chain->squares = chain->e + cells * nodes;
    chain->weight = chain->squares + cells;
    chain->sum_e = chain->sum_y + nodes;
    chain->scaled = chain->sum_e + nodes;
    chain->same = chain->mean + nodes * channels;
    return 0;
}

static int prepare(struct traj_adapt *adapt, void **self)
{
    struct chain *chain = calloc(1, sizeof *chain);
    *self = chain;
    if (!chain)
        return traj_error_set(adapt->error, "no memory");
    chain->adapt = adapt;
    chain->from = adapt->from;
    chain->gaussian = adapt->from->chain.gaussian != 0;
    chain->nodes = adapt->from->dims.nodes;
    chain->channels = adapt->today->channels;
    chain->was_channels = adapt->from->dims.units + adapt->from->dims.features;
    chain->slots = traj_adapt_slots(adapt);
    if (allocate(chain))
        return -1;
    read_tables(chain);
    if (make_population(chain))
        return -1;
    if (measure_units(chain) ||
        traj_heir_init(&chain->heir, chain->nodes, chain->population.columns))
        return traj_error_set(adapt->error, "no memory for the population of units");
    if (place(chain, NULL, NULL) || (chain->occupancy.inferred && refine(chain)) || settle(chain) ||
        fit_tables(chain, TRAJ_FOLD_NONE, chain->mean))
        return traj_error_set(adapt->error, "the units of %s could not be fitted",
                              adapt->today->session[0]->path);
    memcpy(adapt->same, chain->same, chain->channels * sizeof *adapt->same);
    return 0;
}

static double *writable(const double *array)
{
    return (double *)(uintptr_t)array;
}

static int fill(void *self, unsigned without, struct traj_model *model)
{
    struct chain *chain = self;
    const struct traj_chain *into = &model->chain;
    if (fit_tables(chain, without, writable(into->emission_mean)) ||
        traj_adapt_steer(chain->adapt, model))
        return -1;
    traj_adapt_recent(chain->adapt, model);
    for (size_t c = 0; c < chain->channels; c++)
        writable(into->emission_noise)[c] = 1;
    if (!chain->gaussian)
        return traj_adapt_gains(chain->adapt, &chain->occupancy, into->emission_mean, chain->same,
                                without, writable(into->gain));
    memcpy(chain->mean, into->emission_mean, chain->nodes * chain->channels * sizeof(double));
    return fit_noise(chain, model->dims.factors, writable(into->emission_noise),
                     writable(into->emission_factor));
}

static void release(void *self)
{
    struct chain *chain = self;
    if (!chain)
        return;
    free(chain->table);
    free(chain->y);
    free(chain->sum_y);
    free(chain->mean);
    traj_population_free(&chain->population);
    traj_heir_free(&chain->heir);
    traj_occupancy_free(&chain->occupancy);
    free(chain);
}

const struct traj_adapt_family traj_adapt_chain = {prepare, fill, release};
