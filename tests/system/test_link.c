/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The data sockets without the loop that owns them: how much one look at them takes.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <unistd.h>

#include <zmq.h>
#include <cmocka.h>

#include "daemon/io/config.h"
#include "daemon/io/guard.h"
#include "daemon/io/link.h"

/* Empty parts of one message; a look may take a tenth of them at most. */
#define PARTS 20000
#define LOOKS_LEAST 10

#define PATIENCE_MS 60000

struct fixture {
    char folder[64];
    void *context;
    struct traj_guard guard;
    struct traj_link link;
    void *source;
};

static int start(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    struct traj_config *config = calloc(1, sizeof *config);
    struct traj_error error = {{0}};

    assert_non_null(f);
    assert_non_null(config);
    (void)strcpy(f->folder, "/tmp/trajd-link-XXXXXX");
    assert_non_null(mkdtemp(f->folder));
    traj_config_default(config);
    (void)snprintf(config->frames, sizeof config->frames, "ipc://%s/frames", f->folder);
    (void)snprintf(config->intents, sizeof config->intents, "ipc://%s/intents", f->folder);
    f->context = traj_link_context(&error);
    assert_non_null(f->context);
    assert_int_equal(traj_link_open(&f->link, f->context, config, &f->guard, &error), 0);
    f->source = zmq_socket(f->context, ZMQ_XPUB);
    assert_non_null(f->source);
    assert_int_equal(zmq_connect(f->source, config->frames), 0);
    free(config);
    *state = f;
    return 0;
}

static int stop(void **state)
{
    static const char *const names[] = {"frames", "intents"};
    struct fixture *f = *state;

    (void)zmq_close(f->source);
    traj_link_close(&f->link);
    traj_link_context_end(f->context);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char path[128];

        (void)snprintf(path, sizeof path, "%s/%s", f->folder, names[i]);
        (void)unlink(path);
    }
    assert_int_equal(rmdir(f->folder), 0);
    free(f);
    return 0;
}

/* One look; what was taken has no body that is kept. */
static enum traj_arrival look(struct fixture *f)
{
    enum traj_arrival arrival;
    zmq_msg_t body;

    (void)zmq_msg_init(&body);
    arrival = traj_link_receive(&f->link, &body);
    (void)zmq_msg_close(&body);
    return arrival;
}

static void wait_for(void *socket)
{
    zmq_pollitem_t item = {.socket = socket, .events = ZMQ_POLLIN};

    assert_int_equal(zmq_poll(&item, 1, PATIENCE_MS), 1);
}

/* The source knows of both topics; it is while the link looks that they are told. */
static void await_subscriptions(struct fixture *f)
{
    for (int topics = 0, waits = 0; topics < 2;) {
        zmq_pollitem_t item = {.socket = f->source, .events = ZMQ_POLLIN};
        char topic[16];

        assert_int_equal(look(f), TRAJ_ARRIVAL_NONE);
        assert_true(waits++ < PATIENCE_MS);
        if (zmq_poll(&item, 1, 1) == 1) {
            assert_true(zmq_recv(f->source, topic, sizeof topic, 0) > 0);
            topics++;
        }
    }
}

static void send_parts(struct fixture *f, size_t empty)
{
    assert_int_equal(zmq_send(f->source, "frame", 5, ZMQ_SNDMORE), 5);
    for (size_t i = 1; i < empty; i++) {
        assert_int_equal(zmq_send(f->source, "", 0, ZMQ_SNDMORE), 0);
    }
    assert_int_equal(zmq_send(f->source, "", 0, 0), 0);
}

static void very_many_parts_are_read_away_in_turns(void **state)
{
    struct fixture *f = *state;
    enum traj_arrival arrival;
    int looks = 0;

    await_subscriptions(f);
    send_parts(f, PARTS);
    send_parts(f, 1);
    wait_for(f->link.frames);
    assert_int_equal(look(f), TRAJ_ARRIVAL_BAD_FRAME);
    /* Whoever sleeps only while nothing waits goes on until the last of them. */
    while ((arrival = look(f)) == TRAJ_ARRIVAL_NONE) {
        looks++;
        wait_for(f->link.frames);
        assert_true(traj_link_waits(f->link.frames));
    }
    assert_int_equal(arrival, TRAJ_ARRIVAL_FRAME);
    assert_true(looks >= LOOKS_LEAST);
    assert_int_equal(look(f), TRAJ_ARRIVAL_NONE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(very_many_parts_are_read_away_in_turns, start, stop),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
