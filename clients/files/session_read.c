/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Session file -> struct traj_session. */
#include "clients/files/foreign.h"
#include "clients/files/h5_input.h"
#include "clients/files/session_file.h"

#include <string.h>

/* ---- shapes that must agree ---------------------------------------------------------------------
 */

static int same_rows(const struct traj_h5_input *input, const struct traj_h5_dataset *a,
                     const struct traj_h5_dataset *b)
{
    if (a->id < 0 || b->id < 0 || a->rows == b->rows)
        return 0;
    return traj_error_set(input->error, "%s: %s has %zu rows but %s has %zu", input->path, a->name,
                          a->rows, b->name, b->rows);
}

static int some_rows(const struct traj_h5_input *input, const struct traj_h5_dataset *dataset)
{
    if (dataset->rows > 0 && dataset->columns > 0)
        return 0;
    return traj_error_set(input->error, "%s: %s is empty", input->path, dataset->name);
}

/* ---- frames -------------------------------------------------------------------------------------
 */

struct frames {
    struct traj_h5_dataset t_end, dt, counts, features, unit_name;
};

static int open_frames(const struct traj_h5_input *input, struct frames *f)
{
    if (traj_h5_dataset_open(input, "/frames/t_end", 1, true, &f->t_end) < 0 ||
        traj_h5_dataset_open(input, "/frames/dt", 1, true, &f->dt) < 0 ||
        traj_h5_dataset_open(input, "/frames/counts", 2, false, &f->counts) < 0 ||
        traj_h5_dataset_open(input, "/frames/features", 2, false, &f->features) < 0 ||
        traj_h5_dataset_open(input, "/frames/unit_name", 1, false, &f->unit_name) < 0)
        return -1;
    if (f->counts.id < 0 && f->features.id < 0)
        return traj_error_set(
            input->error, "%s: /frames/counts is missing, and so is /frames/features", input->path);
    if (same_rows(input, &f->dt, &f->t_end) != 0 || same_rows(input, &f->counts, &f->t_end) != 0 ||
        same_rows(input, &f->features, &f->t_end) != 0 || some_rows(input, &f->t_end) != 0 ||
        (f->counts.id >= 0 && some_rows(input, &f->counts) != 0) ||
        (f->features.id >= 0 && some_rows(input, &f->features) != 0))
        return -1;
    size_t units = f->counts.id >= 0 ? f->counts.columns : 0;
    if (f->unit_name.id >= 0 && f->unit_name.rows != units)
        return traj_error_set(input->error,
                              "%s: /frames/unit_name has %zu rows but /frames/counts has %zu "
                              "columns",
                              input->path, f->unit_name.rows, units);
    return 0;
}

static int load_frames(const struct traj_h5_input *input, const struct frames *f,
                       struct traj_session *session)
{
    size_t units = f->counts.id >= 0 ? f->counts.columns : 0;
    size_t features = f->features.id >= 0 ? f->features.columns : 0;
    unsigned parts = f->unit_name.id >= 0 ? TRAJ_SESSION_UNIT_NAME : 0u;
    if (traj_session_make_frames(session, f->t_end.rows, units, features, parts, input->error) != 0)
        return -1;
    if (traj_h5_read_doubles(input, &f->t_end, session->t_end) != 0 ||
        traj_h5_read_doubles(input, &f->dt, session->dt) != 0 ||
        (units > 0 && traj_h5_read_counts(input, &f->counts, session->counts) != 0) ||
        (features > 0 && traj_h5_read_floats(input, &f->features, session->feature) != 0) ||
        (parts != 0 && traj_h5_read_names(input, &f->unit_name, session->unit_name) != 0))
        return -1;
    return 0;
}

static int read_frames(const struct traj_h5_input *input, struct traj_session *session)
{
    const struct traj_h5_dataset none = {.id = -1, .type = -1};
    struct frames f = {none, none, none, none, none};
    int status = traj_h5_group(input, "/frames");
    if (status != 1)
        return status;
    status = open_frames(input, &f);
    if (status == 0)
        status = load_frames(input, &f, session);
    traj_h5_dataset_close(&f.t_end);
    traj_h5_dataset_close(&f.dt);
    traj_h5_dataset_close(&f.counts);
    traj_h5_dataset_close(&f.features);
    traj_h5_dataset_close(&f.unit_name);
    return status;
}

