/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A piece of a recording as a recording of its own. */
#ifndef TRAJCTL_RECORD_CUT_H
#define TRAJCTL_RECORD_CUT_H

#include <stdint.h>

#include "daemon/learn/error.h"

/*
 * The range is one of frames (decoded before the record, both ends included) and of time (s since
 * the recording began, NaN = no bound).  What came in since the last place at which the decoder's
 * state is known leads in, so that the piece can be replayed; what went out meanwhile is left out,
 * and a record says so.
 */
struct record_cut {
    const char *path, *out;
    uint64_t from_frame, to_frame;
    double from, to;
};

/* 0, or -1 with a sentence; out must not be there. */
int record_cut(const struct record_cut *cut, struct traj_error *error);

#endif
