/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A histogram that is read while it is written; see tally.h. */
#include "daemon/core/tally.h"

#include <string.h>

static uint64_t load(const _Atomic uint64_t *word)
{
    return atomic_load_explicit(word, memory_order_relaxed);
}

static void store(_Atomic uint64_t *word, uint64_t value)
{
    atomic_store_explicit(word, value, memory_order_relaxed);
}

void traj_tally_init(struct traj_tally *tally)
{
    atomic_init(&tally->overflow, 0);
    atomic_init(&tally->min, UINT64_MAX);
    atomic_init(&tally->max, 0);
    atomic_init(&tally->sum, 0);
    for (size_t i = 0; i < TRAJ_HISTOGRAM_BINS; i++) {
        atomic_init(&tally->bin[i], 0);
    }
}

void traj_tally_record(struct traj_tally *tally, uint64_t value)
{
    size_t bin = traj_histogram_bin(value);
    _Atomic uint64_t *place = bin < TRAJ_HISTOGRAM_BINS ? &tally->bin[bin] : &tally->overflow;
    uint64_t sum = load(&tally->sum);

    /* Load and store, not fetch_add: there is one writer, and a locked addition costs ten times. */
    if (value < load(&tally->min)) {
        store(&tally->min, value);
    }
    if (value > load(&tally->max)) {
        store(&tally->max, value);
    }
    store(&tally->sum, sum > UINT64_MAX - value ? UINT64_MAX : sum + value);
    store(place, load(place) + 1);
}

void traj_tally_read(const struct traj_tally *tally, struct traj_histogram *histogram)
{
    memset(histogram, 0, sizeof *histogram);
    for (size_t i = 0; i < TRAJ_HISTOGRAM_BINS; i++) {
        histogram->bin[i] = load(&tally->bin[i]);
        histogram->count += histogram->bin[i];
    }
    histogram->overflow = load(&tally->overflow);
    histogram->count += histogram->overflow;
    if (histogram->count > 0) {
        histogram->min = load(&tally->min);
        histogram->max = load(&tally->max);
        histogram->sum = load(&tally->sum);
    }
}
