/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The table of trials of an NWB file -> /trials and /targets of a session. */
#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clients/files/nwb_parts.h"

#define DEFAULT_TRIALS "/intervals/trials"
#define TARGETS "/processing/behavior/targets" /* as traj_nwb_write leaves them */

/* ---- columns ----------------------------------------------------------------------------- */

struct table {
    const char *path; /* of the group */
    size_t rows;
    size_t *row; /* [kept] rows that are trials */
    size_t kept;
};

/* A column of numbers, one a row; *value [rows] is the caller's.  1, 0 where it is absent, -1. */
static int read_numbers(const struct traj_nwb_file *file, const struct table *table,
                        const char *name, bool required, double **value)
{
    struct traj_h5_dataset column;
    char place[TRAJ_H5_PATH];
    *value = NULL;
    int status = traj_nwb_column(file, table->path, name, required, place, &column);
    if (status == 1 && (column.rows != table->rows || column.columns != 1))
        status = traj_error_set(file->input.error,
                                "%s: %s has %zu x %zu values where one for each of %zu trials is "
                                "expected",
                                file->input.path, place, column.rows, column.columns, table->rows);
    if (status == 1) {
        *value = calloc(table->rows + 1, sizeof **value);
        if (*value == NULL)
            status = traj_error_set(file->input.error, "%s: no memory", file->input.path);
        else if (traj_h5_read_doubles(&file->input, &column, *value) != 0)
            status = -1;
    }
    traj_h5_dataset_close(&column);
    if (status != 1) {
        free(*value);
        *value = NULL;
    }
    return status;
}

/* The first of the names that is a column of the table, or NULL; -1 with a sentence. */
static int first_column(const struct traj_nwb_file *file, const struct table *table,
                        const char *const *names, size_t count, const char **found)
{
    struct traj_h5_dataset column;
    char place[TRAJ_H5_PATH];
    struct traj_error unsaid = {{0}};
    struct traj_nwb_file probe = *file;
    probe.input.error = &unsaid;
    *found = NULL;
    for (size_t i = 0; i < count && *found == NULL; i++) {
        int there = traj_nwb_column(&probe, table->path, names[i], false, place, &column);
        traj_h5_dataset_close(&column);
        if (there > 0)
            *found = names[i];
    }
    return *found != NULL;
}

static bool is_none(const char *option)
{
    return option != NULL && strcmp(option, "none") == 0;
}

/* ---- labels ------------------------------------------------------------------------------ */

/* "R", "success", "true", "1" and the like. */
static double is_success(const char *text)
{
    static const char *const yes[] = {"r",       "rewarded", "reward", "success", "successful",
                                      "correct", "hit",      "true",   "yes",     "1"};
    char lower[TRAJ_ID_SIZE];
    size_t i = 0;
    for (; text[i] != '\0' && i + 1 < sizeof lower; i++)
        lower[i] = (char)tolower((unsigned char)text[i]);
    lower[i] = '\0';
    if (i == 0)
        return NAN;
    for (size_t k = 0; k < sizeof yes / sizeof yes[0]; k++)
        if (strcmp(lower, yes[k]) == 0)
            return 1.0;
    return 0.0;
}

/* A column of texts, one a row; *text [rows] is the caller's.  1, 0 where it holds none, -1. */
static int read_texts(const struct traj_nwb_file *file, const struct table *table, const char *name,
                      char (**text)[TRAJ_ID_SIZE])
{
    struct traj_h5_dataset column;
    char place[TRAJ_H5_PATH];
    *text = NULL;
    int status = traj_nwb_column(file, table->path, name, true, place, &column);
    if (status == 1 && (column.kind != H5T_STRING || column.rank != 1))
        status = 0;
    if (status == 1 && column.rows != table->rows)
        status = traj_error_set(file->input.error, "%s: %s has %zu rows where %zu are expected",
                                file->input.path, place, column.rows, table->rows);
    if (status == 1) {
        *text = calloc(table->rows + 1, sizeof **text);
        if (*text == NULL)
            status = traj_error_set(file->input.error, "%s: no memory", file->input.path);
        else if (traj_h5_read_names(&file->input, &column, *text) != 0)
            status = -1;
    }
    traj_h5_dataset_close(&column);
    return status;
}

