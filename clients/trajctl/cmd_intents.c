/* SPDX-License-Identifier: GPL-3.0-or-later */
/* trajctl intents: what the daemon publishes, one line each, into a file. */
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clients/trajctl/commands.h"
#include "clients/trajctl/interrupt.h"
#include "clients/trajctl/options.h"
#include "clients/trajctl/progress.h"
#include "daemon/learn/error.h"
#include "proto/intent.h"
#include "traj/client.h"

#define POLL_MS 100

static const struct command_help help = {
    .name = "intents",
    .usage = "[--intents ENDPOINT] [--out I.jsonl] [options]",
    .about =
        "Subscribes to trajd and writes each intent on a line of its own, as it was published. "
        "Says on stderr when the subscription stands, and at the end how many intents were lost "
        "on the way (their seq is missing). Ends with --count, with --idle or on Ctrl-C. Exit "
        "status 1 if intents were lost or --count was not reached.",
    .example = "trajctl intents --out live.jsonl --idle 5\n"
               "trajctl intents --count 1 | head\n",
};

struct receiving {
    const char *endpoint, *out;
    size_t count; /* 0 = no limit */
    double idle;  /* s; NaN = no limit */
    bool quiet;
    FILE *file;
    struct traj_intent_buffer *buffer;
    size_t received, lost;
    bool any;
    uint64_t next; /* the seq that is due */
};

/* Notes what is missing between this intent and the last; a seq that goes back is a daemon that
 * began anew. */
static void check_order(struct receiving *r, const char *body, size_t size)
{
    struct traj_refusal_detail detail;
    if (traj_intent_parse(body, size, r->buffer, &detail) != TRAJ_ACCEPTED) {
        return;
    }
    uint64_t seq = r->buffer->intent.seq;
    if (r->any && seq > r->next) {
        r->lost += (size_t)(seq - r->next);
        fprintf(stderr, "intents: lost seq %" PRIu64 " to %" PRIu64 "\n", r->next, seq - 1);
    }
    r->any = true;
    r->next = seq + 1;
}

static int write_line(struct receiving *r, const char *body, size_t size, struct traj_error *error)
{
    if (fwrite(body, 1, size, r->file) != size || putc('\n', r->file) == EOF) {
        return traj_error_set(error, "%s cannot be written: %s", r->out, strerror(errno));
    }
    r->received++;
    check_order(r, body, size);
    return 0;
}

/* Takes messages until one of the reasons to end; 0, or -1 with a sentence. */
static int receive(struct receiving *r, struct traj_sink *sink, struct traj_error *error)
{
    bool subscribed = false;
    double last = monotonic_seconds();
    while (!interrupted() && (r->count == 0 || r->received < r->count)) {
        const char *topic, *body;
        size_t size;
        int rc = traj_sink_receive(sink, POLL_MS, &topic, &body, &size);
        if (rc == -ETIMEDOUT || rc == -EINTR) {
            fflush(r->file); /* whoever reads along is not kept waiting */
            if (!isnan(r->idle) && monotonic_seconds() - last > r->idle) {
                return 0;
            }
            continue;
        }
        if (rc != 0) {
            return traj_error_set(error, "%s: %s", r->endpoint, strerror(-rc));
        }
        if (!subscribed && !r->quiet) {
            fprintf(stderr, "intents: subscribed to %s\n", r->endpoint);
        }
        subscribed = true;
        if (strcmp(topic, "intent") == 0) {
            last = monotonic_seconds();
            if (write_line(r, body, size, error)) {
                return -1;
            }
        }
    }
    return 0;
}

static int run(struct receiving *r, struct traj_error *error)
{
    struct traj_sink *sink = NULL;
    int result = -1, rc;
    r->buffer = malloc(sizeof *r->buffer);
    r->file = strcmp(r->out, "-") == 0 ? stdout : fopen(r->out, "w");
    if (!r->buffer) {
        traj_error_set(error, "memory is short");
    } else if (!r->file) {
        traj_error_set(error, "%s cannot be written: %s", r->out, strerror(errno));
    } else if ((rc = traj_sink_open_with(r->endpoint, options_keys(), "intent,status,stale",
                                         &sink)) != 0) {
        /* status comes once a second: by it one knows that the subscription has reached the
         * daemon */
        traj_error_set(error, "%s: %s", r->endpoint, strerror(-rc));
    } else {
        result = receive(r, sink, error);
    }
    traj_sink_close(&sink);
    if (r->file && (fflush(r->file) || (r->file != stdout && fclose(r->file))) && result == 0) {
        result = traj_error_set(error, "%s cannot be written: %s", r->out, strerror(errno));
    }
    free(r->buffer);
    return result;
}

int cmd_intents(int argc, char **argv)
{
    struct receiving r = {.endpoint = TRAJ_DEFAULT_INTENTS, .out = "-", .idle = NAN};
    const struct command_option options[] = {
        {"intents", "ENDPOINT", OPTION_TEXT, &r.endpoint, "where trajd publishes intents"},
        {"out", "I.jsonl", OPTION_TEXT, &r.out, "file to write; - = standard output",
         .file = FILE_WRITTEN},
        {"count", "N", OPTION_SIZE, &r.count, "end after N intents", 1, 1e15, .plain = true},
        {"idle", "SECONDS", OPTION_REAL, &r.idle, "end when no intent has come for so long", 0.01,
         1e9},
        {"quiet", NULL, OPTION_FLAG, &r.quiet, "say nothing but errors and losses"},
    };
    int status = options_parse(&help, options, COUNT_OF(options), argc, argv);
    if (status != OPTIONS_RUN) {
        return status;
    }
    struct traj_error error = {0};
    interrupt_catch();
    if (run(&r, &error)) {
        return failure("intents", "%s", error.text);
    }
    if (!r.quiet) {
        fprintf(stderr, "intents: %zu received, %zu lost\n", r.received, r.lost);
    }
    if (r.count > 0 && r.received < r.count) {
        return failure("intents", "%zu of %zu intents came", r.received, r.count);
    }
    return r.lost > 0 ? 1 : 0;
}
