/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Sessions of a new day against a trained model. */
#include "daemon/learn/today.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define GRACE 1e-6           /* s, rounding of recorded times */
#define GAP_RESET 1.0        /* s, after which a decoder begins anew */
#define VELOCITY_WINDOW 0.02 /* s, the least half window of a difference */
#define SAME_BIN 0.01        /* by which a bin's width may differ from the model's */
#define SAME_TARGET 0.25     /* of the least distance between targets: still the same one */

/* ---- which channel is which ------------------------------------------------------------------ */

static int match_by_name(struct traj_today *today, const struct traj_session *session,
                         struct traj_error *error)
{
    const struct traj_model *model = today->model;
    size_t common = 0;
    for (size_t n = 0; n < today->units; n++) {
        today->was[n] = TRAJ_UNIT_NEW;
        for (size_t m = 0; m < model->dims.units; m++)
            if (strncmp(session->unit_name[n], model->about.unit_name[m], TRAJ_ID_SIZE) == 0)
                today->was[n] = m;
        common += today->was[n] != TRAJ_UNIT_NEW;
    }
    today->lost = model->dims.units - common;
    if (common == 0)
        return traj_error_set(error, "%s: /frames/unit_name: no unit in common with the model",
                              session->path);
    return 0;
}

static int match_channels(struct traj_today *today, struct traj_error *error)
{
    const struct traj_session *session = today->session[0];
    const struct traj_dims *dims = &today->model->dims;
    today->units = session->units;
    today->features = session->features;
    today->channels = today->units + today->features;
    today->was = calloc(today->channels + 1, sizeof *today->was);
    if (!today->was)
        return traj_error_set(error, "no memory for %zu units", today->units);
    if (session->features != dims->features)
        return traj_error_set(error, "%s: /frames/features: %zu columns, the model has %zu",
                              session->path, session->features, dims->features);
    for (size_t f = 0; f < today->features; f++)
        today->was[today->units + f] = dims->units + f;
    if (today->units > 0 && dims->units > 0 && session->unit_name && today->model->about.unit_name)
        return match_by_name(today, session, error);
    if (session->units != dims->units)
        return traj_error_set(error,
                              "%s: /frames/counts: %zu units without names to tell them by, the "
                              "model has %zu",
                              session->path, session->units, dims->units);
    for (size_t n = 0; n < today->units; n++)
        today->was[n] = n;
    return 0;
}

/* ---- whether the sessions fit ---------------------------------------------------------------- */

static int compare_doubles(const void *a, const void *b)
{
    double x, y;
    memcpy(&x, a, sizeof x);
    memcpy(&y, b, sizeof y);
    return (x > y) - (x < y);
}

static int check_bins(const struct traj_model *model, const struct traj_session *session,
                      struct traj_error *error)
{
    double *width = malloc(session->bins * sizeof *width);
    if (!width)
        return traj_error_set(error, "no memory for %zu bins", session->bins);
    memcpy(width, session->dt, session->bins * sizeof *width);
    qsort(width, session->bins, sizeof *width, compare_doubles);
    double median = width[session->bins / 2];
    free(width);
    if (fabs(median - model->bin_width) > SAME_BIN * model->bin_width)
        return traj_error_set(error, "%s: /frames/dt: bins of %g s, the model's are of %g s",
                              session->path, median, model->bin_width);
    return 0;
}

static int check_names(const struct traj_session *a, const struct traj_session *b,
                       struct traj_error *error)
{
    if (b->units != a->units)
        return traj_error_set(error, "%s: /frames/counts: %zu units, but %zu in %s", b->path,
                              b->units, a->units, a->path);
    if (b->features != a->features)
        return traj_error_set(error, "%s: /frames/features: %zu features, but %zu in %s", b->path,
                              b->features, a->features, a->path);
    for (size_t n = 0; a->unit_name && b->unit_name && n < a->units; n++)
        if (strcmp(a->unit_name[n], b->unit_name[n]) != 0)
            return traj_error_set(error, "%s: /frames/unit_name[%zu]: \"%s\", but \"%s\" in %s",
                                  b->path, n, b->unit_name[n], a->unit_name[n], a->path);
    return 0;
}