static int read_label(const struct traj_nwb_file *file, const struct table *table, const char *name,
                      bool success, double *label)
{
    char(*text)[TRAJ_ID_SIZE] = NULL;
    double *value = NULL;
    int status = success ? read_texts(file, table, name, &text) : 0;
    for (size_t i = 0; status == 1 && i < table->kept; i++)
        label[i] = is_success(text[table->row[i]]);
    if (status == 0) {
        status = read_numbers(file, table, name, true, &value);
        for (size_t i = 0; status == 1 && i < table->kept; i++)
            label[i] = value[table->row[i]];
    }
    free(text);
    free(value);
    return status == 1 ? 0 : -1;
}

/* The columns of go cue, movement onset and reward, as files call them. */
static const char *const go_names[] = {"go", "go_cue_time", "go_cue", "go_time", "go_cue_on_time"};
static const char *const move_names[] = {"move", "move_onset_time", "movement_onset_time",
                                         "move_onset", "movement_onset"};
static const char *const reward_names[] = {"rewarded", "success", "is_successful", "correct",
                                           "result"};

enum label { GO, MOVE, REWARDED, LABELS };

static int find_labels(const struct traj_nwb_file *file, const struct table *table,
                       const char *name[LABELS])
{
    const struct {
        const char *option;
        const char *const *names;
        size_t count;
    } label[LABELS] = {
        {file->options->go, go_names, sizeof go_names / sizeof go_names[0]},
        {file->options->move, move_names, sizeof move_names / sizeof move_names[0]},
        {file->options->rewarded, reward_names, sizeof reward_names / sizeof reward_names[0]}};
    for (int k = 0; k < LABELS; k++) {
        name[k] = label[k].option;
        if (name[k] == NULL)
            first_column(file, table, label[k].names, label[k].count, &name[k]);
        else if (is_none(name[k]))
            name[k] = NULL;
    }
    return 0;
}

/* ---- where targets are ------------------------------------------------------------------- */

struct places {
    size_t dim;               /* 0 = there are none */
    double *position;         /* [kept][dim], NaN = not known */
    char (*id)[TRAJ_ID_SIZE]; /* [kept], "" = not known; NULL = ids are made up */
};

/* The row of a ragged column that is the trial's target: the only one, or the active one. */
static int ragged_row(const struct traj_nwb_file *file, const char *place, const size_t *end,
                      const double *active, size_t trial, size_t *row)
{
    size_t from = trial > 0 ? end[trial - 1] : 0, count = end[trial] - from;
    *row = (size_t)-1;
    if (count == 0)
        return 0;
    if (count == 1) {
        *row = from;
        return 0;
    }
    if (active == NULL)
        return traj_error_set(file->input.error,
                              "%s: %s holds %zu targets for trial %zu, and there is no column "
                              "active_target that says which",
                              file->input.path, place, count, trial);
    if (isnan(active[trial]))
        return 0;
    if (!(active[trial] >= 0.0 && active[trial] < (double)count))
        return traj_error_set(file->input.error,
                              "%s: active_target[%zu] = %g, where 0 to %zu is expected",
                              file->input.path, trial, active[trial], count - 1);
    *row = from + (size_t)active[trial];
    return 0;
}

/* Positions are in the numbers in which the position series stores them. */
static int copy_places(const struct traj_nwb_file *file, const struct table *table,
                       const struct traj_h5_dataset *column, const size_t *end,
                       const double *active, struct places *p)
{
    double *value = calloc(column->rows + 1, column->columns * sizeof *value);
    p->position = calloc(table->kept + 1, column->columns * sizeof *p->position);
    if (value == NULL || p->position == NULL) {
        free(value);
        return traj_error_set(file->input.error, "%s: no memory", file->input.path);
    }
    p->dim = column->columns;
    int status = traj_h5_read_doubles(&file->input, column, value);
    for (size_t i = 0; status == 0 && i < table->kept; i++) {
        size_t row = table->row[i];
        if (end != NULL)
            status = ragged_row(file, column->name, end, active, table->row[i], &row);
        for (size_t d = 0; status == 0 && d < p->dim; d++)
            p->position[i * p->dim + d] =
                row == (size_t)-1 ? NAN
                                  : (file->scale == 1.0 ? value[row * p->dim + d]
                                                        : value[row * p->dim + d] * file->scale);
    }
    free(value);
    return status;
}

