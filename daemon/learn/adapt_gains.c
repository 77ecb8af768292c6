/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Slow gains of a new day's units: one step of expectation and maximisation on the trials.  What a
 * trial's gains were is told by the units that are still the same,
 *     z_r ~ N(H^-1 G' R_r, H^-1),  H = I + G' diag(expected_r) G,
 * R_r the trial's residual counts; then each unit's loadings are a regression of its residuals on
 * z, drawn towards yesterday's as far as it is yesterday's unit.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/learn/adapt_parts.h"
#include "daemon/learn/matrix.h"

#define SAME_SD 0.3 /* of the population's loadings: by which those of the same unit change */

struct gains {
    const struct traj_adapt *adapt;
    const struct traj_occupancy *at;
    const double *mean; /* [nodes][channels] */
    size_t count, units, channels, trials;
    double *residual, *expected; /* [trials][units] */
    double *z;                   /* [trials][count] */
    double *square;              /* [trials][count][count] of z z' */
    double size[TRAJ_GAINS_MAX]; /* rms of yesterday's loadings */
};

static void add_trial(struct gains *gains, size_t r)
{
    const struct traj_today *today = gains->adapt->today;
    const struct traj_today_trial *trial = &today->trial_list[r];
    const struct traj_occupancy *at = gains->at;
    for (size_t b = trial->first; b < trial->first + trial->count; b++)
        for (size_t n = 0; n < gains->units; n++) {
            double value = traj_today_value(today, b, n, false), rate = 0;
            if (isnan(value))
                continue;
            for (size_t i = at->first[b]; i < at->first[b + 1]; i++)
                rate += at->weight[i] * exp(gains->mean[(size_t)at->node[i] * gains->channels + n]);
            gains->expected[r * gains->units + n] += rate * today->dt[b];
            gains->residual[r * gains->units + n] += value - rate * today->dt[b];
        }
}

/* What the trial's gains were. */
static int infer(struct gains *gains, size_t r, const double *gain)
{
    size_t q = gains->count;
    double h[TRAJ_GAINS_MAX * TRAJ_GAINS_MAX] = {0}, inverse[TRAJ_GAINS_MAX * TRAJ_GAINS_MAX] = {0};
    double *z = gains->z + r * q, *square = gains->square + r * q * q;
    memset(z, 0, q * sizeof *z);
    for (size_t a = 0; a < q; a++)
        h[a * q + a] = inverse[a * q + a] = 1;
    for (size_t n = 0; n < gains->units; n++)
        for (size_t a = 0; a < q; a++) {
            z[a] += gain[n * q + a] * gains->residual[r * gains->units + n];
            for (size_t b = 0; b < q; b++)
                h[a * q + b] +=
                    gain[n * q + a] * gain[n * q + b] * gains->expected[r * gains->units + n];
        }
    if (traj_matrix_cholesky(h, q))
        return -1;
    traj_matrix_cholesky_solve(h, q, z, 1);
    traj_matrix_cholesky_solve(h, q, inverse, q);
    for (size_t a = 0; a < q; a++)
        for (size_t b = 0; b < q; b++)
            square[a * q + b] = z[a] * z[b] + inverse[a * q + b];
    return 0;
}

static bool trains(const struct gains *gains, size_t r, unsigned without)
{
    return without == TRAJ_FOLD_NONE ||
           traj_adapt_slot(gains->adapt, gains->adapt->today->trial_list[r].first) != without;
}

static void regress(const struct gains *gains, size_t n, double same, unsigned without,
                    double *gain)
{
    size_t q = gains->count;
    double gram[TRAJ_GAINS_MAX * TRAJ_GAINS_MAX] = {0}, cross[TRAJ_GAINS_MAX] = {0};
    double work[TRAJ_GAINS_MAX * TRAJ_GAINS_MAX], ridge[TRAJ_GAINS_MAX];
    for (size_t a = 0; a < q; a++) {
        double sd = gains->size[a] + 1e-6, free_share = 1 - same * (1 - SAME_SD * SAME_SD);
        ridge[a] = 1 / (sd * sd * free_share);
    }
    for (size_t r = 0; r < gains->trials; r++) {
        if (!trains(gains, r, without))
            continue;
        for (size_t a = 0; a < q; a++) {
            cross[a] += gains->z[r * q + a] * gains->residual[r * gains->units + n];
            for (size_t b = 0; b < q; b++)
                gram[a * q + b] +=
                    gains->square[(r * q + a) * q + b] * gains->expected[r * gains->units + n];
        }
    }
    /* The change is solved for, which is nothing where there are no data. */
    for (size_t a = 0; a < q; a++)
        for (size_t b = 0; b < q; b++)
            cross[a] -= gram[a * q + b] * gain[b];
    traj_matrix_solve_moments(gram, ridge, q, cross, 1, work);
    for (size_t a = 0; a < q; a++)
        gain[a] += cross[a];
}

int traj_adapt_gains(const struct traj_adapt *adapt, const struct traj_occupancy *at,
                     const double *mean, const double *same, unsigned without, double *gain)
{
    const struct traj_today *today = adapt->today;
    size_t q = adapt->from->dims.gains, units = today->units, was = adapt->from->dims.units;
    struct gains gains = {.adapt = adapt,
                          .at = at,
                          .mean = mean,
                          .count = q,
                          .units = units,
                          .channels = today->channels,
                          .trials = today->trials};
    const double *then = adapt->from->chain.gain;
    for (size_t a = 0; a < q; a++) {
        double mean_loading = 0;
        for (size_t n = 0; n < was; n++) {
            mean_loading += then[n * q + a] / (double)was;
            gains.size[a] += then[n * q + a] * then[n * q + a] / (double)was;
        }
        gains.size[a] = sqrt(gains.size[a]);
        /* Of another unit no more is known than what the population's are. */
        for (size_t n = 0; n < units; n++)
            gain[n * q + a] =
                today->was[n] == TRAJ_UNIT_NEW
                    ? mean_loading
                    : same[n] * then[today->was[n] * q + a] + (1 - same[n]) * mean_loading;
    }
    if (q == 0 || gains.trials == 0)
        return 0;
    gains.residual = calloc(gains.trials * (2 * units + q + q * q), sizeof(double));
    if (!gains.residual)
        return -1;
    gains.expected = gains.residual + gains.trials * units;
    gains.z = gains.expected + gains.trials * units;
    gains.square = gains.z + gains.trials * q;
    int status = 0;
    for (size_t r = 0; r < gains.trials && status == 0; r++) {
        add_trial(&gains, r);
        status = infer(&gains, r, gain);
    }
    for (size_t n = 0; n < units && status == 0; n++)
        regress(&gains, n, same[n], without, gain + n * q);
    free(gains.residual);
    return status;
}
