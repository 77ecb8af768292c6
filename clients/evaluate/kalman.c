/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Kalman filter of position, velocity and acceleration (Wu, Gao, Bienenstock, Donoghue and Black
 * 2006, Neural Computation 18:80):
 *     x_t = A x_{t-1} + w, w ~ N(0, W)        y_{t-lag} = C x_t + q, q ~ N(0, Q)
 * all by least squares; y are counts or their roots less their means.  In information form,
 *     P = (P-^-1 + C'Q^-1 C)^-1,  x = x- + P C'Q^-1 (y - C x-),
 * where C and Q hold only the rows of the units that were observed.
 */
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
    gsl_matrix *noise;     /* [channels][channels]  Q */
    gsl_matrix *c;         /* [channels][state] */
};

static void kalman_free(struct kalman *k)
{
    free(k->mean);
    free(k->centre);
    gsl_matrix_free(k->a);
    gsl_matrix_free(k->w);
    gsl_matrix_free(k->start_cov);
    gsl_matrix_free(k->noise);
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
    k->noise = gsl_matrix_calloc(channels, channels);
    k->c = gsl_matrix_calloc(channels, k->state);
    bool ok = k->mean && k->centre && k->a && k->w && k->start_cov && k->noise && k->c;
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

/* C and Q from the regression of counts on movement. */
static int fit_observation(struct kalman *k, const struct traj_channels *c,
                           const struct movement *v, size_t to)
{
    size_t s = k->state, n = k->channels, count = 0;
    double *x = malloc(to * s * sizeof *x), *y = malloc(to * n * sizeof *y);
    double *b = malloc(s * n * sizeof *b);
    gsl_matrix *q = k->noise;
    int result = -1;
    if (x && y && b) {
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
    }
    free(x);
    free(y);
    free(b);
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
    gsl_matrix *p, *t;
    gsl_vector *x, *prior, *rhs;
    bool *seen;       /* [channels] which the next two are for */
    gsl_matrix *gain; /* [state][channels]  C' Q^-1, 0 where not seen */
    gsl_matrix *info; /* [state][state]  C' Q^-1 C */
    bool ready;       /* gain and info have been worked out */
};

static int run_alloc(struct run *r, size_t state, size_t channels)
{
    r->p = gsl_matrix_calloc(state, state);
    r->t = gsl_matrix_calloc(state, state);
    r->x = gsl_vector_calloc(state);
    r->prior = gsl_vector_calloc(state);
    r->rhs = gsl_vector_calloc(state);
    r->seen = calloc(channels, sizeof *r->seen);
    r->gain = gsl_matrix_calloc(state, channels);
    r->info = gsl_matrix_calloc(state, state);
    bool ok = r->p && r->t && r->x && r->prior && r->rhs && r->seen && r->gain && r->info;
    return ok ? 0 : -1;
}

static void run_free(struct run *r)
{
    gsl_matrix_free(r->p);
    gsl_matrix_free(r->t);
    gsl_vector_free(r->x);
    gsl_vector_free(r->prior);
    gsl_vector_free(r->rhs);
    free(r->seen);
    gsl_matrix_free(r->gain);
    gsl_matrix_free(r->info);
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

/* C'Q^-1 and C'Q^-1 C of the units that y has; worked out anew when they are others than before. */
static int weigh(const struct kalman *k, struct run *r, const double *y)
{
    bool same = r->ready;
    size_t seen = 0;
    for (size_t n = 0; n < k->channels; n++) {
        same = same && r->seen[n] == !isnan(y[n]);
        r->seen[n] = !isnan(y[n]);
        seen += r->seen[n];
    }
    if (same) {
        return 0;
    }
    r->ready = true;
    gsl_matrix_set_zero(r->gain);
    gsl_matrix_set_zero(r->info);
    if (seen == 0) {
        return 0;
    }
    gsl_matrix *q = gsl_matrix_alloc(seen, seen), *g = gsl_matrix_alloc(seen, k->state);
    int result = q && g ? 0 : -1;
    for (size_t n = 0, i = 0; result == 0 && n < k->channels; n++) {
        for (size_t m = 0, j = 0; r->seen[n] && m < k->channels; m++) {
            if (r->seen[m]) {
                gsl_matrix_set(q, i, j++, gsl_matrix_get(k->noise, n, m));
            }
        }
        for (size_t p = 0; r->seen[n] && p < k->state; p++) {
            gsl_matrix_set(g, i, p, gsl_matrix_get(k->c, n, p));
        }
        i += r->seen[n];
    }
    if (result || gsl_linalg_cholesky_decomp1(q) || gsl_linalg_cholesky_invert(q)) {
        result = -1;
    }
    for (size_t n = 0, i = 0; result == 0 && n < k->channels; n++) {
        for (size_t p = 0; r->seen[n] && p < k->state; p++) {
            double sum = 0.0;
            for (size_t j = 0; j < seen; j++) {
                sum += gsl_matrix_get(q, i, j) * gsl_matrix_get(g, j, p);
            }
            gsl_matrix_set(r->gain, p, n, sum);
        }
        i += r->seen[n];
    }
    gsl_matrix_free(q);
    gsl_matrix_free(g);
    return result ? -1
                  : gsl_blas_dgemm(CblasNoTrans, CblasNoTrans, 1.0, r->gain, k->c, 0.0, r->info);
}

/* x = prior + (P^-1 + C'Q^-1C)^-1 C'Q^-1 (y - C prior), in information form. */
static int condition(const struct kalman *k, struct run *r, const double *y)
{
    if (weigh(k, r, y)) {
        return -1;
    }
    gsl_vector_set_zero(r->rhs);
    for (size_t n = 0; n < k->channels; n++) {
        if (!r->seen[n]) {
            continue;
        }
        double e = y[n] - k->mean[n];
        for (size_t p = 0; p < k->state; p++) {
            e -= gsl_matrix_get(k->c, n, p) * gsl_vector_get(r->prior, p);
        }
        for (size_t p = 0; p < k->state; p++) {
            *gsl_vector_ptr(r->rhs, p) += gsl_matrix_get(r->gain, p, n) * e;
        }
    }
    if (gsl_linalg_cholesky_decomp1(r->p) || gsl_linalg_cholesky_invert(r->p) ||
        gsl_matrix_add(r->p, r->info) || gsl_linalg_cholesky_decomp1(r->p) ||
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
    int result = run_alloc(&r, k->state, k->channels);
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
        size_t split = traj_validation_bin(&c);
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
