/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Named arrays -> struct traj_session. */
#include "clients/files/arrays.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- arrays ------------------------------------------------------------------------------ */

void traj_array_free(struct traj_array *array)
{
    free(array->number);
    free(array->text);
    free(array->end);
    *array = (struct traj_array){.rank = 0};
}

int traj_array_make(struct traj_array *array, size_t rows, size_t columns, bool text)
{
    if (columns > 0 && rows > SIZE_MAX / 16 / columns)
        return -1;
    array->rows = rows;
    array->columns = columns;
    if (text)
        array->text = calloc(rows * columns + 1, sizeof *array->text);
    else
        array->number = calloc(rows * columns + 1, sizeof *array->number);
    return array->text != NULL || array->number != NULL ? 0 : -1;
}

/* What a session is made of. */
struct making {
    const struct traj_array_file *file;
    const struct traj_arrays_options *options;
    struct traj_session *session;
    struct traj_error *error;
};

/* What the file calls one of the page's arrays. */
static const char *name_of(const struct making *m, const char *role)
{
    size_t length = strlen(role);
    for (size_t i = 0; i < m->options->arrays; i++) {
        const char *given = m->options->array[i];
        if (strncmp(given, role, length) == 0 && given[length] == '=')
            return given + length + 1;
    }
    return role;
}

/*
 * Says which array is missing and which are there, because it may be one of them by another name.
 * What a file says of names need not be text: other bytes than printable ones are shown as marks.
 */
static int refuse_missing(const struct making *m, const char *what)
{
    char name[TRAJ_ARRAY_NAME], list[200] = "";
    size_t length = 0, count = 0;
    while (m->file->name(m->file->context, count, name)) {
        for (char *c = name; *c != '\0'; c++)
            *c = *c >= ' ' && *c <= '~' ? *c : '?';
        if (length + strlen(name) + sizeof ", ..." >= sizeof list) {
            (void)snprintf(list + length, sizeof list - length, ", ...");
            break;
        }
        length += (size_t)snprintf(list + length, sizeof list - length, "%s%s",
                                   count > 0 ? ", " : "", name);
        count++;
    }
    return traj_error_set(m->error, "%s: %s; the file holds %s (see --array)", m->file->path, what,
                          count > 0 ? list : "no array");
}

static int refuse(const struct making *m, const struct traj_array *a, const char *expected)
{
    return traj_error_set(m->error, "%s: %s is %zu x %zu %s, where %s expected", m->file->path,
                          a->name, a->rows, a->columns, a->text != NULL ? "texts" : "numbers",
                          expected);
}

static int fetch(const struct making *m, const char *role, struct traj_array *a)
{
    const char *name = name_of(m, role);
    *a = (struct traj_array){.rank = 0};
    int status = m->file->read(m->file->context, name, a, m->error);
    if (status != 0 || name == role)
        return status;
    char what[TRAJ_ARRAY_NAME + 64];
    (void)snprintf(what, sizeof what, "there is no array %.*s, which --array names as %s",
                   TRAJ_ARRAY_NAME, name, role);
    return refuse_missing(m, what);
}

/* One number after the other, whatever the shape, as MATLAB has no other vectors. */
static int fetch_vector(const struct making *m, const char *role, struct traj_array *a)
{
    int status = fetch(m, role, a);
    if (status != 1)
        return status;
    if (a->number == NULL || a->end != NULL || (a->rows != 1 && a->columns != 1))
        return refuse(m, a, "a vector of numbers is");
    a->rows *= a->columns;
    a->columns = 1;
    return 1;
}

static int transpose(const struct making *m, struct traj_array *a)
{
    double *turned = calloc(a->rows * a->columns + 1, sizeof *turned);
    if (turned == NULL)
        return traj_error_set(m->error, "%s: no memory for %s", m->file->path, a->name);
    for (size_t i = 0; i < a->rows; i++)
        for (size_t j = 0; j < a->columns; j++)
            turned[j * a->rows + i] = a->number[i * a->columns + j];
    free(a->number);
    a->number = turned;
    size_t rows = a->rows;
    a->rows = a->columns;
    a->columns = rows;
    return 0;
}

