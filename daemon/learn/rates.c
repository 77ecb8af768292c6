/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Firing rates along courses; see rates.h. */
#include "daemon/learn/rates.h"

#include <gsl/gsl_eigen.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/learn/matrix.h"

#define RATE_MIN 0.1     /* spikes/s: no rate is quite 0 */
#define LOG_RISE_MAX 3.0 /* so much above the larger of the mean and one spike a bin */
/*
 * A gain common to all units, as arousal gives it, is believed in before a trial was seen: sd of
 * its logarithm, and how many trials that is worth.  Without it a single trial of a target that was
 * livelier than the others passes for the target's tuning.
 */
#define COMMON_GAIN 0.2
#define COMMON_TRIALS 24.0

/* ---- counts along courses ------------------------------------------------------------------ */

/* Where each bin of a trial lies: shares of it, over the phases of its target's course. */
struct where {
    size_t *first; /* [bins + 1] */
    size_t *node;  /* [first[bins]] */
    double *share; /* likewise; those of a bin sum to 1 */
    size_t *bin;   /* [bins] of the training */
    size_t *trial; /* [bins] */
    size_t bins;
};

static void free_where(struct where *where)
{
    free(where->first);
    free(where->node);
    free(where->share);
    free(where->bin);
    free(where->trial);
}

/* Every cell splits a bin between the two phases that it lies between. */
static size_t place_bin(const struct traj_reach *reach, const struct traj_reach_trial *trial,
                        size_t i, size_t *node, double *share)
{
    size_t count = 0;
    for (size_t h = 0; h < trial->heavy; h++) {
        double phase = traj_reach_phase(reach, traj_reach_place(reach, trial->cell[h], i),
                                        traj_reach_slowness(trial->cell[h]));
        size_t low = (size_t)phase;
        low = low + 2 > reach->phases ? reach->phases - 2 : low;
        for (size_t side = 0; side < 2; side++) {
            double part = side ? phase - (double)low : 1 - (phase - (double)low);
            size_t at = trial->target * reach->phases + low + side, k = 0;
            while (k < count && node[k] != at)
                k++;
            if (k == count) {
                node[count] = at;
                share[count++] = 0;
            }
            share[k] += trial->weight[h] * part;
        }
    }
    return count;
}

static int find_where(struct where *where, const struct traj_reach *reach)
{
    size_t bins = 0, entries = 0;
    for (size_t r = 0; r < reach->trials; r++)
        bins += reach->trial[r].count;
    *where = (struct where){.first = malloc((bins + 1) * sizeof(size_t)),
                            .node = malloc((bins + 1) * 2 * TRAJ_REACH_HEAVY * sizeof(size_t)),
                            .share = malloc((bins + 1) * 2 * TRAJ_REACH_HEAVY * sizeof(double)),
                            .bin = malloc((bins + 1) * sizeof(size_t)),
                            .trial = malloc((bins + 1) * sizeof(size_t))};
    if (!where->first || !where->node || !where->share || !where->bin || !where->trial)
        return -1;
    for (size_t r = 0; r < reach->trials; r++)
        for (size_t i = 0; i < reach->trial[r].count; i++) {
            where->first[where->bins] = entries;
            where->bin[where->bins] = reach->trial[r].first + i;
            where->trial[where->bins++] = r;
            entries += place_bin(reach, &reach->trial[r], i, where->node + entries,
                                 where->share + entries);
        }
    where->first[where->bins] = entries;
    return 0;
}

/* y counts and e bins of exposure of one unit at every node. */
static void spread_counts(const struct where *where, const struct traj_training *training,
                          size_t unit, struct traj_rate_fit *fit)
{
    size_t nodes = fit->kernel->targets * fit->kernel->phases;
    memset(fit->y, 0, nodes * sizeof *fit->y);
    memset(fit->e, 0, nodes * sizeof *fit->e);
    for (size_t i = 0; i < where->bins; i++) {
        size_t b = where->bin[i];
        uint16_t count = training->counts[unit * training->bins + b];
        if (count == TRAJ_COUNT_MISSING)
            continue;
        double exposure = training->dt[b] / training->bin;
        for (size_t k = where->first[i]; k < where->first[i + 1]; k++) {
            fit->y[where->node[k]] += where->share[k] * count;
            fit->e[where->node[k]] += where->share[k] * exposure;
        }
    }
}

/* ---- one unit ------------------------------------------------------------------------------ */

/* Mean of the rate under the posterior, exp(m + v/2), log spikes/s into column `unit` of
 * log_rate. */
