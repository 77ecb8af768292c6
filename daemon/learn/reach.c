/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Reaches brought onto one clock; see reach.h. */
#include "daemon/learn/reach.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/learn/matrix.h"

#define ROUNDS 4
#define SETTLED 10       /* bins at the start of a trial that tell where reaches begin */
#define TAIL 8           /* phases kept beyond the longest trial */
#define LIGHT 0.02       /* cells below this share of a trial are dropped */
#define COURSE_PRIOR 0.3 /* trials that the pooled profile counts for in a target's course */
#define PROFILE_MAX (1 + TRAJ_DIM_MAX)
#define SLOPE_RIDGE 1.0 /* targets that the belief in no slope counts for */
#define WARP_PRIOR 8.0  /* trials that the believed distribution of warps counts for */
#define SLOW_SD 0.18    /* sd of log s that is believed */
#define DELAY_SD_S 0.02 /* sd of d that is believed, s */
#define SCATTER 0.03    /* of reach length */
#define CORRELATED 4.0  /* neighbouring positions say the same: so many count as one */

const double traj_reach_slow[TRAJ_REACH_SLOWS] = {0.70, 0.78, 0.86, 0.93, 1.00,
                                                  1.08, 1.17, 1.27, 1.40, 1.60};
/* Onset delays in units of 20 ms. */
static const double delay_20ms[TRAJ_REACH_DELAYS] = {-2, -1, 0, 1, 2, 3, 4, 5, 6};

double traj_reach_slowness(size_t cell)
{
    return traj_reach_slow[cell / TRAJ_REACH_DELAYS];
}

double traj_reach_place(const struct traj_reach *reach, size_t cell, size_t i)
{
    return (double)i - reach->delay[cell % TRAJ_REACH_DELAYS];
}

double traj_reach_phase(const struct traj_reach *reach, double z, double slow)
{
    double phase = z <= reach->onset ? z : reach->onset + (z - reach->onset) / slow;
    double last = (double)(reach->phases - 1);
    return phase < 0 ? 0 : phase > last ? last : phase;
}

void traj_reach_position(const struct traj_reach *reach, size_t target, double phase, double *out)
{
    size_t low = (size_t)phase, dim = reach->dim;
    low = low + 2 > reach->phases ? reach->phases - 2 : low;
    double share = phase - (double)low;
    const double *at = reach->course + (target * reach->phases + low) * dim;
    for (size_t d = 0; d < dim; d++)
        out[d] = at[d] + share * (at[dim + d] - at[d]);
}

/* ---- onset ----------------------------------------------------------------------------------- */

double traj_reach_onset(const struct traj_training *training)
{
    double sum = 0, count = 0;
    for (size_t r = 0; r < training->trials; r++) {
        const struct traj_course *trial = &training->trial[r];
        if (trial->bin_count == 0 || trial->target < 0)
            continue;
        /* From the trial's start, where its first bin begins. */
        sum += traj_trial_onset(training, trial, 0) + trial->offset / training->bin;
        count++;
    }
    return count > 0 ? floor(sum / count + 0.5) : 0;
}

/* ---- gathering ----------------------------------------------------------------------------- */

static int by_value(const void *a, const void *b)
{
    double x, y;
    memcpy(&x, a, sizeof x);
    memcpy(&y, b, sizeof y);
    return (x > y) - (x < y);
}

static double median_count(const struct traj_reach *reach)
{
    double *some = malloc((reach->targets + 1) * sizeof *some), median = 0;
    size_t count = 0;
    for (size_t m = 0; some && m < reach->targets; m++)
        if (reach->count[m] > 0)
            some[count++] = reach->count[m];
    if (count > 0) {
        qsort(some, count, sizeof *some, by_value);
        median = some[count / 2];
    }
    free(some);
    return median;
}

/* Whether the kinematics of all of a trial's bins are known: what is missing cannot be
 * resampled. */
static bool moves(const struct traj_training *training, const struct traj_course *trial)
{
    for (size_t b = trial->bin_first; b < trial->bin_first + trial->bin_count; b++)
        if (!training->known[b])
            return false;
    return true;
}

