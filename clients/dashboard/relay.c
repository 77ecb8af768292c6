/* SPDX-License-Identifier: GPL-3.0-or-later */
/* From ZeroMQ messages to texts for browsers. */
#include "clients/dashboard/relay.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clients/dashboard/describe.h"
#include "clients/dashboard/evidence.h"
#include "daemon/learn/model_file.h"
#include "proto/event.h"
#include "proto/frame.h"
#include "proto/intent.h"
#include "traj/version.h"

/* Latencies are counted in bins of an eighth of a decade, from 10 us to 1 s. */
#define LATENCY_BINS 41
#define LATENCY_FIRST 1e-5
#define LATENCY_PER_DECADE 8.0
#define TAKE_MAX 20000 /* messages of one socket in a row, so that browsers are served meanwhile */

struct text {
    char *text;
    size_t size;
    uint64_t version;
};

/* What the tap at the source has told. */
struct tap {
    struct traj_sink *sink;
    struct traj_frame frame;
    uint16_t counts[TRAJ_UNITS_MAX];
    float feature[TRAJ_UNITS_MAX];
    struct traj_event event;
    size_t units;
    uint64_t frames;              /* since the last picture */
    uint32_t sum[TRAJ_UNITS_MAX]; /* spikes since the last picture */
    bool seen[TRAJ_UNITS_MAX];    /* observed in any frame since then */
    const char *trial;            /* "start", "go", "stop", or NULL: nothing is known */
    size_t priors, truths;        /* numbers in the two arrays; 0 = nothing is known */
    double prior[TRAJ_TARGETS_MAX], truth[TRAJ_DIM_MAX];
    char run[64];
};

struct relay {
    struct relay_options options;
    struct traj_sink *sink;
    struct tap *tap;           /* NULL = none */
    struct evidence *evidence; /* of the model that the page knows; NULL = it cannot be told */
    struct text text[RELAY_KINDS];
    struct traj_intent_buffer intent;
    char *newest; /* the newest intent's JSON, NUL-terminated, or NULL */
    size_t newest_size, newest_cap;
    bool fresh;          /* something came since the last picture */
    double clock, stale; /* s; NaN = frames come */
    uint64_t intents, lost, bad, next;
    uint64_t latency[LATENCY_BINS];
    char digest[65]; /* of the model that the page was told of, or that could not be read */
};

/* --- texts ------------------------------------------------------------------------------------ */

void relay_put(struct relay *relay, enum relay_kind kind, char *text, size_t size)
{
    if (text) {
        free(relay->text[kind].text);
        relay->text[kind].text = text;
        relay->text[kind].size = size;
        relay->text[kind].version++;
    }
}

static void put_json(struct relay *relay, enum relay_kind kind, json_t *object)
{
    char *text = object ? json_dumps(object, JSON_COMPACT) : NULL;
    json_decref(object);
    relay_put(relay, kind, text, text ? strlen(text) : 0);
}

uint64_t relay_text(const struct relay *relay, enum relay_kind kind, const char **text,
                    size_t *size)
{
    *text = relay->text[kind].text;
    *size = relay->text[kind].size;
    return relay->text[kind].version;
}

static void say_hello(struct relay *relay)
{
    put_json(relay, RELAY_HELLO,
             json_pack("{s:s,s:s,s:s,s:b,s:b,s:f,s:f}", "kind", "hello", "version", TRAJ_VERSION,
                       "intents", relay->options.intents, "orders", relay->options.may_order, "tap",
                       relay->tap != NULL, "latency_first", LATENCY_FIRST, "latency_per_decade",
                       LATENCY_PER_DECADE));
}

/* --- the model -------------------------------------------------------------------------------- */

static void tell_model(struct relay *relay, json_t *model, const char *why)
{
    json_t *said = json_pack("{s:s,s:o,s:s?}", "kind", "model", "model",
                             model ? model : json_null(), "why", why);
    put_json(relay, RELAY_MODEL, said);
}

/* Reads a model file and tells the page; a digest that is wanted must be the file's. */
static int read_model(struct relay *relay, const char *path, const char *digest,
                      struct traj_error *error)
{
    struct traj_model *model = traj_model_load(path, error);
    if (!model) {
        return -1;
    }
    int rc = 0;
    if (digest && strcmp(digest, model->about.digest) != 0) {
        rc = traj_error_set(error, "%s is another model than the one that runs", path);
    } else {
        snprintf(relay->digest, sizeof relay->digest, "%s", model->about.digest);
        tell_model(relay, describe_model(model), NULL);
        evidence_free(relay->evidence);
        relay->evidence = relay->tap ? evidence_new(model) : NULL;
    }
    traj_model_free(model);
    return rc;
}