static int fit_unit(struct traj_rate_fit *fit, const struct where *where,
                    const struct traj_training *training, size_t unit,
                    const struct traj_rates *near, struct traj_rates *rates)
{
    const struct traj_rate_kernel *kernel = fit->kernel;
    size_t shared = kernel->shared, own = kernel->targets * kernel->own;
    bool follow = near && near->coefficients == rates->coefficients;
    double *mode = rates->mode + unit * rates->coefficients;
    double spikes = 0.5, bins = 1.5;
    spread_counts(where, training, unit, fit);
    for (size_t i = 0; i < rates->nodes; i++) {
        spikes += fit->y[i];
        bins += fit->e[i];
    }
    fit->eta0 = log(spikes / bins);
    for (size_t k = 0; k < shared + own; k++)
        mode[k] = follow ? near->mode[unit * rates->coefficients + k] : 0;
    memcpy(fit->a, mode, shared * sizeof *mode);
    memcpy(fit->b, mode + shared, own * sizeof *mode);
    if (traj_rate_fit_run(fit))
        return -1;
    memcpy(mode, fit->a, shared * sizeof *mode);
    memcpy(mode + shared, fit->b, own * sizeof *mode);
    double top = fmax(fit->eta0, 0) + LOG_RISE_MAX;
    for (size_t i = 0; i < rates->nodes; i++) {
        double rate = exp(fmin(fit->eta[i] + fit->variance[i] / 2, top)) / training->bin;
        rates->log_rate[i * rates->units + unit] = log(fmax(rate, RATE_MIN));
        rates->doubt[i] += 0.5 * fmax(rate, RATE_MIN) * fit->variance[i];
    }
    for (size_t part = 0; part < TRAJ_RATE_PARTS; part++) {
        rates->square[part] += fit->square[part];
        rates->known[part] += fit->known[part];
    }
    rates->evidence += fit->evidence;
    return 0;
}

/* ---- slow gains ---------------------------------------------------------------------------- */

/* Residual and expected counts of each trial and unit, [trials][units]. */
static void trial_residuals(const struct where *where, const struct traj_training *training,
                            const struct traj_rates *rates, const double *rate, double *residual,
                            double *expected)
{
    size_t units = rates->units;
    for (size_t i = 0; i < where->bins; i++) {
        size_t b = where->bin[i];
        double *left = residual + where->trial[i] * units;
        double *mean = expected + where->trial[i] * units;
        for (size_t k = where->first[i]; k < where->first[i + 1]; k++) {
            const double *row = rate + where->node[k] * units;
            double exposure = where->share[k] * training->dt[b];
            for (size_t n = 0; n < units; n++) {
                if (training->counts[n * training->bins + b] == TRAJ_COUNT_MISSING)
                    continue;
                left[n] -= exposure * row[n];
                mean[n] += exposure * row[n];
            }
        }
        for (size_t n = 0; n < units; n++) {
            uint16_t count = training->counts[n * training->bins + b];
            left[n] += count == TRAJ_COUNT_MISSING ? 0 : count;
        }
    }
}

/*
 * Takes the gain that is common to all units out of each trial's residuals (maximum likelihood,
 * sum of residuals over sum of expected counts) and returns the sd of its logarithm: what of the
 * mean square is more than counting noise, drawn towards what is believed before.
 */
static double take_common(const struct traj_reach *reach, size_t units, double widen,
                          double *residual, const double *expected)
{
    double square = 0;
    for (size_t r = 0; r < reach->trials; r++) {
        double left = 0, mean = 0.5;
        for (size_t n = 0; n < units; n++) {
            left += residual[r * units + n];
            mean += expected[r * units + n];
        }
        double z = left / mean;
        square += widen * z * z - 1 / mean;
        for (size_t n = 0; n < units; n++)
            residual[r * units + n] -= z * expected[r * units + n];
    }
    return sqrt((COMMON_TRIALS * COMMON_GAIN * COMMON_GAIN + fmax(square, 0)) /
                (COMMON_TRIALS + (double)reach->trials));
}

/*
 * Columns of the gains: the common one, and what the eigenvectors of the standardised residuals'
 * covariance show beyond it.
 */
