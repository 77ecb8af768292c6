/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the hand and the units do in each state; see session_states.h. */
#include "daemon/learn/session_states.h"

#include <gsl/gsl_eigen.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/learn/matrix.h"
#include "daemon/learn/session_answers.h"

#define RIDGE 10.0        /* of the regression on position and velocity */
#define RESIDUAL_PRIOR 20 /* bins that the regression counts for in a free place's mean */
#define REST_PRIOR 1.0    /* bins that the overall mean counts for at rest */
#define TO_DIAGONAL 0.05  /* share of the noise's correlations that is distrusted */
#define UNIQUE_FLOOR 0.05 /* of a channel's variance that is its own at least */
#define FACTOR_ROUNDS 8   /* of factor analysis, where channels are few enough */
#define FACTOR_CHANNELS 200
#define SPREAD_PRIOR 5.0  /* bins that the pooled spread counts for */
#define SPREAD_FLOOR 1e-3 /* variance within a state at least, of the overall one */

float *traj_session_values(const struct traj_training *training)
{
    size_t units = training->units, channels = units + training->features;
    float *value = malloc((training->bins * channels + 1) * sizeof *value);
    for (size_t b = 0; value && b < training->bins; b++) {
        for (size_t n = 0; n < units; n++) {
            uint16_t y = training->counts[n * training->bins + b];
            value[b * channels + n] = y == TRAJ_COUNT_MISSING
                                          ? NAN
                                          : (float)sqrt(y * training->bin / training->dt[b] + 0.25);
        }
        for (size_t n = units; n < channels; n++)
            value[b * channels + n] = training->feature[b * training->features + n - units];
    }
    return value;
}

static const double *state_of(const struct traj_training *training, size_t b)
{
    return training->x + b * 3 * training->dim;
}

static bool used(const struct traj_session_states *states, size_t b)
{
    return states->state[b] != TRAJ_PLACE_UNUSED;
}

/* ---- moments of channels ------------------------------------------------------------------- */

/* Mean and sd of each channel, and by how much sums over its observed bins must grow to stand for
 * all. */
struct scales {
    double *mean, *sd, *grow; /* [channels], one block */
};

static int measure_channels(const struct traj_session_states *states, struct scales *scales)
{
    const struct traj_session_design *design = states->design;
    size_t c = states->channels, bins = 0;
    double *block = calloc(3 * c + 1, sizeof *block);
    if (!block)
        return -1;
    *scales = (struct scales){block, block + c, block + 2 * c};
    for (size_t b = 0; b < design->training->bins; b++) {
        if (!used(states, b))
            continue;
        bins++;
        for (size_t n = 0; n < c; n++) {
            double s = design->value[b * c + n];
            if (!isfinite(s))
                continue;
            scales->grow[n]++;
            scales->mean[n] += s;
            scales->sd[n] += s * s;
        }
    }
    for (size_t n = 0; n < c; n++) {
        double seen = fmax(scales->grow[n], 1);
        scales->mean[n] /= seen;
        scales->sd[n] =
            sqrt(fmax(scales->sd[n] / seen - scales->mean[n] * scales->mean[n], 0)) + 1e-6;
        scales->grow[n] = scales->grow[n] > 0 ? (double)bins / scales->grow[n] : 0;
    }
    return 0;
}

/* ---- courses ------------------------------------------------------------------------------- */