/* Numbers with an instant a row; a vector is one column. */
static int fetch_matrix(const struct making *m, const char *role, struct traj_array *a)
{
    int status = fetch(m, role, a);
    if (status != 1)
        return status;
    if (a->number == NULL || a->end != NULL || a->rank == 0 || a->rows == 0 || a->columns == 0)
        return refuse(m, a, "a matrix of numbers is");
    if (m->options->transposed && a->rank == 2 && transpose(m, a) != 0)
        return -1;
    return 1;
}

static int fetch_texts(const struct making *m, const char *role, struct traj_array *a)
{
    int status = fetch(m, role, a);
    if (status != 1)
        return status;
    a->rows *= a->columns;
    a->columns = 1;
    return a->text != NULL ? 1 : refuse(m, a, "texts are");
}

/* ---- numbers that must be something ------------------------------------------------------ */

static int refuse_number(const struct making *m, const struct traj_array *a, size_t i,
                         const char *expected)
{
    return traj_error_set(m->error, "%s: %s[%zu, %zu] = %.9g is not %s", m->file->path, a->name,
                          i / a->columns, i % a->columns, a->number[i], expected);
}

static int store_counts(const struct making *m, const struct traj_array *a, uint16_t *count)
{
    for (size_t i = 0; i < a->rows * a->columns; i++) {
        double value = a->number[i];
        if (!isnan(value) &&
            (!(value >= 0.0 && value <= TRAJ_COUNT_MISSING) || floor(value) < value))
            return refuse_number(m, a, i, "a count: a whole number from 0 to 65534");
        count[i] = (uint16_t)(isnan(value) ? TRAJ_COUNT_MISSING : value);
    }
    return 0;
}

static int store_features(const struct making *m, const struct traj_array *a, float *feature)
{
    for (size_t i = 0; i < a->rows * a->columns; i++) {
        if (fabs(a->number[i]) > (double)FLT_MAX)
            return refuse_number(m, a, i, "a feature: finite, in 32 bits");
        feature[i] = (float)a->number[i];
    }
    return 0;
}

static int store_name(const struct making *m, const struct traj_array *a, size_t i,
                      char name[TRAJ_ID_SIZE])
{
    if (strlen(a->text[i]) >= TRAJ_ID_SIZE)
        return traj_error_set(m->error, "%s: %s[%zu] has %zu bytes, at most %d are possible",
                              m->file->path, a->name, i, strlen(a->text[i]), TRAJ_ID_SIZE - 1);
    memcpy(name, a->text[i], strlen(a->text[i]) + 1);
    return 0;
}

/* ---- frames ------------------------------------------------------------------------------ */

static int name_units(const struct making *m, const struct traj_array *names)
{
    if (names->text == NULL)
        return 0;
    if (names->rows != m->session->units)
        return traj_error_set(m->error, "%s: %s has %zu names for %zu units", m->file->path,
                              names->name, names->rows, m->session->units);
    for (size_t n = 0; n < names->rows; n++)
        if (store_name(m, names, n, m->session->unit_name[n]) != 0)
            return -1;
    return 0;
}

/* s; nobody steers by wider bins, and most widths in ms are larger numbers. */
#define DT_MAX 1.0

