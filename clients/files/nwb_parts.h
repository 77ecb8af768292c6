/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The parts of the reader of NWB files.  Internal to clients/files. */
#ifndef TRAJ_FILES_NWB_PARTS_H
#define TRAJ_FILES_NWB_PARTS_H

#include "clients/files/h5_input.h"
#include "clients/files/nwb.h"

#define TRAJ_NWB_STACK 16 /* series that together make one signal */

/* A group with a dataset `data` of numbers whose rows are instants. */
struct traj_nwb_series {
    char path[TRAJ_H5_PATH];
    char type[64]; /* neurodata_type, "" where it says none */
    size_t rows, columns;
};

struct traj_nwb_file {
    struct traj_h5_input input;
    const struct traj_nwb_options *options;
    struct traj_nwb_report *report;
    struct traj_nwb_series *series; /* all below /acquisition and /processing, by path */
    size_t count, room;
    double scale; /* length units for one of the position's stored numbers, for targets */
};

/* Adds a line to the report; what does not fit is left out. */
void traj_nwb_tell(struct traj_nwb_file *file, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* What stands for a description where there is none, for the standard wants one. */
#define TRAJ_NWB_NO_DESCRIPTION "no description"

/* Whether it is NWB 2: 0, or -1 with a sentence. */
int traj_nwb_check_version(const struct traj_h5_input *input);

/* The whole from a file that is open already. */
struct traj_session *traj_nwb_read_open(const struct traj_h5_input *input,
                                        const struct traj_nwb_options *options,
                                        struct traj_nwb_report *report);

/* ---- series ------------------------------------------------------------------------------ */

/* Fills file->series; 0, or -1 with a sentence. */
int traj_nwb_list_series(struct traj_nwb_file *file);

/* Series that together are one signal, and how to call it. */
struct traj_nwb_signal {
    size_t series[TRAJ_NWB_STACK];
    size_t count;
    const char
        *name; /* path of the series or of the container; lies in the file's list or options */
    char place[TRAJ_H5_PATH];
};

/* The signal that a user named: 1, or -1 with a sentence that says what there is. */
int traj_nwb_named_signal(const struct traj_nwb_file *file, const char *option, const char *name,
                          struct traj_nwb_signal *signal);

enum traj_nwb_role { TRAJ_NWB_POSITION, TRAJ_NWB_VELOCITY, TRAJ_NWB_COUNTS, TRAJ_NWB_FEATURES };

/* The signal that is obviously meant: 1, 0 = none, or -1 with a sentence that names the rivals. */
int traj_nwb_obvious_signal(const struct traj_nwb_file *file, enum traj_nwb_role role,
                            const struct traj_nwb_signal *beside, struct traj_nwb_signal *signal);

/* Samples of a signal, its series side by side; `data` times conversion plus offset. */
struct traj_nwb_samples {
    size_t rows, columns;
    double *t;     /* [rows] s */
    double *value; /* [rows][columns] */
    double conversion;
    char unit[64]; /* attribute unit of data */
};

/* When the rows of a series are: timestamps, or starting_time and its rate.  At least 0, or -1. */
int traj_nwb_times(const struct traj_nwb_file *file, const char *group, size_t rows, double *t);

/* 0, or -1 with a sentence; to be freed in either case. */
int traj_nwb_load(const struct traj_nwb_file *file, const struct traj_nwb_signal *signal,
                  struct traj_nwb_samples *samples);
void traj_nwb_samples_free(struct traj_nwb_samples *samples);

/* ---- the parts of a session -------------------------------------------------------------- */

/* Each reads one part into the session, 0 also where the file has none, or -1 with a sentence. */
int traj_nwb_read_kinematics(struct traj_nwb_file *file, struct traj_session *session);
int traj_nwb_read_trials(struct traj_nwb_file *file, struct traj_session *session);
int traj_nwb_read_spikes(struct traj_nwb_file *file, struct traj_session *session);
int traj_nwb_read_binned(struct traj_nwb_file *file, struct traj_session *session);

/* What numbers in `unit` are multiplied by to be in the session's unit: 1 where either is not
 * metric. */
double traj_nwb_unit_factor(const struct traj_session *session, const char *unit);

/* Whether /units holds spike times. */
int traj_nwb_has_spikes(const struct traj_nwb_file *file);

/* The names of the units in /units, where there are as many rows: 1, 0 = not, -1 with a sentence.
 * `name` [rows]. */
int traj_nwb_unit_names(const struct traj_nwb_file *file, size_t rows, char (*name)[TRAJ_ID_SIZE]);

/* ---- tables ------------------------------------------------------------------------------ */

/* Opens a column of a table, 1, or 0 where it is absent; `place` takes its path and must outlive
 * the dataset. */
int traj_nwb_column(const struct traj_nwb_file *file, const char *table, const char *name,
                    bool required, char place[TRAJ_H5_PATH], struct traj_h5_dataset *column);

/* An index of a ragged column, NAME_index: 1 with end [rows] allocated for the caller, 0 where the
 * column has none, or -1.  Ends ascend and the last is at most `limit`. */
int traj_nwb_index(const struct traj_nwb_file *file, const char *table, const char *name,
                   size_t rows, size_t limit, size_t **end);

/* The same of an index that is open already, into end [index->rows]: 0, or -1 with a sentence. */
int traj_nwb_read_index(const struct traj_h5_input *input, const struct traj_h5_dataset *index,
                        size_t limit, size_t *end);

/* Whether the comma-separated list holds the word. */
bool traj_nwb_listed(const char *list, const char *word);

#endif
