/* SPDX-License-Identifier: GPL-3.0-or-later */
/* From spikes to frames; see binner.h. */
#include "daemon/core/binner.h"

#include <math.h>
#include <stdalign.h>
#include <string.h>

#include "daemon/core/delay.h"
#include "traj/model.h"

/* A sample number beyond is absurd in itself. */
#define SAMPLE_MAX INT64_C(9007199254740992)

#define COUNT_TOP 65534u

struct traj_binner {
    struct traj_binner_settings settings;
    struct traj_binner_counters counters;
    double period;   /* samples a bin */
    size_t slots;    /* open bins that there is room for */
    uint16_t *count; /* [slots][units]; bin k lives in slot k % slots */

    bool started;
    int64_t first;     /* number of the first bin given, seq 0 */
    int64_t next;      /* number of the next one */
    int64_t seen;      /* sample that the clock has reached */
    double moved;      /* s: when it has */
    int64_t leap_from; /* bins of [leap_from, leap_to) are not given */
    int64_t leap_to;

    bool held;       /* a doubtful sample number waits for a second one */
    int64_t doubted; /* that */

    struct traj_delay delay;
};

/* --- bins and samples ------------------------------------------------------------------------ */

/* The smallest whole number that is not below a number that is not negative. */
static int64_t round_up(double value)
{
    int64_t whole = (int64_t)value;

    return (double)whole < value ? whole + 1 : whole;
}

static double period_of(const struct traj_binner_settings *settings)
{
    double period = settings->rate * settings->bin_s;
    double whole = (double)(int64_t)(period + 0.5);

    /* 24414.0625 x 0.02 is no whole number; 30000 x 0.02 is one, whatever its last bit says. */
    return fabs(period - whole) <= 1e-9 * period ? whole : period;
}

static int64_t edge(const struct traj_binner *binner, int64_t bin)
{
    return round_up((double)bin * binner->period);
}

/* sample is not negative. */
static int64_t bin_of(const struct traj_binner *binner, int64_t sample)
{
    int64_t bin = (int64_t)((double)sample / binner->period);

    while (edge(binner, bin) > sample) {
        bin--;
    }
    while (edge(binner, bin + 1) <= sample) {
        bin++;
    }
    return bin;
}

static double seconds(const struct traj_binner *binner, int64_t samples)
{
    return (double)samples / binner->settings.rate;
}

static uint16_t *slot(struct traj_binner *binner, int64_t bin)
{
    return binner->count + ((uint64_t)bin % binner->slots) * binner->settings.units;
}

static void clear_slot(struct traj_binner *binner, int64_t bin)
{
    memset(slot(binner, bin), 0, binner->settings.units * sizeof *binner->count);
}

/* --- memory ---------------------------------------------------------------------------------- */

const char *traj_binner_check(const struct traj_binner_settings *settings)
{
    if (!(settings->rate >= 1.0 && settings->rate <= 1e10)) {
        return "rate";
    }
    if (!(settings->bin_s <= 10.0 && settings->rate * settings->bin_s >= 2.0)) {
        return "bin";
    }
    if (!(settings->lag_s >= 0.0 && settings->lag_s <= 60.0)) {
        return "lag";
    }
    if (!(settings->wait_s >= 0.0 && settings->wait_s <= 60.0)) {
        return "wait";
    }
    if (!(settings->silence_s > settings->lag_s + settings->bin_s &&
          settings->silence_s <= 120.0)) {
        return "silence";
    }
    if (!(settings->jump_s > settings->silence_s && settings->jump_s <= 600.0)) {
        return "jump";
    }
    return settings->units >= 1 && settings->units <= TRAJ_UNITS_MAX ? NULL : "units";
}

/* The clock may lead the next bin by the lag, and a spike the clock by the jump. */
static size_t slots_of(const struct traj_binner_settings *settings)
{
    return (size_t)((settings->jump_s + settings->lag_s) / settings->bin_s) + 4;
}

