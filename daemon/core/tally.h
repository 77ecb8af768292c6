/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A latency histogram that one thread records into while others read it: the bins of histogram.h,
 * each a relaxed atomic.  With one writer that costs what plain memory costs and never makes it
 * wait; a reader gets every value that was recorded before it began, perhaps some of those recorded
 * meanwhile, and always a histogram whose count is the sum of its bins.
 */
#ifndef TRAJ_CORE_TALLY_H
#define TRAJ_CORE_TALLY_H

#include <stdatomic.h>
#include <stdint.h>

#include "daemon/core/histogram.h"

struct traj_tally {
    _Atomic uint64_t overflow;
    _Atomic uint64_t min, max, sum; /* ns; min is UINT64_MAX before the first value */
    _Atomic uint64_t bin[TRAJ_HISTOGRAM_BINS];
};

/* Empties it; before any thread reads. */
void traj_tally_init(struct traj_tally *tally);

/* Records one value, ns.  One thread alone. */
void traj_tally_record(struct traj_tally *tally, uint64_t value);

/* A copy.  Any thread. */
void traj_tally_read(const struct traj_tally *tally, struct traj_histogram *histogram);

#endif
