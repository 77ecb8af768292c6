/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Gathers sessions into bins, states and courses. */
#include "daemon/learn/training.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/learn/folds.h"

#define GRACE 1e-6        /* s, rounding of recorded times */
#define KINEMATIC_GAP 0.5 /* s between samples, beyond which movement is not one run */
/* s, the least half window of a difference: sampled positions are noisy. */
#define VELOCITY_WINDOW 0.02

/* ---- kinematics ------------------------------------------------------------------------------ */

static double half_window(const struct traj_training *training)
{
    return fmax(training->bin, VELOCITY_WINDOW);
}

/* Position, velocity and acceleration at t into x[3 dim]; 0, or -1 where they are not known. */
static int state_at(const struct traj_training *training, const struct traj_session *session,
                    double t, double *x)
{
    size_t dim = training->dim;
    double half = half_window(training), before[TRAJ_DIM_MAX], after[TRAJ_DIM_MAX];
    if (traj_session_kinematics(session, t, half, x, x + dim))
        return -1;
    /* Velocity half a window before and after; where one is missing, the velocity at t itself. */
    double width = 0;
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
    return 0;
}

/* ---- bins ------------------------------------------------------------------------------------ */

static int compare_doubles(const void *a, const void *b)
{
    double x, y;
    memcpy(&x, a, sizeof x);
    memcpy(&y, b, sizeof y);
    return (x > y) - (x < y);
}

static int median_width(struct traj_training *training, struct traj_error *error)
{
    double *width = malloc(training->bins * sizeof *width);
    if (!width)
        return traj_error_set(error, "no memory for %zu bins", training->bins);
    for (size_t s = 0; s < training->sessions; s++) {
        const struct traj_session *session = training->session[s];
        memcpy(width, session->dt, session->bins * sizeof *width);
        qsort(width, session->bins, sizeof *width, compare_doubles);
        double median = width[session->bins / 2];
        if (s == 0)
            training->bin = median;
        if (fabs(median - training->bin) > 0.01 * training->bin) {
            free(width);
            return traj_error_set(error, "%s: /frames/dt: bins of %g s, but %g s in %s",
                                  session->path, median, training->bin, training->session[0]->path);
        }
    }
    free(width);
    return 0;
}

static void gather_bins(struct traj_training *training, size_t s, size_t first)
{
    const struct traj_session *session = training->session[s];
    size_t stride = 3 * training->dim;
    for (size_t i = 0; i < session->bins; i++) {
        size_t b = first + i;
        double since = i > 0 ? session->t_end[i] - session->t_end[i - 1] - session->dt[i] : 0;
        training->run_start[b] =
            i == 0 || since > session->dt[i] / 2 ? b : training->run_start[b - 1];
        training->dt[b] = session->dt[i];
        training->t_end[b] = session->t_end[i];
        training->known[b] =
            state_at(training, session, session->t_end[i], training->x + b * stride) == 0;
        for (size_t n = 0; n < training->units; n++)
            training->counts[n * training->bins + b] = session->counts[i * training->units + n];
    }
    if (training->features > 0)
        memcpy(training->feature + first * training->features, session->feature,
               session->bins * training->features * sizeof *session->feature);
}

/* ---- courses --------------------------------------------------------------------------------- */

/* How many states one training bin apart lie in [from, to]. */
static size_t grid_count(const struct traj_training *training, double from, double to)
{
    double steps = floor((to - from + GRACE) / training->bin);
    return steps >= 0 ? (size_t)steps + 1 : 0;
}

static void sample_course(struct traj_training *training, const struct traj_session *session,
                          double from, struct traj_course *course)
{
    size_t stride = 3 * training->dim;
    for (size_t i = 0; i < course->count; i++) {
        size_t row = course->first + i;
        double t = from + (double)i * training->bin;
        training->state_known[row] =
            state_at(training, session, t, training->state + row * stride) == 0;
    }
}

