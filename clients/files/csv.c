/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Tables of comma-separated values -> struct traj_session. */
#include "clients/files/csv.h"

#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clients/files/csv_table.h"

#define NONE ((size_t)-1)

static double cell(const struct traj_csv_table *t, size_t row, size_t column)
{
    return t->value[row * t->columns + column];
}

/* ---- columns ----------------------------------------------------------------------------- */

static int need_column(const struct traj_csv_table *t, const char *name, size_t *column,
                       struct traj_error *error)
{
    *column = traj_csv_table_find(t, name);
    if (*column != NONE)
        return 0;
    return traj_error_set(error, "%s: line 1: the column %s is missing", t->path, name);
}

/* A column of times without which the row means nothing, each later than the one before. */
static int read_times(const struct traj_csv_table *t, size_t column, double *time,
                      struct traj_error *error)
{
    for (size_t i = 0; i < t->rows; i++) {
        time[i] = cell(t, i, column);
        if (isnan(time[i]))
            return traj_csv_refuse(t, i, column, "is empty", error);
        if (i > 0 && !(time[i] > time[i - 1]))
            return traj_csv_refuse(t, i, column, "is not later than the line before", error);
    }
    return 0;
}

/*
 * Axes of positions (prefix "") or velocities (prefix "v"): x, y, z or p1, p2, ..; their number, 0
 * = none.
 */
static size_t find_axes(const struct traj_csv_table *t, bool velocity, size_t axis[TRAJ_DIM_MAX])
{
    static const char *const letters[2][3] = {{"x", "y", "z"}, {"vx", "vy", "vz"}};
    size_t found = 0;
    while (found < 3 && (axis[found] = traj_csv_table_find(t, letters[velocity][found])) != NONE)
        found++;
    if (found > 0)
        return found;
    while (found < TRAJ_DIM_MAX) {
        char name[8];
        (void)snprintf(name, sizeof name, "%c%zu", velocity ? 'v' : 'p', found + 1);
        axis[found] = traj_csv_table_find(t, name);
        if (axis[found] == NONE)
            break;
        found++;
    }
    return found;
}

/* Refuses a column that nobody asked for: a misspelt name must not pass in silence. */
static int check_known(const struct traj_csv_table *t, const size_t *known, size_t count,
                       const char *expected, struct traj_error *error)
{
    for (size_t c = 0; c < t->columns; c++) {
        bool found = false;
        for (size_t k = 0; k < count; k++)
            found = found || known[k] == c;
        if (!found)
            return traj_error_set(error, "%s: line 1: the column %s is none of %s", t->path,
                                  t->name[c], expected);
    }
    return 0;
}

/* ---- frames and features ----------------------------------------------------------------- */

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* The median difference of t_end, for tables without dt. */
static int median_width(const struct traj_csv_table *t, const double *t_end, double *width,
                        struct traj_error *error)
{
    if (t->rows < 2)
        return traj_error_set(error, "%s: line 1: a single bin needs the column dt", t->path);
    double *step = malloc((t->rows - 1) * sizeof *step);
    if (step == NULL)
        return traj_error_set(error, "%s: no memory for %zu lines", t->path, t->rows);
    for (size_t i = 1; i < t->rows; i++)
        step[i - 1] = t_end[i] - t_end[i - 1];
    qsort(step, t->rows - 1, sizeof *step, by_value);
    *width = step[(t->rows - 1) / 2];
    free(step);
    return 0;
}

static int read_widths(const struct traj_csv_table *t, size_t column, const double *t_end,
                       double *dt, struct traj_error *error)
{
    double width = 0.0;
    if (column == NONE && median_width(t, t_end, &width, error) != 0)
        return -1;
    for (size_t i = 0; i < t->rows; i++) {
        dt[i] = column == NONE ? width : cell(t, i, column);
        if (isnan(dt[i]))
            return traj_csv_refuse(t, i, column, "is empty", error);
        if (!(dt[i] > 0.0))
            return traj_csv_refuse(t, i, column, "is not a positive width", error);
    }
    return 0;
}

static int read_counts(const struct traj_csv_table *t, size_t row, size_t column, uint16_t *count,
                       struct traj_error *error)
{
    double value = cell(t, row, column);
    *count = TRAJ_COUNT_MISSING;
    if (isnan(value))
        return 0;
    if (!(value >= 0.0 && value < TRAJ_COUNT_MISSING) || floor(value) < value)
        return traj_csv_refuse(t, row, column, "is not a count: a whole number from 0 to 65534",
                               error);
    *count = (uint16_t)value;
    return 0;
}

