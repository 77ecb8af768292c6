/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A rig and a cursor in C: sends frames of counts to a running trajd and goes where it decodes.
 *
 *     cc cursor.c $(pkg-config --cflags --libs trajclient) -o cursor
 *     ./cursor [FRAMES INTENTS CONTROL [UNITS [BINS]]]
 *
 * Here the counts are random; a rig puts its own there, at its own pace.
 */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/event.h"
#include "proto/intent.h"
#include "traj/client.h"

#define PATIENCE_MS 10000
#define BIN_S 0.02
#define UNITS_MAX 4096

struct connections {
    struct traj_source *rig;
    struct traj_sink *intents;
    struct traj_control *control;
};

static int complain(const char *what, int rc)
{
    fprintf(stderr, "%s: %s\n", what, strerror(-rc));
    return 1;
}

static int open_all(struct connections *all, const char *frames, const char *intents,
                    const char *control)
{
    const char *reply;
    int rc = traj_control_open(control, &all->control);

    if (rc == 0) {
        rc = traj_control_request(all->control, "{\"cmd\":\"ping\"}", PATIENCE_MS, &reply);
    }
    if (rc == 0) {
        printf("trajd says %s\n", reply);
        rc = traj_sink_open(intents, "binary", &all->intents);
    }
    if (rc == 0) {
        rc = traj_source_open(frames, &all->rig);
    }
    return rc == 0 ? traj_source_wait(all->rig, PATIENCE_MS) : rc;
}

static void close_all(struct connections *all)
{
    traj_sink_close(&all->intents);
    (void)traj_source_close(&all->rig, 1000);
    traj_control_close(&all->control);
}

/* A subscription takes a moment, and what is published meanwhile does not wait for it. */
static int wait_for_subscription(struct connections *all)
{
    const char *reply = "";
    int rc;

    do {
        rc = traj_control_request(all->control, "{\"cmd\":\"status\"}", PATIENCE_MS, &reply);
    } while (rc == 0 && strstr(reply, "\"subscribers\":0,") != NULL);
    return rc;
}

/* Where the subject sees the cursor: from it trajd knows a correction from a reach. */
static int tell_cursor(struct connections *all, double t, const double *cursor, size_t dim)
{
    static struct traj_event event;
    char text[1024];

    event = (struct traj_event){.kind = TRAJ_EVENT_EFFECTOR, .t = t, .dim = dim, .count = dim};
    memcpy(event.value, cursor, dim * sizeof *cursor);
    return traj_source_event(all->rig, text, traj_event_write(&event, text, sizeof text));
}

static int run(struct connections *all, size_t units, unsigned long bins)
{
    static const char session[] = "{\"type\":\"session\",\"run\":\"c example\",\"marks\":false}";
    static uint16_t counts[UNITS_MAX];
    double cursor[16];
    size_t dim = 0; /* until the first intent the cursor is nowhere */
    const struct traj_intent *intent;
    unsigned long decoded = 0;
    double silent;
    int rc = traj_source_event(all->rig, session, sizeof session - 1);

    for (unsigned long bin = 0; rc == 0 && bin < bins; bin++) {
        for (size_t n = 0; n < units; n++) {
            counts[n] = (uint16_t)(rand() % 3);
        }
        if (dim > 0) {
            rc = tell_cursor(all, BIN_S * (double)(bin + 1), cursor, dim);
        }
        if (rc == 0) {
            rc = traj_source_counts(all->rig, bin, BIN_S * (double)(bin + 1), BIN_S, counts, units);
        }
        if (rc == 0) {
            rc = traj_sink_intent(all->intents, PATIENCE_MS, &intent, &silent);
        }
        /* What is stale or not valid is not acted upon. */
        if (rc == 0 && isnan(silent) && intent->valid && intent->position != NULL) {
            dim = intent->dim;
            memcpy(cursor, intent->position, dim * sizeof *cursor);
            decoded++;
        }
    }
    printf("%lu intents, cursor at %.1f, %.1f\n", decoded, dim > 0 ? cursor[0] : 0.0,
           dim > 1 ? cursor[1] : 0.0);
    return rc;
}

int main(int argc, char **argv)
{
    struct connections all = {NULL, NULL, NULL};
    size_t units = argc > 4 ? (size_t)strtoul(argv[4], NULL, 10) : 96;
    unsigned long bins = argc > 5 ? strtoul(argv[5], NULL, 10) : 100;
    int rc = units <= UNITS_MAX ? 0 : -EINVAL;

    if (rc == 0) {
        rc = open_all(&all, argc > 3 ? argv[1] : TRAJ_DEFAULT_FRAMES,
                      argc > 3 ? argv[2] : TRAJ_DEFAULT_INTENTS,
                      argc > 3 ? argv[3] : TRAJ_DEFAULT_CONTROL);
    }
    if (rc == 0) {
        rc = wait_for_subscription(&all);
    }
    if (rc == 0) {
        rc = run(&all, units, bins);
    }
    close_all(&all);
    return rc == 0 ? 0 : complain("cursor", rc);
}
