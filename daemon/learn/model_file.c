/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Model files: struct traj_model <-> safetensors image <-> disk.  Page: proto/model.md. */
#include "daemon/learn/model_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/learn/model_layout.h"
#include "proto/sha256.h"
#include "traj/decoder.h"

#define FORMAT "trajd-model"
#define VERSION "1"
#define DIGEST_LENGTH 64u
/* Larger than the largest model that traj_dims allows any sensible use of; a longer file is refused
 * unread. */
#define FILE_MAX ((size_t)4 << 30)

static const char ZEROS[DIGEST_LENGTH + 1] =
    "0000000000000000000000000000000000000000000000000000000000000000";

/* ---- digest ---------------------------------------------------------------------------------- */

void traj_model_digest(const void *image, size_t size, size_t offset, char digest[65])
{
    const unsigned char *bytes = image;
    unsigned char hash[TRAJ_SHA256_SIZE];
    struct traj_sha256 sha;
    traj_sha256_init(&sha);
    traj_sha256_update(&sha, bytes, offset);
    traj_sha256_update(&sha, ZEROS, DIGEST_LENGTH);
    traj_sha256_update(&sha, bytes + offset + DIGEST_LENGTH, size - offset - DIGEST_LENGTH);
    traj_sha256_final(&sha, hash);
    traj_sha256_hex(hash, digest);
}

/* Where the digest's characters stand in the image, or (size_t)-1. */
static size_t digest_offset(const struct traj_tensors *tensors, const void *image)
{
    for (size_t i = 0; i < tensors->entries; i++)
        if (strcmp(tensors->entry[i].key, "digest") == 0 &&
            tensors->entry[i].length == DIGEST_LENGTH)
            return (size_t)(tensors->entry[i].text - (const char *)image);
    return (size_t)-1;
}

int traj_model_seal(void *image, size_t size)
{
    struct traj_tensors tensors;
    struct traj_refusal_detail detail;
    if (traj_tensors_parse(image, size, &tensors, &detail) != TRAJ_ACCEPTED)
        return -1;
    size_t offset = digest_offset(&tensors, image);
    if (offset == (size_t)-1)
        return -1;
    char digest[65];
    traj_model_digest(image, size, offset, digest);
    memcpy((char *)image + offset, digest, DIGEST_LENGTH);
    return 0;
}

/* ---- writing --------------------------------------------------------------------------------- */

static void add_text(struct traj_tensors *tensors, const char *key, const char *text)
{
    struct traj_metadata *entry = &tensors->entry[tensors->entries++];
    strncpy(entry->key, key, sizeof entry->key - 1);
    entry->text = text;
    entry->length = strlen(text);
}

static struct traj_tensor *add_tensor(struct traj_tensors *tensors, const char *name)
{
    struct traj_tensor *tensor = &tensors->tensor[tensors->tensors++];
    strncpy(tensor->name, name, sizeof tensor->name - 1);
    return tensor;
}

#define DIMS 17

static void dims_to_numbers(const struct traj_dims *dims, int32_t number[DIMS])
{
    const size_t value[DIMS] = {dims->position, dims->state,      dims->units, dims->features,
                                dims->targets,  dims->components, dims->lag,   dims->tunings,
                                dims->states,   dims->nodes,      dims->gains, dims->factors,
                                dims->links,    dims->delay,      dims->warps, dims->stages,
                                dims->paces};
    for (size_t i = 0; i < DIMS; i++)
        number[i] = (int32_t)value[i];
}

static int dims_from_numbers(const int32_t number[DIMS], struct traj_dims *dims)
{
    size_t *value[DIMS] = {&dims->position, &dims->state,      &dims->units, &dims->features,
                           &dims->targets,  &dims->components, &dims->lag,   &dims->tunings,
                           &dims->states,   &dims->nodes,      &dims->gains, &dims->factors,
                           &dims->links,    &dims->delay,      &dims->warps, &dims->stages,
                           &dims->paces};
    for (size_t i = 0; i < DIMS; i++) {
        if (number[i] < 0)
            return -1;
        *value[i] = (size_t)number[i];
    }
    return 0;
}

