/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Noise of the roots of counts. */
#include "daemon/learn/root_noise.h"

#include <gsl/gsl_eigen.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/learn/matrix.h"
#include "daemon/learn/poisson.h"

#define ROWS 12000        /* that suffice for a covariance */
#define TO_DIAGONAL 0.02  /* of the covariance */
#define UNIQUE_FLOOR 0.05 /* of a unit's variance, the least that is its own */
#define VARIANCE_FLOOR 1e-3
#define ROUNDS 6 /* of factor analysis */

/* Everything that is needed for one covariance. */
struct noise_work {
    size_t units;
    double *covariance; /* [N][N] of the bins that train */
    double *held;       /* [N][N] of those held out */
    double *pairs;      /* [N][N] bins in which both units were observed */
    double *residual;   /* [N], NaN = not observed */
    double *dense;      /* [N][N] */
    double *factor;     /* [N][N] */
    double *noise;      /* [N] */
    gsl_matrix *scaled, *vector;
    gsl_vector *value;
    gsl_eigen_symmv_workspace *eigen;
};

static void work_free(struct noise_work *work)
{
    free(work->covariance);
    gsl_matrix_free(work->scaled);
    gsl_matrix_free(work->vector);
    gsl_vector_free(work->value);
    gsl_eigen_symmv_free(work->eigen);
    *work = (struct noise_work){.units = 0};
}

static int work_make(struct noise_work *work, size_t units, struct traj_error *error)
{
    size_t square = units * units;
    *work = (struct noise_work){.units = units};
    work->covariance = malloc((5 * square + 2 * units) * sizeof *work->covariance);
    work->scaled = gsl_matrix_alloc(units, units);
    work->vector = gsl_matrix_alloc(units, units);
    work->value = gsl_vector_alloc(units);
    work->eigen = gsl_eigen_symmv_alloc(units);
    if (!work->covariance || !work->scaled || !work->vector || !work->value || !work->eigen) {
        work_free(work);
        return traj_error_set(error, "no memory for the noise of %zu units", units);
    }
    work->held = work->covariance + square;
    work->pairs = work->held + square;
    work->dense = work->pairs + square;
    work->factor = work->dense + square;
    work->residual = work->factor + square;
    work->noise = work->residual + units;
    return 0;
}

/* Residuals of all units in one row. */
static void residuals(const struct traj_poisson_rows *rows, const struct traj_tuning_choice *choice,
                      size_t row, const double *weight, const double *offset, double *out)
{
    const struct traj_training *training = rows->training;
    const double *x = training->x + rows->bin[row] * 3 * training->dim;
    for (size_t n = 0; n < training->units; n++) {
        const struct traj_poisson_task task = {
            .rows = rows, .unit = n, .lag = (size_t)choice->lag[n], .target = -1, .root = true};
        double root;
        out[n] = NAN;
        if (!traj_poisson_root(&task, row, &root))
            continue;
        root -= offset[n];
        for (size_t j = 0; j < choice->columns; j++)
            root -= weight[n * choice->columns + j] * x[j];
        out[n] = root;
    }
}

/* Second moments of the residuals of the rows that train, or, with `held`, of those left out. */
static void second_moments(struct noise_work *work, const struct traj_poisson_rows *rows,
                           const struct traj_tuning_choice *choice, unsigned without, bool held,
                           const double *weight, const double *offset, double *out)
{
    size_t n = work->units;
    memset(out, 0, n * n * sizeof *out);
    memset(work->pairs, 0, n * n * sizeof *work->pairs);
    for (size_t i = 0; i < rows->rows; i++) {
        if (held ? rows->fold[i] != without : !traj_fold_used(rows->fold[i], without))
            continue;
        residuals(rows, choice, i, weight, offset, work->residual);
        for (size_t a = 0; a < n; a++)
            for (size_t b = 0; b <= a && !isnan(work->residual[a]); b++)
                if (!isnan(work->residual[b])) {
                    out[a * n + b] += work->residual[a] * work->residual[b];
                    work->pairs[a * n + b]++;
                }
    }
    for (size_t a = 0; a < n; a++)
        for (size_t b = 0; b <= a; b++) {
            double value = out[a * n + b] / fmax(work->pairs[a * n + b], 1);
            if (a == b)
                value = fmax(value, VARIANCE_FLOOR);
            else if (!held)
                value *= 1 - TO_DIAGONAL;
            out[a * n + b] = out[b * n + a] = value;
        }
}

/*
 * Factor analysis by principal axes: with the diagonal Psi at hand, the eigenvectors V and values
 * L of Psi^-1/2 S Psi^-1/2 give U = Psi^1/2 V (L - I)^1/2, and the next Psi = diag(S - U U').
 */
