/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Clusters of position and velocity; see places.h. */
#include "daemon/learn/places.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/learn/random.h"

#define ROUNDS 20        /* of k-means */
#define SAMPLE_MAX 8000  /* bins that it runs on */
#define BINS_A_PLACE 10  /* marked bins a cluster, below which all bins are drawn from */
#define PREDICTED 2.0    /* transitions that the prediction from velocity counts for */
#define VELOCITY_TAU 0.5 /* s, over which velocity is forgotten in that prediction */
#define PREDICTION_WIDTH 0.6
#define LINK_MIN 1e-5  /* rarer transitions are left out */
#define PRODUCTS_DIM 3 /* dimensions up to which products of two coordinates are regressed on */

static const double *state_of(const struct traj_training *training, size_t b)
{
    return training->x + b * 3 * training->dim;
}

double traj_places_distance(const struct traj_places *places, const double *a, const double *b)
{
    double sum = 0;
    for (size_t i = 0; i < 2 * places->dim; i++) {
        double apart = (a[i] - b[i]) / places->unit[i / places->dim];
        sum += apart * apart;
    }
    return sum;
}

static size_t nearest(const struct traj_places *places, const double *x)
{
    size_t best = 0;
    double least = INFINITY;
    for (size_t j = 0; j < places->places; j++) {
        double d = traj_places_distance(places, x, places->centre + j * 2 * places->dim);
        if (d < least) {
            least = d;
            best = j;
        }
    }
    return best;
}

/* Bins that the clusters are made of; returns how many. */
static size_t draw_sample(const struct traj_training *training, unsigned without,
                          const uint8_t *apart, uint64_t *random, size_t *sample)
{
    size_t all = 0, marked = 0;
    for (size_t b = 0; b < training->bins; b++)
        if (training->known[b] && traj_fold_used(training->fold[b], without))
            sample[all++] = b;
    traj_random_shuffle(random, sample, all);
    for (size_t i = 0; apart && i < all; i++)
        if (apart[sample[i]]) {
            size_t held = sample[marked];
            sample[marked++] = sample[i];
            sample[i] = held;
        }
    size_t count = apart ? marked + marked / 2 : all;
    count = count < all ? count : all;
    traj_random_shuffle(random, sample, count);
    return count < SAMPLE_MAX ? count : SAMPLE_MAX;
}

/* One round: every centre moves to the mean of what is nearest to it. */
static int settle_centres(struct traj_places *places, const struct traj_training *training,
                          const size_t *sample, size_t count)
{
    size_t width = 2 * places->dim;
    double *sum = calloc(places->places * (width + 1) + 1, sizeof *sum);
    if (!sum)
        return -1;
    double *bins = sum + places->places * width;
    for (size_t i = 0; i < count; i++) {
        const double *x = state_of(training, sample[i]);
        size_t j = nearest(places, x);
        bins[j]++;
        for (size_t k = 0; k < width; k++)
            sum[j * width + k] += x[k];
    }
    for (size_t j = 0; j < places->places; j++)
        for (size_t k = 0; k < width && bins[j] > 0; k++)
            places->centre[j * width + k] = sum[j * width + k] / bins[j];
    free(sum);
    return 0;
}

/* Where position and velocity lead within one bin, in units of the prediction's width. */
static void predict_moves(struct traj_places *places, double bin)
{
    size_t k = places->places, dim = places->dim;
    double kept = exp(-bin / VELOCITY_TAU);
    for (size_t j = 0; j < k; j++) {
        double ahead[2 * TRAJ_DIM_MAX], sum = 0;
        const double *from = places->centre + j * 2 * dim;
        for (size_t d = 0; d < dim; d++) {
            ahead[d] = from[d] + bin * from[dim + d];
            ahead[dim + d] = kept * from[dim + d];
        }
        for (size_t i = 0; i < k; i++) {
            double d = traj_places_distance(places, ahead, places->centre + i * 2 * dim);
            places->move[j * k + i] = exp(-0.5 * d / (PREDICTION_WIDTH * PREDICTION_WIDTH)) + 1e-9;
            sum += places->move[j * k + i];
        }
        for (size_t i = 0; i < k; i++)
            places->move[j * k + i] *= PREDICTED / sum;
    }
}

