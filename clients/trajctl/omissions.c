/* SPDX-License-Identifier: GPL-3.0-or-later */
/* See omissions.h. */
#include "clients/trajctl/omissions.h"

#include <inttypes.h>
#include <stdio.h>

void tell_missing_part(const char *command, const char *path, uint64_t part)
{
    if (part > 0) {
        fprintf(stderr,
                "%s: %s: part %" PRIu64 " is missing, though later ones are there: what comes "
                "after part %" PRIu64 " was not read\n",
                command, path, part, part - 1);
    }
}

int check_parts(const char *path, const struct traj_recording_omissions *omitted, bool partial,
                struct traj_error *error)
{
    if (omitted->part == 0 || partial) {
        return 0;
    }
    return traj_error_set(error,
                          "%s: part %" PRIu64 " is missing, though later ones are there; with "
                          "--partial what is before it is taken",
                          path, omitted->part);
}

void tell_omissions(const char *command, const char *path,
                    const struct traj_recording_omissions *omitted)
{
    if (omitted->duplicate + omitted->backwards + omitted->other + omitted->refused > 0) {
        fprintf(stderr,
                "%s: %s: left out are %zu that came twice, %zu frames that run backwards, %zu of "
                "other sizes, %zu that could not be read\n",
                command, path, omitted->duplicate, omitted->backwards, omitted->other,
                omitted->refused);
    }
    if (omitted->lost > 0) {
        fprintf(stderr, "%s: %s misses records at %zu places\n", command, path, omitted->lost);
    }
    tell_missing_part(command, path, omitted->part);
}
