/* SPDX-License-Identifier: GPL-3.0-or-later */
/* struct traj_session -> session file. */
#include "clients/files/h5_input.h"
#include "clients/files/session_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Arrays smaller than this stay in one piece; larger ones are packed in chunks of about that size.
 */
#define SMALL_BYTES ((size_t)16384)
#define CHUNK_BYTES ((size_t)262144)
#define DEFLATE_LEVEL 4

struct output {
    const char *path; /* for sentences: the name that the file will have */
    hid_t file;
    hid_t text; /* string of variable length, UTF-8, as h5py writes it */
    struct traj_error *error;
};

static int hdf5_failed(const struct output *out, const char *name)
{
    char reason[200];
    traj_h5_reason(reason, sizeof reason);
    return traj_error_set(out->error, "%s: %s cannot be written: %s", out->path, name, reason);
}

/* ---- attributes, groups, datasets ---------------------------------------------------------------
 */

static int write_attribute(const struct output *out, const char *name, hid_t type,
                           const void *value)
{
    hid_t space = H5Screate(H5S_SCALAR);
    hid_t id = space < 0 ? -1 : H5Acreate2(out->file, name, type, space, H5P_DEFAULT, H5P_DEFAULT);
    int status = id >= 0 && H5Awrite(id, type, value) >= 0 ? 0 : hdf5_failed(out, name);
    if (id >= 0)
        (void)H5Aclose(id);
    if (space >= 0)
        (void)H5Sclose(space);
    return status;
}

static int write_text(const struct output *out, const char *name, const char *text)
{
    return write_attribute(out, name, out->text, &text);
}

static int write_group(const struct output *out, const char *name)
{
    hid_t plain = H5Pcreate(H5P_GROUP_CREATE);
    hid_t group = -1;
    if (plain >= 0 && H5Pset_obj_track_times(plain, false) >= 0)
        group = H5Gcreate2(out->file, name, H5P_DEFAULT, plain, H5P_DEFAULT);
    int status = group >= 0 ? 0 : hdf5_failed(out, name);
    if (group >= 0)
        (void)H5Gclose(group);
    if (plain >= 0)
        (void)H5Pclose(plain);
    return status;
}

/* Storage of a dataset: no times of day, and packed where it is large. */
static hid_t storage(int rank, size_t rows, size_t columns, size_t size)
{
    hid_t list = H5Pcreate(H5P_DATASET_CREATE);
    if (list < 0 || H5Pset_obj_track_times(list, false) < 0)
        return list;
    size_t row_bytes = columns * size;
    if (rows * row_bytes < SMALL_BYTES || H5Zfilter_avail(H5Z_FILTER_DEFLATE) <= 0)
        return list;
    size_t chunk_rows = CHUNK_BYTES / row_bytes;
    chunk_rows = chunk_rows < 1 ? 1 : chunk_rows > rows ? rows : chunk_rows;
    hsize_t chunk[2] = {chunk_rows, columns};
    if (H5Pset_chunk(list, rank, chunk) >= 0) {
        (void)H5Pset_shuffle(list);
        (void)H5Pset_deflate(list, DEFLATE_LEVEL);
    }
    return list;
}

/* A matrix has rank 2 even where it has one column; columns = 0 asks for rank 1. */
static int write_array(const struct output *out, const char *name, size_t rows, size_t columns,
                       hid_t stored, hid_t memory, const void *value)
{
    if (value == NULL)
        return 0;
    hsize_t dims[2] = {rows, columns};
    int rank = columns > 0 ? 2 : 1;
    hid_t space = H5Screate_simple(rank, dims, NULL);
    hid_t list = storage(rank, rows, columns > 0 ? columns : 1, H5Tget_size(stored));
    hid_t id = -1;
    if (space >= 0 && list >= 0)
        id = H5Dcreate2(out->file, name, stored, space, H5P_DEFAULT, list, H5P_DEFAULT);
    bool good = id >= 0 && H5Dwrite(id, memory, H5S_ALL, H5S_ALL, H5P_DEFAULT, value) >= 0;
    int status = good ? 0 : hdf5_failed(out, name);
    if (id >= 0)
        (void)H5Dclose(id);
    if (list >= 0)
        (void)H5Pclose(list);
    if (space >= 0)
        (void)H5Sclose(space);
    return status;
}

static int write_doubles(const struct output *out, const char *name, size_t rows, size_t columns,
                         const double *value)
{
    return write_array(out, name, rows, columns, H5T_IEEE_F64LE, H5T_NATIVE_DOUBLE, value);
}

static int write_names(const struct output *out, const char *name, size_t rows,
                       char (*text)[TRAJ_ID_SIZE])
{
    if (text == NULL || rows == 0)
        return 0;
    char **pointer = malloc(rows * sizeof *pointer);
    if (pointer == NULL)
        return traj_error_set(out->error, "%s: %s: no memory for %zu strings", out->path, name,
                              rows);
    for (size_t i = 0; i < rows; i++)
        pointer[i] = text[i];
    int status = write_array(out, name, rows, 0, out->text, out->text, pointer);
    free(pointer);
    return status;
}

/* ---- the parts ----------------------------------------------------------------------------------
 */

static int write_attributes(const struct output *out, const struct traj_session *s)
{
    int32_t version = 1;
    if (write_text(out, "format", "trajd-session") != 0 ||
        write_attribute(out, "version", H5T_NATIVE_INT32, &version) != 0 ||
        write_text(out, "subject", s->subject) != 0 ||
        write_text(out, "description", s->description) != 0)
        return -1;
    return write_text(out, "length_unit", s->length_unit);
}

