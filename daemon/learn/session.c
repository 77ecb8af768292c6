/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A recorded session in memory: making, checking, cutting and looking things up by time. */
#include "daemon/learn/session.h"

#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Clocks of rigs tick in microseconds at best, and times pass through float32 on their way. */
#define TIME_GRACE 1e-6
/* Samples further apart than this belong to two runs that nothing may be interpolated between. */
#define GAP_S 0.5
/* A rig may end its kinematics a bin before its frames; so far a straight line is as good as a
 * sample. */
#define EDGE_INTERVALS 2.0

/* ---- making -------------------------------------------------------------------------------------
 */

struct traj_session *traj_session_new(const char *path)
{
    struct traj_session *session = calloc(1, sizeof *session);
    if (session == NULL)
        return NULL;
    session->path = strdup(path);
    if (session->path == NULL) {
        free(session);
        return NULL;
    }
    return session;
}

void traj_session_free(struct traj_session *session)
{
    if (session == NULL)
        return;
    free(session->path);
    free(session->counts);
    free(session->feature);
    free(session->t_end);
    free(session->dt);
    free(session->unit_name);
    free(session->kin_t);
    free(session->position);
    free(session->velocity);
    free(session->start);
    free(session->stop);
    free(session->go);
    free(session->move);
    free(session->rewarded);
    free(session->target);
    free(session->target_position);
    free(session->target_id);
    free(session);
}

/*
 * rows * columns zeroed elements, at least one; NULL as well where their size is beyond any memory.
 */
static void *make_array(size_t rows, size_t columns, size_t size)
{
    size_t count = columns == 0 ? 1 : columns;
    rows = rows == 0 ? 1 : rows;
    if (count > (size_t)PTRDIFF_MAX / size || rows > (size_t)PTRDIFF_MAX / (count * size))
        return NULL;
    return calloc(rows, count * size);
}

static int no_memory(const struct traj_session *session, const char *what, size_t rows,
                     size_t columns, struct traj_error *error)
{
    return traj_error_set(error, "%s: %s: no memory for %zu x %zu values", session->path, what,
                          rows, columns);
}

int traj_session_make_frames(struct traj_session *session, size_t bins, size_t units,
                             size_t features, unsigned parts, struct traj_error *error)
{
    if (units > TRAJ_UNITS_MAX)
        return traj_error_set(error, "%s: /frames/counts: %zu units, at most %d are possible",
                              session->path, units, TRAJ_UNITS_MAX);
    if (features > TRAJ_UNITS_MAX)
        return traj_error_set(error, "%s: /frames/features: %zu features, at most %d are possible",
                              session->path, features, TRAJ_UNITS_MAX);
    session->t_end = make_array(bins, 1, sizeof *session->t_end);
    session->dt = make_array(bins, 1, sizeof *session->dt);
    if (session->t_end == NULL || session->dt == NULL)
        return no_memory(session, "/frames/t_end", bins, 1, error);
    if (units > 0) {
        session->counts = make_array(bins, units, sizeof *session->counts);
        if (session->counts == NULL)
            return no_memory(session, "/frames/counts", bins, units, error);
    }
    if (features > 0) {
        session->feature = make_array(bins, features, sizeof *session->feature);
        if (session->feature == NULL)
            return no_memory(session, "/frames/features", bins, features, error);
    }
    if ((parts & TRAJ_SESSION_UNIT_NAME) != 0) {
        session->unit_name = make_array(units, 1, sizeof *session->unit_name);
        if (session->unit_name == NULL)
            return no_memory(session, "/frames/unit_name", units, 1, error);
    }
    session->bins = bins;
    session->units = units;
    session->features = features;
    return 0;
}

int traj_session_make_kinematics(struct traj_session *session, size_t samples, size_t dim,
                                 unsigned parts, struct traj_error *error)
{
    if (dim < 1 || dim > TRAJ_DIM_MAX)
        return traj_error_set(error, "%s: /kinematics/position: %zu columns, 1 to %d are possible",
                              session->path, dim, TRAJ_DIM_MAX);
    session->kin_t = make_array(samples, 1, sizeof *session->kin_t);
    session->position = make_array(samples, dim, sizeof *session->position);
    if (session->kin_t == NULL || session->position == NULL)
        return no_memory(session, "/kinematics/position", samples, dim, error);
    if ((parts & TRAJ_SESSION_VELOCITY) != 0) {
        session->velocity = make_array(samples, dim, sizeof *session->velocity);
        if (session->velocity == NULL)
            return no_memory(session, "/kinematics/velocity", samples, dim, error);
    }
    session->samples = samples;
    session->dim = dim;
    return 0;
}

