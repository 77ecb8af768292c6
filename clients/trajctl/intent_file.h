/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A file of intents, one a line, against the bins of the session that they answer. */
#ifndef TRAJCTL_INTENT_FILE_H
#define TRAJCTL_INTENT_FILE_H

#include "clients/evaluate/metrics.h"

struct intent_file {
    struct traj_decoded *decoded; /* by bin of the session */
    size_t intents;               /* lines that are intents */
    size_t unknown;               /* of these, such whose t is no bin's end (to 0.1 ms) */
    char model[16];               /* of the last intent */
};

/*
 * Reads path ("-" = standard input).  Where two intents answer one bin the later counts.  Lines of
 * type stale or status are passed over.  0, or -1 with a sentence that names the line.
 */
int intent_file_read(const char *path, const struct traj_session *session, struct intent_file *file,
                     struct traj_error *error);
void intent_file_free(struct intent_file *file);

#endif
