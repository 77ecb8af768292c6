/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Any bytes as a datagram of Blackrock packets, in the protocol that the first byte chooses: each
 * packet lies inside the datagram, reading always comes to its end, and what is read in the current
 * protocol writes and reads equal.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "proto/blackrock.h"
#include "tests/fuzz/require.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

FUZZ_READERS(3);

static void require_same(const struct traj_cb_packet *packet)
{
    static const int16_t wave[2] = {1, -1};
    unsigned char out[64];
    struct traj_cb_packet again;
    size_t offset = 0;
    size_t size = traj_cb_write(packet, wave, 2, out, sizeof out);
    REQUIRE(size > 0);
    REQUIRE(traj_cb_next(TRAJ_CB_410, 279, out, size, &offset, &again) == TRAJ_ACCEPTED);
    REQUIRE(offset == size && again.kind == packet->kind && again.time == packet->time);
    REQUIRE(again.channel == packet->channel && again.unit == packet->unit);
    REQUIRE(again.value == packet->value && again.sent == packet->sent);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) {
        return 0;
    }
    enum traj_cb_protocol protocol = (enum traj_cb_protocol)(data[0] % 3);
    /* A copy of exactly its size, so that a sanitizer sees the first byte read beyond the end. */
    size_t left = size - 1;
    unsigned char *datagram = malloc(left > 0 ? left : 1);
    REQUIRE(datagram != NULL);
    memcpy(datagram, data + 1, left);
    size_t offset = 0;
    while (offset < left) {
        size_t before = offset;
        struct traj_cb_packet packet;
        enum traj_refusal refusal = traj_cb_next(protocol, 279, datagram, left, &offset, &packet);
        REQUIRE(offset > before && offset <= left && offset - before <= left);
        if (refusal != TRAJ_ACCEPTED) {
            REQUIRE(offset == left);
        } else {
            REQUIRE(offset - before <= 1024);
            ACCEPTED(protocol);
            if (packet.kind != TRAJ_CB_OTHER) {
                require_same(&packet);
            }
        }
    }
    free(datagram);
    return 0;
}
