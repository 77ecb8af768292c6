/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A CSV file as a table of numbers with named columns. */
#include "clients/files/csv_table.h"

#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "proto/number.h"

/* Units and features at their most, t_end and dt. */
#define COLUMNS_MAX ((size_t)TRAJ_UNITS_MAX + 2)
/* A line that is longer than this is no line of a table of so many columns. */
#define LINE_MAX_BYTES ((size_t)1 << 20)

/* ---- growing arrays ---------------------------------------------------------------------- */

/*
 * Makes room for `need` elements in an array that has room for *room; false when memory is short.
 */
static bool grow(void **array, size_t *room, size_t need, size_t size)
{
    if (need <= *room)
        return true;
    size_t wanted = *room < 64 ? 64 : *room;
    while (wanted < need)
        wanted = wanted > (size_t)PTRDIFF_MAX / 2 ? need : 2 * wanted;
    if (wanted > (size_t)PTRDIFF_MAX / size)
        return false;
    void *larger = realloc(*array, wanted * size);
    if (larger == NULL)
        return false;
    *array = larger;
    *room = wanted;
    return true;
}

/* ---- from bytes to fields ---------------------------------------------------------------- */

struct field {
    size_t begin, length; /* within the record's text */
    bool quoted;
};

struct record {
    const char *path;
    FILE *file;
    struct traj_error *error;
    size_t line;  /* line that the next byte stands on */
    size_t first; /* line on which the record began */
    char *text;   /* the fields' text, one after the other */
    size_t length, text_room;
    struct field *field;
    size_t fields, field_room;
};

static int refuse_record(const struct record *r, const char *why)
{
    return traj_error_set(r->error, "%s: line %zu, column %zu: %s", r->path, r->line, r->fields + 1,
                          why);
}

/*
 * What the readers of fields return instead of the byte behind a field when they have refused the
 * file.
 */
#define BROKEN (-2)

static int break_off(const struct record *r, const char *why)
{
    (void)refuse_record(r, why);
    return BROKEN;
}

static int put_byte(struct record *r, int byte)
{
    if (byte == 0)
        return refuse_record(r, "a byte of value 0 is no text");
    if (r->length >= LINE_MAX_BYTES)
        return refuse_record(r, "the line is too long");
    if (!grow((void **)&r->text, &r->text_room, r->length + 1, 1))
        return refuse_record(r, "no memory");
    r->text[r->length++] = (char)byte;
    return 0;
}

static int next_byte(struct record *r)
{
    int byte = getc(r->file);
    if (byte == '\r') { /* CRLF is one line end; a lone CR is refused by whoever meets it */
        int after = getc(r->file);
        if (after == '\n')
            return '\n';
        if (after != EOF)
            (void)ungetc(after, r->file);
    }
    return byte;
}

/* What follows an opening quote, up to its closing one; returns the byte behind that, or BROKEN. */
static int read_quoted(struct record *r)
{
    for (;;) {
        int byte = next_byte(r);
        if (byte == EOF)
            return break_off(r, "the quote is never closed");
        if (byte == '"') {
            byte = next_byte(r);
            if (byte != '"')
                return byte;
        } else if (byte == '\n') {
            r->line++;
        }
        if (put_byte(r, byte) != 0)
            return BROKEN;
    }
}

/*
 * The rest of a field that is not quoted, whose first byte is given; returns the byte behind it, or
 * BROKEN.
 */
static int read_plain(struct record *r, int byte)
{
    while (byte != ',' && byte != '\n' && byte != EOF) {
        if (byte == '"')
            return break_off(r, "a quote stands inside a field that does not begin with one");
        if (byte == '\r')
            return break_off(r, "a carriage return stands inside the line");
        if (put_byte(r, byte) != 0)
            return BROKEN;
        byte = next_byte(r);
    }
    return byte;
}

static bool is_blank(char byte)
{
    return byte == ' ' || byte == '\t';
}

