/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Blackrock's Cerebus and Gemini systems: the UDP packets that an instrument broadcasts while
 * Central (or another program that has started it) runs.  trajd only listens.
 *
 * An instrument says about every 10 ms how many packets it has sent since it last said so; the sum
 * of what was sent, less what came, is what was lost.  It is a running balance: the messages that
 * say so come from another queue of the instrument, and the single differences mean nothing.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "daemon/io/source/rig.h"
#include "proto/blackrock.h"

#define RECEIVE_BYTES (16 << 20) /* asked of the kernel */
#define OVERTAKEN 16 /* monitors that an overtaken one may be behind, and restarts are not */
#define NOISE 255    /* the unit to which the sorter puts what is no spike */

struct blackrock {
    struct traj_intake *intake;
    int socket;
    enum traj_cb_protocol protocol;
    uint16_t digital;     /* channel of the digital input port */
    long instrument;      /* -1 = the first that is heard */
    struct in_addr from;  /* 0 = anybody */
    uint64_t divisor;     /* of the packets' times: ns are taken as us */
    uint32_t lines;       /* of the digital port, as last told */
    bool lines_known;     /* false: nothing has been told yet */
    bool monitored;       /* since a monitor has come */
    uint32_t counter;     /* of the last monitor */
    uint64_t came, sent;  /* packets, since the first monitor */
    uint64_t lost_before; /* in runs that are over */
    unsigned char datagram[TRAJ_CB_DATAGRAM_MAX];
};

/* --- opening -------------------------------------------------------------------------------- */

static int read_options(struct blackrock *self, struct traj_error *error)
{
    const struct traj_url *url = &self->intake->url;
    const char *protocol = traj_url_text(url, "protocol", "4.1");
    const char *from = traj_url_text(url, "from", NULL);
    double rate = self->intake->settings.rate;
    int number = traj_cb_protocol(protocol);
    long digital = number == TRAJ_CB_311 ? 151 : 279;

    if (number < 0) {
        return traj_error_set(error, "source: protocol \"%s\" is not 3.11, 4.0, 4.1 or 4.2",
                              protocol);
    }
    self->protocol = (enum traj_cb_protocol)number;
    if (rate != 1e6 && rate != 30000.0) {
        return traj_error_set(error,
                              "source: rate must be 1000000 (an instrument that stamps in "
                              "ns: Gemini) or 30000 (ticks of 30 kHz), not %g",
                              rate);
    }
    self->divisor = rate == 1e6 ? 1000 : 1;
    if (from != NULL && inet_pton(AF_INET, from, &self->from) != 1) {
        return traj_error_set(error, "source: from=%s is no address", from);
    }
    if (traj_url_whole(url, "digital", 1, 0x7fff, &digital, error) != 0 ||
        traj_url_whole(url, "instrument", 0, 255, &self->instrument, error) != 0) {
        return -1;
    }
    self->digital = (uint16_t)digital;
    return 0;
}

static int bind_socket(struct blackrock *self, struct traj_error *error)
{
    const struct traj_url *url = &self->intake->url;
    const struct addrinfo hints = {.ai_family = AF_INET, .ai_socktype = SOCK_DGRAM};
    struct addrinfo *found = NULL;
    const int one = 1;
    int bytes = RECEIVE_BYTES;
    socklen_t size = sizeof bytes;
    int rc = getaddrinfo(url->host, url->port, &hints, &found);

    if (rc != 0) {
        return traj_error_set(error, "source: %s: %s", url->host, gai_strerror(rc));
    }
    self->socket = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    /* Central on the same machine listens to the same port. */
    if (self->socket < 0 ||
        setsockopt(self->socket, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) != 0 ||
        setsockopt(self->socket, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes) != 0 ||
        bind(self->socket, found->ai_addr, found->ai_addrlen) != 0) {
        rc = traj_error_set(error,
                            "source: cannot listen at %s:%s: %s (HOST is an address of this "
                            "machine, its network's broadcast address, or 0.0.0.0)",
                            url->host, url->port, strerror(errno));
    }
    freeaddrinfo(found);
    if (rc == 0 && getsockopt(self->socket, SOL_SOCKET, SO_RCVBUF, &bytes, &size) == 0 &&
        bytes < RECEIVE_BYTES) {
        traj_intake_say(self->intake,
                        "the kernel holds %d KiB of datagrams for trajd; sysctl "
                        "net.core.rmem_max=%d lets it hold what a busy rig sends",
                        bytes / 1024, RECEIVE_BYTES);
    }
    return rc;
}

static void close_blackrock(void *argument)
{
    struct blackrock *self = argument;

    if (self->socket >= 0) {
        (void)close(self->socket);
    }
    free(self);
}

static void *open_blackrock(struct traj_intake *intake, void *context, struct traj_error *error)
{
    struct blackrock *self = calloc(1, sizeof *self);

    (void)context;
    if (self == NULL) {
        (void)traj_error_set(error, "out of memory");
        return NULL;
    }
    self->intake = intake;
    self->socket = -1;
    self->instrument = -1;
    if (read_options(self, error) != 0 || bind_socket(self, error) != 0) {
        close_blackrock(self);
        return NULL;
    }
    return self;
}