/*
 * Status names the model that runs.  Its file is read where it is at hand, and the one that the
 * command line named is believed where the digests agree.
 */
static void follow_model(struct relay *relay, const json_t *running)
{
    struct traj_error error = {{0}}, other = {{0}};
    const char *path = json_string_value(json_object_get(running, "path"));
    const char *digest = json_string_value(json_object_get(running, "digest"));
    if (!path || !digest || strlen(digest) != 64 || strcmp(digest, relay->digest) == 0) {
        return;
    }
    snprintf(relay->digest, sizeof relay->digest, "%s", digest);
    if (read_model(relay, path, digest, &error) != 0 &&
        (!relay->options.model || read_model(relay, relay->options.model, digest, &other) != 0)) {
        tell_model(relay, NULL, error.text);
        evidence_free(relay->evidence);
        relay->evidence = NULL;
    }
}

/* --- messages of the daemon ------------------------------------------------------------------- */

static void keep_newest(struct relay *relay, const char *body, size_t size)
{
    if (size >= relay->newest_cap) {
        char *larger = realloc(relay->newest, size + 1024);
        if (!larger) {
            return;
        }
        relay->newest = larger;
        relay->newest_cap = size + 1024;
    }
    memcpy(relay->newest, body, size);
    relay->newest[size] = '\0';
    relay->newest_size = size;
}

static void count_latency(struct relay *relay, const struct traj_stamps *stamps)
{
    double taken = stamps->done - stamps->recv;
    if (isfinite(taken)) {
        double at = taken > LATENCY_FIRST ? LATENCY_PER_DECADE * log10(taken / LATENCY_FIRST) : 0.0;
        relay->latency[at < LATENCY_BINS - 1 ? (size_t)at : LATENCY_BINS - 1]++;
    }
}

static void take_intent(struct relay *relay, const char *body, size_t size)
{
    struct traj_refusal_detail detail;
    if (traj_intent_parse(body, size, &relay->intent, &detail) != TRAJ_ACCEPTED) {
        relay->bad++;
        return;
    }
    const struct traj_intent *intent = &relay->intent.intent;
    /* A smaller seq is a daemon that was started anew: nothing was lost then. */
    if (relay->intents > 0 && intent->seq > relay->next) {
        relay->lost += intent->seq - relay->next;
    }
    relay->next = intent->seq + 1;
    relay->intents++;
    relay->stale = NAN;
    relay->fresh = true;
    count_latency(relay, &intent->stamps);
    keep_newest(relay, body, size);
}

static void take_stale(struct relay *relay, const char *body, size_t size)
{
    json_t *stale = json_loadb(body, size, 0, NULL);
    const json_t *silent = json_object_get(stale, "silent");
    if (json_is_number(silent)) {
        relay->stale = json_number_value(silent);
        relay->fresh = true;
    } else {
        relay->bad++;
    }
    json_decref(stale);
}

static void take_status(struct relay *relay, const char *body, size_t size)
{
    json_t *status = json_loadb(body, size, 0, NULL);
    if (!json_is_object(status)) {
        relay->bad++;
        json_decref(status);
        return;
    }
    follow_model(relay, json_object_get(status, "model"));
    put_json(relay, RELAY_STATUS, json_pack("{s:s,s:o}", "kind", "status", "status", status));
}

/* --- messages of the source ------------------------------------------------------------------- */

static void take_frame(struct relay *relay, const char *body, size_t size)
{
    struct tap *tap = relay->tap;
    struct traj_refusal_detail detail;
    if (traj_frame_parse(body, size, &tap->frame, &detail) != TRAJ_ACCEPTED) {
        return; /* the daemon counts them */
    }
    tap->units = tap->frame.units;
    tap->frames++;
    for (size_t n = 0; n < tap->units; n++) {
        if (tap->counts[n] != TRAJ_COUNT_MISSING) {
            tap->sum[n] += tap->counts[n];
            tap->seen[n] = true;
        }
    }
    if (relay->evidence && relay->intents > 0) {
        evidence_take(relay->evidence, &tap->frame, &relay->intent.intent);
    }
}

