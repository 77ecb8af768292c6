/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What every source works with; see intake.h. */
#include "daemon/io/source/intake.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A map file longer than this is none: a line takes some 150 bytes. */
#define MAP_BYTES_MAX (8 << 20)

static const char *const common_options[] = {"units",      "bin_ms", "lag_ms", "wait_ms", "rate",
                                             "silence_ms", "jump_s", "trial",  "go",      NULL};

/* --- the map ---------------------------------------------------------------------------------- */

static char *read_file(const char *path, size_t *size, struct traj_error *error)
{
    FILE *file = fopen(path, "rb");
    char *text = malloc(MAP_BYTES_MAX);

    *size = 0;
    if (file == NULL) {
        (void)traj_error_set(error, "%s: %s", path, strerror(errno));
    } else if (text == NULL) {
        (void)traj_error_set(error, "out of memory");
    } else {
        *size = fread(text, 1, MAP_BYTES_MAX, file);
        if (ferror(file) || *size == MAP_BYTES_MAX) {
            (void)traj_error_set(error, "%s: cannot be read, or is no map of units", path);
            *size = 0;
        }
    }
    if (file != NULL) {
        (void)fclose(file);
    }
    if (*size == 0) {
        (void)traj_error_set(error, "%s: is empty", path);
        free(text);
        return NULL;
    }
    return text;
}

static int read_map(struct traj_intake *intake, struct traj_error *error)
{
    const char *path = traj_url_text(&intake->url, "units", NULL);
    struct traj_refusal_detail detail = {NULL, NULL, 0};
    size_t size = 0;
    char *text;

    if (path == NULL) {
        return traj_error_set(error, "source: which channels are the model's units must be told by "
                                     "?units=FILE; trajctl units-map makes one from live traffic");
    }
    intake->map.units_max = TRAJ_UNITS_MAX;
    intake->map.unit = calloc(intake->map.units_max, sizeof *intake->map.unit);
    text = intake->map.unit != NULL ? read_file(path, &size, error) : NULL;
    if (text == NULL) {
        return traj_error_set(error, "out of memory");
    }
    if (traj_units_map_parse(text, size, &intake->map, &detail) != TRAJ_ACCEPTED) {
        free(text);
        return traj_error_set(error, "%s: %s: %s, at byte %zu", path, detail.field, detail.reason,
                              detail.offset);
    }
    free(text);
    if (strcmp(intake->map.source, intake->url.scheme) != 0) {
        return traj_error_set(error, "%s: is a map of %s, the source is %s", path,
                              intake->map.source, intake->url.scheme);
    }
    return 0;
}

/* FNV-1a (Fowler, Noll, Vo). */
static size_t place(const struct traj_intake *intake, const char *channel, int32_t unit)
{
    uint64_t hash = UINT64_C(14695981039346656037);

    for (; *channel != '\0'; channel++) {
        hash = (hash ^ (unsigned char)*channel) * UINT64_C(1099511628211);
    }
    hash = (hash ^ (uint32_t)unit) * UINT64_C(1099511628211);
    return (size_t)(hash ^ (hash >> 32)) & (intake->slots - 1);
}

static int make_table(struct traj_intake *intake, struct traj_error *error)
{
    intake->slots = 16;
    while (intake->slots < 2 * intake->map.units) {
        intake->slots *= 2;
    }
    intake->table = calloc(intake->slots, sizeof *intake->table);
    if (intake->table == NULL) {
        return traj_error_set(error, "out of memory");
    }
    for (size_t n = 0; n < intake->map.units; n++) {
        size_t at = place(intake, intake->map.unit[n].channel, intake->map.unit[n].unit);

        while (intake->table[at] != 0) {
            at = (at + 1) & (intake->slots - 1);
        }
        intake->table[at] = (uint32_t)n + 1;
    }
    return 0;
}

/* The map's line for exactly this channel and unit, or (size_t)-1. */
static size_t find(const struct traj_intake *intake, const char *channel, int32_t unit)
{
    size_t at = place(intake, channel, unit);

    while (intake->table[at] != 0) {
        size_t n = intake->table[at] - 1;

        if (intake->map.unit[n].unit == unit && strcmp(intake->map.unit[n].channel, channel) == 0) {
            return n;
        }
        at = (at + 1) & (intake->slots - 1);
    }
    return (size_t)-1;
}

