/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Firing rates along courses; see rates.h. */
#include "daemon/learn/rates.h"

#include <gsl/gsl_eigen.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/learn/matrix.h"

#define ELL_S 0.1 /* s, length over which a unit's rate is alike */
#define VB 1.0    /* variances of log rate: see rates.h */
#define VT 0.3
#define VC 0.1
#define VCT 0.06
#define V2 0.007
#define V2T 0.007
#define VI 0.003
#define VIT 0.005
#define EIGEN_FLOOR 1e-3 /* directions of less variance are left out */
#define EIGEN_SHARE 2e-5
#define STEPS 6
#define STEP_MAX 3.0
#define LOG_COUNT_MAX 3.0 /* log of the expected count of a bin */
#define COUNT_MIN 0.002   /* spikes a bin: no rate is quite 0 */

/* ---- kernel -------------------------------------------------------------------------------- */

/* Cosine between the directions of two targets; 1 where one has none. */
static double cosine(const struct traj_reach *reach, size_t a, size_t b)
{
    const double *place = reach->training->target_position;
    double dot = 0, aa = 0, bb = 0;
    for (size_t d = 0; d < reach->dim; d++) {
        double u = place[a * reach->dim + d] - reach->origin[d];
        double v = place[b * reach->dim + d] - reach->origin[d];
        dot += u * v;
        aa += u * u;
        bb += v * v;
    }
    return aa > 0 && bb > 0 ? dot / sqrt(aa * bb) : 1;
}

static double covariance(const struct traj_reach *reach, size_t a, size_t g, size_t b, size_t h)
{
    double ell = ELL_S / reach->training->bin, apart = ((double)g - (double)h) / ell;
    double s = exp(-0.5 * apart * apart), s4 = exp(-0.5 * apart * apart / 16);
    double c1 = cosine(reach, a, b), c2 = 2 * c1 * c1;
    double sum = VB + VT * s + c1 * (VC * s4 + VCT * s) + c2 * (V2 * s4 + V2T * s);
    return a == b ? sum + VI * s4 + VIT * s : sum;
}

static int keep_columns(struct traj_rate_kernel *kernel, const gsl_vector *value,
                        const gsl_matrix *vector)
{
    size_t nodes = value->size;
    double most = gsl_vector_max(value);
    double floor = fmax(EIGEN_FLOOR, EIGEN_SHARE * most);
    for (size_t k = 0; k < nodes; k++)
        kernel->columns += gsl_vector_get(value, k) > floor;
    kernel->factor = malloc(nodes * (kernel->columns + 1) * sizeof *kernel->factor);
    if (!kernel->factor)
        return -1;
    for (size_t k = 0, c = 0; k < nodes; k++) {
        if (!(gsl_vector_get(value, k) > floor))
            continue;
        for (size_t i = 0; i < nodes; i++)
            kernel->factor[i * kernel->columns + c] =
                gsl_matrix_get(vector, i, k) * sqrt(gsl_vector_get(value, k));
        c++;
    }
    return 0;
}

int traj_rate_kernel_init(struct traj_rate_kernel *kernel, const struct traj_reach *reach,
                          struct traj_error *error)
{
    size_t phases = reach->phases, nodes = reach->targets * phases;
    *kernel = (struct traj_rate_kernel){reach->targets, phases, 0, NULL};
    gsl_matrix *k = gsl_matrix_alloc(nodes, nodes), *vector = gsl_matrix_alloc(nodes, nodes);
    gsl_vector *value = gsl_vector_alloc(nodes);
    gsl_eigen_symmv_workspace *work = gsl_eigen_symmv_alloc(nodes);
    int status = k && vector && value && work ? 0 : -1;
    for (size_t i = 0; status == 0 && i < nodes; i++)
        for (size_t j = 0; j < nodes; j++)
            gsl_matrix_set(k, i, j,
                           covariance(reach, i / phases, i % phases, j / phases, j % phases));
    if (status == 0 &&
        (gsl_eigen_symmv(k, value, vector, work) || keep_columns(kernel, value, vector)))
        status = -1;
    gsl_matrix_free(k);
    gsl_matrix_free(vector);
    gsl_vector_free(value);
    gsl_eigen_symmv_free(work);
    return status ? traj_error_set(error,
                                   "the kernel of %zu targets by %zu phases could not be factored",
                                   reach->targets, phases)
                  : 0;
}