/* (I + F' E F)^-1 F' (sums of standardised channels): coefficients of the basis, [columns][c]. */
static int fit_basis(const struct traj_session_states *states, const double *sum,
                     double *coefficient)
{
    const struct traj_session_design *design = states->design;
    size_t k = design->columns, c = states->channels, nodes = states->courses - 1;
    double *gram = calloc(2 * k * k + 1, sizeof *gram);
    if (!gram)
        return -1;
    memset(coefficient, 0, k * c * sizeof *coefficient);
    for (size_t j = 0; j < nodes; j++) {
        const double *row = design->basis + j * k;
        double bins = states->count[1 + j];
        for (size_t a = 0; bins > 0 && a < k; a++) {
            for (size_t b = 0; b <= a; b++)
                gram[a * k + b] += bins * row[a] * row[b];
            for (size_t n = 0; n < c; n++)
                coefficient[a * c + n] += row[a] * sum[j * c + n];
        }
    }
    for (size_t a = 0; a < k; a++)
        gram[a * k + a] += 1;
    int status = traj_matrix_cholesky(gram, k);
    if (status == 0)
        traj_matrix_cholesky_solve(gram, k, coefficient, c);
    free(gram);
    return status;
}

/* f of the rest and of the courses' places. */
static int fit_courses(struct traj_session_states *states, const struct scales *scales)
{
    const struct traj_session_design *design = states->design;
    size_t c = states->channels, nodes = states->courses - 1, k = design->columns;
    double *sum = calloc(states->courses * c, sizeof *sum);
    double *coefficient = malloc((k * c + 1) * sizeof *coefficient);
    int status = sum && coefficient ? 0 : -1;
    for (size_t b = 0; status == 0 && b < design->training->bins; b++)
        for (size_t n = 0; used(states, b) && states->state[b] < states->courses && n < c; n++) {
            double s = design->value[b * c + n];
            if (isfinite(s))
                sum[states->state[b] * c + n] +=
                    scales->grow[n] * (s - scales->mean[n]) / scales->sd[n];
        }
    if (status == 0)
        status = fit_basis(states, sum + c, coefficient);
    if (status == 0)
        traj_matrix_multiply(design->basis, coefficient, nodes, k, c, states->mean + c);
    for (size_t n = 0; status == 0 && n < c; n++) {
        states->mean[n] = sum[n] / (states->count[0] + REST_PRIOR);
        for (size_t j = 0; j < states->courses; j++)
            states->mean[j * c + n] = scales->mean[n] + scales->sd[n] * states->mean[j * c + n];
    }
    free(sum);
    free(coefficient);
    return status;
}

/* ---- free places --------------------------------------------------------------------------- */

/* Regression of the channels on position and velocity over all training bins, beta[r][c]. */
static int regress(const struct traj_session_states *states, const struct scales *scales,
                   double *beta)
{
    const struct traj_session_design *design = states->design;
    const struct traj_training *training = design->training;
    size_t r = traj_places_regressors(states->dim), c = states->channels;
    double *gram = calloc(2 * r * r + 2 * r, sizeof *gram);
    if (!gram)
        return -1;
    double *work = gram + r * r, *ridge = work + r * r, *row = ridge + r;
    memset(beta, 0, r * c * sizeof *beta);
    for (size_t b = 0; b < training->bins; b++) {
        if (!used(states, b))
            continue;
        traj_places_regress_on(&states->places, training, state_of(training, b), row);
        for (size_t i = 0; i < r; i++) {
            for (size_t k = 0; k <= i; k++)
                gram[i * r + k] += row[i] * row[k];
            for (size_t n = 0; n < c; n++) {
                double s = design->value[b * c + n];
                beta[i * c + n] +=
                    isfinite(s) ? row[i] * scales->grow[n] * (s - scales->mean[n]) : 0;
            }
        }
    }
    for (size_t i = 0; i < r; i++) {
        ridge[i] = i > 0 ? RIDGE : 0;
        for (size_t k = 0; k < i; k++)
            gram[k * r + i] = gram[i * r + k];
    }
    traj_matrix_solve_moments(gram, ridge, r, beta, c, work);
    free(gram);
    return 0;
}

static double regression_at(const double *beta, const double *row, size_t r, size_t c, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < r; i++)
        sum += row[i] * beta[i * c + n];
    return sum;
}

