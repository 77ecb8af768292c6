/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Log-linear bins.  Values below PARTS have a bin each.  A larger value whose highest set bit is b
 * (b >= 5) falls into row b - 4 at the place that its next five bits say:
 *     bin = (b - 4) * PARTS + (value >> (b - 5)) - PARTS.
 */
#include "daemon/core/histogram.h"

#include <string.h>

#define PART_BITS 5 /* 2^5 = TRAJ_HISTOGRAM_PARTS */

static unsigned highest_bit(uint64_t value)
{
    unsigned bit = 0;
    while (value >>= 1)
        bit++;
    return bit;
}

size_t traj_histogram_bin(uint64_t value)
{
    if (value < TRAJ_HISTOGRAM_PARTS)
        return (size_t)value;
    if (value >> TRAJ_HISTOGRAM_OCTAVES != 0)
        return TRAJ_HISTOGRAM_BINS;
    unsigned bit = highest_bit(value);
    size_t row = bit - PART_BITS + 1;
    return row * TRAJ_HISTOGRAM_PARTS + (size_t)(value >> (bit - PART_BITS)) - TRAJ_HISTOGRAM_PARTS;
}

/* The largest value that falls into a bin. */
static uint64_t upper_edge(size_t bin)
{
    if (bin < TRAJ_HISTOGRAM_PARTS)
        return bin;
    size_t row = bin / TRAJ_HISTOGRAM_PARTS;
    uint64_t part = bin % TRAJ_HISTOGRAM_PARTS + TRAJ_HISTOGRAM_PARTS;
    return ((part + 1) << (row - 1)) - 1;
}

static uint64_t add(uint64_t a, uint64_t b)
{
    return a > UINT64_MAX - b ? UINT64_MAX : a + b;
}

void traj_histogram_clear(struct traj_histogram *histogram)
{
    memset(histogram, 0, sizeof *histogram);
}

void traj_histogram_record(struct traj_histogram *histogram, uint64_t value)
{
    if (histogram->count == 0 || value < histogram->min)
        histogram->min = value;
    if (value > histogram->max)
        histogram->max = value;
    histogram->count++;
    histogram->sum = add(histogram->sum, value);
    size_t bin = traj_histogram_bin(value);
    if (bin == TRAJ_HISTOGRAM_BINS)
        histogram->overflow++;
    else
        histogram->bin[bin]++;
}

uint64_t traj_histogram_quantile(const struct traj_histogram *histogram, double q)
{
    if (histogram->count == 0)
        return 0;
    /* Rank of the value that is asked for, 1..count; q may be rubbish, the rank is not. */
    double wanted = q > 0 ? q * (double)histogram->count : 0;
    uint64_t rank = wanted < (double)histogram->count ? (uint64_t)wanted : histogram->count;
    if ((double)rank < wanted && rank < histogram->count)
        rank++;
    if (rank == 0)
        rank = 1;
    uint64_t below = 0;
    for (size_t i = 0; i < TRAJ_HISTOGRAM_BINS; i++) {
        below += histogram->bin[i];
        if (below >= rank) {
            uint64_t edge = upper_edge(i);
            return edge < histogram->max ? edge : histogram->max;
        }
    }
    return histogram->max;
}

void traj_histogram_merge(struct traj_histogram *into, const struct traj_histogram *from)
{
    if (from->count == 0)
        return;
    if (into->count == 0 || from->min < into->min)
        into->min = from->min;
    if (from->max > into->max)
        into->max = from->max;
    into->count += from->count;
    into->overflow += from->overflow;
    into->sum = add(into->sum, from->sum);
    for (size_t i = 0; i < TRAJ_HISTOGRAM_BINS; i++)
        into->bin[i] += from->bin[i];
}
