/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The two data sockets; see link.h. */
#include "daemon/io/link.h"

#include <errno.h>
#include <string.h>

#include "daemon/io/endpoint.h"
#include "daemon/io/source/tap.h"
#include "proto/intent_binary.h"

/* What still waits for subscribers may take so long to leave when the daemon ends. */
#define INTENTS_LINGER_MS 200

/*
 * Subscription messages read at one wake-up; more wait for the next, so that they cannot hold up
 * frames.
 */
#define SUBSCRIPTIONS_AT_ONCE 64

/* Parts of one message read at a turn: who sends millions must hold up neither beat nor command. */
#define PARTS_AT_ONCE 1000

/* Bytes of the longest message of a subscriber: a topic, or a step of the handshake. */
#define SUBSCRIPTION_MAX 4096

void *traj_link_context(struct traj_error *error)
{
    void *context = zmq_ctx_new();

    if (context == NULL) {
        (void)traj_error_set(error, "no zmq context: %s", zmq_strerror(zmq_errno()));
    }
    return context;
}

void traj_link_context_end(void *context)
{
    if (context == NULL) {
        return;
    }
    while (zmq_ctx_term(context) != 0 && zmq_errno() == EINTR) {
    }
}

static int set_option(const char *field, void *socket, int option, int value,
                      struct traj_error *error)
{
    if (zmq_setsockopt(socket, option, &value, sizeof value) != 0) {
        return traj_error_set(error, "%s: cannot set up the socket: %s", field,
                              zmq_strerror(zmq_errno()));
    }
    return 0;
}

static int open_frames(struct traj_link *link, void *context, const struct traj_config *config,
                       const struct traj_guard *guard, struct traj_error *error)
{
    struct traj_endpoint endpoint;

    if (traj_endpoint_parse("frames", config->frames, &endpoint, error) != 0) {
        return -1;
    }
    link->frames = zmq_socket(context, ZMQ_SUB);
    if (link->frames == NULL) {
        return traj_error_set(error, "frames: no socket: %s", zmq_strerror(zmq_errno()));
    }
    if (set_option("frames", link->frames, ZMQ_RCVHWM, config->receive_hwm, error) != 0 ||
        set_option("frames", link->frames, ZMQ_LINGER, 0, error) != 0 ||
        traj_guard_socket(guard, TRAJ_SOCKET_FRAMES, &endpoint, config->message_max, link->frames,
                          error) != 0) {
        return -1;
    }
    if (zmq_setsockopt(link->frames, ZMQ_SUBSCRIBE, "frame", 5) != 0 ||
        zmq_setsockopt(link->frames, ZMQ_SUBSCRIBE, "event", 5) != 0) {
        return traj_error_set(error, "frames: cannot set up the socket: %s",
                              zmq_strerror(zmq_errno()));
    }
    return traj_endpoint_attach("frames", &endpoint, link->frames, error);
}

static int open_intents(struct traj_link *link, void *context, const struct traj_config *config,
                        const struct traj_guard *guard, struct traj_error *error)
{
    struct traj_endpoint endpoint;

    if (traj_endpoint_parse("intents", config->intents, &endpoint, error) != 0) {
        return -1;
    }
    link->intents = zmq_socket(context, ZMQ_XPUB);
    if (link->intents == NULL) {
        return traj_error_set(error, "intents: no socket: %s", zmq_strerror(zmq_errno()));
    }
    /* VERBOSER: every subscriber's coming and going is told, not only the first and the last. */
    if (set_option("intents", link->intents, ZMQ_SNDHWM, config->send_hwm, error) != 0 ||
        set_option("intents", link->intents, ZMQ_LINGER, INTENTS_LINGER_MS, error) != 0 ||
        set_option("intents", link->intents, ZMQ_XPUB_VERBOSER, 1, error) != 0 ||
        traj_guard_socket(guard, TRAJ_SOCKET_INTENTS, &endpoint, SUBSCRIPTION_MAX, link->intents,
                          error) != 0) {
        return -1;
    }
    /* First, because the address that is told is the last one. */
    if ((config->source[0] != '\0' || config->lsl_outlet[0] != '\0') &&
        zmq_bind(link->intents, TRAJ_RIG_INTENTS) != 0) {
        return traj_error_set(error, "intents: %s", zmq_strerror(zmq_errno()));
    }
    return traj_endpoint_attach("intents", &endpoint, link->intents, error);
}

