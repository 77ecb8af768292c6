/* SPDX-License-Identifier: GPL-3.0-or-later */
/* struct traj_session and decoded intents -> NWB 2, in the layout of its schema 2.7. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clients/files/h5_output.h"
#include "clients/files/nwb_parts.h"
#include "proto/sha256.h"

#define CORE "core"
#define COMMON "hdmf-common"
#define SCHEMA "2.7.0"
#define PATH_SIZE 256

struct writer {
    const struct traj_h5_output *out;
    const struct traj_nwb_export *export;
    char identifier[TRAJ_SHA256_HEX]; /* of the file: the digest of what it holds */
};

/* ---- objects ----------------------------------------------------------------------------- */

/* What makes an object of the standard out of a group or dataset.  Its id is made from the file's
 * and its path, so that the same content gives the same bytes; it has the form of a UUID. */
static int write_type(const struct writer *w, const char *path, const char *space, const char *type)
{
    struct traj_sha256 sha;
    unsigned char digest[TRAJ_SHA256_SIZE];
    char hex[TRAJ_SHA256_HEX], id[37];
    traj_sha256_init(&sha);
    traj_sha256_update(&sha, w->identifier, sizeof w->identifier);
    traj_sha256_update(&sha, path, strlen(path));
    traj_sha256_final(&sha, digest);
    digest[6] = (unsigned char)((digest[6] & 0x0fu) | 0x80u); /* version 8: of one's own making */
    digest[8] = (unsigned char)((digest[8] & 0x3fu) | 0x80u);
    traj_sha256_hex(digest, hex);
    (void)snprintf(id, sizeof id, "%.8s-%.4s-%.4s-%.4s-%.12s", hex, hex + 8, hex + 12, hex + 16,
                   hex + 20);
    if (traj_h5_write_text(w->out, path, "namespace", space) != 0 ||
        traj_h5_write_text(w->out, path, "neurodata_type", type) != 0)
        return -1;
    return traj_h5_write_text(w->out, path, "object_id", id);
}

static int write_object(const struct writer *w, const char *path, const char *space,
                        const char *type, const char *description)
{
    if (traj_h5_write_group(w->out, path) != 0 || write_type(w, path, space, type) != 0)
        return -1;
    return description != NULL ? traj_h5_write_text(w->out, path, "description", description) : 0;
}

static int write_string(const struct writer *w, const char *path, const char *text)
{
    return traj_h5_write_array(w->out, path, 0, NULL, w->out->text, w->out->text, &text);
}

/* ---- time series ------------------------------------------------------------------------- */

/* A series: its values with their shape, and when each row is. */
struct series {
    const char *path, *type, *description, *comments, *unit;
    int rank;
    size_t dims[3];
    hid_t stored, memory;
    const void *value; /* NULL = the series is left out */
    const double *t;
};

static int write_stamps(const struct writer *w, const struct series *s, const char *data)
{
    char path[PATH_SIZE];
    float conversion = 1.0f, resolution = -1.0f;
    int32_t interval = 1;
    if (traj_h5_write_text(w->out, data, "unit", s->unit) != 0 ||
        traj_h5_write_attribute(w->out, data, "conversion", H5T_NATIVE_FLOAT, &conversion) != 0 ||
        traj_h5_write_attribute(w->out, data, "resolution", H5T_NATIVE_FLOAT, &resolution) != 0)
        return -1;
    (void)snprintf(path, sizeof path, "%s/timestamps", s->path);
    if (traj_h5_write_doubles(w->out, path, s->dims[0], 0, s->t) != 0 ||
        traj_h5_write_attribute(w->out, path, "interval", H5T_NATIVE_INT32, &interval) != 0)
        return -1;
    return traj_h5_write_text(w->out, path, "unit", "seconds");
}

