/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A simulated Lab Streaming Layer source: a stream of counts, one sample a block and one channel a
 * unit, stamped with the block's end on the rig's clock, and a stream of markers beside it.
 */
#include <dlfcn.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "clients/trajctl/interrupt.h"
#include "clients/trajctl/options.h"
#include "clients/trajctl/progress.h"
#include "clients/trajctl/rig.h"
#include "proto/lsl.h"

#define BUFFERED_S 360 /* liblsl keeps so much for a listener that is behind */
/* liblsl sends by threads of its own and knows no flush: the last sample leaves in so long. */
#define LINGER_NS 500000000

struct streams {
    struct rig *rig;
    struct traj_lsl call;
    traj_lsl_outlet counts, markers;
    double *count; /* [units] of the step at hand */
    uint64_t spikes;
};

static traj_lsl_outlet make_counts(const struct streams *streams, const char *name)
{
    const struct rig *rig = streams->rig;
    const struct traj_lsl *call = &streams->call;
    char id[160];
    (void)snprintf(id, sizeof id, "trajctl-%.100s", name);
    traj_lsl_info info = call->create_streaminfo(name, "Counts", (int32_t)rig->session->units,
                                                 1e3 / rig->block_ms, TRAJ_LSL_DOUBLE, id);
    if (!info) {
        return NULL;
    }
    traj_lsl_xml channels = call->append_child(call->get_desc(info), "channels");
    for (size_t n = 0; n < rig->session->units; n++) {
        char label[24];
        (void)snprintf(label, sizeof label, "ch%zu", n);
        (void)call->append_child_value(call->append_child(channels, "channel"), "label", label);
    }
    traj_lsl_outlet outlet = call->create_outlet(info, 0, BUFFERED_S);
    call->destroy_streaminfo(info);
    return outlet;
}

static traj_lsl_outlet make_markers(const struct streams *streams, const char *name)
{
    char whole[160], id[160];
    (void)snprintf(whole, sizeof whole, "%.100s-markers", name);
    (void)snprintf(id, sizeof id, "trajctl-%.100s-markers", name);
    traj_lsl_info info =
        streams->call.create_streaminfo(whole, "Markers", 1, 0.0, TRAJ_LSL_STRING, id);
    traj_lsl_outlet outlet = info ? streams->call.create_outlet(info, 0, BUFFERED_S) : NULL;
    if (info) {
        streams->call.destroy_streaminfo(info);
    }
    return outlet;
}

static int wait_for_listener(const struct streams *streams, struct traj_error *error)
{
    const struct timespec moment = {0, 10000000};
    const double until = monotonic_seconds() + streams->rig->wait_s;
    while (!streams->call.have_consumers(streams->counts)) {
        if (interrupted()) {
            return 1;
        }
        if (monotonic_seconds() > until) {
            return traj_error_set(error, "nobody listened within %g s", streams->rig->wait_s);
        }
        (void)nanosleep(&moment, NULL);
    }
    return 0;
}

static int open_streams(struct rig *rig, void **self, struct traj_error *error)
{
    struct streams *streams = calloc(1, sizeof *streams);
    *self = streams;
    if (!streams) {
        return traj_error_set(error, "memory is short");
    }
    streams->rig = rig;
    streams->count = calloc(rig->session->units, sizeof *streams->count);
    if (!streams->count) {
        return traj_error_set(error, "memory is short");
    }
    const char *missing = traj_lsl_load(&streams->call, dlopen, dlsym, RTLD_NOW | RTLD_LOCAL);
    if (missing) {
        return traj_error_set(error, "lsl: %s", missing);
    }
    if (rig->jitter_ms > 0.0) {
        return traj_error_set(error, "--jitter: a sample of lsl is a whole step, and never late");
    }
    streams->markers = make_markers(streams, rig->endpoint);
    streams->counts = make_counts(streams, rig->endpoint);
    if (!streams->counts || !streams->markers) {
        return traj_error_set(error, "lsl: the streams cannot be made");
    }
    printf("lsl://%s\n", rig->endpoint);
    if (fflush(stdout) != 0) {
        return traj_error_set(error, "standard output cannot be written");
    }
    return wait_for_listener(streams, error);
}

static void close_streams(void *self)
{
    static const struct timespec linger = {0, LINGER_NS};
    struct streams *streams = self;
    if (!streams) {
        return;
    }
    if (streams->counts) {
        (void)nanosleep(&linger, NULL);
        streams->call.destroy_outlet(streams->counts);
    }
    if (streams->markers) {
        streams->call.destroy_outlet(streams->markers);
    }
    free(streams->count);
    free(streams);
}

static int send_item(void *self, const struct rig_item *item, struct traj_error *error)
{
    struct streams *streams = self;
    (void)error;
    if (item->spike) {
        streams->count[item->unit] += 1.0;
        streams->spikes++;
        streams->rig->spikes++;
        return 0;
    }
    const char *text = item->line == RIG_GO_LINE ? "go"
                       : item->state             ? "trial_start"
                                                 : "trial_stop";
    if (item->line == RIG_TRIAL_LINE || item->state) {
        /* A stamp of 0 means now. */
        const double stamp = fmax((double)item->sample / streams->rig->rate, 1e-6);
        streams->rig->messages += streams->call.have_consumers(streams->markers) ? 1 : 0;
        streams->call.push_sample_strt(streams->markers, &text, stamp);
    }
    return 0;
}

static int send_block(void *self, int64_t start, int64_t samples, struct traj_error *error)
{
    struct streams *streams = self;
    const double stamp = (double)(start + samples) / streams->rig->rate;
    (void)error;
    if (rig_loses(streams->rig)) {
        streams->rig->spikes_dropped += streams->spikes;
    } else {
        streams->call.push_sample_dt(streams->counts, streams->count, stamp);
    }
    streams->spikes = 0;
    memset(streams->count, 0, streams->rig->session->units * sizeof *streams->count);
    return 0;
}

static int restart(void *self, struct traj_error *error)
{
    (void)self;
    (void)error;
    return 0;
}

static void name_channel(size_t unit, char *out, size_t cap, int *sorted)
{
    (void)snprintf(out, cap, "ch%zu", unit);
    *sorted = 0;
}

const struct rig_system rig_lsl = {
    .name = "lsl",
    .endpoint = "trajd-rehearsal",
    .rate = 1e6,
    .open = open_streams,
    .item = send_item,
    .block = send_block,
    .restart = restart,
    .close = close_streams,
    .channel = name_channel,
};