static size_t unit_named(const struct traj_model *model, const char *name)
{
    for (size_t n = 0; n < model->dims.units; n++) {
        if (strncmp(model->about.unit_name[n], name, TRAJ_ID_SIZE) == 0) {
            return n;
        }
    }
    return (size_t)-1;
}

static int match_units(struct traj_intake *intake, const struct traj_model *model,
                       struct traj_error *error)
{
    size_t common = 0;

    intake->units = model->dims.units;
    intake->observed = calloc(intake->units > 0 ? intake->units : 1, sizeof *intake->observed);
    intake->unit_of = calloc(intake->map.units > 0 ? intake->map.units : 1, sizeof(size_t));
    if (intake->observed == NULL || intake->unit_of == NULL) {
        return traj_error_set(error, "out of memory");
    }
    if (model->about.unit_name == NULL && intake->map.units != intake->units) {
        return traj_error_set(
            error, "source: the map has %zu units, the model %zu, which it does not name",
            intake->map.units, intake->units);
    }
    for (size_t n = 0; n < intake->map.units; n++) {
        size_t unit =
            model->about.unit_name == NULL ? n : unit_named(model, intake->map.unit[n].name);

        intake->unit_of[n] = unit;
        if (unit != (size_t)-1) {
            intake->observed[unit] = true;
            common++;
        }
    }
    if (common == 0) {
        return traj_error_set(error, "source: the map has no unit in common with the model");
    }
    if (common < intake->units) {
        traj_intake_say(intake, "%zu of the model's %zu units are not in the map: not observed",
                        intake->units - common, intake->units);
    }
    return 0;
}

/* --- opening ---------------------------------------------------------------------------------- */

static int read_times(struct traj_intake *intake, struct traj_error *error)
{
    const struct traj_url *url = &intake->url;
    struct traj_binner_settings *settings = &intake->settings;
    double bin = 1e3 * settings->bin_s;
    double lag = 1e3 * settings->lag_s;
    double wait = 1e3 * settings->wait_s;
    double silence = 1e3 * settings->silence_s;
    const char *wrong;

    if (intake->map.rate > 0.0) {
        settings->rate = intake->map.rate;
    }
    if (traj_url_real(url, "bin_ms", 0.1, 10000.0, &bin, error) != 0 ||
        traj_url_real(url, "lag_ms", 0.0, 60000.0, &lag, error) != 0 ||
        traj_url_real(url, "wait_ms", 0.0, 60000.0, &wait, error) != 0 ||
        traj_url_real(url, "silence_ms", 1.0, 120000.0, &silence, error) != 0 ||
        traj_url_real(url, "jump_s", 0.1, 600.0, &settings->jump_s, error) != 0 ||
        traj_url_real(url, "rate", 1.0, 1e10, &settings->rate, error) != 0 ||
        traj_url_whole(url, "trial", 0, 255, &intake->trial_line, error) != 0 ||
        traj_url_whole(url, "go", 0, 255, &intake->go_line, error) != 0) {
        return -1;
    }
    settings->bin_s = traj_url_text(url, "bin_ms", NULL) != NULL ? 1e-3 * bin : settings->bin_s;
    settings->lag_s = 1e-3 * lag;
    settings->wait_s = 1e-3 * wait;
    /* Times that were not chosen make room for those that were. */
    if (traj_url_text(url, "silence_ms", NULL) != NULL) {
        settings->silence_s = 1e-3 * silence;
    } else if (settings->silence_s < settings->wait_s + settings->lag_s + 4.0 * settings->bin_s) {
        settings->silence_s = settings->wait_s + settings->lag_s + 4.0 * settings->bin_s;
    }
    if (traj_url_text(url, "jump_s", NULL) == NULL &&
        settings->jump_s < 4.0 * settings->silence_s) {
        settings->jump_s = 4.0 * settings->silence_s;
    }
    if (settings->rate == 0.0) {
        return traj_error_set(error,
                              "source: neither the map nor ?rate= tells the samples a second "
                              "of the source's clock");
    }
    wrong = traj_binner_check(settings);
    return wrong == NULL ? 0
                         : traj_error_set(error,
                                          "source: \"%s\" does not fit: needed are a bin of two "
                                          "samples or more, lag + bin < silence < jump",
                                          wrong);
}

