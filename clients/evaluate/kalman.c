/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Kalman filter of position, velocity and acceleration; see baseline.h. */
#include <gsl/gsl_blas.h>
#include <gsl/gsl_linalg.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "clients/evaluate/baseline.h"
#include "clients/evaluate/channels.h"
#include "clients/evaluate/regression.h"

#define ORDER 3
#define LAG_S 0.16 /* longest lag that is tried */
#define LAGS 5     /* lags tried, evenly spaced from 0 */
#define NOISE_SHRINK                                                                               \
    0.02 /* share of the diagonal in the noise covariance, so that it can be inverted */

struct kalman {
    size_t channels, dim, state, lag;
    bool root;
    double *mean;          /* [channels] */
    double *centre;        /* [state] */
    gsl_matrix *a, *w;     /* [state][state] transition and its noise */
    gsl_matrix *start_cov; /* [state][state] spread of the state over the training data */
    gsl_matrix *gain_in;   /* [state][channels]  C' Q^-1 */
    gsl_matrix *info;      /* [state][state]  C' Q^-1 C */
    gsl_matrix *c;         /* [channels][state] */
};

static void kalman_free(struct kalman *k)
{
    free(k->mean);
    free(k->centre);
    gsl_matrix_free(k->a);
    gsl_matrix_free(k->w);
    gsl_matrix_free(k->start_cov);
    gsl_matrix_free(k->gain_in);
    gsl_matrix_free(k->info);
    gsl_matrix_free(k->c);
    memset(k, 0, sizeof *k);
}

static int kalman_alloc(struct kalman *k, size_t channels, size_t dim)
{
    memset(k, 0, sizeof *k);
    k->channels = channels;
    k->dim = dim;
    k->state = ORDER * dim;
    k->mean = calloc(channels, sizeof *k->mean);
    k->centre = calloc(k->state, sizeof *k->centre);
    k->a = gsl_matrix_calloc(k->state, k->state);
    k->w = gsl_matrix_calloc(k->state, k->state);
    k->start_cov = gsl_matrix_calloc(k->state, k->state);
    k->gain_in = gsl_matrix_calloc(k->state, channels);
    k->info = gsl_matrix_calloc(k->state, k->state);
    k->c = gsl_matrix_calloc(channels, k->state);
    bool ok = k->mean && k->centre && k->a && k->w && k->start_cov && k->gain_in && k->info && k->c;
    return ok ? 0 : -1;
}

/* Training data as the fit needs it. */
struct movement {
    size_t bins;
    double *x;   /* [bins][state] */
    bool *known; /* [bins] */
};

/* Residual covariance of y on x given weights b [inputs][outputs], plus eps on the diagonal. */
static void residual_cov(const double *x, const double *y, const double *b, size_t count,
                         size_t inputs, size_t outputs, gsl_matrix *cov)
{
    double *r = malloc(outputs * sizeof *r);
    gsl_matrix_set_zero(cov);
    for (size_t s = 0; r && s < count; s++) {
        for (size_t o = 0; o < outputs; o++) {
            r[o] = y[s * outputs + o];
            for (size_t i = 0; i < inputs; i++) {
                r[o] -= x[s * inputs + i] * b[i * outputs + o];
            }
        }
        for (size_t p = 0; p < outputs; p++) {
            for (size_t q = 0; q < outputs; q++) {
                *gsl_matrix_ptr(cov, p, q) += r[p] * r[q] / (double)count;
            }
        }
    }
    free(r);
}

/* Least squares of y on x: b [inputs][outputs] and the residual covariance. */
static int regress(const double *x, const double *y, size_t count, size_t inputs, size_t outputs,
                   double *b, gsl_matrix *cov)
{
    struct traj_regression m = {0};
    if (count <= inputs || traj_regression_init(&m, inputs, outputs)) {
        return -1;
    }
    traj_regression_add(&m, x, y, count);
    int result = traj_regression_solve(&m, 1e-9, b);
    if (result == 0) {
        residual_cov(x, y, b, count, inputs, outputs, cov);
    }
    traj_regression_free(&m);
    return result;
}

