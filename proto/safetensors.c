/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The safetensors layout: file image <-> struct; see safetensors.h and model.md. */
#include "proto/safetensors.h"

#include <string.h>

#include "proto/json.h"

#define LENGTH_SIZE 8
#define ALIGNMENT 8 /* the data begin at a multiple of this, as the layout's own writers have it */

/* Arrays go in and out as they lie in memory. */
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the layout is little-endian");

static const struct dtype {
    const char *name;
    size_t size;
} dtypes[] = {
    [TRAJ_F64] = {"F64", 8}, [TRAJ_F32] = {"F32", 4}, [TRAJ_I32] = {"I32", 4},
    [TRAJ_U8] = {"U8", 1},   [TRAJ_U16] = {"U16", 2},
};
#define DTYPES (sizeof dtypes / sizeof dtypes[0])

static bool multiply(size_t *value, size_t factor)
{
    return !__builtin_mul_overflow(*value, factor, value);
}

/* Bytes that dtype and shape call for; false if a size_t cannot tell. */
static bool size_of(const struct traj_tensor *tensor, size_t *bytes)
{
    *bytes = dtypes[tensor->dtype].size;
    for (size_t i = 0; i < tensor->rank; i++) {
        if (!multiply(bytes, tensor->shape[i])) {
            return false;
        }
    }
    return true;
}

/* ---- reading --------------------------------------------------------------------------------- */

struct reading {
    struct traj_json json;
    const unsigned char *data;
    size_t data_size;
    size_t used; /* bytes of the data that the tensors so far take */
    const char *field;
};

static bool refuse(struct reading *reading, const char *reason)
{
    return traj_json_refuse(&reading->json, TRAJ_REFUSED_FIELD, reason);
}

static bool read_metadata(struct reading *reading, struct traj_tensors *tensors)
{
    struct traj_json *json = &reading->json;
    reading->field = "__metadata__";
    if (!traj_json_object(json)) {
        return false;
    }
    char key[sizeof tensors->entry[0].key];
    while (traj_json_member(json, key, sizeof key)) {
        for (size_t i = 0; i < tensors->entries; i++) {
            if (strcmp(tensors->entry[i].key, key) == 0) {
                return refuse(reading, "doubled key");
            }
        }
        if (tensors->entries == TRAJ_METADATA_MAX) {
            return traj_json_refuse(json, TRAJ_REFUSED_SIZE,
                                    "more metadata than there is room for");
        }
        struct traj_metadata *entry = &tensors->entry[tensors->entries];
        memcpy(entry->key, key, sizeof key);
        if (!traj_json_raw_text(json, &entry->text, &entry->length)) {
            return false;
        }
        tensors->entries++;
    }
    return json->refusal == TRAJ_ACCEPTED;
}

static bool read_dtype(struct reading *reading, struct traj_tensor *tensor)
{
    char name[8];
    reading->field = "dtype";
    if (!traj_json_text(&reading->json, name, sizeof name)) {
        return false;
    }
    for (size_t i = 0; i < DTYPES; i++) {
        if (strcmp(name, dtypes[i].name) == 0) {
            tensor->dtype = (enum traj_dtype)i;
            return true;
        }
    }
    return refuse(reading, "none of F64, F32, I32, U8 and U16");
}

/* Whole numbers, at most max of them. */
static bool read_sizes(struct reading *reading, const char *field, size_t *out, size_t max,
                       size_t *count)
{
    struct traj_json *json = &reading->json;
    reading->field = field;
    *count = 0;
    if (!traj_json_array(json)) {
        return false;
    }
    while (traj_json_element(json)) {
        uint64_t value;
        if (*count == max) {
            return traj_json_refuse(json, TRAJ_REFUSED_SIZE, "too many numbers");
        }
        if (!traj_json_u64(json, &value)) {
            return false;
        }
        if (value > SIZE_MAX) {
            return refuse(reading, "too large");
        }
        out[(*count)++] = (size_t)value;
    }
    return json->refusal == TRAJ_ACCEPTED;
}

/* Where the array lies: right behind the one before, inside the data, as long as its shape says. */
static bool place(struct reading *reading, struct traj_tensor *tensor, const size_t offset[2])
{
    reading->field = "data_offsets";
    if (offset[0] != reading->used) {
        return refuse(reading, "not right behind the array before");
    }
    if (offset[1] < offset[0] || offset[1] > reading->data_size) {
        return refuse(reading, "outside the data");
    }
    if (!size_of(tensor, &tensor->bytes) || tensor->bytes != offset[1] - offset[0]) {
        return refuse(reading, "not as long as dtype and shape say");
    }
    tensor->data = reading->data + offset[0];
    reading->used = offset[1];
    return true;
}

