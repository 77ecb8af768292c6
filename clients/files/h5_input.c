/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Reading numbers and names out of an HDF5 file that nobody vouches for. */
#include "clients/files/h5_input.h"

#include <errno.h>
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* Deflate packs at most 1032 bytes into one; datasets below the floor may even be mere fill value.
 */
#define UNPACK_MAX 1100.0
#define UNPACK_FLOOR 67108864.0
/* Values converted at a time. */
#define BLOCK_VALUES ((size_t)1 << 22)
/* Integers below this are exact as double. */
#define EXACT_MAX 9007199254740992.0
/* A string of fixed length that is longer than this is no name or description. */
#define TEXT_MAX 65536u

/* ---- reasons ------------------------------------------------------------------------------------
 */

struct reason {
    char *text;
    size_t size;
};

static herr_t take_reason(unsigned n, const H5E_error2_t *entry, void *data)
{
    struct reason *reason = data;
    if (n == 0 && entry->desc != NULL)
        (void)snprintf(reason->text, reason->size, "%s", entry->desc);
    return 0;
}

struct traj_h5_printing traj_h5_silence(void)
{
    struct traj_h5_printing printing = {NULL, NULL};
    /* What it closes at exit it prints about, where a damaged file has left something open; all
     * that is written is closed before. */
    (void)H5dont_atexit();
    (void)H5Eget_auto2(H5E_DEFAULT, &printing.print, &printing.data);
    (void)H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
    return printing;
}

void traj_h5_restore(const struct traj_h5_printing *printing)
{
    (void)H5Eset_auto2(H5E_DEFAULT, printing->print, printing->data);
}

void traj_h5_reason(char *text, size_t size)
{
    struct reason reason = {text, size};
    (void)snprintf(text, size, "no reason given");
    (void)H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, take_reason, &reason);
    for (char *p = text; *p != '\0'; p++)
        if ((unsigned char)*p < 0x20)
            *p = ' ';
}

static int hdf5_failed(const struct traj_h5_input *input, const char *name)
{
    char reason[200];
    traj_h5_reason(reason, sizeof reason);
    return traj_error_set(input->error, "%s: %s cannot be read: %s", input->path, name, reason);
}

/* ---- the file and its groups --------------------------------------------------------------------
 */

int traj_h5_open(struct traj_h5_input *input, const char *path, struct traj_error *error)
{
    *input = (struct traj_h5_input){.path = path, .file = -1, .error = error};
    struct stat about;
    if (stat(path, &about) != 0)
        return traj_error_set(error, "%s: %s", path, strerror(errno));
    if (!S_ISREG(about.st_mode))
        return traj_error_set(error, "%s: is not a file", path);
    FILE *probe = fopen(path, "rb");
    if (probe == NULL)
        return traj_error_set(error, "%s: %s", path, strerror(errno));
    (void)fclose(probe);
    input->bytes = (double)about.st_size;
    if (H5Fis_hdf5(path) <= 0)
        return traj_error_set(error, "%s: is not an HDF5 file", path);
    input->file = H5Fopen(path, H5F_ACC_RDONLY, H5P_DEFAULT);
    if (input->file < 0) {
        char reason[200];
        traj_h5_reason(reason, sizeof reason);
        return traj_error_set(error, "%s: is damaged HDF5: %s", path, reason);
    }
    return 0;
}

void traj_h5_close(struct traj_h5_input *input)
{
    if (input->file >= 0)
        (void)H5Fclose(input->file);
    input->file = -1;
}

/*
 * Whether an object stands at an absolute path: 1, 0, or -1 with a sentence.  HDF5 fails where a
 * group on the way is missing, so it is asked step by step.
 */