/* Trials that train, and where they begin; returns how long the longest is. */
static size_t gather(struct traj_reach *reach, unsigned without)
{
    const struct traj_training *training = reach->training;
    size_t longest = 0, settled = 0;
    for (size_t r = 0; r < training->trials; r++) {
        const struct traj_course *trial = &training->trial[r];
        if (trial->bin_count == 0 || trial->target < 0)
            continue;
        /* Of all trials, so that every fold has the same phases and one kernel serves them. */
        longest = trial->bin_count > longest ? trial->bin_count : longest;
        if (!traj_fold_used(trial->fold, without) || !moves(training, trial))
            continue;
        struct traj_reach_trial *own = &reach->trial[reach->trials++];
        *own = (struct traj_reach_trial){
            .first = trial->bin_first, .count = trial->bin_count, .target = (size_t)trial->target};
        reach->count[own->target]++;
        for (size_t b = own->first; b < own->first + own->count && b < own->first + SETTLED; b++) {
            for (size_t d = 0; training->known[b] && d < reach->dim; d++)
                reach->origin[d] += training->x[b * 3 * reach->dim + d];
            settled += training->known[b];
        }
    }
    for (size_t d = 0; d < reach->dim; d++)
        reach->origin[d] /= settled > 0 ? (double)settled : 1;
    return longest;
}

static double reach_length(const struct traj_reach *reach)
{
    double sum = 0;
    for (size_t m = 0; m < reach->targets; m++) {
        double square = 0;
        for (size_t d = 0; d < reach->dim; d++) {
            double apart = reach->training->target_position[m * reach->dim + d] - reach->origin[d];
            square += apart * apart;
        }
        sum += sqrt(square) / (double)reach->targets;
    }
    return sum;
}

/* ---- courses ------------------------------------------------------------------------------- */

/* Position of the trial at bin t (between bins: interpolated; outside: held). */
static void trial_position(const struct traj_reach *reach, const struct traj_reach_trial *trial,
                           double t, double *out)
{
    const double *x = reach->training->x;
    size_t dim = reach->dim, last = trial->count - 1;
    double at = t < 0 ? 0 : t > (double)last ? (double)last : t;
    size_t low = (size_t)at, high = low < last ? low + 1 : low;
    for (size_t d = 0; d < dim; d++) {
        double a = x[(trial->first + low) * 3 * dim + d],
               b = x[(trial->first + high) * 3 * dim + d];
        out[d] = a + (at - (double)low) * (b - a);
    }
}

/* Sums the resampled trials of each target: sum[m][g][d]. */
static void sum_courses(const struct traj_reach *reach, double *sum)
{
    double at[TRAJ_DIM_MAX];
    memset(sum, 0, reach->targets * reach->phases * reach->dim * sizeof *sum);
    for (size_t r = 0; r < reach->trials; r++) {
        const struct traj_reach_trial *trial = &reach->trial[r];
        for (size_t h = 0; h < trial->heavy; h++) {
            double delay = reach->delay[trial->cell[h] % TRAJ_REACH_DELAYS];
            double slow = traj_reach_slowness(trial->cell[h]);
            for (size_t g = 0; g < reach->phases; g++) {
                double z = (double)g <= reach->onset
                               ? (double)g
                               : reach->onset + ((double)g - reach->onset) * slow;
                double *into = sum + (trial->target * reach->phases + g) * reach->dim;
                trial_position(reach, trial, z + delay, at);
                for (size_t d = 0; d < reach->dim; d++)
                    into[d] += trial->weight[h] * at[d];
            }
        }
    }
}

/*
 * The profile of all reaches: displacement as a share along the target and, in the plane, across
 * it (a complex number that turns and scales with the target), and how that share goes with the
 * direction, for a hand is slower and bends more one way than another:
 *     share of target m = f_m' profile,  f_m = (1, u_m),  u_m the unit vector towards the target
 * by least squares over targets, the slopes shrunk.  profile[features][2].
 */
static size_t features_of(const struct traj_reach *reach, size_t m, double *feature,
                          double *towards)
{
    const double *place = reach->training->target_position;
    double square = 0;
    for (size_t d = 0; d < reach->dim; d++) {
        towards[d] = place[m * reach->dim + d] - reach->origin[d];
        square += towards[d] * towards[d];
    }
    feature[0] = 1;
    for (size_t d = 0; d < reach->dim; d++)
        feature[1 + d] = square > 0 ? towards[d] / sqrt(square) : 0;
    return 1 + reach->dim;
}