void traj_rate_kernel_free(struct traj_rate_kernel *kernel)
{
    free(kernel->factor);
    kernel->factor = NULL;
}

/* ---- counts along courses ------------------------------------------------------------------ */

/* Splits every bin of one unit between the two phases it lies between: y counts, e bins of
 * exposure. */
static void spread_counts(const struct traj_reach *reach, size_t unit, double *y, double *e)
{
    const struct traj_training *training = reach->training;
    size_t nodes = reach->targets * reach->phases;
    memset(y, 0, nodes * sizeof *y);
    memset(e, 0, nodes * sizeof *e);
    for (size_t r = 0; r < reach->trials; r++) {
        const struct traj_reach_trial *trial = &reach->trial[r];
        for (size_t h = 0; h < trial->heavy; h++)
            for (size_t i = 0; i < trial->count; i++) {
                size_t b = trial->first + i;
                uint16_t count = training->counts[unit * training->bins + b];
                if (count == TRAJ_COUNT_MISSING)
                    continue;
                double phase = traj_reach_phase(reach, traj_reach_place(reach, trial->cell[h], i),
                                                traj_reach_slowness(trial->cell[h]));
                size_t low = (size_t)phase;
                low = low + 2 > reach->phases ? reach->phases - 2 : low;
                double share = phase - (double)low, exposure = training->dt[b] / training->bin;
                double *into = y + trial->target * reach->phases + low;
                double *bins = e + trial->target * reach->phases + low;
                into[0] += trial->weight[h] * (1 - share) * count;
                into[1] += trial->weight[h] * share * count;
                bins[0] += trial->weight[h] * (1 - share) * exposure;
                bins[1] += trial->weight[h] * share * exposure;
            }
    }
}

/* ---- one unit ------------------------------------------------------------------------------ */

struct unit_fit {
    const struct traj_rate_kernel *kernel;
    size_t nodes;
    double eta0;
    double *y, *e;    /* [nodes] */
    double *a;        /* [columns] */
    double *expected; /* [nodes] */
    double *hessian;  /* [columns][columns] */
    double *step;     /* [columns] */
};

static void expect(struct unit_fit *fit)
{
    size_t columns = fit->kernel->columns;
    for (size_t i = 0; i < fit->nodes; i++) {
        const double *row = fit->kernel->factor + i * columns;
        double eta = fit->eta0;
        for (size_t k = 0; k < columns; k++)
            eta += row[k] * fit->a[k];
        fit->expected[i] = fit->e[i] * exp(fmin(eta, LOG_COUNT_MAX));
    }
}

/* F' diag(expected) F + I, lower triangle, then its Cholesky factor. */
static int factor_hessian(struct unit_fit *fit)
{
    size_t columns = fit->kernel->columns;
    memset(fit->hessian, 0, columns * columns * sizeof *fit->hessian);
    for (size_t i = 0; i < fit->nodes; i++) {
        const double *row = fit->kernel->factor + i * columns;
        if (!(fit->expected[i] > 0))
            continue;
        for (size_t k = 0; k < columns; k++) {
            double weighted = fit->expected[i] * row[k];
            double *into = fit->hessian + k * columns;
            for (size_t l = 0; l <= k; l++)
                into[l] += weighted * row[l];
        }
    }
    for (size_t k = 0; k < columns; k++)
        fit->hessian[k * columns + k] += 1;
    return traj_matrix_cholesky(fit->hessian, columns);
}

