/* SPDX-License-Identifier: GPL-3.0-or-later */
/* numpy's npz: a zip of arrays, through libzip. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <zip.h>

#include "clients/files/arrays.h"
#include "clients/files/npy.h"
#include "clients/files/npz.h"

#define FIRST_ROOM 65536u /* bytes of an entry that memory is taken for before any has come */

struct npz {
    const char *path;
    zip_t *zip;
};

/* ---- bytes of an entry ------------------------------------------------------------------- */

/*
 * Memory is taken as bytes come, because both sizes of an entry are only claims of the file.
 * libzip compares the checksum where it finds the entry's end, so that it is asked for one byte
 * more than there are.
 * 0, 1 = the entry is not what it claims, or -1 = no memory; bytes are the caller's to free.
 */
static int unpack(zip_file_t *file, zip_uint64_t size, unsigned char **bytes)
{
    zip_uint64_t room = 0, done = 0;
    zip_int64_t got = 1;
    while (done < size && got > 0) {
        if (done == room) {
            room = room == 0 ? FIRST_ROOM : 2 * room;
            room = room < size ? room : size;
            unsigned char *more = realloc(*bytes, room);
            if (more == NULL)
                return -1;
            *bytes = more;
        }
        got = zip_fread(file, *bytes + done, room - done);
        done += got > 0 ? (zip_uint64_t)got : 0;
    }
    unsigned char beyond;
    return done == size && zip_fread(file, &beyond, 1) == 0 ? 0 : 1;
}

/* 1 with bytes for the caller to free, 0 = no such entry, -1 with a sentence. */
static int read_entry(const struct npz *npz, const char *entry, unsigned char **bytes, size_t *size,
                      struct traj_error *error)
{
    zip_stat_t about;
    zip_int64_t index = zip_name_locate(npz->zip, entry, 0);
    if (index < 0)
        return 0;
    *bytes = NULL;
    zip_file_t *file = zip_fopen_index(npz->zip, (zip_uint64_t)index, 0);
    int status = 1;
    if (file != NULL && zip_stat_index(npz->zip, (zip_uint64_t)index, 0, &about) == 0 &&
        (about.valid & ZIP_STAT_SIZE) != 0 && about.size < SIZE_MAX / 2)
        status = unpack(file, about.size, bytes);
    if (file != NULL && zip_fclose(file) != 0 && status == 0)
        status = 1;
    if (status == 0) {
        *size = (size_t)about.size;
        return 1;
    }
    free(*bytes);
    *bytes = NULL;
    return traj_error_set(error,
                          status < 0 ? "%s: no memory for what %s holds" : "%s: %s is damaged",
                          npz->path, entry);
}

/* ---- arrays ------------------------------------------------------------------------------ */

static int copy_array(const struct npz *npz, const struct traj_npy *npy, struct traj_array *array,
                      struct traj_error *error)
{
    bool text = npy->kind > TRAJ_NPY_FLOAT;
    if (traj_array_make(array, npy->rows, npy->columns, text) != 0)
        return traj_error_set(error, "%s: %s: no memory for %zu x %zu values", npz->path,
                              array->name, npy->rows, npy->columns);
    array->rank = npy->rank;
    for (size_t row = 0; row < npy->rows; row++)
        for (size_t column = 0; column < npy->columns; column++) {
            size_t i = row * npy->columns + column;
            if (!text)
                array->number[i] = traj_npy_number(npy, row, column);
            else if (!traj_npy_text(npy, row, column, array->text[i], sizeof array->text[i]))
                return traj_error_set(error, "%s: %s[%zu] is no text of at most %d bytes",
                                      npz->path, array->name, i, TRAJ_ARRAY_TEXT - 1);
        }
    return 0;
}

static int read_array(void *context, const char *name, struct traj_array *array,
                      struct traj_error *error)
{
    const struct npz *npz = context;
    struct traj_npy npy;
    char entry[160];
    unsigned char *bytes = NULL;
    size_t size = 0;
    (void)snprintf(entry, sizeof entry, "%.150s.npy", name);
    int status = read_entry(npz, entry, &bytes, &size, error);
    if (status != 1)
        return status;
    (void)snprintf(array->name, sizeof array->name, "%s", name);
    const char *why = traj_npy_parse(bytes, size, &npy);
    status = why == NULL ? copy_array(npz, &npy, array, error)
                         : traj_error_set(error, "%s: %s %s", npz->path, name, why);
    free(bytes);
    return status == 0 ? 1 : -1;
}

/* An array is an entry x.npy; what else a zip may hold is none. */
static bool array_name(void *context, size_t i, char name[TRAJ_ARRAY_NAME])
{
    const struct npz *npz = context;
    const char *entry;
    for (zip_uint64_t k = 0; (entry = zip_get_name(npz->zip, k, 0)) != NULL; k++) {
        size_t length = strlen(entry);
        if (length < 4 || strcmp(entry + length - 4, ".npy") != 0 || i-- > 0)
            continue;
        (void)snprintf(name, TRAJ_ARRAY_NAME, "%.*s", (int)(length < 200 ? length : 200) - 4,
                       entry);
        return true;
    }
    return false;
}

struct traj_session *traj_npz_session(zip_t *zip, const char *path,
                                      const struct traj_arrays_options *options,
                                      struct traj_error *error)
{
    struct npz npz = {path, zip};
    const struct traj_array_file file = {
        .path = path, .context = &npz, .read = read_array, .name = array_name};
    return traj_arrays_session(&file, options, error);
}

struct traj_session *traj_npz_read(const char *path, const struct traj_arrays_options *options,
                                   struct traj_error *error)
{
    int code = 0;
    zip_t *zip = zip_open(path, ZIP_RDONLY, &code);
    if (zip == NULL) {
        zip_error_t why;
        zip_error_init_with_code(&why, code);
        traj_error_set(error, "%s: is no npz: %s", path, zip_error_strerror(&why));
        zip_error_fini(&why);
        return NULL;
    }
    struct traj_session *session = traj_npz_session(zip, path, options, error);
    zip_discard(zip);
    return session;
}