static int write_series(const struct writer *w, const struct series *s)
{
    char path[PATH_SIZE];
    if (s->value == NULL)
        return 0;
    if (write_object(w, s->path, CORE, s->type, s->description) != 0 ||
        (s->comments != NULL && traj_h5_write_text(w->out, s->path, "comments", s->comments) != 0))
        return -1;
    (void)snprintf(path, sizeof path, "%s/data", s->path);
    if (traj_h5_write_array(w->out, path, s->rank, s->dims, s->stored, s->memory, s->value) != 0 ||
        write_stamps(w, s, path) != 0)
        return -1;
    if (strcmp(s->type, "SpatialSeries") != 0)
        return 0;
    (void)snprintf(path, sizeof path, "%s/reference_frame", s->path);
    return write_string(w, path, "the origin of the task's coordinates");
}

static int write_real_series(const struct writer *w, const struct series *series)
{
    struct series s = *series;
    s.stored = H5T_IEEE_F64LE;
    s.memory = H5T_NATIVE_DOUBLE;
    return write_series(w, &s);
}

/* ---- tables ------------------------------------------------------------------------------ */

struct column {
    const char *name, *description;
    const double *number;       /* or */
    char (*text)[TRAJ_ID_SIZE]; /* neither: the column is left out */
    size_t columns;             /* 0 = one number a row */
};

#define COLUMNS_MAX 8

static int write_column(const struct writer *w, const char *table, size_t rows,
                        const struct column *c)
{
    char path[PATH_SIZE];
    (void)snprintf(path, sizeof path, "%s/%s", table, c->name);
    int status = c->text != NULL ? traj_h5_write_names(w->out, path, rows, c->text)
                                 : traj_h5_write_doubles(w->out, path, rows, c->columns, c->number);
    if (status != 0 || write_type(w, path, COMMON, "VectorData") != 0)
        return -1;
    return traj_h5_write_text(w->out, path, "description", c->description);
}

static int write_ids(const struct writer *w, const char *table, size_t rows)
{
    char path[PATH_SIZE];
    int32_t *id = calloc(rows, sizeof *id);
    if (id == NULL)
        return traj_error_set(w->out->error, "%s: no memory for %zu rows", w->out->path, rows);
    for (size_t i = 0; i < rows; i++)
        id[i] = (int32_t)i;
    (void)snprintf(path, sizeof path, "%s/id", table);
    int status = traj_h5_write_array(w->out, path, 1, &rows, H5T_STD_I32LE, H5T_NATIVE_INT32, id);
    free(id);
    return status == 0 ? write_type(w, path, COMMON, "ElementIdentifiers") : -1;
}

static int write_table(const struct writer *w, const char *path, const char *space,
                       const char *type, const char *description, size_t rows,
                       const struct column *columns, size_t count)
{
    const char *name[COLUMNS_MAX];
    size_t names = 0;
    if (write_object(w, path, space, type, description) != 0 || write_ids(w, path, rows) != 0)
        return -1;
    for (size_t k = 0; k < count; k++) {
        if (columns[k].number == NULL && columns[k].text == NULL)
            continue;
        if (write_column(w, path, rows, &columns[k]) != 0)
            return -1;
        name[names++] = columns[k].name;
    }
    return traj_h5_write_texts(w->out, path, "colnames", name, names);
}

/* ---- a session --------------------------------------------------------------------------- */

static int write_units(const struct writer *w, const struct traj_session *s)
{
    const struct column name[] = {{.name = "unit_name",
                                   .description = "name of the unit, as its recording calls it",
                                   .text = s->unit_name}};
    if (s->units == 0 || s->unit_name == NULL)
        return 0;
    return write_table(w, "/units", CORE, "Units",
                       "the columns of /processing/ecephys/binned_spikes", s->units, name, 1);
}

