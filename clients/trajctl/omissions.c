/* SPDX-License-Identifier: GPL-3.0-or-later */
/* See omissions.h. */
#include "clients/trajctl/omissions.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "daemon/learn/decode.h"

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

void tell_units(const char *command, const struct traj_model *model,
                const struct traj_session *session)
{
    const size_t units = model->dims.units;
    size_t *map = malloc((units + 1) * sizeof *map), common = 0;
    if (map && traj_match_units(model, session, map, NULL) == 0) {
        for (size_t n = 0; n < units; n++) {
            common += map[n] != (size_t)-1;
        }
        if (common < units) {
            fprintf(stderr, "%s: %s: %zu of the model's %zu units are not in the session\n",
                    command, session->path, units - common, units);
        }
        if (common < session->units) {
            fprintf(stderr, "%s: %s: %zu of the session's %zu units are not in the model\n",
                    command, session->path, session->units - common, session->units);
        }
    }
    free(map);
}
