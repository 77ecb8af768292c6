/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Naive Bayes decoder with continuity (Zhang, Ginzburg, McNaughton and Sejnowski 1998, Journal of
 * Neurophysiology 79:1017, the two-step method):
 *     p(x_t, v_t | y_t, x_{t-1}) ~ p(x_t, v_t) [prod_n Poisson(y_n; e lambda_n(x_t, v_t))]^tau
 *                                  exp(-|x_t - xhat_{t-1}|^2 / (2 s^2)),
 * y_n the counts of the last window of width e; log lambda_n quadratic in position (linear beyond
 * three dimensions), linear in velocity and speed, fitted by penalised maximum likelihood.  The sum
 * over (x, v) runs over what was done in training, evenly spaced in time, so that each stands for
 * an equal share of p(x, v).  xhat is the posterior mean.
 */
#include <gsl/gsl_linalg.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "clients/evaluate/baseline.h"
#include "clients/evaluate/channels.h"

#define CELLS 800
#define NEWTON 12
#define TERMS_MAX (2 + 2 * TRAJ_DIM_MAX + 6)
#define WINDOWS 4
#define TEMPERS 5
#define STEPS 5
#define STEP_S 0.1

static const double window_s[WINDOWS] = {0.0, 0.1, 0.2, 0.3};
static const double temper[TEMPERS] = {1.0, 0.5, 0.25, 0.1, 0.05};
/* s in root mean squared distances of 100 ms in training. */
static const double step[STEPS] = {0.25, 0.5, 1.0, 2.0, INFINITY};

struct bayes {
    size_t dim, units, terms, cells, window; /* window in bins */
    double width;                            /* s of a bin */
    double centre[TRAJ_DIM_MAX], scale[TRAJ_DIM_MAX];
    double *cell;        /* [cells][dim] */
    double *weight;      /* [units][terms] */
    double *log_rate;    /* [cells][units], of counts a second */
    double *total;       /* [cells] sum over units of the rate */
    double *rate;        /* [cells][units] */
    double temper, step; /* step: variance, length^2 */
};

static void bayes_free(struct bayes *b)
{
    free(b->cell);
    free(b->weight);
    free(b->log_rate);
    free(b->total);
    free(b->rate);
}

/* Regressors of a position and velocity x[2 dim]; returns how many. */
static size_t terms_of(const struct bayes *b, const double *x, double *out)
{
    size_t n = 0, dim = b->dim;
    double z[2 * TRAJ_DIM_MAX], square = 0.0;
    out[n++] = 1.0;
    for (size_t d = 0; d < 2 * dim; d++) {
        z[d] = (x[d] - b->centre[d]) / b->scale[d];
        out[n++] = z[d];
        square += d < dim ? 0.0 : z[d] * z[d];
    }
    out[n++] = sqrt(square) - 1.0;
    for (size_t d = 0; dim <= 3 && d < dim; d++) {
        for (size_t e = d; e < dim; e++) {
            out[n++] = z[d] * z[e];
        }
    }
    return n;
}

/* Counts of a unit in the window that ends with a bin, and the time in which it was observed. */
static double windowed(const struct bayes *b, const struct traj_channels *c, size_t bin, size_t n,
                       double *exposure)
{
    double sum = 0.0;
    *exposure = 0.0;
    for (size_t k = 0; k < b->window && k <= bin - c->first[bin]; k++) {
        double y = c->value[(bin - k) * c->channels + n];
        if (!isnan(y)) {
            sum += y;
            *exposure += b->width;
        }
    }
    return sum;
}