static int object_exists(const struct traj_h5_input *input, const char *name)
{
    char step[TRAJ_H5_PATH];
    if (strlen(name) >= sizeof step)
        return traj_error_set(input->error, "%s: %.40s... is too long a name", input->path, name);
    if (strcmp(name, "/") == 0)
        return 1;
    for (const char *end = name; *end != '\0';) {
        end += strcspn(end + 1, "/") + 1;
        memcpy(step, name, (size_t)(end - name));
        step[end - name] = '\0';
        htri_t there = H5Lexists(input->file, step, H5P_DEFAULT);
        if (there < 0)
            return hdf5_failed(input, step);
        if (there == 0)
            return 0;
        if (*end != '\0' && traj_h5_kind(input, step) != TRAJ_H5_GROUP)
            return 0;
    }
    return 1;
}

enum traj_h5_kind traj_h5_kind(const struct traj_h5_input *input, const char *name)
{
    hid_t object = H5Oopen(input->file, name, H5P_DEFAULT);
    H5I_type_t type = object >= 0 ? H5Iget_type(object) : H5I_BADID;
    if (object >= 0)
        (void)H5Oclose(object);
    return type == H5I_GROUP ? TRAJ_H5_GROUP
                             : (type == H5I_DATASET ? TRAJ_H5_DATASET : TRAJ_H5_OTHER);
}

int traj_h5_group(const struct traj_h5_input *input, const char *name)
{
    int there = object_exists(input, name);
    if (there <= 0)
        return there;
    hid_t object = H5Oopen(input->file, name, H5P_DEFAULT);
    if (object < 0)
        return hdf5_failed(input, name);
    bool group = H5Iget_type(object) == H5I_GROUP;
    (void)H5Oclose(object);
    if (!group)
        return traj_error_set(input->error, "%s: %s is not a group", input->path, name);
    return 1;
}

/*
 * Opened first: by name, HDF5 1.10 tells nothing of a group that a soft link leads to ("address
 * undefined").
 */
int traj_h5_child(const struct traj_h5_input *input, const char *group, size_t i, char *name,
                  size_t size)
{
    hid_t id = H5Gopen2(input->file, group, H5P_DEFAULT);
    ssize_t length = id < 0 ? -1
                            : H5Lget_name_by_idx(id, ".", H5_INDEX_NAME, H5_ITER_INC, (hsize_t)i,
                                                 name, size, H5P_DEFAULT);
    int status = length < 0 ? hdf5_failed(input, group) : (size_t)length < size;
    if (id >= 0)
        (void)H5Gclose(id);
    return status;
}

int traj_h5_children(const struct traj_h5_input *input, const char *group, size_t *count)
{
    H5G_info_t info = {.nlinks = 0};
    hid_t id = H5Gopen2(input->file, group, H5P_DEFAULT);
    int status = id < 0 || H5Gget_info(id, &info) < 0 ? hdf5_failed(input, group) : 0;
    if (id >= 0)
        (void)H5Gclose(id);
    *count = (size_t)info.nlinks;
    return status;
}

/* ---- datasets -----------------------------------------------------------------------------------
 */

static const char *expected_rank(int rank)
{
    static const char *const words[] = {"1 or 2 are", "0 are", "1 are", "2 are"};
    return words[rank + 1];
}

static int look_at_shape(const struct traj_h5_input *input, int rank,
                         struct traj_h5_dataset *dataset)
{
    hid_t space = H5Dget_space(dataset->id);
    if (space < 0)
        return hdf5_failed(input, dataset->name);
    hsize_t dims[2] = {0, 1};
    int status = 0;
    int found =
        H5Sget_simple_extent_type(space) == H5S_NULL ? -1 : H5Sget_simple_extent_ndims(space);
    if (rank == TRAJ_H5_ROWS ? found != 1 && found != 2 : found != rank)
        status =
            traj_error_set(input->error, "%s: %s has %d dimensions where %s expected", input->path,
                           dataset->name, found < 0 ? 0 : found, expected_rank(rank));
    else if (H5Sget_simple_extent_dims(space, dims, NULL) != found)
        status = hdf5_failed(input, dataset->name);
    if (found == 0)
        dims[0] = 1;
    (void)H5Sclose(space);
    if (status != 0)
        return status;
    double bytes = (double)dims[0] * (double)dims[1] * (double)H5Tget_size(dataset->type);
    if (bytes > UNPACK_FLOOR && bytes > UNPACK_MAX * input->bytes)
        return traj_error_set(input->error,
                              "%s: %s claims %.0f x %.0f values, more than a file of %.0f bytes "
                              "can hold",
                              input->path, dataset->name, (double)dims[0], (double)dims[1],
                              input->bytes);
    dataset->rank = found;
    dataset->rows = (size_t)dims[0];
    dataset->columns = (size_t)dims[1];
    return 1;
}

