/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Any bytes as the fields of a BRAND entry: counts, a number, a label.  The first byte chooses the
 * type; what is read is in range.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "proto/brand.h"
#include "tests/fuzz/require.h"

#define ROOM 64

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

FUZZ_READERS(3);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint16_t out[ROOM];
    struct traj_refusal_detail detail = {NULL, NULL, 0};
    size_t count = 0;
    int64_t number = -1;
    if (size == 0) {
        return 0;
    }
    enum traj_brand_type type = (enum traj_brand_type)(data[0] % (TRAJ_BRAND_TEXT + 1));
    size_t left = size - 1;
    /* A copy of exactly its size, so that a sanitizer sees the first byte read beyond the end. */
    unsigned char *field = malloc(left > 0 ? left : 1);
    REQUIRE(field != NULL);
    memcpy(field, data + 1, left);
    if (traj_brand_counts(type, field, left, out, ROOM, &count, &detail) == TRAJ_ACCEPTED) {
        ACCEPTED(0);
        REQUIRE(count > 0 && count <= ROOM && count * traj_brand_type_size(type) == left);
        for (size_t i = 0; i < count; i++) {
            REQUIRE(out[i] <= 65534);
        }
    } else {
        REQUIRE(detail.reason != NULL && detail.offset <= left);
    }
    if (traj_brand_number(type, field, left, &number, NULL) == TRAJ_ACCEPTED) {
        ACCEPTED(1);
        REQUIRE(number >= 0 && number <= INT64_C(9007199254740992));
    }
    if (traj_brand_label(field, left, "nsp_idx_1", &number, &detail) == TRAJ_ACCEPTED) {
        ACCEPTED(2);
        REQUIRE(number >= 0 && number <= INT64_C(9007199254740992));
    } else {
        REQUIRE(detail.reason != NULL && detail.offset <= left);
    }
    free(field);
    return 0;
}
