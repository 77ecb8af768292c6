/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Packets of Blackrock's systems; see blackrock.h. */
#include "proto/blackrock.h"

#include <string.h>

#include "proto/bytes.h"

#define CONFIGURATION 0x8000 /* channel: the system itself */
#define TYPE_HEARTBEAT 0
#define TYPE_MONITOR 1
#define PACKET_MAX 1024
#define SPIKE_WORDS 4 /* three floats of the pattern, peak and valley; then the waveform */

int traj_cb_protocol(const char *name)
{
    static const struct {
        const char *name;
        enum traj_cb_protocol protocol;
    } known[] = {
        {"3.11", TRAJ_CB_311}, {"4.0", TRAJ_CB_400}, {"4.1", TRAJ_CB_410}, {"4.2", TRAJ_CB_410}};

    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (strcmp(name, known[i].name) == 0) {
            return (int)known[i].protocol;
        }
    }
    return -1;
}

/* ---- reading --------------------------------------------------------------------------------- */

struct header {
    size_t size; /* of the header, bytes */
    uint16_t type;
    size_t words;
};

/* at holds as many bytes as the protocol's header has. */
static struct header read_header(enum traj_cb_protocol protocol, const unsigned char *at,
                                 struct traj_cb_packet *packet)
{
    struct header header = {.size = 16};

    if (protocol == TRAJ_CB_311) {
        packet->time = traj_bytes_get(at, 4);
        packet->channel = (uint16_t)traj_bytes_get(at + 4, 2);
        return (struct header){.size = 8, .type = at[6], .words = at[7]};
    }
    packet->time = traj_bytes_get(at, 8);
    packet->channel = (uint16_t)traj_bytes_get(at + 8, 2);
    if (protocol == TRAJ_CB_400) {
        header.type = at[10];
        header.words = (size_t)traj_bytes_get(at + 11, 2);
        packet->instrument = at[13];
    } else {
        header.type = (uint16_t)traj_bytes_get(at + 10, 2);
        header.words = (size_t)traj_bytes_get(at + 12, 2);
        packet->instrument = at[14];
    }
    return header;
}

static enum traj_refusal read_body(const struct header *header, uint16_t digital,
                                   const unsigned char *body, struct traj_cb_packet *packet)
{
    packet->kind = TRAJ_CB_OTHER;
    if (packet->channel == 0) {
        packet->kind = TRAJ_CB_GROUP;
        packet->unit = header->type;
    } else if (packet->channel == CONFIGURATION && header->type == TYPE_HEARTBEAT) {
        packet->kind = TRAJ_CB_HEARTBEAT;
    } else if (packet->channel == CONFIGURATION && header->type == TYPE_MONITOR &&
               (header->words == 1 || header->words == 2)) {
        /* Before 4.2 a preview of line noise had this type too; it is longer. */
        packet->kind = TRAJ_CB_MONITOR;
        packet->sent = (uint32_t)traj_bytes_get(body, 4);
        packet->counter = header->words == 2 ? (uint32_t)traj_bytes_get(body + 4, 4) : 0;
    } else if (packet->channel == digital) {
        if (header->words < 1) {
            return TRAJ_REFUSED_SYNTAX;
        }
        packet->kind = TRAJ_CB_DIGITAL;
        packet->value = (uint32_t)traj_bytes_get(body, 4);
    } else if (packet->channel < digital) {
        if (header->words < SPIKE_WORDS) {
            return TRAJ_REFUSED_SYNTAX;
        }
        packet->kind = TRAJ_CB_SPIKE;
        packet->unit = header->type;
    }
    return TRAJ_ACCEPTED;
}

enum traj_refusal traj_cb_next(enum traj_cb_protocol protocol, uint16_t digital, const void *data,
                               size_t size, size_t *offset, struct traj_cb_packet *packet)
{
    const size_t head = protocol == TRAJ_CB_311 ? 8 : 16;
    const unsigned char *at = (const unsigned char *)data + *offset;
    size_t left = size - *offset;
    struct header header;
    size_t length;
    enum traj_refusal refusal;

    memset(packet, 0, sizeof *packet);
    *offset = size;
    if (left < head) {
        return TRAJ_REFUSED_SYNTAX;
    }
    header = read_header(protocol, at, packet);
    length = head + 4 * header.words;
    if (length > left || length > PACKET_MAX) {
        return TRAJ_REFUSED_SYNTAX;
    }
    refusal = read_body(&header, digital, at + head, packet);
    if (refusal == TRAJ_ACCEPTED) {
        *offset = size - left + length;
    }
    return refusal;
}

/* ---- writing --------------------------------------------------------------------------------- */

static void put_wave(unsigned char *at, const int16_t *wave, size_t points)
{
    for (size_t i = 0; i < points; i++) {
        traj_bytes_put(at + 2 * i, (uint16_t)wave[i], 2);
    }
}

/* Peak and valley are those of the waveform; nothing is known of the pattern. */
static void put_spike(unsigned char *body, const int16_t *wave, size_t points)
{
    int16_t peak = points > 0 ? wave[0] : 0;
    int16_t valley = peak;

    for (size_t i = 0; i < points; i++) {
        peak = wave[i] > peak ? wave[i] : peak;
        valley = wave[i] < valley ? wave[i] : valley;
    }
    memset(body, 0, 12);
    traj_bytes_put(body + 12, (uint16_t)peak, 2);
    traj_bytes_put(body + 14, (uint16_t)valley, 2);
    put_wave(body + 16, wave, points);
}

size_t traj_cb_write(const struct traj_cb_packet *packet, const int16_t *wave, size_t points,
                     unsigned char *out, size_t cap)
{
    size_t words = 0;
    uint16_t type = 0;

    switch (packet->kind) {
    case TRAJ_CB_SPIKE:
        words = SPIKE_WORDS + points / 2;
        type = packet->unit;
        break;
    case TRAJ_CB_GROUP:
        words = points / 2;
        type = packet->unit;
        break;
    case TRAJ_CB_DIGITAL:
        words = 3;
        break;
    case TRAJ_CB_MONITOR:
        words = 2;
        type = TYPE_MONITOR;
        break;
    case TRAJ_CB_HEARTBEAT:
    case TRAJ_CB_OTHER:
        break;
    }
    if (16 + 4 * words > cap || 16 + 4 * words > PACKET_MAX) {
        return 0;
    }
    traj_bytes_put(out, packet->time, 8);
    traj_bytes_put(out + 8, packet->channel, 2);
    traj_bytes_put(out + 10, type, 2);
    traj_bytes_put(out + 12, words, 2);
    out[14] = packet->instrument;
    out[15] = 0;
    if (packet->kind == TRAJ_CB_SPIKE) {
        put_spike(out + 16, wave, points);
    } else if (packet->kind == TRAJ_CB_GROUP) {
        put_wave(out + 16, wave, points);
    } else if (packet->kind == TRAJ_CB_DIGITAL) {
        traj_bytes_put(out + 16, packet->value, 4);
        traj_bytes_put(out + 20, 0, 4);
        traj_bytes_put(out + 24, 1, 4); /* any bit has changed */
    } else if (packet->kind == TRAJ_CB_MONITOR) {
        traj_bytes_put(out + 16, packet->sent, 4);
        traj_bytes_put(out + 20, packet->counter, 4);
    }
    return 16 + 4 * words;
}
