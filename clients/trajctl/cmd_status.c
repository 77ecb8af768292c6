/* SPDX-License-Identifier: GPL-3.0-or-later */
/* trajctl status */
#include <stdio.h>

#include "clients/trajctl/commands.h"
#include "clients/trajctl/options.h"
#include "clients/trajctl/request.h"
#include "traj/client.h"

static const struct command_help help = {
    .name = "status",
    .usage = "[--latency] [--json] [--control ENDPOINT]",
    .about = "Asks trajd how it is: model, frames received and what became of them, events, rate, "
             "latency from the receipt of a frame to its intent, subscribers.",
    .example = "trajctl status\n"
               "trajctl status --latency\n"
               "trajctl status --json\n",
};

static long long whole(const json_t *object, const char *key)
{
    return (long long)json_integer_value(json_object_get(object, key));
}

static double real(const json_t *object, const char *key)
{
    return json_number_value(json_object_get(object, key));
}

static const char *text(const json_t *object, const char *key)
{
    const char *value = json_string_value(json_object_get(object, key));
    return value ? value : "-";
}

/* The sum over the causes of refusal. */
static long long sum(const json_t *object)
{
    long long total = 0;
    const char *key;
    json_t *value;
    json_object_foreach ((json_t *)object, key, value) {
        total += (long long)json_integer_value(value);
    }
    return total;
}

/* "; syntax 2, units 1" */
static void print_causes(json_t *refused)
{
    const char *key, *before = " (";
    json_t *value;
    json_object_foreach (refused, key, value) {
        if (json_integer_value(value) > 0) {
            printf("%s%s %lld", before, key, (long long)json_integer_value(value));
            before = ", ";
        }
    }
    printf("%s\n", before[0] == ',' ? ")" : "");
}

static void print_recording(const json_t *recording)
{
    const json_t *lost = json_object_get(recording, "lost");
    if (!json_is_object(recording)) {
        return;
    }
    printf("recording   %s, %s: %lld records in %lld parts, %.1f MB; lost %lld, of these %lld that "
           "came in\n",
           !json_is_true(json_object_get(recording, "on"))       ? "off"
           : json_is_true(json_object_get(recording, "failing")) ? "THE DISK REFUSES"
                                                                 : "on",
           text(recording, "file"), whole(recording, "records"), whole(recording, "part"),
           1e-6 * real(recording, "bytes"), whole(lost, "buffer") + whole(lost, "disk"),
           whole(lost, "inputs"));
    if (json_is_string(json_object_get(recording, "error"))) {
        printf("            last failure: %s\n", text(recording, "error"));
    }
}

static void print_source(const json_t *source)
{
    const json_t *spikes = json_object_get(source, "spikes"), *bins;
    if (!json_is_object(source)) {
        return;
    }
    bins = json_object_get(source, "bins");
    printf("source      %s: run %lld, %lld messages, %lld lost, %lld refused, %lld restarts\n",
           text(source, "address"), whole(source, "run"), whole(source, "messages"),
           whole(source, "lost"), whole(source, "refused"), whole(source, "restarts"));
    printf("            %lld spikes, %lld late, %lld of unknown units; %lld bins, %lld of them by "
           "waiting, %lld skipped\n",
           whole(spikes, "binned"), whole(spikes, "late"), whole(source, "unmapped"),
           whole(bins, "given"), whole(bins, "waited"), whole(bins, "skipped"));
    if (json_is_string(json_object_get(source, "said"))) {
        printf("            %s\n", text(source, "said"));
    }
}

static void print_shadow(const json_t *shadow, const char *unit)
{
    if (!json_is_object(shadow)) {
        return;
    }
    printf("shadow      %s (%.12s): %lld frames, %lld not published\n", text(shadow, "path"),
           text(shadow, "digest"), whole(shadow, "decoded"),
           whole(shadow, "lost") + whole(shadow, "records_lost"));
    if (whole(shadow, "compared") > 0) {
        printf(
            "            evidence of %lld frames: %+.4f nats each more than the running model's; "
            "positions %.4g %s apart\n",
            whole(shadow, "compared"), real(shadow, "logev") - real(shadow, "logev_running"),
            real(shadow, "apart"), unit);
    }
}

/* Only where the daemon asks for keys. */
static void print_security(const json_t *security)
{
    const json_t *admitted = json_object_get(security, "admitted");
    const json_t *refused = json_object_get(security, "refused");
    if (json_is_true(json_object_get(security, "curve"))) {
        printf(
            "keys        %lld clients may come; frames, intents, control: %lld, %lld, %lld let in, "
            "%lld, %lld, %lld refused\n",
            whole(security, "clients"), whole(admitted, "frames"), whole(admitted, "intents"),
            whole(admitted, "control"), whole(refused, "frames"), whole(refused, "intents"),
            whole(refused, "control"));
    }
    if (whole(security, "requests_held") > 0) {
        printf("requests    %lld not looked at: too many in a second\n",
               whole(security, "requests_held"));
    }
}