size_t traj_binner_size(const struct traj_binner_settings *settings)
{
    if (traj_binner_check(settings) != NULL ||
        slots_of(settings) > ((size_t)1 << 31) / settings->units) {
        return 0;
    }
    return sizeof(struct traj_binner) + alignof(max_align_t) +
           slots_of(settings) * settings->units * sizeof(uint16_t);
}

struct traj_binner *traj_binner_init(void *memory, size_t size,
                                     const struct traj_binner_settings *settings)
{
    size_t needed = traj_binner_size(settings);
    struct traj_binner *binner;

    if (memory == NULL || needed == 0 || size < needed) {
        return NULL;
    }
    binner = (void *)(((uintptr_t)memory + alignof(max_align_t) - 1) / alignof(max_align_t) *
                      alignof(max_align_t));
    memset(binner, 0, sizeof *binner);
    binner->settings = *settings;
    binner->period = period_of(settings);
    binner->slots = slots_of(settings);
    binner->count = (uint16_t *)(void *)(binner + 1);
    traj_binner_restart(binner);
    return binner;
}

void traj_binner_restart(struct traj_binner *binner)
{
    binner->started = false;
    binner->held = false;
    binner->leap_from = 0;
    binner->leap_to = 0;
    traj_delay_clear(&binner->delay);
    memset(binner->count, 0, binner->slots * binner->settings.units * sizeof *binner->count);
}

/* --- the source's clock ---------------------------------------------------------------------- */

double traj_binner_offset(const struct traj_binner *binner)
{
    return traj_delay_offset(&binner->delay);
}

static void start(struct traj_binner *binner, int64_t sample)
{
    int64_t bin = bin_of(binner, sample);

    binner->started = true;
    binner->first = edge(binner, bin) == sample ? bin : bin + 1;
    binner->next = binner->first;
    binner->seen = sample;
}

/* Whether a sample number is too far from the clock to be believed at once. */
static bool far_off(const struct traj_binner *binner, int64_t sample, int64_t from)
{
    return fabs((double)sample - (double)from) > binner->settings.jump_s * binner->settings.rate;
}

static enum traj_binner_verdict doubt(struct traj_binner *binner, int64_t sample)
{
    if (!binner->held || far_off(binner, sample, binner->doubted)) {
        binner->held = true;
        binner->doubted = sample;
        binner->counters.doubtful++;
        return TRAJ_BINNER_DOUBTFUL;
    }
    return sample < binner->seen ? TRAJ_BINNER_ANEW : TRAJ_BINNER_FINE;
}

/* Bins that lie wholly between the sample seen last and this one were seen by nobody. */
static void leap(struct traj_binner *binner, int64_t sample)
{
    int64_t from = bin_of(binner, binner->seen) + 1;
    int64_t to = bin_of(binner, sample);

    from = from > binner->next ? from : binner->next;
    if (to > from) {
        binner->leap_from = from;
        binner->leap_to = to;
        binner->counters.leaps++;
    }
}

enum traj_binner_verdict traj_binner_seen(struct traj_binner *binner, int64_t sample, double now)
{
    if (sample < 0 || sample > SAMPLE_MAX) {
        binner->counters.doubtful++;
        return TRAJ_BINNER_DOUBTFUL;
    }
    if (!binner->started) {
        start(binner, sample);
        binner->moved = now;
    }
    if (far_off(binner, sample, binner->seen)) {
        enum traj_binner_verdict verdict = doubt(binner, sample);

        if (verdict != TRAJ_BINNER_FINE) {
            return verdict;
        }
    }
    binner->held = false;
    traj_delay_note(&binner->delay, seconds(binner, sample), now);
    if (sample > binner->seen) {
        if (seconds(binner, sample - binner->seen) > binner->settings.silence_s) {
            leap(binner, sample);
        }
        binner->seen = sample;
        binner->moved = now;
    }
    return TRAJ_BINNER_FINE;
}

