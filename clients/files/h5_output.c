/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Writing an HDF5 file that appears whole or not at all. */
#include "clients/files/h5_output.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "clients/files/foreign.h"
#include "clients/files/h5_input.h"

/* Arrays smaller than this stay in one piece; larger ones are packed in chunks of about that size.
 */
#define SMALL_BYTES ((size_t)16384)
#define CHUNK_BYTES ((size_t)262144)
#define DEFLATE_LEVEL 4
#define RANK_MAX 3

static int hdf5_failed(const struct traj_h5_output *out, const char *name)
{
    char reason[200];
    traj_h5_reason(reason, sizeof reason);
    return traj_error_set(out->error, "%s: %s cannot be written: %s", out->path, name, reason);
}

/* ---- attributes and groups ---------------------------------------------------------------------
 */

static int write_attribute(const struct traj_h5_output *out, const char *object, const char *name,
                           hid_t space, hid_t type, const void *value)
{
    hid_t id = space < 0 ? -1
                         : H5Acreate_by_name(out->file, object, name, type, space, H5P_DEFAULT,
                                             H5P_DEFAULT, H5P_DEFAULT);
    int status = id >= 0 && H5Awrite(id, type, value) >= 0 ? 0 : hdf5_failed(out, name);
    if (id >= 0)
        (void)H5Aclose(id);
    if (space >= 0)
        (void)H5Sclose(space);
    return status;
}

int traj_h5_write_attribute(const struct traj_h5_output *out, const char *object, const char *name,
                            hid_t type, const void *value)
{
    return write_attribute(out, object, name, H5Screate(H5S_SCALAR), type, value);
}

int traj_h5_write_text(const struct traj_h5_output *out, const char *object, const char *name,
                       const char *text)
{
    return traj_h5_write_attribute(out, object, name, out->text, &text);
}

int traj_h5_write_texts(const struct traj_h5_output *out, const char *object, const char *name,
                        const char *const *text, size_t count)
{
    hsize_t dims[1] = {count};
    return write_attribute(out, object, name, H5Screate_simple(1, dims, NULL), out->text, text);
}

int traj_h5_write_reference(const struct traj_h5_output *out, const char *object, const char *name,
                            const char *target)
{
    hobj_ref_t reference;
    if (H5Rcreate(&reference, out->file, target, H5R_OBJECT, -1) < 0)
        return hdf5_failed(out, name);
    return traj_h5_write_attribute(out, object, name, H5T_STD_REF_OBJ, &reference);
}

int traj_h5_write_group(const struct traj_h5_output *out, const char *name)
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

/* ---- datasets -----------------------------------------------------------------------------------
 */

/* Storage of a dataset: no times of day, and packed where it is large. */
static hid_t storage(int rank, const hsize_t *dims, size_t size)
{
    hid_t list = H5Pcreate(H5P_DATASET_CREATE);
    if (list < 0 || H5Pset_obj_track_times(list, false) < 0)
        return list;
    size_t row_bytes = size;
    for (int r = 1; r < rank; r++)
        row_bytes *= dims[r];
    size_t rows = rank > 0 ? dims[0] : 0;
    if (rows * row_bytes < SMALL_BYTES || H5Zfilter_avail(H5Z_FILTER_DEFLATE) <= 0)
        return list;
    size_t chunk_rows = CHUNK_BYTES / row_bytes;
    chunk_rows = chunk_rows < 1 ? 1 : chunk_rows > rows ? rows : chunk_rows;
    hsize_t chunk[RANK_MAX] = {chunk_rows};
    for (int r = 1; r < rank; r++)
        chunk[r] = dims[r];
    if (H5Pset_chunk(list, rank, chunk) >= 0) {
        (void)H5Pset_shuffle(list);
        (void)H5Pset_deflate(list, DEFLATE_LEVEL);
    }
    return list;
}

