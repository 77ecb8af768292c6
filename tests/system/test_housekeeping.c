/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The housekeeping thread alone, with a thread of this test in the place of the one that decodes:
 * so every command that would wake it is seen and counted.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <poll.h>
#include <unistd.h>

#include <zmq.h>
#include <cmocka.h>

#include "daemon/io/clock.h"
#include "daemon/io/housekeeping.h"
#include "daemon/io/link.h"
#include "daemon/io/service.h"

#define PATIENCE_MS 60000

/* Requests a second; the least that can be configured. */
#define RATE 1

/* Fewer than what libzmq keeps of messages that wait, so that none is lost on the way. */
#define REQUESTS 500

/* Every so many of them is another one. */
#define OTHER 10

struct fixture {
    char folder[64];
    char control[128];
    struct traj_options options;
    struct traj_service *service;
    struct traj_housekeeping *housekeeping;
    void *context;
    void *client;
    pthread_t thread;
    struct traj_state state;               /* the thread's */
    int served[TRAJ_COMMAND_SHUTDOWN + 1]; /* likewise, by kind */
};

/* Takes the commands as they come, and pauses where it is told to. */
static void *decode_thread(void *argument)
{
    struct fixture *f = argument;
    struct traj_exchange *exchange = f->service->exchange;
    struct traj_command command;

    while (!traj_exchange_ended(exchange)) {
        struct pollfd item = {.fd = traj_exchange_command_fd(exchange), .events = POLLIN};

        (void)poll(&item, 1, 10);
        traj_exchange_command_clear(exchange);
        while (traj_exchange_next_command(exchange, &command)) {
            const struct traj_answer answer = {.refusal = TRAJ_ACCEPTED, .frame = 7};

            f->served[command.kind]++;
            if (command.kind == TRAJ_COMMAND_PAUSE) {
                f->state.paused = command.on;
            }
            f->state.counters.decoded = answer.frame;
            traj_exchange_publish(exchange, &f->state);
            traj_exchange_answer(exchange, &answer);
        }
    }
    return NULL;
}

static int start(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    struct traj_service *service = calloc(1, sizeof *service);
    struct traj_error error = {{0}};

    assert_non_null(f);
    assert_non_null(service);
    (void)strcpy(f->folder, "/tmp/trajd-housekeeping-XXXXXX");
    assert_non_null(mkdtemp(f->folder));
    (void)snprintf(f->control, sizeof f->control, "ipc://%s/control", f->folder);
    f->options = (struct traj_options){.control = f->control};
    f->service = service;
    service->options = &f->options;
    assert_int_equal(traj_options_config(&f->options, &service->config, &error), 0);
    service->config.status_ms = 0;
    service->config.request_rate = RATE;
    traj_log_init(&service->log, STDERR_FILENO, TRAJ_LOG_ERROR);
    service->exchange = traj_exchange_open(&error);
    assert_non_null(service->exchange);
    traj_exchange_publish(service->exchange, &f->state);
    f->context = traj_link_context(&error);
    f->housekeeping = traj_housekeeping_open(f->context, service, &error);
    assert_non_null(f->housekeeping);
    f->client = zmq_socket(f->context, ZMQ_DEALER);
    assert_non_null(f->client);
    assert_int_equal(zmq_connect(f->client, f->control), 0);
    assert_int_equal(pthread_create(&f->thread, NULL, decode_thread, f), 0);
    assert_int_equal(traj_housekeeping_start(f->housekeeping, NULL, &error), 0);
    *state = f;
    return 0;
}

/* Ends the threads, so that what they counted can be read. */
static void end(struct fixture *f)
{
    traj_exchange_end(f->service->exchange);
    traj_housekeeping_close(&f->housekeeping);
    assert_int_equal(pthread_join(f->thread, NULL), 0);
}

static int stop(void **state)
{
    struct fixture *f = *state;

    if (f->housekeeping != NULL) {
        end(f); /* the test has failed before */
    }
    (void)zmq_close(f->client);
    traj_exchange_close(&f->service->exchange);
    traj_link_context_end(f->context);
    (void)unlink(f->control + strlen("ipc://"));
    assert_int_equal(rmdir(f->folder), 0);
    free(f->service);
    free(f);
    return 0;
}

/* REQUESTS of them at once, one of OTHER the other one. */
static void flood(struct fixture *f, const char *request, const char *other)
{
    for (int i = 0; i < REQUESTS; i++) {
        const char *text = i % OTHER == OTHER - 1 ? other : request;

        assert_int_equal(zmq_send(f->client, text, strlen(text), 0), (int)strlen(text));
    }
}

/* The next reply: whether it is granted; else it must be refused for the rate. */
static bool granted(struct fixture *f)
{
    zmq_pollitem_t item = {.socket = f->client, .events = ZMQ_POLLIN};
    char reply[512];
    int size;

    assert_int_equal(zmq_poll(&item, 1, PATIENCE_MS), 1);
    size = zmq_recv(f->client, reply, sizeof reply - 1, 0);
    assert_in_range(size, 1, sizeof reply - 1);
    reply[size] = '\0';
    if (strncmp(reply, "{\"ok\":true,\"frame\":7", strlen("{\"ok\":true,\"frame\":7")) == 0) {
        return true;
    }
    assert_non_null(strstr(reply, "request_rate"));
    return false;
}

static void what_is_held_does_not_reach_the_decode_thread(void **state)
{
    struct fixture *f = *state;
    int answered = 0;

    flood(f, "{\"cmd\":\"ping\"}", "{\"cmd\":\"pause\",\"on\":false}");
    for (int i = 0; i < REQUESTS; i++) {
        answered += granted(f);
    }
    end(f);
    assert_in_range(answered, 1, REQUESTS - 1);
    assert_int_equal(f->served[TRAJ_COMMAND_NOTHING] + f->served[TRAJ_COMMAND_PAUSE], answered);
    assert_int_equal(f->service->requests_held, REQUESTS - answered);
}

static void a_pause_is_never_held(void **state)
{
    struct fixture *f = *state;
    double begun = traj_clock_now();
    int pings = 0;

    flood(f, "{\"cmd\":\"ping\"}", "{\"cmd\": \"pause\", \"on\": true}");
    for (int i = 0; i < REQUESTS; i++) {
        bool ok = granted(f);

        if (i % OTHER == OTHER - 1) {
            assert_true(ok);
        } else {
            pings += ok;
        }
    }
    end(f);
    assert_true(f->state.paused);
    assert_int_equal(f->served[TRAJ_COMMAND_NOTHING], pings);
    /* Of those beyond the rate the first alone: the others find it paused. */
    assert_in_range(f->served[TRAJ_COMMAND_PAUSE], 1, 2 + (int)(RATE * (traj_clock_now() - begun)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_is_held_does_not_reach_the_decode_thread, start, stop),
        cmocka_unit_test_setup_teardown(a_pause_is_never_held, start, stop),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