/* 1, 0 = the column holds no positions, -1. */
static int read_places(const struct traj_nwb_file *file, const struct table *table,
                       const char *name, struct places *p)
{
    struct traj_h5_dataset column;
    char place[TRAJ_H5_PATH];
    size_t *end = NULL;
    double *active = NULL;
    int status = traj_nwb_column(file, table->path, name, true, place, &column);
    if (status == 1 && column.rank != 2)
        status = 0;
    int ragged =
        status == 1 ? traj_nwb_index(file, table->path, name, table->rows, column.rows, &end) : 0;
    if (ragged > 0 && read_numbers(file, table, "active_target", false, &active) < 0)
        ragged = -1;
    if (ragged < 0)
        status = -1;
    if (status == 1 && ragged == 0 && column.rows != table->rows)
        status = traj_error_set(file->input.error, "%s: %s has %zu rows where %zu are expected",
                                file->input.path, place, column.rows, table->rows);
    if (status == 1 && (column.columns < 1 || column.columns > TRAJ_DIM_MAX))
        status = traj_error_set(file->input.error, "%s: %s has %zu columns, 1 to %d are possible",
                                file->input.path, place, column.columns, TRAJ_DIM_MAX);
    if (status == 1)
        status = copy_places(file, table, &column, end, active, p) == 0 ? 1 : -1;
    traj_h5_dataset_close(&column);
    free(end);
    free(active);
    return status;
}

/* ---- ids --------------------------------------------------------------------------------- */

/* A column of texts or numbers as ids: 1, 0 where it holds something else, -1. */
static int read_ids(const struct traj_nwb_file *file, const struct table *table, const char *name,
                    char (**id)[TRAJ_ID_SIZE])
{
    char(*text)[TRAJ_ID_SIZE] = NULL;
    double *value = NULL;
    int status = read_texts(file, table, name, &text);
    int numbers = status == 0 ? read_numbers(file, table, name, true, &value) : 0;
    if (status < 0 || numbers < 0) {
        free(text);
        return -1;
    }
    *id = calloc(table->kept + 1, sizeof **id);
    for (size_t i = 0; *id != NULL && i < table->kept; i++) {
        size_t row = table->row[i];
        if (text != NULL)
            memcpy((*id)[i], text[row], TRAJ_ID_SIZE);
        else if (value != NULL && !isnan(value[row]))
            (void)snprintf((*id)[i], TRAJ_ID_SIZE, "%.15g", value[row]);
    }
    free(text);
    free(value);
    return *id != NULL ? 1 : traj_error_set(file->input.error, "%s: no memory", file->input.path);
}

/* ---- targets ----------------------------------------------------------------------------- */

static bool same_place(const double *a, const double *b, size_t dim)
{
    for (size_t d = 0; d < dim; d++)
        if (!(fabs(a[d] - b[d]) <= 1e-9 + 1e-6 * fabs(b[d])))
            return false;
    return true;
}

/* The target that a trial's id or place belongs to, or `count`. */
static size_t find_target(const struct places *p, size_t trial, const size_t *first, size_t count)
{
    for (size_t m = 0; m < count; m++)
        if (p->id != NULL
                ? strcmp(p->id[trial], p->id[first[m]]) == 0
                : same_place(p->position + trial * p->dim, p->position + first[m] * p->dim, p->dim))
            return m;
    return count;
}

static bool is_known(const struct places *p, size_t trial)
{
    for (size_t d = 0; d < p->dim; d++)
        if (!isfinite(p->position[trial * p->dim + d]))
            return false;
    return p->id == NULL || p->id[trial][0] != '\0';
}

/* Gives each trial its target, and says in which trial each target comes first.  The number of
 * targets; more than there may be = too many. */
static size_t sort_targets(const struct places *p, size_t trials, int32_t *target,
                           size_t first[TRAJ_TARGETS_MAX + 1])
{
    size_t count = 0;
    for (size_t i = 0; i < trials && count <= TRAJ_TARGETS_MAX; i++) {
        target[i] = -1;
        if (!is_known(p, i))
            continue;
        size_t m = find_target(p, i, first, count);
        if (m == count)
            first[count++] = i;
        target[i] = (int32_t)m;
    }
    return count;
}

