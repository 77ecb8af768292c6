/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Least squares of each unit's rate on velocity and speed. */
#include "clients/evaluate/tuning.h"

#include <gsl/gsl_errno.h>
#include <gsl/gsl_linalg.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "clients/evaluate/metrics.h"

#define TERMS 4   /* 1, v_x, v_y, |v| */
#define FEWEST 20 /* bins */

/* What the movement of each bin is regressed on; known[bin] = false where it has no truth. */
struct design {
    size_t bins;
    double (*x)[TERMS];
    const bool *known;
    double fast; /* 95th percentile of speed */
};

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static int design_make(struct design *d, const struct traj_truth *truth)
{
    double *speed = calloc(truth->bins + 1, sizeof *speed);
    size_t count = 0;
    d->bins = truth->bins;
    d->known = truth->known;
    d->x = calloc(truth->bins + 1, sizeof *d->x);
    if (!speed || !d->x) {
        free(speed);
        return -1;
    }
    for (size_t i = 0; i < truth->bins; i++) {
        const double *v = truth->velocity + i * truth->dim;
        double s = truth->known[i] ? hypot(v[0], v[1]) : 0.0;
        const double x[TERMS] = {1.0, v[0], v[1], s};
        memcpy(d->x[i], x, sizeof x);
        if (truth->known[i]) {
            speed[count++] = s;
        }
    }
    qsort(speed, count, sizeof *speed, ascending);
    d->fast = count > 0 ? speed[(size_t)(0.95 * (double)(count - 1))] : 0.0;
    free(speed);
    return count >= FEWEST && d->fast > 0.0 ? 0 : -1;
}

/* Sums of one unit at one lag. */
struct sums {
    size_t count;
    double xx[TERMS * TERMS], xy[TERMS], y, yy;
};

static void add_up(struct sums *s, const struct design *d, const struct traj_session *session,
                   size_t unit, size_t lag)
{
    memset(s, 0, sizeof *s);
    for (size_t i = lag; i < d->bins; i++) {
        size_t bin = i - lag;
        uint16_t count = session->counts[bin * session->units + unit];
        /* Bins that follow each other in time alone; a trial that was cut out has its own. */
        double apart = session->t_end[i] - session->t_end[bin];
        if (!d->known[i] || count == TRAJ_COUNT_MISSING ||
            fabs(apart - (double)lag * session->dt[i]) > 0.5 * session->dt[i]) {
            continue;
        }
        double rate = (double)count / session->dt[bin];
        s->count++;
        s->y += rate;
        s->yy += rate * rate;
        for (size_t a = 0; a < TERMS; a++) {
            s->xy[a] += d->x[i][a] * rate;
            for (size_t b = 0; b < TERMS; b++) {
                s->xx[a * TERMS + b] += d->x[i][a] * d->x[i][b];
            }
        }
    }
}

/* Solves the normal equations; the adjusted share explained, or NaN. */
static double solve(struct sums *s, double b[TERMS])
{
    double n = (double)s->count, all = s->yy - s->y * s->y / n, fitted = 0.0;
    gsl_matrix_view matrix = gsl_matrix_view_array(s->xx, TERMS, TERMS);
    gsl_vector_view right = gsl_vector_view_array(s->xy, TERMS),
                    solution = gsl_vector_view_array(b, TERMS);
    if (s->count < FEWEST || all <= 0.0 || gsl_linalg_cholesky_decomp1(&matrix.matrix) ||
        gsl_linalg_cholesky_solve(&matrix.matrix, &right.vector, &solution.vector)) {
        return NAN;
    }
    for (size_t a = 0; a < TERMS; a++) {
        fitted += b[a] * s->xy[a];
    }
    double left = fmax(s->yy - fitted, 0.0);
    return 1.0 - left / (n - TERMS) * (n - 1.0) / all;
}

static void tune(const struct design *d, const struct traj_session *session, size_t unit,
                 struct traj_unit_tuning *out)
{
    size_t lags = (size_t)(TRAJ_TUNING_LAG_S / session->dt[0] + 1e-9);
    *out = (struct traj_unit_tuning){.direction = NAN, .depth = NAN, .lag = NAN, .explained = NAN};
    for (size_t lag = 0; lag <= lags && lag < d->bins; lag++) {
        struct sums s;
        double b[TERMS];
        add_up(&s, d, session, unit, lag);
        double mean = s.count > 0 ? s.y / (double)s.count : 0.0, explained = solve(&s, b);
        out->rate = lag == 0 ? mean : out->rate;
        if (isfinite(explained) && !(explained <= out->explained)) {
            out->explained = explained;
            out->direction = atan2(b[2], b[1]);
            out->depth = hypot(b[1], b[2]) * d->fast;
            out->lag = (double)lag * session->dt[0];
        }
    }
}

struct traj_unit_tuning *traj_tuning_of(const struct traj_session *session,
                                        struct traj_error *error)
{
    struct design design = {0};
    struct traj_unit_tuning *all = NULL;
    struct traj_truth *truth = NULL;
    if (!session->counts || session->dim < 2 || session->bins == 0) {
        traj_error_set(error, "%s: tuning needs counts and movement in two dimensions",
                       session->path);
        return NULL;
    }
    truth = traj_truth_new(session, error);
    if (truth && design_make(&design, truth)) {
        traj_error_set(error, "%s: too little movement to tell tuning", session->path);
    } else if (truth) {
        all = calloc(session->units, sizeof *all);
        for (size_t unit = 0; all && unit < session->units; unit++) {
            tune(&design, session, unit, &all[unit]);
        }
    }
    free(design.x);
    traj_truth_free(truth);
    return all;
}
