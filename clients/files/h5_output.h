/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Writing an HDF5 file that appears whole or not at all.  Internal to clients/files. */
#ifndef TRAJ_FILES_H5_OUTPUT_H
#define TRAJ_FILES_H5_OUTPUT_H

#include <hdf5.h>
#include <stddef.h>

#include "daemon/learn/error.h"
#include "traj/model.h"

struct traj_h5_output {
    const char *path; /* for sentences: the name that the file will have */
    hid_t file;
    hid_t text; /* string of variable length, UTF-8, as h5py writes it */
    struct traj_error *error;
};

/* Writes what the file is to hold: 0, or -1 with a sentence. */
typedef int traj_h5_content(const struct traj_h5_output *out, const void *context);

/*
 * Makes a file whose content the function writes, under a temporary name beside path that is then
 * flushed and renamed, so that path is never half written.  `source` is a file that it begins as a
 * copy of, NULL for an empty one.  No time of day is stored: the same content gives the same bytes.
 * 0, or -1 with a sentence.
 */
int traj_h5_write_file(const char *path, const char *source, traj_h5_content *content,
                       const void *context, struct traj_error *error);

/* All functions below return -1 with a sentence that names path and object. */

int traj_h5_write_group(const struct traj_h5_output *out, const char *name);

/* An attribute of an object ("/" is the root). */
int traj_h5_write_attribute(const struct traj_h5_output *out, const char *object, const char *name,
                            hid_t type, const void *value);
int traj_h5_write_text(const struct traj_h5_output *out, const char *object, const char *name,
                       const char *text);

/* One of several texts, and one that refers to another object. */
int traj_h5_write_texts(const struct traj_h5_output *out, const char *object, const char *name,
                        const char *const *text, size_t count);
int traj_h5_write_reference(const struct traj_h5_output *out, const char *object, const char *name,
                            const char *target);

/*
 * A dataset of the given shape, packed where it is large.  Nothing is written where value is NULL.
 * dims [rank], rank 0 to 3; a rank of 0 is a single value.
 */
int traj_h5_write_array(const struct traj_h5_output *out, const char *name, int rank,
                        const size_t *dims, hid_t stored, hid_t memory, const void *value);

/* A vector or, where columns > 0, a matrix (also of one column). */
int traj_h5_write_doubles(const struct traj_h5_output *out, const char *name, size_t rows,
                          size_t columns, const double *value);
int traj_h5_write_names(const struct traj_h5_output *out, const char *name, size_t rows,
                        char (*text)[TRAJ_ID_SIZE]);

#endif
