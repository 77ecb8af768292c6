/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Spikes, binned counts and features of an NWB file -> /frames of a session. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clients/files/nwb_parts.h"

#define UNITS "/units"

/* ---- which units ------------------------------------------------------------------------- */

bool traj_nwb_listed(const char *list, const char *word)
{
    size_t size = strlen(word);
    for (const char *at = list;; at++) {
        size_t length = strcspn(at, ",");
        if (length == size && memcmp(at, word, size) == 0)
            return true;
        at += length;
        if (*at == '\0')
            return false;
    }
}

/* Numbers as a person would write them in a condition. */
static int number_names(const struct traj_h5_input *input, const struct traj_h5_dataset *column,
                        char (*name)[TRAJ_ID_SIZE])
{
    double *value = calloc(column->rows + 1, sizeof *value);
    int status = value != NULL ? traj_h5_read_doubles(input, column, value)
                               : traj_error_set(input->error, "%s: no memory", input->path);
    for (size_t i = 0; status == 0 && i < column->rows; i++)
        (void)snprintf(name[i], TRAJ_ID_SIZE, "%.15g", value[i]);
    free(value);
    return status;
}

/* A column of texts or numbers as texts: 1, 0 where it is absent, -1. */
static int column_names(const struct traj_nwb_file *file, const char *name, size_t rows,
                        bool required, char (*text)[TRAJ_ID_SIZE])
{
    struct traj_h5_dataset column;
    char place[TRAJ_H5_PATH];
    int status = traj_nwb_column(file, UNITS, name, required, place, &column);
    if (status == 1 && (column.rows != rows || column.columns != 1))
        status = traj_error_set(file->input.error,
                                "%s: %s has %zu x %zu values where one for each of %zu units is "
                                "expected",
                                file->input.path, place, column.rows, column.columns, rows);
    if (status == 1 && column.kind == H5T_STRING)
        status = traj_h5_read_names(&file->input, &column, text) == 0 ? 1 : -1;
    else if (status == 1)
        status = number_names(&file->input, &column, text) == 0 ? 1 : -1;
    traj_h5_dataset_close(&column);
    return status;
}

/* keep[rows] becomes false where a condition "COLUMN=VALUE,VALUE" does not hold. */
static int apply_condition(const struct traj_nwb_file *file, const char *condition, size_t rows,
                           bool *keep)
{
    const char *values = strchr(condition, '=');
    char name[128];
    if (values == NULL || values == condition || (size_t)(values - condition) >= sizeof name)
        return traj_error_set(file->input.error, "--unit-where %s is not COLUMN=VALUE", condition);
    memcpy(name, condition, (size_t)(values - condition));
    name[values - condition] = '\0';
    char(*text)[TRAJ_ID_SIZE] = calloc(rows + 1, sizeof *text);
    int status = text != NULL
                     ? column_names(file, name, rows, true, text)
                     : traj_error_set(file->input.error, "%s: no memory", file->input.path);
    for (size_t i = 0; status == 1 && i < rows; i++)
        keep[i] = keep[i] && traj_nwb_listed(values + 1, text[i]);
    free(text);
    return status == 1 ? 0 : -1;
}

/* The names of all rows: the option's column, unit_name, or the ids. */
int traj_nwb_unit_names(const struct traj_nwb_file *file, size_t rows, char (*name)[TRAJ_ID_SIZE])
{
    const char *given = file->options->unit_name;
    struct traj_h5_dataset id;
    char place[TRAJ_H5_PATH];
    int status = traj_nwb_column(file, UNITS, "id", false, place, &id);
    bool same = status == 1 && id.rows == rows;
    traj_h5_dataset_close(&id);
    if (status < 0 || !same)
        return status < 0 ? -1 : 0;
    status = column_names(file, given != NULL ? given : "unit_name", rows, given != NULL, name);
    return status != 0 ? status : column_names(file, "id", rows, false, name);
}

/* ---- trains ------------------------------------------------------------------------------ */

struct trains {
    size_t rows; /* of /units */
    bool *keep;  /* [rows] */
    size_t kept;
    double *time;
    size_t *end; /* [rows], then [kept] */
    char (*name)[TRAJ_ID_SIZE];
};

int traj_nwb_has_spikes(const struct traj_nwb_file *file)
{
    struct traj_h5_dataset times;
    int status = traj_h5_dataset_open(&file->input, UNITS "/spike_times", 1, false, &times);
    traj_h5_dataset_close(&times);
    return status;
}

