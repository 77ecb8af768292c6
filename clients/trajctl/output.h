/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A result file that appears whole or not at all. */
#ifndef TRAJCTL_OUTPUT_H
#define TRAJCTL_OUTPUT_H

#include <stdio.h>

#include "daemon/learn/error.h"

struct output {
    FILE *file;
    char *temporary;  /* what is renamed at the end; NULL where the bytes go straight to path */
    const char *path; /* borrowed; "-" = standard output */
};

/*
 * Opens path for writing: "-" is standard output; a device or pipe is written to directly; anything
 * else is written beside path and renamed by output_commit.  0, or -1 with a sentence.
 */
int output_open(struct output *output, const char *path, struct traj_error *error);

/*
 * Whether output_open would succeed, to be asked before long work: what is there stays as it is,
 * and nothing is left behind.  0, or -1 with its sentence.
 */
int output_place(const char *path, struct traj_error *error);

/* Everything is on the disk and path is the new file.  0, or -1 with a sentence. */
int output_commit(struct output *output, struct traj_error *error);

/* All of it at once: 0, or -1 with a sentence. */
int output_write(const char *path, const char *text, size_t size, struct traj_error *error);

/* Drops what was written. */
void output_abandon(struct output *output);

#endif
