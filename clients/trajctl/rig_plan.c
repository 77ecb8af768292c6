/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A session on the clock of a simulated rig; see rig.h. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clients/files/session_file.h"
#include "clients/trajctl/output.h"
#include "clients/trajctl/rig.h"
#include "proto/units_map.h"

/* splitmix64 (Steele et al. 2014) to [0, 1). */
static double uniform(uint64_t *state)
{
    uint64_t z = (*state += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return (double)((z ^ (z >> 31)) >> 11) * 0x1p-53;
}

bool rig_loses(struct rig *rig)
{
    bool lost =
        rig->loss > 0.0 && uniform(&rig->state) < rig->loss && !rig->keep && rig->messages > 0;
    rig->messages++;
    rig->dropped += lost;
    return lost;
}

int64_t rig_edge(const struct rig *rig, size_t bin)
{
    return (int64_t)ceil((double)bin * rig->period);
}

/* The sample of a time of the session; times in gaps go to where the next bin begins. */
static int64_t sample_of(const struct rig *rig, double t)
{
    const struct traj_session *session = rig->session;
    size_t low = 0, high = rig->bins;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (session->t_end[middle] < t) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    int64_t first = rig_edge(rig, low);
    if (low == rig->bins) {
        return first;
    }
    double share = 1.0 - (session->t_end[low] - t) / session->dt[low];
    if (share <= 0.0) {
        return first;
    }
    return first + (int64_t)floor(share * (double)(rig_edge(rig, low + 1) - first) + 0.5);
}

/* --- what happens -------------------------------------------------------------------------- */

static void add_line(struct rig *rig, int64_t sample, uint8_t line, uint8_t state)
{
    rig->item[rig->items++] =
        (struct rig_item){.sample = sample, .announce = sample, .line = line, .state = state};
}

/* A trial ends at its stop or at the next one's start, whichever is first. */
static double end_of_trial(const struct traj_session *session, size_t trial)
{
    double stop = session->stop[trial];
    if (trial + 1 < session->trials && session->start[trial + 1] < stop) {
        return session->start[trial + 1];
    }
    return stop;
}

static void add_trials(struct rig *rig)
{
    const struct traj_session *session = rig->session;
    double last = session->t_end[rig->bins - 1];
    for (size_t r = 0; r < session->trials && session->start[r] < last; r++) {
        double stop = end_of_trial(session, r);
        bool go = session->go && session->go[r] >= session->start[r] && session->go[r] < stop;
        add_line(rig, sample_of(rig, session->start[r]), RIG_TRIAL_LINE, 1);
        if (go) {
            add_line(rig, sample_of(rig, session->go[r]), RIG_GO_LINE, 1);
            add_line(rig, sample_of(rig, stop), RIG_GO_LINE, 0);
        }
        add_line(rig, sample_of(rig, stop), RIG_TRIAL_LINE, 0);
    }
}

static void add_spikes(struct rig *rig, uint64_t *state)
{
    const struct traj_session *session = rig->session;
    double jitter = 1e-3 * rig->jitter_ms * rig->rate;
    for (size_t i = 0; i < rig->bins; i++) {
        int64_t first = rig_edge(rig, i), samples = rig_edge(rig, i + 1) - first;
        for (size_t n = 0; n < session->units; n++) {
            unsigned count = session->counts[i * session->units + n];
            for (unsigned k = 0; k < count && count != TRAJ_COUNT_MISSING; k++) {
                int64_t sample = first + (int64_t)(uniform(state) * (double)samples);
                int64_t wait = jitter > 0.0 ? (int64_t)(uniform(state) * jitter) : 0;
                rig->item[rig->items++] = (struct rig_item){.sample = sample,
                                                            .announce = sample + wait,
                                                            .unit = (uint32_t)n,
                                                            .spike = true};
            }
        }
    }
}

/* By announcement; lines that change at one instant (`unit` numbers them) come before spikes. */
static int compare(const void *left, const void *right)
{
    const struct rig_item *a = left, *b = right;
    if (a->announce != b->announce) {
        return a->announce < b->announce ? -1 : 1;
    }
    if (a->spike != b->spike) {
        return a->spike ? 1 : -1;
    }
    return a->unit < b->unit ? -1 : a->unit > b->unit;
}

static size_t count_items(const struct rig *rig)
{
    const struct traj_session *session = rig->session;
    size_t items = 4 * session->trials + 1;
    for (size_t i = 0; i < rig->bins * session->units; i++) {
        items += session->counts[i] != TRAJ_COUNT_MISSING ? session->counts[i] : 0;
    }
    return items;
}

static int compare_widths(const void *left, const void *right)
{
    double a = *(const double *)left, b = *(const double *)right;
    return a < b ? -1 : a > b;
}

static int median_width(struct rig *rig, struct traj_error *error)
{
    size_t bins = rig->session->bins;
    double *width = malloc(bins * sizeof *width);
    if (!width) {
        return traj_error_set(error, "memory is short");
    }
    memcpy(width, rig->session->dt, bins * sizeof *width);
    qsort(width, bins, sizeof *width, compare_widths);
    rig->bin_s = width[bins / 2];
    free(width);
    return 0;
}

static int check_session(struct rig *rig, struct traj_error *error)
{
    const struct traj_session *session = rig->session;
    rig->bins = rig->limit > 0 && rig->limit < session->bins ? rig->limit : session->bins;
    if (rig->bins == 0 || session->units == 0 || session->features > 0) {
        return traj_error_set(error, "%s: a rig sends spikes, and needs a session of counts alone",
                              rig->session_path);
    }
    if (rig->bin_s == 0.0 && median_width(rig, error) != 0) {
        return -1;
    }
    rig->period = rig->rate * rig->bin_s;
    double whole = floor(rig->period + 0.5);
    if (fabs(rig->period - whole) <= 1e-6 * rig->period) {
        rig->period = whole;
    }
    return rig->period >= 2.0
               ? 0
               : traj_error_set(error, "--rate: a bin of %s has less than two samples",
                                rig->session_path);
}

int rig_plan(struct rig *rig, struct traj_error *error)
{
    uint64_t state = rig->seed;
    rig->state = rig->seed ^ 0x5bd1e995u;
    rig->session = traj_session_read(rig->session_path, error);
    if (!rig->session || check_session(rig, error)) {
        return -1;
    }
    rig->item = calloc(count_items(rig), sizeof *rig->item);
    if (!rig->item) {
        return traj_error_set(error, "memory is short");
    }
    /* Each trial's stop before the next one's start; the number keeps that order. */
    add_trials(rig);
    size_t lines = rig->items;
    add_spikes(rig, &state);
    for (size_t i = 0; i < lines; i++) {
        rig->item[i].unit = (uint32_t)i;
    }
    qsort(rig->item, rig->items, sizeof *rig->item, compare);
    return 0;
}

void rig_free(struct rig *rig)
{
    traj_session_free(rig->session);
    free(rig->item);
}

/* --- files ----------------------------------------------------------------------------------- */

static void move_frames(const struct rig *rig, struct traj_session *out)
{
    const struct traj_session *in = rig->session;
    for (size_t i = 0; i < rig->bins; i++) {
        int64_t first = rig_edge(rig, i), end = rig_edge(rig, i + 1);
        out->t_end[i] = (double)end / rig->rate;
        out->dt[i] = (double)(end - first) / rig->rate;
    }
    for (size_t i = 0; i < rig->bins * in->units; i++) {
        /* A rig cannot say that a unit was not observed: it is silent. */
        out->counts[i] = in->counts[i] == TRAJ_COUNT_MISSING ? 0 : in->counts[i];
    }
    if (out->unit_name && in->unit_name) {
        memcpy(out->unit_name, in->unit_name, in->units * sizeof *in->unit_name);
    }
}

static void move_trials(const struct rig *rig, struct traj_session *out)
{
    const struct traj_session *in = rig->session;
    for (size_t r = 0; r < out->trials; r++) {
        out->start[r] = (double)sample_of(rig, in->start[r]) / rig->rate;
        out->stop[r] = (double)sample_of(rig, end_of_trial(in, r)) / rig->rate;
        if (out->go && in->go && !isnan(in->go[r])) {
            out->go[r] = (double)sample_of(rig, in->go[r]) / rig->rate;
        }
    }
}

int rig_write_bins(const struct rig *rig, const char *path, struct traj_error *error)
{
    const struct traj_session *in = rig->session;
    struct traj_session *out = traj_session_new(path);
    size_t trials = 0;
    int result = -1;
    while (trials < in->trials && in->start[trials] < in->t_end[rig->bins - 1]) {
        trials++;
    }
    if (!out) {
        return traj_error_set(error, "memory is short");
    }
    if (traj_session_make_frames(out, rig->bins, in->units, 0,
                                 in->unit_name ? TRAJ_SESSION_UNIT_NAME : 0, error) == 0 &&
        (trials == 0 ||
         traj_session_make_trials(out, trials, in->go ? TRAJ_SESSION_GO : 0, error) == 0)) {
        move_frames(rig, out);
        move_trials(rig, out);
        result = traj_session_write(out, path, error);
    }
    traj_session_free(out);
    return result;
}

/* Where a session names no units, the model does not either, and the place counts. */
static void fill_map(const struct rig *rig, const struct rig_system *system,
                     struct traj_units_map *map)
{
    const struct traj_session *session = rig->session;
    for (size_t n = 0; n < session->units; n++) {
        struct traj_map_unit *unit = &map->unit[n];
        int sorted = 0;
        if (session->unit_name) {
            memcpy(unit->name, session->unit_name[n], sizeof unit->name);
        } else {
            (void)snprintf(unit->name, sizeof unit->name, "%zu", n);
        }
        system->channel(n, unit->channel, sizeof unit->channel, &sorted);
        unit->unit = sorted;
    }
    map->units = session->units;
}

int rig_write_map(const struct rig *rig, const struct rig_system *system, const char *stream,
                  const char *path, struct traj_error *error)
{
    struct traj_units_map map = {.rate = rig->rate, .units_max = rig->session->units};
    size_t cap = 512 + 512 * rig->session->units;
    char *text = malloc(cap);
    int result = -1;
    map.unit = calloc(map.units_max, sizeof *map.unit);
    if (!map.unit || !text) {
        traj_error_set(error, "memory is short");
    } else {
        (void)snprintf(map.source, sizeof map.source, "%s", system->name);
        (void)snprintf(map.stream, sizeof map.stream, "%s", stream);
        fill_map(rig, system, &map);
        size_t size = traj_units_map_write(&map, text, cap);
        result = output_write(path, text, size, error);
    }
    free(map.unit);
    free(text);
    return result;
}
