/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Sends random and mutated messages to each of a daemon's three sockets:
 *
 *     flood FRAMES INTENTS CONTROL COUNT SEED FOLDER...
 *
 * COUNT messages to each.  The files of the folders are what is mutated: those of the last folder
 * are requests.  Prints what the daemon should have counted: frames=N events=N requests=N
 * replies=N.  Exit status 1 where the daemon stops answering.
 */
#include <dirent.h>
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zmq.h>

#define SAMPLES 4096
#define BODY_MAX 65536
#define PATIENCE_MS 60000
#define WINDOW 200 /* requests on their way */

struct sample {
    unsigned char *body;
    size_t size;
};

struct pool {
    struct sample sample[SAMPLES];
    size_t count;
};

static uint64_t state;

/* xorshift64*; below n. */
static size_t choose(size_t n)
{
    state ^= state >> 12;
    state ^= state << 25;
    state ^= state >> 27;
    return (size_t)((state * UINT64_C(2685821657736338717)) >> 16) % n;
}

static void fail(const char *what)
{
    fprintf(stderr, "flood: %s: %s\n", what, zmq_strerror(zmq_errno()));
    exit(1);
}

static void read_folder(struct pool *pool, const char *folder)
{
    char path[4096];
    DIR *list = opendir(folder);
    const struct dirent *entry;

    if (!list) {
        fail(folder);
    }
    while ((entry = readdir(list)) != NULL && pool->count < SAMPLES) {
        struct sample *sample = &pool->sample[pool->count];
        FILE *file;

        snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
        file = entry->d_name[0] == '.' ? NULL : fopen(path, "rb");
        if (!file) {
            continue;
        }
        sample->body = malloc(BODY_MAX);
        sample->size = sample->body ? fread(sample->body, 1, BODY_MAX / 4, file) : 0;
        fclose(file);
        pool->count += sample->body != NULL;
    }
    closedir(list);
}

/* --- mutation --------------------------------------------------------------------------------- */

static size_t random_bytes(unsigned char *out)
{
    size_t size = choose(300);

    for (size_t i = 0; i < size; i++) {
        out[i] = (unsigned char)choose(256);
    }
    return size;
}

/* Takes length bytes out at `at`, or doubles them. */
static size_t cut_or_double(unsigned char *out, size_t size, bool cut)
{
    size_t at = choose(size);
    size_t length = 1 + choose(size - at);

    if (cut) {
        memmove(out + at, out + at + length, size - at - length);
        return size - length;
    }
    if (size + length > BODY_MAX) {
        return size;
    }
    memmove(out + at + length, out + at, size - at);
    return size + length;
}

static size_t put_word(unsigned char *out, size_t size)
{
    static const char *const word[] = {"null",    "1e999",   "-1",   "18446744073709551616",
                                       "\"",      "[",       "}",    "{\"a\":",
                                       "\\u0000", "NaN",     "0.02", ",",
                                       "true",    "\xff\xff"};
    const char *text = word[choose(sizeof word / sizeof word[0])];
    size_t length = strlen(text);
    size_t at = choose(size);

    if (at + length > size) {
        return size;
    }
    memcpy(out + at, text, length);
    return size;
}

static size_t mutate(const struct pool *pool, unsigned char *out)
{
    const struct sample *base = &pool->sample[choose(pool->count)];
    const struct sample *other = &pool->sample[choose(pool->count)];
    size_t size = base->size;

    if (choose(10) == 0) {
        return random_bytes(out);
    }
    memcpy(out, base->body, size);
    for (size_t n = choose(4); n > 0 && size > 0; n--) {
        switch (choose(6)) {
        case 0:
            out[choose(size)] ^= (unsigned char)(1u << choose(8));
            break;
        case 1:
            size = choose(size);
            break;
        case 2:
        case 3:
            size = cut_or_double(out, size, choose(2) == 0);
            break;
        case 4:
            size = put_word(out, size);
            break;
        default:
            if (other->size > 0 && size + other->size <= BODY_MAX) {
                size = choose(size + 1);
                memcpy(out + size, other->body, other->size);
                size += other->size;
            }
            break;
        }
    }
    return size;
}

/* --- sockets ---------------------------------------------------------------------------------- */

static void *open_socket(void *context, int type, const char *endpoint)
{
    void *socket = zmq_socket(context, type);
    int one = 1;
    int linger = 30000;

    if (!socket || zmq_setsockopt(socket, ZMQ_LINGER, &linger, sizeof linger) != 0 ||
        (type == ZMQ_XPUB && zmq_setsockopt(socket, ZMQ_XPUB_NODROP, &one, sizeof one) != 0) ||
        zmq_connect(socket, endpoint) != 0) {
        fail(endpoint);
    }
    return socket;
}

static void wait_readable(void *socket, const char *what)
{
    zmq_pollitem_t item = {.socket = socket, .events = ZMQ_POLLIN};

    if (zmq_poll(&item, 1, PATIENCE_MS) <= 0) {
        fail(what);
    }
}

