/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Tables that differ a little from those of a file; see retune.h. */
#include "daemon/learn/retune.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/learn/model_file.h"
#include "daemon/model/elementary.h"

#define COUNT_MIN_LOG (-6.2146080984221917) /* log 0.002 spikes a bin: no rate is quite 0 */
#define COUNT_MAX_LOG 4.6051701859880914    /* log 100 */
#define FLATTENED 0.1 /* of a channel's tuning: below, what it says of the past is not stretched */

size_t traj_retune_columns(const struct traj_model *base)
{
    return base->dims.states > 0 ? TRAJ_RETUNE_FIXED + 2 * base->dims.position + 1 : 0;
}

/* ---- directions ------------------------------------------------------------------------------ */

/* Adds a state's velocity, position and speed to a node's row, which has one number more: the
 * weight. */
static void add_state(const struct traj_model *base, size_t j, double weight, double *row)
{
    const size_t dim = base->dims.position;
    const double *velocity = base->chain.velocity + j * dim;
    const double *position = base->chain.position + j * dim;
    double square = 0;
    for (size_t d = 0; d < dim; d++) {
        row[d] += weight * velocity[d];
        row[dim + d] += weight * position[d];
        square += velocity[d] * velocity[d];
    }
    row[2 * dim] += weight * sqrt(square);
    row[2 * dim + 1] += weight;
}

/* Mean 0 and variance 1 over nodes; 0 where it is the same at all. */
static void standardise(double *column, size_t stride, size_t nodes, double *centre, double *scale)
{
    double mean = 0, square = 0;
    for (size_t e = 0; e < nodes; e++)
        mean += column[e * stride] / (double)nodes;
    for (size_t e = 0; e < nodes; e++) {
        column[e * stride] -= mean;
        square += column[e * stride] * column[e * stride] / (double)nodes;
    }
    for (size_t e = 0; e < nodes; e++)
        column[e * stride] = square > 0 ? column[e * stride] / sqrt(square) : 0;
    *centre = mean;
    *scale = sqrt(square);
}

static int set_directions(struct traj_retune_basis *basis, const struct traj_model *base)
{
    const struct traj_chain *chain = &base->chain;
    const size_t columns = basis->columns - TRAJ_RETUNE_FIXED, width = columns + 1;
    double *sum = calloc(basis->nodes * width + 1, sizeof *sum);
    if (!sum)
        return -1;
    for (size_t j = 0; j < base->dims.states; j++) {
        size_t node = (size_t)chain->node[j];
        add_state(base, j, 1 - chain->share[j], sum + node * width);
        if (chain->share[j] > 0)
            add_state(base, j, chain->share[j], sum + (node + 1) * width);
    }
    for (size_t e = 0; e < basis->nodes; e++)
        for (size_t k = 0; k < columns; k++)
            basis->direction[e * columns + k] =
                sum[e * width + columns] > 0 ? sum[e * width + k] / sum[e * width + columns] : 0;
    for (size_t k = 0; k < columns; k++)
        standardise(basis->direction + k, columns, basis->nodes, basis->centre + k,
                    basis->scale + k);
    free(sum);
    return 0;
}

static void describe_channels(struct traj_retune_basis *basis, const struct traj_model *base)
{
    const struct traj_chain *chain = &base->chain;
    const size_t rank = base->dims.factors;
    for (size_t n = 0; n < basis->channels; n++) {
        double mean = 0, variance = 1;
        for (size_t e = 0; e < basis->nodes; e++)
            mean += chain->emission_mean[e * basis->channels + n] / (double)basis->nodes;
        if (chain->gaussian != 0) {
            variance = chain->emission_noise[n];
            for (size_t k = 0; k < rank; k++)
                variance +=
                    chain->emission_factor[n * rank + k] * chain->emission_factor[n * rank + k];
        }
        basis->mean[n] = mean;
        basis->sd[n] = sqrt(variance);
    }
}

