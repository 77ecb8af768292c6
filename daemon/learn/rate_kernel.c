/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The prior of a channel along courses, and its fit; see rate_kernel.h. */
#include "daemon/learn/rate_kernel.h"

#include <gsl/gsl_eigen.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/learn/matrix.h"

#define EIGEN_FLOOR 1e-3 /* directions of less variance are left out */
#define STEPS 24
#define STEP_MAX 3.0
#define STEP_SMALL 1e-4
#define ETA_RISE 3.0 /* eta is believed up to so much above the larger of 0 and eta0 */

/* Variances of the slow and the fast share of each part; the slow one of what all share is a
 * constant. */
static const double variance_slow[TRAJ_RATE_PARTS] = {1.0, 0.1, 0.007, 0.003};
static const double variance_fast[TRAJ_RATE_PARTS] = {0.3, 0.06, 0.007, 0.005};

const struct traj_rate_prior traj_rate_prior_usual = {{1, 1, 1, 1}, 1};

/* ---- kernel -------------------------------------------------------------------------------- */

static double phase_covariance(const struct traj_reach *reach, const struct traj_rate_prior *prior,
                               size_t part, size_t g, size_t h)
{
    double ell = prior->ell * TRAJ_RATE_ELL_S / reach->training->bin;
    double apart = ((double)g - (double)h) / ell;
    double slow = part == TRAJ_RATE_ALL ? 1 : exp(-0.5 * apart * apart / 16);
    return prior->scale[part] *
           (variance_slow[part] * slow + variance_fast[part] * exp(-0.5 * apart * apart));
}

static double squared_length(const struct traj_reach *reach, size_t target)
{
    double sum = 0;
    for (size_t d = 0; d < reach->dim; d++) {
        double u = reach->training->target_position[target * reach->dim + d] - reach->origin[d];
        sum += u * u;
    }
    return sum;
}

static double target_covariance(const struct traj_reach *reach, size_t part, size_t a, size_t b)
{
    const double *place = reach->training->target_position;
    double dot = 0, mean = 0, dim = (double)reach->dim;
    for (size_t m = 0; m < reach->targets; m++)
        mean += squared_length(reach, m) / (double)reach->targets;
    if (part == TRAJ_RATE_ALL || part == TRAJ_RATE_OWN || !(mean > 0))
        return part == TRAJ_RATE_ALL || (part == TRAJ_RATE_OWN && a == b) ? 1 : 0;
    for (size_t d = 0; d < reach->dim; d++)
        dot += (place[a * reach->dim + d] - reach->origin[d]) *
               (place[b * reach->dim + d] - reach->origin[d]) / mean;
    if (part == TRAJ_RATE_ONCE)
        return dot;
    double aa = squared_length(reach, a) / mean, bb = squared_length(reach, b) / mean;
    return 2 * dot * dot - 2 / dim * aa * bb + (aa - 1) * (bb - 1);
}

double traj_rate_covariance(const struct traj_reach *reach, const struct traj_rate_prior *prior,
                            size_t a, size_t g, size_t b, size_t h)
{
    double sum = 0;
    for (size_t part = 0; part < TRAJ_RATE_PARTS; part++)
        sum += target_covariance(reach, part, a, b) * phase_covariance(reach, prior, part, g, h);
    return sum;
}

/*
 * Eigenvectors of a symmetric matrix times the roots of their eigenvalues, largest first, those
 * above floor: factor[n][*columns] in new memory.
 */
static double *factor_of(gsl_matrix *matrix, double floor, size_t *columns)
{
    size_t n = matrix->size1;
    double *factor = NULL;
    gsl_matrix *vector = gsl_matrix_alloc(n, n);
    gsl_vector *value = gsl_vector_alloc(n);
    gsl_eigen_symmv_workspace *work = gsl_eigen_symmv_alloc(n);
    *columns = 0;
    if (vector && value && work && gsl_eigen_symmv(matrix, value, vector, work) == 0 &&
        gsl_eigen_symmv_sort(value, vector, GSL_EIGEN_SORT_VAL_DESC) == 0) {
        while (*columns < n && gsl_vector_get(value, *columns) > floor)
            ++*columns;
        factor = malloc((n * *columns + 1) * sizeof *factor);
        for (size_t i = 0; factor && i < n; i++)
            for (size_t k = 0; k < *columns; k++)
                factor[i * *columns + k] =
                    gsl_matrix_get(vector, i, k) * sqrt(gsl_vector_get(value, k));
    }
    gsl_matrix_free(vector);
    gsl_vector_free(value);
    gsl_eigen_symmv_free(work);
    return factor;
}