static int write_frames(const struct writer *w, const struct traj_session *s)
{
    const struct series counts = {.path = "/processing/ecephys/binned_spikes",
                                  .type = "TimeSeries",
                                  .description = "spikes of each unit in each bin",
                                  .comments = "timestamps are the ends of the bins; 65535 = this "
                                              "unit was not observed in this bin",
                                  .unit = "spikes",
                                  .rank = 2,
                                  .dims = {s->bins, s->units},
                                  .stored = H5T_STD_U16LE,
                                  .memory = H5T_NATIVE_UINT16,
                                  .value = s->units > 0 ? s->counts : NULL,
                                  .t = s->t_end};
    const struct series features = {.path = "/processing/ecephys/features",
                                    .type = "TimeSeries",
                                    .description = "continuous features in each bin",
                                    .comments = "timestamps are the ends of the bins; not a number "
                                                "= not observed",
                                    .unit = "a.u.",
                                    .rank = 2,
                                    .dims = {s->bins, s->features},
                                    .stored = H5T_IEEE_F32LE,
                                    .memory = H5T_NATIVE_FLOAT,
                                    .value = s->features > 0 ? s->feature : NULL,
                                    .t = s->t_end};
    const struct series width = {.path = "/processing/ecephys/bin_width",
                                 .type = "TimeSeries",
                                 .description = "how wide each bin is",
                                 .comments = "timestamps are the ends of the bins",
                                 .unit = "seconds",
                                 .rank = 1,
                                 .dims = {s->bins},
                                 .value = s->dt,
                                 .t = s->t_end};
    if (s->bins == 0)
        return 0;
    if (write_object(w, "/processing/ecephys", CORE, "ProcessingModule",
                     "neural activity in bins") != 0 ||
        write_series(w, &counts) != 0 || write_series(w, &features) != 0 ||
        write_real_series(w, &width) != 0)
        return -1;
    return write_units(w, s);
}

/* Texts like "mm/s", for series that change with time. */
static void rate_unit(const char *length_unit, char *text, size_t size)
{
    (void)snprintf(text, size, "%s/s", length_unit);
}

static int write_movement(const struct writer *w, const struct traj_session *s)
{
    bool spatial = s->dim <= 3; /* what the standard allows a SpatialSeries */
    char speed[TRAJ_ID_SIZE + 8];
    rate_unit(s->length_unit, speed, sizeof speed);
    const struct series position = {.path = "/processing/behavior/Position/position",
                                    .type = spatial ? "SpatialSeries" : "TimeSeries",
                                    .description = "where the hand or the cursor is",
                                    .unit = s->length_unit,
                                    .rank = 2,
                                    .dims = {s->samples, s->dim},
                                    .value = s->position,
                                    .t = s->kin_t};
    struct series plain = position, velocity = position;
    plain.path = "/processing/behavior/position";
    velocity.path = "/processing/behavior/velocity";
    velocity.type = "TimeSeries";
    velocity.description = "its velocity";
    velocity.unit = speed;
    velocity.value = s->velocity;
    if (s->samples == 0)
        return 0;
    if (spatial && write_object(w, "/processing/behavior/Position", CORE, "Position", NULL) != 0)
        return -1;
    if (write_real_series(w, spatial ? &position : &plain) != 0)
        return -1;
    return write_real_series(w, &velocity);
}

static int write_targets(const struct writer *w, const struct traj_session *s)
{
    const struct column columns[] = {
        {.name = "target_id", .description = "what trials call it", .text = s->target_id},
        {.name = "position",
         .description = "where it is, in the unit and coordinates of the position",
         .number = s->target_position,
         .columns = s->target_dim}};
    if (s->targets == 0)
        return 0;
    if (write_table(w, "/processing/behavior/targets", COMMON, "DynamicTable",
                    "targets of the trials", s->targets, columns, 2) != 0)
        return -1;
    return traj_h5_write_text(w->out, "/processing/behavior/targets/position", "unit",
                              s->length_unit);
}

static int write_behavior(const struct writer *w, const struct traj_session *s)
{
    if (s->samples == 0 && s->targets == 0)
        return 0;
    if (write_object(w, "/processing/behavior", CORE, "ProcessingModule", "movement") != 0 ||
        write_movement(w, s) != 0)
        return -1;
    return write_targets(w, s);
}