static int read_feature(const struct traj_csv_table *t, size_t row, size_t column, float *feature,
                        struct traj_error *error)
{
    *feature = (float)cell(t, row, column);
    if (isinf(*feature))
        return traj_csv_refuse(t, row, column, "is too large for 32-bit floating point", error);
    return 0;
}

/* What a table of frames or of features holds beside t_end and dt. */
struct channels {
    struct traj_csv_table table;
    size_t t_end, dt; /* columns; dt NONE where missing */
    size_t count;     /* of units or features */
};

static int read_channels(struct channels *c, const char *path, struct traj_error *error)
{
    if (path == NULL)
        return 0;
    if (traj_csv_table_read(&c->table, path, NULL, error) != 0 ||
        need_column(&c->table, "t_end", &c->t_end, error) != 0)
        return -1;
    c->dt = traj_csv_table_find(&c->table, "dt");
    c->count = c->table.columns - (c->dt == NONE ? 1 : 2);
    if (c->count > 0)
        return 0;
    return traj_error_set(error, "%s: line 1: there is no column beside t_end and dt", path);
}

static int same_bins(const struct channels *a, const struct channels *b, struct traj_error *error)
{
    const struct traj_csv_table *s = &a->table, *t = &b->table;
    if (s->rows != t->rows)
        return traj_error_set(error, "%s: has %zu bins but %s has %zu", t->path, t->rows, s->path,
                              s->rows);
    for (size_t i = 0; i < t->rows; i++)
        if (!(fabs(cell(s, i, a->t_end) - cell(t, i, b->t_end)) <= 1e-6))
            return traj_csv_refuse(t, i, b->t_end, "is not the same as in the table of frames",
                                   error);
    return 0;
}

static int store_channels(struct traj_session *session, const struct channels *c, bool counts,
                          struct traj_error *error)
{
    const struct traj_csv_table *t = &c->table;
    size_t n = 0;
    for (size_t column = 0; column < t->columns; column++) {
        if (column == c->t_end || column == c->dt)
            continue;
        if (counts)
            memcpy(session->unit_name[n], t->name[column], TRAJ_ID_SIZE);
        for (size_t i = 0; i < t->rows; i++)
            if (counts
                    ? read_counts(t, i, column, session->counts + i * c->count + n, error) != 0
                    : read_feature(t, i, column, session->feature + i * c->count + n, error) != 0)
                return -1;
        n++;
    }
    return 0;
}

static int join_channels(struct traj_session *session, const struct channels *units,
                         const struct channels *features, struct traj_error *error)
{
    const struct channels *first = units->count > 0 ? units : features;
    if (first->count == 0)
        return 0;
    if (units->count > 0 && features->count > 0 && same_bins(units, features, error) != 0)
        return -1;
    unsigned parts = units->count > 0 ? TRAJ_SESSION_UNIT_NAME : 0u;
    if (traj_session_make_frames(session, first->table.rows, units->count, features->count, parts,
                                 error) != 0 ||
        read_times(&first->table, first->t_end, session->t_end, error) != 0 ||
        read_widths(&first->table, first->dt, session->t_end, session->dt, error) != 0)
        return -1;
    if (units->count > 0 && store_channels(session, units, true, error) != 0)
        return -1;
    return features->count > 0 ? store_channels(session, features, false, error) : 0;
}

static int convert_frames(struct traj_session *session, const struct traj_csv_options *options,
                          struct traj_error *error)
{
    struct channels units = {{0}, NONE, NONE, 0}, features = {{0}, NONE, NONE, 0};
    int status = read_channels(&units, options->frames, error);
    if (status == 0)
        status = read_channels(&features, options->features, error);
    if (status == 0)
        status = join_channels(session, &units, &features, error);
    traj_csv_table_free(&units.table);
    traj_csv_table_free(&features.table);
    return status;
}

/* ---- kinematics -------------------------------------------------------------------------- */

struct path_columns {
    size_t t, dim, position[TRAJ_DIM_MAX], velocity[TRAJ_DIM_MAX];
    bool has_velocity;
};

static int find_path_columns(const struct traj_csv_table *t, struct path_columns *c,
                             struct traj_error *error)
{
    if (need_column(t, "t", &c->t, error) != 0)
        return -1;
    c->dim = find_axes(t, false, c->position);
    size_t rates = find_axes(t, true, c->velocity);
    if (c->dim == 0)
        return traj_error_set(error, "%s: line 1: the column x (or p1) is missing", t->path);
    if (rates != 0 && rates != c->dim)
        return traj_error_set(error, "%s: line 1: %zu axes of position but %zu of velocity",
                              t->path, c->dim, rates);
    c->has_velocity = rates > 0;
    size_t known[2 * TRAJ_DIM_MAX + 1] = {c->t};
    memcpy(known + 1, c->position, c->dim * sizeof *known);
    memcpy(known + 1 + c->dim, c->velocity, rates * sizeof *known);
    return check_known(t, known, 1 + c->dim + rates, "t, x, y, z, vx, vy, vz, p1 .. and v1 ..",
                       error);
}

