/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The decoders that closed-loop experiments compare with; see rival.h. */
#include "clients/rig/rival.h"

#include <gsl/gsl_linalg.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "clients/evaluate/channels.h"
#include "clients/evaluate/regression.h"
#include "clients/evaluate/wiener.h"

#define LEAD_S 0.2        /* the longest lead that is tried */
#define LEAD_STEP_S 0.02  /* between two */
#define NOISE_SHRINK 0.05 /* of the noise covariance to its diagonal */
#define RETURN_S 0.3      /* after a trial's end the user needs so long to turn back */
#define ORIGIN_SPREAD                                                                              \
    0.3            /* of the targets' distance: trials that begin so close begin at one place */
#define SETTLE 500 /* steps of the Riccati recursion */
#define INPUTS_MAX (2 * TRAJ_RIG_DIM + 1)

static const char *const names[TRAJ_RIVALS] = {"kalman", "refit", "wiener"};

struct traj_rival {
    enum traj_rival_kind kind;
    size_t units, dim, lead, inputs; /* inputs: of the observation's regression */
    bool root, knows_position;
    double a[TRAJ_RIG_DIM * TRAJ_RIG_DIM], w[TRAJ_RIG_DIM * TRAJ_RIG_DIM];
    double *c;     /* [inputs][units]: velocity, constant, perhaps position */
    double *noise; /* [units][units] */
    double *gain;  /* [dim][units] of the steady state */
    double *mean;  /* [units] */
    double *y;     /* [units] */
    double velocity[TRAJ_RIG_DIM], position[TRAJ_RIG_DIM];

    struct traj_wiener_filter wiener;
    double *past; /* [windows * window][units] deviations from the mean, a ring */
    size_t bin;
};

const char *traj_rival_name(enum traj_rival_kind kind)
{
    return names[kind];
}

int traj_rival_parse(const char *name, enum traj_rival_kind *kind)
{
    for (size_t i = 0; i < TRAJ_RIVALS; i++) {
        if (strcmp(name, names[i]) == 0) {
            *kind = (enum traj_rival_kind)i;
            return 0;
        }
    }
    return -1;
}

size_t traj_rival_units(const struct traj_rival *rival)
{
    return rival->units;
}

size_t traj_rival_dim(const struct traj_rival *rival)
{
    return rival->dim;
}

size_t traj_rival_lead(const struct traj_rival *rival)
{
    return rival->lead;
}

void traj_rival_free(struct traj_rival *rival)
{
    if (rival) {
        free(rival->c);
        free(rival->noise);
        free(rival->gain);
        free(rival->mean);
        free(rival->y);
        free(rival->past);
        traj_wiener_free(&rival->wiener);
        free(rival);
    }
}

/* ---- samples --------------------------------------------------------------------------------- */

/* What the filter is fitted to, one row a bin. */
struct samples {
    size_t bins, units, dim;
    double *y;        /* [bins][units] */
    double *velocity; /* [bins][dim] that goes with y */
    double *position; /* [bins][dim] of the cursor when y was fired */
    bool *use;        /* [bins] */
    bool *follows;    /* [bins] the bin before is used too and comes right before */
};

static void samples_free(struct samples *s)
{
    free(s->y);
    free(s->velocity);
    free(s->position);
    free(s->use);
    free(s->follows);
    *s = (struct samples){0};
}

static int samples_alloc(struct samples *s, const struct traj_session *session)
{
    *s = (struct samples){.bins = session->bins, .units = session->units, .dim = session->dim};
    s->y = calloc(s->bins * s->units, sizeof *s->y);
    s->velocity = calloc(s->bins * s->dim, sizeof *s->velocity);
    s->position = calloc(s->bins * s->dim, sizeof *s->position);
    s->use = calloc(s->bins, sizeof *s->use);
    s->follows = calloc(s->bins, sizeof *s->follows);
    return s->y && s->velocity && s->position && s->use && s->follows ? 0 : -1;
}

