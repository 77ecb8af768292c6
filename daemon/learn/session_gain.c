/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The gain on what the recent past says beyond the posterior; see session_gain.h. */
#include "daemon/learn/session_gain.h"

#include <stdlib.h>
#include <string.h>

#include "daemon/learn/matrix.h"

#define RIDGE 1e-3 /* of the sums of squares */

/* u u' [out][out], u e' [out][dim] and sums of e^2 [dim] of a run, fold and part, u being what is
 * unexplained times the part's spread. */
static size_t width(const struct traj_session_gain *gain)
{
    return (gain->out + gain->dim) * gain->out + gain->dim;
}

static double *moment_at(const struct traj_session_gain *gain, size_t run, size_t fold, size_t part)
{
    return gain->moment + ((run * gain->folds + fold) * 2 + part) * width(gain);
}

int traj_session_gain_init(struct traj_session_gain *gain, size_t dim, size_t folds)
{
    *gain = (struct traj_session_gain){.dim = dim, .out = 2 * dim, .folds = folds};
    gain->moment = calloc(TRAJ_SESSION_RUNS * folds * 2 * width(gain) + 1, sizeof *gain->moment);
    return gain->moment ? 0 : -1;
}

void traj_session_gain_free(struct traj_session_gain *gain)
{
    free(gain->moment);
    gain->moment = NULL;
}

void traj_session_gain_add(struct traj_session_gain *gain, size_t run, unsigned fold,
                           const double *unexplained, const double spread[2], const double *e)
{
    size_t out = gain->out, dim = gain->dim;
    for (size_t part = 0; part < 2; part++) {
        double *uu = moment_at(gain, run, fold, part);
        double *ue = uu + out * out, *ee = ue + out * dim, s = spread[part];
        for (size_t i = 0; unexplained && i < out; i++) {
            for (size_t k = 0; k < out; k++)
                uu[i * out + k] += s * s * unexplained[i] * unexplained[k];
            for (size_t d = 0; d < dim; d++)
                ue[i * dim + d] += s * unexplained[i] * e[part * dim + d];
        }
        for (size_t d = 0; d < dim; d++)
            ee[d] += e[part * dim + d] * e[part * dim + d];
    }
}

/* The gain[out][dim] of a part from all folds but one (folds = from all); block is scratch. */
static void solve(const struct traj_session_gain *gain, size_t part, size_t without, double *block,
                  double *matrix)
{
    size_t out = gain->out, dim = gain->dim, size = out * (out + dim);
    double ridge[2 * TRAJ_DIM_MAX], mean = 0;
    memset(block, 0, size * sizeof *block);
    for (size_t run = 0; run < TRAJ_SESSION_RUNS; run++)
        for (size_t f = 0; f < gain->folds; f++)
            for (size_t i = 0; f != without && i < size; i++)
                block[i] += moment_at(gain, run, f, part)[i];
    memcpy(matrix, block + out * out, out * dim * sizeof *matrix);
    for (size_t i = 0; i < out; i++)
        mean += block[i * out + i];
    if (!(mean > 0)) {
        memset(matrix, 0, out * dim * sizeof *matrix);
        return;
    }
    for (size_t i = 0; i < out; i++)
        ridge[i] = RIDGE * block[i * out + i] + 1e-12 * mean;
    traj_matrix_solve_moments(block, ridge, out, matrix, dim, block + size);
}

/* Squared error of a part of a fold's bins that a gain moves (matrix NULL: as they are). */
static double squared_error(const struct traj_session_gain *gain, size_t run, size_t fold,
                            size_t part, const double *matrix)
{
    size_t out = gain->out, dim = gain->dim;
    const double *uu = moment_at(gain, run, fold, part);
    const double *ue = uu + out * out, *ee = ue + out * dim;
    double sum = 0;
    for (size_t d = 0; d < dim; d++) {
        sum += ee[d];
        for (size_t i = 0; matrix && i < out; i++) {
            double bent = 0;
            for (size_t k = 0; k < out; k++)
                bent += uu[i * out + k] * matrix[k * dim + d];
            sum += matrix[i * dim + d] * (bent - 2 * ue[i * dim + d]);
        }
    }
    return sum;
}

/* Squared errors of a part by run, with the gain of the other folds and without any. */
static void judge(const struct traj_session_gain *gain, size_t part, double *block, double *matrix,
                  double with[TRAJ_SESSION_RUNS], double without[TRAJ_SESSION_RUNS])
{
    for (size_t run = 0; run < TRAJ_SESSION_RUNS; run++)
        with[run] = without[run] = 0;
    for (size_t f = 0; f < gain->folds; f++) {
        solve(gain, part, f, block, matrix);
        for (size_t run = 0; run < TRAJ_SESSION_RUNS; run++) {
            with[run] += squared_error(gain, run, f, part, matrix);
            without[run] += squared_error(gain, run, f, part, NULL);
        }
    }
}

int traj_session_gain_settle(const struct traj_session_gain *gain,
                             double left[TRAJ_SESSION_RUNS][2], double *matrix)
{
    size_t out = gain->out, dim = gain->dim;
    double *block = calloc(3 * out * out + out * dim + 1, sizeof *block);
    if (!block)
        return -1;
    double *own = block + 2 * out * out + out * dim;
    for (size_t part = 0; part < 2; part++) {
        double with[TRAJ_SESSION_RUNS], without[TRAJ_SESSION_RUNS];
        judge(gain, part, block, own, with, without);
        bool better = with[0] + with[1] < without[0] + without[1];
        for (size_t run = 0; run < TRAJ_SESSION_RUNS; run++)
            left[run][part] = better ? with[run] : without[run];
        solve(gain, part, gain->folds, block, own);
        for (size_t i = 0; i < out; i++)
            for (size_t d = 0; d < dim; d++)
                matrix[i * out + part * dim + d] = better ? own[i * dim + d] : 0;
    }
    free(block);
    return 0;
}