static int end_field(struct record *r, size_t begin, bool quoted)
{
    size_t end = r->length;
    while (!quoted && begin < end && is_blank(r->text[begin]))
        begin++;
    while (!quoted && end > begin && is_blank(r->text[end - 1]))
        end--;
    if (r->fields >= COLUMNS_MAX)
        return traj_error_set(r->error, "%s: line %zu: more than %zu columns", r->path, r->line,
                              COLUMNS_MAX);
    if (!grow((void **)&r->field, &r->field_room, r->fields + 1, sizeof *r->field))
        return refuse_record(r, "no memory");
    r->field[r->fields++] = (struct field){begin, end - begin, quoted};
    return 0;
}

/* One field; returns the byte behind it (comma, line end or EOF), or BROKEN. */
static int read_field(struct record *r, int byte)
{
    size_t begin = r->length;
    bool quoted = byte == '"';
    byte = quoted ? read_quoted(r) : read_plain(r, byte);
    if (byte == BROKEN)
        return BROKEN;
    if (byte != ',' && byte != '\n' && byte != EOF)
        return break_off(r, "something stands behind the closing quote");
    return end_field(r, begin, quoted) == 0 ? byte : BROKEN;
}

/* Reads the next line that is not empty: 1, 0 at the end of the file, or -1. */
static int read_record(struct record *r)
{
    int byte = next_byte(r);
    while (byte == '\n') {
        r->line++;
        byte = next_byte(r);
    }
    r->first = r->line;
    r->length = r->fields = 0;
    if (byte == EOF)
        return ferror(r->file) != 0 ? refuse_record(r, strerror(errno)) : 0;
    for (;;) {
        int behind = read_field(r, byte);
        if (behind == BROKEN)
            return -1;
        if (behind != ',')
            break;
        byte = next_byte(r);
    }
    r->line++;
    return 1;
}

/* ---- from fields to a table -------------------------------------------------------------- */

static int store_text(const struct record *r, size_t column, char text[TRAJ_ID_SIZE])
{
    const struct field *f = &r->field[column];
    if (f->length >= TRAJ_ID_SIZE)
        return traj_error_set(r->error,
                              "%s: line %zu, column %zu: %zu bytes, at most %d are possible",
                              r->path, r->first, column + 1, f->length, TRAJ_ID_SIZE - 1);
    if (f->length > 0)
        memcpy(text, r->text + f->begin, f->length);
    text[f->length] = '\0';
    return 0;
}

static int check_header(const struct traj_csv_table *t, struct traj_error *error)
{
    for (size_t c = 0; c < t->columns; c++)
        if (t->name[c][0] == '\0')
            return traj_error_set(error, "%s: line 1, column %zu has no name", t->path, c + 1);
    if (t->columns == 1 && strpbrk(t->name[0], ";\t") != NULL)
        return traj_error_set(error, "%s: line 1: columns are separated by commas", t->path);
    const char *twice = NULL;
    for (size_t c = 1; c < t->columns && twice == NULL; c++)
        if (traj_csv_table_find(t, t->name[c]) < c)
            twice = t->name[c];
    return twice == NULL ? 0
                         : traj_error_set(error, "%s: line 1: the column \"%s\" stands there twice",
                                          t->path, twice);
}

static int read_header(struct traj_csv_table *t, struct record *r, const char *text_name)
{
    int status = read_record(r);
    if (status == 0)
        return traj_error_set(r->error, "%s: is empty, a line with the columns' names is needed",
                              t->path);
    if (status < 0)
        return -1;
    t->name = calloc(r->fields, sizeof *t->name);
    if (t->name == NULL)
        return refuse_record(r, "no memory");
    t->columns = r->fields;
    for (size_t c = 0; c < t->columns; c++)
        if (store_text(r, c, t->name[c]) != 0)
            return -1;
    t->text_column = text_name != NULL ? traj_csv_table_find(t, text_name) : (size_t)-1;
    return check_header(t, r->error);
}

static bool says_nan(const char *text, size_t length)
{
    return length == 3 && (text[0] == 'n' || text[0] == 'N') &&
           (text[1] == 'a' || text[1] == 'A') && (text[2] == 'n' || text[2] == 'N');
}

