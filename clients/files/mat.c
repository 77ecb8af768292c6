/* SPDX-License-Identifier: GPL-3.0-or-later */
/* MATLAB's files, versions 5, 7 and 7.3, through libmatio. */
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <matio.h>

#include "clients/files/arrays.h"
#include "clients/files/foreign.h"
#include "clients/files/h5_input.h"

/* Deflate packs at most 1032 bytes into one; small claims cost nothing. */
#define UNPACK_MAX 1100.0
#define UNPACK_FLOOR 67108864.0

struct mat {
    const char *path;
    mat_t *file;
    double bytes; /* of the file */
    struct traj_error *error;
};

/* ---- shapes ------------------------------------------------------------------------------ */

/*
 * What the file can hold of a variable's values, each of which takes a byte at least before it is
 * packed.  What is missing libmatio does not miss: the array would end in whatever memory held.  In
 * files of version 7.3, which HDF5 reads, what was never written is 0.
 */
static double values_at_most(const struct mat *mat, const matvar_t *var)
{
    if (Mat_GetVersion(mat->file) == MAT_FT_MAT73 || var->class_type == MAT_C_SPARSE)
        return INFINITY;
    return var->compression == MAT_COMPRESSION_NONE ? mat->bytes : UNPACK_MAX * mat->bytes;
}

/* 0 if a variable is of two dimensions that the file can hold, or -1 with a sentence. */
static int check_shape(const struct mat *mat, const matvar_t *var, const char *name)
{
    if (var->rank != 2 || var->dims == NULL)
        return traj_error_set(mat->error, "%s: %s has %d dimensions where 2 are expected",
                              mat->path, name, var->rank);
    double values = (double)var->dims[0] * (double)var->dims[1];
    double bytes = values * (double)Mat_SizeOfClass((int)var->class_type);
    if ((bytes > UNPACK_FLOOR && bytes > UNPACK_MAX * mat->bytes) ||
        values > values_at_most(mat, var))
        return traj_error_set(mat->error,
                              "%s: %s claims %zu x %zu values, more than a file of %.0f bytes can "
                              "hold",
                              mat->path, name, var->dims[0], var->dims[1], mat->bytes);
    return 0;
}

static bool is_number(const matvar_t *var)
{
    switch (var->class_type) {
    case MAT_C_DOUBLE:
    case MAT_C_SINGLE:
    case MAT_C_INT8:
    case MAT_C_UINT8:
    case MAT_C_INT16:
    case MAT_C_UINT16:
    case MAT_C_INT32:
    case MAT_C_UINT32:
    case MAT_C_INT64:
    case MAT_C_UINT64:
        return !var->isComplex;
    default:
        return false;
    }
}

static const char *class_name(const matvar_t *var)
{
    if (var->isComplex)
        return "complex numbers";
    switch (var->class_type) {
    case MAT_C_STRUCT:
        return "a struct";
    case MAT_C_CELL:
        return "cells of several kinds";
    case MAT_C_SPARSE:
        return "a sparse matrix";
    case MAT_C_OBJECT:
    case MAT_C_OPAQUE:
        return "an object";
    case MAT_C_FUNCTION:
        return "a function";
    default:
        return "something else";
    }
}

/* ---- numbers ----------------------------------------------------------------------------- */

/* Element i in MATLAB's order; the type is that in which libmatio keeps it. */
static double number(const matvar_t *var, size_t i)
{
    switch (var->class_type) {
    case MAT_C_DOUBLE:
        return ((const double *)var->data)[i];
    case MAT_C_SINGLE:
        return (double)((const float *)var->data)[i];
    case MAT_C_INT8:
        return ((const int8_t *)var->data)[i];
    case MAT_C_UINT8:
        return ((const uint8_t *)var->data)[i];
    case MAT_C_INT16:
        return ((const int16_t *)var->data)[i];
    case MAT_C_UINT16:
        return ((const uint16_t *)var->data)[i];
    case MAT_C_INT32:
        return ((const int32_t *)var->data)[i];
    case MAT_C_UINT32:
        return ((const uint32_t *)var->data)[i];
    case MAT_C_INT64:
        return (double)((const int64_t *)var->data)[i];
    default:
        return (double)((const uint64_t *)var->data)[i];
    }
}

