/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A CSV file as a table of numbers with named columns.  Internal to clients/files. */
#ifndef TRAJ_FILES_CSV_TABLE_H
#define TRAJ_FILES_CSV_TABLE_H

#include <stddef.h>

#include "daemon/learn/error.h"
#include "traj/model.h"

/*
 * The grammar is RFC 4180: columns separated by commas, lines ended by LF or CRLF, fields that hold
 * commas, quotes or line ends within double quotes, a quote in them written twice.  The first line
 * names the columns.  Blanks around a field that is not quoted do not count, empty lines are passed
 * over, a byte order mark at the beginning is too.
 */
struct traj_csv_table {
    const char *path;
    size_t columns, rows;
    char (*name)[TRAJ_ID_SIZE]; /* [columns] */
    double *value;              /* [rows][columns], NaN where the field is empty or says nan */
    size_t *line;               /* [rows] line on which the row begins, counted from 1 */
    size_t text_column;         /* the column that holds text, (size_t)-1 where there is none */
    char (*text)[TRAJ_ID_SIZE]; /* [rows] its fields, "" where empty; NULL without such a column */
};

/*
 * Reads a whole file.  The column called text_name (NULL: none) is kept as text.  0, or -1 with a
 * sentence that names file, line and column; to be freed in either case.
 */
int traj_csv_table_read(struct traj_csv_table *table, const char *path, const char *text_name,
                        struct traj_error *error);
void traj_csv_table_free(struct traj_csv_table *table);

/* Where the column of that name is, or (size_t)-1. */
size_t traj_csv_table_find(const struct traj_csv_table *table, const char *name);

/* Sets "FILE: line L, column NAME: why" and returns -1. */
int traj_csv_refuse(const struct traj_csv_table *table, size_t row, size_t column, const char *why,
                    struct traj_error *error);

#endif