static void take_event(struct tap *tap, const char *body, size_t size)
{
    struct traj_refusal_detail detail;
    struct traj_event *event = &tap->event;
    if (traj_event_parse(body, size, event, &detail) != TRAJ_ACCEPTED) {
        return;
    }
    switch (event->kind) {
    case TRAJ_EVENT_SESSION:
        memcpy(tap->run, event->text, sizeof tap->run);
        tap->trial = event->marks ? "stop" : NULL;
        tap->priors = tap->truths = 0;
        break;
    case TRAJ_EVENT_TRIAL_START:
        tap->trial = "start";
        break;
    case TRAJ_EVENT_GO:
        tap->trial = "go";
        break;
    case TRAJ_EVENT_TRIAL_STOP:
        tap->trial = "stop";
        tap->priors = 0;
        break;
    case TRAJ_EVENT_TARGET_PRIOR:
        tap->priors = event->count < TRAJ_TARGETS_MAX ? event->count : TRAJ_TARGETS_MAX;
        memcpy(tap->prior, event->value, tap->priors * sizeof *tap->prior);
        break;
    case TRAJ_EVENT_KINEMATICS:
        tap->truths = event->dim < TRAJ_DIM_MAX ? event->dim : TRAJ_DIM_MAX;
        memcpy(tap->truth, event->value, tap->truths * sizeof *tap->truth);
        break;
    default:
        break;
    }
}

/* --- sockets ---------------------------------------------------------------------------------- */

static void take(struct relay *relay, const char *topic, const char *body, size_t size)
{
    if (strcmp(topic, "intent") == 0) {
        take_intent(relay, body, size);
    } else if (strcmp(topic, "stale") == 0) {
        take_stale(relay, body, size);
    } else if (strcmp(topic, "status") == 0) {
        take_status(relay, body, size);
    }
}

static int drain(struct relay *relay, struct traj_sink *sink)
{
    for (size_t i = 0; i < TAKE_MAX; i++) {
        const char *topic, *body;
        size_t size;
        int rc = traj_sink_receive(sink, 0, &topic, &body, &size);
        if (rc == -ETIMEDOUT || rc == -EINTR) {
            return 0;
        }
        if (rc == -EBADMSG) {
            relay->bad++;
        } else if (rc != 0) {
            return rc;
        } else if (sink == relay->sink) {
            take(relay, topic, body, size);
        } else if (strcmp(topic, "frame") == 0) {
            take_frame(relay, body, size);
        } else if (strcmp(topic, "event") == 0) {
            take_event(relay->tap, body, size);
        }
    }
    return 0;
}

int relay_take(struct relay *relay, double now, struct traj_error *error)
{
    relay->clock = now;
    int rc = drain(relay, relay->sink);
    if (rc != 0) {
        return traj_error_set(error, "%s: %s", relay->options.intents, strerror(-rc));
    }
    rc = relay->tap ? drain(relay, relay->tap->sink) : 0;
    if (rc != 0) {
        return traj_error_set(error, "%s: %s", relay->options.frames, strerror(-rc));
    }
    return 0;
}

/* --- the picture ------------------------------------------------------------------------------ */

static void write_numbers(FILE *out, const char *name, const double *x, size_t count)
{
    fprintf(out, ",\"%s\":", name);
    if (count == 0) {
        fputs("null", out);
        return;
    }
    for (size_t i = 0; i < count; i++) {
        fprintf(out, "%c%.6g", i ? ',' : '[', x[i]);
    }
    fputc(']', out);
}

/* To a hundredth: one number for each of perhaps thousands of units. */
static void write_rounded(FILE *out, const char *name, const double *x, size_t count)
{
    fprintf(out, ",\"%s\":%s", name, count ? "" : "null");
    for (size_t i = 0; i < count; i++) {
        fprintf(out, "%c%.2f", i ? ',' : '[', isfinite(x[i]) ? x[i] : 0.0);
    }
    if (count > 0) {
        fputc(']', out);
    }
}

