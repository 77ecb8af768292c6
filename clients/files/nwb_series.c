/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Time series of an NWB file: which there are, which are meant, and their samples. */
#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clients/files/nwb_parts.h"

#define DEPTH_MAX 6        /* of groups below /acquisition or /processing */
#define SERIES_MAX 4096    /* a file with more is no recording that a person would name series of */
#define CHILDREN_MAX 65536 /* of one group */

/* ---- which there are --------------------------------------------------------------------- */

/* The part of a path behind its last slash. */
static const char *last_part(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash != NULL ? slash + 1 : path;
}

/* Whether a group holds `data` whose rows are instants; what is wrong with it is not said. */
static bool look_at_series(const struct traj_nwb_file *file, struct traj_nwb_series *series)
{
    struct traj_error unsaid = {{0}};
    struct traj_h5_input probe = file->input;
    struct traj_h5_dataset data;
    char name[TRAJ_H5_PATH + 8];
    probe.error = &unsaid;
    (void)snprintf(name, sizeof name, "%s/data", series->path);
    if (strlen(name) >= TRAJ_H5_PATH)
        return false;
    int there = traj_h5_dataset_open(&probe, name, TRAJ_H5_ROWS, false, &data);
    bool numbers =
        there == 1 && (data.kind == H5T_INTEGER || data.kind == H5T_FLOAT || data.kind == H5T_ENUM);
    series->rows = data.rows;
    series->columns = data.columns;
    traj_h5_dataset_close(&data);
    if (there != 1)
        return false;
    series->type[0] = '\0';
    (void)traj_h5_read_text(&probe, series->path, "neurodata_type", false, series->type,
                            sizeof series->type);
    return numbers;
}

static int add_series(struct traj_nwb_file *file, const struct traj_nwb_series *series)
{
    if (file->count == SERIES_MAX)
        return traj_error_set(file->input.error, "%s: holds more than %d time series",
                              file->input.path, SERIES_MAX);
    if (file->count == file->room) {
        size_t room = 2 * file->room + 16;
        struct traj_nwb_series *more = realloc(file->series, room * sizeof *more);
        if (more == NULL)
            return traj_error_set(file->input.error, "%s: no memory for %zu series",
                                  file->input.path, room);
        file->series = more;
        file->room = room;
    }
    file->series[file->count++] = *series;
    return 0;
}

/* NOLINTNEXTLINE(misc-no-recursion): at most DEPTH_MAX deep */
static int walk(struct traj_nwb_file *file, const char *group, int depth)
{
    size_t count = 0;
    if (traj_h5_children(&file->input, group, &count) != 0)
        return -1;
    if (count > CHILDREN_MAX)
        return traj_error_set(file->input.error, "%s: %s holds %zu objects", file->input.path,
                              group, count);
    for (size_t i = 0; i < count; i++) {
        struct traj_nwb_series series;
        char name[256];
        int fits = traj_h5_child(&file->input, group, i, name, sizeof name);
        if (fits < 0)
            return -1;
        int length = snprintf(series.path, sizeof series.path, "%s/%s", group, name);
        if (fits == 0 || length < 0 || (size_t)length >= sizeof series.path ||
            traj_h5_kind(&file->input, series.path) != TRAJ_H5_GROUP)
            continue;
        if (look_at_series(file, &series)) {
            if (add_series(file, &series) != 0)
                return -1;
        } else if (depth < DEPTH_MAX && walk(file, series.path, depth + 1) != 0) {
            return -1;
        }
    }
    return 0;
}

int traj_nwb_list_series(struct traj_nwb_file *file)
{
    static const char *const roots[] = {"/acquisition", "/processing"};
    for (size_t i = 0; i < sizeof roots / sizeof roots[0]; i++) {
        int there = traj_h5_group(&file->input, roots[i]);
        if (there < 0 || (there > 0 && walk(file, roots[i], 0) != 0))
            return -1;
    }
    return 0;
}

/* ---- the one that was named -------------------------------------------------------------- */

/* Whether `name` is the path, or the end of it that begins at a slash. */
static bool ends_with(const char *path, size_t length, const char *name)
{
    size_t size = strlen(name);
    if (size == 0 || size > length || memcmp(path + length - size, name, size) != 0)
        return false;
    return size == length || name[0] == '/' || path[length - size - 1] == '/';
}

