/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the readers of an NWB file's parts share: columns of tables, and the report. */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "clients/files/nwb_parts.h"

void traj_nwb_tell(struct traj_nwb_file *file, const char *format, ...)
{
    struct traj_nwb_report *report = file->report;
    size_t room = sizeof report->text - report->length;
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(report->text + report->length, room, format, arguments);
    va_end(arguments);
    if (length < 0 || (size_t)length + 1 >= room) {
        report->text[report->length] = '\0';
        return;
    }
    report->length += (size_t)length;
    report->text[report->length++] = '\n';
    report->text[report->length] = '\0';
}

int traj_nwb_column(const struct traj_nwb_file *file, const char *table, const char *name,
                    bool required, char place[TRAJ_H5_PATH], struct traj_h5_dataset *column)
{
    int length = snprintf(place, TRAJ_H5_PATH, "%s/%s", table, name);
    if (length < 0 || length >= TRAJ_H5_PATH) {
        *column = (struct traj_h5_dataset){.id = -1, .type = -1};
        return traj_error_set(file->input.error, "%s: %.40s... is too long a name",
                              file->input.path, name);
    }
    return traj_h5_dataset_open(&file->input, place, TRAJ_H5_ROWS, required, column);
}

int traj_nwb_read_index(const struct traj_h5_input *input, const struct traj_h5_dataset *index,
                        size_t limit, size_t *end)
{
    double *value = calloc(index->rows + 1, sizeof *value);
    int status = value != NULL ? traj_h5_read_doubles(input, index, value)
                               : traj_error_set(input->error, "%s: no memory", input->path);
    for (size_t i = 0; status == 0 && i < index->rows; i++) {
        double before = i > 0 ? value[i - 1] : 0.0;
        if (!(value[i] >= before && value[i] <= (double)limit) || floor(value[i]) < value[i])
            status = traj_error_set(
                input->error, "%s: %s[%zu] = %.15g, where an end from %.15g to %zu is expected",
                input->path, index->name, i, value[i], before, limit);
        else
            end[i] = (size_t)value[i];
    }
    free(value);
    return status;
}

int traj_nwb_index(const struct traj_nwb_file *file, const char *table, const char *name,
                   size_t rows, size_t limit, size_t **end)
{
    struct traj_h5_dataset index;
    char place[TRAJ_H5_PATH], column[128];
    *end = NULL;
    (void)snprintf(column, sizeof column, "%.100s_index", name);
    int status = traj_nwb_column(file, table, column, false, place, &index);
    if (status == 1 && (index.rows != rows || index.columns != 1))
        status = traj_error_set(file->input.error, "%s: %s has %zu ends for %zu rows",
                                file->input.path, place, index.rows, rows);
    if (status == 1) {
        *end = calloc(rows + 1, sizeof **end);
        status = *end != NULL
                     ? traj_nwb_read_index(&file->input, &index, limit, *end)
                     : traj_error_set(file->input.error, "%s: no memory", file->input.path);
        status = status == 0 ? 1 : -1;
    }
    traj_h5_dataset_close(&index);
    if (status != 1) {
        free(*end);
        *end = NULL;
    }
    return status;
}