static double *make_unknown(size_t count)
{
    double *array = make_array(count, 1, sizeof *array);
    for (size_t i = 0; array != NULL && i < count; i++)
        array[i] = NAN;
    return array;
}

int traj_session_make_trials(struct traj_session *session, size_t trials, unsigned parts,
                             struct traj_error *error)
{
    bool go = (parts & TRAJ_SESSION_GO) != 0, move = (parts & TRAJ_SESSION_MOVE) != 0;
    bool rewarded = (parts & TRAJ_SESSION_REWARDED) != 0;
    bool target = (parts & TRAJ_SESSION_TARGET) != 0;
    session->start = make_array(trials, 1, sizeof *session->start);
    session->stop = make_array(trials, 1, sizeof *session->stop);
    if (go)
        session->go = make_unknown(trials);
    if (move)
        session->move = make_unknown(trials);
    if (rewarded)
        session->rewarded = make_unknown(trials);
    if (target)
        session->target = make_array(trials, 1, sizeof *session->target);
    if (session->start == NULL || session->stop == NULL || (go && session->go == NULL) ||
        (move && session->move == NULL) || (rewarded && session->rewarded == NULL) ||
        (target && session->target == NULL))
        return no_memory(session, "/trials/start", trials, 1, error);
    for (size_t i = 0; target && i < trials; i++)
        session->target[i] = -1;
    session->trials = trials;
    return 0;
}

int traj_session_make_targets(struct traj_session *session, size_t targets, size_t dim,
                              struct traj_error *error)
{
    if (targets > TRAJ_TARGETS_MAX)
        return traj_error_set(error, "%s: /targets/position: %zu targets, at most %d are possible",
                              session->path, targets, TRAJ_TARGETS_MAX);
    if (dim < 1 || dim > TRAJ_DIM_MAX)
        return traj_error_set(error, "%s: /targets/position: %zu columns, 1 to %d are possible",
                              session->path, dim, TRAJ_DIM_MAX);
    session->target_position = make_array(targets, dim, sizeof *session->target_position);
    session->target_id = make_array(targets, 1, sizeof *session->target_id);
    if (session->target_position == NULL || session->target_id == NULL)
        return no_memory(session, "/targets/position", targets, dim, error);
    for (size_t i = 0; i < targets; i++)
        (void)snprintf(session->target_id[i], TRAJ_ID_SIZE, "%zu", i);
    session->targets = targets;
    session->target_dim = dim;
    return 0;
}

/* ---- checking -----------------------------------------------------------------------------------
 */

static int check_finite(const char *path, const char *dataset, const double *value, size_t rows,
                        size_t columns, struct traj_error *error)
{
    for (size_t i = 0; i < rows; i++)
        for (size_t j = 0; j < columns; j++)
            if (!isfinite(value[i * columns + j])) {
                if (columns == 1)
                    return traj_error_set(error, "%s: %s[%zu] is not finite", path, dataset, i);
                return traj_error_set(error, "%s: %s[%zu, %zu] is not finite", path, dataset, i, j);
            }
    return 0;
}

/* NaN says that a value is not known; infinity says nothing. */
static int check_optional(const char *path, const char *dataset, const double *value, size_t count,
                          struct traj_error *error)
{
    for (size_t i = 0; value != NULL && i < count; i++)
        if (isinf(value[i]))
            return traj_error_set(error, "%s: %s[%zu] is infinite", path, dataset, i);
    return 0;
}

static int check_ascending(const char *path, const char *dataset, const double *time, size_t count,
                           struct traj_error *error)
{
    if (check_finite(path, dataset, time, count, 1, error) != 0)
        return -1;
    for (size_t i = 1; i < count; i++)
        if (!(time[i] > time[i - 1]))
            return traj_error_set(error, "%s: %s[%zu] = %.9g is not later than %s[%zu] = %.9g",
                                  path, dataset, i, time[i], dataset, i - 1, time[i - 1]);
    return 0;
}

