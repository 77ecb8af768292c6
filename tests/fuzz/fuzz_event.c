/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Any bytes as an event: refused with a reason, or parsed; what is parsed writes and parses equal.
 */
#include <stdint.h>
#include <string.h>

#include "proto/event.h"
#include "tests/fuzz/require.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

FUZZ_READERS(1);

static int same_bits(double a, double b)
{
    return memcmp(&a, &b, sizeof a) == 0 || (a != a && b != b);
}

static void require_same(const struct traj_event *a, const struct traj_event *b)
{
    REQUIRE(a->kind == b->kind && a->marks == b->marks && a->target == b->target);
    REQUIRE(same_bits(a->t, b->t) && same_bits(a->go, b->go));
    REQUIRE(same_bits(a->rewarded, b->rewarded));
    REQUIRE(a->of == b->of && a->dim == b->dim && a->count == b->count && a->ids == b->ids);
    REQUIRE(memcmp(a->value, b->value, a->count * sizeof a->value[0]) == 0);
    REQUIRE(strcmp(a->text, b->text) == 0);
    for (size_t i = 0; i < a->ids; i++) {
        REQUIRE(strcmp(a->id[i], b->id[i]) == 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static char out[1 << 18];
    static struct traj_event first;
    static struct traj_event second;
    struct traj_refusal_detail detail = {NULL, NULL, 0};
    enum traj_refusal refusal = traj_event_parse(data, size, &first, &detail);
    if (refusal != TRAJ_ACCEPTED) {
        REQUIRE(refusal < TRAJ_REFUSALS && detail.reason != NULL && detail.offset <= size);
        return 0;
    }
    ACCEPTED(0);
    size_t written = traj_event_write(&first, out, sizeof out);
    REQUIRE(written > 0);
    REQUIRE(traj_event_parse(out, written, &second, NULL) == TRAJ_ACCEPTED);
    require_same(&first, &second);
    return 0;
}