static int factor_analysis(struct noise_work *work, size_t rank, double *noise, double *factor)
{
    size_t n = work->units;
    const double *s = work->covariance;
    for (size_t a = 0; a < n; a++)
        noise[a] = 0.5 * s[a * n + a];
    for (int round = 0; round < ROUNDS; round++) {
        for (size_t a = 0; a < n; a++)
            for (size_t b = 0; b < n; b++)
                gsl_matrix_set(work->scaled, a, b, s[a * n + b] / sqrt(noise[a] * noise[b]));
        if (gsl_eigen_symmv(work->scaled, work->value, work->vector, work->eigen) ||
            gsl_eigen_symmv_sort(work->value, work->vector, GSL_EIGEN_SORT_VAL_DESC))
            return -1;
        for (size_t a = 0; a < n; a++) {
            double shared = 0;
            for (size_t k = 0; k < rank; k++) {
                double beyond = fmax(gsl_vector_get(work->value, k) - 1, 0);
                double u = sqrt(noise[a] * beyond) * gsl_matrix_get(work->vector, a, k);
                factor[a * rank + k] = u;
                shared += u * u;
            }
            noise[a] = fmax(s[a * n + a] - shared, UNIQUE_FLOOR * s[a * n + a]);
        }
    }
    return 0;
}

/* Mean log density of held-out residuals, without the constant; -infinity in vain. */
static double density(struct noise_work *work, size_t rank)
{
    size_t n = work->units;
    double sum = 0;
    for (size_t a = 0; a < n; a++)
        for (size_t b = 0; b < n; b++) {
            double value = a == b ? work->noise[a] : 0;
            for (size_t k = 0; k < rank; k++)
                value += work->factor[a * rank + k] * work->factor[b * rank + k];
            work->dense[a * n + b] = value;
        }
    if (traj_matrix_cholesky(work->dense, n))
        return -INFINITY;
    traj_matrix_cholesky_solve(work->dense, n, work->held, n);
    for (size_t a = 0; a < n; a++)
        sum -= log(work->dense[a * n + a]) + work->held[a * n + a] / 2;
    return sum;
}

static int score_ranks(struct noise_work *work, const struct traj_poisson_rows *rows,
                       const struct traj_tuning_choice *choice, unsigned fold, const double *weight,
                       const double *offset, const size_t *rank, size_t ranks, double *score)
{
    size_t n = work->units;
    double *held = malloc(n * n * sizeof *held);
    int status = held ? 0 : -1;
    if (held) {
        second_moments(work, rows, choice, fold, true, weight, offset, held);
        second_moments(work, rows, choice, fold, false, weight, offset, work->covariance);
    }
    for (size_t i = 0; i < ranks && status == 0; i++) {
        memcpy(work->held, held, n * n * sizeof *held);
        status = factor_analysis(work, rank[i], work->noise, work->factor);
        score[i] += density(work, rank[i]);
    }
    free(held);
    return status;
}

int traj_root_noise_choose(const struct traj_training *training, struct traj_tuning_choice *choice,
                           struct traj_error *error)
{
    static const size_t grid[] = {1, 4, 12, 32, 64};
    enum { GRID = sizeof grid / sizeof grid[0] };
    size_t units = training->units, ranks = 0, columns = choice->columns, best = 0;
    struct traj_poisson_rows rows;
    struct noise_work work;
    double score[GRID] = {0};
    while (ranks < GRID && (grid[ranks] < units || ranks == 0))
        ranks++;
    choice->rank = grid[0];
    if (training->folds == 0)
        return 0;
    double *weight = malloc(units * (columns + 1) * sizeof *weight);
    if (!weight || traj_poisson_rows_new(&rows, training, columns, 0, ROWS, error)) {
        free(weight);
        return traj_error_set(error, "no memory for the noise of %zu units", units);
    }
    int status = work_make(&work, units, error);
    for (unsigned f = 0; f < training->folds && status == 0; f++) {
        double *offset = weight + units * columns;
        status = traj_tuning_fit(training, columns, choice, f, weight, offset, error);
        if (status == 0 && score_ranks(&work, &rows, choice, f, weight, offset, grid, ranks, score))
            status = traj_error_set(error, "the noise of %zu units has no factors", units);
    }
    for (size_t i = 1; i < ranks; i++)
        best = score[i] > score[best] ? i : best;
    choice->rank = grid[best];
    work_free(&work);
    traj_poisson_rows_free(&rows);
    free(weight);
    return status;
}

int traj_root_noise_fit(const struct traj_training *training,
                        const struct traj_tuning_choice *choice, unsigned without,
                        const double *weight, const double *offset, double *noise, double *factor,
                        struct traj_error *error)
{
    struct traj_poisson_rows rows;
    struct noise_work work;
    if (traj_poisson_rows_new(&rows, training, choice->columns, 0, ROWS, error))
        return -1;
    int status = work_make(&work, training->units, error);
    if (status == 0) {
        second_moments(&work, &rows, choice, without, false, weight, offset, work.covariance);
        if (factor_analysis(&work, choice->rank, noise, factor))
            status =
                traj_error_set(error, "the noise of %zu units has no factors", training->units);
        work_free(&work);
    }
    traj_poisson_rows_free(&rows);
    return status;
}