static int read_spike_times(const struct traj_nwb_file *file, struct trains *t)
{
    const struct traj_h5_input *input = &file->input;
    struct traj_h5_dataset times, index;
    int status = traj_h5_dataset_open(input, UNITS "/spike_times", 1, true, &times);
    int there =
        status == 1 ? traj_h5_dataset_open(input, UNITS "/spike_times_index", 1, true, &index) : -1;
    if (there == 1) {
        t->rows = index.rows;
        t->time = calloc(times.rows + 1, sizeof *t->time);
        t->end = calloc(t->rows + 1, sizeof *t->end);
        t->keep = calloc(t->rows + 1, sizeof *t->keep);
        t->name = calloc(t->rows + 1, sizeof *t->name);
        bool room = t->time != NULL && t->end != NULL && t->keep != NULL && t->name != NULL;
        if (!room)
            there = traj_error_set(input->error, "%s: no memory for %zu spikes", input->path,
                                   times.rows);
        else if (traj_h5_read_doubles(input, &times, t->time) != 0 ||
                 traj_nwb_read_index(input, &index, times.rows, t->end) != 0)
            there = -1;
    }
    if (status == 1)
        traj_h5_dataset_close(&index);
    traj_h5_dataset_close(&times);
    return there == 1 ? 0 : -1;
}

static int choose_units(const struct traj_nwb_file *file, struct trains *t)
{
    for (size_t i = 0; i < t->rows; i++)
        t->keep[i] = true;
    for (size_t k = 0; k < file->options->unit_conditions; k++)
        if (apply_condition(file, file->options->unit_where[k], t->rows, t->keep) != 0)
            return -1;
    for (size_t i = 0; i < t->rows; i++)
        t->kept += t->keep[i];
    if (t->kept > 0)
        return 0;
    return traj_error_set(file->input.error, "%s: " UNITS " holds %zu units, of which none is kept",
                          file->input.path, t->rows);
}

/* Moves times, ends and names of the units that are kept to the front. */
static void compact(struct trains *t)
{
    size_t from = 0, to = 0, n = 0;
    for (size_t i = 0; i < t->rows; i++) {
        size_t end = t->end[i], spikes = end - from;
        if (t->keep[i]) {
            memmove(t->time + to, t->time + from, spikes * sizeof *t->time);
            memmove(t->name[n], t->name[i], sizeof t->name[n]);
            to += spikes;
            t->end[n++] = to;
        }
        from = end;
    }
}

/* ---- when each unit was observed --------------------------------------------------------- */

static bool is_inside(const double *interval, size_t count, double from, double to)
{
    double slack = 1e-6 * (to - from);
    for (size_t k = 0; k < count; k++)
        if (from >= interval[2 * k] - slack && to <= interval[2 * k + 1] + slack)
            return true;
    return false;
}

/* Bins that no unit was observed in are dropped. */
static void drop_unobserved(struct traj_nwb_file *file, struct traj_session *s)
{
    size_t kept = 0;
    for (size_t i = 0; i < s->bins; i++) {
        bool seen = false;
        for (size_t n = 0; n < s->units; n++)
            seen = seen || s->counts[i * s->units + n] != TRAJ_COUNT_MISSING;
        if (!seen)
            continue;
        s->t_end[kept] = s->t_end[i];
        s->dt[kept] = s->dt[i];
        memmove(s->counts + kept * s->units, s->counts + i * s->units,
                s->units * sizeof *s->counts);
        kept++;
    }
    if (kept < s->bins)
        traj_nwb_tell(file, "left out: %zu bins outside " UNITS "/obs_intervals", s->bins - kept);
    s->bins = kept;
}

static void hide(struct traj_session *s, size_t unit, const double *interval, size_t count)
{
    for (size_t i = 0; i < s->bins; i++)
        if (!is_inside(interval, count, s->t_end[i] - s->dt[i], s->t_end[i]))
            s->counts[i * s->units + unit] = TRAJ_COUNT_MISSING;
}

/* A bin that is not whole inside an interval of its unit was not observed by it. */
static int apply_intervals(struct traj_nwb_file *file, const struct trains *t,
                           const struct traj_h5_dataset *intervals, const size_t *end,
                           struct traj_session *s)
{
    double *value = calloc(intervals->rows + 1, 2 * sizeof *value);
    if (value == NULL)
        return traj_error_set(file->input.error, "%s: no memory", file->input.path);
    int status = traj_h5_read_doubles(&file->input, intervals, value);
    size_t n = 0;
    for (size_t i = 0; status == 0 && i < t->rows; i++) {
        size_t from = i > 0 ? end[i - 1] : 0;
        if (t->keep[i])
            hide(s, n++, value + 2 * from, end[i] - from);
    }
    free(value);
    if (status == 0)
        drop_unobserved(file, s);
    if (status == 0 && s->bins == 0)
        status = traj_error_set(file->input.error, "%s: no bin lies inside " UNITS "/obs_intervals",
                                file->input.path);
    return status;
}

