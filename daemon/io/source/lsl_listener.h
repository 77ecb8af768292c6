/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What comes by the Lab Streaming Layer, one record after another.
 *
 * liblsl has no descriptor to wait for, so threads of this listener's own wait in it and hand what
 * comes over by rings; where a ring is full its thread waits, and liblsl keeps the rest.  Each
 * stream has a thread: liblsl waits a second and more for a stream that is looked for, and for an
 * estimate of clocks, and counts that wait for the markers' sake would come after their bins.
 */
#ifndef TRAJ_IO_SOURCE_LSL_LISTENER_H
#define TRAJ_IO_SOURCE_LSL_LISTENER_H

#include <stdbool.h>
#include <stdint.h>

#include "daemon/learn/error.h"

/* Bytes of a text, a label's or a sentence's, with its end. */
#define TRAJ_LSL_TEXT_SIZE 128
/* And of a predicate, which names streams as liblsl takes it (XPath). */
#define TRAJ_LSL_PREDICATE_SIZE 512

enum traj_lsl_kind {
    TRAJ_LSL_OPENED, /* a stream of counts: channels, rate */
    TRAJ_LSL_LABEL,  /* of one of its channels: text */
    TRAJ_LSL_COUNTS, /* a sample: stamp, channels, counts */
    TRAJ_LSL_BAD,    /* a sample that is none of counts */
    TRAJ_LSL_MARKER, /* stamp, on the clock of the stream of counts; text */
    TRAJ_LSL_SAY     /* a sentence for whoever runs the rig: text */
};

struct traj_lsl_item {
    enum traj_lsl_kind kind;
    uint32_t channels; /* how many; of a label: which one */
    double stamp;      /* s, clock of the stream of counts */
    double rate;       /* nominal, samples/s */
};

/* What a record says besides; it belongs to the record. */
const char *traj_lsl_text(const struct traj_lsl_item *item);
const uint16_t *traj_lsl_counts_of(const struct traj_lsl_item *item);

struct traj_lsl_listener;

/*
 * Listens to the first stream of counts that the predicate names and, unless markers is "", to the
 * first of markers that this one names; looks for each until it is there, and anew when it is lost.
 * Both are copied, and shorter than TRAJ_LSL_PREDICATE_SIZE.  NULL with a sentence, also where
 * liblsl is not installed.
 */
struct traj_lsl_listener *traj_lsl_listen(const char *counts, const char *markers,
                                          struct traj_error *error);
void traj_lsl_listener_close(struct traj_lsl_listener **listener);

/* A descriptor that can be read when a record may be there. */
int traj_lsl_bell(const struct traj_lsl_listener *listener);

/*
 * The record that is next, or NULL; it stays until it is released.  Markers come first: their bins
 * are open as long as possible.  But without `placed` (nothing is known yet of where samples lie)
 * markers wait for the counts.
 */
const struct traj_lsl_item *traj_lsl_next(struct traj_lsl_listener *listener, bool placed);
void traj_lsl_release(struct traj_lsl_listener *listener);

#endif
