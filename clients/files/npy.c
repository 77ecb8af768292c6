/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Arrays as numpy stores them. */
#include "clients/files/npy.h"

#include <math.h>
#include <stdint.h>
#include <string.h>

#define MAGIC "\x93NUMPY"
#define MAGIC_SIZE 6u
#define TEXT_MAX 65536u /* bytes of one text */

/* ---- the header -------------------------------------------------------------------------- */

/* The dictionary of the header, read from left to right. */
struct cursor {
    const char *at, *end;
};

static void skip_blanks(struct cursor *c)
{
    while (c->at < c->end && (*c->at == ' ' || *c->at == '\n' || *c->at == '\t'))
        c->at++;
}

static bool take(struct cursor *c, char wanted)
{
    skip_blanks(c);
    if (c->at == c->end || *c->at != wanted)
        return false;
    c->at++;
    return true;
}

static bool take_word(struct cursor *c, const char *word)
{
    size_t length = strlen(word);
    skip_blanks(c);
    if ((size_t)(c->end - c->at) < length || memcmp(c->at, word, length) != 0)
        return false;
    c->at += length;
    return true;
}

/* 'text' or "text" without escapes. */
static bool take_string(struct cursor *c, const char **text, size_t *length)
{
    skip_blanks(c);
    if (c->at == c->end || (*c->at != '\'' && *c->at != '"'))
        return false;
    char quote = *c->at++;
    const char *stop = memchr(c->at, quote, (size_t)(c->end - c->at));
    if (stop == NULL)
        return false;
    *text = c->at;
    *length = (size_t)(stop - c->at);
    c->at = stop + 1;
    return true;
}

static bool take_size(struct cursor *c, size_t *size)
{
    skip_blanks(c);
    const char *from = c->at;
    *size = 0;
    for (; c->at < c->end && *c->at >= '0' && *c->at <= '9'; c->at++) {
        size_t digit = (size_t)(*c->at - '0');
        if (*size > (SIZE_MAX - digit) / 10u)
            return false;
        *size = 10u * *size + digit;
    }
    return c->at > from;
}

/* '<f8', '|b1', '<U12'. */
static const char *read_type(const char *text, size_t length, struct traj_npy *npy)
{
    static const char letters[] = "biufSU";
    struct cursor c = {text, text + length};
    char order = c.at < c.end ? *c.at : ' ';
    if (strchr("<>=|", order) != NULL && c.at < c.end)
        c.at++;
    npy->big_endian = order == '>';
    const char *letter = c.at < c.end && *c.at != '\0' ? strchr(letters, *c.at) : NULL;
    if (letter == NULL)
        return "holds neither numbers nor text (objects are not read)";
    c.at++;
    npy->kind = (enum traj_npy_kind)(letter - letters);
    if (!take_size(&c, &npy->size) || c.at != c.end)
        return "holds elements of unknown size";
    size_t s = npy->size;
    bool good = true;
    switch (npy->kind) {
    case TRAJ_NPY_BOOL:
        good = s == 1;
        break;
    case TRAJ_NPY_INT:
    case TRAJ_NPY_UINT:
        good = s == 1 || s == 2 || s == 4 || s == 8;
        break;
    case TRAJ_NPY_FLOAT:
        good = s == 4 || s == 8;
        break;
    case TRAJ_NPY_UNICODE:
        good = s <= TEXT_MAX / 4u;
        npy->size = 4u * s;
        break;
    case TRAJ_NPY_BYTES:
        good = s <= TEXT_MAX;
        break;
    }
    return good ? NULL : "holds elements of a size that is not read";
}

/* (), (5,), (5, 3). */
static const char *read_shape(struct cursor *c, struct traj_npy *npy)
{
    size_t extent[2] = {1, 1};
    npy->rank = 0;
    if (!take(c, '('))
        return "has no shape";
    while (!take(c, ')')) {
        if (npy->rank == 2)
            return "has more than 2 dimensions";
        if (!take_size(c, &extent[npy->rank]))
            return "has a shape that is none";
        npy->rank++;
        if (!take(c, ',')) {
            if (!take(c, ')'))
                return "has a shape that is none";
            break;
        }
    }
    npy->rows = extent[0];
    npy->columns = extent[1];
    return NULL;
}

static const char *read_dictionary(struct cursor *c, struct traj_npy *npy)
{
    const char *key = NULL, *text = NULL, *why = NULL;
    size_t length = 0, size = 0;
    unsigned found = 0;
    if (!take(c, '{'))
        return "has a header that is no dictionary";
    while (why == NULL && !take(c, '}')) {
        if (!take_string(c, &key, &length) || !take(c, ':'))
            return "has a header that is no dictionary";
        if (length == 5 && memcmp(key, "descr", 5) == 0) {
            why = take_string(c, &text, &size) ? read_type(text, size, npy)
                                               : "holds records, not numbers";
            found |= 1u;
        } else if (length == 13 && memcmp(key, "fortran_order", 13) == 0) {
            npy->fortran = take_word(c, "True");
            why = npy->fortran || take_word(c, "False") ? NULL : "has no order";
            found |= 2u;
        } else if (length == 5 && memcmp(key, "shape", 5) == 0) {
            why = read_shape(c, npy);
            found |= 4u;
        } else {
            return "has a header with an unknown key";
        }
        if (why == NULL && !take(c, ',')) {
            if (!take(c, '}'))
                return "has a header that is no dictionary";
            break;
        }
    }
    if (why == NULL && found != 7u)
        why = "has a header without type, order or shape";
    return why;
}

