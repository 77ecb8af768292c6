/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Is a recording whole, and does what came in give what went out? */
#ifndef TRAJCTL_RECORD_VERIFY_H
#define TRAJCTL_RECORD_VERIFY_H

#include <stdbool.h>
#include <stddef.h>

#include "daemon/learn/error.h"

struct record_verify {
    const char *path;
    const char *const *models; /* files; may be none */
    size_t count;
    bool json;
    bool ended; /* a recording that does not end in good order is not well */
};

/*
 * Prints what is found: 0 all is well, 1 something is damaged, missing or differs, -1 with a
 * sentence.
 */
int record_verify(const struct record_verify *verify, struct traj_error *error);

#endif
