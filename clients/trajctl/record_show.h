/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The records of a recording as lines of JSON. */
#ifndef TRAJCTL_RECORD_SHOW_H
#define TRAJCTL_RECORD_SHOW_H

#include <stdbool.h>
#include <stdint.h>

#include "daemon/learn/error.h"

struct record_show {
    const char *path;
    const char *kind;  /* NULL = all */
    bool bodies;       /* the messages alone */
    uint64_t from, to; /* frames decoded before the record, both included */
};

/* 0, 2 where the kind is none, or -1 with a sentence. */
int record_show(const struct record_show *show, struct traj_error *error);

#endif