static int read_intervals(struct traj_nwb_file *file, const struct trains *t,
                          struct traj_session *session)
{
    struct traj_h5_dataset intervals;
    size_t *end = NULL;
    int status = traj_h5_dataset_open(&file->input, UNITS "/obs_intervals", 2, false, &intervals);
    if (status == 1 && intervals.columns != 2)
        status = traj_error_set(file->input.error,
                                "%s: " UNITS "/obs_intervals has %zu columns where start and stop "
                                "are expected",
                                file->input.path, intervals.columns);
    if (status == 1)
        status = traj_nwb_index(file, UNITS, "obs_intervals", t->rows, intervals.rows, &end);
    if (status == 1)
        status = apply_intervals(file, t, &intervals, end, session);
    traj_h5_dataset_close(&intervals);
    free(end);
    return status < 0 ? -1 : 0;
}

/* ---- spikes ------------------------------------------------------------------------------ */

static int bin_spikes(struct traj_nwb_file *file, struct traj_session *session, struct trains *t)
{
    if (read_spike_times(file, t) != 0 || choose_units(file, t) != 0)
        return -1;
    int named = traj_nwb_unit_names(file, t->rows, t->name);
    if (named < 0)
        return -1;
    compact(t);
    const struct traj_spike_trains trains = {.path = file->input.path,
                                             .name = UNITS "/spike_times",
                                             .units = t->kept,
                                             .time = t->time,
                                             .end = t->end};
    if (traj_spikes_bin(session, &trains, &file->options->bins,
                        named > 0 ? TRAJ_SESSION_UNIT_NAME : 0u, file->input.error) != 0)
        return -1;
    if (named > 0)
        memcpy(session->unit_name, t->name, t->kept * sizeof *t->name);
    return read_intervals(file, t, session);
}

int traj_nwb_read_spikes(struct traj_nwb_file *file, struct traj_session *session)
{
    struct trains t = {0};
    char bins[128];
    int status = bin_spikes(file, session, &t);
    traj_bin_choice_text(&file->options->bins, bins, sizeof bins);
    if (status == 0)
        traj_nwb_tell(file, "counts: " UNITS "/spike_times, %zu of %zu units, in %s", t.kept,
                      t.rows, bins);
    free(t.keep);
    free(t.time);
    free(t.end);
    free(t.name);
    return status;
}

/* ---- binned series ----------------------------------------------------------------------- */

struct binned {
    struct traj_nwb_signal signal;
    const struct traj_nwb_series *series; /* NULL = there is none */
    double *t;
    struct traj_h5_dataset data;
    char name[TRAJ_H5_PATH + 8];
};