/* When bins end and how wide they are: t_end and dt, or dt alone, which counts from 0. */
static int store_times(const struct making *m, const struct traj_array *t_end,
                       const struct traj_array *dt)
{
    struct traj_session *s = m->session;
    double width = m->options->dt;
    if (t_end->number != NULL && t_end->rows != s->bins)
        return traj_error_set(
            m->error, "%s: %s has %zu times for %zu bins%s", m->file->path, t_end->name,
            t_end->rows, s->bins,
            t_end->rows == s->units || t_end->rows == s->features ? " (--transposed?)" : "");
    if (dt->number != NULL && dt->rows != 1 && dt->rows != s->bins)
        return traj_error_set(m->error, "%s: %s has %zu widths for %zu bins", m->file->path,
                              dt->name, dt->rows, s->bins);
    if (!(width > 0.0) && dt->number == NULL)
        return refuse_missing(m, "there is no array dt, and no --dt, that says how wide bins are");
    double end = 0.0;
    for (size_t i = 0; i < s->bins; i++) {
        s->dt[i] = width > 0.0 || dt->number == NULL ? width : dt->number[dt->rows == 1 ? 0 : i];
        if (s->dt[i] > DT_MAX)
            return traj_error_set(m->error, "%s: bin %zu would be %g s wide: dt is in seconds",
                                  m->file->path, i, s->dt[i]);
        end = width > 0.0 || dt->rows == 1 ? (double)(i + 1) * s->dt[i] : end + s->dt[i];
        s->t_end[i] = t_end->number != NULL ? t_end->number[i] : end;
    }
    return 0;
}

struct frames {
    struct traj_array counts, features, t_end, dt, names;
};

static int make_frames(const struct making *m, const struct frames *f)
{
    size_t units = f->counts.number != NULL ? f->counts.columns : 0;
    size_t features = f->features.number != NULL ? f->features.columns : 0;
    size_t bins = units > 0 ? f->counts.rows : f->features.rows;
    if (units == 0 && features == 0)
        return 0;
    if (units > 0 && features > 0 && f->features.rows != bins)
        return traj_error_set(m->error, "%s: %s has %zu rows but %s has %zu", m->file->path,
                              f->counts.name, bins, f->features.name, f->features.rows);
    unsigned parts = units > 0 && f->names.text != NULL ? TRAJ_SESSION_UNIT_NAME : 0u;
    if (traj_session_make_frames(m->session, bins, units, features, parts, m->error) != 0 ||
        store_times(m, &f->t_end, &f->dt) != 0 ||
        (units > 0 && store_counts(m, &f->counts, m->session->counts) != 0) ||
        (features > 0 && store_features(m, &f->features, m->session->feature) != 0))
        return -1;
    return parts != 0 ? name_units(m, &f->names) : 0;
}

static int read_frames(const struct making *m)
{
    struct frames f = {.counts = {.rank = 0}};
    int status = 0;
    if (fetch_matrix(m, "counts", &f.counts) < 0 || fetch_matrix(m, "features", &f.features) < 0 ||
        fetch_vector(m, "t_end", &f.t_end) < 0 || fetch_vector(m, "dt", &f.dt) < 0 ||
        fetch_texts(m, "unit_name", &f.names) < 0)
        status = -1;
    if (status == 0)
        status = make_frames(m, &f);
    traj_array_free(&f.counts);
    traj_array_free(&f.features);
    traj_array_free(&f.t_end);
    traj_array_free(&f.dt);
    traj_array_free(&f.names);
    return status;
}

/* ---- spikes ------------------------------------------------------------------------------ */

/* Where each unit's spikes end, of a list of vectors or from a vector of ends. */
static int find_ends(const struct making *m, struct traj_array *times)
{
    struct traj_array index;
    if (times->end != NULL)
        return 0;
    int status = fetch_vector(m, "spike_times_index", &index);
    if (status == 0)
        status = refuse_missing(m, "spike_times needs spike_times_index, which says where each "
                                   "unit's spikes end");
    if (status == 1) {
        times->end = calloc(index.rows + 1, sizeof *times->end);
        times->parts = index.rows;
        status = times->end != NULL ? 0 : traj_error_set(m->error, "%s: no memory", m->file->path);
    }
    for (size_t n = 0; status == 0 && n < index.rows; n++) {
        double before = n > 0 ? index.number[n - 1] : 0.0, end = index.number[n];
        if (!(end >= before && end <= (double)times->rows) || floor(end) < end)
            status = refuse_number(m, &index, n, "an end: not before the last, within spike_times");
        else
            times->end[n] = (size_t)end;
    }
    traj_array_free(&index);
    return status;
}

