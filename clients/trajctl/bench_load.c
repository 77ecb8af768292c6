/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The open-loop load; see bench_load.h. */
#include "clients/trajctl/bench_load.h"

#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>

#include "clients/trajctl/interrupt.h"
#include "clients/trajctl/options.h"
#include "clients/trajctl/progress.h"
#include "proto/frame.h"
#include "traj/client.h"

#define WAIT_MS 10000    /* for a subscriber, and for its first answer */
#define BEHIND_S 2.0     /* so far behind, a load is given up */
#define DRAIN_S 3.0      /* without an answer, at the end, until the rest is lost */
#define RECEIVE_MS 50    /* between two looks whether it is over */
#define FIRST_GAP_S 0.01 /* between frames that ask whether anybody answers */
#define LOOK_S 0.005     /* a look may take so long without delaying a measured frame */

struct run {
    struct bench_load *load;
    struct traj_source *source;
    struct traj_sink *sink;
    atomic_bool over;        /* the receiver is to end */
    atomic_bool answered;    /* any intent has come */
    _Atomic uint64_t newest; /* frame of the newest intent that came */
    _Atomic uint64_t first;  /* frame number of the first measured one; UINT64_MAX before */
    _Atomic double origin;   /* s, monotonic: when that one is planned */
    uint64_t seq;            /* of the next frame */
    unsigned char *body;
    size_t cap;
};

/* The number behind "frame": in an intent; false if there is none.  It stands near the beginning,
 * so the whole intent need not be parsed while frames are being timed. */
static bool frame_of(const char *body, uint64_t *frame)
{
    static const char key[] = "\"frame\":";
    const char *at = strstr(body, key);
    char *end;
    if (!at) {
        return false;
    }
    *frame = strtoull(at + sizeof key - 1, &end, 10);
    return end != at + sizeof key - 1;
}

static void *receive(void *argument)
{
    struct run *run = argument;
    struct bench_load *load = run->load;
    (void)prctl(PR_SET_TIMERSLACK, 1);
    while (!atomic_load(&run->over)) {
        const char *topic, *body;
        size_t size;
        uint64_t frame;
        if (traj_sink_receive(run->sink, RECEIVE_MS, &topic, &body, &size) != 0) {
            continue;
        }
        double now = monotonic_seconds();
        if (!frame_of(body, &frame)) {
            continue;
        }
        uint64_t first = atomic_load(&run->first);
        if (frame >= first && frame - first < load->count) {
            size_t i = (size_t)(frame - first);
            load->latency[i] = (float)(now - (atomic_load(&run->origin) + (double)i * load->bin));
        }
        atomic_store(&run->newest, frame);
        atomic_store(&run->answered, true);
    }
    return NULL;
}

static void sleep_until(double due)
{
    struct timespec at = {.tv_sec = (time_t)due};
    at.tv_nsec = (long)((due - (double)at.tv_sec) * 1e9);
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL) == EINTR && !interrupted()) {
    }
}

/* The next frame's bytes; a trial's start is sent at once. */
static size_t prepare(struct run *run, struct traj_error *error)
{
    const struct bench_frames *frames = run->load->frames;
    size_t place = (size_t)(run->seq % frames->count);
    double t = (double)(run->seq + 1) * run->load->bin;
    if (frames->starts[place]) {
        char event[96];
        int size = snprintf(event, sizeof event, "{\"type\":\"trial_start\",\"t\":%.9g}",
                            t - run->load->bin);
        (void)traj_source_event(run->source, event, (size_t)size);
    }
    struct traj_frame frame = {.seq = run->seq,
                               .t = t,
                               .dt = run->load->bin,
                               .units = frames->units,
                               .counts = frames->counts + place * frames->units};
    size_t size = traj_frame_write_binary(&frame, run->body, run->cap);
    if (size == 0) {
        traj_error_set(error, "a frame does not fit into %zu bytes", run->cap);
    }
    return size;
}

static int send_one(struct run *run, size_t size, struct traj_error *error)
{
    int rc = traj_source_frame(run->source, run->body, size);
    run->seq++;
    return rc == 0 || rc == -EINTR ? 0 : traj_error_set(error, "frames: %s", strerror(-rc));
}

/* Frames until somebody answers: a subscription takes a moment to arrive. */
static int find_answer(struct run *run, struct traj_error *error)
{
    static const char session[] = "{\"type\":\"session\",\"run\":\"bench\",\"marks\":true}";
    double give_up = monotonic_seconds() + 1e-3 * WAIT_MS;
    if (traj_source_wait(run->source, WAIT_MS) != 0) {
        return traj_error_set(error, "nobody takes frames at %s", run->load->frames_endpoint);
    }
    (void)traj_source_event(run->source, session, sizeof session - 1);
    while (!atomic_load(&run->answered)) {
        size_t size = prepare(run, error);
        if (size == 0 || send_one(run, size, error) != 0) {
            return -1;
        }
        if (interrupted() || monotonic_seconds() > give_up) {
            return traj_error_set(error, "no intent comes from %s", run->load->intents_endpoint);
        }
        sleep_until(monotonic_seconds() + fmax(FIRST_GAP_S, run->load->bin));
    }
    return 0;
}