/* Whether what libmatio read is as much as the shape says. */
static bool is_whole(const matvar_t *var)
{
    size_t count = var->dims[0] * var->dims[1];
    return count == 0 ||
           (var->data != NULL && var->nbytes / Mat_SizeOfClass((int)var->class_type) >= count);
}

static int no_memory(const struct mat *mat, const char *name)
{
    return traj_error_set(mat->error, "%s: no memory for %s", mat->path, name);
}

static int copy_numbers(const struct mat *mat, const matvar_t *var, struct traj_array *array)
{
    size_t rows = var->dims[0], columns = var->dims[1];
    if (!is_whole(var))
        return traj_error_set(mat->error, "%s: %s is cut off", mat->path, array->name);
    if (traj_array_make(array, rows, columns, false) != 0)
        return no_memory(mat, array->name);
    for (size_t i = 0; i < rows; i++)
        for (size_t j = 0; j < columns; j++)
            array->number[i * columns + j] = number(var, j * rows + i);
    array->rank = 2;
    return 0;
}

/* ---- texts ------------------------------------------------------------------------------- */

/* The bytes of a character of UTF-8, by its first one. */
static size_t utf8_length(unsigned char first)
{
    return first < 0xc0u ? 1 : (first < 0xe0u ? 2 : (first < 0xf0u ? 3 : 4));
}

/* Where character i of var's begins in its data, and of how many bytes it is; 0 where it is not
 * there.  libmatio keeps characters as they stand in the file: UTF-8, or one or two bytes each. */
static size_t find_character(const matvar_t *var, size_t i, size_t *at)
{
    const unsigned char *bytes = var->data;
    bool wide = var->data_type == MAT_T_UINT16 || var->data_type == MAT_T_UTF16;
    size_t length = wide ? 2 : 1;
    *at = i * length;
    /* Of a damaged file libmatio may know how many bytes there are, and have none. */
    if (bytes == NULL)
        return 0;
    if (var->data_type == MAT_T_UTF8) {
        for (*at = 0; i > 0 && *at < var->nbytes; i--)
            *at += utf8_length(bytes[*at]);
        length = *at < var->nbytes ? utf8_length(bytes[*at]) : 1;
    }
    return *at + length <= var->nbytes ? length : 0;
}

/* Appends a character as UTF-8; false where it does not fit or is none. */
static bool put_character(const matvar_t *var, size_t at, size_t length, char *text, size_t *used)
{
    const unsigned char *bytes = (const unsigned char *)var->data + at;
    uint16_t code = 0;
    if (*used + 4 > TRAJ_ARRAY_TEXT)
        return false;
    if (var->data_type == MAT_T_UTF8 || length == 1) {
        memcpy(text + *used, bytes, length);
        *used += length;
        return bytes[0] != 0;
    }
    memcpy(&code, bytes, sizeof code);
    if (code < 0x80u) {
        text[(*used)++] = (char)code;
    } else if (code < 0x800u) {
        text[(*used)++] = (char)(0xc0u | (code >> 6));
        text[(*used)++] = (char)(0x80u | (code & 0x3fu));
    } else {
        text[(*used)++] = (char)(0xe0u | (code >> 12));
        text[(*used)++] = (char)(0x80u | ((code >> 6) & 0x3fu));
        text[(*used)++] = (char)(0x80u | (code & 0x3fu));
    }
    return code != 0 && !(code >= 0xd800u && code < 0xe000u);
}

/* One row of a matrix of characters, which MATLAB fills up with blanks, as UTF-8. */
static int copy_row(const struct mat *mat, const matvar_t *var, size_t row, const char *name,
                    char text[TRAJ_ARRAY_TEXT])
{
    size_t rows = var->dims[0], columns = var->dims[1], used = 0;
    for (size_t j = 0; j < columns; j++) {
        size_t at = 0, length = find_character(var, j * rows + row, &at);
        if (length == 0)
            return traj_error_set(mat->error, "%s: %s is cut off", mat->path, name);
        if (!put_character(var, at, length, text, &used))
            return traj_error_set(mat->error, "%s: %s holds a text that is too long or not plain",
                                  mat->path, name);
    }
    while (used > 0 && text[used - 1] == ' ')
        used--;
    text[used] = '\0';
    return 0;
}