/* The target factor of a shared part; returns its largest eigenvalue, negative on failure. */
static double factor_targets(struct traj_rate_kernel *kernel, const struct traj_reach *reach,
                             size_t part)
{
    size_t targets = kernel->targets;
    double most = 0;
    gsl_matrix *k = gsl_matrix_alloc(targets, targets);
    for (size_t a = 0; k && a < targets; a++)
        for (size_t b = 0; b < targets; b++)
            gsl_matrix_set(k, a, b, target_covariance(reach, part, a, b));
    if (k)
        kernel->target[part] = factor_of(k, 1e-6 * (double)targets, &kernel->rank[part]);
    gsl_matrix_free(k);
    if (!kernel->target[part])
        return -1;
    for (size_t a = 0; kernel->rank[part] > 0 && a < targets; a++) {
        double first = kernel->target[part][a * kernel->rank[part]];
        most += first * first;
    }
    return most;
}

/* The phase factor of a part whose targets have an eigenvalue of `most`. */
static double *factor_phases(const struct traj_reach *reach, const struct traj_rate_prior *prior,
                             size_t part, double most, size_t *columns)
{
    size_t phases = reach->phases;
    gsl_matrix *k = gsl_matrix_alloc(phases, phases);
    double *factor = NULL;
    for (size_t g = 0; k && g < phases; g++)
        for (size_t h = 0; h < phases; h++)
            gsl_matrix_set(k, g, h, phase_covariance(reach, prior, part, g, h));
    if (k)
        factor = factor_of(k, most > 0 ? EIGEN_FLOOR / most : INFINITY, columns);
    gsl_matrix_free(k);
    return factor;
}

int traj_rate_kernel_init(struct traj_rate_kernel *kernel, const struct traj_reach *reach,
                          const struct traj_rate_prior *prior, struct traj_error *error)
{
    double *factor[TRAJ_RATE_PARTS] = {NULL};
    size_t width = 0;
    bool failed = false;
    *kernel = (struct traj_rate_kernel){.targets = reach->targets, .phases = reach->phases};
    for (size_t part = 0; part < TRAJ_RATE_PARTS && !failed; part++) {
        double most = part < TRAJ_RATE_SHARED ? factor_targets(kernel, reach, part) : 1;
        factor[part] =
            most < 0 ? NULL : factor_phases(reach, prior, part, most, &kernel->columns[part]);
        failed = !factor[part];
        width += kernel->columns[part];
        if (part < TRAJ_RATE_SHARED)
            kernel->shared += kernel->rank[part] * kernel->columns[part];
    }
    kernel->own = kernel->columns[TRAJ_RATE_OWN];
    kernel->wide = width - kernel->own;
    kernel->phase = failed ? NULL : malloc((reach->phases * width + 1) * sizeof(double));
    for (size_t g = 0; kernel->phase && g < reach->phases; g++)
        for (size_t part = 0, k = 0; part < TRAJ_RATE_PARTS; part++)
            for (size_t c = 0; c < kernel->columns[part]; c++, k++)
                kernel->phase[g * width + k] = factor[part][g * kernel->columns[part] + c];
    for (size_t part = 0; part < TRAJ_RATE_PARTS; part++)
        free(factor[part]);
    if (kernel->phase)
        return 0;
    traj_rate_kernel_free(kernel);
    return traj_error_set(error, "the kernel of %zu targets by %zu phases could not be factored",
                          reach->targets, reach->phases);
}

void traj_rate_kernel_free(struct traj_rate_kernel *kernel)
{
    free(kernel->phase);
    for (size_t part = 0; part < TRAJ_RATE_SHARED; part++)
        free(kernel->target[part]);
    *kernel = (struct traj_rate_kernel){.phase = NULL};
}

/* ---- one channel ----------------------------------------------------------------------------- */

/*
 * Of a target: inner = B' W B over its phases, B the phase basis (shared columns, then its own), W
 * the weights; cross = its lower left corner [wide][own]; solved = cross (I + own corner)^-1.
 */