/* f of the free places: what the regression says, and what the bins there add. */
static int fit_free(struct traj_session_states *states, const struct scales *scales)
{
    const struct traj_session_design *design = states->design;
    const struct traj_training *training = design->training;
    size_t r = traj_places_regressors(states->dim), c = states->channels, first = states->courses;
    double *beta = malloc((r * c + r) * sizeof *beta);
    if (!beta || regress(states, scales, beta)) {
        free(beta);
        return -1;
    }
    double *row = beta + r * c;
    for (size_t b = 0; b < training->bins; b++) {
        if (!used(states, b) || states->state[b] < first)
            continue;
        traj_places_regress_on(&states->places, training, state_of(training, b), row);
        for (size_t n = 0; n < c; n++) {
            double s = design->value[b * c + n];
            if (isfinite(s))
                states->mean[states->state[b] * c + n] +=
                    s - scales->mean[n] - regression_at(beta, row, r, c, n);
        }
    }
    for (size_t j = first; j < states->states; j++) {
        traj_places_regress_on(&states->places, training,
                               states->places.centre + (j - first) * 2 * states->dim, row);
        for (size_t n = 0; n < c; n++)
            states->mean[j * c + n] = scales->mean[n] + regression_at(beta, row, r, c, n) +
                                      states->mean[j * c + n] / (states->count[j] + RESIDUAL_PRIOR);
    }
    free(beta);
    return 0;
}

/* ---- noise --------------------------------------------------------------------------------- */

/* Correlations of the channels about their states' means, and their variances. */
static int residual_correlation(const struct traj_session_states *states, gsl_matrix *cov,
                                double *variance)
{
    const struct traj_session_design *design = states->design;
    size_t c = states->channels;
    double *off = calloc(c + 1, sizeof *off), *seen = calloc(c + 1, sizeof *seen);
    for (size_t b = 0; off && seen && b < design->training->bins; b++) {
        if (!used(states, b))
            continue;
        for (size_t n = 0; n < c; n++) {
            double s = design->value[b * c + n];
            off[n] = isfinite(s) ? s - states->mean[states->state[b] * c + n] : 0;
            seen[n] += isfinite(s) ? 1 : 0;
        }
        for (size_t n = 0; n < c; n++) {
            double *row = gsl_matrix_ptr(cov, n, 0);
            for (size_t m = 0; m <= n; m++)
                row[m] += off[n] * off[m];
        }
    }
    for (size_t n = 0; off && seen && n < c; n++)
        variance[n] = gsl_matrix_get(cov, n, n) / fmax(seen[n], 1) + 1e-6;
    for (size_t n = 0; off && seen && n < c; n++)
        for (size_t m = 0; m <= n; m++) {
            double v = gsl_matrix_get(cov, n, m) / sqrt(fmax(seen[n], 1) * fmax(seen[m], 1)) /
                       sqrt(variance[n] * variance[m]);
            gsl_matrix_set(cov, n, m, n == m ? 1 : v * (1 - TO_DIAGONAL));
            gsl_matrix_set(cov, m, n, n == m ? 1 : v * (1 - TO_DIAGONAL));
        }
    int status = off && seen ? 0 : -1;
    free(off);
    free(seen);
    return status;
}

/* Work space of factor analysis. */
struct analysis {
    gsl_matrix *cov, *scaled, *vector;
    gsl_vector *value;
    gsl_eigen_symmv_workspace *work;
    double *unique; /* [c] */
    double *variance;
};

static int analysis_alloc(struct analysis *a, size_t c)
{
    a->cov = gsl_matrix_calloc(c, c);
    a->scaled = gsl_matrix_alloc(c, c);
    a->vector = gsl_matrix_alloc(c, c);
    a->value = gsl_vector_alloc(c);
    a->work = gsl_eigen_symmv_alloc(c);
    a->unique = malloc((c + 1) * sizeof *a->unique);
    a->variance = malloc((c + 1) * sizeof *a->variance);
    return a->cov && a->scaled && a->vector && a->value && a->work && a->unique && a->variance ? 0
                                                                                               : -1;
}