/*
 * Other programs bring packings of their own (h5py's lzf), for which HDF5 would look for a plugin.
 */
static int check_filters(const struct traj_h5_input *input, const struct traj_h5_dataset *dataset)
{
    hid_t list = H5Dget_create_plist(dataset->id);
    if (list < 0)
        return hdf5_failed(input, dataset->name);
    int status = 0, count = H5Pget_nfilters(list);
    for (int i = 0; status == 0 && i < count; i++) {
        unsigned flags = 0, config = 0;
        size_t values = 0;
        char name[64] = "";
        H5Z_filter_t filter = H5Pget_filter2(list, (unsigned)i, &flags, &values, NULL,
                                             sizeof name - 1, name, &config);
        if (filter < 0)
            status = hdf5_failed(input, dataset->name);
        else if (H5Zfilter_avail(filter) <= 0)
            status = traj_error_set(input->error,
                                    "%s: %s is packed by the filter %d (%s), which is not "
                                    "installed here; gzip is understood everywhere",
                                    input->path, dataset->name, (int)filter, name);
    }
    (void)H5Pclose(list);
    return status;
}

int traj_h5_dataset_open(const struct traj_h5_input *input, const char *name, int rank,
                         bool required, struct traj_h5_dataset *dataset)
{
    *dataset = (struct traj_h5_dataset){.name = name, .id = -1, .type = -1};
    int there = object_exists(input, name);
    if (there < 0)
        return there;
    if (there == 0)
        return required ? traj_error_set(input->error, "%s: %s is missing", input->path, name) : 0;
    hid_t object = H5Oopen(input->file, name, H5P_DEFAULT);
    if (object < 0)
        return hdf5_failed(input, name);
    if (H5Iget_type(object) != H5I_DATASET) {
        (void)H5Oclose(object);
        return traj_error_set(input->error, "%s: %s is not a dataset", input->path, name);
    }
    dataset->id = object;
    dataset->type = H5Dget_type(object);
    if (dataset->type < 0)
        return hdf5_failed(input, name);
    dataset->kind = H5Tget_class(dataset->type);
    if (check_filters(input, dataset) != 0)
        return -1;
    return look_at_shape(input, rank, dataset);
}

void traj_h5_dataset_close(struct traj_h5_dataset *dataset)
{
    if (dataset->type >= 0)
        (void)H5Tclose(dataset->type);
    if (dataset->id >= 0)
        (void)H5Dclose(dataset->id);
    dataset->id = dataset->type = -1;
}

static const char *kind_name(H5T_class_t kind)
{
    switch (kind) {
    case H5T_STRING:
        return "strings";
    case H5T_COMPOUND:
        return "compounds";
    case H5T_REFERENCE:
        return "references";
    case H5T_VLEN:
        return "lists";
    case H5T_ARRAY:
        return "arrays";
    case H5T_INTEGER:
    case H5T_FLOAT:
        return "numbers";
    default:
        return "values of another type";
    }
}

/* An enumeration of two is how h5py writes truth values; a longer one has meanings of its own. */
static bool is_number(hid_t type)
{
    H5T_class_t kind = H5Tget_class(type);
    if (kind == H5T_ENUM)
        return H5Tget_nmembers(type) == 2;
    return (kind == H5T_INTEGER || kind == H5T_FLOAT) && H5Tget_size(type) <= 8;
}

