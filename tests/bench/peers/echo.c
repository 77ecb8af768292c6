/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The floor: takes topic "frame", publishes topic "intent" with the frame's number and nothing
 * else, over the same sockets as trajd.
 *
 *     echo FRAMES INTENTS [block | expect]      endpoints to bind; ends by SIGTERM
 *
 * It waits as trajd does with that "receive": asleep until a frame is there, or awake by the time
 * at which one is due.  What trajd adds is the difference to the echo that waits like it.
 */
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <zmq.h>

#include "daemon/core/expect.h"
#include "daemon/io/clock.h"

struct echo {
    void *frames, *intents;
    bool expects;
    int timer, wakes;
    double armed; /* for which frame the timer is set */
    struct traj_expect expect;
};

static bool ready(struct echo *echo)
{
    int events = 0;
    size_t size = sizeof events;
    return zmq_getsockopt(echo->frames, ZMQ_EVENTS, &events, &size) == 0 &&
           (events & ZMQ_POLLIN) != 0;
}

/* Binary frames alone; little-endian machines alone, as all that these peers stand for. */
static void answer(struct echo *echo, const unsigned char *body)
{
    char text[96];
    uint64_t seq;
    memcpy(&seq, body + 16, sizeof seq);
    int size = snprintf(text, sizeof text, "{\"type\":\"intent\",\"frame\":%llu}",
                        (unsigned long long)seq);
    (void)zmq_send(echo->intents, "intent", 6, ZMQ_SNDMORE | ZMQ_DONTWAIT);
    (void)zmq_send(echo->intents, text, (size_t)size, ZMQ_DONTWAIT);
}

/* Takes one message; waits for it where none is there. */
static void take(struct echo *echo)
{
    char topic[16];
    zmq_msg_t body;
    (void)zmq_recv(echo->frames, topic, sizeof topic, 0);
    double now = traj_clock_now(), dt;
    (void)zmq_msg_init(&body);
    if (zmq_msg_recv(&body, echo->frames, 0) >= 40 && memcmp(topic, "frame", 5) == 0) {
        const unsigned char *bytes = zmq_msg_data(&body);
        memcpy(&dt, bytes + 32, sizeof dt);
        answer(echo, bytes);
        traj_expect_frame(&echo->expect, now, dt);
    }
    (void)zmq_msg_close(&body);
}

/* Until a message is there, or one is due and for as long as it may be late. */
static void wait_expecting(struct echo *echo)
{
    struct pollfd item[] = {{.fd = echo->wakes, .events = POLLIN},
                            {.fd = echo->timer, .events = POLLIN}};
    if (traj_expect_regular(&echo->expect) && echo->expect.next != echo->armed) {
        echo->armed = echo->expect.next;
        traj_clock_arm(echo->timer, traj_expect_from(&echo->expect));
    }
    (void)poll(item, 2, -1);
    if (item[1].revents != 0) {
        double until = traj_expect_until(&echo->expect);
        traj_clock_disarm(echo->timer);
        while (!ready(echo) && traj_clock_now() < until) {
        }
    }
}

static bool open_sockets(struct echo *echo, char **argv)
{
    void *context = zmq_ctx_new();
    size_t size = sizeof echo->wakes;
    echo->frames = zmq_socket(context, ZMQ_SUB);
    echo->intents = zmq_socket(context, ZMQ_XPUB);
    echo->timer = traj_clock_timer();
    return echo->timer >= 0 && zmq_setsockopt(echo->frames, ZMQ_SUBSCRIBE, "frame", 5) == 0 &&
           zmq_setsockopt(echo->frames, ZMQ_SUBSCRIBE, "event", 5) == 0 &&
           zmq_bind(echo->frames, argv[1]) == 0 && zmq_bind(echo->intents, argv[2]) == 0 &&
           zmq_getsockopt(echo->frames, ZMQ_FD, &echo->wakes, &size) == 0;
}

int main(int argc, char **argv)
{
    struct echo echo = {.expects = argc == 4 && strcmp(argv[3], "expect") == 0};
    traj_expect_clear(&echo.expect);
    if (argc < 3 || argc > 4 || (argc == 4 && !echo.expects && strcmp(argv[3], "block") != 0) ||
        !open_sockets(&echo, argv)) {
        (void)fprintf(stderr, "echo FRAMES INTENTS [block | expect]: %s\n",
                      zmq_strerror(zmq_errno()));
        return 1;
    }
    for (;;) {
        if (echo.expects && !ready(&echo)) {
            wait_expecting(&echo);
        } else {
            take(&echo);
        }
    }
}