/* Counts with the movement of `lead` bins later. */
static int samples_init(struct samples *s, const struct traj_session *session, size_t lead,
                        bool root)
{
    struct traj_channels c = {0};
    double *movement = calloc(session->bins * 2 * session->dim, sizeof *movement);
    bool *known = calloc(session->bins, sizeof *known);
    int result = samples_alloc(s, session) == 0 && movement && known &&
                         traj_channels_init(&c, session, root) == 0
                     ? 0
                     : -1;
    if (result == 0) {
        traj_movement(session, 2, movement, known);
    }
    for (size_t i = 0; result == 0 && i < s->bins; i++) {
        size_t later = i + lead, size = s->dim * sizeof *movement;
        for (size_t n = 0; n < s->units; n++) {
            double y = c.value[i * c.channels + n];
            s->y[i * s->units + n] = isnan(y) ? 0.0 : y;
        }
        if (later < s->bins && known[i] && known[later] && c.first[later] <= i) {
            s->use[i] = true;
            memcpy(s->velocity + i * s->dim, movement + (2 * later + 1) * s->dim, size);
            memcpy(s->position + i * s->dim, movement + 2 * i * s->dim, size);
        }
        s->follows[i] = i > 0 && s->use[i] && s->use[i - 1] && c.first[i] < i;
    }
    traj_channels_free(&c);
    free(movement);
    free(known);
    return result;
}

/* ---- fitting --------------------------------------------------------------------------------- */

static void inputs_of(const struct traj_rival *r, const struct samples *s, size_t i, double *x)
{
    memcpy(x, s->velocity + i * s->dim, s->dim * sizeof *x);
    x[s->dim] = 1.0;
    if (r->knows_position) {
        memcpy(x + s->dim + 1, s->position + i * s->dim, s->dim * sizeof *x);
    }
}

/* v' = A v + w over the bins before `to`. */
static int fit_movement(struct traj_rival *r, const struct samples *s, size_t to)
{
    struct traj_regression m = {0};
    double b[TRAJ_RIG_DIM * TRAJ_RIG_DIM];
    size_t dim = s->dim, count = 0;
    int result = traj_regression_init(&m, dim, dim);
    for (size_t i = 1; result == 0 && i < to; i++) {
        if (s->follows[i]) {
            traj_regression_add(&m, s->velocity + (i - 1) * dim, s->velocity + i * dim, 1);
        }
    }
    result = result == 0 ? traj_regression_solve(&m, 1e-9, b) : -1;
    memset(r->w, 0, sizeof r->w);
    for (size_t p = 0; p < dim * dim; p++) {
        r->a[p] = b[p % dim * dim + p / dim];
    }
    for (size_t i = 1; result == 0 && i < to; i++) {
        double e[TRAJ_RIG_DIM];
        for (size_t p = 0; s->follows[i] && p < dim; p++) {
            e[p] = s->velocity[i * dim + p];
            for (size_t q = 0; q < dim; q++) {
                e[p] -= r->a[p * dim + q] * s->velocity[(i - 1) * dim + q];
            }
        }
        for (size_t p = 0; s->follows[i] && p < dim * dim; p++) {
            r->w[p] += e[p / dim] * e[p % dim];
        }
        count += s->follows[i];
    }
    for (size_t p = 0; p < dim * dim; p++) {
        r->w[p] /= count ? (double)count : 1.0;
        r->w[p] += p / dim == p % dim ? 1e-9 : 0.0;
    }
    traj_regression_free(&m);
    return count > dim ? result : -1;
}

