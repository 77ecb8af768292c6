/* SPDX-License-Identifier: GPL-3.0-or-later */
/* JSON, read by pulling and written by appending; see json.h. */
#include "proto/json.h"

#include <math.h>
#include <string.h>

#include "proto/number.h"

/* ---- text: what both sides share ------------------------------------------------------------- */

static bool is_continuation(const char *at)
{
    return ((unsigned char)*at & 0xC0) == 0x80;
}

/* Length of the UTF-8 sequence at `at` (RFC 3629: no overlong form, no surrogate), or 0 if it is
 * not one. */
static size_t utf8_length(const char *at, const char *end)
{
    unsigned char lead = (unsigned char)*at;
    size_t left = (size_t)(end - at);
    if (lead < 0x80) {
        return 1;
    }
    if (lead < 0xC2 || lead > 0xF4) {
        return 0;
    }
    size_t length = lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
    if (left < length) {
        return 0;
    }
    unsigned char second = (unsigned char)at[1];
    unsigned char lowest = lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : 0x80;
    unsigned char highest = lead == 0xED ? 0x9F : lead == 0xF4 ? 0x8F : 0xBF;
    if (second < lowest || second > highest) {
        return 0;
    }
    for (size_t i = 2; i < length; i++) {
        if (!is_continuation(at + i)) {
            return 0;
        }
    }
    return length;
}

static size_t utf8_encode(uint32_t code, char *out)
{
    if (code < 0x80) {
        out[0] = (char)code;
        return 1;
    }
    if (code < 0x800) {
        out[0] = (char)(0xC0 | code >> 6);
        out[1] = (char)(0x80 | (code & 0x3F));
        return 2;
    }
    if (code < 0x10000) {
        out[0] = (char)(0xE0 | code >> 12);
        out[1] = (char)(0x80 | (code >> 6 & 0x3F));
        out[2] = (char)(0x80 | (code & 0x3F));
        return 3;
    }
    out[0] = (char)(0xF0 | code >> 18);
    out[1] = (char)(0x80 | (code >> 12 & 0x3F));
    out[2] = (char)(0x80 | (code >> 6 & 0x3F));
    out[3] = (char)(0x80 | (code & 0x3F));
    return 4;
}

static bool read_hex4(const char *at, const char *end, uint32_t *value)
{
    if (end - at < 4) {
        return false;
    }
    *value = 0;
    for (size_t i = 0; i < 4; i++) {
        char c = at[i];
        uint32_t digit;
        if (c >= '0' && c <= '9') {
            digit = (uint32_t)(c - '0');
        } else if (c >= 'a' && c <= 'f') {
            digit = (uint32_t)(c - 'a') + 10;
        } else if (c >= 'A' && c <= 'F') {
            digit = (uint32_t)(c - 'A') + 10;
        } else {
            return false;
        }
        *value = *value << 4 | digit;
    }
    return true;
}

/* Reads what follows a backslash; returns where it ends, or NULL if it is no escape. */
static const char *read_escape(const char *at, const char *end, uint32_t *code)
{
    static const char letters[] = "\"\\/bfnrt";
    static const char meanings[] = "\"\\/\b\f\n\r\t";
    if (at == end) {
        return NULL;
    }
    if (*at != 'u') {
        const char *letter = *at == '\0' ? NULL : strchr(letters, *at);
        if (letter == NULL) {
            return NULL;
        }
        *code = (uint32_t)meanings[letter - letters];
        return at + 1;
    }
    if (!read_hex4(at + 1, end, code)) {
        return NULL;
    }
    at += 5;
    if (*code >= 0xDC00 && *code <= 0xDFFF) {
        return NULL;
    }
    if (*code >= 0xD800 && *code <= 0xDBFF) {
        uint32_t low;
        if (end - at < 6 || at[0] != '\\' || at[1] != 'u' || !read_hex4(at + 2, end, &low) ||
            low < 0xDC00 || low > 0xDFFF) {
            return NULL;
        }
        *code = 0x10000 + ((*code - 0xD800) << 10) + (low - 0xDC00);
        at += 6;
    }
    return at;
}