/* One Newton step of a unit's weights; returns its largest change, negative on failure. */
static double newton(const double *x, const double *y, const double *e, size_t count, size_t terms,
                     double *w)
{
    double a[TERMS_MAX * TERMS_MAX], g[TERMS_MAX], move[TERMS_MAX], most = 0.0;
    memset(a, 0, terms * terms * sizeof *a);
    for (size_t j = 0; j < terms; j++) { /* w ~ N(0, 4), but for the intercept */
        g[j] = j == 0 ? 0.0 : -0.25 * w[j];
        a[j * terms + j] = j == 0 ? 1e-6 : 0.25;
    }
    for (size_t i = 0; i < count; i++) {
        const double *row = x + i * terms;
        double eta = 0.0;
        for (size_t j = 0; j < terms; j++) {
            eta += w[j] * row[j];
        }
        double mean = e[i] * exp(eta < -12.0 ? -12.0 : eta > 7.0 ? 7.0 : eta);
        for (size_t j = 0; j < terms; j++) {
            g[j] += (y[i] - mean) * row[j];
            for (size_t k = 0; k <= j; k++) {
                a[j * terms + k] += mean * row[j] * row[k];
            }
        }
    }
    for (size_t j = 0; j < terms; j++) {
        for (size_t k = 0; k < j; k++) {
            a[k * terms + j] = a[j * terms + k];
        }
    }
    gsl_matrix_view m = gsl_matrix_view_array(a, terms, terms);
    gsl_vector_view right = gsl_vector_view_array(g, terms),
                    out = gsl_vector_view_array(move, terms);
    int bad = gsl_linalg_cholesky_decomp1(&m.matrix) ||
              gsl_linalg_cholesky_solve(&m.matrix, &right.vector, &out.vector);
    for (size_t j = 0; !bad && j < terms; j++) {
        most = fmax(most, fabs(move[j]));
    }
    for (size_t j = 0; !bad && j < terms; j++) {
        w[j] += move[j] * (most > 1.0 ? 1.0 / most : 1.0);
    }
    return bad ? -1.0 : most;
}

/* Tuning of every unit from the known bins before `to`. */
static int fit_tuning(struct bayes *b, const struct traj_channels *c, const double *movement,
                      const bool *known, size_t to)
{
    double *x = malloc(to * b->terms * sizeof *x), *y = malloc(to * sizeof *y);
    double *e = malloc(to * sizeof *e);
    int result = x && y && e ? 0 : -1;
    for (size_t n = 0; result == 0 && n < b->units; n++) {
        size_t count = 0;
        double spikes = 0.5, time = 1.0, *w = b->weight + n * b->terms;
        for (size_t i = 0; i < to; i++) {
            if (!known[i]) {
                continue;
            }
            y[count] = windowed(b, c, i, n, &e[count]);
            if (e[count] > 0.0) {
                terms_of(b, movement + i * 2 * b->dim, x + count * b->terms);
                spikes += y[count];
                time += e[count];
                count++;
            }
        }
        memset(w, 0, b->terms * sizeof *w);
        w[0] = log(spikes / time);
        for (size_t k = 0; k < NEWTON; k++) {
            double change = newton(x, y, e, count, b->terms, w);
            if (change < 1e-6) {
                result = change < 0.0 ? -1 : 0;
                break;
            }
        }
    }
    free(x);
    free(y);
    free(e);
    return result;
}

static void make_cells(struct bayes *b, const double *movement, const bool *known, size_t to)
{
    size_t count = 0, k = 0;
    for (size_t i = 0; i < to; i++) {
        count += known[i];
    }
    b->cells = count < CELLS ? count : CELLS;
    for (size_t i = 0, seen = 0; i < to && k < b->cells; i++) {
        if (known[i] && seen++ * b->cells >= k * count) {
            memcpy(b->cell + k++ * 2 * b->dim, movement + i * 2 * b->dim,
                   2 * b->dim * sizeof(double));
        }
    }
    b->cells = k;
    for (k = 0; k < b->cells; k++) {
        double x[TERMS_MAX];
        terms_of(b, b->cell + k * 2 * b->dim, x);
        b->total[k] = 0.0;
        for (size_t n = 0; n < b->units; n++) {
            double eta = 0.0;
            for (size_t j = 0; j < b->terms; j++) {
                eta += b->weight[n * b->terms + j] * x[j];
            }
            eta = eta < -12.0 ? -12.0 : eta > 7.0 ? 7.0 : eta;
            b->log_rate[k * b->units + n] = eta;
            b->rate[k * b->units + n] = exp(eta);
            b->total[k] += exp(eta);
        }
    }
}

/* Log-likelihood of a bin's window at each cell, up to a constant. */
static void likelihood(const struct bayes *b, const struct traj_channels *c, size_t bin,
                       double *out)
{
    size_t back = bin - c->first[bin] + 1;
    double whole = b->width * (double)(back < b->window ? back : b->window);
    for (size_t k = 0; k < b->cells; k++) {
        out[k] = -whole * b->total[k];
    }
    for (size_t n = 0; n < b->units; n++) {
        double exposure, y = windowed(b, c, bin, n, &exposure), unseen = whole - exposure;
        if (y == 0.0 && !(unseen > 1e-9)) {
            continue;
        }
        for (size_t k = 0; k < b->cells; k++) {
            out[k] += y * b->log_rate[k * b->units + n] + unseen * b->rate[k * b->units + n];
        }
    }
}