/* How long the path of the container of a series is; 0 where it lies in none but the module or
 * /acquisition. */
static size_t container(const char *path)
{
    size_t length = (size_t)(strrchr(path, '/') - path), slashes = 0;
    for (size_t i = 0; i < length; i++)
        slashes += path[i] == '/';
    bool module = strncmp(path, "/processing/", 12) == 0;
    return slashes >= (module ? 3u : 2u) ? length : 0;
}

static void start_signal(struct traj_nwb_signal *signal, const char *path, size_t length)
{
    signal->count = 0;
    memcpy(signal->place, path, length);
    signal->place[length] = '\0';
}

/* "a, b, c": what there is, as far as it fits into a sentence. */
static void list_names(const struct traj_nwb_file *file, const bool *which, char *text, size_t size)
{
    size_t used = 0;
    text[0] = '\0';
    for (size_t i = 0; i < file->count && used + 4 < size; i++) {
        if (which != NULL && !which[i])
            continue;
        int length =
            snprintf(text + used, size - used, "%s%s", used > 0 ? ", " : "", file->series[i].path);
        used += length > 0 ? (size_t)length : 0u;
    }
    if (used >= size)
        memcpy(text + size - 4, "...", 4);
}

int traj_nwb_named_signal(const struct traj_nwb_file *file, const char *option, const char *name,
                          struct traj_nwb_signal *signal)
{
    char there[256];
    start_signal(signal, "", 0);
    for (size_t i = 0; i < file->count; i++) {
        const char *path = file->series[i].path;
        size_t inside = container(path);
        bool whole = ends_with(path, strlen(path), name);
        bool part = inside > 0 && ends_with(path, inside, name);
        size_t length = whole ? strlen(path) : inside;
        if (!whole && !part)
            continue;
        bool same = signal->count > 0 && part && strlen(signal->place) == length &&
                    memcmp(signal->place, path, length) == 0;
        if (signal->count > 0 && !same)
            return traj_error_set(file->input.error, "%s: --%s %s may be %s or %s",
                                  file->input.path, option, name, signal->place, path);
        if (signal->count == TRAJ_NWB_STACK)
            return traj_error_set(file->input.error, "%s: %s holds more than %d series",
                                  file->input.path, signal->place, TRAJ_NWB_STACK);
        if (signal->count == 0)
            start_signal(signal, path, length);
        signal->series[signal->count++] = i;
    }
    if (signal->count > 0)
        return 1;
    list_names(file, NULL, there, sizeof there);
    return traj_error_set(file->input.error,
                          "%s: there is no time series %s for --%s; there are: %s",
                          file->input.path, name, option, there[0] != '\0' ? there : "none");
}

/* ---- the one that is obviously meant ----------------------------------------------------- */

/* Whether a text holds a word, whatever the case of its letters. */
static bool holds(const char *text, const char *word)
{
    size_t length = strlen(word);
    for (; *text != '\0'; text++) {
        size_t i = 0;
        while (i < length && tolower((unsigned char)text[i]) == word[i])
            i++;
        if (i == length)
            return true;
    }
    return false;
}

/* The series' own name and that of its container, as a signal is known by either. */
static bool called(const struct traj_nwb_series *s, const char *word)
{
    const char *from = s->path;
    size_t inside = container(s->path);
    if (inside == 0)
        return holds(last_part(s->path), word);
    while (inside > 0 && s->path[inside - 1] != '/')
        inside--;
    return holds(from + inside, word);
}

static bool is_movement(const struct traj_nwb_series *s)
{
    static const char *const not_hand[] = {"eye", "gaze", "pupil", "target", "head", "compass"};
    static const char *const type[] = {"", "TimeSeries", "SpatialSeries"};
    bool plain = false;
    for (size_t i = 0; i < sizeof type / sizeof type[0]; i++)
        plain = plain || strcmp(s->type, type[i]) == 0;
    for (size_t i = 0; i < sizeof not_hand / sizeof not_hand[0]; i++)
        plain = plain && !called(s, not_hand[i]);
    return plain && s->columns >= 1 && s->columns <= TRAJ_DIM_MAX &&
           strncmp(last_part(s->path), "decoded", 7) != 0;
}

