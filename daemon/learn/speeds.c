/* SPDX-License-Identifier: GPL-3.0-or-later */
/* How fast each trial's movement was made. */
#include "daemon/learn/speeds.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define ROUNDS 5                /* of laying the trials over their mean and taking the mean again */
#define SPAN 400                /* bins of the common course, some before onset among them */
#define BEFORE 10               /* bins before onset */
#define FASTEST 1.2             /* largest |s| */
#define STEP 0.05               /* of the search for s */
#define SPREAD_OF_PROGRESS 0.03 /* standard deviation of progress about the common course */
#define CORRELATED 4.0          /* deviations of so many bins in a row are alike and count as one */
#define WIDEST 0.5              /* standard deviation of s that is thought possible at first */
#define SHORT 0.2        /* movements of less than this share of the median length say nothing */
#define USUAL 0.15       /* standard deviation of s where it cannot be measured, */
#define USUAL_WEIGHT 2.0 /* and so many trials' worth of it where it can */

/* What is laid over each other: progress along the line from a movement's start to its end. */
struct laying {
    const struct traj_training *training;
    double plan_end;
    double *common; /* [SPAN] mean progress at (j - BEFORE) bins after onset, at common speed */
    double *sum;    /* [SPAN] */
    double *own;    /* [SPAN] a trial's progress in the bins after its movement's begin */
    size_t bins;    /* how many of them it has */
};

static const double *position_at(const struct traj_training *training,
                                 const struct traj_course *trial, size_t t)
{
    return training->state + (trial->first + t) * 3 * training->dim;
}

/* First and last known state of a movement; false where there are not two. */
static bool extent(const struct laying *laying, const struct traj_course *trial, size_t *first,
                   size_t *last)
{
    const struct traj_training *training = laying->training;
    *first = traj_movement_begin(training, trial, laying->plan_end);
    while (*first < trial->count && !training->state_known[trial->first + *first])
        (*first)++;
    *last = trial->count > 0 ? trial->count - 1 : 0;
    while (*last > *first && !training->state_known[trial->first + *last])
        (*last)--;
    return *first<trial->count && * last> * first;
}

static double length(const struct laying *laying, const struct traj_course *trial)
{
    size_t first, last;
    double sum = 0;
    if (!extent(laying, trial, &first, &last))
        return 0;
    const double *from = position_at(laying->training, trial, first);
    const double *to = position_at(laying->training, trial, last);
    for (size_t d = 0; d < laying->training->dim; d++)
        sum += (to[d] - from[d]) * (to[d] - from[d]);
    return sqrt(sum);
}

/* Progress of a trial at a time in bins after its movement's begin; held at the ends. */
static double progress(const struct laying *laying, const struct traj_course *trial, double t)
{
    const struct traj_training *training = laying->training;
    size_t first, last, begin = traj_movement_begin(training, trial, laying->plan_end);
    (void)extent(laying, trial, &first, &last);
    double at = fmin(fmax((double)begin + t, (double)first), (double)last);
    size_t low = (size_t)at < last ? (size_t)at : last - 1;
    /* Where a state is not known its neighbours stand for it. */
    size_t high = low + 1;
    while (low > first && !training->state_known[trial->first + low])
        low--;
    while (high < last && !training->state_known[trial->first + high])
        high++;
    const double *from = position_at(training, trial, first);
    const double *to = position_at(training, trial, last);
    const double *a = position_at(training, trial, low), *b = position_at(training, trial, high);
    double share = (at - (double)low) / (double)(high - low), along = 0, square = 0;
    for (size_t d = 0; d < training->dim; d++) {
        double whole = to[d] - from[d];
        along += whole * (a[d] + share * (b[d] - a[d]) - from[d]);
        square += whole * whole;
    }
    return along / square;
}

/* The common course at a time in bins after onset; held at the ends. */
static double common_at(const struct laying *laying, double tau)
{
    double at = fmin(fmax(tau + BEFORE, 0), SPAN - 1);
    size_t low = (size_t)at < SPAN - 1 ? (size_t)at : SPAN - 2;
    return laying->common[low] +
           (at - (double)low) * (laying->common[low + 1] - laying->common[low]);
}

/* Takes up a trial. */
static void take(struct laying *laying, const struct traj_course *trial)
{
    size_t begin = traj_movement_begin(laying->training, trial, laying->plan_end);
    laying->bins = trial->count - begin < SPAN ? trial->count - begin : SPAN;
    for (size_t t = 0; t < laying->bins; t++)
        laying->own[t] = progress(laying, trial, (double)t);
}

/* Squared distance of the trial from the common course run at e^s, with the pull of its prior. */
static double distance(const struct laying *laying, double onset, double s)
{
    double sum = 0, pace = exp(s);
    for (size_t t = 0; t < laying->bins; t++) {
        double apart = laying->own[t] - common_at(laying, ((double)t - onset) * pace);
        sum += apart * apart;
    }
    return sum / (SPREAD_OF_PROGRESS * SPREAD_OF_PROGRESS * CORRELATED) + s * s / (WIDEST * WIDEST);
}

