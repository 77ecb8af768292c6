/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Any bytes as tables: frames, features, kinematics, trials and targets, each up to a byte of value
 * 1 (an empty one is not there).  Refused by a sentence, or a session that holds together.
 */
#include <string.h>

#include "clients/files/csv.h"
#include "tests/fuzz/held_file.h"

#define TABLES 5

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

FUZZ_READERS(1);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct held_file held[TABLES];
    const char *path[TABLES] = {NULL};
    const uint8_t *at = data, *end = data + size;
    struct traj_error error = {{0}}, again = {{0}};
    for (size_t i = 0; i < TABLES; i++) {
        const uint8_t *mark = at < end ? memchr(at, 1, (size_t)(end - at)) : NULL;
        const uint8_t *stop = mark != NULL ? mark : end;
        held_file_make(&held[i], at, (size_t)(stop - at));
        path[i] = stop > at ? held[i].path : NULL;
        at = mark != NULL ? mark + 1 : end;
    }
    const struct traj_csv_options options = {.frames = path[0],
                                             .features = path[1],
                                             .kinematics = path[2],
                                             .trials = path[3],
                                             .targets = path[4],
                                             .length_unit = "mm"};
    struct traj_session *session = traj_csv_convert(&options, &error);
    REQUIRE((session == NULL) == (error.text[0] != '\0'));
    if (session != NULL) {
        REQUIRE(traj_session_check(session, &again) == 0);
        ACCEPTED(0);
    }
    traj_session_free(session);
    for (size_t i = 0; i < TABLES; i++)
        held_file_drop(&held[i]);
    return 0;
}
