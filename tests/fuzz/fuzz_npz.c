/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Any bytes as numpy's npz: refused by a sentence, or a session that holds together. */
#include <math.h>
#include <stdint.h>

#include "clients/files/npz.h"
#include "tests/fuzz/require.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

FUZZ_READERS(1);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct traj_arrays_options options = {.length_unit = "mm",
                                                .bins = {.from = (double)NAN, .to = (double)NAN}};
    struct traj_error error = {{0}}, again = {{0}};
    zip_error_t why;
    zip_error_init(&why);
    zip_source_t *source = zip_source_buffer_create(data, size, 0, &why);
    REQUIRE(source != NULL);
    zip_t *zip = zip_open_from_source(source, ZIP_RDONLY, &why);
    zip_error_fini(&why);
    if (zip == NULL) {
        zip_source_free(source);
        return 0;
    }
    struct traj_session *session = traj_npz_session(zip, "fuzz.npz", &options, &error);
    REQUIRE((session == NULL) == (error.text[0] != '\0'));
    if (session != NULL) {
        REQUIRE(traj_session_check(session, &again) == 0);
        ACCEPTED(0);
    }
    traj_session_free(session);
    zip_discard(zip);
    return 0;
}