static int write_frames(const struct output *out, const struct traj_session *s)
{
    if (s->bins == 0)
        return 0;
    if (write_group(out, "/frames") != 0 ||
        write_doubles(out, "/frames/t_end", s->bins, 0, s->t_end) != 0 ||
        write_doubles(out, "/frames/dt", s->bins, 0, s->dt) != 0)
        return -1;
    if (s->units > 0 && (write_array(out, "/frames/counts", s->bins, s->units, H5T_STD_U16LE,
                                     H5T_NATIVE_UINT16, s->counts) != 0 ||
                         write_names(out, "/frames/unit_name", s->units, s->unit_name) != 0))
        return -1;
    if (s->features == 0)
        return 0;
    return write_array(out, "/frames/features", s->bins, s->features, H5T_IEEE_F32LE,
                       H5T_NATIVE_FLOAT, s->feature);
}

static int write_kinematics(const struct output *out, const struct traj_session *s)
{
    if (s->samples == 0)
        return 0;
    if (write_group(out, "/kinematics") != 0 ||
        write_doubles(out, "/kinematics/t", s->samples, 0, s->kin_t) != 0 ||
        write_doubles(out, "/kinematics/position", s->samples, s->dim, s->position) != 0)
        return -1;
    return write_doubles(out, "/kinematics/velocity", s->samples, s->dim, s->velocity);
}

static int write_trials(const struct output *out, const struct traj_session *s)
{
    if (s->trials == 0)
        return 0;
    if (write_group(out, "/trials") != 0 ||
        write_doubles(out, "/trials/start", s->trials, 0, s->start) != 0 ||
        write_doubles(out, "/trials/stop", s->trials, 0, s->stop) != 0 ||
        write_doubles(out, "/trials/go", s->trials, 0, s->go) != 0 ||
        write_doubles(out, "/trials/move", s->trials, 0, s->move) != 0 ||
        write_doubles(out, "/trials/rewarded", s->trials, 0, s->rewarded) != 0)
        return -1;
    return write_array(out, "/trials/target", s->trials, 0, H5T_STD_I32LE, H5T_NATIVE_INT32,
                       s->target);
}

static int write_targets(const struct output *out, const struct traj_session *s)
{
    if (s->targets == 0)
        return 0;
    if (write_group(out, "/targets") != 0 ||
        write_doubles(out, "/targets/position", s->targets, s->target_dim, s->target_position) != 0)
        return -1;
    return write_names(out, "/targets/id", s->targets, s->target_id);
}

/* ---- the whole ----------------------------------------------------------------------------------
 */

static int write_content(struct output *out, const struct traj_session *s)
{
    out->text = H5Tcopy(H5T_C_S1);
    int status = 0;
    if (out->text < 0 || H5Tset_size(out->text, H5T_VARIABLE) < 0 ||
        H5Tset_cset(out->text, H5T_CSET_UTF8) < 0)
        status = hdf5_failed(out, "text");
    if (status == 0 &&
        (write_attributes(out, s) != 0 || write_frames(out, s) != 0 ||
         write_kinematics(out, s) != 0 || write_trials(out, s) != 0 || write_targets(out, s) != 0))
        status = -1;
    if (out->text >= 0)
        (void)H5Tclose(out->text);
    return status;
}

static int write_file(const struct traj_session *s, const char *part, const char *path,
                      struct traj_error *error)
{
    struct output out = {.path = path, .file = -1, .text = -1, .error = error};
    out.file = H5Fcreate(part, H5F_ACC_EXCL, H5P_DEFAULT, H5P_DEFAULT);
    if (out.file < 0) {
        char reason[200];
        traj_h5_reason(reason, sizeof reason);
        return traj_error_set(error, "%s: cannot be created: %s", path, reason);
    }
    int status = write_content(&out, s);
    if (H5Fclose(out.file) < 0 && status == 0)
        status = hdf5_failed(&out, "the file");
    return status;
}

/* The rename must not reach the disk before the content does. */
static int flush_and_rename(const char *part, const char *path, struct traj_error *error)
{
    int fd = open(part, O_RDONLY);
    bool flushed = fd >= 0 && fsync(fd) == 0;
    int why = errno;
    if (fd >= 0)
        (void)close(fd);
    if (!flushed)
        return traj_error_set(error, "%s: cannot be written: %s", path, strerror(why));
    if (rename(part, path) != 0)
        return traj_error_set(error, "%s: cannot be written: %s", path, strerror(errno));
    return 0;
}

int traj_session_write(const struct traj_session *session, const char *path,
                       struct traj_error *error)
{
    if (traj_session_check(session, error) != 0)
        return -1;
    size_t size = strlen(path) + 32;
    char *part = malloc(size);
    if (part == NULL)
        return traj_error_set(error, "%s: no memory", path);
    (void)snprintf(part, size, "%s.part%ld", path, (long)getpid());
    /* One that is left of a process that had our number and died is nobody's. */
    (void)unlink(part);
    H5E_auto2_t print = NULL;
    void *print_data = NULL;
    (void)H5Eget_auto2(H5E_DEFAULT, &print, &print_data);
    (void)H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
    int status = write_file(session, part, path, error);
    (void)H5Eset_auto2(H5E_DEFAULT, print, print_data);
    if (status == 0)
        status = flush_and_rename(part, path, error);
    if (status != 0)
        (void)unlink(part);
    free(part);
    return status;
}