static void look(struct run *run, bool end)
{
    if (run->load->look) {
        run->load->look(run->load->context, end);
    }
}

/* The schedule: warm-up and measured frames alike, one every bin from origin on. */
static int send_all(struct run *run, struct traj_error *error)
{
    struct bench_load *load = run->load;
    double begin = monotonic_seconds() + 0.05, origin = begin + (double)load->warmup * load->bin;
    atomic_store(&run->origin, origin);
    atomic_store(&run->first, run->seq + load->warmup);
    size_t ahead = 1 + (size_t)(LOOK_S / load->bin);
    for (size_t k = 0; k < load->warmup + load->count && !interrupted(); k++) {
        double due = begin + (double)k * load->bin;
        if (k + ahead == load->warmup || (k == 0 && ahead > load->warmup)) {
            look(run, false);
        }
        size_t size = prepare(run, error);
        if (size == 0) {
            return -1;
        }
        sleep_until(due);
        double now = monotonic_seconds();
        if (k >= load->warmup) {
            load->late[k - load->warmup] = (float)(now - due);
            load->sent = k - load->warmup + 1;
        }
        if (send_one(run, size, error) != 0) {
            return -1;
        }
        /* Frames that wait for an answer, in time; seq itself was only just sent. */
        uint64_t waiting = run->seq - 1 - atomic_load(&run->newest);
        if ((double)waiting * load->bin > BEHIND_S) {
            load->given_up = true;
            return 0;
        }
    }
    return 0;
}

/* Waits for the last answer as long as answers come. */
static void drain(struct run *run)
{
    uint64_t newest = atomic_load(&run->newest);
    look(run, true);
    double give_up = monotonic_seconds() + DRAIN_S;
    while (newest + 1 < run->seq && monotonic_seconds() < give_up && !interrupted()) {
        sleep_until(monotonic_seconds() + 0.005);
        uint64_t now = atomic_load(&run->newest);
        if (now != newest) {
            newest = now;
            look(run, true);
            give_up = monotonic_seconds() + DRAIN_S;
        }
    }
}

static int open_run(struct run *run, struct traj_error *error)
{
    struct bench_load *load = run->load;
    run->cap = TRAJ_FRAME_HEADER + 2 * load->frames->units;
    run->body = malloc(run->cap);
    load->latency = malloc((load->count + 1) * sizeof *load->latency);
    load->late = calloc(load->count + 1, sizeof *load->late);
    if (!run->body || !load->latency || !load->late) {
        return traj_error_set(error, "memory is short");
    }
    for (size_t i = 0; i < load->count; i++) {
        load->latency[i] = NAN;
    }
    int rc = traj_sink_open_with(load->intents_endpoint, options_keys(), "intent", &run->sink);
    if (rc != 0) {
        return traj_error_set(error, "%s: %s", load->intents_endpoint, strerror(-rc));
    }
    rc = traj_source_open_with(load->frames_endpoint, options_keys(), &run->source);
    return rc == 0 ? 0 : traj_error_set(error, "%s: %s", load->frames_endpoint, strerror(-rc));
}

int bench_load_run(struct bench_load *load, struct traj_error *error)
{
    struct run run = {.load = load};
    pthread_t receiver;
    load->sent = 0;
    load->given_up = false;
    atomic_init(&run.first, UINT64_MAX);
    int result = open_run(&run, error);
    if (result == 0 && pthread_create(&receiver, NULL, receive, &run) != 0) {
        result = traj_error_set(error, "cannot start a thread");
    } else if (result == 0) {
        /* The default lets a sleeping thread lie 50 us longer than it asked for. */
        (void)prctl(PR_SET_TIMERSLACK, 1);
        result = find_answer(&run, error);
        if (result == 0) {
            result = send_all(&run, error);
        }
        if (result == 0 && load->given_up) {
            look(&run, true);
        } else if (result == 0) {
            drain(&run);
        }
        atomic_store(&run.over, true);
        (void)pthread_join(receiver, NULL);
    }
    if (run.source) {
        traj_source_close(&run.source, 0);
    }
    traj_sink_close(&run.sink);
    free(run.body);
    return result;
}

void bench_load_free(struct bench_load *load)
{
    free(load->latency);
    free(load->late);
    load->latency = load->late = NULL;
}