static void send_part(void *socket, const void *body, size_t size, bool more)
{
    if (zmq_send(socket, body, size, more ? ZMQ_SNDMORE : 0) < 0) {
        fail("send");
    }
}

static void flood_frames(void *context, const char *endpoint, size_t count, const struct pool *pool)
{
    static const char *const topic[] = {"frame", "event", "frames", "event\x01", "framefra"};
    static unsigned char body[BODY_MAX + 8];
    void *socket = open_socket(context, ZMQ_XPUB, endpoint);
    uint64_t frames = 0;
    uint64_t events = 0;

    for (int topics = 0; topics < 2; topics++) {
        wait_readable(socket, "no subscription");
        (void)zmq_recv(socket, body, sizeof body, 0);
    }
    for (size_t i = 0; i < count; i++) {
        const char *name = topic[choose(8) < 7 ? choose(2) : choose(5)];
        size_t parts = choose(50) == 0 ? choose(5) : 1;

        send_part(socket, name, strlen(name), parts > 0);
        for (size_t part = 1; part <= parts; part++) {
            send_part(socket, body, mutate(pool, body), part < parts);
        }
        events += strcmp(name, "event") == 0;
        frames += strcmp(name, "event") != 0;
    }
    printf("frames=%llu events=%llu ", (unsigned long long)frames, (unsigned long long)events);
    (void)zmq_close(socket);
}

/* Subscriptions of few topics, so that the daemon's list of them stays short, and noise. */
static void flood_intents(void *context, const char *endpoint, size_t count)
{
    unsigned char body[400];
    void *socket = open_socket(context, ZMQ_XSUB, endpoint);

    for (size_t i = 0; i < count; i++) {
        size_t size = 1 + choose(3);

        if (choose(4) == 0) {
            size = random_bytes(body);
            /* A million subscriptions of their own would be memory that is rightly taken. */
            body[0] = size > 0 && body[0] == 1 ? 2 : body[0];
        } else {
            body[0] = (unsigned char)choose(3);
            for (size_t k = 1; k < size; k++) {
                body[k] = (unsigned char)"ist\xff"[choose(4)];
            }
        }
        send_part(socket, body, size, false);
        while (zmq_recv(socket, body, sizeof body, ZMQ_DONTWAIT) >= 0) {
        }
    }
    (void)zmq_close(socket);
}

/* One whole reply. */
static void take_reply(void *socket)
{
    int more = 1;
    size_t size = sizeof more;
    static unsigned char body[BODY_MAX];

    wait_readable(socket, "no reply");
    while (more) {
        if (zmq_recv(socket, body, sizeof body, 0) < 0 ||
            zmq_getsockopt(socket, ZMQ_RCVMORE, &more, &size) != 0) {
            fail("receive");
        }
    }
}

static bool contains(const unsigned char *body, size_t size, const char *word)
{
    size_t length = strlen(word);

    for (size_t i = 0; i + length <= size; i++) {
        if (memcmp(body + i, word, length) == 0) {
            return true;
        }
    }
    return false;
}

static void flood_control(void *context, const char *endpoint, size_t count,
                          const struct pool *pool)
{
    static unsigned char body[BODY_MAX + 8];
    void *socket = open_socket(context, ZMQ_DEALER, endpoint);
    size_t replies = 0;

    for (size_t i = 0; i < count; i++) {
        size_t size = mutate(pool, body);
        size_t parts = choose(50) == 0 ? choose(6) : 0;

        /* What ends the daemon in good order is no fault. */
        if (contains(body, size, "shutdown")) {
            size = random_bytes(body);
        }
        send_part(socket, "", 0, true);
        for (; parts > 0; parts--) {
            send_part(socket, body, size / 2, true);
        }
        send_part(socket, body, size, false);
        while (i + 1 - replies > WINDOW) {
            take_reply(socket);
            replies++;
        }
    }
    while (replies < count) {
        take_reply(socket);
        replies++;
    }
    printf("requests=%zu replies=%zu\n", count, replies);
    (void)zmq_close(socket);
}

int main(int argc, char **argv)
{
    static struct pool pool;
    static struct pool requests;
    void *context;
    size_t count;

    if (argc < 8) {
        fprintf(stderr, "usage: %s FRAMES INTENTS CONTROL COUNT SEED FOLDER...\n", argv[0]);
        return 2;
    }
    count = strtoul(argv[4], NULL, 10);
    state = strtoull(argv[5], NULL, 10) * 2 + 1;
    for (int i = 6; i < argc - 1; i++) {
        read_folder(&pool, argv[i]);
    }
    read_folder(&requests, argv[argc - 1]);
    context = zmq_ctx_new();
    if (!context || pool.count == 0 || requests.count == 0) {
        fail("nothing to begin with");
    }
    flood_frames(context, argv[1], count, &pool);
    flood_intents(context, argv[2], count);
    flood_control(context, argv[3], count, &requests);
    while (zmq_ctx_term(context) != 0 && zmq_errno() == EINTR) {
    }
    return 0;
}