static void analysis_free(struct analysis *a)
{
    gsl_matrix_free(a->cov);
    gsl_matrix_free(a->scaled);
    gsl_matrix_free(a->vector);
    gsl_vector_free(a->value);
    gsl_eigen_symmv_free(a->work);
    free(a->unique);
    free(a->variance);
}

/* One round: factors given each channel's own variance, then the own variances (Lawley 1940). */
static int analyse(struct analysis *a, size_t rank, double *factor)
{
    size_t c = a->cov->size1;
    for (size_t n = 0; n < c; n++)
        for (size_t m = 0; m < c; m++)
            gsl_matrix_set(a->scaled, n, m,
                           gsl_matrix_get(a->cov, n, m) / sqrt(a->unique[n] * a->unique[m]));
    if (gsl_eigen_symmv(a->scaled, a->value, a->vector, a->work) ||
        gsl_eigen_symmv_sort(a->value, a->vector, GSL_EIGEN_SORT_VAL_DESC))
        return -1;
    for (size_t n = 0; n < c; n++) {
        double shared = 0;
        for (size_t k = 0; k < rank; k++) {
            double beyond = fmax(gsl_vector_get(a->value, k) - 1, 0);
            double u = sqrt(a->unique[n] * beyond) * gsl_matrix_get(a->vector, n, k);
            factor[n * rank + k] = u;
            shared += u * u;
        }
        a->unique[n] = fmax(1 - shared, UNIQUE_FLOOR);
    }
    return 0;
}

static int fit_noise(struct traj_session_states *states)
{
    size_t c = states->channels, rank = states->rank;
    struct analysis a = {.cov = NULL};
    int status = analysis_alloc(&a, c);
    if (status == 0)
        status = residual_correlation(states, a.cov, a.variance);
    for (size_t n = 0; status == 0 && n < c; n++)
        a.unique[n] = 0.5;
    size_t rounds = c <= FACTOR_CHANNELS ? FACTOR_ROUNDS : 2;
    for (size_t i = 0; status == 0 && i < rounds; i++)
        status = analyse(&a, rank, states->factor);
    for (size_t n = 0; status == 0 && n < c; n++) {
        states->noise[n] = a.unique[n] * a.variance[n];
        for (size_t k = 0; k < rank; k++)
            states->factor[n * rank + k] *= sqrt(a.variance[n]);
    }
    analysis_free(&a);
    return status;
}

/* ---- movement ------------------------------------------------------------------------------ */

/* State of every training bin: its label's, else the nearest free place. */
static void assign(struct traj_session_states *states)
{
    const struct traj_session_design *design = states->design;
    for (size_t b = 0; b < design->training->bins; b++) {
        int32_t label = design->labels ? design->labels->place[b] : TRAJ_LABEL_NONE;
        states->state[b] = states->places.nearest[b];
        if (!used(states, b))
            continue;
        states->state[b] = label >= 0 ? (size_t)label : states->courses + states->state[b];
        states->count[states->state[b]]++;
    }
}

/* Mean position and velocity of every state. */
static int fit_centres(struct traj_session_states *states)
{
    const struct traj_session_design *design = states->design;
    const struct traj_training *training = design->training;
    size_t width = 2 * states->dim;
    if (states->courses > 0 &&
        traj_labels_courses(design->labels, training, states->without, states->centre + width))
        return -1;
    for (size_t b = 0; states->courses > 0 && b < training->bins; b++)
        for (size_t i = 0; used(states, b) && states->state[b] == 0 && i < width; i++)
            states->centre[i] +=
                state_of(training, b)[i] - (i < states->dim ? design->labels->origin[i] : 0);
    for (size_t i = 0; states->courses > 0 && i < width; i++)
        states->centre[i] = states->centre[i] / (states->count[0] + 1) +
                            (i < states->dim ? design->labels->origin[i] : 0);
    memcpy(states->centre + states->courses * width, states->places.centre,
           states->places.places * width * sizeof(double));
    return 0;
}