static int store_number(const struct traj_csv_table *t, const struct record *r, size_t column,
                        double *value)
{
    const struct field *f = &r->field[column];
    const char *text = r->text + f->begin;
    *value = NAN;
    if (f->length == 0 || says_nan(text, f->length))
        return 0;
    const char *end = traj_number_read(text, text + f->length, value);
    if (end == text + f->length && isfinite(*value))
        return 0;
    return traj_error_set(r->error, "%s: line %zu, column %s: \"%.*s\" is not a number", t->path,
                          r->first, t->name[column], f->length > 40 ? 40 : (int)f->length, text);
}

struct rooms {
    size_t value, line, text;
};

static int add_row(struct traj_csv_table *t, const struct record *r, struct rooms *room)
{
    if (r->fields != t->columns)
        return traj_error_set(r->error, "%s: line %zu has %zu columns, the first line has %zu",
                              t->path, r->first, r->fields, t->columns);
    size_t rows = t->rows + 1;
    if (!grow((void **)&t->value, &room->value, rows * t->columns, sizeof *t->value) ||
        !grow((void **)&t->line, &room->line, rows, sizeof *t->line) ||
        (t->text_column != (size_t)-1 &&
         !grow((void **)&t->text, &room->text, rows, sizeof *t->text)))
        return refuse_record(r, "no memory");
    t->line[t->rows] = r->first;
    for (size_t c = 0; c < t->columns; c++) {
        double *value = t->value + t->rows * t->columns + c;
        *value = NAN;
        if ((c == t->text_column ? store_text(r, c, t->text[t->rows])
                                 : store_number(t, r, c, value)) != 0)
            return -1;
    }
    t->rows = rows;
    return 0;
}

static int skip_mark(struct record *r)
{
    static const char mark[] = "\xef\xbb\xbf";
    char begin[3];
    size_t got = fread(begin, 1, sizeof begin, r->file);
    if (got == 3 && memcmp(begin, mark, 3) == 0)
        return 0;
    if (fseek(r->file, 0, SEEK_SET) != 0)
        return traj_error_set(r->error, "%s: %s", r->path, strerror(errno));
    return 0;
}

static FILE *open_file(const char *path, struct traj_error *error)
{
    FILE *file = fopen(path, "rb");
    struct stat about;
    if (file == NULL) {
        traj_error_set(error, "%s: %s", path, strerror(errno));
    } else if (stat(path, &about) != 0 || !S_ISREG(about.st_mode)) {
        traj_error_set(error, "%s: is not a file", path);
        (void)fclose(file);
        file = NULL;
    }
    return file;
}

int traj_csv_table_read(struct traj_csv_table *table, const char *path, const char *text_name,
                        struct traj_error *error)
{
    struct record r = {.path = path, .error = error, .line = 1};
    struct rooms room = {0, 0, 0};
    *table = (struct traj_csv_table){.path = path, .text_column = (size_t)-1};
    r.file = open_file(path, error);
    if (r.file == NULL)
        return -1;
    int status = skip_mark(&r);
    if (status == 0)
        status = read_header(table, &r, text_name);
    while (status == 0) {
        int more = read_record(&r);
        if (more <= 0) {
            status = more;
            break;
        }
        status = add_row(table, &r, &room);
    }
    (void)fclose(r.file);
    free(r.text);
    free(r.field);
    if (status == 0 && table->rows == 0)
        status = traj_error_set(error, "%s: has no line below the columns' names", path);
    return status;
}

void traj_csv_table_free(struct traj_csv_table *table)
{
    free(table->name);
    free(table->value);
    free(table->line);
    free(table->text);
    *table = (struct traj_csv_table){0};
}

size_t traj_csv_table_find(const struct traj_csv_table *table, const char *name)
{
    for (size_t c = 0; c < table->columns; c++)
        if (strcmp(table->name[c], name) == 0)
            return c;
    return (size_t)-1;
}

int traj_csv_refuse(const struct traj_csv_table *table, size_t row, size_t column, const char *why,
                    struct traj_error *error)
{
    double value = table->value[row * table->columns + column];
    if (isnan(value))
        return traj_error_set(error, "%s: line %zu, column %s: %s", table->path, table->line[row],
                              table->name[column], why);
    return traj_error_set(error, "%s: line %zu, column %s: %.9g %s", table->path, table->line[row],
                          table->name[column], value, why);
}