static int open_source(struct traj_link *link, void *context, const struct traj_config *config,
                       struct traj_error *error)
{
    if (config->source[0] == '\0') {
        return 0;
    }
    link->source = zmq_socket(context, ZMQ_PAIR);
    if (link->source == NULL) {
        return traj_error_set(error, "source: no socket: %s", zmq_strerror(zmq_errno()));
    }
    if (set_option("source", link->source, ZMQ_RCVHWM, config->receive_hwm, error) != 0 ||
        set_option("source", link->source, ZMQ_LINGER, 0, error) != 0) {
        return -1;
    }
    return zmq_bind(link->source, TRAJ_TAP_ADDRESS) == 0
               ? 0
               : traj_error_set(error, "source: %s", zmq_strerror(zmq_errno()));
}

int traj_link_open(struct traj_link *link, void *context, const struct traj_config *config,
                   const struct traj_guard *guard, struct traj_error *error)
{
    memset(link, 0, sizeof *link);
    if (open_frames(link, context, config, guard, error) != 0 ||
        open_source(link, context, config, error) != 0 ||
        open_intents(link, context, config, guard, error) != 0) {
        traj_link_close(link);
        return -1;
    }
    return 0;
}

void traj_link_close(struct traj_link *link)
{
    if (link->frames != NULL) {
        (void)zmq_close(link->frames);
        link->frames = NULL;
    }
    if (link->source != NULL) {
        (void)zmq_close(link->source);
        link->source = NULL;
    }
    if (link->intents != NULL) {
        (void)zmq_close(link->intents);
        link->intents = NULL;
    }
}

void traj_link_address(void *socket, char *out, size_t cap)
{
    size_t size = cap;

    if (cap > 0 && zmq_getsockopt(socket, ZMQ_LAST_ENDPOINT, out, &size) != 0) {
        out[0] = '\0';
    }
}

int traj_link_descriptor(void *socket)
{
    int descriptor = -1;
    size_t size = sizeof descriptor;

    return zmq_getsockopt(socket, ZMQ_FD, &descriptor, &size) == 0 ? descriptor : -1;
}

bool traj_link_waits(void *socket)
{
    int events = 0;
    size_t size = sizeof events;

    /* A socket that has failed is one to look at. */
    return zmq_getsockopt(socket, ZMQ_EVENTS, &events, &size) != 0 || (events & ZMQ_POLLIN) != 0;
}

/* zmq_msg_recv that a signal does not interrupt. */
static int receive_part(void *socket, zmq_msg_t *part, int flags)
{
    int size;

    do {
        size = zmq_msg_recv(part, socket, flags);
    } while (size < 0 && zmq_errno() == EINTR);
    return size;
}

/*
 * Reads the rest of a message away, as much as there is time for; true if some of it is left.  The
 * parts of one message arrive together, so this never waits.
 */
static bool discard_rest(void *socket)
{
    bool more = true;

    for (int i = 0; more && i < PARTS_AT_ONCE; i++) {
        zmq_msg_t part;

        (void)zmq_msg_init(&part);
        more = receive_part(socket, &part, 0) >= 0 && zmq_msg_more(&part);
        (void)zmq_msg_close(&part);
    }
    return more;
}

/* One message of one socket; *rest: parts of the one before are still to be read away. */
static enum traj_arrival receive(void *socket, bool *rest, zmq_msg_t *body)
{
    enum traj_arrival arrival = TRAJ_ARRIVAL_UNKNOWN;
    zmq_msg_t topic;
    bool two;