static int check_place(const struct traj_nwb_file *file, const struct table *table,
                       const struct places *p, const int32_t *target, const size_t *first)
{
    for (size_t i = 0; p->id != NULL && i < table->kept; i++)
        if (target[i] >= 0 &&
            !same_place(p->position + i * p->dim, p->position + first[target[i]] * p->dim, p->dim))
            return traj_error_set(file->input.error,
                                  "%s: %s: target %s of trial %zu stands elsewhere than in trial "
                                  "%zu",
                                  file->input.path, table->path, p->id[i], table->row[i],
                                  table->row[first[target[i]]]);
    return 0;
}

/* Which columns of the places are the session's axes. */
static int place_axes(const struct traj_nwb_file *file, const struct traj_session *session,
                      const struct places *p, size_t axis[TRAJ_DIM_MAX], size_t *dim)
{
    *dim = session->samples > 0 ? session->dim : p->dim;
    for (size_t d = 0; d < *dim; d++)
        axis[d] = d;
    if (p->dim == *dim)
        return 0;
    /* Chosen axes are chosen of both. */
    const char *at = file->options->axes;
    for (size_t d = 0; at != NULL && d < *dim; d++) {
        char *end = NULL;
        axis[d] = strtoul(at, &end, 10);
        at = *end == ',' ? end + 1 : NULL;
        if (axis[d] >= p->dim)
            at = NULL;
        else if (d + 1 == *dim)
            return 0;
    }
    return traj_error_set(
        file->input.error,
        "%s: targets have %zu coordinates, the position %zu: choose by --axes, or "
        "leave targets out by --target none",
        file->input.path, p->dim, *dim);
}

static int store_targets(struct traj_nwb_file *file, const struct table *table,
                         struct traj_session *session, const struct places *p)
{
    size_t first[TRAJ_TARGETS_MAX + 1], axis[TRAJ_DIM_MAX], dim = 0;
    size_t count = sort_targets(p, table->kept, session->target, first);
    if (count > TRAJ_TARGETS_MAX || count == 0) {
        for (size_t i = 0; i < table->kept; i++)
            session->target[i] = -1;
        traj_nwb_tell(file, count == 0 ? "left out: targets, of which none is known"
                                       : "left out: targets, of which there are more than 256");
        return 0;
    }
    if (check_place(file, table, p, session->target, first) != 0 ||
        place_axes(file, session, p, axis, &dim) != 0 ||
        traj_session_make_targets(session, count, dim, file->input.error) != 0)
        return -1;
    for (size_t m = 0; m < count; m++) {
        for (size_t d = 0; d < dim; d++)
            session->target_position[m * dim + d] = p->position[first[m] * p->dim + axis[d]];
        if (p->id != NULL)
            memcpy(session->target_id[m], p->id[first[m]], TRAJ_ID_SIZE);
    }
    return 0;
}

/* ---- targets in a table of their own ----------------------------------------------------- */

/* Reads the table of targets: 1, 0 = there is none. */
static int read_target_table(const struct traj_nwb_file *file, struct traj_session *session)
{
    struct traj_h5_dataset position, id = {.id = -1, .type = -1};
    char place[TRAJ_H5_PATH], id_place[TRAJ_H5_PATH], unit[TRAJ_ID_SIZE] = "";
    int there = traj_h5_group(&file->input, TARGETS);
    if (there <= 0)
        return there;
    int status = traj_nwb_column(file, TARGETS, "position", true, place, &position);
    if (status == 1)
        status = traj_nwb_column(file, TARGETS, "target_id", true, id_place, &id);
    if (status == 1 && id.rows != position.rows)
        status = traj_error_set(file->input.error, "%s: %s has %zu rows but %s has %zu",
                                file->input.path, id_place, id.rows, place, position.rows);
    if (status == 1 && position.rows == 0)
        status = 0;
    if (status == 1 &&
        (traj_session_make_targets(session, position.rows, position.columns, file->input.error) !=
             0 ||
         traj_h5_read_doubles(&file->input, &position, session->target_position) != 0 ||
         traj_h5_read_names(&file->input, &id, session->target_id) != 0 ||
         traj_h5_read_text(&file->input, place, "unit", false, unit, sizeof unit) < 0))
        status = -1;
    if (status == 1 && session->length_unit[0] == '\0')
        memcpy(session->length_unit, unit, sizeof unit);
    double factor = traj_nwb_unit_factor(session, unit);
    for (size_t i = 0; status == 1 && factor != 1.0 && i < position.rows * position.columns; i++)
        session->target_position[i] *= factor;
    traj_h5_dataset_close(&position);
    traj_h5_dataset_close(&id);
    return status;
}

