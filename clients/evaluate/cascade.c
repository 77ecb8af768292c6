/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Wiener cascade: a linear filter, then a static nonlinearity of each output,
 *     x_d = p_d(l_d),  l = B y,
 * p_d a polynomial fitted by least squares to the filter's own output on the training data (Hunter
 * and Korenberg 1986, Biological Cybernetics 55:135; for spikes Pohlmeyer et al. 2007, Journal of
 * Neural Engineering 4:369).  Beyond what the filter put out in training the polynomial is held.
 */
#include <gsl/gsl_linalg.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "clients/evaluate/baseline.h"
#include "clients/evaluate/channels.h"
#include "clients/evaluate/wiener.h"

#define DEGREE 3
#define OUTPUTS (2 * TRAJ_DIM_MAX)

/* Of each output: z = (l - centre) / scale within [low, high], then the polynomial in z. */
struct bend {
    double centre, scale, low, high, weight[DEGREE + 1];
};

static double bent(const struct bend *b, size_t degree, double l)
{
    double z = (l - b->centre) / b->scale, sum = 0.0;
    z = z < b->low ? b->low : z > b->high ? b->high : z;
    for (size_t k = degree + 1; k-- > 0;) {
        sum = sum * z + b->weight[k];
    }
    return sum;
}

/* What the filter put out for an output of a bin: positions, then velocities. */
static double output_of(const struct traj_decoded *d, size_t bin, size_t output)
{
    return output < d->dim ? d->position[bin * d->dim + output]
                           : d->velocity[bin * d->dim + output - d->dim];
}

/* Least squares of the truth on powers of the filter's output; 0, or -1. */
static int fit_bend(struct bend *b, size_t degree, const struct traj_decoded *d,
                    const double *truth, const bool *known, size_t output)
{
    double count = 0.0, sum = 0.0, square = 0.0;
    for (size_t i = 0; i < d->bins; i++) {
        double l = known[i] ? output_of(d, i, output) : 0.0;
        count += known[i];
        sum += l;
        square += l * l;
    }
    b->centre = sum / count;
    b->scale = sqrt(fmax(square / count - b->centre * b->centre, 1e-12));
    b->low = INFINITY;
    b->high = -INFINITY;
    double a[(DEGREE + 1) * (DEGREE + 1)] = {0}, y[DEGREE + 1] = {0};
    size_t terms = degree + 1;
    for (size_t i = 0; i < d->bins; i++) {
        if (!known[i]) {
            continue;
        }
        double z = (output_of(d, i, output) - b->centre) / b->scale, power[DEGREE + 1] = {1.0};
        b->low = fmin(b->low, z);
        b->high = fmax(b->high, z);
        for (size_t k = 1; k < terms; k++) {
            power[k] = power[k - 1] * z;
        }
        for (size_t j = 0; j < terms; j++) {
            for (size_t k = 0; k < terms; k++) {
                a[j * terms + k] += power[j] * power[k];
            }
            y[j] += power[j] * truth[i * 2 * d->dim + output];
        }
    }
    for (size_t k = 0; k < terms; k++) {
        a[k * terms + k] += 1e-6 * count;
    }
    gsl_matrix_view m = gsl_matrix_view_array(a, terms, terms);
    gsl_vector_view right = gsl_vector_view_array(y, terms);
    gsl_vector_view x = gsl_vector_view_array(b->weight, terms);
    return gsl_linalg_cholesky_decomp1(&m.matrix) ||
                   gsl_linalg_cholesky_solve(&m.matrix, &right.vector, &x.vector)
               ? -1
               : 0;
}

/* Bends what a filter put out, in place. */
static void apply(const struct bend *b, size_t degree, struct traj_decoded *d)
{
    for (size_t i = 0; i < d->bins; i++) {
        for (size_t k = 0; k < d->dim; k++) {
            double *x = d->position + i * d->dim + k, *v = d->velocity + i * d->dim + k;
            *x = bent(&b[k], degree, *x);
            *v = bent(&b[d->dim + k], degree, *v);
        }
    }
}

/* Trains on one session, decodes another, bending with each degree from first to last; out[degree].
 * 0, or -1 with a sentence. */
static int cascade(const struct traj_session *train, const struct traj_session *test, size_t first,
                   size_t last, struct traj_decoded **out, struct traj_error *error)
{
    struct traj_wiener_filter w = {0};
    struct bend bend[OUTPUTS];
    double *truth = calloc(train->bins * 2 * train->dim, sizeof *truth);
    bool *known = calloc(train->bins, sizeof *known);
    struct traj_decoded *own = NULL;
    int result = traj_wiener_train(&w, train, error);
    if (result == 0 && truth && known) {
        traj_movement(train, 2, truth, known);
        own = traj_wiener_run(&w, train);
    }
    for (size_t degree = first; own && result == 0 && degree <= last; degree++) {
        for (size_t k = 0; result == 0 && k < 2 * train->dim; k++) {
            result = fit_bend(&bend[k], degree, own, truth, known, k);
        }
        out[degree] = result ? NULL : traj_wiener_run(&w, test);
        if (out[degree]) {
            apply(bend, degree, out[degree]);
        } else {
            result = -1;
        }
    }
    if (result || !own) {
        result = traj_error_set(error, "%s: the Wiener cascade could not be fitted", train->path);
    }
    traj_decoded_free(own);
    traj_wiener_free(&w);
    free(truth);
    free(known);
    return result;
}

/* The degree that does best on the last fifth of the training data; 1 where that is too little. */
static size_t choose_degree(const struct traj_session *train)
{
    struct traj_channels c = {0};
    struct traj_decoded *out[DEGREE + 1] = {NULL};
    struct traj_session *early = NULL, *late = NULL;
    size_t chosen = 1;
    double best = INFINITY;
    if (traj_channels_init(&c, train, false) == 0) {
        double edge = train->t_end[traj_validation_bin(&c)] - 1e-6;
        edge -= train->dt[traj_validation_bin(&c)] / 2.0;
        early = traj_session_cut(train, &(struct traj_span){-INFINITY, edge}, 1, NULL);
        late = traj_session_cut(train, &(struct traj_span){edge, INFINITY}, 1, NULL);
    }
    if (early && late && early->samples > 0 && late->samples > 0 &&
        cascade(early, late, 1, DEGREE, out, NULL) == 0) {
        for (size_t degree = 1; degree <= DEGREE; degree++) {
            struct traj_score score;
            if (traj_score(late, out[degree], NULL, &score, NULL) == 0 && score.rmse < best) {
                best = score.rmse;
                chosen = degree;
            }
        }
    }
    for (size_t degree = 0; degree <= DEGREE; degree++) {
        traj_decoded_free(out[degree]);
    }
    traj_session_free(early);
    traj_session_free(late);
    traj_channels_free(&c);
    return chosen;
}

struct traj_decoded *traj_cascade(const struct traj_session *train, const struct traj_session *test,
                                  struct traj_error *error)
{
    struct traj_decoded *out[DEGREE + 1] = {NULL};
    size_t degree = choose_degree(train);
    return cascade(train, test, degree, degree, out, error) == 0 ? out[degree] : NULL;
}