static int copy_texts(const struct mat *mat, const matvar_t *var, struct traj_array *array)
{
    if (traj_array_make(array, var->dims[0], 1, true) != 0)
        return no_memory(mat, array->name);
    array->rank = 1;
    for (size_t i = 0; i < array->rows; i++)
        if (copy_row(mat, var, i, array->name, array->text[i]) != 0)
            return -1;
    return 0;
}

/* ---- cells ------------------------------------------------------------------------------- */

/* A cell array of one text each. */
static int copy_text_cells(const struct mat *mat, matvar_t *const *cell, size_t count,
                           struct traj_array *array)
{
    if (traj_array_make(array, count, 1, true) != 0)
        return no_memory(mat, array->name);
    array->rank = 1;
    for (size_t i = 0; i < count; i++) {
        if (cell[i]->dims[0] > 1)
            return traj_error_set(mat->error, "%s: %s{%zu} holds several texts", mat->path,
                                  array->name, i + 1);
        if (cell[i]->dims[0] == 1 && copy_row(mat, cell[i], 0, array->name, array->text[i]) != 0)
            return -1;
    }
    return 0;
}

/* A cell array of one vector each, put one behind the other. */
static int copy_vectors(const struct mat *mat, matvar_t *const *cell, size_t count,
                        struct traj_array *array)
{
    size_t total = 0, at = 0;
    for (size_t i = 0; i < count; i++) {
        if (!is_whole(cell[i]))
            return traj_error_set(mat->error, "%s: %s{%zu} is cut off", mat->path, array->name,
                                  i + 1);
        total += cell[i]->dims[0] * cell[i]->dims[1];
    }
    array->end = calloc(count + 1, sizeof *array->end);
    if (array->end == NULL || traj_array_make(array, total, 1, false) != 0)
        return no_memory(mat, array->name);
    array->rank = 1;
    array->parts = count;
    for (size_t i = 0; i < count; i++) {
        size_t size = cell[i]->dims[0] * cell[i]->dims[1];
        for (size_t k = 0; k < size; k++)
            array->number[at++] = number(cell[i], k);
        array->end[i] = at;
    }
    return 0;
}

static int copy_cells(const struct mat *mat, const matvar_t *var, struct traj_array *array)
{
    matvar_t *const *cell = var->data;
    size_t count = var->dims[0] * var->dims[1], numbers = 0, texts = 0;
    if (count > 0 && (cell == NULL || var->nbytes / sizeof(matvar_t *) < count))
        return traj_error_set(mat->error, "%s: %s is cut off", mat->path, array->name);
    for (size_t i = 0; i < count; i++) {
        if (cell[i] == NULL || check_shape(mat, cell[i], array->name) != 0)
            return traj_error_set(mat->error, "%s: %s{%zu} is empty", mat->path, array->name,
                                  i + 1);
        numbers += is_number(cell[i]);
        texts += cell[i]->class_type == MAT_C_CHAR;
    }
    if (count > 0 && texts == count)
        return copy_text_cells(mat, cell, count, array);
    if (numbers == count)
        return copy_vectors(mat, cell, count, array);
    return traj_error_set(mat->error, "%s: %s holds cells of several kinds", mat->path,
                          array->name);
}

/* ---- variables --------------------------------------------------------------------------- */

static int copy_variable(const struct mat *mat, const matvar_t *var, struct traj_array *array)
{
    if (check_shape(mat, var, array->name) != 0)
        return -1;
    if (is_number(var))
        return copy_numbers(mat, var, array);
    if (var->class_type == MAT_C_CHAR)
        return copy_texts(mat, var, array);
    if (var->class_type == MAT_C_CELL)
        return copy_cells(mat, var, array);
    return traj_error_set(mat->error, "%s: %s holds %s, where numbers or texts are expected",
                          mat->path, array->name, class_name(var));
}