    *rest = *rest && discard_rest(socket);
    if (*rest) {
        return TRAJ_ARRIVAL_NONE;
    }
    (void)zmq_msg_init(&topic);
    if (receive_part(socket, &topic, ZMQ_DONTWAIT) < 0) {
        bool nothing = zmq_errno() == EAGAIN;
        (void)zmq_msg_close(&topic);
        return nothing ? TRAJ_ARRIVAL_NONE : TRAJ_ARRIVAL_ERROR;
    }
    two = zmq_msg_more(&topic) != 0;
    if (two && receive_part(socket, body, 0) >= 0) {
        two = !zmq_msg_more(body);
        *rest = !two && discard_rest(socket);
    }
    if (zmq_msg_size(&topic) == 5 && memcmp(zmq_msg_data(&topic), "event", 5) == 0) {
        arrival = two ? TRAJ_ARRIVAL_EVENT : TRAJ_ARRIVAL_BAD_EVENT;
    } else if (!two) {
        arrival = TRAJ_ARRIVAL_BAD_FRAME;
    } else if (zmq_msg_size(&topic) == 5 && memcmp(zmq_msg_data(&topic), "frame", 5) == 0) {
        arrival = TRAJ_ARRIVAL_FRAME;
    }
    (void)zmq_msg_close(&topic);
    return arrival;
}

enum traj_arrival traj_link_receive(struct traj_link *link, zmq_msg_t *body)
{
    enum traj_arrival arrival = TRAJ_ARRIVAL_NONE;

    if (link->source != NULL) {
        arrival = receive(link->source, &link->source_rest, body);
    }
    if (arrival != TRAJ_ARRIVAL_NONE) {
        return arrival;
    }
    arrival = receive(link->frames, &link->frames_rest, body);
    return link->source != NULL && arrival == TRAJ_ARRIVAL_FRAME ? TRAJ_ARRIVAL_STRANGE : arrival;
}

void traj_link_publish(struct traj_link *link, const char *topic, const void *body, size_t size)
{
    /*
     * An XPUB socket without NODROP never has to wait: where a subscriber's queue is full the
     * message is dropped for that one alone.  DONTWAIT says so once more; there is nobody to tell
     * of an error.
     */
    if (zmq_send(link->intents, topic, strlen(topic), ZMQ_SNDMORE | ZMQ_DONTWAIT) >= 0) {
        (void)zmq_send(link->intents, body, size, ZMQ_DONTWAIT);
    }
}

/* True if a subscription to this prefix lets a topic through. */
static bool covers(const char *topic, const char *prefix, size_t size)
{
    return size <= strlen(topic) && memcmp(topic, prefix, size) == 0;
}

/* Whoever subscribes to everything has not asked for bytes. */
static bool asks_for_bytes(const char *prefix, size_t size)
{
    return size > 0 && covers(TRAJ_TOPIC_BINARY, prefix, size);
}

/*
 * A count for people to read.  libzmq hands on whatever a peer says, and says once that a peer has
 * gone, however often it had subscribed: what others get must not hang on it.
 */
static void count(uint64_t *subscriptions, char change)
{
    if (change == 1) {
        ++*subscriptions;
    } else if (change == 0 && *subscriptions > 0) {
        --*subscriptions;
    }
}

void traj_link_subscriptions(struct traj_link *link)
{
    for (int i = 0; i < SUBSCRIPTIONS_AT_ONCE; i++) {
        char body[64];
        int size = zmq_recv(link->intents, body, sizeof body, ZMQ_DONTWAIT);

        if (size < 0) {
            return;
        }
        if (size == 0 || (size_t)size > sizeof body) {
            continue;
        }
        if (covers("intent", body + 1, (size_t)size - 1)) {
            count(&link->subscribers, body[0]);
        }
        if (asks_for_bytes(body + 1, (size_t)size - 1)) {
            count(&link->binaries, body[0]);
            link->bytes = link->bytes || body[0] == 1;
        }
    }
}