/* ---- reading --------------------------------------------------------------------------------- */

void traj_json_start(struct traj_json *json, const void *body, size_t size)
{
    json->begin = body == NULL ? "" : body;
    json->at = json->begin;
    json->end = json->begin + size;
    json->depth = 0;
    json->first = true;
    json->refusal = TRAJ_ACCEPTED;
    json->reason = NULL;
}

bool traj_json_refuse(struct traj_json *json, enum traj_refusal refusal, const char *reason)
{
    if (json->refusal == TRAJ_ACCEPTED) {
        json->refusal = refusal;
        json->reason = reason;
    }
    return false;
}

static bool syntax(struct traj_json *json, const char *reason)
{
    return traj_json_refuse(json, TRAJ_REFUSED_SYNTAX, reason);
}

static bool field(struct traj_json *json, const char *reason)
{
    return traj_json_refuse(json, TRAJ_REFUSED_FIELD, reason);
}

static const char *skip_space(const char *at, const char *end)
{
    while (at < end && (*at == ' ' || *at == '\n' || *at == '\t' || *at == '\r')) {
        at++;
    }
    return at;
}

char traj_json_peek(struct traj_json *json)
{
    json->at = skip_space(json->at, json->end);
    return json->at < json->end && json->refusal == TRAJ_ACCEPTED ? *json->at : '\0';
}

bool traj_json_finish(struct traj_json *json)
{
    if (json->refusal != TRAJ_ACCEPTED) {
        return false;
    }
    json->at = skip_space(json->at, json->end);
    return json->at == json->end || syntax(json, "bytes follow the value");
}

/* Where the value at hand is not of the kind that was asked for: a wrong type, or no JSON at
 * all. */
static bool mismatch(struct traj_json *json, const char *reason)
{
    const char *at = json->at;
    if (!traj_json_skip(json)) {
        return false;
    }
    json->at = at;
    return field(json, reason);
}

static bool open_bracket(struct traj_json *json, char bracket, const char *reason)
{
    if (traj_json_peek(json) != bracket) {
        return mismatch(json, reason);
    }
    if (json->depth == TRAJ_JSON_DEPTH) {
        return syntax(json, "nested too deeply");
    }
    json->depth++;
    json->at++;
    json->first = true;
    return true;
}

bool traj_json_object(struct traj_json *json)
{
    return open_bracket(json, '{', "not an object");
}

bool traj_json_array(struct traj_json *json)
{
    return open_bracket(json, '[', "not an array");
}

/* Passes the comma before the next element, or the closing bracket; true if an element follows. */
static bool next(struct traj_json *json, char closing)
{
    char c = traj_json_peek(json);
    if (c == closing) {
        json->at++;
        json->depth--;
        json->first = false;
        return false;
    }
    if (json->first) {
        json->first = false;
        return json->refusal == TRAJ_ACCEPTED;
    }
    if (c != ',') {
        return syntax(json, "a comma or a closing bracket is missing");
    }
    json->at++;
    return true;
}

bool traj_json_element(struct traj_json *json)
{
    return next(json, ']');
}

bool traj_json_member(struct traj_json *json, char *key, size_t cap)
{
    if (!next(json, '}')) {
        return false;
    }
    const char *text;
    size_t length;
    if (traj_json_peek(json) != '"') {
        return syntax(json, "a key is missing");
    }
    if (!traj_json_raw_text(json, &text, &length)) {
        return false;
    }
    if (traj_json_unescape(text, length, key, cap) == (size_t)-1) {
        return field(json, "a key that is too long or holds U+0000");
    }
    if (traj_json_peek(json) != ':') {
        return syntax(json, "a colon is missing");
    }
    json->at++;
    return true;
}