int traj_rate_fit_init(struct traj_rate_fit *fit, const struct traj_rate_kernel *kernel)
{
    size_t nodes = kernel->targets * kernel->phases, width = kernel->wide + kernel->own;
    size_t shared = kernel->shared, own = kernel->targets * kernel->own;
    size_t corner = kernel->own * kernel->own, side = kernel->wide * kernel->own;
    *fit = (struct traj_rate_fit){.kernel = kernel};
    size_t size = 6 * nodes + 2 * shared + 2 * own + shared * shared + width * width +
                  kernel->targets * (side + corner) + side + 2 * width +
                  kernel->wide * kernel->wide;
    double *next = fit->block = calloc(size + 1, sizeof *fit->block);
    if (!next)
        return -1;
    double **array[] = {&fit->y,        &fit->e,        &fit->eta,     &fit->variance,
                        &fit->expected, &fit->weight,   &fit->a,       &fit->step,
                        &fit->b,        &fit->step_own, &fit->hessian, &fit->inner,
                        &fit->cross,    &fit->last,     &fit->solved,  &fit->pool};
    size_t length[] = {nodes,
                       nodes,
                       nodes,
                       nodes,
                       nodes,
                       nodes,
                       shared,
                       shared,
                       own,
                       own,
                       shared * shared,
                       width * width,
                       kernel->targets * side,
                       kernel->targets * corner,
                       side,
                       2 * width + kernel->wide * kernel->wide};
    for (size_t i = 0; i < sizeof length / sizeof length[0]; i++) {
        *array[i] = next;
        next += length[i];
    }
    return 0;
}

void traj_rate_fit_free(struct traj_rate_fit *fit)
{
    free(fit->block);
    fit->block = NULL;
}

/* The coefficients of target m's phase basis that the shared ones a bring. */
static void gather_target(const struct traj_rate_kernel *kernel, const double *a, size_t m,
                          double *out)
{
    for (size_t part = 0, at = 0, k = 0; part < TRAJ_RATE_SHARED; part++) {
        size_t rank = kernel->rank[part], columns = kernel->columns[part];
        for (size_t c = 0; c < columns; c++, k++) {
            out[k] = 0;
            for (size_t r = 0; r < rank; r++)
                out[k] += kernel->target[part][m * rank + r] * a[at + r * columns + c];
        }
        at += rank * columns;
    }
}

/* Its transpose: adds to a what target m's phase basis gives. */
static void scatter_target(const struct traj_rate_kernel *kernel, const double *in, size_t m,
                           double *a)
{
    for (size_t part = 0, at = 0, k = 0; part < TRAJ_RATE_SHARED; part++) {
        size_t rank = kernel->rank[part], columns = kernel->columns[part];
        for (size_t r = 0; r < rank; r++)
            for (size_t c = 0; c < columns; c++)
                a[at + r * columns + c] += kernel->target[part][m * rank + r] * in[k + c];
        k += columns;
        at += rank * columns;
    }
}

/* eta, what is expected, and the weights; returns the log posterior but for constants. */
static double expect(struct traj_rate_fit *fit)
{
    const struct traj_rate_kernel *kernel = fit->kernel;
    size_t width = kernel->wide + kernel->own, shared = kernel->shared;
    double top = fmax(fit->eta0, 0) + ETA_RISE, sum = 0;
    double *coefficient = fit->pool;
    for (size_t m = 0; m < kernel->targets; m++) {
        gather_target(kernel, fit->a, m, coefficient);
        memcpy(coefficient + kernel->wide, fit->b + m * kernel->own,
               kernel->own * sizeof *coefficient);
        for (size_t g = 0; g < kernel->phases; g++) {
            size_t i = m * kernel->phases + g;
            const double *row = kernel->phase + g * width;
            double eta = fit->eta0;
            for (size_t k = 0; k < width; k++)
                eta += row[k] * coefficient[k];
            fit->eta[i] = eta;
            if (fit->gaussian) {
                fit->expected[i] = fit->e[i] * eta;
                fit->weight[i] = fit->e[i];
                sum += fit->y[i] * eta - 0.5 * fit->expected[i] * eta;
            } else {
                fit->expected[i] = fit->e[i] > 0 ? fit->e[i] * exp(fmin(eta, top)) : 0;
                fit->weight[i] = fit->expected[i];
                sum += fit->y[i] * fmin(eta, top) - fit->expected[i];
            }
        }
    }
    for (size_t k = 0; k < shared; k++)
        sum -= 0.5 * fit->a[k] * fit->a[k];
    for (size_t k = 0; k < kernel->targets * kernel->own; k++)
        sum -= 0.5 * fit->b[k] * fit->b[k];
    return sum;
}