/* ---- kinematics ---------------------------------------------------------------------------------
 */

struct kinematics {
    struct traj_h5_dataset t, position, velocity;
};

static int open_kinematics(const struct traj_h5_input *input, struct kinematics *k)
{
    if (traj_h5_dataset_open(input, "/kinematics/t", 1, true, &k->t) < 0 ||
        traj_h5_dataset_open(input, "/kinematics/position", 2, true, &k->position) < 0 ||
        traj_h5_dataset_open(input, "/kinematics/velocity", 2, false, &k->velocity) < 0)
        return -1;
    if (same_rows(input, &k->position, &k->t) != 0 || same_rows(input, &k->velocity, &k->t) != 0 ||
        some_rows(input, &k->position) != 0)
        return -1;
    if (k->velocity.id >= 0 && k->velocity.columns != k->position.columns)
        return traj_error_set(input->error,
                              "%s: /kinematics/velocity has %zu columns but /kinematics/position "
                              "has %zu",
                              input->path, k->velocity.columns, k->position.columns);
    return 0;
}

static int load_kinematics(const struct traj_h5_input *input, const struct kinematics *k,
                           struct traj_session *session)
{
    unsigned parts = k->velocity.id >= 0 ? TRAJ_SESSION_VELOCITY : 0u;
    if (traj_session_make_kinematics(session, k->t.rows, k->position.columns, parts,
                                     input->error) != 0 ||
        traj_h5_read_doubles(input, &k->t, session->kin_t) != 0 ||
        traj_h5_read_doubles(input, &k->position, session->position) != 0)
        return -1;
    return parts == 0 ? 0 : traj_h5_read_doubles(input, &k->velocity, session->velocity);
}

static int read_kinematics(const struct traj_h5_input *input, struct traj_session *session)
{
    const struct traj_h5_dataset none = {.id = -1, .type = -1};
    struct kinematics k = {none, none, none};
    int status = traj_h5_group(input, "/kinematics");
    if (status != 1)
        return status;
    status = open_kinematics(input, &k);
    if (status == 0)
        status = load_kinematics(input, &k, session);
    traj_h5_dataset_close(&k.t);
    traj_h5_dataset_close(&k.position);
    traj_h5_dataset_close(&k.velocity);
    return status;
}

/* ---- trials and targets -------------------------------------------------------------------------
 */

enum { START, STOP, GO, MOVE, REWARDED, TARGET, TRIAL_DATASETS };

static int open_trials(const struct traj_h5_input *input,
                       struct traj_h5_dataset dataset[TRIAL_DATASETS])
{
    static const char *const name[TRIAL_DATASETS] = {"/trials/start",    "/trials/stop",
                                                     "/trials/go",       "/trials/move",
                                                     "/trials/rewarded", "/trials/target"};
    for (int i = 0; i < TRIAL_DATASETS; i++)
        if (traj_h5_dataset_open(input, name[i], 1, i <= STOP, &dataset[i]) < 0 ||
            same_rows(input, &dataset[i], &dataset[START]) != 0)
            return -1;
    return 0;
}

static int load_trials(const struct traj_h5_input *input,
                       const struct traj_h5_dataset dataset[TRIAL_DATASETS],
                       struct traj_session *session)
{
    unsigned parts = (dataset[GO].id >= 0 ? TRAJ_SESSION_GO : 0u) |
                     (dataset[MOVE].id >= 0 ? TRAJ_SESSION_MOVE : 0u) |
                     (dataset[REWARDED].id >= 0 ? TRAJ_SESSION_REWARDED : 0u) |
                     (dataset[TARGET].id >= 0 ? TRAJ_SESSION_TARGET : 0u);
    if (traj_session_make_trials(session, dataset[START].rows, parts, input->error) != 0)
        return -1;
    double *value[TARGET] = {session->start, session->stop, session->go, session->move,
                             session->rewarded};
    for (int i = START; i < TARGET; i++)
        if (dataset[i].id >= 0 && traj_h5_read_doubles(input, &dataset[i], value[i]) != 0)
            return -1;
    if (dataset[TARGET].id < 0)
        return 0;
    return traj_h5_read_int32(input, &dataset[TARGET], session->target);
}

