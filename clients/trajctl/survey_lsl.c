/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A stream of counts of the Lab Streaming Layer; see survey.h. */
#include <dlfcn.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clients/trajctl/interrupt.h"
#include "clients/trajctl/progress.h"
#include "clients/trajctl/survey.h"
#include "proto/lsl.h"

#define MOMENT_S 0.1   /* liblsl waits so long before it is asked whether to go on */
#define BUFFERED_S 60  /* liblsl keeps so much where nobody takes it */
#define PATIENCE_S 5.0 /* for an answer of a stream that was found */

struct inlet {
    struct survey *survey;
    struct traj_lsl call;
    traj_lsl_inlet stream;
    struct traj_lsl_counts told;
    double *value; /* [channels] */
    bool short_of_memory;
};

/* What has no label goes by its number, as in the daemon. */
static void add_channel(void *context, int32_t channel, const char *label)
{
    struct inlet *inlet = context;
    char name[TRAJ_MAP_CHANNEL_SIZE];
    if (label) {
        (void)snprintf(name, sizeof name, "%s", label);
    } else {
        (void)snprintf(name, sizeof name, "%d", (int)channel);
    }
    size_t before = inlet->survey->units;
    if (!survey_add(inlet->survey, name, 0, 0)) {
        inlet->short_of_memory = true;
    }
    /* Two channels of one name are one unit to the daemon, and no place is left for the second. */
    if (inlet->survey->units == before) {
        (void)snprintf(inlet->survey->twice, sizeof inlet->survey->twice, "%s", name);
    }
}

/* 0 with the stream open, or -1 with a sentence. */
static int use_stream(struct inlet *inlet, struct traj_error *error)
{
    int32_t code = 0;
    traj_lsl_info info = inlet->call.get_fullinfo(inlet->stream, PATIENCE_S, &code);
    if (!info) {
        return traj_error_set(error, "lsl: the stream does not say what it is");
    }
    const char *why = traj_lsl_describe(&inlet->call, info, &inlet->told);
    if (!why) {
        struct survey *survey = inlet->survey;
        const char *name = inlet->call.get_name(info);
        (void)snprintf(survey->heard, sizeof survey->heard, "%s", name ? name : "");
        traj_lsl_labels(&inlet->call, info, inlet->told.channels, add_channel, inlet);
        inlet->value = calloc((size_t)inlet->told.channels, sizeof *inlet->value);
    }
    inlet->call.destroy_streaminfo(info);
    if (why) {
        return traj_error_set(error, "lsl: %s", why);
    }
    if (inlet->short_of_memory || !inlet->value) {
        return traj_error_set(error, "memory is short");
    }
    if (inlet->survey->twice[0] != '\0') {
        return traj_error_set(error,
                              "lsl: two channels have the label \"%s\": they could not be told "
                              "apart",
                              inlet->survey->twice);
    }
    inlet->call.open_stream(inlet->stream, PATIENCE_S, &code);
    return code == 0 ? 0 : traj_error_set(error, "lsl: the stream cannot be opened");
}

/* Waits for the stream as long as one listens: 0, 1 when interrupted, or -1 with a sentence. */
static int find_stream(struct inlet *inlet, double until, struct traj_error *error)
{
    const char *name = inlet->survey->address;
    char predicate[TRAJ_MAP_CHANNEL_SIZE + 16];
    traj_lsl_info info = NULL;
    if (strchr(name, '\'') || strlen(name) >= TRAJ_MAP_CHANNEL_SIZE) {
        return traj_error_set(error, "--connect: \"%.70s\" is too long or has a quote in it", name);
    }
    (void)snprintf(predicate, sizeof predicate, "name='%s'", name);
    while (!info && monotonic_seconds() < until) {
        if (interrupted()) {
            return 1;
        }
        if (inlet->call.resolve_bypred(&info, 1, predicate, 1, MOMENT_S) < 1) {
            info = NULL;
        }
    }
    if (!info) {
        return traj_error_set(error, "lsl: no stream of the name \"%s\" was found in %g s", name,
                              inlet->survey->seconds);
    }
    inlet->stream = inlet->call.create_inlet(info, BUFFERED_S, 0, 1);
    inlet->call.destroy_streaminfo(info);
    return inlet->stream ? use_stream(inlet, error)
                         : traj_error_set(error, "lsl: the stream cannot be opened");
}

static void count_sample(const struct inlet *inlet)
{
    struct survey *survey = inlet->survey;
    survey->messages++;
    for (int32_t c = 0; c < inlet->told.channels; c++) {
        double value = inlet->value[c];
        if (!(value >= 0.0 && value < 65535.0) || floor(value) < value) {
            survey->refused++;
            return;
        }
    }
    for (int32_t c = 0; c < inlet->told.channels; c++) {
        survey->unit[c].spikes += (uint64_t)inlet->value[c];
    }
}

/* A stream that ends meanwhile has told its channels all the same. */
static int listen_until(struct inlet *inlet, double until)
{
    int32_t code = 0;
    while (monotonic_seconds() < until && code != TRAJ_LSL_LOST) {
        if (interrupted()) {
            return 1;
        }
        double stamp = inlet->call.pull_sample_d(inlet->stream, inlet->value, inlet->told.channels,
                                                 MOMENT_S, &code);
        if (code == 0 && stamp != 0.0) {
            count_sample(inlet);
        }
    }
    return 0;
}

int survey_lsl(struct survey *survey, struct traj_error *error)
{
    struct inlet inlet = {.survey = survey};
    const char *missing = traj_lsl_load(&inlet.call, dlopen, dlsym, RTLD_NOW | RTLD_LOCAL);
    if (missing) {
        return traj_error_set(error, "lsl: %s", missing);
    }
    /* The channels are told, in an order that means something; a silent one is one of them. */
    survey->told = true;
    survey->rate = 1e6; /* the clock on which the daemon lays steps */
    double until = monotonic_seconds() + survey->seconds;
    int result = find_stream(&inlet, until, error);
    if (result == 0) {
        result = listen_until(&inlet, until);
    }
    if (result == 0 && survey->messages > 0 && survey->refused == survey->messages) {
        result = traj_error_set(error,
                                "lsl: \"%s\" sends no counts: whole numbers from 0 to 65534 are "
                                "expected",
                                survey->heard);
    }
    if (inlet.stream) {
        inlet.call.destroy_inlet(inlet.stream);
    }
    free(inlet.value);
    return result;
}