static void add_arrays(struct traj_tensors *tensors, const struct traj_model *model,
                       const int32_t *dims_number)
{
    struct traj_tensor *dims = add_tensor(tensors, "dims");
    dims->dtype = TRAJ_I32;
    dims->rank = 1;
    /* Without paces as before there were any, so that such a model keeps its digest. */
    dims->shape[0] = model->dims.paces > 0 ? DIMS : DIMS - 1;
    dims->data = dims_number;
    dims->bytes = dims->shape[0] * sizeof *dims_number;

    struct traj_model_field field[TRAJ_MODEL_FIELDS];
    size_t count = traj_model_fields(&model->dims, model->plan.rate != NULL, field);
    for (size_t i = 0; i < count; i++) {
        struct traj_tensor *tensor = add_tensor(tensors, field[i].name);
        tensor->dtype = field[i].dtype;
        tensor->rank = field[i].rank;
        memcpy(tensor->shape, field[i].shape, sizeof tensor->shape);
        tensor->data = traj_model_field_data(&field[i], model);
        tensor->bytes = traj_model_field_count(&field[i]) * traj_dtype_bytes(field[i].dtype);
    }
}

/* The names as JSON text in new memory, or NULL. */
static char *names_text(const char (*name)[TRAJ_ID_SIZE], size_t count)
{
    size_t length = traj_names_write(name, count, NULL, 0);
    char *text = malloc(length + 1);
    if (text)
        (void)traj_names_write(name, count, text, length + 1);
    return text;
}

static void *write_image(const struct traj_tensors *tensors, size_t *size)
{
    *size = traj_tensors_size(tensors);
    void *image = *size > 0 ? malloc(*size) : NULL;
    if (image && (traj_tensors_write(tensors, image, *size) != *size ||
                  traj_model_seal(image, *size) != 0)) {
        free(image);
        return NULL;
    }
    return image;
}

/* The file's bytes in new memory, or NULL with a sentence. */
static void *make_image(const struct traj_model *model, const char *path, size_t *size,
                        struct traj_error *error)
{
    struct traj_tensors *tensors = calloc(1, sizeof *tensors);
    char *target_id = names_text(model->about.target_id, model->dims.targets);
    char *unit_name =
        names_text(model->about.unit_name, model->about.unit_name ? model->dims.units : 0);
    void *image = NULL;
    int32_t dims[DIMS];
    if (tensors && target_id && unit_name) {
        add_text(tensors, "format", FORMAT);
        add_text(tensors, "version", VERSION);
        add_text(tensors, "digest", ZEROS);
        add_text(tensors, "family", model->about.family);
        add_text(tensors, "length_unit", model->about.length_unit);
        add_text(tensors, "subject", model->about.subject);
        add_text(tensors, "target_set", model->about.target_set);
        add_text(tensors, "target_id", target_id);
        if (model->about.unit_name)
            add_text(tensors, "unit_name", unit_name);
        if (model->about.training)
            add_text(tensors, "training", model->about.training);
        dims_to_numbers(&model->dims, dims);
        add_arrays(tensors, model, dims);
        image = write_image(tensors, size);
    }
    if (!image)
        traj_error_set(
            error, "%s: the model cannot be written: no memory, or a name that is no text", path);
    free(tensors);
    free(target_id);
    free(unit_name);
    return image;
}

/* ---- reading --------------------------------------------------------------------------------- */

/* What the steps of reading share. */
struct reading {
    const char *name; /* of the file, for sentences */
    const void *image;
    size_t size;
    struct traj_tensors tensors;
    struct traj_error *error;
};

static int get_text(const struct reading *reading, const char *key, char *out, size_t cap)
{
    if (traj_metadata_text(&reading->tensors, key, out, cap) == (size_t)-1)
        return traj_error_set(reading->error, "%s: metadata %s: missing or longer than %zu bytes",
                              reading->name, key, cap - 1);
    return 0;
}

/* The raw length of a metadata entry bounds its plain length. */
static size_t raw_length(const struct traj_tensors *tensors, const char *key)
{
    for (size_t i = 0; i < tensors->entries; i++)
        if (strcmp(tensors->entry[i].key, key) == 0)
            return tensors->entry[i].length;
    return (size_t)-1;
}

static int read_layout(struct reading *reading)
{
    struct traj_refusal_detail detail = {NULL, NULL, 0};
    enum traj_refusal refusal =
        traj_tensors_parse(reading->image, reading->size, &reading->tensors, &detail);
    if (refusal != TRAJ_ACCEPTED)
        return traj_error_set(
            reading->error, "%s: not a model file: %s%s%s at byte %zu", reading->name,
            detail.field ? detail.field : "", detail.field ? ": " : "",
            detail.reason ? detail.reason : traj_refusal_name(refusal), detail.offset);
    char text[65];
    if (get_text(reading, "format", text, sizeof text))
        return -1;
    if (strcmp(text, FORMAT) != 0)
        return traj_error_set(reading->error, "%s: metadata format: \"%s\" is not \"%s\"",
                              reading->name, text, FORMAT);
    if (get_text(reading, "version", text, sizeof text))
        return -1;
    if (strcmp(text, VERSION) != 0)
        return traj_error_set(reading->error, "%s: metadata version: \"%s\" is not \"%s\"",
                              reading->name, text, VERSION);
    return 0;
}

