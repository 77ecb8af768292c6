/* SPDX-License-Identifier: GPL-3.0-or-later */
/* How a report came about: the command as it was typed, and the digest of what it read. */
#ifndef TRAJCTL_ORIGIN_H
#define TRAJCTL_ORIGIN_H

#include "daemon/learn/error.h"
#include "proto/sha256.h"

struct origin {
    char *command; /* as a shell takes it; the struct's own */
    char digest[TRAJ_SHA256_HEX];
};

/* To be called before options are parsed, which moves words about.  0, or -1. */
int origin_command(struct origin *origin, int argc, char **argv);
/* The digest of a file; 0, or -1 with a sentence. */
int origin_digest(struct origin *origin, const char *path, struct traj_error *error);
void origin_free(struct origin *origin);

#endif