static int newton(struct unit_fit *fit)
{
    size_t columns = fit->kernel->columns;
    memset(fit->a, 0, columns * sizeof *fit->a);
    for (size_t s = 0; s < STEPS; s++) {
        double most = 0;
        expect(fit);
        for (size_t k = 0; k < columns; k++)
            fit->step[k] = -fit->a[k];
        for (size_t i = 0; i < fit->nodes; i++)
            for (size_t k = 0; k < columns; k++)
                fit->step[k] +=
                    fit->kernel->factor[i * columns + k] * (fit->y[i] - fit->expected[i]);
        if (factor_hessian(fit))
            return -1;
        traj_matrix_cholesky_solve(fit->hessian, columns, fit->step, 1);
        for (size_t k = 0; k < columns; k++)
            most = fmax(most, fabs(fit->step[k]));
        for (size_t k = 0; k < columns; k++)
            fit->a[k] += fit->step[k] * (most > STEP_MAX ? STEP_MAX / most : 1);
    }
    expect(fit);
    return factor_hessian(fit);
}

/* Mean of the rate under the posterior, exp(m + v/2), log spikes/s into column n of log_rate. */
static void settle_unit(struct unit_fit *fit, double bin, size_t units, double *log_rate)
{
    size_t columns = fit->kernel->columns;
    for (size_t i = 0; i < fit->nodes; i++) {
        const double *row = fit->kernel->factor + i * columns;
        double eta = fit->eta0, variance = 0;
        for (size_t k = 0; k < columns; k++) {
            double left = row[k];
            for (size_t l = 0; l < k; l++)
                left -= fit->hessian[k * columns + l] * fit->step[l];
            fit->step[k] = left / fit->hessian[k * columns + k];
            variance += fit->step[k] * fit->step[k];
            eta += row[k] * fit->a[k];
        }
        double count = fmax(exp(fmin(eta + variance / 2, LOG_COUNT_MAX)), COUNT_MIN);
        log_rate[i * units] = log(count / bin);
    }
}

static int fit_unit(struct unit_fit *fit, const struct traj_reach *reach, size_t unit, size_t units,
                    double *log_rate)
{
    double spikes = 0.5, bins = 1.5;
    spread_counts(reach, unit, fit->y, fit->e);
    for (size_t i = 0; i < fit->nodes; i++) {
        spikes += fit->y[i];
        bins += fit->e[i];
    }
    fit->eta0 = log(spikes / bins);
    if (newton(fit))
        return -1;
    settle_unit(fit, reach->training->bin, units, log_rate + unit);
    return 0;
}

/* ---- slow gains ---------------------------------------------------------------------------- */

/* Residual and expected counts of each trial and unit, [trials][units]. */
static void trial_residuals(const struct traj_rates *rates, const struct traj_reach *reach,
                            double *residual, double *expected)
{
    const struct traj_training *training = reach->training;
    for (size_t r = 0; r < reach->trials; r++) {
        const struct traj_reach_trial *trial = &reach->trial[r];
        for (size_t h = 0; h < trial->heavy; h++)
            for (size_t i = 0; i < trial->count; i++) {
                double phase = traj_reach_phase(reach, traj_reach_place(reach, trial->cell[h], i),
                                                traj_reach_slowness(trial->cell[h]));
                size_t low = (size_t)phase, b = trial->first + i;
                low = low + 2 > reach->phases ? reach->phases - 2 : low;
                double share = phase - (double)low;
                const double *row =
                    rates->log_rate + (trial->target * reach->phases + low) * rates->units;
                for (size_t n = 0; n < rates->units; n++) {
                    uint16_t count = training->counts[n * training->bins + b];
                    double rate = (1 - share) * exp(row[n]) + share * exp(row[rates->units + n]);
                    if (count == TRAJ_COUNT_MISSING)
                        continue;
                    expected[r * rates->units + n] += trial->weight[h] * rate * training->dt[b];
                    residual[r * rates->units + n] +=
                        trial->weight[h] * (count - rate * training->dt[b]);
                }
            }
    }
}

