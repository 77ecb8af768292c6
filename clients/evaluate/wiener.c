/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Ridge Wiener filter:  (x, v)_t = c + sum_k B_k (y_{t-k} - m), with the counts of windows of 50 ms
 * over 650 ms; B by least squares with a ridge (Carmena et al. 2003, PLoS Biology 1:193; the ridge
 * as in Hoerl and Kennard 1970, Technometrics 12:55).
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "clients/evaluate/baseline.h"
#include "clients/evaluate/channels.h"
#include "clients/evaluate/regression.h"
#include "clients/evaluate/wiener.h"

#define HISTORY_S 0.65
#define WINDOW_S 0.05
#define BATCH 256 /* samples whose regressors are laid out at a time */
#define RIDGES 7
static const double ridges[RIDGES] = {1e-4, 1e-3, 1e-2, 3e-2, 1e-1, 3e-1, 1.0};

/* Regressors of one bin: mean deviation of each channel in each window back from it. */
static void regressors(const struct traj_wiener_filter *w, const struct traj_channels *c,
                       size_t bin, double *x)
{
    for (size_t k = 0; k < w->windows; k++) {
        double *row = x + k * w->channels;
        memset(row, 0, w->channels * sizeof *row);
        for (size_t j = 0; j < w->window; j++) {
            size_t back = k * w->window + j;
            if (back > bin - c->first[bin]) {
                break; /* before the stretch: counts as the mean, that is 0 */
            }
            const double *y = c->value + (bin - back) * c->channels;
            for (size_t n = 0; n < w->channels; n++) {
                row[n] += isnan(y[n]) ? 0.0 : y[n] - w->mean[n];
            }
        }
    }
}

/* Adds the known bins of [from, to) to the moments, in batches. */
static int accumulate(const struct traj_wiener_filter *w, const struct traj_channels *c,
                      const double *movement, const bool *known, size_t from, size_t to,
                      struct traj_regression *m)
{
    double *x = malloc(BATCH * w->inputs * sizeof *x), *y = malloc(BATCH * 2 * w->dim * sizeof *y);
    size_t count = 0;
    for (size_t i = from; x && y && i < to; i++) {
        if (known[i]) {
            regressors(w, c, i, x + count * w->inputs);
            for (size_t d = 0; d < 2 * w->dim; d++) {
                y[count * 2 * w->dim + d] = movement[i * 2 * w->dim + d] - w->centre[d];
            }
            count++;
        }
        if (count == BATCH || (i + 1 == to && count > 0)) {
            traj_regression_add(m, x, y, count);
            count = 0;
        }
    }
    int result = x && y ? 0 : -1;
    free(x);
    free(y);
    return result;
}

static void predict(const struct traj_wiener_filter *w, const double *x, double *out)
{
    memcpy(out, w->centre, 2 * w->dim * sizeof *out);
    for (size_t j = 0; j < w->inputs; j++) {
        for (size_t d = 0; d < 2 * w->dim; d++) {
            out[d] += x[j] * w->weight[j * 2 * w->dim + d];
        }
    }
}

/* Squared error of position over the known bins of [from, to). */
static double misfit(const struct traj_wiener_filter *w, const struct traj_channels *c,
                     const double *movement, const bool *known, size_t from, size_t to, double *x)
{
    double sum = 0.0, out[2 * TRAJ_DIM_MAX];
    for (size_t i = from; i < to; i++) {
        if (known[i]) {
            regressors(w, c, i, x);
            predict(w, x, out);
            for (size_t d = 0; d < w->dim; d++) {
                double e = out[d] - movement[i * 2 * w->dim + d];
                sum += e * e;
            }
        }
    }
    return sum;
}

