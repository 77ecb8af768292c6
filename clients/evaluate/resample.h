/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Intervals and paired tests over groups: trials, or stretches of time in unbroken recordings.
 * Errors within a group hang together, so groups are what is drawn.
 */
#ifndef TRAJ_EVALUATE_RESAMPLE_H
#define TRAJ_EVALUATE_RESAMPLE_H

#include "clients/evaluate/metrics.h"

/* What is summed over the scored bins of a group. */
enum traj_sum {
    TRAJ_SUM_BINS,
    TRAJ_SUM_SQUARE, /* squared error of position; a bin without an answer costs the whole distance
                        to the mean position */
    TRAJ_SUM_SPREAD, /* squared deviation of the true position from its mean */
    TRAJ_SUM_VELOCITY_SQUARE, /* likewise; a bin without an answer counts as velocity 0 */
    TRAJ_SUM_VELOCITY_SPREAD,
    TRAJ_SUM_LOG, /* ln(probability of the true target) */
    TRAJ_SUM_LOG_BINS,
    TRAJ_SUMS
};
struct traj_group_sums {
    size_t groups;
    bool velocity;            /* any velocity was decoded */
    double (*sum)[TRAJ_SUMS]; /* [groups] */
};

/*
 * Sums over the bins that count (keep), group[bins] < groups being the group of each.
 * 0, or -1 when memory is short.
 */
int traj_group_sums_init(struct traj_group_sums *tally, const struct traj_session *session,
                         const struct traj_truth *truth, const struct traj_decoded *decoded,
                         const bool *keep, const size_t *group, size_t groups);
void traj_group_sums_free(struct traj_group_sums *tally);

enum traj_stat {
    TRAJ_STAT_RMSE,
    TRAJ_STAT_RMSE_GROUP, /* mean over groups of the group's own rmse */
    TRAJ_STAT_MVAF,
    TRAJ_STAT_VELOCITY_MVAF,
    TRAJ_STAT_LOG_SCORE,
    TRAJ_STATS
};
struct traj_measure {
    double value, low, high; /* with its 95 % interval */
};

/*
 * Each statistic, averaged over the tallies of several draws on the same groups, with percentile
 * intervals of a bootstrap over groups.  The same groups are drawn by every call.  0, or -1 when
 * memory is short.
 */
int traj_bootstrap(const struct traj_group_sums *const *draw, size_t draws, size_t resamples,
                   struct traj_measure out[TRAJ_STATS]);

/* Two methods on the same groups. */
enum traj_paired_of { TRAJ_PAIRED_POSITION, TRAJ_PAIRED_VELOCITY, TRAJ_PAIRED_LOG, TRAJ_PAIRED };
struct traj_paired {
    size_t groups;                  /* in which both were scored */
    struct traj_measure difference; /* mean over groups of a's rmse (log score) less b's */
    struct traj_measure ratio; /* of the rmse over all bins, a's over b's; NaN for log scores */
    double better;             /* share of groups in which a is the better one */
    double p; /* two-sided: how often flipping signs at random gives as large a difference */
};

/* Compares a with b, paired over groups; fields that cannot be computed are NaN.  0, or -1 when
 * memory is short. */
int traj_compare(const struct traj_group_sums *const *a, const struct traj_group_sums *const *b,
                 size_t draws, size_t resamples, struct traj_paired out[TRAJ_PAIRED]);

/*
 * The two-sided p of a mean difference under random signs: all 2^count assignments up to 16
 * differences, else 20000 drawn ones, the observed one counted among them.
 */
double traj_sign_flip(const double *difference, size_t count);

#endif