bool traj_json_double(struct traj_json *json, double *value)
{
    char c = traj_json_peek(json);
    if (c != '-' && (c < '0' || c > '9')) {
        return mismatch(json, "not a number");
    }
    const char *after = traj_number_read(json->at, json->end, value);
    if (after == NULL) {
        return syntax(json, "not a number of the JSON grammar");
    }
    if (!isfinite(*value)) {
        return field(json, "too large a number");
    }
    json->at = after;
    return true;
}

bool traj_json_u64(struct traj_json *json, uint64_t *value)
{
    (void)traj_json_peek(json);
    const char *after = traj_number_read_u64(json->at, json->end, value);
    if (after == NULL || json->refusal != TRAJ_ACCEPTED) {
        return mismatch(json, "not a whole number from 0 to 2^64 - 1 written in digits alone");
    }
    json->at = after;
    return true;
}

static bool read_word(struct traj_json *json, const char *word)
{
    size_t length = strlen(word);
    if ((size_t)(json->end - json->at) < length || memcmp(json->at, word, length) != 0) {
        return false;
    }
    json->at += length;
    return true;
}

bool traj_json_bool(struct traj_json *json, bool *value)
{
    char c = traj_json_peek(json);
    if (c == 't' && read_word(json, "true")) {
        *value = true;
        return true;
    }
    if (c == 'f' && read_word(json, "false")) {
        *value = false;
        return true;
    }
    return mismatch(json, "neither true nor false");
}

bool traj_json_null(struct traj_json *json)
{
    char c = traj_json_peek(json);
    return (c == 'n' && read_word(json, "null")) || mismatch(json, "not null");
}

bool traj_json_raw_text(struct traj_json *json, const char **text, size_t *length)
{
    if (traj_json_peek(json) != '"') {
        return mismatch(json, "not text");
    }
    const char *at = json->at + 1;
    const char *end = json->end;
    const char *start = at;
    while (at < end && *at != '"') {
        unsigned char c = (unsigned char)*at;
        if (c >= 0x20 && c < 0x80 && c != '\\') {
            at++;
            continue;
        }
        uint32_t code;
        size_t bytes = 0;
        const char *after = NULL;
        if (c == '\\') {
            after = read_escape(at + 1, end, &code);
        } else if (c >= 0x80) {
            bytes = utf8_length(at, end);
            after = bytes > 0 ? at + bytes : NULL;
        }
        if (after == NULL) {
            json->at = at;
            return syntax(json, "a wrong escape, control character or UTF-8 sequence");
        }
        at = after;
    }
    if (at == end) {
        json->at = at;
        return syntax(json, "text without an end");
    }
    *text = start;
    *length = (size_t)(at - start);
    json->at = at + 1;
    return true;
}

size_t traj_json_unescape(const char *text, size_t length, char *out, size_t cap)
{
    const char *at = text;
    const char *end = text + length;
    size_t used = 0;
    while (at < end) {
        char bytes[4] = {*at};
        size_t count = 1;
        if (*at == '\\') {
            uint32_t code = 0;
            at = read_escape(at + 1, end, &code);
            if (at == NULL || code == 0) {
                return (size_t)-1;
            }
            count = utf8_encode(code, bytes);
        } else {
            at++;
        }
        if (cap - used <= count) { /* the NUL needs room too; used < cap always, unless cap is 0 */
            return (size_t)-1;
        }
        memcpy(out + used, bytes, count);
        used += count;
    }
    if (used >= cap) {
        return (size_t)-1;
    }
    out[used] = '\0';
    return used;
}

bool traj_json_text(struct traj_json *json, char *out, size_t cap)
{
    const char *text;
    size_t length;
    if (!traj_json_raw_text(json, &text, &length)) {
        return false;
    }
    if (traj_json_unescape(text, length, out, cap) == (size_t)-1) {
        json->at = text;
        return field(json, "text that is too long or holds U+0000");
    }
    return true;
}

