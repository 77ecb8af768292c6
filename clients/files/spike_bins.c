/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Trains of spikes -> counts in bins. */
#include "clients/files/spike_bins.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* More bins than any recording has: a time in another unit than seconds, or a width that is. */
#define BINS_MAX 1e8
/*
 * Of spikes in seconds, bins that nearly all stay empty are made by few units that fire rarely, or
 * by many that hardly fire at all.  Where the units that fire do so less than once in 20 s on
 * average, and all of them together in less than every tenth bin, times are in another unit: in ms
 * a recording is a thousand times as long, so that 100 units of 10 Hz seem to fire once in 100 s
 * each, once a second together.  A recording of half an hour in bins of 20 ms is left alone,
 * whatever it holds.
 */
#define BINS_FREE 1e5
#define RATE_MIN 0.05 /* 1/s, of a unit that fires */
#define SHARE_MIN 0.1 /* spikes a bin, of all units */
#define EDGE 1e-6     /* of a bin: an end that is nearer than this is the same */

struct bins {
    const char *path;
    double width;
    double *t_end, *dt;
    size_t count, room;
    struct traj_error *error;
};

static int add_bin(struct bins *b, double t_end, double dt)
{
    if (b->count == b->room) {
        size_t room = 2 * b->room + 1024;
        double *ends = realloc(b->t_end, room * sizeof *ends);
        if (ends != NULL)
            b->t_end = ends;
        double *widths = ends != NULL ? realloc(b->dt, room * sizeof *widths) : NULL;
        if (widths == NULL)
            return traj_error_set(b->error, "%s: no memory for %zu bins", b->path, room);
        b->dt = widths;
        b->room = room;
    }
    b->t_end[b->count] = t_end;
    b->dt[b->count++] = dt;
    return 0;
}

/* ---- how many there may be --------------------------------------------------------------- */

static size_t spikes_of(const struct traj_spike_trains *trains)
{
    return trains->units > 0 ? trains->end[trains->units - 1] : 0;
}

static size_t units_that_fire(const struct traj_spike_trains *trains)
{
    size_t count = 0;
    for (size_t n = 0; n < trains->units; n++)
        count += trains->end[n] > (n > 0 ? trains->end[n - 1] : 0);
    return count;
}

/* Before bins are made whose number no array of the file bounds, but a time that stands in it. */
static int check_number(const struct bins *b, const struct traj_spike_trains *trains, double bins)
{
    double spikes = (double)spikes_of(trains), seconds = bins * b->width;
    double units = (double)units_that_fire(trains);
    if (bins <= BINS_FREE || spikes >= SHARE_MIN * bins || spikes > RATE_MIN * units * seconds)
        return 0;
    return traj_error_set(
        b->error,
        "%s: %s: %zu spikes of %zu units for %.0f bins of %g s, which are %.0f s: "
        "times must be in seconds",
        b->path, trains->name, spikes_of(trains), trains->units, bins, b->width, seconds);
}

/* ---- where bins lie ---------------------------------------------------------------------- */

static int find_span(const struct traj_session *s, const struct traj_spike_trains *trains,
                     const struct traj_bin_choice *choice, double *from, double *to,
                     struct traj_error *error)
{
    size_t spikes = spikes_of(trains);
    double first = INFINITY, last = -INFINITY;
    for (size_t i = 0; i < spikes; i++) {
        first = fmin(first, trains->time[i]);
        last = fmax(last, trains->time[i]);
    }
    if (s->samples > 0) {
        first = s->kin_t[0];
        last = s->kin_t[s->samples - 1];
    }
    *from = isnan(choice->from) ? first : choice->from;
    *to = isnan(choice->to) ? last : choice->to;
    if (isfinite(*from) && isfinite(*to) && *to > *from)
        return 0;
    return traj_error_set(error, "%s: %s: there is nothing to bin from %g to %g s", trains->path,
                          trains->name, *from, *to);
}

static int bins_by_clock(struct bins *b, const struct traj_spike_trains *trains, double from,
                         double to)
{
    double first = floor(from / b->width + EDGE), last = ceil(to / b->width - EDGE);
    if (!(last - first <= BINS_MAX))
        return traj_error_set(b->error,
                              "%s: from %g to %g s there would be %.0f bins of %g s: times must be "
                              "in seconds",
                              b->path, from, to, last - first, b->width);
    if (check_number(b, trains, last - first) != 0)
        return -1;
    for (double k = first; k < last; k++)
        if (add_bin(b, (k + 1.0) * b->width, b->width) != 0)
            return -1;
    return 0;
}

static int bins_by_samples(struct bins *b, const struct traj_session *s, bool starts, double from,
                           double to)
{
    if (s->samples == 0)
        return traj_error_set(b->error,
                              "%s: bins are to lie at the samples of the kinematics, of "
                              "which there are none",
                              b->path);
    for (size_t i = 0; i < s->samples; i++) {
        double t = s->kin_t[i] + (starts ? b->width : 0.0), dt = b->width;
        if (s->kin_t[i] < from || s->kin_t[i] > to)
            continue;
        if (b->count > 0 && t - b->t_end[b->count - 1] < dt * (1.0 - 1e-3))
            dt = t - b->t_end[b->count - 1];
        if (add_bin(b, t, dt) != 0)
            return -1;
    }
    return 0;
}

static double bins_of_trial(const struct bins *b, const struct traj_session *s, size_t trial)
{
    return floor((s->stop[trial] - s->start[trial]) / b->width + EDGE);
}