static int write_trials(const struct writer *w, const struct traj_session *s)
{
    if (s->trials == 0)
        return 0;
    char(*id)[TRAJ_ID_SIZE] = s->target != NULL ? calloc(s->trials, sizeof *id) : NULL;
    if (s->target != NULL && id == NULL)
        return traj_error_set(w->out->error, "%s: no memory for %zu trials", w->out->path,
                              s->trials);
    for (size_t r = 0; id != NULL && r < s->trials; r++)
        if (s->target[r] >= 0)
            memcpy(id[r], s->target_id[s->target[r]], TRAJ_ID_SIZE);
    const struct column columns[] = {
        {.name = "start_time", .description = "first instant, s", .number = s->start},
        {.name = "stop_time", .description = "last instant, s", .number = s->stop},
        {.name = "go_cue_time",
         .description = "go cue, s; not a number = not known",
         .number = s->go},
        {.name = "move_onset_time",
         .description = "movement onset, s; not a number = not known",
         .number = s->move},
        {.name = "rewarded",
         .description = "1 = rewarded, 0 = not; not a number = not known",
         .number = s->rewarded},
        {.name = "target",
         .description = "target_id in /processing/behavior/targets; empty = not known",
         .text = id}};
    int status = traj_h5_write_group(w->out, "/intervals");
    if (status == 0)
        status = write_table(w, "/intervals/trials", CORE, "TimeIntervals", "trials", s->trials,
                             columns, sizeof columns / sizeof columns[0]);
    free(id);
    return status;
}

static int write_subject(const struct writer *w, const struct traj_session *s)
{
    if (s->subject[0] == '\0')
        return 0;
    if (write_object(w, "/general/subject", CORE, "Subject", NULL) != 0)
        return -1;
    return write_string(w, "/general/subject/subject_id", s->subject);
}

static int write_session(const struct writer *w, const struct traj_session *s)
{
    if (write_frames(w, s) != 0 || write_behavior(w, s) != 0 || write_trials(w, s) != 0)
        return -1;
    return write_subject(w, s);
}

/* ---- decoded intents --------------------------------------------------------------------- */

/* A series of what was decoded, `place` [PATH_SIZE] holding its path. */
static struct series decoded_series(const struct writer *w, const char *name, const char *text,
                                    const char *unit, char *place)
{
    const struct traj_nwb_decoded *d = w->export->decoded;
    (void)snprintf(place, PATH_SIZE, "/processing/%s/%s", w->export->module, name);
    return (struct series){.path = place,
                           .type = "TimeSeries",
                           .description = text,
                           .comments =
                               "timestamps are the ends of the bins that the intents answer; "
                               "not a number = nothing was decoded",
                           .unit = unit,
                           .rank = 1,
                           .dims = {d->rows, 0, 0},
                           .t = d->t};
}

static int write_decoded_movement(const struct writer *w, const char *unit, const char *speed)
{
    const struct traj_nwb_decoded *d = w->export->decoded;
    const struct {
        const char *name, *text;
        const char *unit;
        const double *value;
        int rank;
    } part[] = {{"decoded_position", "posterior mean of the position", unit, d->position, 2},
                {"decoded_velocity", "posterior mean of the velocity", speed, d->velocity, 2},
                {"decoded_position_covariance", "posterior covariance of the position, row by row",
                 "squares of the unit of decoded_position", d->position_cov, 3},
                {"decoded_velocity_covariance", "posterior covariance of the velocity, row by row",
                 "squares of the unit of decoded_velocity", d->velocity_cov, 3}};
    for (size_t k = 0; k < sizeof part / sizeof part[0]; k++) {
        char path[PATH_SIZE];
        struct series s = decoded_series(w, part[k].name, part[k].text, part[k].unit, path);
        s.rank = part[k].rank;
        s.dims[1] = s.dims[2] = d->dim;
        s.value = part[k].value;
        if (write_real_series(w, &s) != 0)
            return -1;
    }
    return 0;
}