/* inner = B' W B of target m, lower triangle. */
static void weigh_phases(struct traj_rate_fit *fit, size_t m)
{
    const struct traj_rate_kernel *kernel = fit->kernel;
    size_t width = kernel->wide + kernel->own;
    memset(fit->inner, 0, width * width * sizeof *fit->inner);
    for (size_t g = 0; g < kernel->phases; g++) {
        const double *row = kernel->phase + g * width;
        double weight = fit->weight[m * kernel->phases + g];
        for (size_t k = 0; weight > 0 && k < width; k++) {
            double scaled = weight * row[k];
            double *into = fit->inner + k * width;
            for (size_t l = 0; l <= k; l++)
                into[l] += scaled * row[l];
        }
    }
}

/* Adds target m's share of the curvature of the shared coefficients. */
static void scatter_curvature(struct traj_rate_fit *fit, size_t m)
{
    const struct traj_rate_kernel *kernel = fit->kernel;
    size_t width = kernel->wide + kernel->own, shared = kernel->shared;
    for (size_t p = 0, at = 0, k = 0; p < TRAJ_RATE_SHARED; p++) {
        size_t rank = kernel->rank[p], columns = kernel->columns[p];
        for (size_t i = 0; i < rank * columns; i++) {
            const double *from = fit->inner + (k + i % columns) * width;
            double *into = fit->hessian + (at + i) * shared;
            double share = kernel->target[p][m * rank + i / columns];
            for (size_t q = 0, to = 0, l = 0; q <= p; q++) {
                for (size_t r = 0; r < kernel->rank[q]; r++) {
                    double both = share * kernel->target[q][m * kernel->rank[q] + r];
                    for (size_t c = 0; c < kernel->columns[q]; c++)
                        into[to++] += both * (q == p && c > i % columns
                                                  ? fit->inner[(l + c) * width + k + i % columns]
                                                  : from[l + c]);
                }
                l += kernel->columns[q];
            }
        }
        k += columns;
        at += rank * columns;
    }
}

/*
 * Eliminates target m's own coefficients: last = Cholesky factor of I + own corner, cross = [own]
 * [wide] (I + corner)^-1 times the side; inner's shared corner becomes its Schur complement.
 */
static int eliminate(struct traj_rate_fit *fit, size_t m)
{
    const struct traj_rate_kernel *kernel = fit->kernel;
    size_t wide = kernel->wide, own = kernel->own, width = wide + own;
    double *last = fit->last + m * own * own, *cross = fit->cross + m * wide * own;
    for (size_t i = 0; i < own; i++) {
        for (size_t j = 0; j < own; j++)
            last[i * own + j] = j <= i ? fit->inner[(wide + i) * width + wide + j] : 0;
        last[i * own + i] += 1;
        memcpy(cross + i * wide, fit->inner + (wide + i) * width, wide * sizeof *cross);
    }
    if (traj_matrix_cholesky(last, own))
        return -1;
    traj_matrix_cholesky_solve(last, own, cross, wide);
    for (size_t k = 0; k < wide; k++)
        for (size_t i = 0; i < own; i++) {
            double side = fit->inner[(wide + i) * width + k];
            for (size_t l = 0; l <= k; l++)
                fit->inner[k * width + l] -= side * cross[i * wide + l];
        }
    return 0;
}

/* The factors of the curvature at the present coefficients. */
static int factor_curvature(struct traj_rate_fit *fit)
{
    const struct traj_rate_kernel *kernel = fit->kernel;
    size_t shared = kernel->shared;
    memset(fit->hessian, 0, shared * shared * sizeof *fit->hessian);
    for (size_t m = 0; m < kernel->targets; m++) {
        weigh_phases(fit, m);
        if (eliminate(fit, m))
            return -1;
        scatter_curvature(fit, m);
    }
    for (size_t k = 0; k < shared; k++)
        fit->hessian[k * shared + k] += 1;
    return traj_matrix_cholesky(fit->hessian, shared);
}