static int check_trials(const struct bins *b, const struct traj_session *s,
                        const struct traj_spike_trains *trains)
{
    double all = 0.0;
    if (s->trials == 0)
        return traj_error_set(b->error, "%s: bins are to lie in trials, of which there are none",
                              b->path);
    for (size_t r = 0; r < s->trials; r++) {
        double whole = bins_of_trial(b, s, r);
        all += whole < 0.0 ? 0.0 : whole;
        if (!(all <= BINS_MAX))
            return traj_error_set(b->error,
                                  "%s: trial %zu runs from %g to %g s: times must be in "
                                  "seconds",
                                  b->path, r, s->start[r], s->stop[r]);
    }
    return check_number(b, trains, all);
}

static int bins_by_trials(struct bins *b, const struct traj_session *s,
                          const struct traj_spike_trains *trains, double from, double to)
{
    if (check_trials(b, s, trains) != 0)
        return -1;
    for (size_t r = 0; r < s->trials; r++) {
        double whole = bins_of_trial(b, s, r);
        for (double k = 0.0; k < whole; k++) {
            double t = s->start[r] + (k + 1.0) * b->width;
            bool behind = b->count > 0 && t - b->width < b->t_end[b->count - 1] - EDGE * b->width;
            if (!behind && t - b->width >= from - EDGE && t <= to + EDGE &&
                add_bin(b, t, b->width) != 0)
                return -1;
        }
    }
    return 0;
}

static int lay_bins(struct bins *b, const struct traj_session *s,
                    const struct traj_spike_trains *trains, const struct traj_bin_choice *choice)
{
    double from = isnan(choice->from) ? -INFINITY : choice->from;
    double to = isnan(choice->to) ? INFINITY : choice->to;
    int status = 0;
    switch (choice->align) {
    case TRAJ_BINS_SAMPLES:
    case TRAJ_BINS_SAMPLES_START:
        status = bins_by_samples(b, s, choice->align == TRAJ_BINS_SAMPLES_START, from, to);
        break;
    case TRAJ_BINS_TRIALS:
        status = bins_by_trials(b, s, trains, from, to);
        break;
    case TRAJ_BINS_CLOCK:
        status = find_span(s, trains, choice, &from, &to, b->error);
        if (status == 0)
            status = bins_by_clock(b, trains, from, to);
        break;
    }
    if (status == 0 && b->count == 0)
        status = traj_error_set(b->error, "%s: %s: no bin of %g s lies in what is to be binned",
                                b->path, trains->name, b->width);
    return status;
}

/* ---- counts ------------------------------------------------------------------------------ */

/* The bin that holds t, or (size_t)-1. */
static size_t bin_of(const struct traj_session *s, double t)
{
    size_t low = 0, high = s->bins;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (s->t_end[middle] - EDGE * s->dt[middle] <= t)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == s->bins || t < s->t_end[low] - (1.0 + EDGE) * s->dt[low])
        return (size_t)-1;
    return low;
}

static int count_spikes(struct traj_session *s, const struct traj_spike_trains *trains,
                        struct traj_error *error)
{
    size_t i = 0;
    for (size_t n = 0; n < trains->units; n++)
        for (; i < trains->end[n]; i++) {
            if (!isfinite(trains->time[i]))
                return traj_error_set(error, "%s: %s[%zu] is not finite", trains->path,
                                      trains->name, i);
            size_t bin = bin_of(s, trains->time[i]);
            if (bin == (size_t)-1)
                continue;
            uint16_t *count = s->counts + bin * s->units + n;
            if (*count + 1u >= TRAJ_COUNT_MISSING)
                return traj_error_set(error, "%s: %s: more than %u spikes of unit %zu at %g s",
                                      trains->path, trains->name, TRAJ_COUNT_MISSING - 1u, n,
                                      s->t_end[bin]);
            ++*count;
        }
    return 0;
}

int traj_spikes_bin(struct traj_session *session, const struct traj_spike_trains *trains,
                    const struct traj_bin_choice *choice, unsigned parts, struct traj_error *error)
{
    struct bins b = {.path = trains->path,
                     .width = choice->width > 0.0 ? choice->width : TRAJ_BIN_WIDTH,
                     .error = error};
    int status = lay_bins(&b, session, trains, choice);
    if (status == 0)
        status = traj_session_make_frames(session, b.count, trains->units, 0, parts, error);
    if (status == 0) {
        memcpy(session->t_end, b.t_end, b.count * sizeof *b.t_end);
        memcpy(session->dt, b.dt, b.count * sizeof *b.dt);
        status = count_spikes(session, trains, error);
    }
    free(b.t_end);
    free(b.dt);
    return status;
}

void traj_bin_choice_text(const struct traj_bin_choice *choice, char *text, size_t size)
{
    static const char *const where[] = {
        [TRAJ_BINS_CLOCK] = "at whole multiples of their width",
        [TRAJ_BINS_SAMPLES] = "that end at the samples of the kinematics",
        [TRAJ_BINS_SAMPLES_START] = "that begin at the samples of the kinematics",
        [TRAJ_BINS_TRIALS] = "counted from each trial's start"};
    double width = choice->width > 0.0 ? choice->width : TRAJ_BIN_WIDTH;
    (void)snprintf(text, size, "bins of %g ms %s", 1e3 * width, where[choice->align]);
}