/* Covariance of position and velocity within each state, drawn to that of all. */
static int fit_spreads(struct traj_session_states *states)
{
    const struct traj_training *training = states->design->training;
    size_t dim = states->dim, square = dim * dim, width = 2 * square;
    double *pooled = calloc(width + 1, sizeof *pooled), total = 0;
    if (!pooled)
        return -1;
    for (size_t b = 0; b < training->bins; b++) {
        if (!used(states, b))
            continue;
        const double *x = state_of(training, b), *c = states->centre + states->state[b] * 2 * dim;
        total++;
        for (size_t i = 0; i < width; i++) {
            size_t part = i / square * dim, d = part + i % square / dim, e = part + i % dim;
            double product = (x[d] - c[d]) * (x[e] - c[e]);
            states->spread[states->state[b] * width + i] += product;
            pooled[i] += product;
        }
    }
    for (size_t i = 0; i < states->states * width; i++) {
        size_t j = i / width, k = i % width, part = k / square;
        double floor = SPREAD_FLOOR * training->scale[part] * training->scale[part];
        states->spread[i] = (states->spread[i] + SPREAD_PRIOR * pooled[k] / fmax(total, 1)) /
                                (states->count[j] + SPREAD_PRIOR) +
                            (k % square % (dim + 1) == 0 ? floor : 0);
    }
    free(pooled);
    return 0;
}

/* ---- one fit ------------------------------------------------------------------------------- */

static int allocate(struct traj_session_states *states)
{
    size_t j = states->states, c = states->channels, dim = states->dim;
    states->state = calloc(states->design->training->bins + 1, sizeof *states->state);
    states->count = calloc(j + 1, sizeof(double));
    states->centre = calloc(j * 2 * dim + 1, sizeof(double));
    states->spread = calloc(j * 2 * dim * dim + 1, sizeof(double));
    states->mean = calloc(j * c + 1, sizeof(double));
    states->noise = calloc(c + 1, sizeof(double));
    states->factor = calloc(c * states->rank + 1, sizeof(double));
    return states->state && states->count && states->centre && states->spread && states->mean &&
                   states->noise && states->factor
               ? 0
               : -1;
}

int traj_session_states_fit(struct traj_session_states *states,
                            const struct traj_session_design *design, unsigned without,
                            struct traj_error *error)
{
    const struct traj_training *training = design->training;
    const struct traj_labels *labels = design->labels;
    uint8_t *apart = labels ? malloc(training->bins + 1) : NULL;
    struct scales scales = {NULL, NULL, NULL};
    *states = (struct traj_session_states){.design = design,
                                           .without = without,
                                           .dim = training->dim,
                                           .channels = design->channels,
                                           .rank = design->rank};
    for (size_t b = 0; apart && b < training->bins; b++)
        apart[b] = labels->place[b] == TRAJ_LABEL_NONE;
    if ((labels && !apart) || traj_places_fit(&states->places, training, without, design->places,
                                              apart, design->unit, design->seed, error)) {
        free(apart);
        return -1;
    }
    free(apart);
    states->courses = labels ? 1 + labels->targets * labels->row : 0;
    states->states = states->courses + states->places.places;
    int status = allocate(states);
    if (status == 0) {
        assign(states);
        status = measure_channels(states, &scales);
    }
    if (status == 0)
        status = states->courses > 0 ? fit_courses(states, &scales) : 0;
    if (status == 0 && (fit_free(states, &scales) || fit_noise(states) || fit_centres(states) ||
                        fit_spreads(states) || traj_session_answers_fit(states)))
        status = -1;
    free(scales.mean);
    return status
               ? traj_error_set(error, "states could not be learned from %zu bins", training->bins)
               : 0;
}

void traj_session_states_free(struct traj_session_states *states)
{
    traj_places_free(&states->places);
    free(states->state);
    free(states->count);
    free(states->centre);
    free(states->spread);
    free(states->mean);
    free(states->noise);
    free(states->factor);
    free(states->answer);
    free(states->answer_noise);
}