static int read_digest(const struct reading *reading, char digest[65])
{
    size_t offset = digest_offset(&reading->tensors, reading->image);
    if (offset == (size_t)-1)
        return traj_error_set(
            reading->error, "%s: metadata digest: missing or not of 64 characters", reading->name);
    traj_model_digest(reading->image, reading->size, offset, digest);
    if (memcmp((const char *)reading->image + offset, digest, DIGEST_LENGTH) != 0)
        return traj_error_set(reading->error,
                              "%s: metadata digest: the file is damaged (SHA-256 %s)",
                              reading->name, digest);
    return 0;
}

static int read_dims(const struct reading *reading, struct traj_dims *dims)
{
    const struct traj_tensor *tensor = traj_tensors_find(&reading->tensors, "dims");
    if (!tensor)
        return traj_error_set(reading->error, "%s: array dims: missing", reading->name);
    int32_t number[DIMS] = {0}; /* files from before the last of them was thought of lack it */
    if (tensor->dtype != TRAJ_I32 || tensor->rank != 1 ||
        (tensor->shape[0] != DIMS && tensor->shape[0] != DIMS - 1))
        return traj_error_set(reading->error, "%s: array dims: not I32 of %d values", reading->name,
                              DIMS);
    memcpy(number, tensor->data, tensor->shape[0] * sizeof *number);
    if (dims_from_numbers(number, dims))
        return traj_error_set(reading->error, "%s: array dims: a negative size", reading->name);
    const char *wrong = traj_dims_check(dims);
    if (wrong)
        return traj_error_set(reading->error, "%s: array dims: %s is out of range", reading->name,
                              wrong);
    return 0;
}

static const char *dtype_name(enum traj_dtype dtype)
{
    switch (dtype) {
    case TRAJ_F64:
        return "F64";
    case TRAJ_F32:
        return "F32";
    case TRAJ_I32:
        return "I32";
    case TRAJ_U8:
        return "U8";
    case TRAJ_U16:
        return "U16";
    }
    return "?";
}

static int check_field(const struct reading *reading, const struct traj_model_field *field)
{
    const struct traj_tensor *tensor = traj_tensors_find(&reading->tensors, field->name);
    if (!tensor)
        return traj_error_set(reading->error, "%s: array %s: missing", reading->name, field->name);
    if (tensor->dtype != field->dtype)
        return traj_error_set(reading->error, "%s: array %s: dtype %s, not %s", reading->name,
                              field->name, dtype_name(tensor->dtype), dtype_name(field->dtype));
    bool equal = tensor->rank == field->rank;
    for (size_t i = 0; equal && i < field->rank; i++)
        equal = tensor->shape[i] == field->shape[i];
    if (!equal)
        return traj_error_set(reading->error, "%s: array %s: its shape disagrees with dims",
                              reading->name, field->name);
    return 0;
}

/* Every field must be there with its type and shape, and nothing else. */
static int check_fields(const struct reading *reading, const struct traj_model_field *field,
                        size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (check_field(reading, &field[i]))
            return -1;
    for (size_t t = 0; t < reading->tensors.tensors; t++) {
        const char *name = reading->tensors.tensor[t].name;
        bool known = strcmp(name, "dims") == 0;
        for (size_t i = 0; i < count && !known; i++)
            known = strcmp(name, field[i].name) == 0;
        if (!known)
            return traj_error_set(reading->error, "%s: array %s: not known here", reading->name,
                                  name);
    }
    return 0;
}

static int read_names(const struct reading *reading, const char *key,
                      const char (*name)[TRAJ_ID_SIZE], size_t count)
{
    size_t length = raw_length(&reading->tensors, key);
    if (length == (size_t)-1)
        return traj_error_set(reading->error, "%s: metadata %s: missing", reading->name, key);
    char *text = malloc(length + 1);
    if (!text)
        return traj_error_set(reading->error, "%s: no memory", reading->name);
    int status = get_text(reading, key, text, length + 1);
    if (status == 0 && traj_names_read(text, (char(*)[TRAJ_ID_SIZE])(uintptr_t)name, count) != 0)
        status = traj_error_set(
            reading->error, "%s: metadata %s: not a JSON array of %zu names of at most %d bytes",
            reading->name, key, count, TRAJ_ID_SIZE - 1);
    free(text);
    return status;
}