/* Chooses the ridge on the last fifth, then fits on all. */
static int fit(struct traj_wiener_filter *w, const struct traj_channels *c, const double *movement,
               const bool *known)
{
    struct traj_regression early = {0}, late = {0};
    size_t split = traj_validation_bin(c);
    double *x = malloc(w->inputs * sizeof *x), best = INFINITY, chosen = ridges[RIDGES - 1];
    int result = x && !traj_regression_init(&early, w->inputs, 2 * w->dim) &&
                         !traj_regression_init(&late, w->inputs, 2 * w->dim) &&
                         !accumulate(w, c, movement, known, 0, split, &early) &&
                         !accumulate(w, c, movement, known, split, c->bins, &late)
                     ? 0
                     : -1;
    for (size_t k = 0; result == 0 && k < RIDGES; k++) {
        if (traj_regression_solve(&early, ridges[k], w->weight)) {
            continue;
        }
        double e = misfit(w, c, movement, known, split, c->bins, x);
        if (e < best) {
            best = e;
            chosen = ridges[k];
        }
    }
    if (result == 0) {
        traj_regression_merge(&early, &late);
        result = traj_regression_solve(&early, chosen, w->weight);
    }
    free(x);
    traj_regression_free(&early);
    traj_regression_free(&late);
    return result;
}

int traj_wiener_train(struct traj_wiener_filter *w, const struct traj_session *train,
                      struct traj_error *error)
{
    struct traj_channels c = {0};
    double *movement = calloc(train->bins * 2 * train->dim, sizeof *movement);
    bool *known = calloc(train->bins, sizeof *known);
    int result = -1;
    w->dim = train->dim;
    w->channels = train->units + train->features;
    double width = traj_bin_width(train);
    w->window = width >= WINDOW_S ? 1 : (size_t)lround(WINDOW_S / width);
    w->windows = (size_t)lround(HISTORY_S / ((double)w->window * width));
    w->windows = w->windows > 0 ? w->windows : 1;
    w->inputs = w->channels * w->windows;
    w->mean = calloc(w->channels, sizeof *w->mean);
    w->weight = calloc(w->inputs * 2 * w->dim, sizeof *w->weight);
    if (movement && known && w->mean && w->weight && !traj_channels_init(&c, train, false)) {
        size_t count = 0;
        traj_channels_mean(&c, w->mean);
        traj_movement(train, 2, movement, known);
        for (size_t i = 0; i < train->bins; i++) {
            for (size_t d = 0; known[i] && d < 2 * w->dim; d++) {
                w->centre[d] += movement[i * 2 * w->dim + d];
            }
            count += known[i];
        }
        for (size_t d = 0; d < 2 * w->dim; d++) {
            w->centre[d] /= count ? (double)count : 1.0;
        }
        result = fit(w, &c, movement, known);
    }
    if (result) {
        traj_error_set(error, "%s: the Wiener filter could not be fitted (%zu regressors)",
                       train->path, w->inputs);
    }
    traj_channels_free(&c);
    free(movement);
    free(known);
    return result;
}

struct traj_decoded *traj_wiener_run(const struct traj_wiener_filter *w,
                                     const struct traj_session *test)
{
    struct traj_channels c = {0};
    struct traj_decoded *decoded = traj_decoded_new(test->bins, w->dim, 0);
    double *x = malloc(w->inputs * sizeof *x);
    if (!decoded || !x || traj_channels_init(&c, test, false)) {
        traj_decoded_free(decoded);
        free(x);
        return NULL;
    }
    for (size_t i = 0; i < test->bins; i++) {
        double out[2 * TRAJ_DIM_MAX];
        regressors(w, &c, i, x);
        predict(w, x, out);
        memcpy(decoded->position + i * w->dim, out, w->dim * sizeof *out);
        memcpy(decoded->velocity + i * w->dim, out + w->dim, w->dim * sizeof *out);
    }
    traj_channels_free(&c);
    free(x);
    return decoded;
}

void traj_wiener_free(struct traj_wiener_filter *w)
{
    free(w->mean);
    free(w->weight);
    memset(w, 0, sizeof *w);
}

struct traj_decoded *traj_wiener(const struct traj_session *train, const struct traj_session *test,
                                 struct traj_error *error)
{
    struct traj_wiener_filter w = {0};
    struct traj_decoded *decoded = NULL;
    if (!traj_wiener_train(&w, train, error)) {
        decoded = traj_wiener_run(&w, test);
        if (!decoded) {
            traj_error_set(error, "%s: not enough memory for the Wiener filter", test->path);
        }
    }
    traj_wiener_free(&w);
    return decoded;
}