/* Goes from a struct down to the field that a name with points means: 1, 0 = none, -1. */
static int find_field(const struct mat *mat, const char *name, const matvar_t **var)
{
    char field[128];
    for (const char *point = strchr(name, '.'); point != NULL;) {
        const char *from = point + 1;
        size_t length = strcspn(from, ".");
        point = from[length] == '.' ? from + length : NULL;
        if ((*var)->class_type != MAT_C_STRUCT || (*var)->rank != 2 ||
            (*var)->dims[0] * (*var)->dims[1] != 1)
            return traj_error_set(mat->error, "%s: %.*s is not one struct", mat->path,
                                  (int)(from - 1 - name), name);
        if (length >= sizeof field)
            return 0;
        memcpy(field, from, length);
        field[length] = '\0';
        *var = Mat_VarGetStructFieldByName((matvar_t *)(uintptr_t)*var, field, 0);
        if (*var == NULL)
            return 0;
    }
    return 1;
}

/*
 * Whether there is such a variable.  libmatio finds the names once and keeps them; looking for one
 * that is not there it would go through all headers again, each as large as a damaged file likes.
 */
static bool is_there(const struct mat *mat, const char *top)
{
    size_t count = 0;
    char *const *names = Mat_GetDir(mat->file, &count);
    for (size_t i = 0; names != NULL && i < count; i++)
        if (names[i] != NULL && strcmp(names[i], top) == 0)
            return true;
    return false;
}

static int read_array(void *context, const char *name, struct traj_array *array,
                      struct traj_error *error)
{
    struct mat *mat = context;
    char top[128];
    size_t length = strcspn(name, ".");
    if (length >= sizeof top)
        return 0;
    memcpy(top, name, length);
    top[length] = '\0';
    mat->error = error;
    (void)snprintf(array->name, sizeof array->name, "%s", name);
    if (!is_there(mat, top))
        return 0;
    (void)Mat_Rewind(mat->file);
    matvar_t *var = Mat_VarReadInfo(mat->file, top);
    if (var == NULL)
        return 0;
    const matvar_t *found = var;
    int status = var->rank >= 0 && var->class_type != MAT_C_STRUCT ? check_shape(mat, var, top) : 0;
    if (status == 0 && Mat_VarReadDataAll(mat->file, var) != 0)
        status = traj_error_set(error, "%s: %s cannot be read: it is damaged", mat->path, top);
    if (status == 0)
        status = find_field(mat, name, &found);
    if (status == 1)
        status = copy_variable(mat, found, array) == 0 ? 1 : -1;
    Mat_VarFree(var);
    return status;
}

static bool array_name(void *context, size_t i, char name[TRAJ_ARRAY_NAME])
{
    const struct mat *mat = context;
    size_t count = 0;
    char *const *names = Mat_GetDir(mat->file, &count);
    if (names == NULL || i >= count)
        return false;
    (void)snprintf(name, TRAJ_ARRAY_NAME, "%s", names[i] != NULL ? names[i] : "");
    return true;
}

/* libmatio would print what it finds wrong; the sentence says it. */
static void say_nothing(int level, char *message)
{
    (void)level;
    (void)message;
}

struct traj_session *traj_mat_read(const char *path, const struct traj_arrays_options *options,
                                   struct traj_error *error)
{
    struct stat about;
    if (stat(path, &about) != 0 || !S_ISREG(about.st_mode)) {
        traj_error_set(error, "%s: is not a file that can be read", path);
        return NULL;
    }
    struct traj_foreign before;
    struct traj_h5_printing printing = traj_h5_silence();
    traj_foreign_begin(&before, path);
    (void)Mat_LogInitFunc("trajctl", say_nothing);
    struct mat mat = {path, Mat_Open(path, MAT_ACC_RDONLY), (double)about.st_size, error};
    struct traj_session *session = NULL;
    /* Version 4 has no mark by which it could be known: libmatio takes any bytes for one. */
    if (mat.file == NULL || Mat_GetVersion(mat.file) == MAT_FT_MAT4) {
        traj_error_set(error, "%s: is no MAT-file of version 5, 7 or 7.3", path);
    } else {
        const struct traj_array_file file = {.path = path,
                                             .counts_from_one = true,
                                             .context = &mat,
                                             .read = read_array,
                                             .name = array_name};
        session = traj_arrays_session(&file, options, error);
    }
    if (mat.file != NULL)
        (void)Mat_Close(mat.file);
    traj_foreign_end(&before);
    traj_h5_restore(&printing);
    return session;
}