static bool read_tensor(struct reading *reading, struct traj_tensor *tensor)
{
    enum { DTYPE, SHAPE, OFFSETS, KEYS };
    static const char *const names[KEYS] = {"dtype", "shape", "data_offsets"};
    struct traj_json *json = &reading->json;
    struct traj_json_members members;
    size_t offset[2];
    size_t offsets;
    reading->field = "tensor";
    if (!traj_json_members(json, names, KEYS, &members)) {
        return false;
    }
    const char *after = json->at;
    if (members.odd != NULL) {
        return refuse(reading, members.odd_reason);
    }
    for (size_t i = 0; i < KEYS; i++) {
        if (members.at[i] == NULL) {
            return refuse(reading, "not all of dtype, shape and data_offsets");
        }
    }
    json->at = members.at[DTYPE];
    if (!read_dtype(reading, tensor)) {
        return false;
    }
    json->at = members.at[SHAPE];
    if (!read_sizes(reading, "shape", tensor->shape, TRAJ_TENSOR_RANK_MAX, &tensor->rank)) {
        return false;
    }
    json->at = members.at[OFFSETS];
    if (!read_sizes(reading, "data_offsets", offset, 2, &offsets)) {
        return false;
    }
    if (offsets != 2) {
        return refuse(reading, "not two numbers");
    }
    json->at = after;
    return place(reading, tensor, offset);
}

static bool read_header(struct reading *reading, struct traj_tensors *tensors)
{
    struct traj_json *json = &reading->json;
    bool metadata = false;
    reading->field = "header";
    if (!traj_json_object(json)) {
        return false;
    }
    char name[sizeof tensors->tensor[0].name];
    while (traj_json_member(json, name, sizeof name)) {
        if (strcmp(name, "__metadata__") == 0) {
            if (metadata) {
                return refuse(reading, "doubled __metadata__");
            }
            metadata = true;
            if (!read_metadata(reading, tensors)) {
                return false;
            }
            reading->field = "header";
            continue;
        }
        if (traj_tensors_find(tensors, name) != NULL) {
            return refuse(reading, "two tensors of one name");
        }
        if (tensors->tensors == TRAJ_TENSORS_MAX) {
            return traj_json_refuse(json, TRAJ_REFUSED_SIZE, "more tensors than there is room for");
        }
        struct traj_tensor *tensor = &tensors->tensor[tensors->tensors];
        memcpy(tensor->name, name, sizeof name);
        if (!read_tensor(reading, tensor)) {
            return false;
        }
        tensors->tensors++;
        reading->field = "header";
    }
    if (!traj_json_finish(json)) {
        return false;
    }
    reading->field = "data";
    return reading->used == reading->data_size ||
           refuse(reading, "more data than the tensors take");
}

enum traj_refusal traj_tensors_parse(const void *image, size_t size, struct traj_tensors *tensors,
                                     struct traj_refusal_detail *detail)
{
    const unsigned char *bytes = image;
    uint64_t length = 0;
    tensors->tensors = 0;
    tensors->entries = 0;
    if (size < LENGTH_SIZE) {
        return traj_refuse(detail, TRAJ_REFUSED_SYNTAX, "header length", "cut off", size);
    }
    for (size_t i = LENGTH_SIZE; i-- > 0;) {
        length = length << 8 | bytes[i];
    }
    if (length > size - LENGTH_SIZE) {
        return traj_refuse(detail, TRAJ_REFUSED_SYNTAX, "header length", "beyond the end", 0);
    }
    struct reading reading = {.data = bytes + LENGTH_SIZE + length,
                              .data_size = size - LENGTH_SIZE - (size_t)length};
    traj_json_start(&reading.json, bytes + LENGTH_SIZE, (size_t)length);
    if (!read_header(&reading, tensors)) {
        return traj_refuse(detail, reading.json.refusal, reading.field, reading.json.reason,
                           LENGTH_SIZE + (size_t)(reading.json.at - reading.json.begin));
    }
    return TRAJ_ACCEPTED;
}

const struct traj_tensor *traj_tensors_find(const struct traj_tensors *tensors, const char *name)
{
    for (size_t i = 0; i < tensors->tensors; i++) {
        if (strcmp(tensors->tensor[i].name, name) == 0) {
            return &tensors->tensor[i];
        }
    }
    return NULL;
}