/* Columns of the gains from the eigenvectors of the standardised residuals' covariance. */
static int take_gains(struct traj_rates *rates, const struct traj_reach *reach,
                      const gsl_vector *value, const gsl_matrix *vector, const double *expected)
{
    size_t units = rates->units, keep = 0, chosen[TRAJ_GAINS_MAX];
    double gamma = (double)units / (double)reach->trials, edge = 1 + sqrt(gamma);
    edge *= edge;
    for (size_t k = units; k-- > 0 && units - k <= TRAJ_GAINS_MAX;)
        if (gsl_vector_get(value, k) > edge)
            chosen[keep++] = k;
    rates->gains = keep;
    rates->gain = calloc(units * keep + 1, sizeof *rates->gain);
    if (!rates->gain)
        return -1;
    for (size_t i = 0; i < keep; i++) {
        double w = gsl_vector_get(value, chosen[i]), b = w + 1 - gamma;
        double size = (b + sqrt(fmax(b * b - 4 * w, 0))) / 2 - 1; /* debiased (Baik-Silverstein) */
        for (size_t n = 0; n < units; n++) {
            double mean = 0;
            for (size_t r = 0; r < reach->trials; r++)
                mean += expected[r * units + n] / (double)reach->trials;
            rates->gain[n * keep + i] =
                gsl_matrix_get(vector, n, chosen[i]) * sqrt(fmax(size, 0)) / sqrt(mean + 0.5);
        }
    }
    return 0;
}

static int fit_gains(struct traj_rates *rates, const struct traj_reach *reach)
{
    size_t units = rates->units, trials = reach->trials;
    double *residual = calloc(trials * units + 1, sizeof *residual);
    double *expected = calloc(trials * units + 1, sizeof *expected);
    gsl_matrix *c = gsl_matrix_calloc(units, units), *vector = gsl_matrix_alloc(units, units);
    gsl_vector *value = gsl_vector_alloc(units);
    gsl_eigen_symmv_workspace *work = gsl_eigen_symmv_alloc(units);
    int status = residual && expected && c && vector && value && work ? 0 : -1;
    if (status == 0) {
        double n = reach->per_target, widen = fmax(1, n / fmax(n - 0.5, 0.3));
        trial_residuals(rates, reach, residual, expected);
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
                         take_gains(rates, reach, value, vector, expected)
                     ? -1
                     : 0;
    }
    free(residual);
    free(expected);
    gsl_matrix_free(c);
    gsl_matrix_free(vector);
    gsl_vector_free(value);
    gsl_eigen_symmv_free(work);
    return status;
}

int traj_rates_fit(struct traj_rates *rates, const struct traj_reach *reach,
                   const struct traj_rate_kernel *kernel, struct traj_error *error)
{
    size_t units = reach->training->units, nodes = reach->targets * reach->phases;
    size_t columns = kernel->columns;
    *rates = (struct traj_rates){
        .targets = reach->targets, .phases = reach->phases, .units = units, .nodes = nodes};
    rates->log_rate = calloc(nodes * units + 1, sizeof *rates->log_rate);
    double *block = malloc((3 * nodes + 2 * columns + columns * columns) * sizeof *block);
    int status = rates->log_rate && block ? 0 : -1;
    if (status == 0) {
        struct unit_fit fit = {.kernel = kernel,
                               .nodes = nodes,
                               .y = block,
                               .e = block + nodes,
                               .expected = block + 2 * nodes,
                               .a = block + 3 * nodes,
                               .step = block + 3 * nodes + columns,
                               .hessian = block + 3 * nodes + 2 * columns};
        for (size_t n = 0; n < units && status == 0; n++)
            status = fit_unit(&fit, reach, n, units, rates->log_rate);
        if (status == 0)
            status = fit_gains(rates, reach);
    }
    free(block);
    return status
               ? traj_error_set(error, "the rates of %zu units along %zu nodes could not be fitted",
                                units, nodes)
               : 0;
}

void traj_rates_free(struct traj_rates *rates)
{
    free(rates->log_rate);
    free(rates->gain);
    *rates = (struct traj_rates){.gain = NULL};
}