static int fit_transition(struct kalman *k, const struct traj_channels *c, const struct movement *v,
                          size_t to)
{
    size_t s = k->state, count = 0;
    double *x = malloc(to * s * sizeof *x), *y = malloc(to * s * sizeof *y);
    double *b = malloc(s * s * sizeof *b);
    int result = -1;
    if (x && y && b) {
        for (size_t i = 1; i < to; i++) {
            if (c->first[i] < i && v->known[i] && v->known[i - 1]) {
                for (size_t j = 0; j < s; j++) {
                    x[count * s + j] = v->x[(i - 1) * s + j] - k->centre[j];
                    y[count * s + j] = v->x[i * s + j] - k->centre[j];
                }
                count++;
            }
        }
        result = regress(x, y, count, s, s, b, k->w);
        for (size_t p = 0; result == 0 && p < s; p++) {
            for (size_t q = 0; q < s; q++) {
                gsl_matrix_set(k->a, p, q, b[q * s + p]);
            }
            *gsl_matrix_ptr(k->w, p, p) *= 1.0 + 1e-6; /* keeps the noise positive definite */
            *gsl_matrix_ptr(k->w, p, p) += 1e-9;
        }
        gsl_matrix_set_zero(k->start_cov);
        for (size_t e = 0; e < count; e++) {
            for (size_t p = 0; p < s; p++) {
                for (size_t q = 0; q < s; q++) {
                    *gsl_matrix_ptr(k->start_cov, p, q) +=
                        x[e * s + p] * x[e * s + q] / (double)count;
                }
            }
        }
    }
    free(x);
    free(y);
    free(b);
    return result;
}

/* C' Q^-1 and C' Q^-1 C from the regression of counts on movement. */
static int fit_observation(struct kalman *k, const struct traj_channels *c,
                           const struct movement *v, size_t to)
{
    size_t s = k->state, n = k->channels, count = 0;
    double *x = malloc(to * s * sizeof *x), *y = malloc(to * n * sizeof *y);
    double *b = malloc(s * n * sizeof *b);
    gsl_matrix *q = gsl_matrix_alloc(n, n);
    int result = -1;
    if (x && y && b && q) {
        for (size_t i = k->lag; i < to; i++) {
            if (v->known[i] && i - k->lag >= c->first[i]) {
                for (size_t j = 0; j < s; j++) {
                    x[count * s + j] = v->x[i * s + j] - k->centre[j];
                }
                for (size_t j = 0; j < n; j++) {
                    double value = c->value[(i - k->lag) * n + j];
                    y[count * n + j] = isnan(value) ? 0.0 : value - k->mean[j];
                }
                count++;
            }
        }
        result = regress(x, y, count, s, n, b, q);
    }
    if (result == 0) {
        double diagonal = 0.0;
        for (size_t j = 0; j < n; j++) {
            diagonal += gsl_matrix_get(q, j, j) / (double)n;
        }
        for (size_t j = 0; j < n; j++) {
            *gsl_matrix_ptr(q, j, j) +=
                NOISE_SHRINK * gsl_matrix_get(q, j, j) + 1e-3 * diagonal + 1e-12;
            for (size_t p = 0; p < s; p++) {
                gsl_matrix_set(k->c, j, p, b[p * n + j]);
            }
        }
        result =
            gsl_linalg_cholesky_decomp1(q) || gsl_linalg_cholesky_invert(q) ||
                    gsl_blas_dgemm(CblasTrans, CblasNoTrans, 1.0, k->c, q, 0.0, k->gain_in) ||
                    gsl_blas_dgemm(CblasNoTrans, CblasNoTrans, 1.0, k->gain_in, k->c, 0.0, k->info)
                ? -1
                : 0;
    }
    free(x);
    free(y);
    free(b);
    gsl_matrix_free(q);
    return result;
}

