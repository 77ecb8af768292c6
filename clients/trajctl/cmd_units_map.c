/* SPDX-License-Identifier: GPL-3.0-or-later */
/* trajctl units-map: which of a rig's channels are which units, from some seconds of traffic. */
#include <ctype.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clients/trajctl/commands.h"
#include "clients/trajctl/interrupt.h"
#include "clients/trajctl/options.h"
#include "clients/trajctl/output.h"
#include "clients/trajctl/survey.h"
#include "daemon/learn/model_file.h"

static const struct command_help help = {
    .name = "units-map",
    .usage = "SYSTEM --connect HOST:PORT --out MAP.json [options]",
    .about =
        "Listens to a rig and writes the map of its units that the daemon's \"source\" needs: "
        "each channel and sorted unit that fired, in order, with a name; of LSL each channel of "
        "the stream, in its order. With --model the n-th "
        "gets the name of the model's n-th unit, otherwise it is called CHANNEL/UNIT. Look "
        "through the file, and correct names or strike units out by hand: the daemon matches "
        "them to its model by name.",
    .example = "trajctl units-map open-ephys --connect 192.168.1.5:5556 --out rig.json\n"
               "trajctl units-map open-ephys --connect rig:5556 --model m.tjm --out m.json\n"
               "trajctl units-map lsl --connect BinnedSpikes --model m.tjm --out m.json\n",
    .operands = 1,
};

struct request {
    const char *system, *out, *model;
    uint64_t least; /* spikes; UINT64_MAX = not said */
    bool sorted;    /* leave unit 0 away */
    double rate;    /* samples/s; 0 = as heard */
    struct survey survey;
};

/* Numbers inside names by their value: "CH2" before "CH10". */
static int compare_names(const char *a, const char *b)
{
    while (*a && *b) {
        if (isdigit((unsigned char)*a) && isdigit((unsigned char)*b)) {
            char *enda, *endb;
            unsigned long long m = strtoull(a, &enda, 10), n = strtoull(b, &endb, 10);
            if (m != n) {
                return m < n ? -1 : 1;
            }
            a = enda;
            b = endb;
        } else if (*a != *b) {
            return *a < *b ? -1 : 1;
        } else {
            a++;
            b++;
        }
    }
    return *a ? 1 : *b ? -1 : 0;
}

static int compare_units(const void *left, const void *right)
{
    const struct survey_unit *a = left, *b = right;
    int names = compare_names(a->channel, b->channel);
    return names ? names : a->unit < b->unit ? -1 : a->unit > b->unit;
}

/*
 * Strikes out what is not wanted and puts the rest in order.  Where nobody told the units, one that
 * fired is one.
 */
static void select_units(struct request *request)
{
    struct survey *survey = &request->survey;
    const uint64_t least = request->least != UINT64_MAX ? request->least : survey->told ? 0 : 1;
    size_t kept = 0;
    for (size_t n = 0; n < survey->units; n++) {
        if (survey->unit[n].spikes >= least && !(request->sorted && survey->unit[n].unit == 0)) {
            survey->unit[kept++] = survey->unit[n];
        }
    }
    survey->units = kept;
    if (kept > 1 && !survey->told) {
        qsort(survey->unit, kept, sizeof *survey->unit, compare_units);
    }
}

/* The name of the n-th unit; cut short where it is longer than names may be. */
static void name_unit(const struct request *request, const struct traj_model *model, size_t n,
                      char *out, size_t cap)
{
    const struct survey_unit *unit = &request->survey.unit[n];
    char name[TRAJ_MAP_CHANNEL_SIZE + 16];
    if (model && model->about.unit_name) {
        (void)snprintf(out, cap, "%.*s", (int)cap - 1, model->about.unit_name[n]);
        return;
    }
    (void)snprintf(name, sizeof name, "%s/%d", unit->channel, (int)unit->unit);
    size_t length = strlen(name), from = length >= cap ? length - cap + 1 : 0;
    memcpy(out, name + from, length - from + 1);
}

static int write_map(const struct request *request, const struct traj_model *model,
                     struct traj_error *error)
{
    const struct survey *survey = &request->survey;
    struct traj_units_map map = {.units = survey->units, .units_max = survey->units};
    size_t cap = 1024 + 1024 * survey->units;
    char *text = malloc(cap);
    int result = -1;
    map.unit = calloc(survey->units, sizeof *map.unit);
    if (!map.unit || !text) {
        traj_error_set(error, "memory is short");
    } else {
        map.rate = request->rate > 0.0 ? request->rate : survey->rate;
        (void)snprintf(map.source, sizeof map.source, "%s", request->system);
        (void)snprintf(map.stream, sizeof map.stream, "%s", survey->heard);
        for (size_t n = 0; n < survey->units; n++) {
            name_unit(request, model, n, map.unit[n].name, sizeof map.unit[n].name);
            memcpy(map.unit[n].channel, survey->unit[n].channel, sizeof map.unit[n].channel);
            map.unit[n].unit = survey->unit[n].unit;
        }
        size_t size = traj_units_map_write(&map, text, cap);
        result = output_write(request->out, text, size, error);
    }
    free(map.unit);
    free(text);
    return result;
}

