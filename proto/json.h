/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * JSON (RFC 8259), read by pulling and written by appending.  Nothing is allocated and no tree is
 * built: the caller says what it expects next.  The reader is strict: no comments, no trailing
 * commas, no bytes after the value, UTF-8 and surrogate pairs checked, nesting at most
 * TRAJ_JSON_DEPTH.
 */
#ifndef TRAJ_PROTO_JSON_H
#define TRAJ_PROTO_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/refusal.h"

#define TRAJ_JSON_DEPTH 8

/* ---- reading --------------------------------------------------------------------------------- */

/*
 * Where reading stands.  The first mistake stays: from then on every function returns false, and
 * refusal, reason and at tell what it was and where.
 */
struct traj_json {
    const char *begin, *at, *end;
    unsigned depth;
    bool first; /* the innermost object or array has given nothing yet */
    enum traj_refusal refusal;
    const char *reason; /* static text */
};

void traj_json_start(struct traj_json *json, const void *body, size_t size);

/* Notes a mistake at the present place unless one is noted already; returns false. */
bool traj_json_refuse(struct traj_json *json, enum traj_refusal refusal, const char *reason);

/* True if nothing but white space follows. */
bool traj_json_finish(struct traj_json *json);

/* The first character of the next value, or NUL if there is none. */
char traj_json_peek(struct traj_json *json);

/*
 * Objects:  if (traj_json_object(j)) { while (traj_json_member(j, key, sizeof key)) { read one
 * value } } member unescapes the key into key (NUL-terminated) and stands before its value.  It
 * returns false past the closing brace, or on a mistake; a key that does not fit or holds U+0000 is
 * refused as FIELD.
 * Arrays:   if (traj_json_array(j)) { while (traj_json_element(j)) { read one value } }
 */
bool traj_json_object(struct traj_json *json);
bool traj_json_member(struct traj_json *json, char *key, size_t cap);
bool traj_json_array(struct traj_json *json);
bool traj_json_element(struct traj_json *json);

/* One value of the kind named; another kind, or one out of range, is refused as FIELD. */
bool traj_json_double(struct traj_json *json, double *value); /* finite */
bool traj_json_u64(struct traj_json *json, uint64_t *value);  /* digits alone */
bool traj_json_bool(struct traj_json *json, bool *value);
bool traj_json_null(struct traj_json *json);
/* Text, unescaped, NUL-terminated; text that holds U+0000 or does not fit is refused as FIELD. */
bool traj_json_text(struct traj_json *json, char *out, size_t cap);
/* Text as it stands between its quotes, checked; *text leads into the body. */
bool traj_json_raw_text(struct traj_json *json, const char **text, size_t *length);
/* Any value, checked and passed over. */
bool traj_json_skip(struct traj_json *json);

/*
 * Whole arrays, the fast way.  *count receives how many there were.  More than max is refused as
 * SIZE.
 * counts: 0..65534, null becomes 65535; a larger number is refused as COUNTS.
 * doubles: finite numbers.
 * floats: numbers that are finite as float, null becomes NaN.
 */
bool traj_json_counts(struct traj_json *json, uint16_t *out, size_t max, size_t *count);
bool traj_json_doubles(struct traj_json *json, double *out, size_t max, size_t *count);
bool traj_json_floats(struct traj_json *json, float *out, size_t max, size_t *count);

/*
 * The members of an object, found before they are read, so that they can be read in any order:
 * at[i] receives where the value of names[i] stands, or NULL.  Everything is checked as JSON on the
 * way.  The first key that is unknown or doubled is not a mistake yet, for the "type" may say more:
 * it is told in `odd` (where its value stands, NULL = none) and odd_reason.  At most 64 names.
 */
struct traj_json_members {
    const char *at[64];
    const char *odd;
    const char *odd_reason;
};
bool traj_json_members(struct traj_json *json, const char *const *names, size_t count,
                       struct traj_json_members *members);

/* Unescapes raw text into out (NUL-terminated if it fits); returns its length or (size_t)-1. */
size_t traj_json_unescape(const char *text, size_t length, char *out, size_t cap);

/* ---- writing --------------------------------------------------------------------------------- */

/*
 * Appends to the caller's buffer; commas come by themselves.  What does not fit is left out whole
 * and remembered: traj_json_written then returns 0.  With out NULL nothing is written and the
 * length is counted.  Text that is not UTF-8 gets U+FFFD for each wrong byte, so
 * that what is written is always JSON.
 */
struct traj_json_writer {
    char *out;
    size_t cap, length;
    bool comma; /* a comma belongs before what comes next */
    bool full;
};

void traj_json_write_start(struct traj_json_writer *writer, void *out, size_t cap);
/* Bytes written, or 0 if they did not fit; a NUL is put after them if there is room. */
size_t traj_json_written(struct traj_json_writer *writer);

/* bracket is one of { } [ ] */
void traj_json_put_bracket(struct traj_json_writer *writer, char bracket);
/* Keys are the program's own words or any text: both are escaped. */
void traj_json_put_key(struct traj_json_writer *writer, const char *key);
void traj_json_put_text(struct traj_json_writer *writer, const char *text); /* NULL = null */
void traj_json_put_bytes(struct traj_json_writer *writer, const char *text, size_t length);
void traj_json_put_double(struct traj_json_writer *writer, double value); /* not finite = null */
void traj_json_put_u64(struct traj_json_writer *writer, uint64_t value);
void traj_json_put_i64(struct traj_json_writer *writer, int64_t value);
void traj_json_put_bool(struct traj_json_writer *writer, bool value);
void traj_json_put_null(struct traj_json_writer *writer);
/* An array of numbers; NULL, or any number that is not finite, makes the whole of it null. */
void traj_json_put_doubles(struct traj_json_writer *writer, const double *value, size_t count);

#endif