static int fit(struct kalman *k, const struct traj_channels *c, const struct movement *v, size_t to)
{
    size_t count = 0;
    memset(k->centre, 0, k->state * sizeof *k->centre);
    for (size_t i = 0; i < to; i++) {
        for (size_t j = 0; v->known[i] && j < k->state; j++) {
            k->centre[j] += v->x[i * k->state + j];
        }
        count += v->known[i];
    }
    for (size_t j = 0; j < k->state; j++) {
        k->centre[j] /= count ? (double)count : 1.0;
    }
    traj_channels_mean(c, k->mean);
    return fit_transition(k, c, v, to) || fit_observation(k, c, v, to) ? -1 : 0;
}

/* Scratch of one filter run. */
struct run {
    gsl_matrix *p, *t, *u;
    gsl_vector *x, *prior, *rhs;
};

static int run_alloc(struct run *r, size_t state)
{
    r->p = gsl_matrix_calloc(state, state);
    r->t = gsl_matrix_calloc(state, state);
    r->u = gsl_matrix_calloc(state, state);
    r->x = gsl_vector_calloc(state);
    r->prior = gsl_vector_calloc(state);
    r->rhs = gsl_vector_calloc(state);
    return r->p && r->t && r->u && r->x && r->prior && r->rhs ? 0 : -1;
}

static void run_free(struct run *r)
{
    gsl_matrix_free(r->p);
    gsl_matrix_free(r->t);
    gsl_matrix_free(r->u);
    gsl_vector_free(r->x);
    gsl_vector_free(r->prior);
    gsl_vector_free(r->rhs);
}

/* Predicts over one bin; after a gap the state is the mean of the training data. */
static int predict(const struct kalman *k, struct run *r, bool anew)
{
    if (anew) {
        gsl_vector_set_zero(r->prior);
        return gsl_matrix_memcpy(r->p, k->start_cov);
    }
    return gsl_blas_dgemv(CblasNoTrans, 1.0, k->a, r->x, 0.0, r->prior) ||
           gsl_blas_dgemm(CblasNoTrans, CblasNoTrans, 1.0, k->a, r->p, 0.0, r->t) ||
           gsl_matrix_memcpy(r->p, k->w) ||
           gsl_blas_dgemm(CblasNoTrans, CblasTrans, 1.0, r->t, k->a, 1.0, r->p);
}

/* x = prior + (P^-1 + C'Q^-1C)^-1 C'Q^-1 (y - C prior), in information form. */
static int condition(const struct kalman *k, struct run *r, const double *y)
{
    gsl_vector_set_zero(r->rhs);
    for (size_t n = 0; n < k->channels; n++) {
        if (isnan(y[n])) {
            continue; /* not observed: as if it had been just what was predicted */
        }
        double e = y[n] - k->mean[n];
        for (size_t p = 0; p < k->state; p++) {
            e -= gsl_matrix_get(k->c, n, p) * gsl_vector_get(r->prior, p);
        }
        for (size_t p = 0; p < k->state; p++) {
            *gsl_vector_ptr(r->rhs, p) += gsl_matrix_get(k->gain_in, p, n) * e;
        }
    }
    if (gsl_linalg_cholesky_decomp1(r->p) || gsl_linalg_cholesky_invert(r->p) ||
        gsl_matrix_add(r->p, k->info) || gsl_linalg_cholesky_decomp1(r->p) ||
        gsl_linalg_cholesky_invert(r->p)) {
        return -1;
    }
    return gsl_vector_memcpy(r->x, r->prior) ||
           gsl_blas_dgemv(CblasNoTrans, 1.0, r->p, r->rhs, 1.0, r->x);
}

