/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Neurodata Without Borders 2 (HDF5) <-> struct traj_session.  Page: clients/man/convert-nwb.md. */
#ifndef TRAJ_FILES_NWB_H
#define TRAJ_FILES_NWB_H

#include "clients/files/spike_bins.h"

/*
 * What to take from the file.  A series is named by its path ("/acquisition/hand") or by the end of
 * it ("hand"), a container ("/acquisition/finger_vel") by the same stands for all series in it, a
 * column of a table by its name.  NULL: what is obviously meant, or nothing; "none": nothing.
 */
struct traj_nwb_options {
    const char *position, *velocity;
    const char *axes;              /* columns of these to keep, "0,1"; NULL = all */
    const char *counts, *features; /* series of binned counts and of features */
    bool stamps_start;             /* their times are beginnings of bins, not ends */
    const char *const *unit_where; /* [unit_conditions] "COLUMN=VALUE,VALUE": units to keep */
    size_t unit_conditions;
    const char *unit_name; /* column that names units */
    struct traj_bin_choice bins;
    const char *trials;                                          /* the table; "none" */
    const char *target, *target_position, *go, *move, *rewarded; /* columns of it */
    const char *length_unit, *subject, *description;             /* instead of what the file says */
};

/* What was taken from where and what was left out, a line each, for people. */
struct traj_nwb_report {
    char text[8192];
    size_t length;
};

/*
 * A checked session, which the caller frees, and the report of it.  NULL with one sentence that
 * names the file, the object in it and what was expected.
 */
struct traj_session *traj_nwb_read(const char *path, const struct traj_nwb_options *options,
                                   struct traj_nwb_report *report, struct traj_error *error);

/*
 * Decoded intents, row by row.  Arrays that are NULL are left out; NaN = the intent had none.
 */
struct traj_nwb_decoded {
    size_t rows, dim, targets, states;
    const double *t;                           /* [rows] s, end of the bin, strictly increasing */
    const double *position, *velocity;         /* [rows][dim] */
    const double *position_cov, *velocity_cov; /* [rows][dim][dim] */
    const double *target_prob;                 /* [rows][targets] */
    const double *free_prob;                   /* [rows] */
    const double *state_prob;                  /* [rows][states] */
    const uint8_t *valid;                      /* [rows] 1 = may be acted upon */
    const char *const *target_id;              /* [targets] or NULL = "0", "1", .. */
    const char *const *state_name;             /* [states] */
    const char *length_unit;                   /* "" = not known */
    const char *model;                         /* first digits of its digest, or "" */
};

struct traj_nwb_export {
    const struct traj_session *session;     /* what is written, or NULL */
    const struct traj_nwb_decoded *decoded; /* likewise */
    const char *source; /* an NWB file that is copied and to which `decoded` is added; or NULL */
    const char *module; /* processing module for `decoded` */
    const char *session_start, *created; /* ISO 8601 with time zone */
};

/*
 * Writes NWB 2: a session (its counts as a binned series, see the page), decoded intents in a
 * processing module of their own, or both; or the intents alone into a copy of `source`.  Every
 * count and sample comes back by traj_nwb_read.  The same input gives the same bytes.  0, or -1
 * with a sentence; path is never half written.
 */
int traj_nwb_write(const struct traj_nwb_export *export, const char *path,
                   struct traj_error *error);

#endif
