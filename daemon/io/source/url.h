/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The one line that chooses a source: "open-ephys://host:5556?units=rig.json&trial=0". */
#ifndef TRAJ_IO_SOURCE_URL_H
#define TRAJ_IO_SOURCE_URL_H

#include <stddef.h>

#include "daemon/learn/error.h"

#define TRAJ_URL_SIZE 1024
#define TRAJ_URL_OPTIONS 24

struct traj_url {
    char text[TRAJ_URL_SIZE]; /* taken apart: the members below lead into it */
    char whole[TRAJ_URL_SIZE];
    const char *scheme;
    const char *host;
    const char *port; /* "" where none is named */
    size_t options;
    struct {
        const char *key;
        const char *value;
    } option[TRAJ_URL_OPTIONS];
};

/* scheme://host[:port][?key=value[&key=value]...]; 0, or -1 with a sentence. */
int traj_url_parse(const char *text, struct traj_url *url, struct traj_error *error);

/* The value of an option, or fallback. */
const char *traj_url_text(const struct traj_url *url, const char *key, const char *fallback);

/* The same as a number within [low, high]; *out stays where the option is absent. */
int traj_url_real(const struct traj_url *url, const char *key, double low, double high, double *out,
                  struct traj_error *error);
int traj_url_whole(const struct traj_url *url, const char *key, long low, long high, long *out,
                   struct traj_error *error);

/* Refuses an option that stands neither in common nor in own (lists that end with NULL). */
int traj_url_check(const struct traj_url *url, const char *const *common, const char *const *own,
                   struct traj_error *error);

#endif