/* Posterior given the likelihood and the last position (NULL = none): weights p[cells], sum 1. */
static void weigh(const struct bayes *b, const double *likely, const double *last, double *p)
{
    double most = -INFINITY, sum = 0.0;
    size_t dim = b->dim;
    for (size_t k = 0; k < b->cells; k++) {
        double square = 0.0;
        for (size_t d = 0; last && d < dim; d++) {
            double e = b->cell[k * 2 * dim + d] - last[d];
            square += e * e;
        }
        p[k] = b->temper * likely[k] - (isinf(b->step) ? 0.0 : 0.5 * square / b->step);
        most = fmax(most, p[k]);
    }
    for (size_t k = 0; k < b->cells; k++) {
        p[k] = exp(p[k] - most);
        sum += p[k];
    }
    for (size_t k = 0; k < b->cells; k++) {
        p[k] /= sum;
    }
}

/* Means of position and velocity, and the position's covariance (NULL: not wanted). */
static void summarise(const struct bayes *b, const double *p, double *x, double *v, double *cov)
{
    size_t dim = b->dim;
    memset(x, 0, dim * sizeof *x);
    memset(v, 0, dim * sizeof *v);
    for (size_t k = 0; k < b->cells; k++) {
        for (size_t d = 0; d < dim; d++) {
            x[d] += p[k] * b->cell[k * 2 * dim + d];
            v[d] += p[k] * b->cell[k * 2 * dim + dim + d];
        }
    }
    for (size_t d = 0; cov && d < dim * dim; d++) {
        cov[d] = 0.0;
        for (size_t k = 0; k < b->cells; k++) {
            const double *at = b->cell + k * 2 * dim;
            cov[d] += p[k] * (at[d / dim] - x[d / dim]) * (at[d % dim] - x[d % dim]);
        }
    }
}

/* Decodes bins [from, to) from their likelihoods [to - from][cells]; returns the squared error over
 * known bins where movement is given. */
static double decode(const struct bayes *b, const struct traj_channels *c, size_t from, size_t to,
                     const double *likely, double *p, struct traj_decoded *out,
                     const double *movement, const bool *known)
{
    double error = 0.0;
    size_t dim = b->dim;
    for (size_t i = from; i < to; i++) {
        bool anew = i == from || c->first[i] == i;
        double *x = out->position + i * dim;
        weigh(b, likely + (i - from) * b->cells, anew ? NULL : x - dim, p);
        summarise(b, p, x, out->velocity + i * dim,
                  movement ? NULL : out->position_cov + i * dim * dim);
        for (size_t d = 0; movement && known[i] && d < dim; d++) {
            double e = x[d] - movement[i * 2 * dim + d];
            error += e * e;
        }
    }
    return error;
}

/* Fits with the window that b has, on the bins before `to`. */
static int fit(struct bayes *b, const struct traj_channels *c, const double *movement,
               const bool *known, size_t to)
{
    if (fit_tuning(b, c, movement, known, to)) {
        return -1;
    }
    make_cells(b, movement, known, to);
    return b->cells > 0 ? 0 : -1;
}

/* Mean squared distance over 100 ms. */
static double usual_step(const struct bayes *b, const struct traj_channels *c,
                         const double *movement, const bool *known)
{
    size_t back = (size_t)lround(STEP_S / b->width);
    double sum = 0.0, count = 0.0;
    back = back > 0 ? back : 1;
    for (size_t i = 0; i < c->bins; i++) {
        if (i < c->first[i] + back || !known[i] || !known[i - back]) {
            continue;
        }
        for (size_t d = 0; d < b->dim; d++) {
            double e = movement[i * 2 * b->dim + d] - movement[(i - back) * 2 * b->dim + d];
            sum += e * e;
        }
        count += 1.0;
    }
    return count > 0.0 && sum > 0.0 ? sum / count : 1.0;
}

