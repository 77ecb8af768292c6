/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The floor: takes topic "frame", publishes topic "intent" with the frame's number and nothing
 * else, over the same sockets as trajd.  echo FRAMES INTENTS (endpoints to bind); ends by SIGTERM.
 */
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <zmq.h>

/* Binary frames alone; little-endian machines alone, as all that these peers stand for. */
static uint64_t number_of(const unsigned char *body)
{
    uint64_t seq;
    memcpy(&seq, body + 16, sizeof seq);
    return seq;
}

int main(int argc, char **argv)
{
    void *context = zmq_ctx_new();
    void *frames = zmq_socket(context, ZMQ_SUB);
    void *intents = zmq_socket(context, ZMQ_XPUB);
    if (argc != 3 || zmq_setsockopt(frames, ZMQ_SUBSCRIBE, "frame", 5) != 0 ||
        zmq_setsockopt(frames, ZMQ_SUBSCRIBE, "event", 5) != 0 || zmq_bind(frames, argv[1]) != 0 ||
        zmq_bind(intents, argv[2]) != 0) {
        (void)fprintf(stderr, "echo FRAMES INTENTS: %s\n", zmq_strerror(zmq_errno()));
        return 1;
    }
    for (;;) {
        char topic[16];
        zmq_msg_t body;
        (void)zmq_recv(frames, topic, sizeof topic, 0);
        (void)zmq_msg_init(&body);
        if (zmq_msg_recv(&body, frames, 0) >= 24 && memcmp(topic, "frame", 5) == 0) {
            char text[96];
            int size = snprintf(text, sizeof text, "{\"type\":\"intent\",\"frame\":%llu}",
                                (unsigned long long)number_of(zmq_msg_data(&body)));
            (void)zmq_send(intents, "intent", 6, ZMQ_SNDMORE | ZMQ_DONTWAIT);
            (void)zmq_send(intents, text, (size_t)size, ZMQ_DONTWAIT);
        }
        (void)zmq_msg_close(&body);
    }
}