/* Bytes of the UTF-8 character that text begins with, or 0 where it begins with none. */
static size_t utf8_length(const unsigned char *text)
{
    if (text[0] < 0x80)
        return 1;
    size_t length = text[0] >= 0xf0 ? 4 : text[0] >= 0xe0 ? 3 : 2;
    if (text[0] < 0xc2 || text[0] > 0xf4)
        return 0;
    for (size_t i = 1; i < length; i++)
        if ((text[i] & 0xc0) != 0x80)
            return 0;
    bool overlong = (text[0] == 0xe0 && text[1] < 0xa0) || (text[0] == 0xf0 && text[1] < 0x90);
    bool outside = (text[0] == 0xed && text[1] > 0x9f) || (text[0] == 0xf4 && text[1] > 0x8f);
    return overlong || outside ? 0 : length;
}

/* Terminated within size, valid UTF-8 and, unless free text, without control characters. */
static bool text_is_good(const char *text, size_t size, bool free_text)
{
    if (memchr(text, '\0', size) == NULL)
        return false;
    const unsigned char *p = (const unsigned char *)text;
    while (*p != '\0') {
        size_t length = utf8_length(p);
        if (length == 0 || (!free_text && (*p < 0x20 || *p == 0x7f)))
            return false;
        p += length;
    }
    return true;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Names identify units and targets, so that none may be empty, unreadable or given twice. */
static int check_names(const char *path, const char *dataset, const char (*name)[TRAJ_ID_SIZE],
                       size_t count, struct traj_error *error)
{
    if (name == NULL || count == 0)
        return 0;
    for (size_t i = 0; i < count; i++) {
        if (name[i][0] == '\0')
            return traj_error_set(error, "%s: %s[%zu] is empty", path, dataset, i);
        if (!text_is_good(name[i], TRAJ_ID_SIZE, false))
            return traj_error_set(error,
                                  "%s: %s[%zu] is not UTF-8 of at most %d bytes without control "
                                  "characters",
                                  path, dataset, i, TRAJ_ID_SIZE - 1);
    }
    const char **sorted = malloc(count * sizeof *sorted);
    if (sorted == NULL)
        return traj_error_set(error, "%s: %s: no memory for %zu names", path, dataset, count);
    for (size_t i = 0; i < count; i++)
        sorted[i] = name[i];
    qsort(sorted, count, sizeof *sorted, compare_names);
    int status = 0;
    for (size_t i = 1; status == 0 && i < count; i++)
        if (strcmp(sorted[i - 1], sorted[i]) == 0)
            status = traj_error_set(error, "%s: %s: the name \"%s\" stands there twice", path,
                                    dataset, sorted[i]);
    free(sorted);
    return status;
}

static int check_frames(const struct traj_session *s, struct traj_error *error)
{
    if (s->units > TRAJ_UNITS_MAX || s->features > TRAJ_UNITS_MAX)
        return traj_error_set(error, "%s: /frames: %zu units and %zu features, at most %d of each",
                              s->path, s->units, s->features, TRAJ_UNITS_MAX);
    if (check_names(s->path, "/frames/unit_name", (const char(*)[TRAJ_ID_SIZE])s->unit_name,
                    s->units, error) != 0)
        return -1;
    if (s->bins == 0)
        return 0;
    if (s->units == 0 && s->features == 0)
        return traj_error_set(error, "%s: /frames has neither counts nor features", s->path);
    if (s->t_end == NULL || s->dt == NULL || (s->units > 0 && s->counts == NULL) ||
        (s->features > 0 && s->feature == NULL))
        return traj_error_set(error, "%s: /frames has %zu bins but not all of their arrays",
                              s->path, s->bins);
    if (check_ascending(s->path, "/frames/t_end", s->t_end, s->bins, error) != 0)
        return -1;
    for (size_t i = 0; i < s->bins; i++)
        if (!isfinite(s->dt[i]) || s->dt[i] <= 0.0)
            return traj_error_set(error, "%s: /frames/dt[%zu] = %g is not a positive width",
                                  s->path, i, s->dt[i]);
    for (size_t i = 0; i < s->bins; i++)
        for (size_t j = 0; j < s->features; j++)
            if (isinf(s->feature[i * s->features + j]))
                return traj_error_set(error, "%s: /frames/features[%zu, %zu] is infinite", s->path,
                                      i, j);
    return 0;
}

static int check_kinematics(const struct traj_session *s, struct traj_error *error)
{
    if (s->samples == 0)
        return 0;
    if (s->dim < 1 || s->dim > TRAJ_DIM_MAX)
        return traj_error_set(error, "%s: /kinematics/position: %zu columns, 1 to %d are possible",
                              s->path, s->dim, TRAJ_DIM_MAX);
    if (s->kin_t == NULL || s->position == NULL)
        return traj_error_set(error, "%s: /kinematics has %zu samples but not all of their arrays",
                              s->path, s->samples);
    if (check_ascending(s->path, "/kinematics/t", s->kin_t, s->samples, error) != 0 ||
        check_finite(s->path, "/kinematics/position", s->position, s->samples, s->dim, error) != 0)
        return -1;
    return s->velocity == NULL ? 0
                               : check_finite(s->path, "/kinematics/velocity", s->velocity,
                                              s->samples, s->dim, error);
}

/* Trials and frames without an instant in common are told in two units, or by two clocks. */
static int check_overlap(const struct traj_session *s, struct traj_error *error)
{
    if (s->bins == 0)
        return 0;
    double from = s->t_end[0] - s->dt[0], to = s->t_end[s->bins - 1];
    for (size_t i = 0; i < s->trials; i++)
        if (s->start[i] < to && s->stop[i] > from)
            return 0;
    return traj_error_set(error,
                          "%s: no trial overlaps the frames: /trials/start begins at %.9g s, and "
                          "the frames run from %.9g to %.9g s; all times must be in seconds of one "
                          "clock",
                          s->path, s->start[0], from, to);
}

static int check_trials(const struct traj_session *s, struct traj_error *error)
{
    if (s->trials == 0)
        return 0;
    if (s->start == NULL || s->stop == NULL)
        return traj_error_set(error, "%s: /trials has %zu trials but no start or no stop", s->path,
                              s->trials);
    if (check_ascending(s->path, "/trials/start", s->start, s->trials, error) != 0 ||
        check_finite(s->path, "/trials/stop", s->stop, s->trials, 1, error) != 0 ||
        check_optional(s->path, "/trials/go", s->go, s->trials, error) != 0 ||
        check_optional(s->path, "/trials/move", s->move, s->trials, error) != 0 ||
        check_optional(s->path, "/trials/rewarded", s->rewarded, s->trials, error) != 0)
        return -1;
    for (size_t i = 0; i < s->trials; i++)
        if (!(s->stop[i] > s->start[i]))
            return traj_error_set(
                error,
                "%s: /trials/stop[%zu] = %.9g is not later than /trials/start[%zu] "
                "= %.9g",
                s->path, i, s->stop[i], i, s->start[i]);
    for (size_t i = 0; s->target != NULL && i < s->trials; i++)
        if (s->target[i] < -1 || (s->target[i] >= 0 && (size_t)s->target[i] >= s->targets))
            return traj_error_set(error,
                                  "%s: /trials/target[%zu] = %ld is neither -1 nor a row of "
                                  "/targets/position, which has %zu",
                                  s->path, i, (long)s->target[i], s->targets);
    return check_overlap(s, error);
}

static int check_targets(const struct traj_session *s, struct traj_error *error)
{
    if (s->targets == 0)
        return 0;
    if (s->targets > TRAJ_TARGETS_MAX)
        return traj_error_set(error, "%s: /targets/position: %zu targets, at most %d are possible",
                              s->path, s->targets, TRAJ_TARGETS_MAX);
    if (s->target_dim < 1 || s->target_dim > TRAJ_DIM_MAX)
        return traj_error_set(error, "%s: /targets/position: %zu columns, 1 to %d are possible",
                              s->path, s->target_dim, TRAJ_DIM_MAX);
    if (s->samples > 0 && s->target_dim != s->dim)
        return traj_error_set(
            error, "%s: /targets/position has %zu columns but /kinematics/position has %zu",
            s->path, s->target_dim, s->dim);
    if (s->target_position == NULL || s->target_id == NULL)
        return traj_error_set(error, "%s: /targets has %zu targets but not all of their arrays",
                              s->path, s->targets);
    if (check_finite(s->path, "/targets/position", s->target_position, s->targets, s->target_dim,
                     error) != 0)
        return -1;
    return check_names(s->path, "/targets/id", (const char(*)[TRAJ_ID_SIZE])s->target_id,
                       s->targets, error);
}

static int check_attributes(const struct traj_session *s, struct traj_error *error)
{
    if (!text_is_good(s->length_unit, sizeof s->length_unit, false))
        return traj_error_set(error, "%s: attribute length_unit is not UTF-8 of at most %d bytes",
                              s->path, TRAJ_ID_SIZE - 1);
    if (s->length_unit[0] == '\0' && (s->samples > 0 || s->targets > 0))
        return traj_error_set(
            error, "%s: attribute length_unit is missing but positions have lengths", s->path);
    if (!text_is_good(s->subject, sizeof s->subject, false))
        return traj_error_set(error, "%s: attribute subject is not UTF-8 of at most %zu bytes",
                              s->path, sizeof s->subject - 1);
    if (!text_is_good(s->description, sizeof s->description, true))
        return traj_error_set(error, "%s: attribute description is not UTF-8 of at most %zu bytes",
                              s->path, sizeof s->description - 1);
    return 0;
}

int traj_session_check(const struct traj_session *session, struct traj_error *error)
{
    if (session->bins == 0 && session->samples == 0)
        return traj_error_set(error, "%s: holds neither /frames nor /kinematics", session->path);
    if (check_attributes(session, error) != 0 || check_frames(session, error) != 0 ||
        check_kinematics(session, error) != 0 || check_targets(session, error) != 0)
        return -1;
    return check_trials(session, error);
}

/* ---- whether it tells anything ---------------------------------------------------------------
 */

static bool units_fire(const struct traj_session *s, bool *observed)
{
    for (size_t i = 0; i < s->bins * s->units; i++) {
        if (s->counts[i] != TRAJ_COUNT_MISSING && s->counts[i] > 0)
            return true;
        *observed = *observed || s->counts[i] != TRAJ_COUNT_MISSING;
    }
    return false;
}

static bool features_change(const struct traj_session *s, bool *observed)
{
    for (size_t f = 0; f < s->features; f++) {
        float first = NAN;
        for (size_t b = 0; b < s->bins; b++) {
            float value = s->feature[b * s->features + f];
            if (isnan(value))
                continue;
            *observed = true;
            if (isnan(first))
                first = value;
            if (value != first)
                return true;
        }
    }
    return false;
}

int traj_session_says(const struct traj_session *session, struct traj_error *error)
{
    bool fired = false, measured = false;
    if (units_fire(session, &fired) || features_change(session, &measured))
        return 0;
    if (session->units > 0 && !measured)
        return traj_error_set(error,
                              fired ? "%s: /frames/counts: no unit fires in any bin, so there is "
                                      "nothing to learn from"
                                    : "%s: /frames/counts: all are missing, so there is nothing to "
                                      "learn from",
                              session->path);
    return traj_error_set(error,
                          measured ? "%s: /frames/features: none ever changes, so there is nothing "
                                     "to learn from"
                                   : "%s: /frames/features: all are missing, so there is nothing "
                                     "to learn from",
                          session->path);
}

int traj_session_moves(const struct traj_session *session, struct traj_error *error)
{
    for (size_t i = session->dim; i < session->samples * session->dim; i++)
        if (session->position[i] != session->position[i - session->dim])
            return 0;
    return traj_error_set(error,
                          "%s: /kinematics/position: the same in all samples, so there is no "
                          "movement to learn from",
                          session->path);
}

/* ---- looking up by time -------------------------------------------------------------------------
 */

/* How many of count ascending times are <= t. */
static size_t count_until(const double *time, size_t count, double t)
{
    size_t low = 0, high = count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (time[middle] <= t)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* How many of count ascending times are < t. */
static size_t count_before(const double *time, size_t count, double t)
{
    size_t low = 0, high = count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (time[middle] < t)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

size_t traj_session_trial_at(const struct traj_session *session, double t)
{
    size_t begun = count_before(session->start, session->trials, t - TIME_GRACE);
    if (begun == 0 || t > session->stop[begun - 1] + TIME_GRACE)
        return (size_t)-1;
    return begun - 1;
}

/* Share of bins outside trials, beyond which a session counts as an unbroken recording, and share
 * of the trials after the first that follow a gap, below which it does. */
#define OUTSIDE 0.1
#define AFTER_GAP 0.5

/* How many trials after the first have a gap in the frames between them and the one before. */
static size_t trials_after_gap(const struct traj_session *session)
{
    size_t count = 0, last = (size_t)-1;
    for (size_t i = 1; i < session->bins; i++) {
        double since = session->t_end[i] - session->t_end[i - 1] - session->dt[i];
        size_t begun = count_before(session->start, session->trials, session->t_end[i]);
        if (since > session->dt[i] / 2 && begun > 1 && begun != last) {
            last = begun;
            count++;
        }
    }
    return count;
}

bool traj_session_is_unbroken(const struct traj_session *session)
{
    if (session->trials == 0)
        return true;
    size_t outside = 0;
    for (size_t i = 0; i < session->bins; i++)
        outside += traj_session_trial_at(session, session->t_end[i]) == (size_t)-1;
    return (double)outside > OUTSIDE * (double)session->bins ||
           (double)trials_after_gap(session) < AFTER_GAP * (double)(session->trials - 1);
}

/* True where samples i and i + 1 exist and belong to one run. */
static bool joined(const struct traj_session *s, size_t i)
{
    return i + 1 < s->samples && s->kin_t[i + 1] - s->kin_t[i] <= GAP_S;
}

/* The length of the sample interval at an edge of a run: after sample i, or before it; 0 if lone.
 */
static double interval_near(const struct traj_session *s, size_t i)
{
    if (joined(s, i))
        return s->kin_t[i + 1] - s->kin_t[i];
    return i > 0 && joined(s, i - 1) ? s->kin_t[i] - s->kin_t[i - 1] : 0.0;
}

/*
 * The sample i that t is to be read from: t lies between i and i + 1, or just outside the run that
 * i ends or begins.  (size_t)-1 where there is none near enough.
 */
static size_t sample_near(const struct traj_session *s, double t)
{
    if (!isfinite(t) || s->samples == 0)
        return (size_t)-1;
    size_t until = count_until(s->kin_t, s->samples, t);
    if (until > 0 && (joined(s, until - 1) || s->kin_t[until - 1] == t))
        return until - 1;
    if (until > 0 &&
        t - s->kin_t[until - 1] <= EDGE_INTERVALS * interval_near(s, until - 1) + TIME_GRACE)
        return until - 1;
    if (until < s->samples &&
        s->kin_t[until] - t <= EDGE_INTERVALS * interval_near(s, until) + TIME_GRACE)
        return until;
    return (size_t)-1;
}

/* Linear through samples i and its neighbour in the run; beyond the run only as far as the caller
 * allows. */
static void read_line(const struct traj_session *s, const double *value, size_t i, double t,
                      double *result)
{
    size_t a = i;
    if (!joined(s, i) && i > 0 && joined(s, i - 1))
        a = i - 1;
    double fraction = joined(s, a) ? (t - s->kin_t[a]) / (s->kin_t[a + 1] - s->kin_t[a]) : 0.0;
    size_t b = joined(s, a) ? a + 1 : a;
    for (size_t d = 0; d < s->dim; d++) {
        double from = value[a * s->dim + d], to = value[b * s->dim + d];
        result[d] = from + fraction * (to - from);
    }
}

static double clamp(double value, double low, double high)
{
    return value < low ? low : value > high ? high : value;
}

/*
 * (p(b) - p(a)) / (b - a) with a, b = t -+ half_window held inside the run.  The samples of a run
 * are searched no further than the window reaches.
 */
static int difference(const struct traj_session *s, size_t i, double t, double half_window,
                      double *velocity)
{
    double centre = t < s->kin_t[i] || !joined(s, i) ? s->kin_t[i] : t;
    size_t first = i, last = i;
    while (first > 0 && joined(s, first - 1) && s->kin_t[first] > centre - half_window)
        first--;
    while (joined(s, last) && s->kin_t[last] < centre + half_window)
        last++;
    double a = clamp(centre - half_window, s->kin_t[first], s->kin_t[last]);
    double b = clamp(centre + half_window, s->kin_t[first], s->kin_t[last]);
    if (!(b > a))
        return -1;
    double before[TRAJ_DIM_MAX], after[TRAJ_DIM_MAX];
    read_line(s, s->position, count_until(s->kin_t, s->samples, a) - 1, a, before);
    read_line(s, s->position, count_until(s->kin_t, s->samples, b) - 1, b, after);
    for (size_t d = 0; d < s->dim; d++)
        velocity[d] = (after[d] - before[d]) / (b - a);
    return 0;
}

int traj_session_kinematics(const struct traj_session *session, double t, double half_window,
                            double *position, double *velocity)
{
    size_t i = sample_near(session, t);
    if (i == (size_t)-1)
        return -1;
    if (position != NULL)
        read_line(session, session->position, i, t, position);
    if (velocity == NULL)
        return 0;
    if (session->velocity == NULL)
        return difference(session, i, t, half_window, velocity);
    /* Velocity is not carried on beyond the run: a line through two samples of it would be noise.
     */
    double inside = t;
    if (t < session->kin_t[i] || !joined(session, i))
        inside = session->kin_t[i];
    read_line(session, session->velocity, i, inside, velocity);
    return 0;
}

/* ---- cutting ------------------------------------------------------------------------------------
 */

/* Half-open ranges [from, to) of bins, samples and trials, one per span and kind. */
struct range {
    size_t from, to;
};

enum kind { BINS, SAMPLES, TRIALS, KINDS };

static struct range range_of(const struct traj_session *s, enum kind kind, struct traj_span span)
{
    struct range range = {0, 0};
    if (kind == BINS) {
        range.from = count_until(s->t_end, s->bins, span.from + TIME_GRACE);
        range.to = count_until(s->t_end, s->bins, span.to + TIME_GRACE);
    } else if (kind == SAMPLES) {
        range.from = count_before(s->kin_t, s->samples, span.from - TIME_GRACE);
        range.to = count_until(s->kin_t, s->samples, span.to + TIME_GRACE);
    } else {
        range.from = count_before(s->start, s->trials, span.from - TIME_GRACE);
        range.to = count_before(s->start, s->trials, span.to + TIME_GRACE);
    }
    if (range.to < range.from)
        range.to = range.from;
    return range;
}

static bool trial_inside(const struct traj_session *s, size_t trial, struct traj_span span)
{
    return s->stop[trial] <= span.to + TIME_GRACE;
}

/* The rows to keep of one kind, ascending and each once; *kept says how many.  NULL when memory is
 * short. */
static size_t *rows_kept(const struct traj_session *s, enum kind kind,
                         const struct traj_span *spans, size_t count, size_t *kept)
{
    size_t total = kind == BINS ? s->bins : kind == SAMPLES ? s->samples : s->trials;
    size_t *row = malloc((total + 1) * sizeof *row);
    size_t next = 0, n = 0;
    for (size_t k = 0; row != NULL && k < count; k++) {
        struct range range = range_of(s, kind, spans[k]);
        for (size_t i = range.from > next ? range.from : next; i < range.to; i++) {
            if (kind == TRIALS && !trial_inside(s, i, spans[k]))
                continue;
            row[n++] = i;
            next = i + 1;
        }
    }
    *kept = n;
    return row;
}

static void copy_rows(void *to, const void *from, const size_t *row, size_t rows, size_t size)
{
    if (to == NULL || from == NULL)
        return;
    for (size_t i = 0; i < rows; i++)
        memcpy((char *)to + i * size, (const char *)from + row[i] * size, size);
}

static int cut_frames(struct traj_session *out, const struct traj_session *s, const size_t *row,
                      size_t rows, struct traj_error *error)
{
    unsigned parts = s->unit_name != NULL ? TRAJ_SESSION_UNIT_NAME : 0u;
    if (traj_session_make_frames(out, rows, s->units, s->features, parts, error) != 0)
        return -1;
    copy_rows(out->t_end, s->t_end, row, rows, sizeof *s->t_end);
    copy_rows(out->dt, s->dt, row, rows, sizeof *s->dt);
    copy_rows(out->counts, s->counts, row, rows, s->units * sizeof *s->counts);
    copy_rows(out->feature, s->feature, row, rows, s->features * sizeof *s->feature);
    if (s->unit_name != NULL && s->units > 0)
        memcpy(out->unit_name, s->unit_name, s->units * sizeof *s->unit_name);
    return 0;
}

static int cut_kinematics(struct traj_session *out, const struct traj_session *s, const size_t *row,
                          size_t rows, struct traj_error *error)
{
    unsigned parts = s->velocity != NULL ? TRAJ_SESSION_VELOCITY : 0u;
    if (traj_session_make_kinematics(out, rows, s->dim, parts, error) != 0)
        return -1;
    copy_rows(out->kin_t, s->kin_t, row, rows, sizeof *s->kin_t);
    copy_rows(out->position, s->position, row, rows, s->dim * sizeof *s->position);
    copy_rows(out->velocity, s->velocity, row, rows, s->dim * sizeof *s->velocity);
    return 0;
}

static int cut_trials(struct traj_session *out, const struct traj_session *s, const size_t *row,
                      size_t rows, struct traj_error *error)
{
    unsigned parts = (s->go != NULL ? TRAJ_SESSION_GO : 0u) |
                     (s->move != NULL ? TRAJ_SESSION_MOVE : 0u) |
                     (s->rewarded != NULL ? TRAJ_SESSION_REWARDED : 0u) |
                     (s->target != NULL ? TRAJ_SESSION_TARGET : 0u);
    if (traj_session_make_trials(out, rows, parts, error) != 0)
        return -1;
    copy_rows(out->start, s->start, row, rows, sizeof *s->start);
    copy_rows(out->stop, s->stop, row, rows, sizeof *s->stop);
    copy_rows(out->go, s->go, row, rows, sizeof *s->go);
    copy_rows(out->move, s->move, row, rows, sizeof *s->move);
    copy_rows(out->rewarded, s->rewarded, row, rows, sizeof *s->rewarded);
    copy_rows(out->target, s->target, row, rows, sizeof *s->target);
    return 0;
}

static int cut_targets(struct traj_session *out, const struct traj_session *s,
                       struct traj_error *error)
{
    if (traj_session_make_targets(out, s->targets, s->target_dim, error) != 0)
        return -1;
    memcpy(out->target_position, s->target_position,
           s->targets * s->target_dim * sizeof *s->target_position);
    memcpy(out->target_id, s->target_id, s->targets * sizeof *s->target_id);
    return 0;
}

static int cut_part(struct traj_session *out, const struct traj_session *s, enum kind kind,
                    const struct traj_span *spans, size_t count, struct traj_error *error)
{
    static int (*const cut[KINDS])(struct traj_session *, const struct traj_session *,
                                   const size_t *, size_t,
                                   struct traj_error *) = {cut_frames, cut_kinematics, cut_trials};
    size_t rows = 0;
    size_t *row = rows_kept(s, kind, spans, count, &rows);
    if (row == NULL)
        return traj_error_set(error, "%s: no memory to cut the session", s->path);
    int status = cut[kind](out, s, row, rows, error);
    free(row);
    return status;
}

struct traj_session *traj_session_cut(const struct traj_session *session,
                                      const struct traj_span *spans, size_t count,
                                      struct traj_error *error)
{
    for (size_t k = 0; k < count; k++)
        if (!(spans[k].from <= spans[k].to) || (k > 0 && !(spans[k].from >= spans[k - 1].to))) {
            traj_error_set(error, "%s: span %zu (%.9g to %.9g s) does not follow the one before it",
                           session->path, k, spans[k].from, spans[k].to);
            return NULL;
        }
    struct traj_session *out = traj_session_new(session->path);
    if (out == NULL) {
        traj_error_set(error, "%s: no memory to cut the session", session->path);
        return NULL;
    }
    memcpy(out->subject, session->subject, sizeof out->subject);
    memcpy(out->description, session->description, sizeof out->description);
    memcpy(out->length_unit, session->length_unit, sizeof out->length_unit);
    int status = 0;
    if (session->bins > 0)
        status = cut_part(out, session, BINS, spans, count, error);
    if (status == 0 && session->samples > 0)
        status = cut_part(out, session, SAMPLES, spans, count, error);
    if (status == 0 && session->trials > 0)
        status = cut_part(out, session, TRIALS, spans, count, error);
    if (status == 0 && session->targets > 0)
        status = cut_targets(out, session, error);
    if (status != 0) {
        traj_session_free(out);
        return NULL;
    }
    return out;
}