/* y on velocity, constant and perhaps position, and the covariance of what is left. */
static int fit_observation(struct traj_rival *r, const struct samples *s, size_t to)
{
    struct traj_regression m = {0};
    size_t n = r->units, count = 0;
    double x[INPUTS_MAX], *e = r->y, diagonal = 0.0;
    int result = traj_regression_init(&m, r->inputs, n);
    for (size_t i = 0; result == 0 && i < to; i++) {
        if (s->use[i]) {
            inputs_of(r, s, i, x);
            traj_regression_add(&m, x, s->y + i * n, 1);
            count++;
        }
    }
    result = result == 0 && count > r->inputs ? traj_regression_solve(&m, 1e-9, r->c) : -1;
    memset(r->noise, 0, n * n * sizeof *r->noise);
    for (size_t i = 0; result == 0 && i < to; i++) {
        if (!s->use[i]) {
            continue;
        }
        inputs_of(r, s, i, x);
        for (size_t p = 0; p < n; p++) {
            e[p] = s->y[i * n + p];
            for (size_t k = 0; k < r->inputs; k++) {
                e[p] -= x[k] * r->c[k * n + p];
            }
        }
        for (size_t p = 0; p < n; p++) {
            for (size_t q = 0; q < n; q++) {
                r->noise[p * n + q] += e[p] * e[q] / (double)count;
            }
        }
    }
    for (size_t p = 0; p < n; p++) {
        diagonal += r->noise[p * n + p] / (double)n;
    }
    for (size_t p = 0; p < n; p++) {
        r->noise[p * n + p] = (1.0 + NOISE_SHRINK) * r->noise[p * n + p] + 1e-3 * diagonal + 1e-12;
    }
    traj_regression_free(&m);
    return result;
}

/* In place: a <- a^-1 for a small symmetric positive definite a. */
static int invert(double *a, size_t n)
{
    gsl_matrix_view view = gsl_matrix_view_array(a, n, n);
    return gsl_linalg_cholesky_decomp1(&view.matrix) || gsl_linalg_cholesky_invert(&view.matrix)
               ? -1
               : 0;
}

/* P <- A P A' + W. */
static void predict_covariance(const struct traj_rival *r, double *p)
{
    size_t dim = r->dim;
    double t[TRAJ_RIG_DIM * TRAJ_RIG_DIM] = {0};
    for (size_t i = 0; i < dim * dim; i++) {
        for (size_t k = 0; k < dim; k++) {
            t[i] += r->a[i / dim * dim + k] * p[k * dim + i % dim];
        }
    }
    memcpy(p, r->w, dim * dim * sizeof *p);
    for (size_t i = 0; i < dim * dim; i++) {
        for (size_t k = 0; k < dim; k++) {
            p[i] += t[i / dim * dim + k] * r->a[i % dim * dim + k];
        }
    }
}

/* Gain of the steady state, P C'Q^-1 with P^-1 = (A P A' + W)^-1 + C'Q^-1 C. */
static int settle(struct traj_rival *r)
{
    size_t dim = r->dim, n = r->units;
    double info[TRAJ_RIG_DIM * TRAJ_RIG_DIM] = {0}, p[TRAJ_RIG_DIM * TRAJ_RIG_DIM];
    double *weighted = calloc(dim * n, sizeof *weighted); /* C'Q^-1 */
    int result = weighted ? invert(r->noise, n) : -1;
    for (size_t d = 0; result == 0 && d < dim; d++) {
        for (size_t i = 0; i < n; i++) {
            for (size_t j = 0; j < n; j++) {
                weighted[d * n + i] += r->c[d * n + j] * r->noise[j * n + i];
            }
        }
        for (size_t e = 0; e < dim; e++) {
            for (size_t i = 0; i < n; i++) {
                info[d * dim + e] += weighted[d * n + i] * r->c[e * n + i];
            }
        }
    }
    memcpy(p, r->w, sizeof p);
    for (size_t k = 0; result == 0 && k < SETTLE; k++) {
        predict_covariance(r, p);
        result = invert(p, dim);
        for (size_t i = 0; i < dim * dim; i++) {
            p[i] += info[i];
        }
        result = result == 0 ? invert(p, dim) : -1;
    }
    for (size_t d = 0; result == 0 && d < dim; d++) {
        for (size_t i = 0; i < n; i++) {
            r->gain[d * n + i] = 0.0;
            for (size_t e = 0; e < dim; e++) {
                r->gain[d * n + i] += p[d * dim + e] * weighted[e * n + i];
            }
        }
    }
    free(weighted);
    return result;
}