static void profile_at(const struct traj_reach *reach, const double *sum, size_t g, double *profile)
{
    double gram[PROFILE_MAX * PROFILE_MAX] = {0}, ridge[PROFILE_MAX],
                              work[PROFILE_MAX * PROFILE_MAX];
    size_t size = 1 + reach->dim;
    memset(profile, 0, size * 2 * sizeof *profile);
    for (size_t k = 0; k < size; k++)
        ridge[k] = k == 0 ? 1e-9 : SLOPE_RIDGE;
    for (size_t m = 0; m < reach->targets; m++) {
        double square = 0, dot = 0, cross = 0, u[TRAJ_DIM_MAX], v[TRAJ_DIM_MAX], f[PROFILE_MAX];
        features_of(reach, m, f, u);
        if (!(reach->count[m] > 0))
            continue;
        for (size_t d = 0; d < reach->dim; d++) {
            v[d] =
                sum[(m * reach->phases + g) * reach->dim + d] / reach->count[m] - reach->origin[d];
            square += u[d] * u[d];
            dot += u[d] * v[d];
        }
        if (reach->dim == 2)
            cross = u[0] * v[1] - u[1] * v[0];
        /* Beyond a few trials it is the targets that differ. */
        double weight = reach->count[m] / (reach->count[m] + 1);
        for (size_t k = 0; square > 0 && k < size; k++) {
            for (size_t l = 0; l < size; l++)
                gram[k * size + l] += weight * f[k] * f[l];
            profile[k * 2] += weight * f[k] * dot / square;
            profile[k * 2 + 1] += weight * f[k] * cross / square;
        }
    }
    traj_matrix_solve_moments(gram, ridge, size, profile, 2, work);
}

static void shrink_courses(struct traj_reach *reach, const double *sum)
{
    for (size_t g = 0; g < reach->phases; g++) {
        double profile[2 * PROFILE_MAX];
        profile_at(reach, sum, g, profile);
        for (size_t m = 0; m < reach->targets; m++) {
            double u[TRAJ_DIM_MAX], f[PROFILE_MAX], along = 0, across = 0;
            for (size_t k = features_of(reach, m, f, u); k-- > 0;) {
                along += f[k] * profile[k * 2];
                across += f[k] * profile[k * 2 + 1];
            }
            for (size_t d = 0; d < reach->dim; d++) {
                size_t at = (m * reach->phases + g) * reach->dim + d;
                double pooled = reach->origin[d] + along * u[d];
                if (reach->dim == 2)
                    pooled += across * (d == 0 ? -u[1] : u[0]);
                reach->course[at] =
                    (sum[at] + COURSE_PRIOR * pooled) / (reach->count[m] + COURSE_PRIOR);
            }
        }
    }
}

/* ---- warps --------------------------------------------------------------------------------- */

static void believed_warps(const struct traj_reach *reach, double *prior)
{
    double sum = 0, unit = DELAY_SD_S / reach->training->bin;
    for (size_t c = 0; c < TRAJ_REACH_CELLS; c++) {
        double slow = log(traj_reach_slowness(c)) / SLOW_SD;
        double delay = reach->delay[c % TRAJ_REACH_DELAYS] / unit;
        prior[c] = exp(-0.5 * (slow * slow + delay * delay));
        sum += prior[c];
    }
    for (size_t c = 0; c < TRAJ_REACH_CELLS; c++)
        prior[c] /= sum;
}

/* Posterior over cells of one trial, from its positions. */
static void assign(const struct traj_reach *reach, const struct traj_reach_trial *trial,
                   double *posterior)
{
    const struct traj_training *training = reach->training;
    double most = -INFINITY, sum = 0, at[TRAJ_DIM_MAX];
    double scale = 2 * CORRELATED * reach->scatter * reach->scatter;
    for (size_t c = 0; c < TRAJ_REACH_CELLS; c++) {
        double square = 0;
        for (size_t i = 0; i < trial->count; i++) {
            size_t b = trial->first + i;
            if (!training->known[b])
                continue;
            traj_reach_position(
                reach, trial->target,
                traj_reach_phase(reach, traj_reach_place(reach, c, i), traj_reach_slowness(c)), at);
            for (size_t d = 0; d < reach->dim; d++) {
                double apart = training->x[b * 3 * reach->dim + d] - at[d];
                square += apart * apart;
            }
        }
        posterior[c] = log(reach->prior[c]) - square / scale;
        most = fmax(most, posterior[c]);
    }
    for (size_t c = 0; c < TRAJ_REACH_CELLS; c++)
        sum += posterior[c] = exp(posterior[c] - most);
    for (size_t c = 0; c < TRAJ_REACH_CELLS; c++)
        posterior[c] /= sum;
}