/* How well a series fits: 0 = not at all. */
static int fit(const struct traj_nwb_series *s, enum traj_nwb_role role)
{
    const char *name = last_part(s->path);
    switch (role) {
    case TRAJ_NWB_POSITION:
        if (!is_movement(s) || called(s, "vel"))
            return 0;
        if (strcmp(s->type, "SpatialSeries") == 0)
            return strstr(s->path, "/Position/") != NULL ? 3 : 2;
        return called(s, "pos") ? 1 : 0;
    case TRAJ_NWB_VELOCITY:
        return is_movement(s) && called(s, "vel") ? 1 : 0;
    case TRAJ_NWB_COUNTS:
        if (strcmp(name, "binned_spikes") == 0)
            return 2;
        return holds(name, "binned") || holds(name, "spike_count") ? 1 : 0;
    case TRAJ_NWB_FEATURES:
        return strcmp(name, "features") == 0 ? 1 : 0;
    }
    return 0;
}

/* Series of one column that share a container are the axes of one signal. */
static bool same_signal(const struct traj_nwb_series *a, const struct traj_nwb_series *b)
{
    size_t x = container(a->path), y = container(b->path);
    return x > 0 && x == y && memcmp(a->path, b->path, x) == 0 && a->columns == 1 &&
           b->columns == 1 && a->rows == b->rows;
}

/* With several velocities, the one that is called as the position is: hand_pos, hand_vel. */
static bool is_named_after(const char *velocity, const char *position)
{
    const char *v = last_part(velocity), *p = last_part(position);
    const char *cut_v = strstr(v, "vel"), *cut_p = strstr(p, "pos");
    return cut_v != NULL && cut_p != NULL && cut_v - v == cut_p - p &&
           memcmp(v, p, (size_t)(cut_v - v)) == 0;
}

static void add_alike(const struct traj_nwb_file *file, enum traj_nwb_role role, size_t first,
                      bool *rival, struct traj_nwb_signal *signal)
{
    const struct traj_nwb_series *s = &file->series[first];
    start_signal(signal, s->path, strlen(s->path));
    for (size_t i = first; i < file->count && signal->count < TRAJ_NWB_STACK; i++) {
        bool alike = i == first || (rival[i] && fit(&file->series[i], role) > 0 &&
                                    same_signal(s, &file->series[i]));
        if (!alike)
            continue;
        rival[i] = i == first;
        signal->series[signal->count++] = i;
    }
    if (signal->count > 1)
        signal->place[container(s->path)] = '\0';
}

static int mark_rivals(const struct traj_nwb_file *file, enum traj_nwb_role role,
                       const struct traj_nwb_signal *beside, bool *rival)
{
    const struct traj_nwb_series *other = beside != NULL ? &file->series[beside->series[0]] : NULL;
    bool named_after = false;
    int best = 0;
    for (size_t i = 0; i < file->count; i++) {
        const struct traj_nwb_series *s = &file->series[i];
        int how = fit(s, role);
        if (other != NULL && (s->rows != other->rows || s->columns != other->columns))
            how = 0;
        if (how > best)
            memset(rival, 0, file->count * sizeof *rival);
        best = how > best ? how : best;
        rival[i] = how > 0 && how == best;
        named_after =
            named_after || (rival[i] && other != NULL && is_named_after(s->path, other->path));
    }
    for (size_t i = 0; named_after && i < file->count; i++)
        rival[i] = rival[i] && is_named_after(file->series[i].path, other->path);
    return best;
}

static int choose(const struct traj_nwb_file *file, enum traj_nwb_role role, bool *rival,
                  struct traj_nwb_signal *signal)
{
    static const char *const option[] = {"position", "velocity", "counts", "features"};
    struct traj_nwb_signal next;
    size_t signals = 0;
    char there[256];
    /* Stacking takes its series from the rivals, so that each signal is met once. */
    for (size_t i = 0; i < file->count; i++)
        if (rival[i]) {
            add_alike(file, role, i, rival, signals == 0 ? signal : &next);
            signals++;
        }
    if (signals <= 1)
        return (int)signals;
    list_names(file, rival, there, sizeof there);
    return traj_error_set(file->input.error,
                          "%s: several series may be meant: %s; name one with --%s (or none)",
                          file->input.path, there, option[role]);
}