static int check_numeric(const struct traj_h5_input *input, const struct traj_h5_dataset *dataset)
{
    size_t size = H5Tget_size(dataset->type);
    if (is_number(dataset->type))
        return 0;
    if (dataset->kind == H5T_FLOAT || dataset->kind == H5T_INTEGER)
        return traj_error_set(input->error, "%s: %s holds numbers of %zu bytes, at most 8 are read",
                              input->path, dataset->name, size);
    return traj_error_set(input->error, "%s: %s holds %s, not numbers", input->path, dataset->name,
                          kind_name(dataset->kind));
}

/* ---- numbers ------------------------------------------------------------------------------------
 */

/* Stores value as element i of the array, or says why it cannot (NULL = stored). */
typedef const char *store_function(double value, void *array, size_t i);

static const char *store_count(double value, void *array, size_t i)
{
    if (!(value >= 0.0 && value <= 65535.0))
        return "lies outside 0 to 65535";
    if (floor(value) < value)
        return "is not a whole number";
    ((uint16_t *)array)[i] = (uint16_t)value;
    return NULL;
}

static const char *store_int32(double value, void *array, size_t i)
{
    if (!(value >= -2147483648.0 && value <= 2147483647.0))
        return "lies outside the range of 32-bit integers";
    if (floor(value) < value)
        return "is not a whole number";
    ((int32_t *)array)[i] = (int32_t)value;
    return NULL;
}

static const char *store_float(double value, void *array, size_t i)
{
    if (isfinite(value) && fabs(value) > (double)FLT_MAX)
        return "is too large for 32-bit floating point";
    ((float *)array)[i] = (float)value;
    return NULL;
}

static int refuse_value(const struct traj_h5_input *input, const struct traj_h5_dataset *dataset,
                        size_t i, double value, const char *why)
{
    if (dataset->columns == 1)
        return traj_error_set(input->error, "%s: %s[%zu] = %.9g %s", input->path, dataset->name, i,
                              value, why);
    return traj_error_set(input->error, "%s: %s[%zu, %zu] = %.9g %s", input->path, dataset->name,
                          i / dataset->columns, i % dataset->columns, value, why);
}

static int read_block(const struct traj_h5_input *input, const struct traj_h5_dataset *dataset,
                      hid_t space, size_t row, size_t rows, double *block)
{
    hsize_t from[2] = {row, 0}, count[2] = {rows, dataset->columns};
    int rank = H5Sget_simple_extent_ndims(space);
    hid_t memory = H5Screate_simple(rank, count, NULL);
    bool good = memory >= 0 &&
                H5Sselect_hyperslab(space, H5S_SELECT_SET, from, NULL, count, NULL) >= 0 &&
                H5Dread(dataset->id, H5T_NATIVE_DOUBLE, memory, space, H5P_DEFAULT, block) >= 0;
    int status = good ? 0 : hdf5_failed(input, dataset->name);
    if (memory >= 0)
        (void)H5Sclose(memory);
    return status;
}

/* Reads by way of doubles, which hold every value of the narrower types, a block of rows at a time.
 */
static int read_converted(const struct traj_h5_input *input, const struct traj_h5_dataset *dataset,
                          store_function *store, void *array)
{
    if (dataset->rows == 0 || dataset->columns == 0)
        return 0;
    size_t rows = BLOCK_VALUES / dataset->columns;
    rows = rows < 1 ? 1 : rows > dataset->rows ? dataset->rows : rows;
    double *block = malloc(rows * dataset->columns * sizeof *block);
    if (block == NULL)
        return traj_error_set(input->error, "%s: %s: no memory for %zu x %zu values", input->path,
                              dataset->name, rows, dataset->columns);
    hid_t space = H5Dget_space(dataset->id);
    int status = space >= 0 ? 0 : hdf5_failed(input, dataset->name);
    for (size_t row = 0; status == 0 && row < dataset->rows; row += rows) {
        if (rows > dataset->rows - row)
            rows = dataset->rows - row;
        status = read_block(input, dataset, space, row, rows, block);
        for (size_t i = 0; status == 0 && i < rows * dataset->columns; i++) {
            size_t element = row * dataset->columns + i;
            const char *why = store(block[i], array, element);
            if (why != NULL)
                status = refuse_value(input, dataset, element, block[i], why);
        }
    }
    if (space >= 0)
        (void)H5Sclose(space);
    free(block);
    return status;
}