static int look_up_targets(const struct traj_nwb_file *file, const struct table *table,
                           struct traj_session *session, const char *name)
{
    char(*id)[TRAJ_ID_SIZE] = NULL;
    int status = read_ids(file, table, name, &id);
    for (size_t i = 0; status == 1 && i < table->kept; i++) {
        session->target[i] = -1;
        for (size_t m = 0; m < session->targets; m++)
            if (strcmp(session->target_id[m], id[i]) == 0)
                session->target[i] = (int32_t)m;
        if (session->target[i] < 0 && id[i][0] != '\0')
            status = traj_error_set(file->input.error,
                                    "%s: %s/%s[%zu]: there is no target \"%s\" in " TARGETS,
                                    file->input.path, table->path, name, table->row[i], id[i]);
    }
    free(id);
    return status < 0 ? -1 : 0;
}

/* ---- which of all that ------------------------------------------------------------------- */

struct target_columns {
    const char *id, *position; /* or NULL */
    bool table;                /* targets have a table of their own */
};

static const char *const id_names[] = {"target", "target_id", "target_index", "target_number"};
static const char *const place_names[] = {"target_position", "target_pos", "target_location",
                                          "target_loc",      "tgt_loc",    "tgt_pos"};

static int read_named_places(struct traj_nwb_file *file, const struct table *table,
                             const struct target_columns *c, struct places *p)
{
    int status = read_places(file, table, c->position, p);
    if (status == 0)
        return traj_error_set(file->input.error,
                              "%s: %s/%s does not hold one position for each trial",
                              file->input.path, table->path, c->position);
    if (status == 1 && c->id != NULL)
        status = read_ids(file, table, c->id, &p->id);
    return status == 1 ? 0 : -1;
}

static int read_targets(struct traj_nwb_file *file, const struct table *table,
                        struct traj_session *session, const struct target_columns *c)
{
    struct places p = {0};
    if (c->table && c->id != NULL) {
        traj_nwb_tell(file, "targets: %s/%s, rows of " TARGETS, table->path, c->id);
        return look_up_targets(file, table, session, c->id);
    }
    if (c->position == NULL)
        return 0;
    int status = read_named_places(file, table, c, &p);
    if (status == 0)
        traj_nwb_tell(file, "targets: %s/%s%s%s", table->path, c->position,
                      c->id != NULL ? ", called by " : "", c->id != NULL ? c->id : "");
    if (status == 0)
        status = store_targets(file, table, session, &p);
    free(p.position);
    free(p.id);
    return status;
}

/* Whether the column that --target names holds positions. */
static bool holds_places(const struct traj_nwb_file *file, const struct table *table,
                         const char *name)
{
    struct traj_h5_dataset column;
    struct traj_error unsaid = {{0}};
    struct traj_nwb_file probe = *file;
    char place[TRAJ_H5_PATH];
    probe.input.error = &unsaid;
    int there = traj_nwb_column(&probe, table->path, name, false, place, &column);
    bool places = there > 0 && column.rank == 2 && column.kind != H5T_STRING;
    traj_h5_dataset_close(&column);
    return places;
}

static int find_target_columns(const struct traj_nwb_file *file, const struct table *table,
                               struct target_columns *c)
{
    const struct traj_nwb_options *o = file->options;
    if (is_none(o->target))
        return 0;
    c->id = o->target;
    c->position = o->target_position;
    if (c->id != NULL && c->position == NULL && holds_places(file, table, c->id)) {
        c->position = c->id;
        c->id = NULL;
        return 0;
    }
    if (c->id == NULL)
        first_column(file, table, id_names, sizeof id_names / sizeof id_names[0], &c->id);
    if (c->position == NULL)
        first_column(file, table, place_names, sizeof place_names / sizeof place_names[0],
                     &c->position);
    if (o->target != NULL && c->position == NULL && !c->table)
        return traj_error_set(file->input.error,
                              "%s: %s/%s says which target, but no column says where: name one by "
                              "--target-position",
                              file->input.path, table->path, o->target);
    return 0;
}

/* ---- rows -------------------------------------------------------------------------------- */

