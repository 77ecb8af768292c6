/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The load of `trajctl bench` for a pipeline of Redis streams: entries are added to stream IN at
 * absolute times, and each latency counts from the planned time to the receipt of the entry of the
 * same number in stream OUT.
 *
 *     redis_load SOCKET IN OUT UNITS BIN_MS FRAMES WARMUP SAMPLES
 *
 * Writes latencies, us, one a line, to the file SAMPLES; "lost" where nothing came.
 */
#include <errno.h>
#include <hiredis/hiredis.h>
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>

struct run {
    const char *path, *out;
    double bin, begin; /* s */
    long first;        /* number of the first entry */
    long count;        /* entries, warm-up included */
    float *latency;    /* [count] s, NaN = lost */
    atomic_bool ready;
    atomic_long got;
};

static double now(void)
{
    struct timespec time;
    (void)clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

static void sleep_until(double due)
{
    struct timespec at = {.tv_sec = (time_t)due};
    at.tv_nsec = (long)((due - (double)at.tv_sec) * 1e9);
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL) == EINTR) {
    }
}

static redisContext *connect_to(const char *path)
{
    redisContext *redis = redisConnectUnix(path);
    if (!redis || redis->err) {
        (void)fprintf(stderr, "redis_load: %s\n", redis ? redis->errstr : "no memory");
        exit(1);
    }
    return redis;
}

static void take(struct run *run, const redisReply *entry, double time)
{
    const redisReply *pairs = entry->element[1];
    for (size_t i = 0; i + 1 < pairs->elements; i += 2) {
        if (strcmp(pairs->element[i]->str, "i") == 0) {
            long k = strtol(pairs->element[i + 1]->str, NULL, 10) - run->first;
            if (k >= 0 && k < run->count) {
                run->latency[k] = (float)(time - (run->begin + (double)k * run->bin));
                atomic_store(&run->got, k + 1);
            }
        }
    }
}

static void *receive(void *argument)
{
    struct run *run = argument;
    redisContext *redis = connect_to(run->path);
    char last[64] = "0";
    /* From what is newest now, so that nothing older is taken for an answer. */
    redisReply *newest = redisCommand(redis, "XREVRANGE %s + - COUNT 1", run->out);
    if (newest && newest->type == REDIS_REPLY_ARRAY && newest->elements > 0) {
        (void)snprintf(last, sizeof last, "%s", newest->element[0]->element[0]->str);
    }
    freeReplyObject(newest);
    (void)prctl(PR_SET_TIMERSLACK, 1);
    atomic_store(&run->ready, true);
    while (atomic_load(&run->got) < run->count) {
        redisReply *reply =
            redisCommand(redis, "XREAD BLOCK 2000 COUNT 1 STREAMS %s %s", run->out, last);
        double time = now();
        if (!reply || reply->type != REDIS_REPLY_ARRAY) {
            freeReplyObject(reply);
            break; /* nothing for two seconds: what is missing is lost */
        }
        const redisReply *entries = reply->element[0]->element[1];
        for (size_t i = 0; i < entries->elements; i++) {
            (void)snprintf(last, sizeof last, "%s", entries->element[i]->element[0]->str);
            take(run, entries->element[i], time);
        }
        freeReplyObject(reply);
    }
    redisFree(redis);
    return NULL;
}

static void send_all(struct run *run, const char *in, size_t units)
{
    redisContext *redis = connect_to(run->path);
    uint16_t *counts = calloc(units, sizeof *counts);
    if (!counts) {
        exit(1);
    }
    for (long k = 0; k < run->count; k++) {
        for (size_t n = 0; n < units; n++) {
            counts[n] = (uint16_t)((size_t)k * 7 + n * n) % 3 / 2;
        }
        sleep_until(run->begin + (double)k * run->bin);
        redisReply *reply =
            redisCommand(redis, "XADD %s MAXLEN ~ 1000 * i %ld samples %b", in, run->first + k,
                         (const void *)counts, units * sizeof *counts);
        freeReplyObject(reply);
    }
    free(counts);
    redisFree(redis);
}

static int write_samples(const struct run *run, long warmup, const char *path)
{
    FILE *file = fopen(path, "w");
    if (!file) {
        return 1;
    }
    for (long k = warmup; k < run->count; k++) {
        if (isnan(run->latency[k])) {
            (void)fputs("lost\n", file);
        } else {
            (void)fprintf(file, "%.2f\n", 1e6 * (double)run->latency[k]);
        }
    }
    return fclose(file) == 0 ? 0 : 1;
}

int main(int argc, char **argv)
{
    pthread_t receiver;
    if (argc != 9) {
        (void)fprintf(stderr, "redis_load SOCKET IN OUT UNITS BIN_MS FRAMES WARMUP SAMPLES\n");
        return 2;
    }
    struct run run = {.path = argv[1], .out = argv[3], .bin = 1e-3 * strtod(argv[5], NULL)};
    long warmup = strtol(argv[7], NULL, 10);
    run.count = strtol(argv[6], NULL, 10) + warmup;
    /* Another run's entries have other numbers. */
    run.first = (long)(fmod(now(), 1e6) * 1e3) * 10000;
    run.latency = malloc((size_t)run.count * sizeof *run.latency);
    if (!run.latency) {
        return 1;
    }
    for (long k = 0; k < run.count; k++) {
        run.latency[k] = NAN;
    }
    run.begin = now() + 0.1;
    if (pthread_create(&receiver, NULL, receive, &run) != 0) {
        return 1;
    }
    while (!atomic_load(&run.ready)) {
        sleep_until(now() + 0.001);
    }
    (void)prctl(PR_SET_TIMERSLACK, 1);
    send_all(&run, argv[2], strtoul(argv[4], NULL, 10));
    (void)pthread_join(receiver, NULL);
    int result = write_samples(&run, warmup, argv[8]);
    free(run.latency);
    return result;
}