/* A line on which nothing but the time stands is a sample that was lost. */
static bool is_lost(const struct traj_csv_table *t, const struct path_columns *c, size_t row)
{
    for (size_t d = 0; d < c->dim; d++)
        if (!isnan(cell(t, row, c->position[d])) ||
            (c->has_velocity && !isnan(cell(t, row, c->velocity[d]))))
            return false;
    return true;
}

static int copy_sample(struct traj_session *session, const struct traj_csv_table *t,
                       const struct path_columns *c, size_t row, struct traj_error *error)
{
    size_t at = session->samples;
    session->kin_t[at] = cell(t, row, c->t);
    for (size_t d = 0; d < c->dim; d++) {
        session->position[at * c->dim + d] = cell(t, row, c->position[d]);
        if (isnan(session->position[at * c->dim + d]))
            return traj_csv_refuse(t, row, c->position[d], "is empty", error);
        if (!c->has_velocity)
            continue;
        session->velocity[at * c->dim + d] = cell(t, row, c->velocity[d]);
        if (isnan(session->velocity[at * c->dim + d]))
            return traj_csv_refuse(t, row, c->velocity[d], "is empty", error);
    }
    session->samples++;
    return 0;
}

static int store_kinematics(struct traj_session *session, const struct traj_csv_table *t,
                            struct traj_error *error)
{
    struct path_columns c = {.t = NONE};
    if (find_path_columns(t, &c, error) != 0 ||
        traj_session_make_kinematics(session, t->rows, c.dim,
                                     c.has_velocity ? TRAJ_SESSION_VELOCITY : 0u, error) != 0 ||
        read_times(t, c.t, session->kin_t, error) != 0)
        return -1;
    session->samples = 0;
    for (size_t i = 0; i < t->rows; i++)
        if (!is_lost(t, &c, i) && copy_sample(session, t, &c, i, error) != 0)
            return -1;
    return session->samples > 0 ? 0 : traj_error_set(error, "%s: holds no position", t->path);
}

static int convert_kinematics(struct traj_session *session, const char *path,
                              struct traj_error *error)
{
    struct traj_csv_table t = {0};
    if (path == NULL)
        return 0;
    int status = traj_csv_table_read(&t, path, NULL, error);
    if (status == 0)
        status = store_kinematics(session, &t, error);
    traj_csv_table_free(&t);
    return status;
}

/* ---- targets and trials ------------------------------------------------------------------ */

static int store_targets(struct traj_session *session, const struct traj_csv_table *t,
                         struct traj_error *error)
{
    size_t known[TRAJ_DIM_MAX + 1];
    size_t dim = find_axes(t, false, known);
    if (dim == 0)
        return traj_error_set(error, "%s: line 1: the column x (or p1) is missing", t->path);
    if (session->samples > 0 && dim != session->dim)
        return traj_error_set(error, "%s: line 1: %zu axes of position but %zu in the kinematics",
                              t->path, dim, session->dim);
    known[dim] = t->text_column;
    if (check_known(t, known, dim + 1, "id, x, y, z and p1 ..", error) != 0 ||
        traj_session_make_targets(session, t->rows, dim, error) != 0)
        return -1;
    for (size_t m = 0; m < t->rows; m++) {
        for (size_t d = 0; d < dim; d++) {
            session->target_position[m * dim + d] = cell(t, m, known[d]);
            if (isnan(cell(t, m, known[d])))
                return traj_csv_refuse(t, m, known[d], "is empty", error);
        }
        if (t->text == NULL)
            continue;
        memcpy(session->target_id[m], t->text[m], TRAJ_ID_SIZE);
        if (t->text[m][0] == '\0')
            return traj_csv_refuse(t, m, t->text_column, "is empty", error);
    }
    return 0;
}

static int convert_targets(struct traj_session *session, const char *path, struct traj_error *error)
{
    struct traj_csv_table t = {0};
    if (path == NULL)
        return 0;
    int status = traj_csv_table_read(&t, path, "id", error);
    if (status == 0)
        status = store_targets(session, &t, error);
    traj_csv_table_free(&t);
    return status;
}

