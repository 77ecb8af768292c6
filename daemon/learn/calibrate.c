/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Calibration on held-out folds: the factors on covariances at which their regions hold what they
 * say, and the power of the target probabilities that scores best.
 *
 * Folds are decoded by models that have seen fewer trials than the final one, and with few trials
 * that matters: with two a target, the target of a held-out trial was trained on one.  Squared
 * errors fall as 1 + 1/n, so that factors found with n' trials a target are multiplied by
 * (1 + 1/n) / (1 + 1/n'), and the power of target probabilities is divided by it.  Then they are
 * drawn towards what is believed before any trial was decoded, which is that the posterior is
 * right.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/learn/matrix.h"
#include "daemon/learn/regions.h"
#include "daemon/learn/select.h"

#define BINS_MAX 20000
#define BINS_NEEDED 20
#define PRIOR_TRIALS 8.0
#define PRIOR_TARGETS 24.0
/*
 * Log factor that a right covariance needs: the posterior is a mixture with heavier tails than a
 * Gaussian.  Where they are those of a t distribution with 6 degrees of freedom, the regions of its
 * own covariance hold .60 and .90, and those of exp(-0.15) of it .55 and .88.
 */
#define PRIOR_FACTOR (-0.15)
#define PIECE 2.0 /* s, length of the pieces of an unbroken session that count as a trial */
#define PROBABILITY_FLOOR 1e-300
/* Shares of a round covariance that are tried, and how many nats of a trial's worth it takes. */
#define ROUNDS 6
static const double round_share[ROUNDS] = {0, 0.1, 0.2, 0.35, 0.5, 0.75};
#define ROUND_LUCK 1.0
#define TAIL 6.0 /* degrees of freedom of the t distribution that judges it */

/* What is kept of every held-out bin. */
struct tally {
    size_t bins, cap;
    size_t marked;           /* of the bins: the first, decoded with trial marks */
    double *rounded;         /* [ROUNDS][cap] squared Mahalanobis distance of the true position */
    double *log_det;         /* [ROUNDS][cap] of the covariance that goes with it */
    double *position;        /* [bins] those of the share that was chosen */
    double *velocity;        /* [bins] of the true velocity, NaN = not known */
    double *position_spread; /* [bins] log of the mean variance of a coordinate */
    double *velocity_spread; /* [bins] */
    double *speed;           /* [bins] log of the squared decoded speed */
    size_t labelled, targets;
    double *log_prob; /* [labelled][targets + 1] of each target and of free */
    int32_t *target;  /* [labelled] */
};

static double mean_variance(const double *cov, size_t dim)
{
    double trace = 0;
    for (size_t d = 0; d < dim; d++)
        trace += cov[d * dim + d];
    return trace / (double)dim;
}

/*
 * Squared distance of truth from mean in units of cov, of which a share is made round (struct
 * traj_calibration); NaN where cov is not usable.  log_det, not NULL, gets that of the covariance.
 */
static double mahalanobis(const double *mean, const double *cov, double share, const double *truth,
                          size_t dim, double *log_det)
{
    double factor[TRAJ_DIM_MAX * TRAJ_DIM_MAX], apart[TRAJ_DIM_MAX], solved[TRAJ_DIM_MAX], sum = 0;
    for (size_t i = 0; i < dim * dim; i++)
        factor[i] = (1 - share) * cov[i];
    for (size_t d = 0; d < dim; d++)
        factor[d * dim + d] += share * mean_variance(cov, dim);
    if (traj_matrix_cholesky(factor, dim))
        return NAN;
    for (size_t d = 0; d < dim; d++)
        apart[d] = solved[d] = truth[d] - mean[d];
    traj_matrix_cholesky_solve(factor, dim, solved, 1);
    for (size_t d = 0; d < dim; d++)
        sum += apart[d] * solved[d];
    if (log_det) {
        *log_det = 0;
        for (size_t d = 0; d < dim; d++)
            *log_det += 2 * log(factor[d * dim + d]);
    }
    return sum;
}

static double log_spread(const double *cov, size_t dim)
{
    return log(mean_variance(cov, dim));
}

static double log_square(const double *vector, size_t dim)
{
    double sum = 0;
    for (size_t d = 0; d < dim; d++)
        sum += vector[d] * vector[d];
    return log(sum);
}

static void add_bin(void *context, const struct traj_held *held, size_t bin,
                    const struct traj_intent *intent, const struct traj_decoder *decoder)
{
    (void)decoder;
    struct tally *tally = context;
    size_t dim = intent->dim;
    if (tally->bins == tally->cap || !intent->position || !intent->position_cov)
        return;
    size_t i = tally->bins++;
    for (size_t r = 0; r < ROUNDS; r++)
        tally->rounded[r * tally->cap + i] =
            mahalanobis(intent->position, intent->position_cov, round_share[r],
                        held->position + bin * dim, dim, tally->log_det + r * tally->cap + i);
    tally->position_spread[i] = log_spread(intent->position_cov, dim);
    tally->velocity[i] = tally->velocity_spread[i] = tally->speed[i] = NAN;
    if (intent->velocity && intent->velocity_cov) {
        tally->velocity[i] = mahalanobis(intent->velocity, intent->velocity_cov, 0,
                                         held->velocity + bin * dim, dim, NULL);
        tally->velocity_spread[i] = log_spread(intent->velocity_cov, dim);
        tally->speed[i] = log_square(intent->velocity, dim);
    }
    if (held->target[bin] < 0 || !intent->target_prob || intent->targets != tally->targets)
        return;
    double *row = tally->log_prob + tally->labelled * (tally->targets + 1);
    for (size_t m = 0; m < tally->targets; m++)
        row[m] = log(intent->target_prob[m] + PROBABILITY_FLOOR);
    row[tally->targets] =
        isnan(intent->free_prob) ? -INFINITY : log(intent->free_prob + PROBABILITY_FLOOR);
    tally->target[tally->labelled++] = held->target[bin];
}

/* How target probabilities are published (struct traj_calibration). */
struct belief {
    double power, rise, free_bias;
};

/* Log of the greatest and of the sum of a row, free with its bias included. */
static double greatest_of(const double *row, size_t targets, double free_bias, double *log_sum)
{
    double most = -INFINITY, sum = 0;
    for (size_t m = 0; m < targets; m++)
        most = fmax(most, row[m]);
    double top = fmax(most, row[targets] + free_bias);
    for (size_t m = 0; m <= targets; m++)
        sum += exp(row[m] + (m == targets ? free_bias : 0) - top);
    *log_sum = top + log(sum);
    return most;
}

/*
 * A share of trials that nothing foretells (the movement that belongs to none of the targets, a
 * change of mind) is allowed for: without it a few of them would make all the others seem less
 * certain than they are.
 */
#define LEAKS 5
static const double leaks[LEAKS] = {0, 0.01, 0.02, 0.04, 0.08};

/* score[l]: mean log probability of the true target where a share leaks[l] is spread evenly. */
static void believed_scores(const struct tally *tally, const struct belief *belief, double *score)
{
    memset(score, 0, LEAKS * sizeof *score);
    for (size_t i = 0; i < tally->labelled; i++) {
        const double *row = tally->log_prob + i * (tally->targets + 1);
        double log_sum, total = 0;
        double most = greatest_of(row, tally->targets, belief->free_bias, &log_sum);
        double power = belief->power + belief->rise * exp(most - log_sum);
        for (size_t m = 0; m <= tally->targets; m++)
            total += exp(power * (row[m] + (m == tally->targets ? belief->free_bias : 0) - most));
        double own = power * (row[tally->target[i]] - most) - log(total);
        score[0] += own;
        for (size_t l = 1; l < LEAKS; l++)
            score[l] += log((1 - leaks[l]) * exp(own) + leaks[l] / (double)(tally->targets + 1));
    }
    for (size_t l = 0; l < LEAKS; l++)
        score[l] /= (double)tally->labelled;
}

/*
 * Of an unbroken recording, whose free places take probability from the targets on whose way they
 * lie, and in which a posterior that is nearly sure has been confirmed for many bins.  The bias of
 * free is bounded, so that a movement that fits no target can still be seen to be free.
 */
static struct belief best_belief(const struct tally *tally)
{
    static const double power[] = {1, 0.5, 0.7, 0.85, 1.2, 1.5, 2}, rise[] = {0, 0.5, 1, 1.5};
    static const double free_bias[] = {0, -1, -2, -3, -4};
    struct belief chosen = {1, 0, 0};
    double best = -INFINITY;
    for (size_t b = 0; b < sizeof free_bias / sizeof *free_bias; b++)
        for (size_t r = 0; r < sizeof rise / sizeof *rise; r++)
            for (size_t p = 0; p < sizeof power / sizeof *power; p++) {
                struct belief belief = {power[p], rise[r], free_bias[b]};
                double score[LEAKS];
                believed_scores(tally, &belief, score);
                for (size_t l = 0; l < LEAKS; l++)
                    if (score[l] > best) {
                        best = score[l];
                        chosen = belief;
                    }
            }
    return chosen;
}

/* Mean log probability of the true target when all are raised to a power, and a share of it all is
 * spread evenly. */
static double log_score(const struct tally *tally, double power, double leak)
{
    double sum = 0;
    for (size_t i = 0; i < tally->labelled; i++) {
        const double *row = tally->log_prob + i * (tally->targets + 1);
        double most = -INFINITY, total = 0;
        for (size_t m = 0; m <= tally->targets; m++)
            most = fmax(most, row[m]);
        for (size_t m = 0; m <= tally->targets; m++)
            total += exp(power * (row[m] - most));
        double own = power * (row[tally->target[i]] - most) - log(total);
        sum += leak > 0 ? log((1 - leak) * exp(own) + leak / (double)(tally->targets + 1)) : own;
    }
    return sum / (double)tally->labelled;
}

/* The power that scores best. */
static double best_power(const struct tally *tally)
{
    double best = -INFINITY, chosen = 1;
    for (int i = -20; i <= 10; i++)
        for (size_t l = 0; l < LEAKS; l++) {
            double power = pow(2, (double)i / 5), score = log_score(tally, power, leaks[l]);
            if (score > best) {
                best = score;
                chosen = power;
            }
        }
    return chosen;
}

static void free_tally(struct tally *tally)
{
    free(tally->velocity);
    free(tally->log_prob);
    free(tally->target);
}

static int make_tally(struct tally *tally, const struct traj_training *training,
                      const struct traj_bench *bench, size_t runs, struct traj_error *error)
{
    size_t bins = 0;
    for (size_t i = 0; i < bench->count; i++)
        bins += runs * bench->held[i].session->bins;
    *tally = (struct tally){.cap = bins, .targets = training->targets};
    tally->velocity = malloc((bins + 1) * (4 + 2 * ROUNDS) * sizeof(double));
    tally->log_prob = malloc((bins + 1) * (training->targets + 1) * sizeof(double));
    tally->target = malloc((bins + 1) * sizeof *tally->target);
    if (!tally->velocity || !tally->log_prob || !tally->target)
        return traj_error_set(error, "no memory to calibrate on %zu bins", bins);
    tally->position_spread = tally->velocity + bins;
    tally->velocity_spread = tally->position_spread + bins;
    tally->speed = tally->velocity_spread + bins;
    tally->position = tally->rounded = tally->speed + bins;
    tally->log_det = tally->rounded + ROUNDS * bins;
    return 0;
}

/* ---- settling -------------------------------------------------------------------------------- */

/* What the held-out pieces weigh. */
struct weight {
    double trials;     /* independent pieces */
    double share;      /* of the data against what was believed before, 0..1 */
    double target;     /* the same for the power of target probabilities: a trial is one target */
    double correction; /* of log factors for the trials that the folds went without */
};

static struct weight weigh(const struct traj_training *training, const struct tally *tally)
{
    struct weight weight = {(double)tally->bins * training->bin / PIECE, 0, 0, 0};
    double n = (double)training->per_target;
    if (training->labelled > 0 && !training->unbroken)
        weight.trials = (double)training->labelled;
    weight.share = weight.trials / (weight.trials + PRIOR_TRIALS);
    weight.target = weight.trials / (weight.trials + PRIOR_TARGETS);
    if (n >= 1 && training->labelled > 0) {
        double less = n - fmax(1, n / (double)training->folds);
        /* A target that no fold has seen says nothing of what one trial of it will do. */
        if (less < 0.5)
            weight.share = weight.target = 0;
        else
            weight.correction = log((1 + 1 / n) / (1 + 1 / less));
    }
    return weight;
}

static double overall_factor(const struct weight *weight, const double *distance, size_t count,
                             size_t dim)
{
    double found = traj_regions_balance(distance, NULL, count, dim) + weight->correction;
    return exp(weight->share * found + (1 - weight->share) * PRIOR_FACTOR);
}

/*
 * Mean log density of the true position under a t distribution with TAIL degrees of freedom whose
 * covariance has this share of a round one, and the size at which its regions hold what they say.
 */
static double round_score(const struct tally *tally, size_t r, size_t dim)
{
    const double *distance = tally->rounded + r * tally->cap;
    const double *log_det = tally->log_det + r * tally->cap;
    double log_size = traj_regions_balance(distance, NULL, tally->bins, dim), sum = 0;
    for (size_t i = 0; i < tally->bins; i++)
        if (isfinite(distance[i]))
            sum -= (log_det[i] + (double)dim * log_size) / 2 +
                   (TAIL + (double)dim) / 2 * log1p(distance[i] / exp(log_size) / TAIL);
    return sum / (double)tally->bins;
}

/* What does not pay for itself beyond luck stays at 0. */
static double settle_round(struct tally *tally, const struct weight *weight, size_t dim)
{
    size_t best = 0;
    double plain = round_score(tally, 0, dim), most = plain + ROUND_LUCK / (weight->trials + 1);
    for (size_t r = 1; r < ROUNDS && dim > 1 && weight->share > 0; r++) {
        double score = round_score(tally, r, dim);
        if (score > most) {
            most = score;
            best = r;
        }
    }
    tally->position = tally->rounded + best * tally->cap;
    return round_share[best];
}

static void settle_regions(struct tally *tally, const struct weight *weight, size_t dim,
                           struct traj_calibration *calibration)
{
    size_t bins = tally->bins;
    calibration->position_round = settle_round(tally, weight, dim);
    traj_regions_fit(tally->position_spread, tally->position, bins, dim, weight->trials,
                     &calibration->position_by_spread);
    traj_regions_apply(&calibration->position_by_spread, tally->position_spread, tally->position,
                       bins);
    traj_regions_fit(tally->velocity_spread, tally->velocity, bins, dim, weight->trials,
                     &calibration->velocity_by_spread);
    traj_regions_apply(&calibration->velocity_by_spread, tally->velocity_spread, tally->velocity,
                       bins);
    traj_regions_fit(tally->speed, tally->velocity, bins, dim, weight->trials,
                     &calibration->velocity_by_speed);
    traj_regions_apply(&calibration->velocity_by_speed, tally->speed, tally->velocity, bins);
    calibration->position_scale = overall_factor(weight, tally->position, tally->marked, dim);
    if (tally->marked < bins)
        calibration->position_unmarked =
            log(overall_factor(weight, tally->position + tally->marked, bins - tally->marked, dim) /
                calibration->position_scale);
    calibration->velocity_scale = overall_factor(weight, tally->velocity, bins, dim);
    if (weight->share > 0)
        return;
    calibration->position_by_spread = (struct traj_curve){{0}, {0}};
    calibration->velocity_by_spread = calibration->velocity_by_speed =
        calibration->position_by_spread;
}

static void settle_targets(const struct tally *tally, const struct traj_training *training,
                           const struct weight *weight, struct traj_calibration *calibration)
{
    struct belief belief = {1, 0, 0};
    if (training->unbroken)
        belief = best_belief(tally);
    else
        /* Folds that went without trials know less of what tells targets apart than the model. */
        belief.power = best_power(tally) * exp(-weight->correction);
    calibration->target_power = pow(belief.power, weight->target);
    calibration->target_rise = weight->target * belief.rise;
    calibration->free_bias = weight->target * belief.free_bias;
}

static void settle(struct tally *tally, const struct traj_training *training,
                   struct traj_calibration *calibration, struct traj_calibrated *calibrated)
{
    struct weight weight = weigh(training, tally);
    double coverage[2];
    calibrated->bins = tally->bins;
    traj_regions_coverage(tally->position, tally->bins, training->dim, coverage);
    calibrated->coverage_before = coverage[1];
    if (tally->bins >= BINS_NEEDED)
        settle_regions(tally, &weight, training->dim, calibration);
    if (tally->labelled >= BINS_NEEDED) {
        settle_targets(tally, training, &weight, calibration);
        struct belief belief = {calibration->target_power, calibration->target_rise,
                                calibration->free_bias};
        calibrated->log_score_before = log_score(tally, 1, 0);
        double score[LEAKS];
        believed_scores(tally, &belief, score);
        calibrated->log_score_after = score[0];
    }
}

int traj_calibrate(const struct traj_maker *maker, struct traj_calibration *calibration,
                   struct traj_calibrated *calibrated, struct traj_error *error)
{
    const struct traj_training *training = maker->training;
    /* An unbroken session may be decoded with its trial marks or without. */
    size_t runs = training->unbroken && training->trials > 0 ? 2 : 1;
    *calibrated = (struct traj_calibrated){NAN, NAN, NAN, 0};
    *calibration = (struct traj_calibration)TRAJ_CALIBRATION_NONE;
    if (training->folds == 0)
        return 0;
    struct traj_bench bench;
    struct tally tally = {.cap = 0};
    int status = traj_bench_make(&bench, training, BINS_MAX / runs, error);
    if (status == 0)
        status = make_tally(&tally, training, &bench, runs, error);
    for (size_t i = 0; i < runs && status == 0; i++) {
        status = traj_bench_run(&bench, maker, i == 0, add_bin, &tally, error);
        tally.marked = i == 0 ? tally.bins : tally.marked;
    }
    if (status == 0)
        settle(&tally, training, calibration, calibrated);
    free_tally(&tally);
    traj_bench_free(&bench);
    return status;
}
