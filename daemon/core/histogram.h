/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A latency histogram in fixed memory: log-linear bins, as HdrHistogram has them.  Each power of
 * two is cut into TRAJ_HISTOGRAM_PARTS equal bins, so that a value is known to within 1/32 of
 * itself; values below 32 are exact.  A plain struct without pointers: it may be copied, merged and
 * published as a snapshot.  All zero bytes are an empty histogram.
 */
#ifndef TRAJ_CORE_HISTOGRAM_H
#define TRAJ_CORE_HISTOGRAM_H

#include <stddef.h>
#include <stdint.h>

#define TRAJ_HISTOGRAM_PARTS 32
#define TRAJ_HISTOGRAM_OCTAVES 36 /* values below 2^36 ns = 68.7 s are binned, the rest overflow */
#define TRAJ_HISTOGRAM_BINS ((TRAJ_HISTOGRAM_OCTAVES - 4) * TRAJ_HISTOGRAM_PARTS)

struct traj_histogram {
    uint64_t count;    /* values recorded, overflow included */
    uint64_t overflow; /* values too large for any bin; min, max and sum know them */
    uint64_t min, max; /* ns; both 0 while count is 0 */
    uint64_t sum;      /* ns; saturates */
    uint64_t bin[TRAJ_HISTOGRAM_BINS];
};

/* The bin that a value falls into; TRAJ_HISTOGRAM_BINS if it overflows. */
size_t traj_histogram_bin(uint64_t value);

void traj_histogram_clear(struct traj_histogram *histogram);

/* Records one value, ns. */
void traj_histogram_record(struct traj_histogram *histogram, uint64_t value);

/*
 * The smallest value, ns, that at least the share q in [0, 1] of all recorded values does not
 * exceed: the upper edge of its bin, never more than the true maximum (the maximum itself where
 * the rank falls into the overflow).  0 while empty.
 */
uint64_t traj_histogram_quantile(const struct traj_histogram *histogram, double q);

/* Adds what `from` has recorded to `into`, as if `into` had recorded it. */
void traj_histogram_merge(struct traj_histogram *into, const struct traj_histogram *from);

#endif