static void count_moves(struct traj_places *places, const struct traj_training *training)
{
    size_t k = places->places;
    predict_moves(places, training->bin);
    for (size_t b = 1; b < training->bins; b++)
        if (training->run_start[b] < b && places->nearest[b] != TRAJ_PLACE_UNUSED &&
            places->nearest[b - 1] != TRAJ_PLACE_UNUSED)
            places->move[places->nearest[b - 1] * k + places->nearest[b]]++;
    for (size_t j = 0; j < k; j++) {
        double *row = places->move + j * k, sum = 0, kept = 0;
        for (size_t i = 0; i < k; i++)
            sum += row[i];
        for (size_t i = 0; i < k; i++)
            kept += row[i] = row[i] / sum < LINK_MIN ? 0 : row[i] / sum;
        for (size_t i = 0; i < k; i++)
            row[i] /= kept;
    }
}

static int places_alloc(struct traj_places *places, const struct traj_training *training,
                        size_t count)
{
    size_t width = 2 * training->dim;
    places->dim = training->dim;
    places->centre = calloc(count * width + 1, sizeof(double));
    places->count = calloc(count + 1, sizeof(double));
    places->nearest = calloc(training->bins + 1, sizeof *places->nearest);
    places->move = calloc(count * count + 1, sizeof(double));
    return places->centre && places->count && places->nearest && places->move ? 0 : -1;
}

int traj_places_fit(struct traj_places *places, const struct traj_training *training,
                    unsigned without, size_t count, const uint8_t *apart, const double unit[2],
                    uint64_t seed, struct traj_error *error)
{
    size_t width = 2 * training->dim;
    size_t *sample = malloc((training->bins + 1) * sizeof *sample);
    *places = (struct traj_places){.unit = {unit[0], unit[1]}};
    int status = sample ? places_alloc(places, training, count) : -1;
    if (status == 0) {
        size_t drawn = draw_sample(training, without, apart, &seed, sample);
        if (apart && drawn < BINS_A_PLACE * count)
            drawn = draw_sample(training, without, NULL, &seed, sample);
        places->places = drawn < count ? drawn : count;
        for (size_t j = 0; j < places->places; j++)
            memcpy(places->centre + j * width, state_of(training, sample[j]),
                   width * sizeof(double));
        for (size_t round = 0; round < ROUNDS && status == 0; round++)
            status = settle_centres(places, training, sample, drawn);
    }
    free(sample);
    if (status || places->places == 0)
        return traj_error_set(error, "places could not be learned from %zu bins", training->bins);
    for (size_t b = 0; b < training->bins; b++) {
        places->nearest[b] = TRAJ_PLACE_UNUSED;
        if (!training->known[b] || !traj_fold_used(training->fold[b], without))
            continue;
        places->nearest[b] = nearest(places, state_of(training, b));
        places->count[places->nearest[b]]++;
    }
    count_moves(places, training);
    return 0;
}

void traj_places_free(struct traj_places *places)
{
    free(places->centre);
    free(places->count);
    free(places->nearest);
    free(places->move);
}

size_t traj_places_regressors(size_t dim)
{
    size_t width = 2 * dim;
    return 3 + width + (dim <= PRODUCTS_DIM ? width * (width + 1) / 2 : width);
}

size_t traj_places_regress_on(const struct traj_places *places,
                              const struct traj_training *training, const double *x, double *out)
{
    size_t width = 2 * places->dim, n = 0;
    double z[2 * TRAJ_DIM_MAX], length[2] = {0, 0};
    for (size_t i = 0; i < width; i++) {
        double from = i < places->dim ? training->center[i] : 0;
        z[i] = (x[i] - from) / places->unit[i / places->dim];
        length[i / places->dim] += z[i] * z[i];
    }
    out[n++] = 1;
    out[n++] = sqrt(length[0]);
    out[n++] = sqrt(length[1]);
    for (size_t i = 0; i < width; i++) {
        out[n++] = z[i];
        for (size_t k = places->dim <= PRODUCTS_DIM ? 0 : i; k <= i; k++)
            out[n++] = z[i] * z[k];
    }
    return n;
}