static int fit(struct traj_rival *r, const struct samples *s, size_t to)
{
    return fit_movement(r, s, to) || fit_observation(r, s, to) || settle(r) ? -1 : 0;
}

/* ---- running --------------------------------------------------------------------------------- */

void traj_rival_reset(struct traj_rival *rival)
{
    memset(rival->velocity, 0, sizeof rival->velocity);
    memset(rival->position, 0, sizeof rival->position);
    rival->bin = 0;
}

void traj_rival_effector(struct traj_rival *rival, const double *position)
{
    memcpy(rival->position, position, rival->dim * sizeof *position);
}

/* One step of the filter on transformed counts. */
static void filter(struct traj_rival *r, const double *y)
{
    size_t dim = r->dim, n = r->units;
    double v[TRAJ_RIG_DIM] = {0};
    for (size_t d = 0; d < dim; d++) {
        for (size_t k = 0; k < dim; k++) {
            v[d] += r->a[d * dim + k] * r->velocity[k];
        }
    }
    memcpy(r->velocity, v, sizeof v);
    for (size_t i = 0; i < n; i++) {
        double e = y[i] - r->c[dim * n + i];
        for (size_t d = 0; d < dim; d++) {
            e -= r->c[d * n + i] * v[d];
            e -= r->knows_position ? r->c[(dim + 1 + d) * n + i] * r->position[d] : 0.0;
        }
        for (size_t d = 0; d < dim; d++) {
            r->velocity[d] += r->gain[d * n + i] * e;
        }
    }
}

/* Regression on windows of deviations, as traj_wiener_run does for a whole session. */
static void regress(struct traj_rival *r, const uint16_t *counts)
{
    const struct traj_wiener_filter *w = &r->wiener;
    size_t n = r->units, length = w->window * w->windows;
    double *now = r->past + r->bin % length * n;
    for (size_t i = 0; i < n; i++) {
        now[i] = counts[i] == TRAJ_COUNT_MISSING ? 0.0 : counts[i] - w->mean[i];
    }
    r->bin++;
    memcpy(r->velocity, w->centre + w->dim, w->dim * sizeof *r->velocity);
    for (size_t back = 0; back < length && back < r->bin; back++) {
        const double *y = r->past + (r->bin - 1 - back) % length * n;
        const double *b = w->weight + back / w->window * n * 2 * w->dim;
        for (size_t i = 0; i < n; i++) {
            for (size_t d = 0; d < w->dim; d++) {
                r->velocity[d] += y[i] * b[i * 2 * w->dim + w->dim + d];
            }
        }
    }
}

void traj_rival_step(struct traj_rival *rival, const uint16_t *counts, double *velocity)
{
    if (rival->kind == TRAJ_RIVAL_WIENER) {
        regress(rival, counts);
    } else {
        for (size_t i = 0; i < rival->units; i++) {
            double y = counts[i] == TRAJ_COUNT_MISSING ? NAN : counts[i];
            rival->y[i] = isnan(y) ? rival->mean[i] : rival->root ? sqrt(y) : y;
        }
        filter(rival, rival->y);
    }
    memcpy(velocity, rival->velocity, rival->dim * sizeof *velocity);
}

/* ---- choices --------------------------------------------------------------------------------- */

/* Squared error of velocity from bin `from` on. */
static double misfit(struct traj_rival *r, const struct samples *s, size_t from)
{
    double sum = 0.0;
    size_t count = 0;
    traj_rival_reset(r);
    for (size_t i = from; i < s->bins; i++) {
        filter(r, s->y + i * s->units);
        for (size_t d = 0; s->use[i] && d < s->dim; d++) {
            double e = r->velocity[d] - s->velocity[i * s->dim + d];
            sum += e * e;
        }
        count += s->use[i];
    }
    return count ? sum / (double)count : INFINITY;
}