static int bin_spikes(const struct making *m, struct traj_array *times)
{
    struct traj_array names;
    if (find_ends(m, times) != 0)
        return -1;
    int status = fetch_texts(m, "unit_name", &names);
    const struct traj_spike_trains trains = {.path = m->file->path,
                                             .name = times->name,
                                             .units = times->parts,
                                             .time = times->number,
                                             .end = times->end};
    if (status >= 0)
        status = traj_spikes_bin(m->session, &trains, &m->options->bins,
                                 names.text != NULL ? TRAJ_SESSION_UNIT_NAME : 0u, m->error);
    if (status == 0)
        status = name_units(m, &names);
    traj_array_free(&names);
    return status;
}

/* Spikes are binned where nothing is yet. */
static int read_spikes(const struct making *m)
{
    struct traj_array times;
    if (m->session->bins > 0)
        return 0;
    int status = fetch(m, "spike_times", &times);
    if (status == 1 && times.number == NULL)
        status = refuse(m, &times, "a vector of times, or one for each unit, is");
    if (status == 1) {
        times.rows *= times.columns;
        times.columns = 1;
        status = bin_spikes(m, &times);
    }
    traj_array_free(&times);
    return status < 0 ? -1 : 0;
}

/* ---- kinematics -------------------------------------------------------------------------- */

/* Rows without a number are lost samples. */
static bool is_lost(const struct traj_array *a, size_t row)
{
    for (size_t d = 0; a->number != NULL && d < a->columns; d++)
        if (isnan(a->number[row * a->columns + d]))
            return true;
    return false;
}

static int store_kinematics(const struct making *m, const struct traj_array *t,
                            const struct traj_array *position, const struct traj_array *velocity)
{
    struct traj_session *s = m->session;
    const double *time = t->number != NULL ? t->number : s->t_end;
    size_t times = t->number != NULL ? t->rows : s->bins, n = 0;
    if (times == 0 && t->number == NULL)
        return refuse_missing(m, "there is no array t, and no bins of counts or features, that say "
                                 "when the rows of position were");
    if (times != position->rows)
        return traj_error_set(m->error, "%s: %s has %zu rows for %zu %s%s", m->file->path,
                              position->name, position->rows, times,
                              t->number != NULL ? "times" : "bins, and there is no array t",
                              position->columns == times ? " (--transposed?)" : "");
    if (velocity->number != NULL &&
        (velocity->rows != position->rows || velocity->columns != position->columns))
        return refuse(m, velocity, "the shape of the position is");
    unsigned parts = velocity->number != NULL ? TRAJ_SESSION_VELOCITY : 0u;
    if (traj_session_make_kinematics(s, position->rows, position->columns, parts, m->error) != 0)
        return -1;
    size_t bytes = s->dim * sizeof *s->position;
    for (size_t i = 0; i < position->rows; i++) {
        if (is_lost(position, i) || is_lost(velocity, i))
            continue;
        s->kin_t[n] = time[i];
        memcpy(s->position + n * s->dim, position->number + i * s->dim, bytes);
        if (parts != 0)
            memcpy(s->velocity + n * s->dim, velocity->number + i * s->dim, bytes);
        n++;
    }
    s->samples = n;
    return n > 0
               ? 0
               : traj_error_set(m->error, "%s: %s holds no number", m->file->path, position->name);
}

static int read_kinematics(const struct making *m)
{
    struct traj_array t, position, velocity = {.rank = 0};
    int there = fetch_matrix(m, "position", &position);
    int status = fetch_vector(m, "t", &t);
    if (there < 0 || status < 0 || fetch_matrix(m, "velocity", &velocity) < 0)
        status = -1;
    else if (there == 1)
        status = store_kinematics(m, &t, &position, &velocity);
    traj_array_free(&t);
    traj_array_free(&position);
    traj_array_free(&velocity);
    return status < 0 ? -1 : 0;
}

/* ---- targets and trials ------------------------------------------------------------------ */