static const struct {
    const char *name;
    int (*survey)(struct survey *survey, struct traj_error *error);
} systems[] = {{"open-ephys", survey_open_ephys},
               {"event-broadcaster", survey_event_broadcaster},
               {"blackrock", survey_blackrock},
               {"lsl", survey_lsl}};

static int listen_to(struct request *request, struct traj_error *error)
{
    for (size_t i = 0; i < COUNT_OF(systems); i++) {
        if (strcmp(systems[i].name, request->system) == 0) {
            return systems[i].survey(&request->survey, error);
        }
    }
    return traj_error_set(error, "\"%s\" is not open-ephys, event-broadcaster, blackrock or lsl",
                          request->system);
}

static int make_map(struct request *request, struct traj_error *error)
{
    struct survey *survey = &request->survey;
    struct traj_model *model = NULL;
    int result;
    if (listen_to(request, error) < 0) {
        return -1;
    }
    select_units(request);
    if (survey->units == 0) {
        return traj_error_set(
            error, "%s: no spikes in %g s (%llu messages, %llu of them not understood)",
            survey->address, survey->seconds, (unsigned long long)survey->messages,
            (unsigned long long)survey->refused);
    }
    if (request->model) {
        model = traj_model_load(request->model, error);
        if (!model) {
            return -1;
        }
        if (model->dims.units != survey->units) {
            traj_error_set(error,
                           "%s has %zu units and the rig %zu: names cannot be given by place; "
                           "listen longer, or leave --model away and name them by hand",
                           request->model, model->dims.units, survey->units);
            traj_model_free(model);
            return -1;
        }
    }
    result = write_map(request, model, error);
    traj_model_free(model);
    return result;
}

static void report(const struct request *request)
{
    const struct survey *survey = &request->survey;
    printf("%s: %zu units of \"%s\", ", request->out, survey->units, survey->heard);
    if (request->rate > 0.0 || survey->rate > 0.0) {
        printf("%g samples/s\n", request->rate > 0.0 ? request->rate : survey->rate);
    } else {
        printf("samples/s not told: add \"rate\", or rate= in the source\n");
    }
    if (survey->others[0] != '\0') {
        printf("other streams: %s\n", survey->others);
    }
}

int cmd_units_map(int argc, char **argv)
{
    struct request request = {.least = UINT64_MAX, .survey = {.seconds = 5.0}};
    const struct command_option options[] = {
        {"connect", "HOST:PORT", OPTION_TEXT, &request.survey.address,
         "where the rig sends; of lsl, the name of the stream of counts", .required = true},
        {"out", "MAP.json", OPTION_TEXT, &request.out, "the map to write", .required = true,
         .file = FILE_WRITTEN},
        {"seconds", "S", OPTION_REAL, &request.survey.seconds, "how long to listen, s", 0.1,
         3600.0},
        {"model", "M.tjm", OPTION_TEXT, &request.model, "take the names from this model, by place",
         .file = FILE_READ},
        {"stream", "NAME", OPTION_TEXT, &request.survey.stream,
         "the stream to listen to; without it, the first that is heard"},
        {"rate", "HZ", OPTION_REAL, &request.rate, "samples/s, where the rig does not tell", 1.0,
         1e10, .plain = true},
        {"protocol", "V", OPTION_TEXT, &request.survey.protocol,
         "blackrock's: 3.11, 4.0, 4.1 or 4.2 (default 4.1)", .plain = true},
        {"sorted", NULL, OPTION_FLAG, &request.sorted, "leave unsorted spikes (unit 0) out"},
        {"least", "N", OPTION_U64, &request.least,
         "leave units of fewer spikes out; without it, those that are silent, except of lsl, which "
         "tells its channels",
         .plain = true},
    };
    int status = options_parse(&help, options, COUNT_OF(options), argc, argv);
    if (status != OPTIONS_RUN) {
        return status;
    }
    request.system = optind < argc ? argv[optind] : "";
    if (request.system[0] == '\0') {
        return usage_error("units-map",
                           "name the system: open-ephys, event-broadcaster, blackrock or lsl");
    }
    struct traj_error error = {0};
    interrupt_catch();
    int result = make_map(&request, &error);
    if (result == 0) {
        report(&request);
    }
    survey_free(&request.survey);
    return result == 0 ? 0 : failure("units-map", "%s", error.text);
}
