/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A source's thread; see tap.h. */
#include "daemon/io/source/tap.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <unistd.h>
#include <zmq.h>

#include "daemon/core/snapshot.h"
#include "daemon/io/clock.h"

/* The state is told so often at least, s. */
#define STATE_S 0.2

#define EVENT_BODY_MAX 1024 /* a session event or a trial mark */

struct traj_tap {
    struct traj_rig *rig;
    void *out;
    int wake;
    pthread_t thread;
    bool started;
    atomic_bool stop;
    void *memory;
    struct traj_snapshot *snapshot;
    unsigned char *body;
    size_t body_cap;
    uint64_t dropped;
};

static void tell(struct traj_tap *tap)
{
    struct traj_rig_state state;

    traj_rig_state(tap->rig, &state);
    state.dropped = tap->dropped;
    traj_snapshot_write(tap->snapshot, &state);
}

static void send_body(struct traj_tap *tap, const char *topic, size_t size)
{
    if (size == 0 || zmq_send(tap->out, topic, strlen(topic), ZMQ_SNDMORE | ZMQ_DONTWAIT) < 0 ||
        zmq_send(tap->out, tap->body, size, ZMQ_DONTWAIT) < 0) {
        tap->dropped++;
    }
}

/* Passes on what there is; true if there was something. */
static bool pass(struct traj_tap *tap, double now)
{
    const struct traj_frame *frame = NULL;
    const struct traj_event *event = NULL;

    switch (traj_rig_next(tap->rig, now, &frame, &event)) {
    case TRAJ_RIG_FRAME:
        send_body(tap, "frame", traj_frame_write_binary(frame, tap->body, tap->body_cap));
        return true;
    case TRAJ_RIG_EVENT:
        send_body(tap, "event", traj_event_write(event, (char *)tap->body, tap->body_cap));
        return true;
    case TRAJ_RIG_NOTHING:
        break;
    }
    return false;
}

static void *run(void *argument)
{
    struct traj_tap *tap = argument;
    double told = traj_clock_now();

    (void)prctl(PR_SET_NAME, "source");
    while (!atomic_load(&tap->stop)) {
        double now = traj_clock_now();

        if (!pass(tap, now)) {
            tell(tap);
            told = now;
            if (!traj_rig_poll(tap->rig, tap->wake, now, STATE_S)) {
                break;
            }
        } else if (now - told > STATE_S) {
            tell(tap);
            told = now;
        }
    }
    tell(tap);
    return NULL;
}

static int open_parts(struct traj_tap *tap, const char *url, const struct traj_model *model,
                      void *context, struct traj_error *error)
{
    size_t size = traj_snapshot_size(sizeof(struct traj_rig_state));
    int zero = 0;
    int hwm = 1000; /* besides those that may wait at the other end */

    tap->memory = malloc(size);
    tap->body_cap = EVENT_BODY_MAX + TRAJ_FRAME_HEADER + 2 * model->dims.units;
    tap->body = malloc(tap->body_cap);
    tap->snapshot = traj_snapshot_init(tap->memory, size, sizeof(struct traj_rig_state));
    if (tap->body == NULL || tap->snapshot == NULL) {
        return traj_error_set(error, "out of memory");
    }
    tap->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (tap->wake < 0) {
        return traj_error_set(error, "source: no event descriptor: %s", strerror(errno));
    }
    tap->out = zmq_socket(context, ZMQ_PAIR);
    if (tap->out == NULL || zmq_setsockopt(tap->out, ZMQ_LINGER, &zero, sizeof zero) != 0 ||
        zmq_setsockopt(tap->out, ZMQ_SNDHWM, &hwm, sizeof hwm) != 0 ||
        zmq_connect(tap->out, TRAJ_TAP_ADDRESS) != 0) {
        return traj_error_set(error, "source: %s", zmq_strerror(zmq_errno()));
    }
    tap->rig = traj_rig_open(url, model, context, error);
    return tap->rig != NULL ? 0 : -1;
}

struct traj_tap *traj_tap_open(const char *url, const struct traj_model *model, void *context,
                               struct traj_error *error)
{
    struct traj_tap *tap = calloc(1, sizeof *tap);

    if (tap == NULL) {
        (void)traj_error_set(error, "out of memory");
        return NULL;
    }
    tap->wake = -1;
    if (open_parts(tap, url, model, context, error) != 0) {
        traj_tap_close(&tap);
        return NULL;
    }
    tell(tap);
    return tap;
}

int traj_tap_start(struct traj_tap *tap, const pthread_attr_t *attributes, struct traj_error *error)
{
    int rc = pthread_create(&tap->thread, attributes, run, tap);

    if (rc != 0) {
        return traj_error_set(error, "cannot start a thread: %s", strerror(rc));
    }
    tap->started = true;
    return 0;
}

void traj_tap_close(struct traj_tap **tap)
{
    struct traj_tap *self = *tap;
    const uint64_t one = 1;

    if (self == NULL) {
        return;
    }
    if (self->started) {
        atomic_store(&self->stop, true);
        while (write(self->wake, &one, sizeof one) < 0 && errno == EINTR) {
        }
        (void)pthread_join(self->thread, NULL);
    }
    traj_rig_close(&self->rig);
    if (self->out != NULL) {
        (void)zmq_close(self->out);
    }
    if (self->wake >= 0) {
        (void)close(self->wake);
    }
    free(self->body);
    free(self->memory);
    free(self);
    *tap = NULL;
}

void traj_tap_state(const struct traj_tap *tap, struct traj_rig_state *state)
{
    /* The writer writes seldom: a reader that is overtaken so often does not exist. */
    if (!traj_snapshot_read(tap->snapshot, state, 1000)) {
        memset(state, 0, sizeof *state);
    }
}