/* B' (y - expected) of target m. */
static void project(const struct traj_rate_fit *fit, size_t m, double *out)
{
    const struct traj_rate_kernel *kernel = fit->kernel;
    size_t width = kernel->wide + kernel->own;
    memset(out, 0, width * sizeof *out);
    for (size_t g = 0; g < kernel->phases; g++) {
        const double *row = kernel->phase + g * width;
        size_t i = m * kernel->phases + g;
        for (size_t k = 0; k < width; k++)
            out[k] += row[k] * (fit->y[i] - fit->expected[i]);
    }
}

/* The Newton step; returns its greatest element. */
static double newton_step(struct traj_rate_fit *fit)
{
    const struct traj_rate_kernel *kernel = fit->kernel;
    size_t wide = kernel->wide, own = kernel->own;
    double *force = fit->pool, *shared = fit->pool + wide + own, most = 0;
    for (size_t k = 0; k < kernel->shared; k++)
        fit->step[k] = -fit->a[k];
    for (size_t m = 0; m < kernel->targets; m++) {
        const double *cross = fit->cross + m * wide * own;
        double *own_step = fit->step_own + m * own;
        project(fit, m, force);
        for (size_t i = 0; i < own; i++) {
            own_step[i] = force[wide + i] - fit->b[m * own + i];
            for (size_t k = 0; k < wide; k++)
                force[k] -= cross[i * wide + k] * own_step[i];
        }
        scatter_target(kernel, force, m, fit->step);
    }
    traj_matrix_cholesky_solve(fit->hessian, kernel->shared, fit->step, 1);
    for (size_t m = 0; m < kernel->targets; m++) {
        double *own_step = fit->step_own + m * own;
        gather_target(kernel, fit->step, m, shared);
        traj_matrix_cholesky_solve(fit->last + m * own * own, own, own_step, 1);
        for (size_t i = 0; i < own; i++)
            for (size_t k = 0; k < wide; k++)
                own_step[i] -= fit->cross[(m * own + i) * wide + k] * shared[k];
    }
    for (size_t k = 0; k < kernel->shared; k++)
        most = fmax(most, fabs(fit->step[k]));
    for (size_t k = 0; k < kernel->targets * own; k++)
        most = fmax(most, fabs(fit->step_own[k]));
    return most;
}

static void add_step(struct traj_rate_fit *fit, double share)
{
    for (size_t k = 0; k < fit->kernel->shared; k++)
        fit->a[k] += share * fit->step[k];
    for (size_t k = 0; k < fit->kernel->targets * fit->kernel->own; k++)
        fit->b[k] += share * fit->step_own[k];
}

static int climb(struct traj_rate_fit *fit, double *height)
{
    *height = expect(fit);
    for (size_t s = 0; s < STEPS; s++) {
        if (factor_curvature(fit))
            return -1;
        double most = newton_step(fit), share = most > STEP_MAX ? STEP_MAX / most : 1;
        double before = *height;
        add_step(fit, share);
        *height = expect(fit);
        for (int half = 0; half < 8 && *height < before - 1e-9 * fabs(before); half++) {
            share /= 2;
            add_step(fit, -share);
            *height = expect(fit);
        }
        if (most < STEP_SMALL || *height - before < STEP_SMALL)
            break;
    }
    return factor_curvature(fit);
}

/* ---- what is known then ---------------------------------------------------------------------- */

/* Inverse of the shared curvature, in place of its factor (lower triangle, then symmetric). */
static void invert_shared(struct traj_rate_fit *fit)
{
    size_t n = fit->kernel->shared;
    double *l = fit->hessian;
    /* L^-1 in place, column by column; then (L^-1)' L^-1. */
    for (size_t j = 0; j < n; j++) {
        l[j * n + j] = 1 / l[j * n + j];
        for (size_t i = j + 1; i < n; i++) {
            double sum = 0;
            for (size_t k = j; k < i; k++)
                sum -= l[i * n + k] * l[k * n + j];
            l[i * n + j] = sum / l[i * n + i];
        }
    }
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j <= i; j++) {
            double sum = 0;
            for (size_t k = i; k < n; k++)
                sum += l[k * n + i] * l[k * n + j];
            l[i * n + j] = sum;
        }
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < i; j++)
            l[j * n + i] = l[i * n + j];
}