static int read_about(const struct reading *reading, struct traj_model *model, size_t training_size)
{
    struct traj_description *about = &model->about;
    if (get_text(reading, "family", about->family, sizeof about->family) ||
        get_text(reading, "length_unit", about->length_unit, sizeof about->length_unit) ||
        get_text(reading, "subject", about->subject, sizeof about->subject) ||
        get_text(reading, "target_set", about->target_set, sizeof about->target_set) ||
        read_names(reading, "target_id", about->target_id, model->dims.targets))
        return -1;
    if (about->unit_name && read_names(reading, "unit_name", about->unit_name, model->dims.units))
        return -1;
    if (about->training)
        return get_text(reading, "training", (char *)(uintptr_t)about->training, training_size);
    return 0;
}

static int check_numbers(const struct reading *reading, const struct traj_model *model)
{
    const char *what = NULL;
    size_t index = 0;
    enum traj_status status = traj_model_check(model, &what, &index);
    if (status != TRAJ_OK)
        return traj_error_set(reading->error, "%s: %s[%zu]: %s", reading->name,
                              what ? what : "model", index, traj_status_text(status));
    return 0;
}

static struct traj_model *read_model(struct reading *reading)
{
    char digest[65];
    struct traj_dims dims;
    struct traj_model_field field[TRAJ_MODEL_FIELDS];
    if (read_layout(reading) || read_digest(reading, digest) || read_dims(reading, &dims))
        return NULL;
    bool with_plan = traj_tensors_find(&reading->tensors, "plan.rate") != NULL;
    bool with_names = raw_length(&reading->tensors, "unit_name") != (size_t)-1;
    size_t training = raw_length(&reading->tensors, "training") + 1; /* 0 where there is none */
    size_t count = traj_model_fields(&dims, with_plan, field);
    if (check_fields(reading, field, count))
        return NULL;
    struct traj_model *model =
        traj_model_make(&dims, with_plan, with_names, training, reading->error);
    if (!model)
        return NULL;
    for (size_t i = 0; i < count; i++) {
        const struct traj_tensor *tensor = traj_tensors_find(&reading->tensors, field[i].name);
        memcpy(traj_model_field_data(&field[i], model), tensor->data, tensor->bytes);
    }
    if (read_about(reading, model, training) || check_numbers(reading, model)) {
        traj_model_free(model);
        return NULL;
    }
    memcpy(model->about.digest, digest, sizeof digest);
    return model;
}

struct traj_model *traj_model_parse(const void *image, size_t size, const char *name,
                                    struct traj_error *error)
{
    struct reading *reading = calloc(1, sizeof *reading);
    if (!reading) {
        traj_error_set(error, "%s: no memory", name);
        return NULL;
    }
    reading->name = name;
    reading->image = image;
    reading->size = size;
    reading->error = error;
    struct traj_model *model = read_model(reading);
    free(reading);
    return model;
}

/* ---- disk ------------------------------------------------------------------------------------ */

/* The whole file in new memory, or NULL with a sentence. */
static void *read_file(const char *path, size_t *size, struct traj_error *error)
{
    /* Of a pipe nobody need ever write to, which must not hold up who asked for it. */
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    FILE *file = fd >= 0 ? fdopen(fd, "rb") : NULL;
    struct stat status;
    if (!file || fstat(fd, &status) != 0) {
        traj_error_set(error, "%s: cannot be opened: %s", path, strerror(errno));
        if (file)
            (void)fclose(file);
        else if (fd >= 0)
            (void)close(fd);
        return NULL;
    }
    unsigned char *image = NULL;
    if (!S_ISREG(status.st_mode)) {
        traj_error_set(error, "%s: not a regular file", path);
    } else if (status.st_size < 8 || (uintmax_t)status.st_size > FILE_MAX) {
        traj_error_set(error, "%s: not a model file: %jd bytes long", path,
                       (intmax_t)status.st_size);
    } else {
        *size = (size_t)status.st_size;
        image = malloc(*size);
        if (!image || fread(image, 1, *size, file) != *size) {
            traj_error_set(error, "%s: cannot be read: %s", path,
                           image ? "it is shorter than it was" : "no memory");
            free(image);
            image = NULL;
        }
    }
    (void)fclose(file);
    return image;
}

