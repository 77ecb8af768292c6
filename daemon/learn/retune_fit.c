/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The numbers by which tables are moved; see retune_fit.h. */
#include "daemon/learn/retune_fit.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define FADE_FAST 0.25    /* of the interval before stays in the fit to the last moments */
#define TEMPER_COUNTS 0.5 /* neighbouring bins are not independent */
#define TEMPER_ROOTS 0.3
#define LEVEL_SD 1.0 /* of log rates, or in units of a channel's noise */
#define DEPTH_SD 0.5
#define TURN_SD 0.15                   /* of each direction */
#define BETTER 2.0                     /* nats by which a fit must have foretold a channel better */
#define MOVED 0.02                     /* by which a number must differ to count as changed */
#define NUMBERS_MOST ((size_t)1 << 23) /* channels times nodes */

enum { FAST, SLOW, WAYS };

struct traj_retune_fit {
    const struct traj_model *base;
    struct traj_retune_basis basis;
    size_t cells;  /* C E */
    double *y, *e; /* [C][E] of the interval: sums of values, exposures */
    double *past_y[WAYS], *past_e[WAYS];
    double *foretold[WAYS]; /* [C][K] fits made at the end of the interval before */
    double *quality[WAYS],
        *quality_now; /* [C] how well they foretold, and how well what runs did */
    double *row;      /* [E][K] of one channel */
    double *table;    /* [E] of one channel */
    bool fitted;
    struct traj_unit_fit unit;
};

static double *take(size_t count)
{
    return calloc(count + 1, sizeof(double));
}

struct traj_retune_fit *traj_retune_fit_new(const struct traj_model *base, struct traj_error *error)
{
    struct traj_retune_fit *fit = calloc(1, sizeof *fit);
    bool well = true;
    if (!fit) {
        traj_error_set(error, "no memory to recalibrate");
        return NULL;
    }
    if (traj_retune_basis_init(&fit->basis, base, error)) {
        free(fit);
        return NULL;
    }
    const size_t channels = fit->basis.channels, columns = fit->basis.columns;
    fit->base = base;
    fit->cells = channels * fit->basis.nodes;
    if (fit->cells > NUMBERS_MOST) {
        traj_error_set(error, "%zu channels at %zu nodes are too many to recalibrate on line",
                       channels, fit->basis.nodes);
        traj_retune_fit_free(fit);
        return NULL;
    }
    for (size_t w = 0; w < WAYS; w++) {
        fit->past_y[w] = take(fit->cells);
        fit->past_e[w] = take(fit->cells);
        fit->foretold[w] = take(channels * columns);
        fit->quality[w] = take(channels);
        well = well && fit->past_y[w] && fit->past_e[w] && fit->foretold[w] && fit->quality[w];
    }
    fit->y = take(fit->cells);
    fit->e = take(fit->cells);
    fit->quality_now = take(channels);
    fit->row = take(fit->basis.nodes * columns);
    fit->table = take(fit->basis.nodes);
    if (!well || !fit->y || !fit->e || !fit->quality_now || !fit->row || !fit->table ||
        traj_unit_fit_init(&fit->unit, fit->basis.nodes, columns)) {
        traj_retune_fit_free(fit);
        traj_error_set(error, "no memory to recalibrate %zu channels", channels);
        return NULL;
    }
    return fit;
}

void traj_retune_fit_free(struct traj_retune_fit *fit)
{
    if (!fit)
        return;
    for (size_t w = 0; w < WAYS; w++) {
        free(fit->past_y[w]);
        free(fit->past_e[w]);
        free(fit->foretold[w]);
        free(fit->quality[w]);
    }
    free(fit->y);
    free(fit->e);
    free(fit->quality_now);
    free(fit->row);
    free(fit->table);
    traj_unit_fit_free(&fit->unit);
    traj_retune_basis_free(&fit->basis);
    free(fit);
}

/* ---- frames ---------------------------------------------------------------------------------- */

void traj_retune_fit_add(struct traj_retune_fit *fit, const uint16_t *counts, const float *feature,
                         double dt, const double *weight)
{
    const size_t nodes = fit->basis.nodes, units = fit->base->dims.units;
    const bool roots = fit->base->chain.gaussian != 0;
    for (size_t n = 0; n < fit->basis.channels; n++) {
        double value = NAN;
        if (n >= units && feature)
            value = feature[n - units];
        else if (n < units && counts && counts[n] != TRAJ_COUNT_MISSING)
            value = roots ? sqrt(counts[n] * fit->base->bin_width / dt + 0.25) : counts[n];
        if (!isfinite(value))
            continue;
        for (size_t e = 0; e < nodes; e++)
            if (weight[e] > 0) {
                fit->y[n * nodes + e] += weight[e] * value;
                fit->e[n * nodes + e] += weight[e] * (roots ? 1 : dt);
            }
    }
}

/* ---- one channel ----------------------------------------------------------------------------- */

static double variance_of(const struct traj_retune_fit *fit, size_t n)
{
    const double temper = fit->base->chain.gaussian != 0 ? TEMPER_ROOTS : TEMPER_COUNTS;
    return fit->base->chain.gaussian != 0 ? fit->basis.sd[n] * fit->basis.sd[n] / temper : 0;
}

static void read_table(struct traj_retune_fit *fit, size_t n)
{
    for (size_t e = 0; e < fit->basis.nodes; e++)
        fit->table[e] = fit->base->chain.emission_mean[e * fit->basis.channels + n];
    traj_retune_rows(&fit->basis, fit->base, n, fit->row);
}