/* Covariance of the coefficients of target m's phase basis that the shared ones bring. */
static void gather_covariance(const struct traj_rate_fit *fit, size_t m, double *out)
{
    const struct traj_rate_kernel *kernel = fit->kernel;
    size_t n = kernel->shared, wide = kernel->wide;
    memset(out, 0, wide * wide * sizeof *out);
    for (size_t p = 0, at = 0, k = 0; p < TRAJ_RATE_SHARED; p++) {
        size_t rank = kernel->rank[p], columns = kernel->columns[p];
        for (size_t i = 0; i < rank * columns; i++)
            for (size_t q = 0, to = 0, l = 0; q < TRAJ_RATE_SHARED; q++) {
                for (size_t r = 0; r < kernel->rank[q]; r++) {
                    double both = kernel->target[p][m * rank + i / columns] *
                                  kernel->target[q][m * kernel->rank[q] + r];
                    for (size_t c = 0; c < kernel->columns[q]; c++, to++)
                        out[(k + i % columns) * wide + l + c] +=
                            both * fit->hessian[(at + i) * n + to];
                }
                l += kernel->columns[q];
            }
        k += columns;
        at += rank * columns;
    }
}

/* Variance of eta along target m's course, and what is known of its own coefficients. */
static void settle_target(struct traj_rate_fit *fit, size_t m)
{
    const struct traj_rate_kernel *kernel = fit->kernel;
    size_t wide = kernel->wide, own = kernel->own, width = wide + own;
    const double *cross = fit->cross + m * wide * own, *last = fit->last + m * own * own;
    double *cov = fit->pool + 2 * width, *at = fit->pool, *half = fit->pool + width;
    gather_covariance(fit, m, cov);
    for (size_t g = 0; g < kernel->phases; g++) {
        const double *row = kernel->phase + g * width;
        double sum = 0;
        memcpy(at, row, wide * sizeof *at);
        memcpy(half, row + wide, own * sizeof *half);
        traj_matrix_cholesky_solve(last, own, half, 1);
        for (size_t i = 0; i < own; i++) {
            sum += row[wide + i] * half[i];
            for (size_t k = 0; k < wide; k++)
                at[k] -= row[wide + i] * cross[i * wide + k];
        }
        for (size_t k = 0; k < wide; k++) {
            double inner = 0;
            for (size_t l = 0; l < wide; l++)
                inner += cov[k * wide + l] * at[l];
            sum += at[k] * inner;
        }
        fit->variance[m * kernel->phases + g] = sum;
    }
    for (size_t i = 0; i < own; i++) { /* trace of the own coefficients' covariance */
        memset(half, 0, own * sizeof *half);
        half[i] = 1;
        traj_matrix_cholesky_solve(last, own, half, 1);
        double sum = half[i];
        for (size_t k = 0; k < wide; k++)
            for (size_t l = 0; l < wide; l++)
                sum += cross[i * wide + k] * cov[k * wide + l] * cross[i * wide + l];
        fit->known[TRAJ_RATE_OWN] += 1 - sum;
        fit->square[TRAJ_RATE_OWN] += fit->b[m * own + i] * fit->b[m * own + i];
    }
}

int traj_rate_fit_run(struct traj_rate_fit *fit)
{
    const struct traj_rate_kernel *kernel = fit->kernel;
    double height;
    if (climb(fit, &height))
        return -1;
    fit->evidence = height;
    for (size_t k = 0; k < kernel->shared; k++)
        fit->evidence -= log(fit->hessian[k * kernel->shared + k]);
    for (size_t m = 0; m < kernel->targets; m++)
        for (size_t i = 0; i < kernel->own; i++)
            fit->evidence -= log(fit->last[(m * kernel->own + i) * kernel->own + i]);
    invert_shared(fit);
    memset(fit->square, 0, sizeof fit->square);
    memset(fit->known, 0, sizeof fit->known);
    for (size_t m = 0; m < kernel->targets; m++)
        settle_target(fit, m);
    for (size_t part = 0, at = 0; part < TRAJ_RATE_SHARED; part++)
        for (size_t k = 0; k < kernel->rank[part] * kernel->columns[part]; k++, at++) {
            fit->square[part] += fit->a[at] * fit->a[at];
            fit->known[part] += 1 - fit->hessian[at * kernel->shared + at];
        }
    return 0;
}