static void write_tap(FILE *out, struct tap *tap)
{
    fprintf(out, ",\"trial\":%s%s%s", tap->trial ? "\"" : "", tap->trial ? tap->trial : "null",
            tap->trial ? "\"" : "");
    write_numbers(out, "prior", tap->prior, tap->priors);
    write_numbers(out, "truth", tap->truth, tap->truths);
    json_t *run = json_string(tap->run);
    char *name = run ? json_dumps(run, JSON_ENCODE_ANY) : NULL;
    fprintf(out, ",\"run\":%s,\"frames\":%" PRIu64 ",\"spikes\":[", name ? name : "null",
            tap->frames);
    free(name);
    json_decref(run);
    for (size_t n = 0; n < tap->units; n++) {
        if (tap->seen[n]) {
            fprintf(out, "%s%" PRIu32, n ? "," : "", tap->sum[n]);
        } else {
            fputs(n ? ",null" : "null", out);
        }
    }
    fputc(']', out);
    tap->frames = 0;
    memset(tap->sum, 0, sizeof tap->sum);
    memset(tap->seen, 0, sizeof tap->seen);
}

void relay_compose(struct relay *relay)
{
    char *text = NULL;
    size_t size = 0;
    if (!relay->fresh) {
        return;
    }
    FILE *out = open_memstream(&text, &size);
    if (!out) {
        return;
    }
    fprintf(out,
            "{\"kind\":\"live\",\"clock\":%.3f,\"intents\":%" PRIu64 ",\"lost\":%" PRIu64
            ",\"bad\":%" PRIu64 ",\"silent\":",
            relay->clock, relay->intents, relay->lost, relay->bad);
    fprintf(out, isfinite(relay->stale) ? "%.3f" : "null", relay->stale);
    for (size_t i = 0; i < LATENCY_BINS; i++) {
        fprintf(out, "%s%" PRIu64, i ? "," : ",\"latency\":[", relay->latency[i]);
    }
    fputc(']', out);
    if (relay->tap) {
        write_tap(out, relay->tap);
        size_t units = 0;
        const double *sum = relay->evidence ? evidence_of_units(relay->evidence, &units) : NULL;
        write_rounded(out, "evidence", sum, units);
    }
    fprintf(out, ",\"intent\":%s}", relay->newest ? relay->newest : "null");
    if (fclose(out) == 0) {
        relay_put(relay, RELAY_LIVE, text, size);
        relay->fresh = false;
    } else {
        free(text);
    }
}

/* --- beginning and end ------------------------------------------------------------------------ */

static int open_tap(struct relay *relay, struct traj_error *error)
{
    const char *endpoint = relay->options.frames;
    struct tap *tap = calloc(1, sizeof *tap);
    relay->tap = tap;
    if (!tap) {
        return traj_error_set(error, "memory is short");
    }
    tap->frame.counts = tap->counts;
    tap->frame.units_max = TRAJ_UNITS_MAX;
    tap->frame.feature = tap->feature;
    tap->frame.features_max = TRAJ_UNITS_MAX;
    /*
     * Not by the topics' full names: a source that waits for those two subscriptions waits for the
     * daemon, and must not take the tap for it.
     */
    int rc = traj_sink_open(endpoint, "f,e", &tap->sink);
    return rc ? traj_error_set(error, "%s: %s", endpoint, strerror(-rc)) : 0;
}

int relay_open(const struct relay_options *options, struct relay **relay, struct traj_error *error)
{
    struct relay *self = calloc(1, sizeof *self);
    *relay = NULL;
    if (!self) {
        return traj_error_set(error, "memory is short");
    }
    self->options = *options;
    self->stale = NAN;
    int status = 0;
    int rc =
        traj_sink_open_with(options->intents, options->keys, "intent,stale,status", &self->sink);
    if (rc != 0) {
        status = traj_error_set(error, "%s: %s", options->intents, strerror(-rc));
    }
    if (status == 0 && options->frames) {
        status = open_tap(self, error);
    }
    if (status == 0 && options->model) {
        status = read_model(self, options->model, NULL, error);
    }
    if (status != 0) {
        relay_close(&self);
        return -1;
    }
    say_hello(self);
    *relay = self;
    return 0;
}

void relay_close(struct relay **relay)
{
    struct relay *self = *relay;
    if (!self) {
        return;
    }
    traj_sink_close(&self->sink);
    if (self->tap) {
        traj_sink_close(&self->tap->sink);
    }
    free(self->tap);
    evidence_free(self->evidence);
    free(self->newest);
    for (size_t kind = 0; kind < RELAY_KINDS; kind++) {
        free(self->text[kind].text);
    }
    free(self);
    *relay = NULL;
}