static int name_target(struct traj_session *session, const struct traj_csv_table *t, size_t row,
                       struct traj_error *error)
{
    const char *id = t->text[row];
    if (id[0] == '\0')
        return 0; /* not known */
    for (size_t m = 0; m < session->targets; m++)
        if (strcmp(session->target_id[m], id) == 0) {
            session->target[row] = (int32_t)m;
            return 0;
        }
    return traj_error_set(error, "%s: line %zu, column target: there is no target \"%s\"", t->path,
                          t->line[row], id);
}

/* The optional labels of a trial, each with the array that takes it. */
enum label { GO, MOVE, REWARDED, LABELS };

static int store_trials(struct traj_session *session, const struct traj_csv_table *t,
                        struct traj_error *error)
{
    static const char *const name[LABELS] = {"go", "move", "rewarded"};
    static const unsigned part[LABELS] = {TRAJ_SESSION_GO, TRAJ_SESSION_MOVE,
                                          TRAJ_SESSION_REWARDED};
    size_t known[LABELS + 3], start = NONE, stop = NONE;
    unsigned parts = t->text_column != NONE ? TRAJ_SESSION_TARGET : 0u;
    for (int k = 0; k < LABELS; k++) {
        known[k] = traj_csv_table_find(t, name[k]);
        parts |= known[k] != NONE ? part[k] : 0u;
    }
    if (need_column(t, "start", &start, error) != 0 || need_column(t, "stop", &stop, error) != 0)
        return -1;
    known[LABELS] = start;
    known[LABELS + 1] = stop;
    known[LABELS + 2] = t->text_column;
    if (check_known(t, known, LABELS + 3, "start, stop, target, go, move and rewarded", error) !=
            0 ||
        traj_session_make_trials(session, t->rows, parts, error) != 0 ||
        read_times(t, start, session->start, error) != 0)
        return -1;
    double *label[LABELS] = {session->go, session->move, session->rewarded};
    for (size_t r = 0; r < t->rows; r++) {
        session->stop[r] = cell(t, r, stop);
        if (isnan(session->stop[r]))
            return traj_csv_refuse(t, r, stop, "is empty", error);
        if (!(session->stop[r] > session->start[r]))
            return traj_csv_refuse(t, r, stop, "is not later than the trial's start", error);
        for (int k = 0; k < LABELS; k++)
            if (label[k] != NULL)
                label[k][r] = cell(t, r, known[k]);
        if (session->target != NULL && name_target(session, t, r, error) != 0)
            return -1;
    }
    return 0;
}

static int convert_trials(struct traj_session *session, const char *path, struct traj_error *error)
{
    struct traj_csv_table t = {0};
    if (path == NULL)
        return 0;
    int status = traj_csv_table_read(&t, path, "target", error);
    if (status == 0)
        status = store_trials(session, &t, error);
    traj_csv_table_free(&t);
    return status;
}

/* ---- the whole --------------------------------------------------------------------------- */

static int copy_text(const char *what, const char *from, char *to, size_t size,
                     struct traj_error *error)
{
    if (from == NULL)
        return 0;
    if (strlen(from) >= size)
        return traj_error_set(error, "the %s has %zu bytes, at most %zu are possible", what,
                              strlen(from), size - 1);
    memcpy(to, from, strlen(from) + 1);
    return 0;
}

static int convert_all(struct traj_session *session, const struct traj_csv_options *o,
                       struct traj_error *error)
{
    const char *places = o->kinematics != NULL ? o->kinematics : o->targets;
    if (places != NULL && (o->length_unit == NULL || o->length_unit[0] == '\0'))
        return traj_error_set(error, "%s: the unit of its positions must be given (--length-unit)",
                              places);
    if (copy_text("length unit", o->length_unit, session->length_unit, sizeof session->length_unit,
                  error) != 0 ||
        copy_text("subject", o->subject, session->subject, sizeof session->subject, error) != 0 ||
        copy_text("description", o->description, session->description, sizeof session->description,
                  error) != 0 ||
        convert_frames(session, o, error) != 0 ||
        convert_kinematics(session, o->kinematics, error) != 0 ||
        convert_targets(session, o->targets, error) != 0 ||
        convert_trials(session, o->trials, error) != 0)
        return -1;
    return traj_session_check(session, error);
}

struct traj_session *traj_csv_convert(const struct traj_csv_options *options,
                                      struct traj_error *error)
{
    const char *first = options->frames != NULL     ? options->frames
                        : options->features != NULL ? options->features
                                                    : options->kinematics;
    if (first == NULL) {
        traj_error_set(error, "a table of frames, features or kinematics is needed");
        return NULL;
    }
    struct traj_session *session = traj_session_new(first);
    if (session == NULL) {
        traj_error_set(error, "%s: no memory", first);
        return NULL;
    }
    if (convert_all(session, options, error) != 0) {
        traj_session_free(session);
        return NULL;
    }
    return session;
}