const char *traj_npy_parse(const unsigned char *bytes, size_t size, struct traj_npy *npy)
{
    *npy = (struct traj_npy){.rank = 0};
    if (size < MAGIC_SIZE + 4u || memcmp(bytes, MAGIC, MAGIC_SIZE) != 0)
        return "is not an array of numpy";
    unsigned version = bytes[MAGIC_SIZE];
    if (version < 1 || version > 3)
        return "is of a version of NPY that is not known";
    size_t width = version == 1 ? 2u : 4u, start = MAGIC_SIZE + 2u + width, length = 0;
    if (size < start)
        return "ends within its header";
    for (size_t i = width; i-- > 0;)
        length = 256u * length + bytes[MAGIC_SIZE + 2u + i];
    if (length > size - start)
        return "ends within its header";
    struct cursor c = {(const char *)bytes + start, (const char *)bytes + start + length};
    const char *why = read_dictionary(&c, npy);
    if (why != NULL)
        return why;
    size_t left = size - start - length;
    npy->data = bytes + start + length;
    /* Division, because a product of what the header claims may not fit. */
    bool none = npy->rows == 0 || npy->columns == 0 || npy->size == 0;
    if (none)
        return left == 0 ? NULL : "has another size than its header claims";
    if (npy->columns > left / npy->size || npy->rows > left / npy->size / npy->columns ||
        npy->rows * npy->columns * npy->size != left)
        return "has another size than its header claims";
    return NULL;
}

/* ---- elements ---------------------------------------------------------------------------- */

static const unsigned char *element(const struct traj_npy *npy, size_t row, size_t column)
{
    size_t i = npy->fortran ? column * npy->rows + row : row * npy->columns + column;
    return npy->data + i * npy->size;
}

static uint64_t read_bits(const unsigned char *at, size_t size, bool big_endian)
{
    uint64_t bits = 0;
    for (size_t i = 0; i < size; i++)
        bits = (bits << 8) | at[big_endian ? i : size - 1 - i];
    return bits;
}

double traj_npy_number(const struct traj_npy *npy, size_t row, size_t column)
{
    if (npy->kind > TRAJ_NPY_FLOAT)
        return NAN;
    uint64_t bits = read_bits(element(npy, row, column), npy->size, npy->big_endian);
    if (npy->kind == TRAJ_NPY_BOOL)
        return bits != 0 ? 1.0 : 0.0;
    if (npy->kind == TRAJ_NPY_UINT)
        return (double)bits;
    if (npy->kind == TRAJ_NPY_INT) {
        unsigned spare = 64u - 8u * (unsigned)npy->size;
        uint64_t sign = (uint64_t)1 << (63u - spare);
        bool negative = (bits & sign) != 0;
        uint64_t magnitude = negative ? (~bits + 1u) & (sign | (sign - 1u)) : bits;
        return negative ? -(double)magnitude : (double)magnitude;
    }
    if (npy->size == sizeof(double)) {
        double value;
        memcpy(&value, &bits, sizeof value);
        return value;
    }
    uint32_t low = (uint32_t)bits;
    float value;
    memcpy(&value, &low, sizeof value);
    return (double)value;
}

/* Appends a character; false where it is none or does not fit. */
static bool put_character(uint32_t code, char *text, size_t size, size_t *used)
{
    static const uint32_t limit[] = {0x80u, 0x800u, 0x10000u, 0x110000u};
    size_t more = 0;
    while (more < 4 && code >= limit[more])
        more++;
    if (more == 4 || (code >= 0xd800u && code < 0xe000u) || size - *used <= more + 1)
        return false;
    static const unsigned char lead[] = {0x00u, 0xc0u, 0xe0u, 0xf0u};
    text[(*used)++] = (char)(lead[more] | (code >> (6u * more)));
    for (size_t k = more; k-- > 0;)
        text[(*used)++] = (char)(0x80u | ((code >> (6u * k)) & 0x3fu));
    return true;
}

bool traj_npy_text(const struct traj_npy *npy, size_t row, size_t column, char *text, size_t size)
{
    if (npy->kind < TRAJ_NPY_BYTES || size == 0)
        return false;
    size_t used = 0, width = npy->kind == TRAJ_NPY_UNICODE ? 4u : 1u;
    const unsigned char *at = element(npy, row, column);
    size_t length = npy->size / width;
    while (length > 0 && read_bits(at + (length - 1) * width, width, false) == 0)
        length--;
    for (size_t i = 0; i < length; i++) {
        uint32_t code = (uint32_t)read_bits(at + i * width, width, npy->big_endian);
        if (width == 1 && code != 0 && used + 1 < size)
            text[used++] = (char)code; /* bytes are taken for UTF-8 */
        else if (width == 1 || code == 0 || !put_character(code, text, size, &used))
            return false;
    }
    text[used] = '\0';
    return true;
}
