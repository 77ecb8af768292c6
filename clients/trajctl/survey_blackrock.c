/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What a Blackrock instrument broadcasts; see survey.h. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "clients/trajctl/interrupt.h"
#include "clients/trajctl/progress.h"
#include "clients/trajctl/survey.h"
#include "proto/blackrock.h"

/* When the instrument's clock was first and last heard, by both clocks. */
struct clocks {
    uint64_t first, last;
    double heard_first, heard_last;
    bool any;
};

static int listen_at(const char *address, struct traj_error *error)
{
    struct sockaddr_in at = {.sin_family = AF_INET};
    char host[64] = "";
    const char *colon = strrchr(address, ':');
    const int one = 1;
    size_t length = colon ? (size_t)(colon - address) : strlen(address);
    long port = colon ? strtol(colon + 1, NULL, 10) : 51002;
    if (length < sizeof host) {
        memcpy(host, address, length);
    }
    if (port < 1 || port > 65535 || inet_pton(AF_INET, host, &at.sin_addr) != 1) {
        return traj_error_set(error, "--connect: \"%s\" is not ADDRESS:PORT", address);
    }
    at.sin_port = htons((uint16_t)port);
    int made = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (made < 0 || setsockopt(made, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) != 0 ||
        bind(made, (struct sockaddr *)&at, sizeof at) != 0) {
        traj_error_set(error, "%s: %s", address, strerror(errno));
        if (made >= 0) {
            (void)close(made);
        }
        return -1;
    }
    return made;
}

static void hear_time(struct clocks *clocks, uint64_t time)
{
    double now = monotonic_seconds();
    if (!clocks->any) {
        clocks->any = true;
        clocks->first = time;
        clocks->heard_first = now;
    }
    clocks->last = time;
    clocks->heard_last = now;
}

/* False when memory is short. */
static bool hear_datagram(struct survey *survey, enum traj_cb_protocol protocol,
                          const unsigned char *datagram, size_t size, struct clocks *clocks)
{
    const uint16_t digital = protocol == TRAJ_CB_311 ? 151 : 279;
    size_t offset = 0;
    while (offset < size) {
        struct traj_cb_packet packet;
        char channel[8];
        survey->messages++;
        if (traj_cb_next(protocol, digital, datagram, size, &offset, &packet) != TRAJ_ACCEPTED) {
            survey->refused++;
            continue;
        }
        if (packet.kind == TRAJ_CB_HEARTBEAT || packet.kind == TRAJ_CB_GROUP) {
            hear_time(clocks, packet.time);
        }
        (void)snprintf(channel, sizeof channel, "%u", (unsigned)packet.channel);
        if (packet.kind == TRAJ_CB_SPIKE && packet.unit != 255 &&
            !survey_add(survey, channel, packet.unit, 1)) {
            return false;
        }
    }
    return true;
}

/* Ticks of 30 kHz and ns lie so far apart that no delay can make one look like the other. */
static double rate_of(const struct clocks *clocks)
{
    double seconds = clocks->heard_last - clocks->heard_first;
    if (!(seconds > 0.2) || clocks->last <= clocks->first) {
        return 0.0;
    }
    return (double)(clocks->last - clocks->first) / seconds > 5e6 ? 1e6 : 30000.0;
}

int survey_blackrock(struct survey *survey, struct traj_error *error)
{
    static unsigned char datagram[TRAJ_CB_DATAGRAM_MAX];
    int protocol = traj_cb_protocol(survey->protocol ? survey->protocol : "4.1");
    struct clocks clocks = {0};
    int result = 0;
    if (protocol < 0) {
        return traj_error_set(error, "--protocol: \"%s\" is not 3.11, 4.0, 4.1 or 4.2",
                              survey->protocol);
    }
    int made = listen_at(survey->address, error);
    if (made < 0) {
        return -1;
    }
    double until = monotonic_seconds() + survey->seconds;
    while (result == 0 && monotonic_seconds() < until) {
        struct pollfd item = {.fd = made, .events = POLLIN};
        ssize_t size = poll(&item, 1, 100) > 0 ? recv(made, datagram, sizeof datagram, 0) : -1;
        if (size > 0 && !hear_datagram(survey, (enum traj_cb_protocol)protocol, datagram,
                                       (size_t)size, &clocks)) {
            result = traj_error_set(error, "memory is short");
        } else if (interrupted()) {
            result = 1;
        }
    }
    (void)close(made);
    survey->rate = rate_of(&clocks);
    return result;
}