/* How well numbers foretell what channel n did in the interval, nats; its rows have been read. */
static double foretells(const struct traj_retune_fit *fit, size_t n, const double *a)
{
    const size_t nodes = fit->basis.nodes, columns = fit->basis.columns;
    const double *y = fit->y + n * nodes, *e = fit->e + n * nodes;
    const double variance = variance_of(fit, n);
    double sum = 0;
    for (size_t i = 0; i < nodes; i++) {
        double eta = fit->table[i];
        if (!(e[i] > 0))
            continue;
        for (size_t k = 0; k < columns; k++)
            eta += fit->row[i * columns + k] * a[k];
        sum += variance > 0 ? (y[i] * eta - e[i] * eta * eta / 2) / variance
                            : TEMPER_COUNTS * (y[i] * eta - e[i] * exp(eta));
    }
    return sum;
}

static void fit_channel(struct traj_retune_fit *fit, size_t n, size_t way,
                        enum traj_retune_what what, double *into)
{
    const size_t nodes = fit->basis.nodes, columns = fit->basis.columns;
    double scale[TRAJ_RETUNE_COLUMNS_MAX];
    struct traj_unit_data data = {.rows = nodes,
                                  .columns = columns,
                                  .factor = fit->row,
                                  .y = fit->past_y[way] + n * nodes,
                                  .e = fit->past_e[way] + n * nodes,
                                  .variance = variance_of(fit, n)};
    /* A narrower prior instead of tempered counts: the mode is the same. */
    const double narrower = data.variance > 0 ? 1 : sqrt(TEMPER_COUNTS);
    for (size_t k = 0; k < columns; k++)
        scale[k] = what == TRAJ_RETUNE_TUNING ? TURN_SD * narrower : 0;
    scale[TRAJ_RETUNE_LEVEL] = LEVEL_SD * narrower;
    scale[TRAJ_RETUNE_DEPTH] = what == TRAJ_RETUNE_LEVELS ? 0 : DEPTH_SD * narrower;
    memset(into, 0, columns * sizeof *into);
    if (traj_unit_fit_run(&fit->unit, &data, fit->table, scale) == 0)
        memcpy(into, fit->unit.a, columns * sizeof *into);
    for (size_t k = 0; k < columns; k++)
        into[k] = scale[k] > 0 && isfinite(into[k]) ? into[k] : 0;
}

/* ---- the interval ---------------------------------------------------------------------------- */

static void take_in(struct traj_retune_fit *fit, double fade)
{
    const double stays[WAYS] = {FADE_FAST, fade};
    for (size_t w = 0; w < WAYS; w++)
        for (size_t i = 0; i < fit->cells; i++) {
            fit->past_y[w][i] = stays[w] * fit->past_y[w][i] + fit->y[i];
            fit->past_e[w][i] = stays[w] * fit->past_e[w][i] + fit->e[i];
        }
}

/* Which of the ways has foretold channel n best, or WAYS: what is in force is as good. */
static size_t best_way(const struct traj_retune_fit *fit, size_t n)
{
    size_t best = fit->quality[FAST][n] > fit->quality[SLOW][n] + BETTER ? FAST : SLOW;
    return fit->quality[best][n] > fit->quality_now[n] + BETTER ? best : WAYS;
}

static void judge_channel(struct traj_retune_fit *fit, size_t n, const double *in_force)
{
    const size_t columns = fit->basis.columns;
    if (!fit->fitted)
        return;
    fit->quality_now[n] = fit->quality_now[n] / 2 + foretells(fit, n, in_force + n * columns);
    for (size_t w = 0; w < WAYS; w++)
        fit->quality[w][n] =
            fit->quality[w][n] / 2 + foretells(fit, n, fit->foretold[w] + n * columns);
}

size_t traj_retune_fit_close(struct traj_retune_fit *fit, enum traj_retune_what what, double fade,
                             double blend, const double *in_force, double *wanted)
{
    const size_t columns = fit->basis.columns, channels = fit->basis.channels;
    size_t changed = 0;
    memcpy(wanted, in_force, channels * columns * sizeof *wanted);
    take_in(fit, fade);
    for (size_t n = 0; n < channels; n++) {
        bool moved = false;
        read_table(fit, n);
        judge_channel(fit, n, in_force);
        for (size_t w = 0; w < WAYS; w++)
            fit_channel(fit, n, w, what, fit->foretold[w] + n * columns);
        const size_t way = fit->fitted ? best_way(fit, n) : WAYS;
        for (size_t k = 0; k < columns && way < WAYS; k++) {
            double *number = wanted + n * columns + k;
            *number = blend * *number + (1 - blend) * fit->foretold[way][n * columns + k];
            moved = moved || fabs(*number - in_force[n * columns + k]) > MOVED;
        }
        changed += moved;
    }
    fit->fitted = true;
    memset(fit->y, 0, fit->cells * sizeof *fit->y);
    memset(fit->e, 0, fit->cells * sizeof *fit->e);
    return changed;
}

void traj_retune_fit_anew(struct traj_retune_fit *fit)
{
    for (size_t w = 0; w < WAYS; w++)
        memset(fit->quality[w], 0, fit->basis.channels * sizeof(double));
    memset(fit->quality_now, 0, fit->basis.channels * sizeof(double));
}