static int store_targets(const struct making *m, const struct traj_array *position,
                         const struct traj_array *id)
{
    struct traj_session *s = m->session;
    if (position->number == NULL || position->end != NULL || position->rank == 0)
        return refuse(m, position, "one position a row is");
    if (traj_session_make_targets(s, position->rows, position->columns, m->error) != 0)
        return -1;
    memcpy(s->target_position, position->number,
           position->rows * position->columns * sizeof *position->number);
    if (id->text == NULL)
        return 0;
    if (id->rows != position->rows)
        return traj_error_set(m->error, "%s: %s has %zu names for %zu targets", m->file->path,
                              id->name, id->rows, position->rows);
    for (size_t k = 0; k < id->rows; k++)
        if (store_name(m, id, k, s->target_id[k]) != 0)
            return -1;
    return 0;
}

static int read_targets(const struct making *m)
{
    struct traj_array position, id = {.rank = 0};
    int status = fetch(m, "target_position", &position);
    if (status == 1)
        status = fetch_texts(m, "target_id", &id) < 0 ? -1 : store_targets(m, &position, &id);
    traj_array_free(&position);
    traj_array_free(&id);
    return status < 0 ? -1 : 0;
}

static int32_t find_id(const struct traj_session *s, const char *id)
{
    for (size_t k = 0; k < s->targets; k++)
        if (strcmp(s->target_id[k], id) == 0)
            return (int32_t)k;
    return -1;
}

/* Rows of target_position, or ids; NaN, -1 (0 where rows are counted from 1) or "" = not known. */
static int store_trial_targets(const struct making *m, const struct traj_array *target)
{
    struct traj_session *s = m->session;
    double first = m->file->counts_from_one ? 1.0 : 0.0;
    for (size_t r = 0; r < s->trials; r++) {
        s->target[r] = -1;
        if (target->text != NULL) {
            s->target[r] = find_id(s, target->text[r]);
            if (s->target[r] < 0 && target->text[r][0] != '\0')
                return traj_error_set(m->error, "%s: %s[%zu]: there is no target \"%.60s\"",
                                      m->file->path, target->name, r, target->text[r]);
            continue;
        }
        double row = target->number[r] - first;
        if (isnan(row) || row == -1.0)
            continue;
        if (!(row >= 0.0 && row < (double)s->targets) || floor(row) < row)
            return traj_error_set(m->error,
                                  "%s: %s[%zu] = %.9g is no row of target_position: %g to %g",
                                  m->file->path, target->name, r, target->number[r], first,
                                  first + (double)s->targets - 1.0);
        s->target[r] = (int32_t)row;
    }
    return 0;
}

enum { START, STOP, GO, MOVE, REWARDED, TIMES };

struct trial_arrays {
    struct traj_array time[TIMES], target;
};

static int store_trials(const struct making *m, struct trial_arrays *t)
{
    static const unsigned part[TIMES] = {0, 0, TRAJ_SESSION_GO, TRAJ_SESSION_MOVE,
                                         TRAJ_SESSION_REWARDED};
    struct traj_session *s = m->session;
    size_t rows = t->time[START].rows;
    unsigned parts = t->target.rows > 0 ? TRAJ_SESSION_TARGET : 0u;
    t->target.rows *= t->target.columns;
    for (int k = 0; k < TIMES; k++)
        if (t->time[k].number != NULL) {
            parts |= part[k];
            if (t->time[k].rows != rows)
                return traj_error_set(m->error, "%s: %s has %zu values for %zu trials",
                                      m->file->path, t->time[k].name, t->time[k].rows, rows);
        }
    if (t->time[STOP].number == NULL)
        return refuse_missing(m, "there are starts of trials but no array stop");
    if (parts & TRAJ_SESSION_TARGET && t->target.rows != rows)
        return traj_error_set(m->error, "%s: %s has %zu values for %zu trials", m->file->path,
                              t->target.name, t->target.rows, rows);
    if (traj_session_make_trials(s, rows, parts, m->error) != 0)
        return -1;
    double *into[TIMES] = {s->start, s->stop, s->go, s->move, s->rewarded};
    for (int k = 0; k < TIMES; k++)
        if (t->time[k].number != NULL)
            memcpy(into[k], t->time[k].number, rows * sizeof *into[k]);
    return parts & TRAJ_SESSION_TARGET ? store_trial_targets(m, &t->target) : 0;
}

