/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Reaches brought onto one clock; see reach.h. */
#include "daemon/learn/reach.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/learn/matrix.h"

#define ROUNDS 4
#define SETTLED 10 /* bins at the start of a trial that tell where reaches begin */
#define TAIL 8     /* phases kept beyond the longest trial */
#define LIGHT 0.02 /* cells below this share of a trial are dropped */
#define PROFILE_MAX (1 + TRAJ_DIM_MAX)
#define SLOPE_RIDGE 1.0  /* targets that the belief in no slope counts for */
#define WARP_PRIOR 8.0   /* trials that the believed distribution of warps counts for */
#define SLOW_SD 0.18     /* sd of log s that is believed */
#define DELAY_SD_S 0.02  /* sd of d that is believed, s */
#define SCATTER 0.03     /* of reach length */
#define SHORTEST 0.01    /* reach length, root mean squares of position: never nothing */
#define CORRELATED 4.0   /* neighbouring positions say the same: so many count as one */
#define PARTS 5          /* of the trials, left out in turn to find what others' are worth */
#define TAUGHT_USUAL 0.1 /* trials that another session's is worth where that cannot be found */

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

static double median_positive(const double *number, size_t numbers)
{
    double *some = malloc((numbers + 1) * sizeof *some), median = 0;
    size_t count = 0;
    for (size_t m = 0; some && m < numbers; m++)
        if (number[m] > 0)
            some[count++] = number[m];
    if (count > 0) {
        qsort(some, count, sizeof *some, by_value);
        median = some[count / 2];
    }
    free(some);
    return median;
}

/* Whether the kinematics of all of a trial are known: what is missing cannot be resampled. */
static bool moves(const struct traj_reach_trial *trial)
{
    for (size_t i = 0; i < trial->count; i++)
        if (!trial->known[i])
            return false;
    return trial->count > 0;
}

/* Trials left out: a fold's, or of those with frames every `parts`th from `part` on. */
struct left_out {
    unsigned fold;
    size_t part, parts; /* parts = 0: none */
};

static const struct left_out nothing = {TRAJ_FOLD_NONE, 0, 0};

static void add_trial(struct traj_reach *reach, struct traj_reach_trial trial)
{
    if (moves(&trial))
        reach->trial[reach->trials++] = trial;
}

static struct traj_reach_trial with_frames(const struct traj_reach *reach,
                                           const struct traj_course *trial)
{
    return (struct traj_reach_trial){
        .first = trial->bin_first,
        .count = trial->bin_count,
        .x = reach->training->x + trial->bin_first * 3 * reach->dim,
        .known = reach->training->known + trial->bin_first,
        .target = (size_t)trial->target,
    };
}

/* Trials with frames that train; returns how long the longest of all is. */
static size_t gather(struct traj_reach *reach, const struct left_out *out)
{
    const struct traj_training *training = reach->training;
    size_t longest = 0, seen = 0;
    for (size_t r = 0; r < training->trials; r++) {
        const struct traj_course *trial = &training->trial[r];
        if (trial->bin_count == 0 || trial->target < 0)
            continue;
        /* Of all trials, so that every fold has the same phases and one kernel serves them. */
        longest = trial->bin_count > longest ? trial->bin_count : longest;
        bool kept = out->parts == 0 || seen++ % out->parts != out->part;
        if (kept && traj_fold_used(trial->fold, out->fold))
            add_trial(reach, with_frames(reach, trial));
    }
    return longest;
}

/* Trials of kinematics-only sessions, behind the others. */
static void gather_taught(struct traj_reach *reach)
{
    const struct traj_training *training = reach->training;
    size_t own = reach->trials;
    for (size_t r = 0; reach->taught_weight > 0 && r < training->trials; r++) {
        const struct traj_course *trial = &training->trial[r];
        if (trial->session == (size_t)-1 && trial->target >= 0)
            add_trial(reach, (struct traj_reach_trial){
                                 .first = trial->first,
                                 .count = trial->count,
                                 .x = training->state + trial->first * 3 * reach->dim,
                                 .known = training->state_known + trial->first,
                                 .early = 1 - trial->offset / training->bin,
                                 .target = (size_t)trial->target,
                             });
    }
    reach->taught = reach->trials - own;
    reach->trials = own;
}

