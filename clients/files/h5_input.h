/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Reading numbers and names out of an HDF5 file that nobody vouches for.  Internal to
 * clients/files. */
#ifndef TRAJ_FILES_H5_INPUT_H
#define TRAJ_FILES_H5_INPUT_H

#include <hdf5.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/learn/error.h"
#include "traj/model.h"

#define TRAJ_H5_PATH 512 /* bytes of an object's absolute name, with its NUL */

struct traj_h5_input {
    const char *path; /* for sentences */
    hid_t file;
    double bytes; /* size of the file: no dataset can hold more than so much of it unpacked */
    struct traj_error *error;
};

struct traj_h5_dataset {
    const char *name; /* absolute, "/frames/counts" */
    hid_t id, type;   /* < 0 where the dataset is absent */
    H5T_class_t kind;
    int rank;
    size_t rows, columns; /* columns = 1 where the rank is 1, both 1 where it is 0 */
};

/*
 * All functions below return -1 with a sentence that names path and dataset.  HDF5's own printing
 * of errors must be off (traj_h5_silence).
 */

/* Opens the file for reading; close it by traj_h5_close.  path and error must outlive the input. */
int traj_h5_open(struct traj_h5_input *input, const char *path, struct traj_error *error);
void traj_h5_close(struct traj_h5_input *input);

/* 1 where a group of that absolute name stands, 0 where nothing does. */
int traj_h5_group(const struct traj_h5_input *input, const char *name);

/* What stands at a name that traj_h5_child gave. */
enum traj_h5_kind { TRAJ_H5_OTHER, TRAJ_H5_GROUP, TRAJ_H5_DATASET };
enum traj_h5_kind traj_h5_kind(const struct traj_h5_input *input, const char *name);

/* How many objects a group holds, and the name of the i-th of them in the order of their names: 1,
 * or 0 where it does not fit. */
int traj_h5_children(const struct traj_h5_input *input, const char *group, size_t *count);
int traj_h5_child(const struct traj_h5_input *input, const char *group, size_t i, char *name,
                  size_t size);

#define TRAJ_H5_ROWS (-1) /* rank of a dataset whose rows are numbers or vectors: 1 or 2 */

/*
 * Opens a dataset of rank 0 to 2 and looks at its shape: 1, or 0 where it is absent and not
 * required. Refuses one that claims more than its file can hold.  Close it by
 * traj_h5_dataset_close, which an absent one or one that failed to open bears as well.
 */
int traj_h5_dataset_open(const struct traj_h5_input *input, const char *name, int rank,
                         bool required, struct traj_h5_dataset *dataset);
void traj_h5_dataset_close(struct traj_h5_dataset *dataset);

/*
 * Read all rows and columns into an array of the caller's.  Any integer or floating type will do as
 * long as each value is representable; the first one that is not is named with its index.  Doubles
 * are rounded to the nearest float, the precision of features.  Truth values (an enumeration) count
 * as 0 and 1.
 */
int traj_h5_read_doubles(const struct traj_h5_input *input, const struct traj_h5_dataset *dataset,
                         double *value);
int traj_h5_read_floats(const struct traj_h5_input *input, const struct traj_h5_dataset *dataset,
                        float *value);
int traj_h5_read_counts(const struct traj_h5_input *input, const struct traj_h5_dataset *dataset,
                        uint16_t *value);
int traj_h5_read_int32(const struct traj_h5_input *input, const struct traj_h5_dataset *dataset,
                       int32_t *value);

/* Strings of fixed or variable length; one that is longer than the array takes is refused. */
int traj_h5_read_names(const struct traj_h5_input *input, const struct traj_h5_dataset *dataset,
                       char (*name)[TRAJ_ID_SIZE]);

/* The same for texts, `size` bytes each: text[rows][size]. */
int traj_h5_read_strings(const struct traj_h5_input *input, const struct traj_h5_dataset *dataset,
                         char *text, size_t size);

/* An attribute of an object ("/" is the root): 1, or 0 where it is absent and not required (text
 * and value as they were). */
int traj_h5_read_text(const struct traj_h5_input *input, const char *object, const char *name,
                      bool required, char *text, size_t size);
int traj_h5_read_number(const struct traj_h5_input *input, const char *object, const char *name,
                        bool required, double *value);

/*
 * HDF5 prints each failure of its own accord.  The first keeps it from doing so and returns what
 * was in force, the second puts that back.
 */
struct traj_h5_printing {
    H5E_auto2_t print;
    void *data;
};
struct traj_h5_printing traj_h5_silence(void);
void traj_h5_restore(const struct traj_h5_printing *printing);

/* What HDF5 says of the failure of the last call: its innermost reason, in one line. */
void traj_h5_reason(char *text, size_t size);

#endif
