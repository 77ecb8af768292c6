/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Who may connect; see guard.h. */
#include "daemon/io/guard.h"

#include <stdio.h>
#include <string.h>
#include <zmq.h>

/* A peer that has not shown who it is after so long is sent away, ms. */
#define HANDSHAKE_MS 10000

/* A peer that has vanished without a word is given up after idle + interval * count seconds. */
#define KEEPALIVE_IDLE_S 15
#define KEEPALIVE_INTERVAL_S 5
#define KEEPALIVE_COUNT 3

/* Questions answered at one wake-up; more wait for the next, so that they cannot starve others. */
#define QUESTIONS_AT_ONCE 64

/* --- questions of libzmq ---------------------------------------------------------------------- */

/* Version, request, domain, address, identity, mechanism, and for CURVE one credential: the key. */
enum { VERSION, REQUEST, DOMAIN, ADDRESS, IDENTITY, MECHANISM, CREDENTIAL, PARTS };

#define PART_MAX 256

struct question {
    char part[PARTS][PART_MAX];
    size_t size[PARTS];
    int parts; /* that came, also beyond those that are kept */
};

/* true if a question was there. */
static bool next_question(void *socket, struct question *question)
{
    int more = 1;
    size_t size = sizeof more;

    for (question->parts = 0; more != 0; question->parts++) {
        char ignored[1];
        bool kept = question->parts < PARTS;
        char *into = kept ? question->part[question->parts] : ignored;
        int got = zmq_recv(socket, into, kept ? PART_MAX : sizeof ignored, ZMQ_DONTWAIT);

        if (got < 0) {
            return false;
        }
        if (kept) {
            question->size[question->parts] = (size_t)got < PART_MAX ? (size_t)got : PART_MAX;
        }
        if (zmq_getsockopt(socket, ZMQ_RCVMORE, &more, &size) != 0) {
            return false;
        }
    }
    return true;
}

static bool part_is(const struct question *question, int part, const char *text)
{
    return question->size[part] == strlen(text) &&
           memcmp(question->part[part], text, question->size[part]) == 0;
}

/* The client with a right to the socket that it asked for, or NULL. */
static const struct traj_client_entry *
judge(const struct traj_guard *guard, const struct question *question, enum traj_socket *socket)
{
    const struct traj_client_entry *client;
    char key[TRAJ_KEY_SIZE];

    if (question->parts < MECHANISM) {
        return NULL;
    }
    *socket = traj_socket_named(question->part[DOMAIN], question->size[DOMAIN]);
    if (*socket == TRAJ_SOCKETS || question->parts != PARTS || !part_is(question, VERSION, "1.0") ||
        !part_is(question, MECHANISM, "CURVE") || question->size[CREDENTIAL] != 32 ||
        zmq_z85_encode(key, (const uint8_t *)question->part[CREDENTIAL], 32) == NULL) {
        return NULL;
    }
    client = traj_clients_find(&guard->clients, key);
    return client != NULL && (client->rights & 1u << *socket) != 0 ? client : NULL;
}

static void send_part(void *socket, const char *text, size_t size, bool more)
{
    (void)zmq_send(socket, text, size, ZMQ_DONTWAIT | (more ? ZMQ_SNDMORE : 0));
}

static void answer(void *socket, const struct question *question,
                   const struct traj_client_entry *client)
{
    const char *code = client != NULL ? "200" : "400";
    const char *text = client != NULL ? "OK" : "no right to this socket";
    const char *name = client != NULL ? client->name : "";

    send_part(socket, "1.0", 3, true);
    send_part(socket, question->part[REQUEST],
              question->parts > REQUEST ? question->size[REQUEST] : 0, true);
    send_part(socket, code, 3, true);
    send_part(socket, text, strlen(text), true);
    send_part(socket, name, strlen(name), true);
    send_part(socket, "", 0, false);
}

static void log_refusal(struct traj_log *log, double now, const struct traj_guard *guard,
                        const struct question *question, enum traj_socket socket)
{
    char key[TRAJ_KEY_SIZE] = "";
    const struct traj_client_entry *client;

    if (question->parts > CREDENTIAL && question->size[CREDENTIAL] == 32) {
        (void)zmq_z85_encode(key, (const uint8_t *)question->part[CREDENTIAL], 32);
    }
    client = traj_clients_find(&guard->clients, key);
    traj_log_limited(
        log, TRAJ_LOG_CONNECTION, now, TRAJ_LOG_WARNING,
        "%s: a connection from %.*s is refused: its key %s is %s%s", traj_socket_name(socket),
        question->parts > ADDRESS ? (int)question->size[ADDRESS] : 0, question->part[ADDRESS], key,
        client != NULL ? "without that right, of " : "not in the list of clients",
        client != NULL ? client->name : "");
}

void traj_guard_answer(struct traj_guard *guard, struct traj_log *log, double now)
{
    struct question question;

    for (int i = 0; guard->socket != NULL && i < QUESTIONS_AT_ONCE; i++) {
        enum traj_socket socket = TRAJ_SOCKETS;
        const struct traj_client_entry *client;

        if (!next_question(guard->socket, &question)) {
            return;
        }
        client = judge(guard, &question, &socket);
        answer(guard->socket, &question, client);
        if (socket == TRAJ_SOCKETS) {
            continue;
        }
        guard->admitted[socket] += client != NULL;
        guard->refused[socket] += client == NULL;
        if (client == NULL) {
            log_refusal(log, now, guard, &question, socket);
        }
    }
}

/* --- life ------------------------------------------------------------------------------------- */