/* Lead and transform by validation, then the fit on all. */
static int choose(struct traj_rival *r, const struct traj_session *session)
{
    double width = traj_bin_width(session), best = INFINITY;
    size_t split = session->bins * 4 / 5, most = (size_t)lround(LEAD_S / width), lead = 0;
    size_t step = (size_t)fmax(1.0, round(LEAD_STEP_S / width));
    bool root = false;
    struct samples s = {0};
    for (size_t k = 0; k <= 2 * most + 1; k++) {
        if (k / 2 % step != 0) {
            continue;
        }
        samples_free(&s);
        if (samples_init(&s, session, k / 2, k % 2 != 0) == 0 && fit(r, &s, split) == 0) {
            double e = misfit(r, &s, split);
            if (e < best) {
                best = e;
                lead = k / 2;
                root = k % 2 != 0;
            }
        }
    }
    samples_free(&s);
    r->lead = lead;
    r->root = root;
    int result =
        isfinite(best) && samples_init(&s, session, lead, root) == 0 && fit(r, &s, s.bins) == 0
            ? 0
            : -1;
    for (size_t n = 0; result == 0 && n < r->units; n++) {
        r->mean[n] = 0.0;
        for (size_t i = 0; i < s.bins; i++) {
            r->mean[n] += s.y[i * s.units + n] / (double)s.bins;
        }
    }
    samples_free(&s);
    return result;
}

/* ---- intention ------------------------------------------------------------------------------- */

static double length(const double *v, size_t dim)
{
    double sum = 0.0;
    for (size_t d = 0; d < dim; d++) {
        sum += v[d] * v[d];
    }
    return sqrt(sum);
}

/* Where trials begin, if they begin at one place. */
static bool find_origin(const struct traj_session *s, double *origin)
{
    double spread = 0.0, reach = 0.0, at[TRAJ_RIG_DIM], way[TRAJ_RIG_DIM];
    memset(origin, 0, TRAJ_RIG_DIM * sizeof *origin);
    for (size_t pass = 0; pass < 2; pass++) {
        for (size_t r = 0; r < s->trials; r++) {
            if (traj_session_kinematics(s, s->start[r], 0.05, at, NULL) != 0) {
                continue;
            }
            for (size_t d = 0; d < s->dim; d++) {
                origin[d] += pass == 0 ? at[d] / (double)s->trials : 0.0;
                at[d] -= origin[d];
                way[d] = s->target_position[(size_t)s->target[r] * s->dim + d] - origin[d];
            }
            spread += pass == 1 ? length(at, s->dim) : 0.0;
            reach += pass == 1 ? length(way, s->dim) : 0.0;
        }
    }
    return spread < ORIGIN_SPREAD * reach;
}

/* What was to be reached at t: a trial's target, or the origin on the way back; NULL = nothing. */
static const double *goal_at(const struct traj_session *s, double t, const double *origin)
{
    size_t r = traj_session_trial_at(s, t);
    if (r != (size_t)-1) {
        bool cued = s->go && !isnan(s->go[r]) && t <= s->go[r];
        return s->target[r] < 0 || cued ? NULL : s->target_position + (size_t)s->target[r] * s->dim;
    }
    for (r = 0; origin && r < s->trials && s->stop[r] < t; r++) {
        if (t < s->stop[r] + RETURN_S) {
            return NULL;
        }
    }
    return origin;
}