static bool skip_scalar(struct traj_json *json)
{
    char c = traj_json_peek(json);
    const char *text;
    size_t length;
    if (c == '"') {
        return traj_json_raw_text(json, &text, &length);
    }
    if ((c == 't' && read_word(json, "true")) || (c == 'f' && read_word(json, "false")) ||
        (c == 'n' && read_word(json, "null"))) {
        return true;
    }
    double value;
    const char *after = traj_number_read(json->at, json->end, &value);
    if (after == NULL) {
        return syntax(json, "not a JSON value");
    }
    json->at = after;
    return true;
}

/* Passes one key and its colon, whatever it is. */
static bool skip_key(struct traj_json *json)
{
    const char *text;
    size_t length;
    if (traj_json_peek(json) != '"') {
        return syntax(json, "a key is missing");
    }
    if (!traj_json_raw_text(json, &text, &length)) {
        return false;
    }
    if (traj_json_peek(json) != ':') {
        return syntax(json, "a colon is missing");
    }
    json->at++;
    return true;
}

bool traj_json_skip(struct traj_json *json)
{
    if (json->refusal != TRAJ_ACCEPTED) {
        return false;
    }
    char closing[TRAJ_JSON_DEPTH]; /* of the brackets opened here, innermost last */
    size_t open = 0;
    bool first = json->first;
    do {
        char c = traj_json_peek(json);
        if (c == '{' || c == '[') {
            if (!(c == '{' ? traj_json_object(json) : traj_json_array(json))) {
                return false;
            }
            closing[open++] = c == '{' ? '}' : ']';
        } else if (!skip_scalar(json)) {
            return false;
        }
        /* Leave every bracket that ends here; stop at the next value inside one. */
        while (open > 0 && !next(json, closing[open - 1])) {
            if (json->refusal != TRAJ_ACCEPTED) {
                return false;
            }
            open--;
        }
        if (open > 0 && closing[open - 1] == '}' && !skip_key(json)) {
            return false;
        }
    } while (open > 0);
    json->first = first;
    return true;
}

/* True if the array at hand is over, having passed "]"; otherwise stands before the next
 * element. */
static bool array_over(struct traj_json *json)
{
    return !traj_json_element(json);
}

/* Reads a run of "d," and "dd," where digits follow one another closely, as they do in a frame. */
static const char *read_count_run(const char *at, const char *end, uint16_t *out, size_t room,
                                  size_t *count)
{
    size_t n = 0;
    while (n < room && end - at >= 4) {
        unsigned first = (unsigned char)at[0] - (unsigned)'0';
        unsigned second = (unsigned char)at[1] - (unsigned)'0';
        if (first > 9) {
            break;
        }
        if (at[1] == ',') {
            out[n++] = (uint16_t)first;
            at += 2;
        } else if (first != 0 && second <= 9 && at[2] == ',') {
            out[n++] = (uint16_t)(10 * first + second);
            at += 3;
        } else {
            break;
        }
    }
    *count += n;
    return at;
}

static bool read_count(struct traj_json *json, uint16_t *out)
{
    uint64_t value;
    if (traj_json_peek(json) == 'n') {
        *out = UINT16_MAX;
        return traj_json_null(json);
    }
    const char *at = json->at;
    if (!traj_json_u64(json, &value)) {
        return false;
    }
    if (value >= UINT16_MAX) {
        json->at = at;
        return traj_json_refuse(json, TRAJ_REFUSED_COUNTS, "a count above 65534");
    }
    *out = (uint16_t)value;
    return true;
}

bool traj_json_counts(struct traj_json *json, uint16_t *out, size_t max, size_t *count)
{
    *count = 0;
    if (!traj_json_array(json)) {
        return false;
    }
    while (!array_over(json)) {
        json->at = skip_space(json->at, json->end);
        json->at = read_count_run(json->at, json->end, out + *count, max - *count, count);
        if (*count == max) {
            /* Also where a run ends in a comma: something stands behind it, and there is no room
             * for it. */
            return traj_json_refuse(json, TRAJ_REFUSED_SIZE, "more counts than there is room for");
        }
        if (!read_count(json, &out[(*count)++])) {
            return false;
        }
    }
    return json->refusal == TRAJ_ACCEPTED;
}