static int take_gains(struct traj_rates *rates, const struct traj_reach *reach, double common,
                      const gsl_vector *value, const gsl_matrix *vector, const double *expected)
{
    size_t units = rates->units, found = 0, chosen[TRAJ_GAINS_MAX];
    double gamma = (double)units / (double)reach->trials, edge = 1 + sqrt(gamma);
    edge *= edge;
    for (size_t k = units; k-- > 0 && units - k < TRAJ_GAINS_MAX;)
        if (gsl_vector_get(value, k) > edge)
            chosen[found++] = k;
    size_t columns = rates->gains = found + 1;
    rates->gain = calloc(units * columns, sizeof *rates->gain);
    if (!rates->gain)
        return -1;
    for (size_t n = 0; n < units; n++)
        rates->gain[n * columns + found] = common;
    for (size_t i = 0; i < found; i++) {
        double w = gsl_vector_get(value, chosen[i]), b = w + 1 - gamma;
        double size = (b + sqrt(fmax(b * b - 4 * w, 0))) / 2 - 1; /* debiased (Baik-Silverstein) */
        for (size_t n = 0; n < units; n++) {
            double mean = 0;
            for (size_t r = 0; r < reach->trials; r++)
                mean += expected[r * units + n] / (double)reach->trials;
            rates->gain[n * columns + i] =
                gsl_matrix_get(vector, n, chosen[i]) * sqrt(fmax(size, 0)) / sqrt(mean + 0.5);
        }
    }
    return 0;
}

static int fit_gains(struct traj_rates *rates, const struct traj_reach *reach,
                     const struct where *where)
{
    size_t units = rates->units, trials = reach->trials;
    double *residual = calloc(trials * units + 1, sizeof *residual);
    double *expected = calloc(trials * units + 1, sizeof *expected);
    double *rate = malloc((rates->nodes * units + 1) * sizeof *rate);
    gsl_matrix *c = gsl_matrix_calloc(units, units), *vector = gsl_matrix_alloc(units, units);
    gsl_vector *value = gsl_vector_alloc(units);
    gsl_eigen_symmv_workspace *work = gsl_eigen_symmv_alloc(units);
    int status = residual && expected && rate && c && vector && value && work ? 0 : -1;
    if (status == 0) {
        double n = reach->per_target, widen = fmax(1, n / fmax(n - 0.5, 0.3));
        for (size_t i = 0; i < rates->nodes * units; i++)
            rate[i] = exp(rates->log_rate[i]);
        trial_residuals(where, reach->training, rates, rate, residual, expected);
        double common = take_common(reach, units, widen, residual, expected);
        for (size_t r = 0; r < trials; r++)
            for (size_t i = 0; i < units; i++)
                residual[r * units + i] /= sqrt(expected[r * units + i] + 0.5);
        for (size_t r = 0; r < trials; r++)
            for (size_t i = 0; i < units; i++)
                for (size_t j = 0; j < units; j++)
                    *gsl_matrix_ptr(c, i, j) +=
                        widen * residual[r * units + i] * residual[r * units + j] / (double)trials;
        status = gsl_eigen_symmv(c, value, vector, work) ||
                         gsl_eigen_symmv_sort(value, vector, GSL_EIGEN_SORT_VAL_ASC) ||
                         take_gains(rates, reach, common, value, vector, expected)
                     ? -1
                     : 0;
    }
    free(residual);
    free(expected);
    free(rate);
    gsl_matrix_free(c);
    gsl_matrix_free(vector);
    gsl_vector_free(value);
    gsl_eigen_symmv_free(work);
    return status;
}

int traj_rates_fit(struct traj_rates *rates, const struct traj_reach *reach,
                   const struct traj_rate_kernel *kernel, const struct traj_rates *near,
                   struct traj_error *error)
{
    size_t units = reach->training->units, nodes = reach->targets * reach->phases;
    struct traj_rate_fit fit;
    struct where where;
    *rates = (struct traj_rates){
        .targets = reach->targets, .phases = reach->phases, .units = units, .nodes = nodes};
    rates->coefficients = kernel->shared + kernel->targets * kernel->own;
    rates->mode = calloc(units * rates->coefficients + 1, sizeof *rates->mode);
    rates->log_rate = calloc(nodes * units + 1, sizeof *rates->log_rate);
    rates->doubt = calloc(nodes + 1, sizeof *rates->doubt);
    int status = traj_rate_fit_init(&fit, kernel);
    if (find_where(&where, reach) || !rates->log_rate || !rates->doubt || !rates->mode)
        status = -1;
    for (size_t n = 0; n < units && status == 0; n++)
        status = fit_unit(&fit, &where, reach->training, n, near, rates);
    if (status == 0)
        status = fit_gains(rates, reach, &where);
    traj_rate_fit_free(&fit);
    free_where(&where);
    return status
               ? traj_error_set(error, "the rates of %zu units along %zu nodes could not be fitted",
                                units, nodes)
               : 0;
}

void traj_rates_free(struct traj_rates *rates)
{
    free(rates->log_rate);
    free(rates->mode);
    free(rates->doubt);
    free(rates->gain);
    *rates = (struct traj_rates){.gain = NULL};
}
