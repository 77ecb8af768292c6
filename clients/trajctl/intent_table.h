/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A file of intents as a table, one row an intent, whatever bins they answer. */
#ifndef TRAJCTL_INTENT_TABLE_H
#define TRAJCTL_INTENT_TABLE_H

#include "clients/files/nwb.h"

struct intent_table {
    struct traj_nwb_decoded decoded; /* its arrays belong to the table */
    double *column[8];               /* what they are kept in */
    uint8_t *valid;
    char (*target)[64]; /* [targets], "" where no intent named it */
    const char **target_id;
    char model[16];
};

/*
 * Reads path, a file that can be read twice.  Lines of type stale or status are passed over.  Of an
 * array that no intent has nothing is kept.  Targets are called as the intents call their most
 * probable one, or by their number.  0, or -1 with a sentence that names the line.
 */
int intent_table_read(const char *path, struct intent_table *table, struct traj_error *error);
void intent_table_free(struct intent_table *table);

#endif