/* Decodes bins [from, to) of c into decoded (position, velocity). */
static int filter(const struct kalman *k, const struct traj_channels *c, size_t from, size_t to,
                  struct traj_decoded *decoded)
{
    struct run r = {0};
    int result = run_alloc(&r, k->state);
    for (size_t i = from; result == 0 && i < to; i++) {
        result = predict(k, &r, i == from || c->first[i] == i);
        if (result == 0 && i - c->first[i] >= k->lag) {
            result = condition(k, &r, c->value + (i - k->lag) * c->channels);
        } else if (result == 0) {
            result = gsl_vector_memcpy(r.x, r.prior);
        }
        for (size_t d = 0; result == 0 && d < k->dim; d++) {
            decoded->position[i * k->dim + d] = gsl_vector_get(r.x, d) + k->centre[d];
            decoded->velocity[i * k->dim + d] =
                gsl_vector_get(r.x, k->dim + d) + k->centre[k->dim + d];
        }
    }
    run_free(&r);
    return result ? -1 : 0;
}

static double misfit(const struct traj_decoded *decoded, const struct movement *v, size_t state,
                     size_t from, size_t to)
{
    double sum = 0.0;
    for (size_t i = from; i < to; i++) {
        for (size_t d = 0; v->known[i] && d < decoded->dim; d++) {
            double e = decoded->position[i * decoded->dim + d] - v->x[i * state + d];
            sum += e * e;
        }
    }
    return sum;
}

/* Tries every lag and transform on the last fifth; leaves the best in k and fits it on all. */
static int choose(struct kalman *k, const struct traj_session *train, const struct movement *v)
{
    double width = traj_bin_width(train), best = INFINITY;
    size_t best_lag = 0, step = (size_t)lround(LAG_S / (LAGS - 1) / width);
    bool best_root = false;
    struct traj_decoded *decoded = traj_decoded_new(train->bins, train->dim, 0);
    step = step > 0 ? step : 1;
    for (int root = 0; decoded && root < 2; root++) {
        struct traj_channels c = {0};
        if (traj_channels_init(&c, train, root != 0)) {
            break;
        }
        size_t split = c.first[c.bins * 4 / 5];
        split = split > c.bins / 2 ? split : c.bins * 4 / 5;
        for (k->lag = 0; (double)k->lag * width <= LAG_S + 1e-9; k->lag += step) {
            if (fit(k, &c, v, split) || filter(k, &c, split, c.bins, decoded)) {
                continue;
            }
            double e = misfit(decoded, v, k->state, split, c.bins);
            if (e < best) {
                best = e;
                best_lag = k->lag;
                best_root = root != 0;
            }
        }
        traj_channels_free(&c);
    }
    traj_decoded_free(decoded);
    struct traj_channels c = {0};
    k->lag = best_lag;
    k->root = best_root;
    int result =
        isinf(best) || traj_channels_init(&c, train, k->root) || fit(k, &c, v, c.bins) ? -1 : 0;
    traj_channels_free(&c);
    return result;
}

struct traj_decoded *traj_kalman(const struct traj_session *train, const struct traj_session *test,
                                 struct traj_error *error)
{
    struct kalman k;
    struct movement v = {train->bins, calloc(train->bins * ORDER * train->dim, sizeof(double)),
                         calloc(train->bins, sizeof(bool))};
    struct traj_channels c = {0};
    struct traj_decoded *decoded = NULL;
    int result = kalman_alloc(&k, train->units + train->features, train->dim);
    if (result == 0 && v.x && v.known) {
        traj_movement(train, ORDER, v.x, v.known);
        result = choose(&k, train, &v);
    }
    if (result == 0 && v.x && v.known) {
        decoded = traj_decoded_new(test->bins, test->dim, 0);
        if (!decoded || traj_channels_init(&c, test, k.root) ||
            filter(&k, &c, 0, c.bins, decoded)) {
            traj_decoded_free(decoded);
            decoded = NULL;
        }
    }
    if (!decoded) {
        traj_error_set(error,
                       "%s: the Kalman filter could not be fitted (too few bins with kinematics?)",
                       train->path);
    }
    traj_channels_free(&c);
    kalman_free(&k);
    free(v.x);
    free(v.known);
    return decoded;
}
