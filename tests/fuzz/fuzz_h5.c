/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Any bytes as an HDF5 file, read as a session and as NWB: refused by a sentence, or a session that
 * holds together.
 */
#include <math.h>
#include <string.h>

#include "clients/files/nwb.h"
#include "clients/files/session_file.h"
#include "tests/fuzz/held_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

FUZZ_READERS(2);

/* A session, read as `reader` has it, or why there is none. */
static void require_whole(struct traj_session *session, const struct traj_error *error, int reader)
{
    struct traj_error again = {{0}};
    REQUIRE((session == NULL) == (error->text[0] != '\0'));
    if (session != NULL) {
        REQUIRE(traj_session_check(session, &again) == 0);
        ACCEPTED(reader);
    }
    traj_session_free(session);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct traj_nwb_report report;
    const struct traj_nwb_options options = {
        .bins = {.width = 0.02, .from = (double)NAN, .to = (double)NAN}};
    struct traj_error as_session = {{0}}, as_nwb = {{0}};
    struct held_file held;
    held_file_make(&held, data, size);
    require_whole(traj_session_read(held.path, &as_session), &as_session, 0);
    require_whole(traj_nwb_read(held.path, &options, &report, &as_nwb), &as_nwb, 1);
    held_file_drop(&held);
    return 0;
}
