/* SPDX-License-Identifier: GPL-3.0-or-later */
/* libtrajclient against sockets of the test's own: what it sends, waits for, loses and refuses. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>
#include <zmq.h>

#include <cmocka.h>

#include "traj/client.h"

#define PATIENCE_MS 60000

struct fixture {
    char folder[64];
    char endpoint[128];
    char bound[130]; /* the same with "@" */
    void *context;
};

static int start(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);

    assert_non_null(f);
    (void)strcpy(f->folder, "/tmp/trajclient-XXXXXX");
    assert_non_null(mkdtemp(f->folder));
    (void)snprintf(f->endpoint, sizeof f->endpoint, "ipc://%s/s", f->folder);
    (void)snprintf(f->bound, sizeof f->bound, "@%s", f->endpoint);
    f->context = zmq_ctx_new();
    assert_non_null(f->context);
    *state = f;
    return 0;
}

static int stop(void **state)
{
    struct fixture *f = *state;
    char path[128];

    assert_int_equal(zmq_ctx_term(f->context), 0);
    (void)snprintf(path, sizeof path, "%s/s", f->folder);
    (void)unlink(path);
    assert_int_equal(rmdir(f->folder), 0);
    free(f);
    return 0;
}

static void *open_socket(struct fixture *f, int type, int bind)
{
    void *socket = zmq_socket(f->context, type);
    int linger = 0;

    assert_non_null(socket);
    assert_int_equal(zmq_setsockopt(socket, ZMQ_LINGER, &linger, sizeof linger), 0);
    if (type == ZMQ_SUB) {
        int hwm = 10;
        assert_int_equal(zmq_setsockopt(socket, ZMQ_RCVHWM, &hwm, sizeof hwm), 0);
    }
    assert_int_equal(bind ? zmq_bind(socket, f->endpoint) : zmq_connect(socket, f->endpoint), 0);
    return socket;
}

static void receive_text(void *socket, char *text, size_t cap)
{
    int size = zmq_recv(socket, text, cap - 1, 0);

    assert_true(size >= 0 && (size_t)size < cap);
    text[size] = '\0';
}

/* A socket does its part of the protocol only while its owner calls it, as a daemon's poll does. */
static void pump(void *socket)
{
    zmq_pollitem_t item = {.socket = socket, .events = ZMQ_POLLIN};

    (void)zmq_poll(&item, 1, 5);
}

/* What traj_source_wait comes to say within PATIENCE_MS, while the daemon's socket is kept
 * alive. */
static int wait_until(struct traj_source *source, void *daemon, int wanted)
{
    int rc = traj_source_wait(source, 5);

    for (int ms = 0; ms < PATIENCE_MS && rc != wanted; ms += 10) {
        pump(daemon);
        rc = traj_source_wait(source, 5);
    }
    return rc;
}

static void a_source_waits_for_both_topics(void **state)
{
    struct fixture *f = *state;
    struct traj_source *source = NULL;
    void *daemon = open_socket(f, ZMQ_SUB, 1);

    assert_int_equal(traj_source_open(f->endpoint, &source), 0);
    assert_int_equal(traj_source_wait(source, 50), -ETIMEDOUT);
    assert_int_equal(zmq_setsockopt(daemon, ZMQ_SUBSCRIBE, "event", 5), 0);
    for (int i = 0; i < 10; i++) {
        pump(daemon);
        assert_int_equal(traj_source_wait(source, 10), -ETIMEDOUT);
    }
    assert_int_equal(zmq_setsockopt(daemon, ZMQ_SUBSCRIBE, "frame", 5), 0);
    assert_int_equal(wait_until(source, daemon, 0), 0);
    assert_int_equal(zmq_setsockopt(daemon, ZMQ_UNSUBSCRIBE, "frame", 5), 0);
    assert_int_equal(wait_until(source, daemon, -ETIMEDOUT), -ETIMEDOUT);
    assert_int_equal(zmq_setsockopt(daemon, ZMQ_SUBSCRIBE, "", 0), 0);
    assert_int_equal(wait_until(source, daemon, 0), 0);
    assert_int_equal(traj_source_close(&source, 0), 0);
    assert_null(source);
    (void)zmq_close(daemon);
}

#define MANY 20000

struct slow_reader {
    void *socket;
    size_t in_order;
};