/* The names of the columns of a series, as a table with a row for each. */
static int write_legend(const struct writer *w, const char *name, const char *text,
                        const char *const *id, size_t count)
{
    char path[PATH_SIZE];
    char(*cell)[TRAJ_ID_SIZE] = calloc(count, sizeof *cell);
    if (cell == NULL)
        return traj_error_set(w->out->error, "%s: no memory", w->out->path);
    for (size_t m = 0; m < count; m++) {
        if (id != NULL)
            (void)snprintf(cell[m], sizeof cell[m], "%s", id[m]);
        else
            (void)snprintf(cell[m], sizeof cell[m], "%zu", m);
    }
    const struct column column = {.name = "label", .description = text, .text = cell};
    (void)snprintf(path, sizeof path, "/processing/%s/%s", w->export->module, name);
    int status = write_table(w, path, COMMON, "DynamicTable", text, count, &column, 1);
    free(cell);
    return status;
}

static int write_probabilities(const struct writer *w)
{
    const struct traj_nwb_decoded *d = w->export->decoded;
    const struct {
        const char *name, *text;
        const double *value;
        size_t columns;
    } part[] = {{"decoded_target_probability", "probability of each target, by column",
                 d->target_prob, d->targets},
                {"decoded_free_probability", "probability that the movement is to no target",
                 d->free_prob, 0},
                {"decoded_state_probability", "probability of each state, by column", d->state_prob,
                 d->states}};
    for (size_t k = 0; k < sizeof part / sizeof part[0]; k++) {
        char path[PATH_SIZE];
        struct series s = decoded_series(w, part[k].name, part[k].text, "1", path);
        s.rank = part[k].columns > 0 ? 2 : 1;
        s.dims[1] = part[k].columns;
        s.value = part[k].value;
        if (write_real_series(w, &s) != 0)
            return -1;
    }
    if (d->target_prob != NULL &&
        write_legend(w, "decoded_targets", "columns of decoded_target_probability", d->target_id,
                     d->targets) != 0)
        return -1;
    return d->state_prob == NULL
               ? 0
               : write_legend(w, "decoded_states", "columns of decoded_state_probability",
                              d->state_name, d->states);
}

static int write_decoded(const struct writer *w)
{
    const struct traj_nwb_decoded *d = w->export->decoded;
    char path[PATH_SIZE], about[128], unit[TRAJ_ID_SIZE], speed[TRAJ_ID_SIZE + 8];
    (void)snprintf(path, sizeof path, "/processing/%s", w->export->module);
    (void)snprintf(about, sizeof about, "movement intents decoded by trajd%s%s",
                   d->model[0] != '\0' ? ", model " : "", d->model);
    (void)snprintf(unit, sizeof unit, "%s", d->length_unit[0] != '\0' ? d->length_unit : "unknown");
    rate_unit(unit, speed, sizeof speed);
    if (write_object(w, path, CORE, "ProcessingModule", about) != 0 ||
        write_decoded_movement(w, unit, speed) != 0 || write_probabilities(w) != 0)
        return -1;
    struct series valid =
        decoded_series(w, "decoded_valid", "1 = the intent may be acted upon", "1", path);
    valid.stored = H5T_STD_U8LE;
    valid.memory = H5T_NATIVE_UINT8;
    valid.value = d->valid;
    return write_series(w, &valid);
}

/* ---- the file ---------------------------------------------------------------------------- */

static int write_root(const struct writer *w)
{
    static const char *const group[] = {"/acquisition",       "/analysis", "/general",
                                        "/processing",        "/stimulus", "/stimulus/presentation",
                                        "/stimulus/templates"};
    const struct traj_nwb_export *e = w->export;
    const char *about = e->session != NULL ? e->session->description : "";
    const size_t one = 1;
    if (write_type(w, "/", CORE, "NWBFile") != 0 ||
        traj_h5_write_text(w->out, "/", "nwb_version", SCHEMA) != 0)
        return -1;
    for (size_t i = 0; i < sizeof group / sizeof group[0]; i++)
        if (traj_h5_write_group(w->out, group[i]) != 0)
            return -1;
    if (write_string(w, "/identifier", w->identifier) != 0 ||
        write_string(w, "/session_description",
                     about[0] != '\0' ? about : TRAJ_NWB_NO_DESCRIPTION) != 0 ||
        write_string(w, "/session_start_time", e->session_start) != 0 ||
        write_string(w, "/timestamps_reference_time", e->session_start) != 0)
        return -1;
    return traj_h5_write_array(w->out, "/file_create_date", 1, &one, w->out->text, w->out->text,
                               &e->created);
}