struct traj_model *traj_model_load(const char *path, struct traj_error *error)
{
    size_t size = 0;
    void *image = read_file(path, &size, error);
    if (!image)
        return NULL;
    struct traj_model *model = traj_model_parse(image, size, path, error);
    free(image);
    return model;
}

static int write_all(int file, const char *bytes, size_t size)
{
    while (size > 0) {
        ssize_t written = write(file, bytes, size);
        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0)
            return -1;
        bytes += written;
        size -= (size_t)written;
    }
    return fsync(file);
}

/* Opens a new file beside path and puts its name into temporary; -1 with errno set. */
static int open_beside(const char *path, char *temporary, size_t cap)
{
    for (unsigned attempt = 0; attempt < 100; attempt++) {
        int length = snprintf(temporary, cap, "%s.%ld-%u", path, (long)getpid(), attempt);
        if (length < 0 || (size_t)length >= cap) {
            errno = ENAMETOOLONG;
            return -1;
        }
        int file = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        if (file >= 0 || errno != EEXIST)
            return file;
    }
    return -1;
}

/* The rename itself must reach the disk, else a power cut may undo it. */
static int sync_folder(const char *path)
{
    char folder[4096];
    const char *slash = strrchr(path, '/');
    size_t length = slash ? (size_t)(slash - path) + 1 : 0;
    if (length + 2 > sizeof folder) {
        errno = ENAMETOOLONG;
        return -1;
    }
    memcpy(folder, path, length);
    memcpy(folder + length, ".", 2);
    int file = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (file < 0)
        return -1;
    int status = fsync(file);
    /* Some file systems know no fsync of a folder; there the rename is as safe as it can be. */
    if (status != 0 && (errno == EINVAL || errno == ENOTSUP))
        status = 0;
    (void)close(file);
    return status;
}

/* The rename would put a file where a device, pipe or socket is, and fails on a folder. */
static int check_place(const char *path, struct traj_error *error)
{
    struct stat there;
    if (stat(path, &there) != 0 || S_ISREG(there.st_mode))
        return 0;
    return traj_error_set(error, "%s: cannot be written: %s", path,
                          S_ISDIR(there.st_mode) ? strerror(EISDIR) : "not a regular file");
}

int traj_model_place(const char *path, struct traj_error *error)
{
    char temporary[4096];
    if (check_place(path, error) != 0)
        return -1;
    int file = open_beside(path, temporary, sizeof temporary);
    if (file < 0)
        return traj_error_set(error, "%s: cannot be written: %s", path, strerror(errno));
    (void)close(file);
    (void)unlink(temporary);
    return 0;
}

static int write_file(const char *path, const void *image, size_t size, struct traj_error *error)
{
    char temporary[4096];
    if (check_place(path, error) != 0)
        return -1;
    int file = open_beside(path, temporary, sizeof temporary);
    if (file < 0)
        return traj_error_set(error, "%s: cannot be written: %s", path, strerror(errno));
    int status = write_all(file, image, size);
    int cause = errno;
    if (close(file) != 0 && status == 0) {
        status = -1;
        cause = errno;
    }
    if (status == 0 && rename(temporary, path) != 0) {
        status = -1;
        cause = errno;
    }
    if (status != 0) {
        (void)unlink(temporary);
        return traj_error_set(error, "%s: cannot be written: %s", path, strerror(cause));
    }
    if (sync_folder(path) != 0)
        return traj_error_set(error, "%s: written, but its folder cannot be synced: %s", path,
                              strerror(errno));
    return 0;
}

struct traj_model *traj_model_copy(const struct traj_model *model, const char *name,
                                   struct traj_error *error)
{
    size_t size = 0;
    void *image = make_image(model, name, &size, error);
    struct traj_model *copy = image ? traj_model_parse(image, size, name, error) : NULL;
    free(image);
    return copy;
}

int traj_model_save(struct traj_model *model, const char *path, struct traj_error *error)
{
    size_t size = 0;
    void *image = make_image(model, path, &size, error);
    if (!image)
        return -1;
    /* A model that could not be loaded again is refused here, where its maker can still act. */
    struct traj_model *again = traj_model_parse(image, size, path, error);
    int status = again ? write_file(path, image, size, error) : -1;
    if (status == 0)
        memcpy(model->about.digest, again->about.digest, sizeof model->about.digest);
    traj_model_free(again);
    free(image);
    return status;
}