bool traj_json_doubles(struct traj_json *json, double *out, size_t max, size_t *count)
{
    *count = 0;
    if (!traj_json_array(json)) {
        return false;
    }
    while (!array_over(json)) {
        if (*count == max) {
            return traj_json_refuse(json, TRAJ_REFUSED_SIZE, "more numbers than there is room for");
        }
        if (!traj_json_double(json, &out[*count])) {
            return false;
        }
        ++*count;
    }
    return json->refusal == TRAJ_ACCEPTED;
}

bool traj_json_floats(struct traj_json *json, float *out, size_t max, size_t *count)
{
    *count = 0;
    if (!traj_json_array(json)) {
        return false;
    }
    while (!array_over(json)) {
        double value = 0.0;
        if (*count == max) {
            return traj_json_refuse(json, TRAJ_REFUSED_SIZE, "more numbers than there is room for");
        }
        if (traj_json_peek(json) == 'n') {
            if (!traj_json_null(json)) {
                return false;
            }
            out[(*count)++] = NAN;
            continue;
        }
        if (!traj_json_double(json, &value)) {
            return false;
        }
        if (!isfinite((float)value)) {
            return field(json, "too large a number for 32 bits");
        }
        out[(*count)++] = (float)value;
    }
    return json->refusal == TRAJ_ACCEPTED;
}

bool traj_json_members(struct traj_json *json, const char *const *names, size_t count,
                       struct traj_json_members *members)
{
    char key[32];
    size_t guess = 0; /* writers keep to an order, so the next name is likely */
    memset(members, 0, sizeof *members);
    if (!traj_json_object(json)) {
        return false;
    }
    while (traj_json_member(json, key, sizeof key)) {
        size_t found = count;
        for (size_t i = 0; i < count && found == count; i++) {
            size_t candidate = guess + i < count ? guess + i : guess + i - count;
            found = strcmp(key, names[candidate]) == 0 ? candidate : count;
        }
        (void)traj_json_peek(json);
        const char *odd_reason = found == count               ? "unknown key"
                                 : members->at[found] != NULL ? "doubled key"
                                                              : NULL;
        if (odd_reason == NULL) {
            members->at[found] = json->at;
            guess = found + 1;
        } else if (members->odd == NULL) {
            members->odd = json->at;
            members->odd_reason = odd_reason;
        }
        if (!traj_json_skip(json)) {
            return false;
        }
    }
    return json->refusal == TRAJ_ACCEPTED;
}

/* ---- writing --------------------------------------------------------------------------------- */

void traj_json_write_start(struct traj_json_writer *writer, void *out, size_t cap)
{
    writer->out = out;
    writer->cap = out == NULL ? SIZE_MAX : cap;
    writer->length = 0;
    writer->comma = false;
    writer->full = false;
}

size_t traj_json_written(struct traj_json_writer *writer)
{
    if (writer->full) {
        return 0;
    }
    if (writer->out != NULL && writer->length < writer->cap) {
        writer->out[writer->length] = '\0';
    }
    return writer->length;
}

static void append(struct traj_json_writer *writer, const char *bytes, size_t count)
{
    if (count == 0) {
        return;
    }
    if (writer->full || writer->cap - writer->length < count) {
        writer->full = true;
        return;
    }
    if (writer->out != NULL) {
        memcpy(writer->out + writer->length, bytes, count);
    }
    writer->length += count;
}

static void append_comma(struct traj_json_writer *writer)
{
    if (writer->comma) {
        append(writer, ",", 1);
    }
    writer->comma = true;
}

void traj_json_put_bracket(struct traj_json_writer *writer, char bracket)
{
    bool opens = bracket == '{' || bracket == '[';
    if (opens) {
        append_comma(writer);
    }
    append(writer, &bracket, 1);
    writer->comma = !opens;
}