static int read_trials(const struct making *m)
{
    static const char *const name[TIMES] = {"start", "stop", "go", "move", "rewarded"};
    struct trial_arrays t = {.target = {.rank = 0}};
    int status = 0, there = 0;
    for (int k = 0; status == 0 && k < TIMES; k++) {
        int found = fetch_vector(m, name[k], &t.time[k]);
        there = k == START ? found : there;
        status = found < 0 ? -1 : 0;
    }
    if (status == 0 && there == 0 && t.time[STOP].number != NULL)
        status = refuse_missing(m, "there are stops of trials but no array start");
    if (status == 0 && there == 1 && fetch(m, "target", &t.target) < 0)
        status = -1;
    if (status == 0 && there == 1)
        status = store_trials(m, &t);
    for (int k = 0; k < TIMES; k++)
        traj_array_free(&t.time[k]);
    traj_array_free(&t.target);
    return status;
}

/* ---- the whole --------------------------------------------------------------------------- */

static int read_text(const struct making *m, const char *role, const char *given, char *field,
                     size_t size)
{
    struct traj_array text = {.rank = 0};
    int status = given == NULL ? fetch_texts(m, role, &text) : 0;
    const char *from = given != NULL ? given : (status == 1 && text.rows > 0 ? text.text[0] : "");
    if (status >= 0 && strlen(from) >= size)
        status = traj_error_set(m->error, "%s: the %s has %zu bytes, at most %zu are possible",
                                m->file->path, role, strlen(from), size - 1);
    if (status >= 0)
        memcpy(field, from, strlen(from) + 1);
    traj_array_free(&text);
    return status < 0 ? -1 : 0;
}

static int check_roles(const struct making *m)
{
    static const char roles[] =
        "counts features t_end dt unit_name spike_times spike_times_index t "
        "position velocity start stop target go move rewarded "
        "target_position target_id length_unit subject description ";
    for (size_t i = 0; i < m->options->arrays; i++) {
        char word[64];
        size_t length = strcspn(m->options->array[i], "=");
        (void)snprintf(word, sizeof word, "%.*s ", (int)(length < 60 ? length : 60),
                       m->options->array[i]);
        const char *at = strstr(roles, word);
        if (m->options->array[i][length] == '\0' || length == 0 || at == NULL ||
            (at > roles && at[-1] != ' '))
            return traj_error_set(m->error,
                                  "--array %s is not ARRAY=NAME with one of the arrays %s",
                                  m->options->array[i], roles);
    }
    return 0;
}

static int make_session(const struct making *m)
{
    struct traj_session *s = m->session;
    const struct traj_arrays_options *o = m->options;
    if (check_roles(m) != 0 ||
        read_text(m, "length_unit", o->length_unit, s->length_unit, sizeof s->length_unit) != 0 ||
        read_text(m, "subject", o->subject, s->subject, sizeof s->subject) != 0 ||
        read_text(m, "description", o->description, s->description, sizeof s->description) != 0 ||
        read_frames(m) != 0 || read_kinematics(m) != 0 || read_targets(m) != 0 ||
        read_trials(m) != 0 || read_spikes(m) != 0)
        return -1;
    if (s->bins == 0 && s->samples == 0)
        return refuse_missing(
            m, "there is none of the arrays counts, features, spike_times and position");
    if ((s->samples > 0 || s->targets > 0) && s->length_unit[0] == '\0')
        return traj_error_set(m->error,
                              "%s: the unit of its positions must be given "
                              "(--length-unit)",
                              m->file->path);
    return traj_session_check(s, m->error);
}

struct traj_session *traj_arrays_session(const struct traj_array_file *file,
                                         const struct traj_arrays_options *options,
                                         struct traj_error *error)
{
    struct making m = {file, options, traj_session_new(file->path), error};
    int status =
        m.session != NULL ? make_session(&m) : traj_error_set(error, "%s: no memory", file->path);
    if (status == 0)
        return m.session;
    traj_session_free(m.session);
    return NULL;
}