/* First bin that ends after t, by bisection. */
static size_t bin_after(const struct traj_session *session, double t)
{
    size_t low = 0, high = session->bins;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (session->t_end[middle] > t + GRACE)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

/* Where a trial's first state lies: at the end of its first bin, or one bin after its start. */
static double trial_first(const struct traj_training *training, const struct traj_session *session,
                          size_t r)
{
    size_t b = session->bins > 0 ? bin_after(session, session->start[r]) : 0;
    if (b < session->bins && session->t_end[b] < session->start[r] + 1.5 * training->bin)
        return session->t_end[b];
    return session->start[r] + training->bin;
}

/* Both passes over a session's courses: with training->state NULL it only counts. */
struct gatherer {
    struct traj_training *training;
    size_t states, trials, runs;
};

static void add_trial(struct gatherer *gatherer, const struct traj_session *session, size_t s,
                      size_t bin_offset, size_t r)
{
    struct traj_training *training = gatherer->training;
    double from = trial_first(training, session, r);
    struct traj_course course = {
        .first = gatherer->states, .target = -1, .go = NAN, .move = NAN, .session = s};
    course.t = from;
    course.offset = from - session->start[r];
    course.count = grid_count(training, from, session->stop[r]);
    if (session->target)
        course.target = session->target[r];
    if (session->go)
        course.go = session->go[r] - session->start[r];
    if (session->move)
        course.move = session->move[r] - session->start[r];
    course.fold = s == (size_t)-1 ? TRAJ_FOLD_ALWAYS : TRAJ_FOLD_NEVER;
    if (session->bins > 0 && s != (size_t)-1) {
        course.bin_first = bin_offset + bin_after(session, session->start[r]);
        course.bin_count = bin_offset + bin_after(session, session->stop[r]) - course.bin_first;
    }
    if (training->state) {
        sample_course(training, session, from, &course);
        training->trial[gatherer->trials] = course;
    }
    gatherer->states += course.count;
    gatherer->trials++;
}

static void add_run(struct gatherer *gatherer, const struct traj_session *session, size_t s,
                    double from, double to)
{
    struct traj_training *training = gatherer->training;
    struct traj_course course = {
        .first = gatherer->states, .target = -1, .go = NAN, .move = NAN, .session = s};
    course.t = from;
    course.count = grid_count(training, from, to);
    course.fold = s == (size_t)-1 ? TRAJ_FOLD_ALWAYS : TRAJ_FOLD_NEVER;
    if (training->state) {
        sample_course(training, session, from, &course);
        training->run[gatherer->runs] = course;
    }
    gatherer->states += course.count;
    gatherer->runs++;
}

static void add_session(struct gatherer *gatherer, const struct traj_session *session, size_t s,
                        size_t bin_offset)
{
    for (size_t r = 0; r < session->trials; r++)
        add_trial(gatherer, session, s, bin_offset, r);
    size_t begin = 0;
    for (size_t i = 1; i <= session->samples; i++)
        if (i == session->samples || session->kin_t[i] - session->kin_t[i - 1] > KINEMATIC_GAP) {
            add_run(gatherer, session, s, session->kin_t[begin], session->kin_t[i - 1]);
            begin = i;
        }
}

static struct gatherer gather_courses(struct traj_training *training,
                                      const struct traj_session *const *priors, size_t prior_count)
{
    struct gatherer gatherer = {training, 0, 0, 0};
    size_t offset = 0;
    for (size_t s = 0; s < training->sessions; s++) {
        add_session(&gatherer, training->session[s], s, offset);
        offset += training->session[s]->bins;
    }
    for (size_t s = 0; s < prior_count; s++)
        add_session(&gatherer, priors[s], (size_t)-1, 0);
    return gatherer;
}

/* ---- moments --------------------------------------------------------------------------------- */

static void measure_scale(struct traj_training *training)
{
    size_t dim = training->dim, stride = 3 * dim, count = 0;
    double sum[3] = {0, 0, 0};
    for (size_t i = 0; i < training->states; i++) {
        if (!training->state_known[i])
            continue;
        count++;
        for (size_t d = 0; d < dim; d++)
            training->center[d] += training->state[i * stride + d];
    }
    for (size_t d = 0; d < dim; d++)
        training->center[d] /= count > 0 ? (double)count : 1;
    for (size_t i = 0; i < training->states; i++) {
        const double *x = training->state + i * stride;
        for (size_t j = 0; training->state_known[i] && j < stride; j++) {
            double value = j < dim ? x[j] - training->center[j] : x[j];
            sum[j / dim] += value * value;
        }
    }
    for (size_t order = 0; order < 3; order++) {
        double mean = count > 0 ? sum[order] / (double)(count * dim) : 0;
        training->scale[order] = mean > 0 ? sqrt(mean) : 1;
    }
}

static void count_labels(struct traj_training *training)
{
    size_t seen[TRAJ_TARGETS_MAX] = {0};
    for (size_t r = 0; r < training->trials; r++) {
        const struct traj_course *trial = &training->trial[r];
        bool taught = trial->session == (size_t)-1;
        if (trial->target < 0)
            continue;
        training->taught += taught;
        training->labelled += !taught;
        seen[trial->target] += !taught;
    }
    double count[TRAJ_TARGETS_MAX];
    size_t targets = 0;
    for (size_t m = 0; m < training->targets; m++)
        if (seen[m] > 0)
            count[targets++] = (double)seen[m];
    qsort(count, targets, sizeof *count, compare_doubles);
    training->per_target = targets > 0 ? (size_t)count[targets / 2] : 0;
}

/* ---- life ------------------------------------------------------------------------------------ */

static void *array(size_t count, size_t size, bool *failed)
{
    void *block = calloc(count > 0 ? count : 1, size);
    if (!block)
        *failed = true;
    return block;
}

static int allocate_bins(struct traj_training *training, struct traj_error *error)
{
    bool failed = false;
    size_t bins = training->bins;
    training->x = array(bins * 3 * training->dim, sizeof *training->x, &failed);
    training->known = array(bins, 1, &failed);
    training->fold = array(bins, 1, &failed);
    training->run_start = array(bins, sizeof *training->run_start, &failed);
    training->history = array(bins, sizeof *training->history, &failed);
    training->dt = array(bins, sizeof *training->dt, &failed);
    training->t_end = array(bins, sizeof *training->t_end, &failed);
    training->counts = array(bins * training->units, sizeof *training->counts, &failed);
    training->feature = array(bins * training->features, sizeof *training->feature, &failed);
    return failed ? traj_error_set(error, "no memory for %zu bins", bins) : 0;
}

static int allocate_courses(struct traj_training *training, const struct gatherer *size,
                            struct traj_error *error)
{
    bool failed = false;
    training->states = size->states;
    training->trials = size->trials;
    training->runs = size->runs;
    training->state = array(size->states * 3 * training->dim, sizeof *training->state, &failed);
    training->state_known = array(size->states, 1, &failed);
    training->state_fold = array(size->states, 1, &failed);
    training->trial = array(size->trials, sizeof *training->trial, &failed);
    training->run = array(size->runs, sizeof *training->run, &failed);
    return failed ? traj_error_set(error, "no memory for %zu states", size->states) : 0;
}

static int gather(struct traj_training *training, const struct traj_session *const *priors,
                  size_t prior_count, size_t folds, uint64_t seed, struct traj_error *error)
{
    if (median_width(training, error) || allocate_bins(training, error))
        return -1;
    size_t offset = 0;
    for (size_t s = 0; s < training->sessions; s++) {
        gather_bins(training, s, offset);
        offset += training->session[s]->bins;
    }
    struct gatherer size = gather_courses(training, priors, prior_count);
    if (allocate_courses(training, &size, error))
        return -1;
    gather_courses(training, priors, prior_count);
    size_t known = 0;
    for (size_t i = 0; i < training->states; i++)
        known += training->state_known[i];
    if (known < 8)
        return traj_error_set(error, "%s: /kinematics: only %zu states of movement could be read",
                              training->session[0]->path, known);
    traj_training_plan(training, 0);
    measure_scale(training);
    count_labels(training);
    return traj_folds_deal(training, folds, seed, error);
}

struct traj_training *traj_training_new(const struct traj_session *const *sessions, size_t count,
                                        const struct traj_session *const *priors,
                                        size_t prior_count, size_t folds, uint64_t seed,
                                        struct traj_error *error)
{
    if (traj_training_agree(sessions, count, priors, prior_count, error))
        return NULL;
    struct traj_training *training = calloc(1, sizeof *training);
    if (!training) {
        traj_error_set(error, "no memory");
        return NULL;
    }
    training->session = sessions;
    training->sessions = count;
    training->dim = sessions[0]->dim;
    training->units = sessions[0]->units;
    training->features = sessions[0]->features;
    training->targets = sessions[0]->targets;
    training->target_position = sessions[0]->target_position;
    for (size_t s = 0; s < count; s++)
        training->bins += sessions[s]->bins;
    if (gather(training, priors, prior_count, folds, seed, error)) {
        traj_training_free(training);
        return NULL;
    }
    return training;
}

void traj_training_free(struct traj_training *training)
{
    if (!training)
        return;
    free(training->x);
    free(training->known);
    free(training->fold);
    free(training->run_start);
    free(training->history);
    free(training->dt);
    free(training->t_end);
    free(training->counts);
    free(training->feature);
    free(training->state);
    free(training->state_known);
    free(training->state_fold);
    free(training->trial);
    free(training->run);
    free(training);
}

/* Marks a trial's bins up to its movement as planned. */
static void mark_window(const struct traj_training *training, const struct traj_course *trial,
                        double end)
{
    double start = trial->t - trial->offset, limit = end;
    if (!isnan(trial->go) && trial->go < limit)
        limit = trial->go;
    for (size_t i = 0; i < trial->bin_count; i++) {
        size_t b = trial->bin_first + i;
        if (training->t_end[b] > start + limit + GRACE)
            break;
        training->history[b] = b + 1;
    }
}

void traj_training_plan(struct traj_training *training, double end)
{
    for (size_t b = 0; b < training->bins; b++)
        training->history[b] = training->run_start[b];
    if (end > 0)
        for (size_t r = 0; r < training->trials; r++)
            mark_window(training, &training->trial[r], end);
    for (size_t b = 1; b < training->bins; b++)
        if (training->history[b] <= b && training->run_start[b] != b &&
            training->history[b - 1] > training->history[b])
            training->history[b] = training->history[b - 1];
}

size_t traj_movement_begin(const struct traj_training *training, const struct traj_course *trial,
                           double end)
{
    /* The decoder counts bins from the trial's start, the first being bin 1. */
    size_t begin = (size_t)(end / training->bin + 1e-6);
    if (!isnan(trial->go) && trial->go + GRACE >= trial->offset) {
        size_t told = (size_t)((trial->go + GRACE - trial->offset) / training->bin) + 1;
        begin = told < begin ? told : begin;
    } else if (!isnan(trial->go)) {
        begin = 0;
    }
    return begin < trial->count ? begin : trial->count;
}

/* ---- movement onset -------------------------------------------------------------------------- */

#define ONSET_SPEED 0.15 /* of peak speed */

static double speed_of(const struct traj_training *training, size_t state)
{
    double sum = 0;
    for (size_t d = 0; d < training->dim; d++) {
        double v = training->state[(state * 3 + 1) * training->dim + d];
        sum += v * v;
    }
    return training->state_known[state] ? sqrt(sum) : 0;
}

/* Seconds after the trial's first state that its session names, or NaN. */
static double named_onset(const struct traj_training *training, const struct traj_course *trial)
{
    if (trial->session == (size_t)-1 || !training->session[trial->session]->move)
        return NAN;
    const struct traj_session *session = training->session[trial->session];
    double start = trial->t - trial->offset;
    size_t low = 0, high = session->trials;
    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;
        if (session->start[middle] <= start + GRACE)
            low = middle;
        else
            high = middle;
    }
    return session->move[low] - trial->t;
}

double traj_trial_onset(const struct traj_training *training, const struct traj_course *trial,
                        size_t begin)
{
    double named = named_onset(training, trial) / training->bin;
    if (isfinite(named))
        return fmax(named - (double)begin, 0);
    size_t peak = begin;
    double most = 0;
    for (size_t i = begin; i < trial->count; i++)
        if (speed_of(training, trial->first + i) > most) {
            most = speed_of(training, trial->first + i);
            peak = i;
        }
    while (peak > begin && speed_of(training, trial->first + peak) > ONSET_SPEED * most)
        peak--;
    return (double)(peak - begin);
}