int traj_guard_read(struct traj_guard *guard, const struct traj_config *config,
                    struct traj_error *error)
{
    const struct traj_curve_config *curve = &config->curve;

    if (curve->secret_key[0] == '\0') {
        return 0;
    }
    if (zmq_has("curve") == 0) {
        return traj_error_set(error, "curve: this libzmq was built without CURVE");
    }
    if (traj_keys_secret(curve->secret_key, &guard->own, error) != 0 ||
        traj_clients_read(curve->clients, &guard->clients, error) != 0) {
        return -1;
    }
    for (int i = 0; i < TRAJ_SOCKETS; i++) {
        if (curve->server[i][0] != '\0' &&
            traj_keys_public(curve->server[i], guard->server[i], error) != 0) {
            return -1;
        }
    }
    return 0;
}

int traj_guard_open(struct traj_guard *guard, void *context, const struct traj_config *config,
                    struct traj_error *error)
{
    int linger = 0;

    if (traj_guard_read(guard, config, error) != 0) {
        return -1;
    }
    if (config->curve.secret_key[0] == '\0') {
        return 0;
    }
    guard->socket = zmq_socket(context, ZMQ_REP);
    if (guard->socket == NULL ||
        zmq_setsockopt(guard->socket, ZMQ_LINGER, &linger, sizeof linger) != 0 ||
        zmq_bind(guard->socket, "inproc://zeromq.zap.01") != 0) {
        return traj_error_set(error, "curve: cannot listen to libzmq: %s",
                              zmq_strerror(zmq_errno()));
    }
    return 0;
}

void traj_guard_close(struct traj_guard *guard)
{
    if (guard->socket != NULL) {
        (void)zmq_close(guard->socket);
        guard->socket = NULL;
    }
    traj_clients_free(&guard->clients);
    memset(&guard->own, 0, sizeof guard->own);
}

int traj_guard_reread(const struct traj_guard *guard, const struct traj_config *config,
                      struct traj_client_list *next, struct traj_error *error)
{
    memset(next, 0, sizeof *next);
    if (guard->socket == NULL) {
        return 0;
    }
    if (config->curve.clients[0] == '\0') {
        return traj_error_set(error, "curve: keys are given up at a restart alone");
    }
    return traj_clients_read(config->curve.clients, next, error);
}

void traj_guard_use(struct traj_guard *guard, struct traj_client_list *next)
{
    struct traj_client_list former = guard->clients;

    guard->clients = *next;
    *next = former;
}

/* --- sockets ---------------------------------------------------------------------------------- */

static int set_number(void *handle, int option, int value)
{
    return zmq_setsockopt(handle, option, &value, sizeof value);
}

static int set_text(void *handle, int option, const char *value)
{
    return zmq_setsockopt(handle, option, value, strlen(value));
}

/* The daemon is the one that is connected to: it asks for a key. */
static int make_server(const struct traj_guard *guard, enum traj_socket socket, void *handle)
{
    /* A domain makes libzmq ask.  Where nobody could be asked it would let everybody in, which is
     * why whoever answers is there before any socket. */
    return set_number(handle, ZMQ_CURVE_SERVER, 1) != 0 ||
                   set_text(handle, ZMQ_CURVE_SECRETKEY, guard->own.secret_key) != 0 ||
                   set_text(handle, ZMQ_ZAP_DOMAIN, traj_socket_name(socket)) != 0
               ? -1
               : 0;
}

static int make_client(const struct traj_guard *guard, enum traj_socket socket, void *handle)
{
    return set_text(handle, ZMQ_CURVE_SERVERKEY, guard->server[socket]) != 0 ||
                   set_text(handle, ZMQ_CURVE_PUBLICKEY, guard->own.public_key) != 0 ||
                   set_text(handle, ZMQ_CURVE_SECRETKEY, guard->own.secret_key) != 0
               ? -1
               : 0;
}

static int set_keepalive(void *handle)
{
    return set_number(handle, ZMQ_TCP_KEEPALIVE, 1) != 0 ||
                   set_number(handle, ZMQ_TCP_KEEPALIVE_IDLE, KEEPALIVE_IDLE_S) != 0 ||
                   set_number(handle, ZMQ_TCP_KEEPALIVE_INTVL, KEEPALIVE_INTERVAL_S) != 0 ||
                   set_number(handle, ZMQ_TCP_KEEPALIVE_CNT, KEEPALIVE_COUNT) != 0
               ? -1
               : 0;
}

int traj_guard_socket(const struct traj_guard *guard, enum traj_socket socket,
                      const struct traj_endpoint *endpoint, int64_t message_max, void *handle,
                      struct traj_error *error)
{
    bool keys = guard->socket != NULL && endpoint->tcp;
    int rc = set_number(handle, ZMQ_HANDSHAKE_IVL, HANDSHAKE_MS);

    if (rc == 0) {
        rc = zmq_setsockopt(handle, ZMQ_MAXMSGSIZE, &message_max, sizeof message_max);
    }
    if (rc == 0 && endpoint->tcp) {
        rc = set_keepalive(handle);
    }
    if (rc == 0 && keys && !endpoint->connect) {
        rc = make_server(guard, socket, handle);
    } else if (rc == 0 && keys && guard->server[socket][0] != '\0') {
        rc = make_client(guard, socket, handle);
    }
    return rc == 0 ? 0
                   : traj_error_set(error, "%s: cannot set up the socket: %s",
                                    traj_socket_name(socket), zmq_strerror(zmq_errno()));
}
