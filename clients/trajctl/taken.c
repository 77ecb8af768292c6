/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What became of frames; see taken.h. */
#include "clients/trajctl/taken.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "clients/trajctl/interrupt.h"
#include "clients/trajctl/options.h"
#include "clients/trajctl/progress.h"

#define ASK_MS 2000      /* for an answer */
#define POLL_NS 10000000 /* between two requests */
#define STUCK_S 5.0      /* a daemon that receives nothing more for so long is given up */
#define CAUSES_SIZE 160

/* The daemon's counters of frames (a new reference), or NULL: no answer, or too many requests. */
static json_t *ask_frames(struct taken *taken)
{
    const char *answer = NULL;
    json_t *reply = NULL;
    /* An answer may take longer than a tick. */
    interrupt_hold_ticks(true);
    if (traj_control_request(taken->control, "{\"cmd\":\"status\"}", ASK_MS, &answer) == 0) {
        reply = json_loads(answer, 0, NULL);
    }
    interrupt_hold_ticks(false);
    json_t *frames = json_incref(json_object_get(reply, "frames"));
    json_decref(reply);
    return frames;
}

void taken_begin(struct taken *taken, const char *endpoint)
{
    *taken = (struct taken){.endpoint = endpoint};
    if (endpoint && traj_control_open_with(endpoint, options_keys(), &taken->control) == 0) {
        taken->before = ask_frames(taken);
    }
}

/* By how much a counter has grown. */
static size_t grown(const json_t *before, const json_t *now, const char *key)
{
    json_int_t from = json_integer_value(json_object_get(before, key));
    json_int_t to = json_integer_value(json_object_get(now, key));
    return to > from ? (size_t)(to - from) : 0;
}

/* Waits until so many have been received, or nothing has come for long; NULL when interrupted. */
static json_t *wait_for(struct taken *taken, size_t sent)
{
    const struct timespec pause = {.tv_nsec = POLL_NS};
    json_t *now = json_incref(taken->before);
    double since = monotonic_seconds();
    size_t received = 0;
    while (received < sent && monotonic_seconds() - since < STUCK_S && !interrupted()) {
        json_t *next = ask_frames(taken);
        if (next) {
            json_decref(now);
            now = next;
        }
        if (grown(taken->before, now, "received") > received) {
            received = grown(taken->before, now, "received");
            since = monotonic_seconds();
        }
        if (received < sent) {
            (void)nanosleep(&pause, NULL);
        }
    }
    if (interrupted()) {
        json_decref(now);
        return NULL;
    }
    return now;
}

/* "12 dimensions, 3 count": why frames were refused, as far as there is room. */
static void tell_causes(const struct taken *taken, const json_t *now, char text[CAUSES_SIZE])
{
    json_t *before = json_object_get(taken->before, "refused");
    json_t *causes = json_object_get(now, "refused"), *value;
    const char *key;
    size_t length = 0;
    text[0] = '\0';
    json_object_foreach (causes, key, value) {
        size_t count = grown(before, causes, key);
        if (count > 0 && length + strlen(key) + 30 < CAUSES_SIZE) {
            length += (size_t)snprintf(text + length, CAUSES_SIZE - length, "%s%zu %s",
                                       length > 0 ? ", " : "", count, key);
        }
    }
}

int taken_end(struct taken *taken, size_t sent, size_t wanted, char *note, size_t size,
              struct traj_error *error)
{
    char causes[CAUSES_SIZE];
    note[0] = '\0';
    if (!taken->before) {
        (void)snprintf(note, size, "whether the daemon refused frames is not known: %.100s %s",
                       taken->endpoint ? taken->endpoint : "--control",
                       taken->endpoint ? "does not answer" : "was not given");
        return 0;
    }
    json_t *now = wait_for(taken, sent);
    if (!now) {
        return 1;
    }
    size_t received = grown(taken->before, now, "received");
    size_t refused = grown(taken->before, now, "invalid");
    int result = 0;
    tell_causes(taken, now, causes);
    if (received < sent) {
        (void)snprintf(note, size,
                       "the daemon at %.100s has received %zu of %zu frames, so that whether it "
                       "refused any is not known",
                       taken->endpoint, received, sent);
    } else if (wanted > 0 && refused >= sent) {
        result = traj_error_set(error,
                                "the daemon refused all %zu frames (%s): its log and trajctl "
                                "status --control %s say why",
                                sent, causes, taken->endpoint);
    } else if (refused > sent - wanted) {
        (void)snprintf(note, size,
                       "the daemon refused %zu of %zu frames (%s): its log and trajctl status "
                       "--control %.100s say why",
                       refused, received, causes, taken->endpoint);
    }
    json_decref(now);
    return result;
}

void taken_free(struct taken *taken)
{
    traj_control_close(&taken->control);
    json_decref(taken->before);
    taken->before = NULL;
}
