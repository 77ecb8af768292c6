/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * From spikes to frames.  Spikes are binned by the sample numbers of the source, never by their
 * arrival.  Bin k holds the samples from edge(k) up to, without, edge(k + 1), where edge(k) is the
 * first sample at or after k bins of the source's clock; so bins lie where they would lie for
 * anybody else who counts from sample 0, whenever one joins.  The first bin given is the first that
 * was seen whole; it has seq 0.
 *
 * A bin closes
 *   - when the source's clock has been seen lag_s beyond its end (traj_binner_seen), or
 *   - wait_s after its end by the estimated clock, whatever has come: the bounded wait.
 * The estimated clock is the daemon's less the smallest delay of the last 10 to 20 s; where what
 * moved the clock last came later than that, a bin may be as late as it, but closes at the latest
 * wait_s after the clock has moved.  So a source that was held up catches up, and one that comes
 * later than it used to is not taken for silent.  The clock is trusted
 * no further than silence_s beyond the last sample number seen, so a source that has gone quiet
 * gives no endless row of empty bins.  Where sample numbers leap by more than silence_s, bins that
 * lie wholly in the leap are not given at all (seq skips them): nobody has seen that nothing fired.
 * A spike of a bin that was given is late: counted, not binned.
 *
 * A sample number more than jump_s away from the clock is doubtful and moves nothing; a second one
 * near it is believed: the source has leapt ahead, or, backwards, has started anew.
 *
 * No allocation, no clock: time is an argument, s.
 */
#ifndef TRAJ_CORE_BINNER_H
#define TRAJ_CORE_BINNER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/frame.h"

struct traj_binner_settings {
    double rate;      /* samples/s of the source's clock; 1 .. 1e10 */
    double bin_s;     /* at least two samples, at most 10 s */
    double lag_s;     /* 0 .. 60 */
    double wait_s;    /* 0 .. 60 */
    double silence_s; /* > lag_s + bin_s, up to 120 */
    double jump_s;    /* > silence_s, up to 600 */
    size_t units;     /* 1 .. TRAJ_UNITS_MAX */
};

/* Names the setting that is out of range, or NULL. */
const char *traj_binner_check(const struct traj_binner_settings *settings);

struct traj_binner_counters {
    uint64_t spikes;   /* binned */
    uint64_t late;     /* of a bin that had been given */
    uint64_t early;    /* before the first whole bin */
    uint64_t doubtful; /* messages whose sample number was not believed */
    uint64_t bins;     /* given */
    uint64_t waited;   /* of these, closed because the wait was over */
    uint64_t skipped;  /* bins not given because they lay in a leap */
    uint64_t leaps;
};

struct traj_binner;

/* Bytes for a binner; 0 if the settings are out of range. */
size_t traj_binner_size(const struct traj_binner_settings *settings);

/* Lays it out in memory[0..size), not started; NULL if that is too small. */
struct traj_binner *traj_binner_init(void *memory, size_t size,
                                     const struct traj_binner_settings *settings);

/* Starts anew: whatever is not given yet is dropped, any sample number may come first, seq 0. */
void traj_binner_restart(struct traj_binner *binner);

enum traj_binner_verdict {
    TRAJ_BINNER_FINE,
    TRAJ_BINNER_DOUBTFUL, /* too far from the clock: not believed yet */
    TRAJ_BINNER_ANEW      /* the source's clock has gone back: restart, and say so downstream */
};

/*
 * The source's clock has reached `sample` at time now: all that lies before it has come but for
 * lag_s.  TRAJ_BINNER_ANEW changes nothing: call traj_binner_restart, then again.
 */
enum traj_binner_verdict traj_binner_seen(struct traj_binner *binner, int64_t sample, double now);

/*
 * One spike of a unit (0 .. units - 1), or `count` spikes at once; it does not move the clock.
 * False if it was not binned (and counted as late, early or doubtful).
 */
bool traj_binner_spikes(struct traj_binner *binner, int64_t sample, size_t unit, uint16_t count);

/*
 * Gives the next bin that is closed at time now.  *frame's buffers are the caller's, units_max >=
 * units; device = the sample at which the bin ends.  Call until it returns false after each call of
 * traj_binner_seen and at traj_binner_deadline.
 */
bool traj_binner_next(struct traj_binner *binner, double now, struct traj_frame *frame);

/* When the wait of the next bin is over, s; infinity if it will not be while nothing is seen. */
double traj_binner_deadline(const struct traj_binner *binner);

/* The daemon's clock less the source's at the smallest delay seen of late, s; NaN before any. */
double traj_binner_offset(const struct traj_binner *binner);

const struct traj_binner_counters *traj_binner_counters(const struct traj_binner *binner);

#endif