/* What a trial counts for. */
static double worth(const struct traj_reach *reach, size_t trial)
{
    return trial < reach->trials ? 1 : reach->taught_weight;
}

/* Where reaches begin, and how many trials each target has. */
static void count_trials(struct traj_reach *reach)
{
    double settled = 0;
    for (size_t r = 0; r < reach->trials + reach->taught; r++) {
        const struct traj_reach_trial *trial = &reach->trial[r];
        for (size_t i = 0; i < trial->count && i < SETTLED; i++) {
            for (size_t d = 0; d < reach->dim; d++)
                reach->origin[d] += worth(reach, r) * trial->x[i * 3 * reach->dim + d];
            settled += worth(reach, r);
        }
        reach->count[trial->target] += worth(reach, r);
        if (r + 1 == reach->trials)
            reach->per_target = median_positive(reach->count, reach->targets);
    }
    reach->per_course = median_positive(reach->count, reach->targets);
    for (size_t d = 0; d < reach->dim; d++)
        reach->origin[d] /= settled > 0 ? settled : 1;
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
static void trial_position(size_t dim, const struct traj_reach_trial *trial, double t, double *out)
{
    double last = (double)(trial->count - 1), at = fmin(fmax(t + trial->early, 0), last);
    size_t low = (size_t)at, high = (double)low < last ? low + 1 : low;
    for (size_t d = 0; d < dim; d++) {
        double a = trial->x[low * 3 * dim + d], b = trial->x[high * 3 * dim + d];
        out[d] = a + (at - (double)low) * (b - a);
    }
}

/* Sums the resampled trials of each target: sum[m][g][d]. */
static void sum_courses(const struct traj_reach *reach, double *sum)
{
    double at[TRAJ_DIM_MAX];
    memset(sum, 0, reach->targets * reach->phases * reach->dim * sizeof *sum);
    for (size_t r = 0; r < reach->trials + reach->taught; r++) {
        const struct traj_reach_trial *trial = &reach->trial[r];
        for (size_t h = 0; h < trial->heavy; h++) {
            double delay = reach->delay[trial->cell[h] % TRAJ_REACH_DELAYS];
            double slow = traj_reach_slowness(trial->cell[h]);
            for (size_t g = 0; g < reach->phases; g++) {
                double z = (double)g <= reach->onset
                               ? (double)g
                               : reach->onset + ((double)g - reach->onset) * slow;
                double *into = sum + (trial->target * reach->phases + g) * reach->dim;
                trial_position(reach->dim, trial, z + delay, at);
                for (size_t d = 0; d < reach->dim; d++)
                    into[d] += worth(reach, r) * trial->weight[h] * at[d];
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
                    (sum[at] + TRAJ_REACH_PRIOR * pooled) / (reach->count[m] + TRAJ_REACH_PRIOR);
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

/* Posterior over cells of one trial, from its positions; returns their log evidence. */
static double assign(const struct traj_reach *reach, const struct traj_reach_trial *trial,
                     double *posterior)
{
    double most = -INFINITY, sum = 0, at[TRAJ_DIM_MAX];
    double scale = 2 * CORRELATED * reach->scatter * reach->scatter;
    for (size_t c = 0; c < TRAJ_REACH_CELLS; c++) {
        double square = 0;
        for (size_t i = 0; i < trial->count; i++) {
            double place = traj_reach_place(reach, c, i) - trial->early;
            traj_reach_position(reach, trial->target,
                                traj_reach_phase(reach, place, traj_reach_slowness(c)), at);
            for (size_t d = 0; d < reach->dim; d++) {
                double apart = trial->x[i * 3 * reach->dim + d] - at[d];
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
    return most + log(sum);
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
    double trials = 0;
    for (size_t r = 0; r < reach->trials + reach->taught; r++) {
        (void)assign(reach, &reach->trial[r], posterior);
        keep_heavy(&reach->trial[r], posterior);
        for (size_t c = 0; c < TRAJ_REACH_CELLS; c++)
            total[c] += worth(reach, r) * posterior[c];
        trials += worth(reach, r);
    }
    believed_warps(reach, believed);
    for (size_t c = 0; c < TRAJ_REACH_CELLS; c++)
        reach->prior[c] = (total[c] + WARP_PRIOR * believed[c]) / (trials + WARP_PRIOR);
}

static void start_unwarped(struct traj_reach *reach)
{
    size_t slow = 0, delay = 0;
    while (traj_reach_slow[slow] < 1)
        slow++;
    while (delay_20ms[delay] < 0)
        delay++;
    for (size_t r = 0; r < reach->trials + reach->taught; r++) {
        reach->trial[r].heavy = 1;
        reach->trial[r].cell[0] = slow * TRAJ_REACH_DELAYS + delay;
        reach->trial[r].weight[0] = 1;
    }
    believed_warps(reach, reach->prior);
}

/* All but what is fitted; NULL where there is no memory. */
static struct traj_reach *begin(const struct traj_training *training, double onset,
                                double taught_weight, const struct left_out *out)
{
    struct traj_reach *reach = calloc(1, sizeof *reach);
    if (!reach)
        return NULL;
    reach->training = training;
    reach->dim = training->dim;
    reach->targets = training->targets;
    reach->onset = onset;
    reach->taught_weight = taught_weight;
    for (size_t i = 0; i < TRAJ_REACH_DELAYS; i++)
        reach->delay[i] = floor(delay_20ms[i] * 0.02 / training->bin + 0.5);
    reach->trial = calloc(training->trials + 1, sizeof *reach->trial);
    reach->count = calloc(reach->targets + 1, sizeof *reach->count);
    if (reach->trial && reach->count) {
        reach->phases = gather(reach, out) + TAIL;
        gather_taught(reach);
        count_trials(reach);
        reach->scatter = SCATTER * fmax(reach_length(reach), SHORTEST * training->scale[0]);
        reach->course =
            calloc(reach->targets * reach->phases * reach->dim + 1, sizeof *reach->course);
    }
    if (!reach->course) {
        traj_reach_free(reach);
        return NULL;
    }
    return reach;
}

static struct traj_reach *fit_courses(const struct traj_training *training, double onset,
                                      double taught_weight, const struct left_out *out,
                                      struct traj_error *error)
{
    struct traj_reach *reach = begin(training, onset, taught_weight, out);
    size_t size = reach ? reach->targets * reach->phases * reach->dim : 0;
    double *sum = calloc(size + 1, sizeof *sum);
    if (!sum || !reach || reach->trials == 0) {
        traj_error_set(error, sum && reach ? "no trial with a known target to learn courses from"
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

struct traj_reach *traj_reach_fit(const struct traj_training *training, double onset,
                                  double taught_weight, unsigned without, struct traj_error *error)
{
    struct left_out out = nothing;
    out.fold = without;
    return fit_courses(training, onset, taught_weight, &out, error);
}

/* ---- what kinematics-only sessions are worth ----------------------------------------------- */

/* Adds the log evidence of the trials of one part, under courses of the others. */
static int weigh_part(const struct traj_training *training, double onset, double weight,
                      size_t part, double *evidence, struct traj_error *error)
{
    struct left_out out = {TRAJ_FOLD_NONE, part, PARTS};
    struct traj_reach *reach = fit_courses(training, onset, weight, &out, error);
    double posterior[TRAJ_REACH_CELLS];
    size_t seen = 0;
    if (!reach)
        return -1;
    for (size_t r = 0; r < training->trials; r++) {
        const struct traj_course *course = &training->trial[r];
        if (course->bin_count == 0 || course->target < 0 || seen++ % PARTS != part)
            continue;
        struct traj_reach_trial trial = with_frames(reach, course);
        if (moves(&trial))
            *evidence += assign(reach, &trial, posterior);
    }
    traj_reach_free(reach);
    return 0;
}

int traj_reach_taught(const struct traj_training *training, double onset, double *weight,
                      struct traj_error *error)
{
    static const double grid[] = {0, 0.01, 0.03, 0.1, 0.3, 1};
    double most = -INFINITY;
    *weight = training->taught > 0 ? TAUGHT_USUAL : 0;
    if (training->taught == 0 || training->labelled < PARTS)
        return 0;
    for (size_t i = 0; i < sizeof grid / sizeof *grid; i++) {
        double evidence = 0;
        for (size_t part = 0; part < PARTS; part++)
            if (weigh_part(training, onset, grid[i], part, &evidence, error))
                return -1;
        if (evidence > most) {
            most = evidence;
            *weight = grid[i];
        }
    }
    return 0;
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
