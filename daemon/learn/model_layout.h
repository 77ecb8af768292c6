/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What a model consists of, as a table: one row an array, with its name in a model file, its type,
 * its shape and its place in struct traj_model.  Allocation, writing, reading and printing all walk
 * this table, so that an array cannot be forgotten by one of them.  Internal to this room.
 */
#ifndef TRAJ_LEARN_MODEL_LAYOUT_H
#define TRAJ_LEARN_MODEL_LAYOUT_H

#include <stdbool.h>

#include "daemon/learn/error.h"
#include "proto/safetensors.h"
#include "traj/model.h"

#define TRAJ_MODEL_FIELDS 94

/* Where the values of a field live. */
enum traj_model_place {
    TRAJ_FIELD_ARRAY,   /* the struct holds a pointer to them */
    TRAJ_FIELD_EMBEDDED /* the struct holds the values themselves */
};

struct traj_model_field {
    const char *name; /* path inside struct traj_model, "tuning.weight" */
    enum traj_dtype dtype;
    size_t rank;
    size_t shape[TRAJ_TENSOR_RANK_MAX];
    enum traj_model_place place;
    size_t offset; /* of the pointer or the value in struct traj_model */
};

/*
 * Lists the fields of a model of these sizes into field[TRAJ_MODEL_FIELDS] and returns how many
 * there are.  Arrays without an element (a size is 0) are left out: their pointers are NULL.
 */
size_t traj_model_fields(const struct traj_dims *dims, bool with_plan,
                         struct traj_model_field *field);

/* Number of values of a field, and bytes of one value of a type. */
size_t traj_model_field_count(const struct traj_model_field *field);
size_t traj_dtype_bytes(enum traj_dtype dtype);

/* Address of a field's first value in a model. */
void *traj_model_field_data(const struct traj_model_field *field, const struct traj_model *model);

/* Names the size that is out of range, or NULL if all are well. */
const char *traj_dims_check(const struct traj_dims *dims);

/*
 * As traj_model_new (model_file.h), with room for about.training of training_size bytes including
 * the NUL (0 = about.training stays NULL).
 */
struct traj_model *traj_model_make(const struct traj_dims *dims, bool with_plan, bool with_names,
                                   size_t training_size, struct traj_error *error);

/*
 * The digest of a model file's image, as lower-case hex with its NUL: SHA-256 of the image with
 * the 64 characters at offset taken as '0'.
 */
void traj_model_digest(const void *image, size_t size, size_t offset, char digest[65]);

/* Writes the right digest into an image whose metadata has one of 64 characters; -1 if it has
 * not. */
int traj_model_seal(void *image, size_t size);

/*
 * A list of names as the text of a JSON array, and back.  Writing gives the length without the NUL
 * and writes nothing beyond cap (cap 0: measure).  Reading wants exactly count names that fit and
 * returns -1 otherwise.
 */
size_t traj_names_write(const char (*name)[TRAJ_ID_SIZE], size_t count, char *out, size_t cap);
int traj_names_read(const char *text, char (*name)[TRAJ_ID_SIZE], size_t count);

#endif