static int check_session(const struct traj_model *model, const struct traj_session *session,
                         struct traj_error *error)
{
    if (traj_session_check(session, error))
        return -1;
    if (session->bins == 0 || (session->units == 0 && session->features == 0))
        return traj_error_set(error, "%s: /frames: none, so there is nothing to adapt to",
                              session->path);
    if (session->units > TRAJ_UNITS_MAX)
        return traj_error_set(error, "%s: /frames/counts: %zu units, more than %d", session->path,
                              session->units, TRAJ_UNITS_MAX);
    if (session->samples > 0 && session->dim != model->dims.position)
        return traj_error_set(error, "%s: /kinematics/position: %zu columns, the model has %zu",
                              session->path, session->dim, model->dims.position);
    if (session->samples > 0 && strcmp(session->length_unit, model->about.length_unit) != 0)
        return traj_error_set(error, "%s: length_unit: \"%s\", the model's is \"%s\"",
                              session->path, session->length_unit, model->about.length_unit);
    if (session->targets > 0 && model->dims.targets > 0 &&
        session->target_dim != model->dims.position)
        return traj_error_set(error, "%s: /targets/position: %zu columns, the model has %zu",
                              session->path, session->target_dim, model->dims.position);
    return check_bins(model, session, error);
}

/* ---- targets --------------------------------------------------------------------------------- */

static double apart(const double *a, const double *b, size_t dim)
{
    double sum = 0;
    for (size_t d = 0; d < dim; d++)
        sum += (a[d] - b[d]) * (a[d] - b[d]);
    return sqrt(sum);
}

/* Half of what would make a target as near to its neighbour as to itself. */
static double tolerance(const struct traj_model *model)
{
    size_t dim = model->dims.position;
    const double *place = model->target_position;
    double least = INFINITY, extent = 0;
    for (size_t a = 0; a < model->dims.targets; a++)
        for (size_t b = 0; b < model->dims.targets; b++) {
            double distance = apart(place + a * dim, place + b * dim, dim);
            extent = fmax(extent, fabs(place[a * dim]));
            if (a != b && distance > 0)
                least = fmin(least, distance);
        }
    return SAME_TARGET * (isfinite(least) ? least : extent);
}

/* The model's number of each of the session's targets. */
static int match_targets(const struct traj_model *model, const struct traj_session *session,
                         int32_t *number, struct traj_error *error)
{
    size_t dim = model->dims.position;
    for (size_t m = 0; m < session->targets; m++) {
        double least = INFINITY;
        number[m] = -1;
        for (size_t k = 0; k < model->dims.targets; k++) {
            double distance =
                apart(session->target_position + m * dim, model->target_position + k * dim, dim);
            if (distance < least) {
                least = distance;
                number[m] = (int32_t)k;
            }
        }
        if (model->dims.targets > 0 && least > tolerance(model))
            return traj_error_set(error,
                                  "%s: /targets/position[%zu]: no target of the model lies there",
                                  session->path, m);
    }
    return 0;
}

/* ---- bins ------------------------------------------------------------------------------------ */

/* As training.c has it: position, velocity and acceleration at t. */
static bool state_at(const struct traj_today *today, const struct traj_session *session, double t,
                     double *x)
{
    size_t dim = today->model->dims.position;
    double half = fmax(today->model->bin_width, VELOCITY_WINDOW), width = 0;
    double before[TRAJ_DIM_MAX], after[TRAJ_DIM_MAX];
    if (session->samples < 2 || traj_session_kinematics(session, t, half, x, x + dim))
        return false;
    if (traj_session_kinematics(session, t - half, half, NULL, before) == 0)
        width += half;
    else
        memcpy(before, x + dim, dim * sizeof *x);
    if (traj_session_kinematics(session, t + half, half, NULL, after) == 0)
        width += half;
    else
        memcpy(after, x + dim, dim * sizeof *x);
    for (size_t d = 0; d < dim; d++)
        x[2 * dim + d] = width > 0 ? (after[d] - before[d]) / width : 0;
    return true;
}

static void fill_time(struct traj_today *today, const struct traj_session *session, size_t i,
                      size_t b)
{
    double bin = today->model->bin_width;
    today->dt[b] = session->dt[i];
    today->t_end[b] = session->t_end[i];
    today->steps[b] = 0;
    today->run_start[b] = b;
    if (i == 0)
        return;
    double elapsed = session->t_end[i] - session->t_end[i - 1];
    double gap = elapsed - session->dt[i];
    if (elapsed <= GAP_RESET || gap <= session->dt[i] / 2)
        today->steps[b] = (size_t)fmax(floor(elapsed / bin + 0.5), 1);
    if (gap <= session->dt[i] / 2)
        today->run_start[b] = today->run_start[b - 1];
}

static void fill_trial(struct traj_today *today, const struct traj_session *session,
                       const int32_t *number, size_t i, size_t b, size_t *current)
{
    size_t r = traj_session_trial_at(session, session->t_end[i]);
    today->marked[b] = session->trials > 0;
    today->trial[b] = r != (size_t)-1;
    today->target[b] = -1;
    if (r == (size_t)-1)
        return;
    int32_t own = session->target && session->target[r] >= 0 ? session->target[r] : -1;
    today->target[b] = own >= 0 ? number[own] : -1;
    if (r != *current) {
        *current = r;
        today->enters[b] = 1;
        today->labelled += today->target[b] >= 0;
        today->trial_list[today->trials++] = (struct traj_today_trial){
            .first = b,
            .target = today->target[b],
            .start = session->start[r],
            .go = session->go ? session->go[r] : NAN,
        };
    }
    today->trial_list[today->trials - 1].count = b + 1 - today->trial_list[today->trials - 1].first;
}

