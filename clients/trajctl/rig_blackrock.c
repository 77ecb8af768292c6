/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A simulated Blackrock instrument: datagrams of packets in protocol 4.1 with times in ns, a
 * heartbeat and a count of what was sent with each block.  Nobody can be seen to listen to UDP.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "clients/trajctl/rig.h"
#include "proto/blackrock.h"

#define DIGITAL 279
#define POINTS 48           /* of a spike's waveform */
#define DATAGRAM_BYTES 1400 /* what fits in a frame of the network */
#define SYSTEM 0x8000

struct instrument {
    struct rig *rig;
    int socket;
    unsigned char datagram[DATAGRAM_BYTES];
    size_t size;
    uint64_t packets, spikes; /* in the datagram */
    uint32_t since;           /* packets since the last monitor */
    uint32_t monitors;
    uint32_t lines;
    bool begun;
    int16_t wave[POINTS];
};

/* Microseconds of the rig's clock as the ns of a packet. */
static uint64_t stamp(int64_t sample)
{
    return (uint64_t)sample * 1000;
}

/* Sends the datagram, or loses it whole. */
static int flush(struct instrument *self, struct traj_error *error)
{
    struct rig *rig = self->rig;
    bool lost = self->packets > 0 && rig_loses(rig);
    if (self->packets == 0) {
        return 0;
    }
    rig->messages += self->packets - 1;
    rig->dropped += lost ? self->packets - 1 : 0;
    rig->spikes_dropped += lost ? self->spikes : 0;
    int result = 0;
    while (!lost && send(self->socket, self->datagram, self->size, 0) < 0 && result == 0) {
        /* Nobody listens yet, or a signal came. */
        if (errno == ECONNREFUSED) {
            break;
        }
        if (errno != EINTR) {
            result = traj_error_set(error, "%s: %s", rig->endpoint, strerror(errno));
        }
    }
    self->size = 0;
    self->packets = 0;
    self->spikes = 0;
    return result;
}

static int add(struct instrument *self, const struct traj_cb_packet *packet, const int16_t *wave,
               size_t points, struct traj_error *error)
{
    size_t length = traj_cb_write(packet, wave, points, self->datagram + self->size,
                                  sizeof self->datagram - self->size);
    int result = 0;
    if (length == 0) {
        result = flush(self, error);
        length = traj_cb_write(packet, wave, points, self->datagram, sizeof self->datagram);
    }
    self->size += length;
    self->packets++;
    self->since++;
    self->spikes += packet->kind == TRAJ_CB_SPIKE;
    return result;
}

/* A heartbeat with what waits; then, never lost, how much there was. */
static int beat(struct instrument *self, int64_t sample, struct traj_error *error)
{
    struct rig *rig = self->rig;
    struct traj_cb_packet packet = {
        .kind = TRAJ_CB_HEARTBEAT, .time = stamp(sample), .channel = SYSTEM};
    bool keep = rig->keep;
    int result = add(self, &packet, NULL, 0, error);
    result = result ? result : flush(self, error);
    packet.kind = TRAJ_CB_MONITOR;
    packet.sent = self->since + 1;
    packet.counter = ++self->monitors;
    result = result ? result : add(self, &packet, NULL, 0, error);
    self->since = 0;
    rig->keep = true;
    result = result ? result : flush(self, error);
    rig->keep = keep;
    return result;
}

/* --- the system ---------------------------------------------------------------------------- */