static int read_whole(const struct traj_h5_input *input, const struct traj_h5_dataset *dataset,
                      hid_t type, void *array)
{
    if (dataset->rows == 0 || dataset->columns == 0)
        return 0;
    if (H5Dread(dataset->id, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, array) < 0)
        return hdf5_failed(input, dataset->name);
    return 0;
}

int traj_h5_read_doubles(const struct traj_h5_input *input, const struct traj_h5_dataset *dataset,
                         double *value)
{
    if (check_numeric(input, dataset) != 0 ||
        read_whole(input, dataset, H5T_NATIVE_DOUBLE, value) != 0)
        return -1;
    if (dataset->kind != H5T_INTEGER)
        return 0;
    for (size_t i = 0; i < dataset->rows * dataset->columns; i++)
        if (fabs(value[i]) >= EXACT_MAX)
            return refuse_value(input, dataset, i, value[i], "is too large to be read exactly");
    return 0;
}

int traj_h5_read_floats(const struct traj_h5_input *input, const struct traj_h5_dataset *dataset,
                        float *value)
{
    if (check_numeric(input, dataset) != 0)
        return -1;
    if (dataset->kind == H5T_FLOAT && H5Tget_size(dataset->type) <= sizeof(float))
        return read_whole(input, dataset, H5T_NATIVE_FLOAT, value);
    return read_converted(input, dataset, store_float, value);
}

int traj_h5_read_counts(const struct traj_h5_input *input, const struct traj_h5_dataset *dataset,
                        uint16_t *value)
{
    if (check_numeric(input, dataset) != 0)
        return -1;
    if (dataset->kind == H5T_INTEGER && H5Tget_size(dataset->type) <= sizeof(uint16_t) &&
        H5Tget_sign(dataset->type) == H5T_SGN_NONE)
        return read_whole(input, dataset, H5T_NATIVE_UINT16, value);
    return read_converted(input, dataset, store_count, value);
}

int traj_h5_read_int32(const struct traj_h5_input *input, const struct traj_h5_dataset *dataset,
                       int32_t *value)
{
    if (check_numeric(input, dataset) != 0)
        return -1;
    return read_converted(input, dataset, store_int32, value);
}

/* ---- strings ------------------------------------------------------------------------------------
 */

/* Where a string of fixed length ends: at the first NUL, or before the blanks that fill it up. */
static size_t fixed_length(const char *text, size_t size, hid_t type)
{
    size_t length = strnlen(text, size);
    while (H5Tget_strpad(type) == H5T_STR_SPACEPAD && length > 0 && text[length - 1] == ' ')
        length--;
    return length;
}

/* Where strings go: each into `size` bytes. */
struct strings {
    char *text;
    size_t size;
};

static int store_string(const struct traj_h5_input *input, const struct traj_h5_dataset *dataset,
                        size_t i, const char *text, size_t length, const struct strings *to)
{
    if (length >= to->size)
        return traj_error_set(input->error, "%s: %s[%zu] has %zu bytes, at most %zu are possible",
                              input->path, dataset->name, i, length, to->size - 1);
    memcpy(to->text + i * to->size, text, length);
    to->text[i * to->size + length] = '\0';
    return 0;
}

