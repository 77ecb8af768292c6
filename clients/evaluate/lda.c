/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Class by linear discriminant analysis with a growing window, then the mean course (the decoder
 * that a brain-computer interface for targets uses: Santhanam, Ryu, Yu, Afshar and Shenoy 2006,
 * Nature 442:195, whose classifier this widens to a window that grows from the trial's start).
 *
 *     z_k = sqrt(counts of each unit in the first k bins of the trial + 1/4)
 *     log p(m | z_k) = -(z_k - a_mk)' S_k^-1 (z_k - a_mk) / 2 + log P(m) + const
 *     S_k = (1 - s) (pooled covariance about the class means) + s D_k,
 * D_k = 1/4, the variance of the root of a Poisson count (a feature's own variance elsewhere); the
 * shrinkage s (Friedman 1989, Journal of the American Statistical Association 84:165) by the
 * held-out log-likelihood of the class.  Position and velocity are the mean of the targets' mean
 * courses under p(m | z_k).  The window stops growing where a fifth of the training trials end.
 */
#include <gsl/gsl_linalg.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "clients/evaluate/baseline.h"
#include "clients/evaluate/channels.h"

#define SHRINKAGES 5
#define FOLDS 5
static const double shrinkages[SHRINKAGES] = {1.0, 0.8, 0.6, 0.4, 0.2};

struct lda {
    size_t dim, units, channels, targets, steps, window; /* steps of a course, of the window */
    double width;
    double shrinkage;
    size_t *trials;                   /* [targets] training trials of each */
    double *mean;                     /* [window][targets][channels] class means */
    double *chol;                     /* [window][channels][channels] Cholesky factor of S_k */
    double *rate;                     /* [channels] mean of a bin, for what is not observed */
    double *position;                 /* [steps][targets][dim] mean courses */
    double *velocity;                 /* [steps][targets][dim] */
    double *spread;                   /* [steps][targets][dim][dim] covariance about them */
    double outside[2 * TRAJ_DIM_MAX]; /* mean position and velocity outside trials */
};

/* Training trials: their class and their growing windows. */
struct windows {
    size_t trials;
    size_t *target, *length; /* [trials] class, bins */
    double *z;               /* [trials][window][channels] */
};

static void lda_free(struct lda *l)
{
    free(l->trials);
    free(l->mean);
    free(l->chol);
    free(l->rate);
    free(l->position);
    free(l->velocity);
    free(l->spread);
}

static void windows_free(struct windows *w)
{
    free(w->target);
    free(w->length);
    free(w->z);
}

/* The step of a bin within its trial: 0 for the first. */
static size_t step_of(const struct lda *l, const struct traj_session *s, size_t trial, size_t bin)
{
    double steps = (s->t_end[bin] - s->start[trial]) / l->width;
    return steps < 1.5 ? 0 : (size_t)lround(steps) - 1;
}

/* Adds a bin to the running sums of a trial; what is not observed counts as its mean. */
static void accumulate(const struct lda *l, const struct traj_channels *c, size_t bin, double *sum)
{
    for (size_t n = 0; n < l->channels; n++) {
        double y = c->value[bin * c->channels + n];
        sum[n] += isnan(y) ? l->rate[n] : y;
    }
}

static void root(const struct lda *l, const double *sum, double *z)
{
    for (size_t n = 0; n < l->channels; n++) {
        z[n] = n < l->units ? sqrt(sum[n] + 0.25) : sum[n];
    }
}

/* ---- classifier ------------------------------------------------------------------------------ */

/* Class means and the Cholesky factor of S_k from the trials outside a fold (FOLDS = all). */
static int fit_step(const struct lda *l, const struct windows *w, size_t k, size_t fold,
                    double *mean, double *chol)
{
    size_t n = l->channels;
    double *count = calloc(l->targets + 1, sizeof *count), used = 0.0;
    double *centre = calloc(n, sizeof *centre), *variance = calloc(n, sizeof *variance);
    if (!count || !centre || !variance) {
        free(count);
        free(centre);
        free(variance);
        return -1;
    }
    memset(mean, 0, l->targets * n * sizeof *mean);
    memset(chol, 0, n * n * sizeof *chol);
    for (size_t r = 0; r < w->trials; r++) {
        const double *z = w->z + (r * l->window + k) * n;
        for (size_t i = 0; r % FOLDS != fold && i < n; i++) {
            mean[w->target[r] * n + i] += z[i];
            centre[i] += z[i];
            variance[i] += z[i] * z[i];
        }
        count[w->target[r]] += r % FOLDS != fold;
        used += r % FOLDS != fold;
    }
    for (size_t i = 0; i < l->targets * n; i++) {
        mean[i] /= count[i / n] > 0.0 ? count[i / n] : 1.0;
    }
    for (size_t r = 0; r < w->trials; r++) {
        const double *z = w->z + (r * l->window + k) * n, *a = mean + w->target[r] * n;
        for (size_t i = 0; r % FOLDS != fold && i < n; i++) {
            for (size_t j = 0; j <= i; j++) {
                chol[i * n + j] += (z[i] - a[i]) * (z[j] - a[j]);
            }
        }
    }
    double freedom = used - (double)l->targets > 1.0 ? used - (double)l->targets : used;
    for (size_t i = 0; i < n; i++) {
        double own = variance[i] / used - centre[i] * centre[i] / used / used;
        for (size_t j = 0; j <= i; j++) {
            chol[i * n + j] *= (1.0 - l->shrinkage) / freedom;
            chol[j * n + i] = chol[i * n + j];
        }
        chol[i * n + i] += l->shrinkage * (i < l->units ? 0.25 : own) + 1e-6 * (own + 1e-12);
    }
    free(count);
    free(centre);
    free(variance);
    gsl_matrix_view m = gsl_matrix_view_array(chol, n, n);
    return gsl_linalg_cholesky_decomp1(&m.matrix) ? -1 : 0;
}

/* log p(m | z) of each target that was trained on; -inf elsewhere. */
static int posterior(const struct lda *l, const double *mean, const double *chol, const double *z,
                     double *out)
{
    size_t n = l->channels;
    double *e = malloc(n * sizeof *e), most = -INFINITY, sum = 0.0;
    if (!e) {
        return -1;
    }
    for (size_t m = 0; m < l->targets; m++) {
        double square = 0.0;
        for (size_t i = 0; i < n; i++) { /* e = L^-1 (z - a) */
            double x = z[i] - mean[m * n + i];
            for (size_t j = 0; j < i; j++) {
                x -= chol[i * n + j] * e[j];
            }
            e[i] = x / chol[i * n + i];
            square += e[i] * e[i];
        }
        out[m] = l->trials[m] > 0 ? log((double)l->trials[m]) - 0.5 * square : -INFINITY;
        most = fmax(most, out[m]);
    }
    for (size_t m = 0; m < l->targets; m++) {
        sum += exp(out[m] - most);
    }
    for (size_t m = 0; m < l->targets; m++) {
        out[m] -= most + log(sum);
    }
    free(e);
    return 0;
}

/* Held-out log-likelihood of the classes at three ages of the window. */
static double held_out(const struct lda *l, const struct windows *w, double *mean, double *chol)
{
    double sum = 0.0, p[TRAJ_TARGETS_MAX];
    for (size_t third = 1; third <= 3; third++) {
        size_t k = third * l->window / 3;
        k = k > 0 ? k - 1 : 0;
        for (size_t fold = 0; fold < FOLDS; fold++) {
            if (fit_step(l, w, k, fold, mean, chol)) {
                return -INFINITY;
            }
            for (size_t r = fold; r < w->trials; r += FOLDS) {
                if (posterior(l, mean, chol, w->z + (r * l->window + k) * l->channels, p)) {
                    return -INFINITY;
                }
                sum += fmax(p[w->target[r]], -20.0);
            }
        }
    }
    return sum;
}

/* Shrinks fully where some target has a single trial: nothing can be held out then. */
static void choose_shrinkage(struct lda *l, const struct windows *w)
{
    double best = -INFINITY, chosen = 1.0;
    for (size_t m = 0; m < l->targets; m++) {
        if (l->trials[m] == 1) {
            l->shrinkage = 1.0;
            return;
        }
    }
    for (size_t i = 0; i < SHRINKAGES; i++) {
        l->shrinkage = shrinkages[i];
        double e = held_out(l, w, l->mean, l->chol);
        if (e > best) {
            best = e;
            chosen = shrinkages[i];
        }
    }
    l->shrinkage = chosen;
}

/* ---- training -------------------------------------------------------------------------------- */

static int ascending(const void *a, const void *b)
{
    size_t x = *(const size_t *)a, y = *(const size_t *)b;
    return (x > y) - (x < y);
}

/* Training trials with a target, in the order target by target so that folds are balanced; sets
 * steps and window. */
static int list_trials(struct lda *l, struct windows *w, const struct traj_session *s,
                       size_t *trial)
{
    size_t *length = calloc(s->trials + 1, sizeof *length);
    w->target = calloc(s->trials + 1, sizeof *w->target);
    w->length = calloc(s->trials + 1, sizeof *w->length);
    if (!length || !w->target || !w->length) {
        free(length);
        return -1;
    }
    for (size_t i = 0; i < s->bins; i++) {
        size_t r = traj_session_trial_at(s, s->t_end[i]);
        if (r != (size_t)-1) {
            size_t k = step_of(l, s, r, i) + 1;
            length[r] = k > length[r] ? k : length[r];
        }
    }
    for (int32_t m = 0; m < (int32_t)s->targets; m++) {
        for (size_t r = 0; r < s->trials; r++) {
            if (s->target[r] == m && length[r] > 0) {
                trial[w->trials] = r;
                w->target[w->trials] = (size_t)m;
                w->length[w->trials++] = length[r];
                l->trials[m]++;
            }
        }
    }
    size_t count = 0;
    for (size_t i = 0; i < w->trials; i++) {
        length[count++] = w->length[i];
    }
    qsort(length, count, sizeof *length, ascending);
    l->steps = count ? length[count - 1] : 0;
    l->window = count ? length[count / 5] : 0;
    free(length);
    return count ? 0 : -1;
}

/* Growing windows of the listed trials. */
static int fill_windows(const struct lda *l, struct windows *w, const struct traj_session *s,
                        const struct traj_channels *c, const size_t *trial)
{
    double *sum = calloc(l->channels, sizeof *sum);
    w->z = calloc(w->trials * l->window * l->channels, sizeof *w->z);
    if (!sum || !w->z) {
        free(sum);
        return -1;
    }
    for (size_t i = 0; i < w->trials; i++) {
        size_t k = 0;
        memset(sum, 0, l->channels * sizeof *sum);
        for (size_t bin = 0; bin < s->bins; bin++) {
            if (s->t_end[bin] <= s->start[trial[i]] ||
                traj_session_trial_at(s, s->t_end[bin]) != trial[i]) {
                continue;
            }
            accumulate(l, c, bin, sum);
            for (size_t step = step_of(l, s, trial[i], bin); k <= step && k < l->window; k++) {
                root(l, sum, w->z + (i * l->window + k) * l->channels);
            }
        }
        for (; k > 0 && k < l->window; k++) { /* a trial that was over before */
            memcpy(w->z + (i * l->window + k) * l->channels,
                   w->z + (i * l->window + k - 1) * l->channels, l->channels * sizeof(double));
        }
    }
    free(sum);
    return 0;
}

/* Mean courses and their spread; a trial that is over stays where it was. */
static void fit_courses(struct lda *l, const struct windows *w, const struct traj_session *s,
                        const size_t *trial)
{
    size_t dim = l->dim;
    for (int pass = 0; pass < 2; pass++) {
        for (size_t i = 0; i < w->trials; i++) {
            size_t m = w->target[i];
            double share = 1.0 / (double)l->trials[m];
            double last[2 * TRAJ_DIM_MAX] = {0};
            for (size_t k = 0; k < l->steps; k++) {
                double t = s->start[trial[i]] + l->width * (double)(k + 1);
                if (k < w->length[i]) {
                    (void)traj_session_kinematics(s, t, 0.05, last, last + dim);
                } else {
                    memset(last + dim, 0, dim * sizeof *last);
                }
                size_t at = k * l->targets + m;
                for (size_t d = 0; pass == 0 && d < dim; d++) {
                    l->position[at * dim + d] += share * last[d];
                    l->velocity[at * dim + d] += share * last[dim + d];
                }
                for (size_t d = 0; pass == 1 && d < dim * dim; d++) {
                    const double *mean = l->position + at * dim;
                    l->spread[at * dim * dim + d] +=
                        share * (last[d / dim] - mean[d / dim]) * (last[d % dim] - mean[d % dim]);
                }
            }
        }
    }
}

static void fit_outside(struct lda *l, const struct traj_session *s)
{
    double count = 0.0, all = 0.0, inside[2 * TRAJ_DIM_MAX] = {0};
    for (size_t i = 0; i < s->bins; i++) {
        double x[2 * TRAJ_DIM_MAX];
        if (traj_session_kinematics(s, s->t_end[i], 0.05, x, x + l->dim)) {
            continue;
        }
        bool out = traj_session_trial_at(s, s->t_end[i]) == (size_t)-1;
        for (size_t d = 0; d < 2 * l->dim; d++) {
            l->outside[d] += out ? x[d] : 0.0;
            inside[d] += x[d];
        }
        count += out;
        all += 1.0;
    }
    for (size_t d = 0; d < 2 * l->dim; d++) {
        l->outside[d] = count > 0.0 ? l->outside[d] / count : inside[d] / (all > 0.0 ? all : 1.0);
    }
}

static int make_arrays(struct lda *l)
{
    size_t rows = l->steps * l->targets;
    l->mean = calloc(l->window * l->targets * l->channels, sizeof *l->mean);
    l->chol = calloc(l->window * l->channels * l->channels, sizeof *l->chol);
    l->position = calloc(rows * l->dim, sizeof *l->position);
    l->velocity = calloc(rows * l->dim, sizeof *l->velocity);
    l->spread = calloc(rows * l->dim * l->dim, sizeof *l->spread);
    return l->mean && l->chol && l->position && l->velocity && l->spread ? 0 : -1;
}

static int train_lda(struct lda *l, const struct traj_session *s)
{
    struct windows w = {0};
    struct traj_channels c = {0};
    size_t *trial = calloc(s->trials + 1, sizeof *trial);
    l->dim = s->dim;
    l->units = s->units;
    l->channels = s->units + s->features;
    l->targets = s->targets;
    l->width = traj_bin_width(s);
    l->trials = calloc(l->targets + 1, sizeof *l->trials);
    l->rate = calloc(l->channels, sizeof *l->rate);
    int result = trial && l->trials && l->rate && traj_channels_init(&c, s, false) == 0 &&
                         list_trials(l, &w, s, trial) == 0 && make_arrays(l) == 0
                     ? 0
                     : -1;
    if (result == 0) {
        traj_channels_mean(&c, l->rate);
        result = fill_windows(l, &w, s, &c, trial);
    }
    if (result == 0) {
        fit_courses(l, &w, s, trial);
        fit_outside(l, s);
        choose_shrinkage(l, &w);
    }
    for (size_t k = 0; result == 0 && k < l->window; k++) {
        result = fit_step(l, &w, k, FOLDS, l->mean + k * l->targets * l->channels,
                          l->chol + k * l->channels * l->channels);
    }
    windows_free(&w);
    traj_channels_free(&c);
    free(trial);
    return result;
}

/* ---- decoding -------------------------------------------------------------------------------- */

/* Mean of the mean courses under the posterior, and the covariance of that mixture. */
static void mix(const struct lda *l, size_t k, const double *p, size_t bin,
                struct traj_decoded *out)
{
    size_t dim = l->dim;
    k = k < l->steps ? k : l->steps - 1;
    double *x = out->position + bin * dim, *v = out->velocity + bin * dim;
    double *cov = out->position_cov + bin * dim * dim;
    memset(x, 0, dim * sizeof *x);
    memset(v, 0, dim * sizeof *v);
    memset(cov, 0, dim * dim * sizeof *cov);
    for (size_t m = 0; m < l->targets; m++) {
        size_t at = k * l->targets + m;
        for (size_t d = 0; d < dim; d++) {
            x[d] += p[m] * l->position[at * dim + d];
            v[d] += p[m] * l->velocity[at * dim + d];
        }
    }
    for (size_t m = 0; m < l->targets; m++) {
        size_t at = k * l->targets + m;
        for (size_t d = 0; d < dim * dim; d++) {
            double a = l->position[at * dim + d / dim] - x[d / dim];
            double b = l->position[at * dim + d % dim] - x[d % dim];
            cov[d] += p[m] * (l->spread[at * dim * dim + d] + a * b);
        }
    }
}

static int decode_bin(const struct lda *l, const struct traj_session *s, size_t trial, size_t bin,
                      const double *sum, double *z, double *p, struct traj_decoded *out)
{
    size_t k = step_of(l, s, trial, bin), age = k < l->window ? k : l->window - 1;
    if (k < l->window) { /* afterwards the class stays what it was */
        root(l, sum, z);
        if (posterior(l, l->mean + age * l->targets * l->channels,
                      l->chol + age * l->channels * l->channels, z, p)) {
            return -1;
        }
        for (size_t m = 0; m < l->targets; m++) {
            p[m] = exp(p[m]);
        }
    }
    mix(l, k, p, bin, out);
    memcpy(out->target_prob + bin * l->targets, p, l->targets * sizeof *p);
    return 0;
}

static struct traj_decoded *run(const struct lda *l, const struct traj_session *s)
{
    struct traj_channels c = {0};
    struct traj_decoded *out = traj_decoded_new(s->bins, l->dim, l->targets);
    double *sum = calloc(l->channels, sizeof *sum), *z = calloc(l->channels, sizeof *z);
    double p[TRAJ_TARGETS_MAX] = {0};
    int result = out && sum && z && traj_channels_init(&c, s, false) == 0 ? 0 : -1;
    size_t trial = (size_t)-1;
    for (size_t i = 0; result == 0 && i < s->bins; i++) {
        size_t r = traj_session_trial_at(s, s->t_end[i]);
        if (r == (size_t)-1) {
            memcpy(out->position + i * l->dim, l->outside, l->dim * sizeof(double));
            memcpy(out->velocity + i * l->dim, l->outside + l->dim, l->dim * sizeof(double));
            continue;
        }
        if (r != trial) {
            memset(sum, 0, l->channels * sizeof *sum);
            for (size_t m = 0; m < l->targets; m++) {
                p[m] = 1.0 / (double)l->targets;
            }
            trial = r;
        }
        accumulate(l, &c, i, sum);
        result = decode_bin(l, s, r, i, sum, z, p, out);
    }
    if (result) {
        traj_decoded_free(out);
        out = NULL;
    }
    traj_channels_free(&c);
    free(sum);
    free(z);
    return out;
}

struct traj_decoded *traj_lda(const struct traj_session *train, const struct traj_session *test,
                              struct traj_error *error)
{
    struct lda l = {0};
    struct traj_decoded *out = NULL;
    if (!train->target || train->trials == 0 || train->targets == 0) {
        traj_error_set(error, "%s: /trials/target: the discriminant needs trials with targets",
                       train->path);
        return NULL;
    }
    if (test->units != train->units || test->features != train->features) {
        traj_error_set(error, "%s: /frames has other units or features than %s", test->path,
                       train->path);
        return NULL;
    }
    if (train_lda(&l, train) == 0) {
        out = run(&l, test);
    }
    if (!out) {
        traj_error_set(error, "%s: the discriminant could not be fitted", train->path);
    }
    lda_free(&l);
    return out;
}