static int open_instrument(struct rig *rig, void **self, struct traj_error *error)
{
    struct instrument *made = calloc(1, sizeof *made);
    struct sockaddr_in to = {.sin_family = AF_INET};
    const int one = 1;
    char host[64];
    long port = 0;
    const char *colon = strrchr(rig->endpoint, ':');
    *self = made;
    if (!made) {
        return traj_error_set(error, "memory is short");
    }
    made->rig = rig;
    for (int i = 0; i < POINTS; i++) {
        made->wave[i] = (int16_t)(i < 10 ? -20 * i : -200 + 8 * (i - 10));
    }
    made->socket = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (colon && strncmp(rig->endpoint, "udp://", 6) == 0 &&
        (size_t)(colon - rig->endpoint - 6) < sizeof host) {
        memcpy(host, rig->endpoint + 6, (size_t)(colon - rig->endpoint - 6));
        host[colon - rig->endpoint - 6] = '\0';
        port = strtol(colon + 1, NULL, 10);
    }
    if (port < 1 || port > 65535 || inet_pton(AF_INET, host, &to.sin_addr) != 1) {
        return traj_error_set(error, "--endpoint: \"%s\" is not udp://ADDRESS:PORT", rig->endpoint);
    }
    to.sin_port = htons((uint16_t)port);
    if (rig->rate != 1e6) {
        return traj_error_set(error, "--rate: the simulated instrument stamps in ns, which trajd "
                                     "takes as 1000000 samples a second");
    }
    if (made->socket < 0 ||
        setsockopt(made->socket, SOL_SOCKET, SO_BROADCAST, &one, sizeof one) != 0 ||
        connect(made->socket, (struct sockaddr *)&to, sizeof to) != 0) {
        return traj_error_set(error, "%s: %s", rig->endpoint, strerror(errno));
    }
    printf("%s\n", rig->endpoint);
    return fflush(stdout);
}

static void close_instrument(void *self)
{
    struct instrument *made = self;
    if (made && made->socket >= 0) {
        (void)close(made->socket);
    }
    free(made);
}

static int begin(struct instrument *self, int64_t sample, struct traj_error *error)
{
    self->begun = true;
    return beat(self, sample, error);
}

static int send_item(void *argument, const struct rig_item *item, struct traj_error *error)
{
    struct instrument *self = argument;
    struct traj_cb_packet packet = {.time = stamp(item->sample)};
    int result = self->begun ? 0 : begin(self, 0, error);
    if (result != 0) {
        return result;
    }
    if (item->spike) {
        packet.kind = TRAJ_CB_SPIKE;
        packet.channel = (uint16_t)(item->unit + 1);
        packet.unit = 1;
        self->rig->spikes++;
        return add(self, &packet, self->wave, POINTS, error);
    }
    uint32_t bit = (uint32_t)1 << item->line;
    self->lines = item->state ? self->lines | bit : self->lines & ~bit;
    packet.kind = TRAJ_CB_DIGITAL;
    packet.channel = DIGITAL;
    packet.value = self->lines;
    return add(self, &packet, NULL, 0, error);
}

/* One sample of a group of continuous channels each ms, as the 1 kHz group has it. */
static int send_block(void *argument, int64_t start, int64_t samples, struct traj_error *error)
{
    struct instrument *self = argument;
    int16_t value[400] = {0};
    size_t channels = self->rig->channels < 400 ? self->rig->channels : 400;
    int result = self->begun ? 0 : begin(self, start, error);
    for (int64_t at = start; channels > 0 && at < start + samples && result == 0; at += 1000) {
        struct traj_cb_packet packet = {
            .kind = TRAJ_CB_GROUP, .time = stamp(at), .channel = 0, .unit = 2};
        result = add(self, &packet, value, (channels + 1) / 2 * 2, error);
    }
    return result ? result : beat(self, start + samples, error);
}

static int restart(void *argument, struct traj_error *error)
{
    struct instrument *self = argument;
    int result = flush(self, error);
    self->begun = false;
    self->monitors = 0;
    self->since = 0;
    self->lines = 0;
    return result;
}

static void name_channel(size_t unit, char *out, size_t cap, int *sorted)
{
    (void)snprintf(out, cap, "%zu", unit + 1);
    *sorted = 1;
}

const struct rig_system rig_blackrock = {
    .name = "blackrock",
    .endpoint = "udp://127.0.0.1:51002",
    .rate = 1e6,
    .units_max = DIGITAL - 8, /* channels of electrodes and analog inputs */
    .open = open_instrument,
    .item = send_item,
    .block = send_block,
    .restart = restart,
    .close = close_instrument,
    .channel = name_channel,
};