static int read_fixed_strings(const struct traj_h5_input *input,
                              const struct traj_h5_dataset *dataset, const struct strings *to)
{
    size_t size = H5Tget_size(dataset->type);
    if (size == 0 || size > TEXT_MAX)
        return traj_error_set(input->error, "%s: %s holds strings of %zu bytes", input->path,
                              dataset->name, size);
    char *buffer = calloc(dataset->rows, size);
    if (buffer == NULL)
        return traj_error_set(input->error, "%s: %s: no memory for %zu strings", input->path,
                              dataset->name, dataset->rows);
    int status = read_whole(input, dataset, dataset->type, buffer);
    for (size_t i = 0; status == 0 && i < dataset->rows; i++) {
        const char *text = buffer + i * size;
        status = store_string(input, dataset, i, text, fixed_length(text, size, dataset->type), to);
    }
    free(buffer);
    return status;
}

static int read_variable_strings(const struct traj_h5_input *input,
                                 const struct traj_h5_dataset *dataset, const struct strings *to)
{
    char **text = calloc(dataset->rows, sizeof *text);
    hid_t space = H5Dget_space(dataset->id);
    int status = 0;
    if (text == NULL)
        status = traj_error_set(input->error, "%s: %s: no memory for %zu strings", input->path,
                                dataset->name, dataset->rows);
    else if (space < 0)
        status = hdf5_failed(input, dataset->name);
    else
        status = read_whole(input, dataset, dataset->type, text);
    for (size_t i = 0; status == 0 && i < dataset->rows; i++) {
        const char *one = text[i] != NULL ? text[i] : "";
        status = store_string(input, dataset, i, one, strlen(one), to);
    }
    if (text != NULL && space >= 0)
        (void)H5Dvlen_reclaim(dataset->type, space, H5P_DEFAULT, text);
    if (space >= 0)
        (void)H5Sclose(space);
    free(text);
    return status;
}

int traj_h5_read_strings(const struct traj_h5_input *input, const struct traj_h5_dataset *dataset,
                         char *text, size_t size)
{
    const struct strings to = {text, size};
    if (dataset->kind != H5T_STRING)
        return traj_error_set(input->error, "%s: %s holds %s, not strings", input->path,
                              dataset->name, kind_name(dataset->kind));
    if (dataset->rows == 0)
        return 0;
    htri_t variable = H5Tis_variable_str(dataset->type);
    if (variable < 0)
        return hdf5_failed(input, dataset->name);
    return variable > 0 ? read_variable_strings(input, dataset, &to)
                        : read_fixed_strings(input, dataset, &to);
}

int traj_h5_read_names(const struct traj_h5_input *input, const struct traj_h5_dataset *dataset,
                       char (*name)[TRAJ_ID_SIZE])
{
    return traj_h5_read_strings(input, dataset, name[0], TRAJ_ID_SIZE);
}

/* ---- attributes ---------------------------------------------------------------------------------
 */

struct attribute {
    char name[TRAJ_H5_PATH + 64]; /* "attribute format", for sentences */
    hid_t id, type, space;
    H5T_class_t kind;
    hssize_t values;
};

static void attribute_close(struct attribute *attribute)
{
    if (attribute->space >= 0)
        (void)H5Sclose(attribute->space);
    if (attribute->type >= 0)
        (void)H5Tclose(attribute->type);
    if (attribute->id >= 0)
        (void)H5Aclose(attribute->id);
}