static void print_status(json_t *s)
{
    json_t *model = json_object_get(s, "model"), *frames = json_object_get(s, "frames");
    json_t *events = json_object_get(s, "events"), *latency = json_object_get(s, "latency_ms");
    json_t *endpoints = json_object_get(s, "endpoints");
    printf("trajd %s, up %.1f s, publishes %s%s\n", text(s, "version"), real(s, "uptime"),
           text(s, "publish"), json_is_true(json_object_get(s, "paused")) ? ", PAUSED" : "");
    printf("model       %s (%.12s): %s, %lld units, %lld features, %lld targets, bins of %g ms\n",
           text(model, "path"), text(model, "digest"), text(model, "family"), whole(model, "units"),
           whole(model, "features"), whole(model, "targets"), 1e3 * real(model, "bin_width"));
    printf("frames      %lld received = %lld decoded + %lld late + %lld duplicate + %lld invalid",
           whole(frames, "received"), whole(frames, "decoded"), whole(frames, "late"),
           whole(frames, "duplicate"), whole(frames, "invalid"));
    print_causes(json_object_get(frames, "refused"));
    printf("            %lld gaps, %lld missing, %lld resets, %lld recovered, %lld limited\n",
           whole(frames, "gaps"), whole(frames, "missing"), whole(frames, "resets"),
           whole(frames, "recovered"), whole(frames, "limited"));
    printf("events      %lld received, %lld late, %lld refused", whole(events, "received"),
           whole(events, "late"), sum(json_object_get(events, "refused")));
    print_causes(json_object_get(events, "refused"));
    printf("rate        %.1f frames/s; last t %.3f s\n", real(s, "rate"), real(s, "t"));
    printf("latency     median %.3f ms, 99 %% %.3f ms, worst %.3f ms; at most %lld frames waited\n",
           real(latency, "p50"), real(latency, "p99"), real(latency, "max"),
           whole(s, "behind_max"));
    printf("published   %lld intents to %lld subscribers; %lld stale\n", whole(s, "published"),
           whole(s, "subscribers"), whole(s, "stale"));
    print_shadow(json_object_get(s, "shadow"), text(model, "length_unit"));
    print_source(json_object_get(s, "source"));
    print_security(json_object_get(s, "security"));
    print_recording(json_object_get(s, "recording"));
    printf("endpoints   frames %s, intents %s, control %s\n", text(endpoints, "frames"),
           text(endpoints, "intents"), text(endpoints, "control"));
}

static void print_stage(const char *name, const json_t *stage)
{
    printf("%-8s %10lld %10.1f %10.1f %10.1f %10.1f %10.1f", name, whole(stage, "count"),
           1e3 * real(stage, "p50"), 1e3 * real(stage, "p90"), 1e3 * real(stage, "p99"),
           1e3 * real(stage, "p999"), 1e3 * real(stage, "max"));
    if (whole(stage, "overflow") > 0) {
        printf("  (%lld off the scale)", whole(stage, "overflow"));
    }
    putchar('\n');
}

static void print_latency(json_t *s)
{
    json_t *realtime = json_object_get(s, "realtime"), *threads = json_object_get(s, "threads");
    json_t *decode = json_object_get(threads, "decode");
    const char *name;
    json_t *stage;
    printf("us       %10s %10s %10s %10s %10s %10s\n", "frames", "50 %", "90 %", "99 %", "99.9 %",
           "most");
    json_object_foreach (json_object_get(s, "stages_ms"), name, stage) {
        print_stage(name, stage);
    }
    print_stage("total", json_object_get(s, "latency_ms"));
    printf("receive %s; memory locked: %s; priority: %s; cpu: %s; io_cpu: %s; wake_us: %s\n",
           text(realtime, "receive"), text(realtime, "lock_memory"), text(realtime, "priority"),
           text(realtime, "cpu"), text(realtime, "io_cpu"), text(realtime, "wake_us"));
    printf("decode thread: %.2f s of processor, %lld major and %lld minor page faults; "
           "%.1f MiB resident\n",
           real(decode, "cpu_s"), whole(decode, "major_faults"), whole(decode, "minor_faults"),
           real(s, "memory") / 1048576.0);
}

int cmd_status(int argc, char **argv)
{
    const char *endpoint = TRAJ_DEFAULT_CONTROL;
    bool json = false, latency = false;
    const struct command_option options[] = {
        {"latency", NULL, OPTION_FLAG, &latency,
         "print where the time from a frame's receipt to its intent goes, stage by stage"},
        {"json", NULL, OPTION_FLAG, &json, "print the daemon's answer as JSON"},
        {"control", "ENDPOINT", OPTION_TEXT, &endpoint, "where trajd answers requests"},
    };
    int status = options_parse(&help, options, COUNT_OF(options), argc, argv);
    if (status != OPTIONS_RUN) {
        return status;
    }
    json_t *reply = NULL;
    status =
        request_send("status", endpoint, json_pack("{s:s}", "cmd", "status"), REQUEST_MS, &reply);
    if (status == 0 && json) {
        json_dumpf(reply, stdout, JSON_INDENT(1) | JSON_REAL_PRECISION(12));
        putchar('\n');
    } else if (status == 0 && latency) {
        print_latency(reply);
    } else if (status == 0) {
        print_status(reply);
    }
    json_decref(reply);
    return status;
}