/* Chooses window, temper and step on the last fifth, then fits on all. */
static int choose(struct bayes *b, const struct traj_channels *c, const double *movement,
                  const bool *known)
{
    size_t split = traj_validation_bin(c), window = 1, bins = c->bins - split;
    double best = INFINITY, usual = usual_step(b, c, movement, known);
    double chosen_temper = 1.0, chosen_step = INFINITY;
    double *likely = malloc(bins * CELLS * sizeof *likely), *p = malloc(CELLS * sizeof *p);
    struct traj_decoded *out = traj_decoded_new(c->bins, b->dim, 0);
    int result = likely && p && out ? 0 : -1;
    for (size_t w = 0; result == 0 && w < WINDOWS; w++) {
        size_t size = (size_t)lround(window_s[w] / b->width);
        b->window = size > 0 ? size : 1;
        if ((w > 0 && b->window == window) || fit(b, c, movement, known, split)) {
            continue; /* bins so wide that this is the same window again, or too few data */
        }
        for (size_t i = split; i < c->bins; i++) {
            likelihood(b, c, i, likely + (i - split) * b->cells);
        }
        for (size_t k = 0; k < TEMPERS * STEPS; k++) {
            b->temper = temper[k / STEPS];
            b->step = step[k % STEPS] * step[k % STEPS] * usual;
            double e = decode(b, c, split, c->bins, likely, p, out, movement, known);
            if (e < best) {
                best = e;
                window = b->window;
                chosen_temper = b->temper;
                chosen_step = b->step;
            }
        }
    }
    b->window = window;
    b->temper = chosen_temper;
    b->step = chosen_step;
    result = result || fit(b, c, movement, known, c->bins) ? -1 : 0;
    traj_decoded_free(out);
    free(likely);
    free(p);
    return result;
}

static void scale_movement(struct bayes *b, const double *movement, const bool *known, size_t bins)
{
    for (size_t d = 0; d < 2 * b->dim; d++) {
        double sum = 0.0, square = 0.0, count = 0.0;
        for (size_t i = 0; i < bins; i++) {
            double x = known[i] ? movement[i * 2 * b->dim + d] : 0.0;
            sum += x;
            square += x * x;
            count += known[i];
        }
        b->centre[d] = count > 0.0 ? sum / count : 0.0;
        double variance = count > 0.0 ? square / count - b->centre[d] * b->centre[d] : 0.0;
        b->scale[d] = variance > 1e-12 ? sqrt(variance) : 1.0;
    }
}

static int train_bayes(struct bayes *b, const struct traj_session *train)
{
    struct traj_channels c = {0};
    double *movement = calloc(train->bins * 2 * train->dim, sizeof *movement);
    bool *known = calloc(train->bins, sizeof *known);
    b->dim = train->dim;
    b->units = train->units;
    b->width = traj_bin_width(train);
    b->terms = 2 + 2 * b->dim + (b->dim <= 3 ? b->dim * (b->dim + 1) / 2 : 0);
    b->cell = malloc(CELLS * 2 * b->dim * sizeof *b->cell);
    b->weight = malloc((b->units + 1) * b->terms * sizeof *b->weight);
    b->log_rate = malloc(CELLS * (b->units + 1) * sizeof *b->log_rate);
    b->rate = malloc(CELLS * (b->units + 1) * sizeof *b->rate);
    b->total = malloc(CELLS * sizeof *b->total);
    int result = -1;
    if (movement && known && b->cell && b->weight && b->log_rate && b->rate && b->total &&
        traj_channels_init(&c, train, false) == 0) {
        traj_movement(train, 2, movement, known);
        scale_movement(b, movement, known, train->bins);
        result = choose(b, &c, movement, known);
    }
    traj_channels_free(&c);
    free(movement);
    free(known);
    return result;
}

static struct traj_decoded *run(const struct bayes *b, const struct traj_session *test)
{
    struct traj_channels c = {0};
    struct traj_decoded *out = traj_decoded_new(test->bins, b->dim, 0);
    double *likely = malloc(test->bins * b->cells * sizeof *likely), *p = malloc(CELLS * sizeof *p);
    bool ready = out && likely && p && traj_channels_init(&c, test, false) == 0;
    for (size_t i = 0; ready && i < test->bins; i++) {
        likelihood(b, &c, i, likely + i * b->cells);
    }
    if (ready) {
        decode(b, &c, 0, test->bins, likely, p, out, NULL, NULL);
    } else {
        traj_decoded_free(out);
        out = NULL;
    }
    traj_channels_free(&c);
    free(likely);
    free(p);
    return out;
}

struct traj_decoded *traj_naive_bayes(const struct traj_session *train,
                                      const struct traj_session *test, struct traj_error *error)
{
    struct bayes b = {0};
    struct traj_decoded *out = NULL;
    if (train->units == 0 || test->units != train->units) {
        traj_error_set(error, "%s: /frames/counts: naive Bayes needs the same units in both",
                       test->path);
    } else if (train_bayes(&b, train) == 0) {
        out = run(&b, test);
    }
    if (!out) {
        traj_error_set(error, "%s: naive Bayes could not be fitted", train->path);
    }
    bayes_free(&b);
    return out;
}