/* Keeps the heaviest cells. */
static void keep_heavy(struct traj_reach_trial *trial, const double *posterior)
{
    double sum = 0;
    bool taken[TRAJ_REACH_CELLS] = {false};
    trial->heavy = 0;
    while (trial->heavy < TRAJ_REACH_HEAVY) {
        size_t best = TRAJ_REACH_CELLS;
        for (size_t c = 0; c < TRAJ_REACH_CELLS; c++)
            if (!taken[c] && (best == TRAJ_REACH_CELLS || posterior[c] > posterior[best]))
                best = c;
        if (trial->heavy > 0 && posterior[best] <= LIGHT)
            break;
        taken[best] = true;
        trial->cell[trial->heavy] = best;
        trial->weight[trial->heavy++] = posterior[best];
        sum += posterior[best];
    }
    for (size_t h = 0; h < trial->heavy; h++)
        trial->weight[h] /= sum;
}

static void reassign(struct traj_reach *reach)
{
    double posterior[TRAJ_REACH_CELLS], total[TRAJ_REACH_CELLS] = {0}, believed[TRAJ_REACH_CELLS];
    for (size_t r = 0; r < reach->trials; r++) {
        assign(reach, &reach->trial[r], posterior);
        keep_heavy(&reach->trial[r], posterior);
        for (size_t c = 0; c < TRAJ_REACH_CELLS; c++)
            total[c] += posterior[c];
    }
    believed_warps(reach, believed);
    for (size_t c = 0; c < TRAJ_REACH_CELLS; c++)
        reach->prior[c] =
            (total[c] + WARP_PRIOR * believed[c]) / ((double)reach->trials + WARP_PRIOR);
}

static void start_unwarped(struct traj_reach *reach)
{
    size_t slow = 0, delay = 0;
    while (traj_reach_slow[slow] < 1)
        slow++;
    while (delay_20ms[delay] < 0)
        delay++;
    for (size_t r = 0; r < reach->trials; r++) {
        reach->trial[r].heavy = 1;
        reach->trial[r].cell[0] = slow * TRAJ_REACH_DELAYS + delay;
        reach->trial[r].weight[0] = 1;
    }
    believed_warps(reach, reach->prior);
}

struct traj_reach *traj_reach_fit(const struct traj_training *training, double onset,
                                  unsigned without, struct traj_error *error)
{
    struct traj_reach *reach = calloc(1, sizeof *reach);
    double *sum = NULL;
    if (reach) {
        reach->training = training;
        reach->dim = training->dim;
        reach->targets = training->targets;
        reach->onset = onset;
        for (size_t i = 0; i < TRAJ_REACH_DELAYS; i++)
            reach->delay[i] = floor(delay_20ms[i] * 0.02 / training->bin + 0.5);
        reach->trial = calloc(training->trials + 1, sizeof *reach->trial);
        reach->count = calloc(reach->targets + 1, sizeof *reach->count);
    }
    if (reach && reach->trial && reach->count) {
        reach->phases = gather(reach, without) + TAIL;
        reach->per_target = median_count(reach);
        reach->scatter = SCATTER * reach_length(reach);
        size_t size = reach->targets * reach->phases * reach->dim;
        reach->course = calloc(size + 1, sizeof *reach->course);
        sum = calloc(size + 1, sizeof *sum);
    }
    if (!sum || !reach->course || reach->trials == 0) {
        traj_error_set(error, sum ? "no trial with a known target to learn courses from"
                                  : "no memory for courses");
        free(sum);
        traj_reach_free(reach);
        return NULL;
    }
    start_unwarped(reach);
    for (size_t round = 0; round < ROUNDS; round++) {
        sum_courses(reach, sum);
        shrink_courses(reach, sum);
        reassign(reach);
    }
    free(sum);
    return reach;
}

void traj_reach_free(struct traj_reach *reach)
{
    if (!reach)
        return;
    free(reach->trial);
    free(reach->count);
    free(reach->course);
    free(reach);
}