static int make_buffers(struct traj_intake *intake, struct traj_error *error)
{
    size_t size = traj_binner_size(&intake->settings);

    intake->memory = size > 0 ? malloc(size) : NULL;
    intake->binner = traj_binner_init(intake->memory, size, &intake->settings);
    intake->event = calloc(1, sizeof *intake->event);
    intake->frame.counts = calloc(intake->units, sizeof *intake->frame.counts);
    intake->frame.units_max = intake->units;
    return intake->binner != NULL && intake->event != NULL && intake->frame.counts != NULL
               ? 0
               : traj_error_set(error, "out of memory");
}

int traj_intake_open(struct traj_intake *intake, const char *url, const struct traj_model *model,
                     const struct traj_binner_settings *defaults, const char *const *own,
                     struct traj_error *error)
{
    memset(intake, 0, sizeof *intake);
    intake->trial_line = -1;
    intake->go_line = -1;
    intake->settings = *defaults;
    intake->settings.bin_s = model->bin_width;
    intake->settings.units = model->dims.units;
    if (model->dims.units == 0 || model->dims.features > 0) {
        return traj_error_set(error, "source: a source of spikes needs a model of units alone");
    }
    if (traj_url_parse(url, &intake->url, error) != 0 ||
        traj_url_check(&intake->url, common_options, own, error) != 0 ||
        read_map(intake, error) != 0 || make_table(intake, error) != 0 ||
        match_units(intake, model, error) != 0 || read_times(intake, error) != 0) {
        return -1;
    }
    return make_buffers(intake, error);
}

void traj_intake_close(struct traj_intake *intake)
{
    free(intake->map.unit);
    free(intake->table);
    free(intake->observed);
    free(intake->unit_of);
    free(intake->memory);
    free(intake->event);
    free(intake->frame.counts);
    memset(intake, 0, sizeof *intake);
}

bool traj_intake_fits(const struct traj_model *one, const struct traj_model *other)
{
    if (one->dims.units != other->dims.units || one->dims.features != other->dims.features ||
        (one->about.unit_name == NULL) != (other->about.unit_name == NULL)) {
        return false;
    }
    for (size_t n = 0; one->about.unit_name != NULL && n < one->dims.units; n++) {
        if (strncmp(one->about.unit_name[n], other->about.unit_name[n], TRAJ_ID_SIZE) != 0) {
            return false;
        }
    }
    return true;
}

/* --- what messages bring ---------------------------------------------------------------------- */

void traj_intake_begin(struct traj_intake *intake)
{
    if (intake->run > 0) {
        intake->counters.restarts++;
    }
    intake->run++;
    intake->announce = true;
    intake->mark_count = 0;
    traj_binner_restart(intake->binner);
}

void traj_intake_seen(struct traj_intake *intake, int64_t sample, double now)
{
    if (intake->run == 0) {
        traj_intake_begin(intake);
    }
    if (traj_binner_seen(intake->binner, sample, now) == TRAJ_BINNER_ANEW) {
        traj_intake_begin(intake);
        (void)traj_binner_seen(intake->binner, sample, now);
    }
}

void traj_intake_spikes(struct traj_intake *intake, const char *channel, int32_t unit,
                        int64_t sample, uint16_t count)
{
    size_t line = find(intake, channel, unit);

    if (line == (size_t)-1) {
        line = find(intake, channel, TRAJ_MAP_ANY);
    }
    if (line == (size_t)-1 || intake->unit_of[line] == (size_t)-1) {
        intake->counters.unmapped += count;
        return;
    }
    (void)traj_binner_spikes(intake->binner, sample, intake->unit_of[line], count);
}

void traj_intake_line(struct traj_intake *intake, long line, bool high, int64_t sample)
{
    size_t at = (intake->mark_first + intake->mark_count) % TRAJ_INTAKE_MARKS;
    enum traj_event_kind kind = high ? TRAJ_EVENT_TRIAL_START : TRAJ_EVENT_TRIAL_STOP;

    if (line == intake->go_line && high) {
        kind = TRAJ_EVENT_GO;
    } else if (line != intake->trial_line) {
        return;
    }
    if (intake->mark_count == TRAJ_INTAKE_MARKS) {
        intake->counters.marks_lost++;
        return;
    }
    intake->mark[at].kind = kind;
    intake->mark[at].t = (double)sample / intake->settings.rate;
    intake->mark_count++;
    intake->counters.marks++;
}

void traj_intake_say(struct traj_intake *intake, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    (void)vsnprintf(intake->said, sizeof intake->said, format, arguments);
    va_end(arguments);
    intake->said_count++;
}