static int items_blackrock(void *argument, zmq_pollitem_t *item)
{
    struct blackrock *self = argument;

    item[0] = (zmq_pollitem_t){.fd = self->socket, .events = ZMQ_POLLIN};
    return 1;
}

/* --- packets -------------------------------------------------------------------------------- */

/* What is sent is told after it has come; a packet or two more than that are on their way. */
static void balance(struct blackrock *self)
{
    uint64_t lost = self->sent > self->came ? self->sent - self->came : 0;

    self->intake->counters.lost = self->lost_before + lost;
}

static void take_monitor(struct blackrock *self, const struct traj_cb_packet *packet)
{
    const uint32_t expected = self->counter + 1;

    if (self->monitored && packet->counter != 0 && packet->counter <= self->counter &&
        self->counter - packet->counter < OVERTAKEN) {
        return; /* It came twice, or behind one that was sent after it. */
    }
    if (self->monitored && packet->counter != 0 && packet->counter < self->counter) {
        /* The instrument's time has begun anew. */
        traj_intake_begin(self->intake);
        self->monitored = false;
    }
    if (self->monitored && packet->counter <= expected) {
        self->sent += packet->sent;
        balance(self);
    } else {
        /*
         * The first, or monitors between are missing: these are lost themselves, and what they
         * would have told nobody knows.  The balance begins anew here.
         */
        self->lost_before =
            self->intake->counters.lost + (self->monitored ? packet->counter - expected : 0);
        self->intake->counters.lost = self->lost_before;
        self->monitored = true;
        self->came = 0;
        self->sent = 0;
    }
    self->counter = packet->counter;
}

/* Lines that have changed, one mark each. */
static void take_lines(struct blackrock *self, const struct traj_cb_packet *packet, int64_t sample)
{
    uint32_t changed = packet->value ^ self->lines;

    if (!self->lines_known && (changed & (changed - 1)) != 0) {
        changed = 0; /* Of several that are high some were so before trajd listened. */
    }
    for (long line = 0; line < 32; line++) {
        if ((changed >> line & 1) != 0) {
            traj_intake_line(self->intake, line, (packet->value >> line & 1) != 0, sample);
        }
    }
    self->lines = packet->value;
    self->lines_known = true;
}

static void take_spike(struct blackrock *self, const struct traj_cb_packet *packet, int64_t sample)
{
    char channel[8];

    if (packet->unit == NOISE) {
        return;
    }
    (void)snprintf(channel, sizeof channel, "%u", (unsigned)packet->channel);
    traj_intake_spikes(self->intake, channel, packet->unit, sample, 1);
}

static void take_packet(struct blackrock *self, const struct traj_cb_packet *packet, double now)
{
    int64_t sample = (int64_t)(packet->time / self->divisor & INT64_MAX);

    if (self->instrument < 0) {
        self->instrument = packet->instrument;
    }
    if (packet->instrument != self->instrument) {
        self->intake->counters.foreign++;
        return;
    }
    self->intake->counters.messages++;
    self->came++;
    switch (packet->kind) {
    case TRAJ_CB_SPIKE:
        take_spike(self, packet, sample);
        break;
    case TRAJ_CB_GROUP:
    case TRAJ_CB_HEARTBEAT:
        traj_intake_seen(self->intake, sample, now);
        break;
    case TRAJ_CB_DIGITAL:
        take_lines(self, packet, sample);
        break;
    case TRAJ_CB_MONITOR:
        take_monitor(self, packet);
        break;
    case TRAJ_CB_OTHER:
        break;
    }
}

static bool take_blackrock(void *argument, double now)
{
    struct blackrock *self = argument;
    struct sockaddr_in sender;
    socklen_t length = sizeof sender;
    struct traj_cb_packet packet;
    size_t offset = 0;
    ssize_t size = recvfrom(self->socket, self->datagram, sizeof self->datagram, 0,
                            (struct sockaddr *)&sender, &length);

    if (size < 0) {
        return false;
    }
    if (self->from.s_addr != 0 && sender.sin_addr.s_addr != self->from.s_addr) {
        self->intake->counters.foreign++;
        return true;
    }
    while (offset < (size_t)size) {
        if (traj_cb_next(self->protocol, self->digital, self->datagram, (size_t)size, &offset,
                         &packet) == TRAJ_ACCEPTED) {
            take_packet(self, &packet, now);
        } else {
            self->intake->counters.messages++;
            self->intake->counters.refused++;
            self->came++;
        }
    }
    return true;
}

static double tick_blackrock(void *argument, double now)
{
    (void)argument;
    return now + 3600.0;
}

static const char *const options[] = {"protocol", "digital", "instrument", "from", NULL};

const struct traj_rig_kind traj_rig_blackrock = {
    .scheme = "blackrock",
    .port = "51002",
    .options = options,
    .defaults = {.rate = 1e6, .lag_s = 0.005, .wait_s = 0.05, .silence_s = 0.15, .jump_s = 2.0},
    .open = open_blackrock,
    .close = close_blackrock,
    .items = items_blackrock,
    .take = take_blackrock,
    .tick = tick_blackrock,
};