bool traj_binner_spikes(struct traj_binner *binner, int64_t sample, size_t unit, uint16_t count)
{
    uint64_t *cause = NULL;
    int64_t bin = 0;

    if (!binner->started) {
        cause = &binner->counters.early;
    } else if (sample < 0 || sample > SAMPLE_MAX || far_off(binner, sample, binner->seen)) {
        cause = &binner->counters.doubtful;
    } else {
        bin = bin_of(binner, sample);
        if (bin < binner->first) {
            cause = &binner->counters.early;
        } else if (bin < binner->next || (bin >= binner->leap_from && bin < binner->leap_to)) {
            cause = &binner->counters.late;
        } else if ((uint64_t)(bin - binner->next) >= binner->slots ||
                   unit >= binner->settings.units) {
            cause = &binner->counters.doubtful;
        }
    }
    if (cause != NULL) {
        *cause += count;
        return false;
    }
    uint16_t *cell = &slot(binner, bin)[unit];
    *cell = (uint16_t)(*cell + count > (int)COUNT_TOP ? COUNT_TOP : *cell + count);
    binner->counters.spikes += count;
    return true;
}

/* --- closed bins ----------------------------------------------------------------------------- */

/*
 * When the wait for the next bin is over; infinity where the clock is not trusted that far.  While
 * the source catches up, every wait has long been over by its smallest delay, and what it is
 * catching up with would be taken for silence.
 */
double traj_binner_deadline(const struct traj_binner *binner)
{
    double seen = seconds(binner, binner->seen);
    double end;
    double early;
    double late;
    double stood;

    if (!binner->started || isnan(traj_binner_offset(binner))) {
        return (double)INFINITY;
    }
    end = seconds(binner, edge(binner, binner->next + 1)) + binner->settings.wait_s;
    if (end > seen + binner->settings.silence_s) {
        return (double)INFINITY;
    }
    early = end + traj_binner_offset(binner);
    stood = binner->moved + binner->settings.wait_s;
    late = end + binner->moved - seen;
    early = early > stood ? early : stood;
    return early < late ? early : late;
}

static void give(struct traj_binner *binner, struct traj_frame *frame)
{
    int64_t end = edge(binner, binner->next + 1);

    frame->seq = (uint64_t)(binner->next - binner->first);
    frame->t = seconds(binner, end);
    frame->dt = seconds(binner, end - edge(binner, binner->next));
    frame->device = (uint64_t)end;
    frame->units = binner->settings.units;
    frame->features = 0;
    memcpy(frame->counts, slot(binner, binner->next), frame->units * sizeof *frame->counts);
    clear_slot(binner, binner->next);
    binner->next++;
    binner->counters.bins++;
}

/* Passes over the leap.  Spikes may have come for its first bins before it was known to be one. */
static void skip(struct traj_binner *binner)
{
    uint64_t bins = (uint64_t)(binner->leap_to - binner->next);

    for (uint64_t k = 0; k < bins && k < binner->slots; k++) {
        clear_slot(binner, binner->next + (int64_t)k);
    }
    binner->counters.skipped += bins;
    binner->next = binner->leap_to;
}

bool traj_binner_next(struct traj_binner *binner, double now, struct traj_frame *frame)
{
    if (!binner->started || frame->units_max < binner->settings.units) {
        return false;
    }
    if (binner->leap_to > binner->next && binner->next >= binner->leap_from) {
        skip(binner);
    }
    if (seconds(binner, binner->seen - edge(binner, binner->next + 1)) >= binner->settings.lag_s) {
        give(binner, frame);
        return true;
    }
    if (now >= traj_binner_deadline(binner)) {
        give(binner, frame);
        binner->counters.waited++;
        return true;
    }
    return false;
}

const struct traj_binner_counters *traj_binner_counters(const struct traj_binner *binner)
{
    return &binner->counters;
}