int traj_retune_basis_init(struct traj_retune_basis *basis, const struct traj_model *base,
                           struct traj_error *error)
{
    *basis = (struct traj_retune_basis){.nodes = base->dims.nodes,
                                        .channels = base->dims.units + base->dims.features,
                                        .columns = traj_retune_columns(base)};
    if (basis->columns == 0)
        return traj_error_set(error,
                              "a model of family %s has no tables that could be recalibrated; "
                              "course and places have",
                              base->about.family);
    basis->direction =
        calloc((basis->nodes + 2) * basis->columns + 2 * basis->channels, sizeof *basis->direction);
    if (basis->direction) {
        basis->mean = basis->direction + basis->nodes * basis->columns;
        basis->sd = basis->mean + basis->channels;
        basis->centre = basis->sd + basis->channels;
        basis->scale = basis->centre + basis->columns;
        describe_channels(basis, base);
    }
    if (!basis->direction || set_directions(basis, base)) {
        traj_retune_basis_free(basis);
        return traj_error_set(error, "no memory to recalibrate");
    }
    return 0;
}

void traj_retune_basis_free(struct traj_retune_basis *basis)
{
    free(basis->direction);
    *basis = (struct traj_retune_basis){.nodes = 0};
}

void traj_retune_rows(const struct traj_retune_basis *basis, const struct traj_model *base,
                      size_t n, double *row)
{
    const size_t columns = basis->columns, directions = columns - TRAJ_RETUNE_FIXED;
    for (size_t e = 0; e < basis->nodes; e++) {
        double *into = row + e * columns;
        into[TRAJ_RETUNE_LEVEL] = basis->sd[n];
        into[TRAJ_RETUNE_DEPTH] =
            base->chain.emission_mean[e * basis->channels + n] - basis->mean[n];
        for (size_t k = 0; k < directions; k++)
            into[TRAJ_RETUNE_FIXED + k] = basis->sd[n] * basis->direction[e * directions + k];
    }
}

/* ---- a model --------------------------------------------------------------------------------- */

/* Log rates stay within what a bin can hold. */
static double held(const struct traj_model *base, double value, double most, double least)
{
    if (base->chain.gaussian != 0)
        return value;
    return value < least ? least : value > most ? most : value;
}

static void fill_table(const struct traj_retune_basis *basis, const struct traj_model *base,
                       const double *coefficient, double *row, double *table)
{
    const size_t columns = basis->columns;
    const double of_bin = traj_log(base->bin_width);
    for (size_t n = 0; n < basis->channels; n++) {
        const double *a = coefficient + n * columns;
        bool moved = false;
        for (size_t k = 0; k < columns; k++)
            moved = moved || a[k] != 0;
        traj_retune_rows(basis, base, n, row);
        for (size_t e = 0; e < basis->nodes; e++) {
            double value = base->chain.emission_mean[e * basis->channels + n];
            for (size_t k = 0; moved && k < columns; k++)
                value += row[e * columns + k] * a[k];
            table[e * basis->channels + n] =
                moved ? held(base, value, COUNT_MAX_LOG - of_bin, COUNT_MIN_LOG - of_bin) : value;
        }
    }
}

/*
 * What was regressed on s is regressed on what s was before: about a centre that has moved with the
 * table, and by weights that stretch it back, but for a channel that has gone nearly flat.
 */
static void fill_recent(const struct traj_retune_basis *basis, const struct traj_model *base,
                        const double *coefficient, double *center, double *weight)
{
    const struct traj_recent_model *recent = &base->recent;
    const size_t out = 2 * base->dims.position;
    for (size_t n = 0; n < basis->channels && base->dims.stages > 0; n++) {
        const double *a = coefficient + n * basis->columns;
        const double depth = 1 + a[TRAJ_RETUNE_DEPTH];
        const double back = depth * (1 + FLATTENED) / (depth * depth + FLATTENED);
        center[n] = recent->center[n] + basis->sd[n] * a[TRAJ_RETUNE_LEVEL] +
                    a[TRAJ_RETUNE_DEPTH] * (recent->center[n] - basis->mean[n]);
        for (size_t k = 0; k < base->dims.stages; k++) {
            const size_t at = (k * basis->channels + n) * out;
            for (size_t o = 0; o < out; o++)
                weight[at + o] = a[TRAJ_RETUNE_DEPTH] != 0 ? back * recent->weight[at + o]
                                                           : recent->weight[at + o];
        }
    }
}