int traj_h5_write_array(const struct traj_h5_output *out, const char *name, int rank,
                        const size_t *dims, hid_t stored, hid_t memory, const void *value)
{
    if (value == NULL)
        return 0;
    hsize_t extent[RANK_MAX] = {0};
    for (int r = 0; r < rank; r++)
        extent[r] = dims[r];
    hid_t space = rank > 0 ? H5Screate_simple(rank, extent, NULL) : H5Screate(H5S_SCALAR);
    hid_t list = storage(rank, extent, H5Tget_size(stored));
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

int traj_h5_write_doubles(const struct traj_h5_output *out, const char *name, size_t rows,
                          size_t columns, const double *value)
{
    const size_t dims[2] = {rows, columns};
    return traj_h5_write_array(out, name, columns > 0 ? 2 : 1, dims, H5T_IEEE_F64LE,
                               H5T_NATIVE_DOUBLE, value);
}

int traj_h5_write_names(const struct traj_h5_output *out, const char *name, size_t rows,
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
    int status = traj_h5_write_array(out, name, 1, &rows, out->text, out->text, pointer);
    free(pointer);
    return status;
}

/* ---- the file -----------------------------------------------------------------------------------
 */

static int copy_bytes(int from, int to)
{
    static char block[65536];
    ssize_t length;
    while ((length = read(from, block, sizeof block)) > 0)
        for (ssize_t done = 0, written; done < length; done += written)
            if ((written = write(to, block + done, (size_t)(length - done))) <= 0)
                return -1;
    return length == 0 ? 0 : -1;
}

static int copy_file(const char *source, const char *part, struct traj_error *error)
{
    int from = open(source, O_RDONLY);
    if (from < 0)
        return traj_error_set(error, "%s: %s", source, strerror(errno));
    int to = open(part, O_WRONLY | O_CREAT | O_EXCL, 0666);
    int status = to >= 0 && copy_bytes(from, to) == 0 ? 0 : -1;
    int why = errno;
    (void)close(from);
    if (to >= 0 && close(to) != 0)
        status = -1;
    return status == 0 ? 0
                       : traj_error_set(error, "%s: cannot be copied to %s: %s", source, part,
                                        strerror(why));
}

static int write_content(struct traj_h5_output *out, traj_h5_content *content, const void *context)
{
    int status = 0;
    out->text = H5Tcopy(H5T_C_S1);
    if (out->text < 0 || H5Tset_size(out->text, H5T_VARIABLE) < 0 ||
        H5Tset_cset(out->text, H5T_CSET_UTF8) < 0)
        status = hdf5_failed(out, "text");
    if (status == 0)
        status = content(out, context);
    if (out->text >= 0)
        (void)H5Tclose(out->text);
    return status;
}

/* An empty file for HDF5 to fill, whose own sentence would not say why there can be none. */
static int make_part(const char *part, const char *path, struct traj_error *error)
{
    int fd = open(part, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (fd < 0)
        return traj_error_set(error, "%s: cannot be written: %s", path, strerror(errno));
    (void)close(fd);
    return 0;
}

static int write_part(const char *part, const char *path, const char *source,
                      traj_h5_content *content, const void *context, struct traj_error *error)
{
    struct traj_h5_output out = {.path = path, .file = -1, .text = -1, .error = error};
    if ((source != NULL ? copy_file(source, part, error) : make_part(part, path, error)) != 0)
        return -1;
    out.file = source != NULL ? H5Fopen(part, H5F_ACC_RDWR, H5P_DEFAULT)
                              : H5Fcreate(part, H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
    if (out.file < 0) {
        char reason[200];
        traj_h5_reason(reason, sizeof reason);
        return traj_error_set(error, "%s: cannot be %s: %s", source != NULL ? source : path,
                              source != NULL ? "opened" : "created", reason);
    }
    int status = write_content(&out, content, context);
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

/* The rename would put a file where a device, pipe or socket is. */
static int check_place(const char *path, struct traj_error *error)
{
    struct stat there;
    if (stat(path, &there) == 0 && !S_ISREG(there.st_mode) && !S_ISDIR(there.st_mode))
        return traj_error_set(error, "%s: cannot be written: not a regular file", path);
    return 0;
}

int traj_h5_write_file(const char *path, const char *source, traj_h5_content *content,
                       const void *context, struct traj_error *error)
{
    size_t size = strlen(path) + 32;
    if (check_place(path, error) != 0)
        return -1;
    char *part = malloc(size);
    if (part == NULL)
        return traj_error_set(error, "%s: no memory", path);
    (void)snprintf(part, size, "%s.part%ld", path, (long)getpid());
    /* One that is left of a process that had our number and died is nobody's. */
    (void)unlink(part);
    struct traj_foreign before;
    struct traj_h5_printing printing = traj_h5_silence();
    if (source != NULL)
        traj_foreign_begin(&before, source);
    int status = write_part(part, path, source, content, context, error);
    if (source != NULL)
        traj_foreign_end(&before);
    traj_h5_restore(&printing);
    if (status == 0)
        status = flush_and_rename(part, path, error);
    if (status != 0)
        (void)unlink(part);
    free(part);
    return status;
}