static int check_source(const struct writer *w)
{
    const struct traj_h5_input input = {
        .path = w->export->source, .file = w->out->file, .bytes = 0.0, .error = w->out->error};
    char path[PATH_SIZE];
    if (traj_nwb_check_version(&input) != 0)
        return -1;
    (void)snprintf(path, sizeof path, "/processing/%s", w->export->module);
    int there = traj_h5_group(&input, path);
    if (there < 0)
        return -1;
    if (there > 0)
        return traj_error_set(input.error, "%s: %s is there already; name another by --module",
                              input.path, path);
    there = traj_h5_group(&input, "/processing");
    return there == 0 ? traj_h5_write_group(w->out, "/processing") : (there > 0 ? 0 : -1);
}

static void add_to_digest(struct traj_sha256 *sha, const void *bytes, size_t size)
{
    if (bytes != NULL && size > 0)
        traj_sha256_update(sha, bytes, size);
}

/* A digest of what is written, by which the file is known. */
static void identify(struct writer *w)
{
    const struct traj_nwb_export *e = w->export;
    const struct traj_session *s = e->session;
    const struct traj_nwb_decoded *d = e->decoded;
    unsigned char digest[TRAJ_SHA256_SIZE];
    struct traj_sha256 sha;
    traj_sha256_init(&sha);
    add_to_digest(&sha, e->session_start, strlen(e->session_start));
    if (s != NULL) {
        add_to_digest(&sha, s->subject, strlen(s->subject));
        add_to_digest(&sha, s->description, strlen(s->description));
        add_to_digest(&sha, s->t_end, s->bins * sizeof *s->t_end);
        add_to_digest(&sha, s->counts, s->bins * s->units * sizeof *s->counts);
        add_to_digest(&sha, s->feature, s->bins * s->features * sizeof *s->feature);
        add_to_digest(&sha, s->position, s->samples * s->dim * sizeof *s->position);
        add_to_digest(&sha, s->start, s->trials * sizeof *s->start);
    }
    if (d != NULL) {
        add_to_digest(&sha, d->model, strlen(d->model));
        add_to_digest(&sha, d->t, d->rows * sizeof *d->t);
        add_to_digest(&sha, d->position, d->rows * d->dim * sizeof *d->position);
        add_to_digest(&sha, d->target_prob, d->rows * d->targets * sizeof *d->target_prob);
    }
    traj_sha256_final(&sha, digest);
    traj_sha256_hex(digest, w->identifier);
}

static int write_content(const struct traj_h5_output *out, const void *context)
{
    struct writer w = {.out = out, .export = context};
    identify(&w);
    if (w.export->source != NULL)
        return check_source(&w) == 0 ? write_decoded(&w) : -1;
    if (write_root(&w) != 0 ||
        (w.export->session != NULL && write_session(&w, w.export->session) != 0))
        return -1;
    return w.export->decoded != NULL ? write_decoded(&w) : 0;
}

int traj_nwb_write(const struct traj_nwb_export *export, const char *path, struct traj_error *error)
{
    if (export->session != NULL && traj_session_check(export->session, error) != 0)
        return -1;
    if (strchr(export->module, '/') != NULL || export->module[0] == '\0' ||
        strlen(export->module) > 64)
        return traj_error_set(error, "--module \"%s\" is no name of 1 to 64 bytes without a slash",
                              export->module);
    return traj_h5_write_file(path, export->source, write_content, export, error);
}