/* Velocity, place and speed stand in another order in the tuning than among the directions. */
void traj_retune_steer(const struct traj_retune_basis *basis, size_t dim, double level,
                       const double *coefficient, double *tuning)
{
    tuning[0] += level;
    for (size_t k = 0; k < 2 * dim + 1; k++) {
        const size_t at = k < dim ? 1 + dim + k : k < 2 * dim ? 1 + k - dim : 1 + 2 * dim;
        if (!(basis->scale[k] > 0))
            continue;
        tuning[at] += coefficient[k] / basis->scale[k];
        tuning[0] -= coefficient[k] / basis->scale[k] * basis->centre[k];
    }
}

static void fill_steer(const struct traj_retune_basis *basis, const struct traj_model *base,
                       const double *coefficient, double *tuning)
{
    const size_t dim = base->dims.position, inputs = 2 * dim + 2;
    double turned[TRAJ_RETUNE_COLUMNS_MAX];
    for (size_t n = 0; n < basis->channels && base->dims.paces > 0; n++) {
        const double *a = coefficient + n * basis->columns;
        const double *was = base->steer.tuning + n * inputs;
        double *is = tuning + n * inputs;
        for (size_t i = 0; i < inputs; i++)
            is[i] = was[i] + a[TRAJ_RETUNE_DEPTH] * (was[i] - (i == 0 ? basis->mean[n] : 0));
        for (size_t k = 0; k < 2 * dim + 1; k++)
            turned[k] = a[TRAJ_RETUNE_FIXED + k] * basis->sd[n];
        traj_retune_steer(basis, dim, basis->sd[n] * a[TRAJ_RETUNE_LEVEL], turned, is);
    }
}

static struct traj_model *make(const struct traj_retune_basis *basis, const struct traj_model *base,
                               const double *coefficient, struct traj_error *error)
{
    const size_t out = 2 * base->dims.position, cells = basis->nodes * basis->channels;
    const size_t weights = base->dims.stages * basis->channels * out;
    struct traj_model changed = *base, *made = NULL;
    const size_t steered = base->dims.paces > 0 ? basis->channels * (out + 2) : 0;
    double *room =
        malloc((cells + basis->nodes * basis->columns + basis->channels + weights + steered + 1) *
               sizeof *room);
    if (!room) {
        traj_error_set(error, "no memory to recalibrate");
        return NULL;
    }
    double *row = room + cells, *center = row + basis->nodes * basis->columns;
    fill_table(basis, base, coefficient, row, room);
    fill_recent(basis, base, coefficient, center, center + basis->channels);
    double *tuning = center + basis->channels + weights;
    fill_steer(basis, base, coefficient, tuning);
    changed.chain.emission_mean = room;
    if (base->dims.paces > 0)
        changed.steer.tuning = tuning;
    if (base->dims.stages > 0) {
        changed.recent.center = center;
        changed.recent.weight = center + basis->channels;
    }
    made = traj_model_copy(&changed, "the recalibrated model", error);
    free(room);
    return made;
}

struct traj_model *traj_retune(const struct traj_model *base, const double *coefficient,
                               size_t columns, struct traj_error *error)
{
    struct traj_retune_basis basis;
    struct traj_model *made = NULL;
    if (traj_retune_basis_init(&basis, base, error))
        return NULL;
    if (columns == basis.columns)
        made = make(&basis, base, coefficient, error);
    else
        traj_error_set(error, "the model takes %zu numbers a channel, not %zu", basis.columns,
                       columns);
    traj_retune_basis_free(&basis);
    return made;
}