size_t traj_metadata_text(const struct traj_tensors *tensors, const char *key, char *out,
                          size_t cap)
{
    for (size_t i = 0; i < tensors->entries; i++) {
        if (strcmp(tensors->entry[i].key, key) == 0) {
            return traj_json_unescape(tensors->entry[i].text, tensors->entry[i].length, out, cap);
        }
    }
    return (size_t)-1;
}

/* ---- writing --------------------------------------------------------------------------------- */

/* Whether the struct can be written: known dtypes, sizes that agree, a sum that a size_t can
 * hold. */
static bool writable(const struct traj_tensors *tensors, size_t *data_size)
{
    *data_size = 0;
    if (tensors->tensors > TRAJ_TENSORS_MAX || tensors->entries > TRAJ_METADATA_MAX) {
        return false;
    }
    for (size_t i = 0; i < tensors->tensors; i++) {
        const struct traj_tensor *tensor = &tensors->tensor[i];
        size_t bytes;
        if ((size_t)tensor->dtype >= DTYPES || tensor->rank > TRAJ_TENSOR_RANK_MAX ||
            !size_of(tensor, &bytes) || bytes != tensor->bytes ||
            __builtin_add_overflow(*data_size, bytes, data_size)) {
            return false;
        }
    }
    return true;
}

static void put_tensor(struct traj_json_writer *writer, const struct traj_tensor *tensor,
                       size_t offset)
{
    traj_json_put_key(writer, tensor->name);
    traj_json_put_bracket(writer, '{');
    traj_json_put_key(writer, "dtype");
    traj_json_put_text(writer, dtypes[tensor->dtype].name);
    traj_json_put_key(writer, "shape");
    traj_json_put_bracket(writer, '[');
    for (size_t i = 0; i < tensor->rank; i++) {
        traj_json_put_u64(writer, tensor->shape[i]);
    }
    traj_json_put_bracket(writer, ']');
    traj_json_put_key(writer, "data_offsets");
    traj_json_put_bracket(writer, '[');
    traj_json_put_u64(writer, offset);
    traj_json_put_u64(writer, offset + tensor->bytes);
    traj_json_put_bracket(writer, ']');
    traj_json_put_bracket(writer, '}');
}

/* Writes the header's JSON, or counts it if out is NULL; returns its length without padding, or
 * 0. */
static size_t write_header(const struct traj_tensors *tensors, char *out, size_t cap)
{
    struct traj_json_writer writer;
    traj_json_write_start(&writer, out, cap);
    traj_json_put_bracket(&writer, '{');
    if (tensors->entries > 0) {
        traj_json_put_key(&writer, "__metadata__");
        traj_json_put_bracket(&writer, '{');
        for (size_t i = 0; i < tensors->entries; i++) {
            traj_json_put_key(&writer, tensors->entry[i].key);
            traj_json_put_bytes(&writer, tensors->entry[i].text, tensors->entry[i].length);
        }
        traj_json_put_bracket(&writer, '}');
    }
    size_t offset = 0;
    for (size_t i = 0; i < tensors->tensors; i++) {
        put_tensor(&writer, &tensors->tensor[i], offset);
        offset += tensors->tensor[i].bytes;
    }
    traj_json_put_bracket(&writer, '}');
    return traj_json_written(&writer);
}

static size_t padded(size_t header)
{
    return (header + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

size_t traj_tensors_size(const struct traj_tensors *tensors)
{
    size_t data_size;
    size_t total;
    if (!writable(tensors, &data_size) ||
        __builtin_add_overflow(LENGTH_SIZE + padded(write_header(tensors, NULL, 0)), data_size,
                               &total)) {
        return 0;
    }
    return total;
}

size_t traj_tensors_write(const struct traj_tensors *tensors, void *out, size_t cap)
{
    unsigned char *bytes = out;
    size_t size = traj_tensors_size(tensors);
    if (size == 0 || size > cap) {
        return 0;
    }
    size_t header = write_header(tensors, (char *)bytes + LENGTH_SIZE, cap - LENGTH_SIZE);
    size_t length = padded(header);
    memset(bytes + LENGTH_SIZE + header, ' ', length - header);
    for (size_t i = 0; i < LENGTH_SIZE; i++) {
        bytes[i] = (unsigned char)((uint64_t)length >> 8 * i);
    }
    unsigned char *at = bytes + LENGTH_SIZE + length;
    for (size_t i = 0; i < tensors->tensors; i++) {
        if (tensors->tensor[i].bytes > 0) {
            memcpy(at, tensors->tensor[i].data, tensors->tensor[i].bytes);
            at += tensors->tensor[i].bytes;
        }
    }
    return size;
}