int traj_nwb_obvious_signal(const struct traj_nwb_file *file, enum traj_nwb_role role,
                            const struct traj_nwb_signal *beside, struct traj_nwb_signal *signal)
{
    start_signal(signal, "", 0);
    if (file->count == 0)
        return 0;
    bool *rival = calloc(file->count, sizeof *rival);
    if (rival == NULL)
        return traj_error_set(file->input.error, "%s: no memory", file->input.path);
    int status = mark_rivals(file, role, beside, rival) > 0 ? choose(file, role, rival, signal) : 0;
    free(rival);
    return status;
}

/* ---- samples ----------------------------------------------------------------------------- */

static int read_stamps(const struct traj_nwb_file *file, const char *name, size_t rows, double *t)
{
    const struct traj_h5_input *input = &file->input;
    struct traj_h5_dataset stamps;
    int status = traj_h5_dataset_open(input, name, 1, false, &stamps);
    if (status == 1 && stamps.rows != rows)
        status = traj_error_set(input->error, "%s: %s has %zu times for %zu rows of data",
                                input->path, name, stamps.rows, rows);
    if (status == 1 && traj_h5_read_doubles(input, &stamps, t) != 0)
        status = -1;
    traj_h5_dataset_close(&stamps);
    for (size_t i = 0; status == 1 && i < rows; i++)
        if (!isfinite(t[i]) || (i > 0 && !(t[i] > t[i - 1])))
            status =
                traj_error_set(input->error, "%s: %s[%zu] = %.9g is not later than the one before",
                               input->path, name, i, t[i]);
    return status;
}

static int read_rate(const struct traj_nwb_file *file, const char *name, const char *group,
                     size_t rows, double *t)
{
    const struct traj_h5_input *input = &file->input;
    struct traj_h5_dataset start;
    double first = 0.0, rate = 0.0;
    int status = traj_h5_dataset_open(input, name, 0, false, &start);
    if (status == 0)
        status = traj_error_set(input->error, "%s: %s has neither timestamps nor starting_time",
                                input->path, group);
    if (status == 1 && (traj_h5_read_doubles(input, &start, &first) != 0 ||
                        traj_h5_read_number(input, name, "rate", true, &rate) < 0))
        status = -1;
    traj_h5_dataset_close(&start);
    if (status == 1 && !(isfinite(first) && rate > 0.0 && isfinite(rate)))
        status = traj_error_set(input->error, "%s: %s is %g s at a rate of %g Hz", input->path,
                                name, first, rate);
    for (size_t i = 0; status == 1 && i < rows; i++)
        t[i] = first + (double)i / rate;
    return status;
}

int traj_nwb_times(const struct traj_nwb_file *file, const char *group, size_t rows, double *t)
{
    char name[TRAJ_H5_PATH + 16];
    (void)snprintf(name, sizeof name, "%s/timestamps", group);
    int status = read_stamps(file, name, rows, t);
    if (status != 0)
        return status;
    (void)snprintf(name, sizeof name, "%s/starting_time", group);
    return read_rate(file, name, group, rows, t);
}

/* What is not to be converted stays what it was to the last bit, the sign of zero included. */
static double convert(double value, double conversion, double offset)
{
    bool plain = conversion == 1.0 && offset == 0.0;
    return plain ? value : value * conversion + offset;
}

/* One series into its columns of all. */
static int read_columns(const struct traj_nwb_file *file, const struct traj_nwb_series *series,
                        const struct traj_h5_dataset *data, size_t column,
                        struct traj_nwb_samples *all)
{
    const struct traj_h5_input *input = &file->input;
    double conversion = 1.0, offset = 0.0;
    double *value = calloc(data->rows, data->columns * sizeof *value);
    int status = value != NULL
                     ? traj_h5_read_doubles(input, data, value)
                     : traj_error_set(input->error, "%s: %s: no memory for %zu x %zu values",
                                      input->path, data->name, data->rows, data->columns);
    if (status == 0 &&
        (traj_h5_read_number(input, data->name, "conversion", false, &conversion) < 0 ||
         traj_h5_read_number(input, data->name, "offset", false, &offset) < 0))
        status = -1;
    if (status == 0 && !(isfinite(conversion) && conversion != 0.0 && isfinite(offset)))
        status = traj_error_set(input->error, "%s: %s/data has the conversion %g and the offset %g",
                                input->path, series->path, conversion, offset);
    for (size_t i = 0; status == 0 && i < data->rows; i++)
        for (size_t c = 0; c < data->columns; c++)
            all->value[i * all->columns + column + c] =
                convert(value[i * data->columns + c], conversion, offset);
    all->conversion = conversion;
    free(value);
    return status;
}