/* 1, 0 where absent and not required, or -1; to be closed in any case. */
static int attribute_open(const struct traj_h5_input *input, const char *object, const char *name,
                          bool required, struct attribute *attribute)
{
    *attribute = (struct attribute){.id = -1, .type = -1, .space = -1};
    bool root = strcmp(object, "/") == 0;
    (void)snprintf(attribute->name, sizeof attribute->name, "attribute %s%s%s", name,
                   root ? "" : " of ", root ? "" : object);
    htri_t there = H5Aexists_by_name(input->file, object, name, H5P_DEFAULT);
    if (there < 0)
        return hdf5_failed(input, attribute->name);
    if (there == 0)
        return required
                   ? traj_error_set(input->error, "%s: %s is missing", input->path, attribute->name)
                   : 0;
    attribute->id = H5Aopen_by_name(input->file, object, name, H5P_DEFAULT, H5P_DEFAULT);
    if (attribute->id >= 0) {
        attribute->type = H5Aget_type(attribute->id);
        attribute->space = H5Aget_space(attribute->id);
    }
    if (attribute->type < 0 || attribute->space < 0)
        return hdf5_failed(input, attribute->name);
    attribute->kind = H5Tget_class(attribute->type);
    attribute->values = H5Sget_simple_extent_npoints(attribute->space);
    if (attribute->values < 0 || attribute->values > 1)
        return traj_error_set(input->error, "%s: %s holds %lld values, not one", input->path,
                              attribute->name, (long long)attribute->values);
    return 1;
}

static int store_text(const struct traj_h5_input *input, const struct attribute *attribute,
                      const char *from, size_t length, char *text, size_t size)
{
    if (length >= size)
        return traj_error_set(input->error, "%s: %s has %zu bytes, at most %zu are possible",
                              input->path, attribute->name, length, size - 1);
    memcpy(text, from, length);
    text[length] = '\0';
    return 0;
}

static int read_fixed_text(const struct traj_h5_input *input, const struct attribute *attribute,
                           char *text, size_t size)
{
    size_t length = H5Tget_size(attribute->type);
    if (length == 0 || length > TEXT_MAX)
        return traj_error_set(input->error, "%s: %s has %zu bytes, at most %zu are possible",
                              input->path, attribute->name, length, size - 1);
    char *buffer = calloc(1, length);
    int status = 0;
    if (buffer == NULL)
        status = traj_error_set(input->error, "%s: %s: no memory", input->path, attribute->name);
    else if (H5Aread(attribute->id, attribute->type, buffer) < 0)
        status = hdf5_failed(input, attribute->name);
    else
        status = store_text(input, attribute, buffer, fixed_length(buffer, length, attribute->type),
                            text, size);
    free(buffer);
    return status;
}

static int read_variable_text(const struct traj_h5_input *input, const struct attribute *attribute,
                              char *text, size_t size)
{
    char *buffer = NULL;
    if (H5Aread(attribute->id, attribute->type, &buffer) < 0)
        return hdf5_failed(input, attribute->name);
    const char *from = buffer != NULL ? buffer : "";
    int status = store_text(input, attribute, from, strlen(from), text, size);
    (void)H5Dvlen_reclaim(attribute->type, attribute->space, H5P_DEFAULT, &buffer);
    return status;
}

int traj_h5_read_text(const struct traj_h5_input *input, const char *object, const char *name,
                      bool required, char *text, size_t size)
{
    struct attribute attribute;
    int status = attribute_open(input, object, name, required, &attribute);
    if (status == 1 && attribute.kind != H5T_STRING) {
        status =
            traj_error_set(input->error, "%s: %s is not a string", input->path, attribute.name);
    } else if (status == 1 && attribute.values == 0) {
        text[0] = '\0';
    } else if (status == 1) {
        bool variable = H5Tis_variable_str(attribute.type) > 0;
        int result = variable ? read_variable_text(input, &attribute, text, size)
                              : read_fixed_text(input, &attribute, text, size);
        status = result == 0 ? 1 : -1;
    }
    attribute_close(&attribute);
    return status;
}

int traj_h5_read_number(const struct traj_h5_input *input, const char *object, const char *name,
                        bool required, double *value)
{
    struct attribute attribute;
    int status = attribute_open(input, object, name, required, &attribute);
    if (status == 1 && (attribute.values != 1 || !is_number(attribute.type)))
        status =
            traj_error_set(input->error, "%s: %s is not a number", input->path, attribute.name);
    if (status == 1 && H5Aread(attribute.id, H5T_NATIVE_DOUBLE, value) < 0)
        status = hdf5_failed(input, attribute.name);
    attribute_close(&attribute);
    return status;
}
