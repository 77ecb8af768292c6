/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Named arrays (numpy's npz, MATLAB's mat) -> struct traj_session.
 * Page: clients/man/convert-arrays.md. */
#ifndef TRAJ_FILES_ARRAYS_H
#define TRAJ_FILES_ARRAYS_H

#include "clients/files/spike_bins.h"

#define TRAJ_ARRAY_TEXT 512 /* bytes of a text with its NUL */
#define TRAJ_ARRAY_NAME 128 /* of an array's name */

/* An array of numbers or of texts.  What it points to is allocated. */
struct traj_array {
    char name[TRAJ_ARRAY_NAME]; /* as the file calls it */
    int rank;                   /* as the file says: 0 to 2 */
    size_t rows, columns;
    double *number;                /* [rows][columns], NULL where it holds texts */
    char (*text)[TRAJ_ARRAY_TEXT]; /* [rows * columns], NULL where it holds numbers */
    size_t *end; /* [parts] where each of several vectors ends that number holds one after the
                    other (rows of them); NULL where it is no such list */
    size_t parts;
};
void traj_array_free(struct traj_array *array);

/* Numbers row by row, or texts, of the given shape: 0, or -1 where memory is short. */
int traj_array_make(struct traj_array *array, size_t rows, size_t columns, bool text);

/* A file of arrays that is open. */
struct traj_array_file {
    const char *path;
    bool counts_from_one; /* rows of targets are counted from 1 */
    void *context;
    /* 1 with the array of that name, 0 where there is none, -1 with a sentence. */
    int (*read)(void *context, const char *name, struct traj_array *array,
                struct traj_error *error);
    /* The name of the i-th array, cut to fit; false where there are no more. */
    bool (*name)(void *context, size_t i, char name[TRAJ_ARRAY_NAME]);
};

struct traj_arrays_options {
    const char *const *array; /* [arrays] "counts=spk": what the file calls the page's arrays */
    size_t arrays;
    double dt;       /* s, width of every bin; 0 = the array dt says it */
    bool transposed; /* counts, features, position and velocity have time along their columns */
    struct traj_bin_choice bins; /* of spike_times */
    const char *length_unit, *subject, *description;
};

/* A checked session, which the caller frees, or NULL with a sentence that names file and array. */
struct traj_session *traj_arrays_session(const struct traj_array_file *file,
                                         const struct traj_arrays_options *options,
                                         struct traj_error *error);

/* The session in a file of numpy's (zip of arrays), and in one of MATLAB's (5, 7 or 7.3). */
struct traj_session *traj_npz_read(const char *path, const struct traj_arrays_options *options,
                                   struct traj_error *error);
struct traj_session *traj_mat_read(const char *path, const struct traj_arrays_options *options,
                                   struct traj_error *error);

#endif