/* Reads slowly at first, so that every queue between fills up. */
static void *read_slowly(void *argument)
{
    struct slow_reader *reader = argument;
    char topic[16], body[64], expected[64];

    for (size_t i = 0; i < MANY; i++) {
        if (i < 50) {
            (void)poll(NULL, 0, 2);
        }
        receive_text(reader->socket, topic, sizeof topic);
        receive_text(reader->socket, body, sizeof body);
        (void)snprintf(expected, sizeof expected, "message %zu with some length to it", i);
        if (strcmp(topic, i % 2 == 0 ? "frame" : "event") == 0 && strcmp(body, expected) == 0) {
            reader->in_order++;
        }
    }
    return NULL;
}

static void a_source_loses_nothing(void **state)
{
    struct fixture *f = *state;
    struct traj_source *source = NULL;
    struct slow_reader reader = {.socket = zmq_socket(f->context, ZMQ_SUB)};
    char endpoint[64];
    size_t size_max = sizeof endpoint;
    int hwm = 10;
    pthread_t thread;

    assert_non_null(reader.socket);
    assert_int_equal(zmq_setsockopt(reader.socket, ZMQ_RCVHWM, &hwm, sizeof hwm), 0);
    assert_int_equal(zmq_setsockopt(reader.socket, ZMQ_SUBSCRIBE, "", 0), 0);
    assert_int_equal(zmq_bind(reader.socket, "tcp://127.0.0.1:*"), 0);
    assert_int_equal(zmq_getsockopt(reader.socket, ZMQ_LAST_ENDPOINT, endpoint, &size_max), 0);
    assert_int_equal(traj_source_open(endpoint, &source), 0);
    assert_int_equal(wait_until(source, reader.socket, 0), 0);
    assert_int_equal(pthread_create(&thread, NULL, read_slowly, &reader), 0);
    for (size_t i = 0; i < MANY; i++) {
        char body[64];
        int size = snprintf(body, sizeof body, "message %zu with some length to it", i);

        assert_int_equal(i % 2 == 0 ? traj_source_frame(source, body, (size_t)size)
                                    : traj_source_event(source, body, (size_t)size),
                         0);
    }
    /* What is still queued leaves during the close. */
    assert_int_equal(traj_source_close(&source, PATIENCE_MS), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(reader.in_order, MANY);
    (void)zmq_close(reader.socket);
}

static void a_sink_gives_its_topics_and_refuses_the_rest(void **state)
{
    struct fixture *f = *state;
    struct traj_sink *sink = NULL;
    void *daemon = open_socket(f, ZMQ_XPUB, 1);
    char subscription[2][32];
    const char *topic = NULL, *body = NULL;
    size_t size = 0;

    assert_int_equal(traj_sink_open(f->endpoint, "intent,stale", &sink), 0);
    for (int i = 0; i < 2; i++) {
        receive_text(daemon, subscription[i], sizeof subscription[i]);
    }
    assert_string_equal(subscription[0], "\1intent");
    assert_string_equal(subscription[1], "\1stale");
    assert_int_equal(traj_sink_receive(sink, 20, &topic, &body, &size), -ETIMEDOUT);
    (void)zmq_send(daemon, "status", 6, ZMQ_SNDMORE);
    (void)zmq_send(daemon, "not asked for", 13, 0);
    (void)zmq_send(daemon, "intent", 6, 0);
    (void)zmq_send(daemon, "intent", 6, ZMQ_SNDMORE);
    (void)zmq_send(daemon, "a", 1, ZMQ_SNDMORE);
    (void)zmq_send(daemon, "b", 1, 0);
    (void)zmq_send(daemon, "stale", 5, ZMQ_SNDMORE);
    (void)zmq_send(daemon, "{}", 2, 0);
    assert_int_equal(traj_sink_receive(sink, PATIENCE_MS, &topic, &body, &size), -EBADMSG);
    assert_int_equal(traj_sink_receive(sink, PATIENCE_MS, &topic, &body, &size), -EBADMSG);
    assert_int_equal(traj_sink_receive(sink, PATIENCE_MS, &topic, &body, &size), 0);
    assert_string_equal(topic, "stale");
    assert_int_equal(size, 2);
    assert_string_equal(body, "{}");
    traj_sink_close(&sink);
    assert_null(sink);
    (void)zmq_close(daemon);
}

/* One reply to one request over a ROUTER socket, after a silence. */
static void answer(void *daemon, const char *reply, char *request, size_t cap)
{
    char identity[64], empty[8], id[16];
    int identity_size = zmq_recv(daemon, identity, sizeof identity, 0);
    int id_size = zmq_recv(daemon, id, sizeof id, 0);

    receive_text(daemon, empty, sizeof empty);
    receive_text(daemon, request, cap);
    if (reply != NULL) {
        (void)zmq_send(daemon, identity, (size_t)identity_size, ZMQ_SNDMORE);
        (void)zmq_send(daemon, id, (size_t)id_size, ZMQ_SNDMORE);
        (void)zmq_send(daemon, "", 0, ZMQ_SNDMORE);
        (void)zmq_send(daemon, reply, strlen(reply), 0);
    }
}

static void *answer_twice(void *argument)
{
    char request[64];

    answer(argument, "late", request, sizeof request);
    assert_string_equal(request, "one");
    answer(argument, "right", request, sizeof request);
    assert_string_equal(request, "two");
    return NULL;
}

static void a_request_without_reply_does_not_spoil_the_next(void **state)
{
    struct fixture *f = *state;
    struct traj_control *control = NULL;
    const char *reply = NULL;
    void *daemon;
    pthread_t thread;

    assert_int_equal(traj_control_open(f->endpoint, &control), 0);
    /* Nobody is there: a timeout, and still usable. */
    assert_int_equal(traj_control_request(control, "nobody", 30, &reply), -ETIMEDOUT);
    traj_control_close(&control);
    daemon = open_socket(f, ZMQ_ROUTER, 1);
    assert_int_equal(traj_control_open(f->endpoint, &control), 0);
    assert_int_equal(traj_control_request(control, "one", 30, &reply), -ETIMEDOUT);
    assert_int_equal(pthread_create(&thread, NULL, answer_twice, daemon), 0);
    /* The answer to "one" comes late and is not taken for the answer to "two". */
    assert_int_equal(traj_control_request(control, "two", PATIENCE_MS, &reply), 0);
    assert_string_equal(reply, "right");
    assert_int_equal(pthread_join(thread, NULL), 0);
    traj_control_close(&control);
    assert_null(control);
    (void)zmq_close(daemon);
}

static void bad_endpoints_are_refused(void **state)
{
    struct traj_source *source = NULL;
    struct traj_sink *sink = NULL;
    struct traj_control *control = NULL;

    (void)state;
    assert_int_equal(traj_source_open("nonsense", &source), -EINVAL);
    assert_null(source);
    assert_int_equal(traj_sink_open("tcp://127.0.0.1", "intent", &sink), -EINVAL);
    assert_null(sink);
    assert_true(traj_control_open("@ipc:///nowhere/at/all", &control) < 0);
    assert_null(control);
    traj_sink_close(&sink);
    traj_control_close(&control);
    assert_int_equal(traj_source_close(&source, 0), 0);
}

/* A client with keys connects; files that hold none say why. */
static void keys_are_read_and_only_connect(void **state)
{
    struct traj_source *source = NULL;
    struct traj_keys keys = {{0}, {0}, {0}};
    char reason[128] = "";

    (void)state;
    assert_int_equal(traj_keys_read("nowhere.key_secret", "nowhere.key", &keys, reason, 128),
                     -ENOENT);
    assert_non_null(strstr(reason, "nowhere.key_secret"));
    assert_int_equal(traj_keys_read(".", "nowhere.key", &keys, NULL, 0), -EISDIR);
    if (zmq_curve_keypair(keys.public_key, keys.secret_key) != 0) {
        print_message("this libzmq was built without CURVE\n");
        return;
    }
    memcpy(keys.server_key, keys.public_key, sizeof keys.server_key);
    assert_int_equal(traj_source_open_with("@tcp://127.0.0.1:*", &keys, &source), -EOPNOTSUPP);
    assert_null(source);
    assert_int_equal(traj_source_open_with("tcp://127.0.0.1:1", &keys, &source), 0);
    assert_int_equal(traj_source_close(&source, 0), 0);
    keys.server_key[3] = '~';
    assert_int_equal(traj_source_open_with("tcp://127.0.0.1:1", &keys, &source), -EINVAL);
    assert_null(source);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_source_waits_for_both_topics, start, stop),
        cmocka_unit_test_setup_teardown(a_source_loses_nothing, start, stop),
        cmocka_unit_test_setup_teardown(a_sink_gives_its_topics_and_refuses_the_rest, start, stop),
        cmocka_unit_test_setup_teardown(a_request_without_reply_does_not_spoil_the_next, start,
                                        stop),
        cmocka_unit_test(bad_endpoints_are_refused),
        cmocka_unit_test(keys_are_read_and_only_connect),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
