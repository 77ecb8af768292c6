/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Any bytes as a binary intent: refused with a reason, or parsed; what is parsed is written again
 * as the same message, but for what a NaN's bits looked like.
 */
#include <math.h>
#include <stdint.h>
#include <string.h>

#include "proto/bytes.h"
#include "proto/crc32c.h"
#include "proto/intent_binary.h"
#include "tests/fuzz/require.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

FUZZ_READERS(2);

#define SIZE_MOST (TRAJ_INTENT_HEADER + 8 * (2 * 16 + 2 * 256 + 256) + 2 * 63)

static size_t write_again(const struct traj_intent *intent, double silent, unsigned char *out)
{
    return isnan(silent) ? traj_intent_write_binary(intent, out, SIZE_MOST)
                         : traj_stale_write_binary(intent->t, silent, intent->dim, intent->model,
                                                   out, SIZE_MOST);
}

static void judge(const uint8_t *data, size_t size)
{
    static struct traj_intent_buffer buffer;
    static unsigned char out[SIZE_MOST];
    static unsigned char again[SIZE_MOST];
    struct traj_refusal_detail detail = {NULL, NULL, 0};
    double silent = 0.0;
    enum traj_refusal refusal = traj_intent_parse_binary(data, size, &buffer, &silent, &detail);
    if (refusal != TRAJ_ACCEPTED) {
        REQUIRE(refusal < TRAJ_REFUSALS && detail.reason != NULL && detail.offset <= size);
        return;
    }
    ACCEPTED(isnan(silent) ? 0 : 1);
    size_t written = write_again(&buffer.intent, silent, out);
    REQUIRE(written > 0);
    REQUIRE(written <= traj_intent_binary_size(buffer.intent.dim, buffer.intent.targets));
    REQUIRE(traj_intent_parse_binary(out, written, &buffer, &silent, NULL) == TRAJ_ACCEPTED);
    REQUIRE(write_again(&buffer.intent, silent, again) == written);
    REQUIRE(memcmp(out, again, written) == 0);
    REQUIRE(!isnan(silent) || written == size);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static unsigned char mended[SIZE_MOST];
    judge(data, size);
    /* And with a checksum that fits, or nothing behind it would ever be looked at. */
    if (size >= TRAJ_INTENT_HEADER && size <= sizeof mended) {
        memcpy(mended, data, size);
        traj_bytes_put(mended + TRAJ_INTENT_HEADER - 4,
                       traj_crc32c_around(mended, size, TRAJ_INTENT_HEADER - 4), 4);
        judge(mended, size);
    }
    return 0;
}
