/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The command line of trajd. */
#ifndef TRAJ_IO_OPTIONS_H
#define TRAJ_IO_OPTIONS_H

#include <stdbool.h>

#include "daemon/io/config.h"
#include "daemon/learn/error.h"

struct traj_options {
    const char *config; /* a file, or NULL */
    const char *model;  /* these lie over the configuration; NULL = as it says */
    const char *frames;
    const char *intents;
    const char *control;
    bool check_config;
    bool help;
    bool version;
};

/* What --help prints. */
extern const char traj_options_help[];

/* Reads the command line; strings stay argv's.  0, or -1 with a sentence. */
int traj_options_parse(struct traj_options *options, int argc, char **argv,
                       struct traj_error *error);

/*
 * The effective configuration: defaults, the file, the command line.  Called at start and again at
 * each SIGHUP.  0, or -1 with a sentence.
 */
int traj_options_config(const struct traj_options *options, struct traj_config *config,
                        struct traj_error *error);

#endif
