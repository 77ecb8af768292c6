/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Any bytes as an array of numpy: refused with a reason, or its elements lie inside the bytes and
 * can all be read. */
#include <stdint.h>
#include <string.h>

#include "clients/files/npy.h"
#include "tests/fuzz/require.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

FUZZ_READERS(1);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct traj_npy npy;
    char text[64];
    const char *why = traj_npy_parse(data, size, &npy);
    if (why != NULL) {
        REQUIRE(why[0] != '\0');
        return 0;
    }
    ACCEPTED(0);
    REQUIRE(npy.rank >= 0 && npy.rank <= 2);
    REQUIRE(npy.data >= data && npy.data <= data + size);
    size_t elements = npy.size > 0 ? (size_t)(data + size - npy.data) / npy.size : 0;
    REQUIRE(npy.rows == 0 || npy.columns == 0 || npy.size == 0 ||
            (elements / npy.columns == npy.rows && elements % npy.columns == 0));
    for (size_t i = 0; elements > 0 && i < npy.rows && i < 256; i++)
        for (size_t j = 0; j < npy.columns && j < 16; j++) {
            double value = traj_npy_number(&npy, i, j);
            bool is_text = npy.kind == TRAJ_NPY_BYTES || npy.kind == TRAJ_NPY_UNICODE;
            REQUIRE(!is_text || value != value);
            if (traj_npy_text(&npy, i, j, text, sizeof text))
                REQUIRE(is_text && strlen(text) < sizeof text);
        }
    return 0;
}