static int read_trials(const struct traj_h5_input *input, struct traj_session *session)
{
    struct traj_h5_dataset dataset[TRIAL_DATASETS];
    for (int i = 0; i < TRIAL_DATASETS; i++)
        dataset[i] = (struct traj_h5_dataset){.id = -1, .type = -1};
    int status = traj_h5_group(input, "/trials");
    if (status != 1)
        return status;
    status = open_trials(input, dataset);
    /* A session in which no trial was completed is as good as one without trials. */
    if (status == 0 && dataset[START].rows > 0)
        status = load_trials(input, dataset, session);
    for (int i = 0; i < TRIAL_DATASETS; i++)
        traj_h5_dataset_close(&dataset[i]);
    return status;
}

static int read_targets(const struct traj_h5_input *input, struct traj_session *session)
{
    struct traj_h5_dataset position = {.id = -1, .type = -1}, id = {.id = -1, .type = -1};
    int status = traj_h5_group(input, "/targets");
    if (status != 1)
        return status;
    status = 0;
    if (traj_h5_dataset_open(input, "/targets/position", 2, true, &position) < 0 ||
        traj_h5_dataset_open(input, "/targets/id", 1, false, &id) < 0 ||
        same_rows(input, &id, &position) != 0)
        status = -1;
    if (status == 0 && position.rows > 0) {
        if (traj_session_make_targets(session, position.rows, position.columns, input->error) !=
                0 ||
            traj_h5_read_doubles(input, &position, session->target_position) != 0 ||
            (id.id >= 0 && traj_h5_read_names(input, &id, session->target_id) != 0))
            status = -1;
    }
    traj_h5_dataset_close(&position);
    traj_h5_dataset_close(&id);
    return status;
}

/* ---- the whole ----------------------------------------------------------------------------------
 */

static int read_attributes(const struct traj_h5_input *input, struct traj_session *session)
{
    char format[64] = "";
    double version = 0.0;
    if (traj_h5_read_text(input, "/", "format", true, format, sizeof format) < 0)
        return -1;
    if (strcmp(format, "trajd-session") != 0)
        return traj_error_set(input->error, "%s: attribute format is \"%s\", not \"trajd-session\"",
                              input->path, format);
    if (traj_h5_read_number(input, "/", "version", true, &version) < 0)
        return -1;
    if (!(version >= 1.0 && version <= 1.0))
        return traj_error_set(input->error, "%s: attribute version is %g, this program reads 1",
                              input->path, version);
    if (traj_h5_read_text(input, "/", "subject", false, session->subject, sizeof session->subject) <
            0 ||
        traj_h5_read_text(input, "/", "description", false, session->description,
                          sizeof session->description) < 0 ||
        traj_h5_read_text(input, "/", "length_unit", false, session->length_unit,
                          sizeof session->length_unit) < 0)
        return -1;
    return 0;
}

static int read_parts(const struct traj_h5_input *input, struct traj_session *session)
{
    if (read_attributes(input, session) < 0 || read_frames(input, session) < 0 ||
        read_kinematics(input, session) < 0 || read_targets(input, session) < 0 ||
        read_trials(input, session) < 0)
        return -1;
    return traj_session_check(session, input->error);
}

struct traj_session *traj_session_read(const char *path, struct traj_error *error)
{
    struct traj_foreign before;
    struct traj_h5_printing printing = traj_h5_silence();
    traj_foreign_begin(&before, path);
    struct traj_session *session = traj_session_new(path);
    struct traj_h5_input input = {.path = path, .file = -1};
    int status = session != NULL ? traj_h5_open(&input, path, error)
                                 : traj_error_set(error, "%s: no memory", path);
    if (status == 0)
        status = read_parts(&input, session);
    traj_h5_close(&input);
    traj_foreign_end(&before);
    traj_h5_restore(&printing);
    if (status != 0) {
        traj_session_free(session);
        return NULL;
    }
    return session;
}
