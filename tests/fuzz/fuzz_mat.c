/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Any bytes as a MAT-file: refused by a sentence, or a session that holds together. */
#include <math.h>

#include "clients/files/arrays.h"
#include "tests/fuzz/held_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

FUZZ_READERS(1);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct traj_arrays_options options = {
        .length_unit = "mm", .bins = {.width = 0.02, .from = (double)NAN, .to = (double)NAN}};
    struct traj_error error = {{0}}, again = {{0}};
    struct held_file held;
    held_file_make(&held, data, size);
    struct traj_session *session = traj_mat_read(held.path, &options, &error);
    REQUIRE((session == NULL) == (error.text[0] != '\0'));
    if (session != NULL) {
        REQUIRE(traj_session_check(session, &again) == 0);
        ACCEPTED(0);
    }
    traj_session_free(session);
    held_file_drop(&held);
    return 0;
}