/* The length of the run of characters that need no escape, from `at`. */
static size_t plain_run(const char *at, const char *end)
{
    const char *start = at;
    while (at < end && (unsigned char)*at >= 0x20 && (unsigned char)*at < 0x80 && *at != '"' &&
           *at != '\\') {
        at++;
    }
    return (size_t)(at - start);
}

static void append_escape(struct traj_json_writer *writer, unsigned char c)
{
    static const char hex[] = "0123456789abcdef";
    static const char letters[] = "btnvfr"; /* of the codes 8 to 13; \v is none of JSON's */
    if (c == '"' || c == '\\') {
        char escape[2] = {'\\', (char)c};
        append(writer, escape, 2);
    } else if (c >= 8 && c <= 13 && c != 11) {
        char escape[2] = {'\\', letters[c - 8]};
        append(writer, escape, 2);
    } else {
        char escape[6] = {'\\', 'u', '0', '0', hex[c >> 4], hex[c & 15]};
        append(writer, escape, 6);
    }
}

static void append_text(struct traj_json_writer *writer, const char *text, size_t length)
{
    const char *at = text;
    const char *end = text + length;
    append(writer, "\"", 1);
    while (at < end) {
        size_t run = plain_run(at, end);
        append(writer, at, run);
        at += run;
        if (at == end) {
            break;
        }
        unsigned char c = (unsigned char)*at;
        size_t bytes = utf8_length(at, end);
        if (c < 0x80) {
            append_escape(writer, c);
        } else if (bytes > 0) {
            append(writer, at, bytes);
        } else {
            append(writer, "\xEF\xBF\xBD", 3);
        }
        at += bytes > 0 ? bytes : 1;
    }
    append(writer, "\"", 1);
}

void traj_json_put_key(struct traj_json_writer *writer, const char *key)
{
    append_comma(writer);
    append_text(writer, key, strlen(key));
    append(writer, ":", 1);
    writer->comma = false;
}

void traj_json_put_bytes(struct traj_json_writer *writer, const char *text, size_t length)
{
    append_comma(writer);
    append_text(writer, text, length);
}

void traj_json_put_text(struct traj_json_writer *writer, const char *text)
{
    if (text == NULL) {
        traj_json_put_null(writer);
    } else {
        traj_json_put_bytes(writer, text, strlen(text));
    }
}

void traj_json_put_double(struct traj_json_writer *writer, double value)
{
    char digits[TRAJ_NUMBER_SIZE];
    if (!isfinite(value)) {
        traj_json_put_null(writer);
        return;
    }
    append_comma(writer);
    append(writer, digits, traj_number_write(value, digits));
}

void traj_json_put_u64(struct traj_json_writer *writer, uint64_t value)
{
    char digits[TRAJ_NUMBER_SIZE];
    append_comma(writer);
    append(writer, digits, traj_number_write_u64(value, digits));
}

void traj_json_put_i64(struct traj_json_writer *writer, int64_t value)
{
    char digits[TRAJ_NUMBER_SIZE];
    append_comma(writer);
    append(writer, digits, traj_number_write_i64(value, digits));
}

void traj_json_put_bool(struct traj_json_writer *writer, bool value)
{
    append_comma(writer);
    append(writer, value ? "true" : "false", value ? 4 : 5);
}

void traj_json_put_null(struct traj_json_writer *writer)
{
    append_comma(writer);
    append(writer, "null", 4);
}

void traj_json_put_doubles(struct traj_json_writer *writer, const double *value, size_t count)
{
    bool known = value != NULL;
    for (size_t i = 0; known && i < count; i++) {
        known = isfinite(value[i]);
    }
    if (!known) {
        traj_json_put_null(writer);
        return;
    }
    traj_json_put_bracket(writer, '[');
    for (size_t i = 0; i < count; i++) {
        traj_json_put_double(writer, value[i]);
    }
    traj_json_put_bracket(writer, ']');
}
