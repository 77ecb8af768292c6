/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * write_intents SOCKET STREAM: publishes what the daemon publishes when all is well, when there is
 * no posterior, and when no frames come, and ends once the writer of entries has written three.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <zmq.h>

#include "daemon/io/source/brand_writer.h"
#include "daemon/io/source/rig.h"
#include "proto/intent_binary.h"

static void publish(void *socket, const unsigned char *body, size_t size)
{
    (void)zmq_send(socket, TRAJ_TOPIC_BINARY, strlen(TRAJ_TOPIC_BINARY), ZMQ_SNDMORE);
    (void)zmq_send(socket, body, size, 0);
}

static void publish_all(void *socket)
{
    static const double position[] = {1.0, 2.0};
    static const double velocity[] = {3.0, 4.0};
    unsigned char body[4096];
    struct traj_intent intent = {.seq = 7,
                                 .valid = true,
                                 .dim = 2,
                                 .position = position,
                                 .velocity = velocity,
                                 .target = "left",
                                 .free_prob = NAN,
                                 .state_prob = {NAN, NAN, NAN, NAN, NAN, NAN},
                                 .progress = NAN,
                                 .eta = NAN,
                                 .log_evidence = NAN,
                                 .stamps = {.recv = NAN, .done = NAN}};

    publish(socket, body, traj_intent_write_binary(&intent, body, sizeof body));
    intent.seq = 8;
    intent.valid = false;
    intent.position = NULL;
    intent.velocity = NULL;
    intent.target = NULL;
    publish(socket, body, traj_intent_write_binary(&intent, body, sizeof body));
    publish(socket, body, traj_stale_write_binary(0.5, 0.2, 2, NULL, body, sizeof body));
}

static bool written(const struct traj_brand_address *address, const char *stream)
{
    char why[160];
    redisContext *redis = traj_brand_connect(address, why, sizeof why);
    redisReply *reply = redis != NULL ? redisCommand(redis, "XLEN %s", stream) : NULL;
    bool all = reply != NULL && reply->integer == 3;

    if (reply != NULL) {
        freeReplyObject(reply);
    }
    if (redis != NULL) {
        redisFree(redis);
    }
    return all;
}

int main(int argc, char **argv)
{
    const struct traj_brand_address address = {.path = argc == 3 ? argv[1] : ""};
    const struct timespec moment = {0, 10000000};
    void *context = zmq_ctx_new();
    void *socket = zmq_socket(context, ZMQ_XPUB);
    struct traj_brand_writer *writer;
    struct traj_error error;
    char subscription[16];

    if (argc != 3 || written(&address, argv[2]) || zmq_bind(socket, TRAJ_RIG_INTENTS) != 0) {
        return 1;
    }
    writer = traj_brand_writer_open(&address, argv[2], context, &error);
    if (writer == NULL || zmq_recv(socket, subscription, sizeof subscription, 0) < 0) {
        return 1;
    }
    publish_all(socket);
    while (!written(&address, argv[2])) {
        (void)nanosleep(&moment, NULL);
    }
    traj_brand_writer_close(&writer);
    (void)zmq_close(socket);
    (void)zmq_ctx_term(context);
    return 0;
}
