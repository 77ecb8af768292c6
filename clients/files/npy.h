/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Arrays as numpy stores them (NPY format 1 to 3), from bytes that nobody vouches for. */
#ifndef TRAJ_FILES_NPY_H
#define TRAJ_FILES_NPY_H

#include <stdbool.h>
#include <stddef.h>

enum traj_npy_kind {
    TRAJ_NPY_BOOL,
    TRAJ_NPY_INT,
    TRAJ_NPY_UINT,
    TRAJ_NPY_FLOAT,
    TRAJ_NPY_BYTES,  /* text of one byte a character, filled up with NUL */
    TRAJ_NPY_UNICODE /* text of four bytes a character, likewise */
};

struct traj_npy {
    enum traj_npy_kind kind;
    size_t size;               /* bytes of an element */
    bool big_endian;           /* of elements, or characters, of more than one byte */
    bool fortran;              /* columns lie one after the other */
    int rank;                  /* 0 to 2 */
    size_t rows, columns;      /* 1 where the rank has none */
    const unsigned char *data; /* rows * columns * size bytes inside the bytes given */
};

/*
 * Reads the header and finds the elements.  The bytes must hold all of them and nothing else.
 * NULL, or what is wrong, in words that follow the array's name.
 */
const char *traj_npy_parse(const unsigned char *bytes, size_t size, struct traj_npy *npy);

/* Element (row, column) as a number: NaN where it is text; 64-bit integers are rounded. */
double traj_npy_number(const struct traj_npy *npy, size_t row, size_t column);

/* Element (row, column) of text as UTF-8 into `size` bytes: false where it is not text, is no
 * Unicode, or does not fit. */
bool traj_npy_text(const struct traj_npy *npy, size_t row, size_t column, char *text, size_t size);

#endif