static int load_one(const struct traj_nwb_file *file, const struct traj_nwb_series *series,
                    size_t column, struct traj_nwb_samples *all)
{
    const struct traj_h5_input *input = &file->input;
    struct traj_h5_dataset data;
    char name[TRAJ_H5_PATH + 8];
    (void)snprintf(name, sizeof name, "%s/data", series->path);
    int status = traj_h5_dataset_open(input, name, TRAJ_H5_ROWS, true, &data);
    if (status == 1 && (data.rows != all->rows || column + data.columns > all->columns))
        status = traj_error_set(input->error, "%s: %s has %zu rows where %zu are expected",
                                input->path, name, data.rows, all->rows);
    if (status == 1)
        status = read_columns(file, series, &data, column, all) == 0 ? 0 : -1;
    if (status == 0 && column == 0 &&
        traj_h5_read_text(input, name, "unit", false, all->unit, sizeof all->unit) < 0)
        status = -1;
    traj_h5_dataset_close(&data);
    return status == 0 ? 0 : -1;
}

/* Axes of one signal have the times of the first. */
static int same_times(const struct traj_nwb_file *file, const struct traj_nwb_signal *signal,
                      const struct traj_nwb_samples *all)
{
    double *t = calloc(all->rows + 1, sizeof *t);
    if (t == NULL)
        return traj_error_set(file->input.error, "%s: no memory", file->input.path);
    int status = 0;
    for (size_t k = 1; status == 0 && k < signal->count; k++) {
        const char *path = file->series[signal->series[k]].path;
        status = traj_nwb_times(file, path, all->rows, t) < 0 ? -1 : 0;
        for (size_t i = 0; status == 0 && i < all->rows; i++)
            if (!(fabs(t[i] - all->t[i]) <= 1e-9))
                status =
                    traj_error_set(file->input.error,
                                   "%s: %s has other times than %s, with which it is to be one "
                                   "signal",
                                   file->input.path, path, file->series[signal->series[0]].path);
    }
    free(t);
    return status;
}

int traj_nwb_load(const struct traj_nwb_file *file, const struct traj_nwb_signal *signal,
                  struct traj_nwb_samples *samples)
{
    *samples = (struct traj_nwb_samples){.rows = file->series[signal->series[0]].rows};
    for (size_t k = 0; k < signal->count; k++)
        samples->columns += file->series[signal->series[k]].columns;
    if (samples->rows == 0 || samples->columns == 0)
        return traj_error_set(file->input.error, "%s: %s/data is empty", file->input.path,
                              file->series[signal->series[0]].path);
    samples->t = calloc(samples->rows, sizeof *samples->t);
    samples->value = calloc(samples->rows, samples->columns * sizeof *samples->value);
    if (samples->t == NULL || samples->value == NULL)
        return traj_error_set(file->input.error, "%s: %s: no memory for %zu x %zu values",
                              file->input.path, signal->place, samples->rows, samples->columns);
    if (traj_nwb_times(file, file->series[signal->series[0]].path, samples->rows, samples->t) < 0)
        return -1;
    size_t column = 0;
    for (size_t k = 0; k < signal->count; k++) {
        const struct traj_nwb_series *series = &file->series[signal->series[k]];
        if (load_one(file, series, column, samples) != 0)
            return -1;
        column += series->columns;
    }
    return same_times(file, signal, samples);
}

void traj_nwb_samples_free(struct traj_nwb_samples *samples)
{
    free(samples->t);
    free(samples->value);
    samples->t = samples->value = NULL;
}