/* Velocities are turned towards the goal and are zero on it. */
static void relabel(struct samples *s, const struct traj_session *session, double radius)
{
    double origin[TRAJ_RIG_DIM];
    bool one = find_origin(session, origin);
    for (size_t i = 0; i < s->bins; i++) {
        const double *goal = goal_at(session, session->t_end[i], one ? origin : NULL);
        double way[TRAJ_RIG_DIM], *v = s->velocity + i * s->dim, speed = length(v, s->dim);
        s->use[i] = s->use[i] && goal;
        for (size_t d = 0; goal && d < s->dim; d++) {
            way[d] = goal[d] - s->position[i * s->dim + d];
        }
        double left = goal ? length(way, s->dim) : 0.0;
        for (size_t d = 0; goal && d < s->dim; d++) {
            v[d] = left > radius ? speed * way[d] / left : 0.0;
        }
        s->follows[i] = s->follows[i] && s->use[i] && s->use[i - 1];
    }
}

static int refit(struct traj_rival *r, const struct traj_session *second, double radius)
{
    struct samples s = {0};
    r->knows_position = true;
    r->inputs = 2 * r->dim + 1;
    int result = samples_init(&s, second, 0, r->root);
    if (result == 0) {
        relabel(&s, second, radius);
        result = fit(r, &s, s.bins);
    }
    samples_free(&s);
    return result;
}

/* ---- training -------------------------------------------------------------------------------- */

/* The session with its movement `lead_s` earlier. */
static struct traj_session *advance(const struct traj_session *session, double lead_s,
                                    struct traj_error *error)
{
    const struct traj_span all = {-INFINITY, INFINITY};
    struct traj_session *copy = traj_session_cut(session, &all, 1, error);
    for (size_t i = 0; copy && i < copy->samples; i++) {
        copy->kin_t[i] -= lead_s;
    }
    return copy;
}

static int train_wiener(struct traj_rival *r, const struct traj_session *calibration,
                        struct traj_error *error)
{
    struct traj_session *ahead =
        advance(calibration, (double)r->lead * traj_bin_width(calibration), error);
    int result = ahead ? traj_wiener_train(&r->wiener, ahead, error) : -1;
    traj_session_free(ahead);
    r->past = result == 0 ? calloc(r->wiener.window * r->wiener.windows * r->units, sizeof *r->past)
                          : NULL;
    return r->past ? 0 : -1;
}

/* What refit learns intention from, beside the movement. */
static int check_second(const struct traj_session *calibration, const struct traj_session *second,
                        struct traj_error *error)
{
    for (size_t i = 0; second && second->target && i < second->trials; i++) {
        if (second->target[i] >= 0) {
            return 0;
        }
    }
    return traj_error_set(error,
                          "%s: the decoder refit could not be fitted: it needs trials with known "
                          "targets, and there are none",
                          second ? second->path : calibration->path);
}

struct traj_rival *traj_rival_train(enum traj_rival_kind kind,
                                    const struct traj_session *calibration,
                                    const struct traj_session *second, double radius,
                                    struct traj_error *error)
{
    struct traj_rival *r = calloc(1, sizeof *r);
    size_t units = calibration->units, dim = calibration->dim;
    if (r && dim <= TRAJ_RIG_DIM && units > 0) {
        *r = (struct traj_rival){.kind = kind, .units = units, .dim = dim, .inputs = dim + 1};
        r->c = calloc(INPUTS_MAX * units, sizeof *r->c);
        r->noise = calloc(units * units, sizeof *r->noise);
        r->gain = calloc(dim * units, sizeof *r->gain);
        r->mean = calloc(units, sizeof *r->mean);
        r->y = calloc(units, sizeof *r->y);
    }
    bool good = r && r->c && r->noise && r->gain && r->mean && r->y && choose(r, calibration) == 0;
    if (good && kind == TRAJ_RIVAL_REFIT) {
        if (check_second(calibration, second, error)) {
            traj_rival_free(r);
            return NULL;
        }
        good = refit(r, second, radius) == 0;
    }
    if (good && kind == TRAJ_RIVAL_WIENER) {
        good = train_wiener(r, calibration, error) == 0;
    }
    if (!good) {
        traj_error_set(error, "%s: the decoder %s could not be fitted", calibration->path,
                       names[kind]);
        traj_rival_free(r);
        return NULL;
    }
    traj_rival_reset(r);
    return r;
}