static int gather(struct traj_today *today, const struct traj_session *session, size_t first,
                  struct traj_error *error)
{
    size_t stride = 3 * today->model->dims.position, current = (size_t)-1;
    int32_t number[TRAJ_TARGETS_MAX];
    if (session->targets > TRAJ_TARGETS_MAX)
        return traj_error_set(error, "%s: /targets/position: %zu targets, more than %d",
                              session->path, session->targets, TRAJ_TARGETS_MAX);
    if (match_targets(today->model, session, number, error))
        return -1;
    today->targets_alike = today->targets_alike && session->targets == today->model->dims.targets;
    for (size_t m = 0; m < session->targets; m++)
        today->targets_alike = today->targets_alike && number[m] == (int32_t)m;
    for (size_t i = 0; i < session->bins; i++) {
        size_t b = first + i;
        fill_time(today, session, i, b);
        fill_trial(today, session, number, i, b, &current);
        today->known[b] = state_at(today, session, session->t_end[i], today->x + b * stride);
        today->bins_known += today->known[b];
        today->count[b] = session->units > 0 ? session->counts + i * session->units : NULL;
        today->feature[b] = session->features > 0 ? session->feature + i * session->features : NULL;
    }
    return 0;
}

static int allocate(struct traj_today *today, struct traj_error *error)
{
    size_t bins = today->bins + 1, trials = 1;
    for (size_t s = 0; s < today->sessions; s++)
        trials += today->session[s]->trials;
    today->dt = calloc(bins, sizeof *today->dt);
    today->t_end = calloc(bins, sizeof *today->t_end);
    today->known = calloc(bins, 1);
    today->x = calloc(bins * 3 * today->model->dims.position, sizeof *today->x);
    today->steps = calloc(bins, sizeof *today->steps);
    today->trial = calloc(bins, 1);
    today->enters = calloc(bins, 1);
    today->marked = calloc(bins, 1);
    today->target = calloc(bins, sizeof *today->target);
    today->run_start = calloc(bins, sizeof *today->run_start);
    today->count = calloc(bins, sizeof(uint16_t *));
    today->feature = calloc(bins, sizeof(float *));
    today->trial_list = calloc(trials, sizeof *today->trial_list);
    if (today->dt && today->t_end && today->known && today->x && today->steps && today->trial &&
        today->enters && today->marked && today->target && today->run_start && today->count &&
        today->feature && today->trial_list)
        return 0;
    return traj_error_set(error, "no memory for %zu bins", today->bins);
}

struct traj_today *traj_today_new(const struct traj_model *model,
                                  const struct traj_session *const *sessions, size_t count,
                                  struct traj_error *error)
{
    struct traj_today *today = calloc(1, sizeof *today);
    if (!today || count == 0) {
        traj_error_set(error, count == 0 ? "no session to adapt to" : "no memory");
        free(today);
        return NULL;
    }
    today->model = model;
    today->session = sessions;
    today->sessions = count;
    today->targets_alike = true;
    int status = 0;
    for (size_t s = 0; s < count && status == 0; s++) {
        today->bins += sessions[s]->bins;
        if (check_session(model, sessions[s], error) ||
            check_names(sessions[0], sessions[s], error))
            status = -1;
    }
    if (status == 0 && (match_channels(today, error) || allocate(today, error)))
        status = -1;
    for (size_t s = 0, first = 0; s < count && status == 0; first += sessions[s++]->bins)
        status = gather(today, sessions[s], first, error);
    if (status == 0)
        return today;
    traj_today_free(today);
    return NULL;
}

void traj_today_free(struct traj_today *today)
{
    if (!today)
        return;
    free(today->was);
    free(today->dt);
    free(today->t_end);
    free(today->known);
    free(today->x);
    free(today->steps);
    free(today->trial);
    free(today->enters);
    free(today->marked);
    free(today->target);
    free(today->run_start);
    free(today->count);
    free(today->feature);
    free(today->trial_list);
    free(today);
}

double traj_today_value(const struct traj_today *today, size_t b, size_t c, bool gaussian)
{
    if (c >= today->units)
        return today->feature[b] ? (double)today->feature[b][c - today->units] : NAN;
    uint16_t y = today->count[b] ? today->count[b][c] : TRAJ_COUNT_MISSING;
    if (y == TRAJ_COUNT_MISSING)
        return NAN;
    return gaussian ? sqrt((double)y * (today->model->bin_width / today->dt[b]) + 0.25) : y;
}