static int find_binned(const struct traj_nwb_file *file, enum traj_nwb_role role,
                       const char *option, const char *name, struct binned *b)
{
    if (name != NULL && strcmp(name, "none") == 0)
        return 0;
    int found = name != NULL ? traj_nwb_named_signal(file, option, name, &b->signal)
                             : traj_nwb_obvious_signal(file, role, NULL, &b->signal);
    if (found <= 0)
        return found;
    if (b->signal.count != 1)
        return traj_error_set(file->input.error, "%s: --%s %s names %zu series, not one",
                              file->input.path, option, b->signal.place, b->signal.count);
    b->series = &file->series[b->signal.series[0]];
    b->t = calloc(b->series->rows + 1, sizeof *b->t);
    if (b->t == NULL)
        return traj_error_set(file->input.error, "%s: no memory", file->input.path);
    if (b->series->rows == 0)
        return traj_error_set(file->input.error, "%s: %s/data is empty", file->input.path,
                              b->series->path);
    (void)snprintf(b->name, sizeof b->name, "%s/data", b->series->path);
    if (traj_nwb_times(file, b->series->path, b->series->rows, b->t) < 0)
        return -1;
    return traj_h5_dataset_open(&file->input, b->name, TRAJ_H5_ROWS, true, &b->data);
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* The median of the times between bins. */
static int median_step(const struct traj_nwb_file *file, const struct binned *b, double *width)
{
    size_t steps = b->series->rows - 1;
    if (steps == 0)
        return traj_error_set(file->input.error, "%s: %s holds one bin: name its width by --bin-ms",
                              file->input.path, b->series->path);
    double *step = calloc(steps, sizeof *step);
    if (step == NULL)
        return traj_error_set(file->input.error, "%s: no memory", file->input.path);
    for (size_t i = 0; i < steps; i++)
        step[i] = b->t[i + 1] - b->t[i];
    qsort(step, steps, sizeof *step, by_value);
    *width = step[steps / 2];
    free(step);
    return 0;
}

/* The series bin_width beside the binned one says how wide each bin is: 1, 0 = there is none. */
static int read_widths(const struct traj_nwb_file *file, const struct binned *b, double *dt)
{
    char name[TRAJ_H5_PATH + 32];
    size_t parent = (size_t)(strrchr(b->series->path, '/') - b->series->path);
    struct traj_h5_dataset widths;
    (void)snprintf(name, sizeof name, "%.*s/bin_width/data", (int)parent, b->series->path);
    int status = traj_h5_dataset_open(&file->input, name, 1, false, &widths);
    if (status == 1 && widths.rows != b->series->rows)
        status = traj_error_set(file->input.error, "%s: %s has %zu widths for %zu bins",
                                file->input.path, name, widths.rows, b->series->rows);
    if (status == 1 && traj_h5_read_doubles(&file->input, &widths, dt) != 0)
        status = -1;
    traj_h5_dataset_close(&widths);
    return status;
}

static int set_times(struct traj_nwb_file *file, const struct binned *b,
                     struct traj_session *session)
{
    double width = file->options->bins.width;
    int status = width > 0.0 ? 0 : read_widths(file, b, session->dt);
    if (status == 0 && !(width > 0.0) && median_step(file, b, &width) != 0)
        return -1;
    for (size_t i = 0; i < session->bins; i++) {
        if (status == 0)
            session->dt[i] = width;
        session->t_end[i] = file->options->stamps_start ? b->t[i] + session->dt[i] : b->t[i];
    }
    return status < 0 ? -1 : 0;
}

static int same_bins(const struct traj_nwb_file *file, const struct binned *a,
                     const struct binned *b)
{
    bool same = a->series->rows == b->series->rows;
    for (size_t i = 0; same && i < a->series->rows; i++)
        same = fabs(a->t[i] - b->t[i]) <= 1e-6;
    return same ? 0
                : traj_error_set(file->input.error, "%s: %s and %s do not have the same times",
                                 file->input.path, a->series->path, b->series->path);
}

static int load_binned(struct traj_nwb_file *file, struct traj_session *session,
                       const struct binned *counts, const struct binned *features)
{
    const struct binned *first = counts->series != NULL ? counts : features;
    size_t units = counts->series != NULL ? counts->series->columns : 0;
    size_t width = features->series != NULL ? features->series->columns : 0;
    if (units > 0 && width > 0 && same_bins(file, counts, features) != 0)
        return -1;
    char(*name)[TRAJ_ID_SIZE] = calloc(units + 1, sizeof *name);
    int named = name != NULL ? traj_nwb_unit_names(file, units, name)
                             : traj_error_set(file->input.error, "%s: no memory", file->input.path);
    unsigned parts = units > 0 && named > 0 ? TRAJ_SESSION_UNIT_NAME : 0u;
    int status = named < 0 || traj_session_make_frames(session, first->series->rows, units, width,
                                                       parts, file->input.error) != 0
                     ? -1
                     : set_times(file, first, session);
    if (status == 0 && parts != 0)
        memcpy(session->unit_name, name, units * sizeof *name);
    free(name);
    if (status == 0 && units > 0)
        status = traj_h5_read_counts(&file->input, &counts->data, session->counts);
    if (status == 0 && width > 0)
        status = traj_h5_read_floats(&file->input, &features->data, session->feature);
    return status;
}

static void tell_binned(struct traj_nwb_file *file, const struct traj_session *session,
                        const struct binned *counts, const struct binned *features)
{
    const char *edge = file->options->stamps_start ? "beginnings" : "ends";
    if (counts->series != NULL)
        traj_nwb_tell(file, "counts: %s, times are %s of bins of %g ms", counts->series->path, edge,
                      1e3 * session->dt[0]);
    if (features->series != NULL)
        traj_nwb_tell(file, "features: %s, times are %s of bins of %g ms", features->series->path,
                      edge, 1e3 * session->dt[0]);
}

int traj_nwb_read_binned(struct traj_nwb_file *file, struct traj_session *session)
{
    const struct traj_h5_dataset none = {.id = -1, .type = -1};
    struct binned counts = {.data = none}, features = {.data = none};
    int status = find_binned(file, TRAJ_NWB_COUNTS, "counts", file->options->counts, &counts);
    if (status >= 0)
        status =
            find_binned(file, TRAJ_NWB_FEATURES, "features", file->options->features, &features);
    if (status >= 0 && (counts.series != NULL || features.series != NULL)) {
        status = load_binned(file, session, &counts, &features);
        if (status == 0)
            tell_binned(file, session, &counts, &features);
    }
    traj_h5_dataset_close(&counts.data);
    traj_h5_dataset_close(&features.data);
    free(counts.t);
    free(features.t);
    return status < 0 ? -1 : 0;
}