static int keep_rows(struct traj_nwb_file *file, struct table *table, const double *start,
                     const double *stop)
{
    if (start == NULL || stop == NULL)
        return traj_error_set(file->input.error,
                              "%s: %s: columns start_time and stop_time of numbers are expected",
                              file->input.path, table->path);
    table->row = calloc(table->rows + 1, sizeof *table->row);
    if (table->row == NULL)
        return traj_error_set(file->input.error, "%s: no memory", file->input.path);
    for (size_t i = 0; i < table->rows; i++) {
        if (!(isfinite(start[i]) && isfinite(stop[i]) && stop[i] > start[i]))
            continue;
        if (table->kept > 0 && !(start[i] > start[table->row[table->kept - 1]]))
            return traj_error_set(file->input.error,
                                  "%s: %s/start_time[%zu] = %.9g is not later than the one before",
                                  file->input.path, table->path, i, start[i]);
        table->row[table->kept++] = i;
    }
    if (table->kept < table->rows)
        traj_nwb_tell(file, "left out: %zu rows of %s without a start before their stop",
                      table->rows - table->kept, table->path);
    return 0;
}

static int open_table(struct traj_nwb_file *file, struct table *table, double **start,
                      double **stop)
{
    struct traj_h5_dataset times;
    char place[TRAJ_H5_PATH];
    int status = traj_nwb_column(file, table->path, "start_time", true, place, &times);
    table->rows = times.rows;
    traj_h5_dataset_close(&times);
    if (status < 0 || read_numbers(file, table, "start_time", true, start) < 0 ||
        read_numbers(file, table, "stop_time", true, stop) < 0)
        return -1;
    return keep_rows(file, table, *start, *stop);
}

static int store_trials(struct traj_nwb_file *file, const struct table *table,
                        struct traj_session *session, const double *start, const double *stop)
{
    static const unsigned part[LABELS] = {TRAJ_SESSION_GO, TRAJ_SESSION_MOVE,
                                          TRAJ_SESSION_REWARDED};
    const char *name[LABELS];
    struct target_columns c = {.table = session->targets > 0};
    unsigned parts = 0;
    if (find_labels(file, table, name) != 0 || find_target_columns(file, table, &c) != 0)
        return -1;
    for (int k = 0; k < LABELS; k++)
        parts |= name[k] != NULL ? part[k] : 0u;
    if ((c.table && c.id != NULL) || c.position != NULL)
        parts |= TRAJ_SESSION_TARGET;
    if (traj_session_make_trials(session, table->kept, parts, file->input.error) != 0)
        return -1;
    double *label[LABELS] = {session->go, session->move, session->rewarded};
    for (size_t i = 0; i < table->kept; i++) {
        session->start[i] = start[table->row[i]];
        session->stop[i] = stop[table->row[i]];
    }
    for (int k = 0; k < LABELS; k++)
        if (name[k] != NULL && read_label(file, table, name[k], k == REWARDED, label[k]) != 0)
            return -1;
    traj_nwb_tell(file, "trials: %zu of %s%s%s%s%s%s%s", table->kept, table->path,
                  name[GO] != NULL ? ", go cue " : "", name[GO] != NULL ? name[GO] : "",
                  name[MOVE] != NULL ? ", movement onset " : "",
                  name[MOVE] != NULL ? name[MOVE] : "", name[REWARDED] != NULL ? ", reward " : "",
                  name[REWARDED] != NULL ? name[REWARDED] : "");
    return read_targets(file, table, session, &c);
}

int traj_nwb_read_trials(struct traj_nwb_file *file, struct traj_session *session)
{
    const char *path = file->options->trials;
    struct table table = {.path = path != NULL ? path : DEFAULT_TRIALS};
    double *start = NULL, *stop = NULL;
    if (!is_none(file->options->target) && read_target_table(file, session) < 0)
        return -1;
    int there = is_none(path) ? 0 : traj_h5_group(&file->input, table.path);
    if (there < 0)
        return -1;
    if (there == 0 && path != NULL && !is_none(path))
        return traj_error_set(file->input.error, "%s: there is no table %s", file->input.path,
                              path);
    if (there == 0)
        return 0;
    int status = open_table(file, &table, &start, &stop);
    if (status == 0 && table.kept > 0)
        status = store_trials(file, &table, session, start, stop);
    free(table.row);
    free(start);
    free(stop);
    return status;
}