/* The s of least distance: on a grid, then between its points. */
static double best_speed(const struct laying *laying, double onset)
{
    double best = INFINITY, chosen = 0;
    for (double s = -FASTEST; s <= FASTEST + STEP / 2; s += STEP) {
        double now = distance(laying, onset, s);
        if (now < best) {
            best = now;
            chosen = s;
        }
    }
    double left = distance(laying, onset, chosen - STEP);
    double right = distance(laying, onset, chosen + STEP);
    double bend = left + right - 2 * best;
    return bend > 0 ? chosen + STEP * (left - right) / (2 * bend) : chosen;
}

/* The mean of all trials, each at its own speed. */
static void renew_common(struct laying *laying, const struct traj_speeds *speeds)
{
    memset(laying->sum, 0, SPAN * sizeof *laying->sum);
    double count = 0;
    for (size_t r = 0; r < speeds->trials; r++) {
        double pace = exp(-speeds->speed[r]);
        for (size_t j = 0; speeds->used[r] && j < SPAN; j++) {
            double t = speeds->onset[r] + ((double)j - BEFORE) * pace;
            laying->sum[j] += progress(laying, &laying->training->trial[r], t);
        }
        count += speeds->used[r];
    }
    for (size_t j = 0; j < SPAN; j++)
        laying->common[j] = count > 0 ? laying->sum[j] / count : 0;
}

static int ascending(const void *a, const void *b)
{
    double x, y;
    memcpy(&x, a, sizeof x);
    memcpy(&y, b, sizeof y);
    return (x > y) - (x < y);
}

/* Onsets, and which trials go a good part of the usual way; 0, or -1 without memory. */
static int find_movements(const struct laying *laying, struct traj_speeds *speeds)
{
    const struct traj_training *training = laying->training;
    double *sorted = malloc((training->trials + 1) * sizeof *sorted);
    if (!sorted)
        return -1;
    for (size_t r = 0; r < training->trials; r++)
        sorted[r] = length(laying, &training->trial[r]);
    qsort(sorted, training->trials, sizeof *sorted, ascending);
    double median = training->trials > 0 ? sorted[training->trials / 2] : 0;
    free(sorted);
    for (size_t r = 0; r < training->trials; r++) {
        const struct traj_course *trial = &training->trial[r];
        size_t begin = traj_movement_begin(training, trial, laying->plan_end);
        double far = length(laying, trial);
        speeds->used[r] = far > 0 && far > SHORT * median;
        speeds->onset[r] = begin < trial->count ? traj_trial_onset(training, trial, begin) : 0;
    }
    return 0;
}

/* s of all trials, about their mean. */
static void settle(struct laying *laying, struct traj_speeds *speeds)
{
    double sum = 0, count = 0;
    renew_common(laying, speeds);
    for (size_t r = 0; r < speeds->trials; r++) {
        if (!speeds->used[r])
            continue;
        take(laying, &laying->training->trial[r]);
        speeds->speed[r] = best_speed(laying, speeds->onset[r]);
        sum += speeds->speed[r];
        count++;
    }
    for (size_t r = 0; r < speeds->trials; r++)
        if (speeds->used[r])
            speeds->speed[r] -= sum / count;
}

int traj_speeds_make(struct traj_speeds *speeds, const struct traj_training *training,
                     double plan_end, struct traj_error *error)
{
    struct laying laying = {.training = training, .plan_end = plan_end};
    *speeds = (struct traj_speeds){.trials = training->trials};
    speeds->speed = calloc(training->trials + 1, sizeof *speeds->speed);
    speeds->onset = calloc(training->trials + 1, sizeof *speeds->onset);
    speeds->used = calloc(training->trials + 1, sizeof *speeds->used);
    laying.common = calloc((size_t)3 * SPAN, sizeof *laying.common);
    if (!speeds->speed || !speeds->onset || !speeds->used || !laying.common ||
        find_movements(&laying, speeds)) {
        free(laying.common);
        traj_speeds_free(speeds);
        return traj_error_set(error, "no memory for the speeds of %zu trials", training->trials);
    }
    laying.sum = laying.common + SPAN;
    laying.own = laying.sum + SPAN;
    for (int round = 0; round < ROUNDS; round++)
        settle(&laying, speeds);
    free(laying.common);
    return 0;
}

void traj_speeds_free(struct traj_speeds *speeds)
{
    free(speeds->speed);
    free(speeds->onset);
    free(speeds->used);
    *speeds = (struct traj_speeds){.trials = 0};
}

void traj_speeds_prior(const struct traj_speeds *speeds, const struct traj_training *training,
                       unsigned without, double *mean, double *variance)
{
    double count = 0, sum = 0, square = 0;
    for (size_t r = 0; r < speeds->trials; r++) {
        if (!speeds->used[r] || !traj_fold_used(training->trial[r].fold, without))
            continue;
        count++;
        sum += speeds->speed[r];
    }
    *mean = count > 0 ? sum / count : 0;
    for (size_t r = 0; r < speeds->trials; r++)
        if (speeds->used[r] && traj_fold_used(training->trial[r].fold, without))
            square += (speeds->speed[r] - *mean) * (speeds->speed[r] - *mean);
    *variance = (square + USUAL_WEIGHT * USUAL * USUAL) / (count + USUAL_WEIGHT);
}
