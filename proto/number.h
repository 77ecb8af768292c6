/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Numbers <-> decimal text.  What is written reads back bit for bit, here and by any reader that
 * rounds correctly; what is read is the double nearest to the decimal (ties to even).  No libc
 * conversion is used, so the locale has no say.
 */
#ifndef TRAJ_PROTO_NUMBER_H
#define TRAJ_PROTO_NUMBER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TRAJ_NUMBER_SIZE 32 /* bytes that are enough for any number written here */

/*
 * Writes the shortest decimal that reads back as value, the one nearest to value where several are
 * as short: 3, -0.25, 1.5e-7, 1e22; minus zero is -0.0.  No terminator.  value must be finite.
 * out: TRAJ_NUMBER_SIZE bytes.  Returns the length.
 * Method: Giulietti, "The Schubfach way to render doubles" (2020).
 */
size_t traj_number_write(double value, char *out);

/* The same for whole numbers; at most 20 bytes. */
size_t traj_number_write_u64(uint64_t value, char *out);
size_t traj_number_write_i64(int64_t value, char *out);

/*
 * Reads one number of the JSON grammar (RFC 8259) from [at, end) and returns where it ends, or NULL
 * if none stands there.  A number too large for a double becomes infinity: the caller refuses it.
 * One too small becomes zero.  Correctly rounded for any number of digits.
 * Methods: Clinger (1990) where both parts are exact; Lemire, "Number parsing at a gigabyte per
 * second" (2021) for up to 19 digits; beyond, exact comparison of big integers where those 19 do
 * not decide.
 */
const char *traj_number_read(const char *at, const char *end, double *value);

/*
 * Reads a whole number written as digits alone.  Returns where it ends, or NULL if none stands
 * there, it has a sign, a fraction or an exponent, a leading zero, or does not fit.
 */
const char *traj_number_read_u64(const char *at, const char *end, uint64_t *value);

#endif
