/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Any bytes as an intent: refused with a reason, or parsed; what is parsed writes into the size
 * foretold, and parses and writes equal.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "proto/intent.h"
#include "tests/fuzz/require.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

FUZZ_READERS(1);

static void require_same_values(const struct traj_intent *a, const struct traj_intent *b)
{
    REQUIRE(a->seq == b->seq && a->frame == b->frame && a->valid == b->valid);
    REQUIRE(memcmp(&a->t, &b->t, sizeof a->t) == 0);
    REQUIRE(a->dim == b->dim && a->targets == b->targets && a->flags == b->flags);
    REQUIRE((a->position == NULL) == (b->position == NULL));
    REQUIRE((a->target_prob == NULL) == (b->target_prob == NULL));
    REQUIRE(a->position == NULL ||
            memcmp(a->position, b->position, a->dim * sizeof a->position[0]) == 0);
    REQUIRE(a->target_prob == NULL ||
            memcmp(a->target_prob, b->target_prob, a->targets * sizeof a->target_prob[0]) == 0);
    REQUIRE(a->stamps.behind == b->stamps.behind && a->stamps.device == b->stamps.device);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct traj_intent_buffer first;
    static struct traj_intent_buffer second;
    struct traj_refusal_detail detail = {NULL, NULL, 0};
    enum traj_refusal refusal = traj_intent_parse(data, size, &first, &detail);
    if (refusal != TRAJ_ACCEPTED) {
        REQUIRE(refusal < TRAJ_REFUSALS && detail.reason != NULL && detail.offset <= size);
        return 0;
    }
    ACCEPTED(0);
    size_t cap = traj_intent_size(first.intent.dim, first.intent.targets);
    char *out = malloc(cap);
    char *again = malloc(cap);
    REQUIRE(out != NULL && again != NULL);
    size_t written = traj_intent_write(&first.intent, out, cap);
    REQUIRE(written > 0);
    REQUIRE(traj_intent_parse(out, written, &second, NULL) == TRAJ_ACCEPTED);
    require_same_values(&first.intent, &second.intent);
    REQUIRE(traj_intent_write(&second.intent, again, cap) == written);
    REQUIRE(memcmp(out, again, written) == 0);
    free(out);
    free(again);
    return 0;
}
