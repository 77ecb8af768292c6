/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Random streams of an experiment.  Internal to clients/rig. */
#ifndef TRAJ_RIG_STREAMS_H
#define TRAJ_RIG_STREAMS_H

#include <gsl/gsl_rng.h>
#include <stdint.h>

/* What is drawn from a stream of its own, so that a change of one leaves the others as they are. */
enum traj_rig_stream {
    TRAJ_RIG_STREAM_UNITS,
    TRAJ_RIG_STREAM_MIXED,
    TRAJ_RIG_STREAM_PLACES,
    TRAJ_RIG_STREAM_CHANGES,
    /* and one of each block */
    TRAJ_RIG_STREAM_GAINS,
    TRAJ_RIG_STREAM_SPIKES,
    TRAJ_RIG_STREAM_TASK,
    TRAJ_RIG_STREAM_USER
};

/* A Mersenne twister for the seed, the block and the stream; NULL when memory is short; free by
 * gsl_rng_free. */
gsl_rng *traj_rig_stream(uint64_t seed, uint64_t block, enum traj_rig_stream stream);

#endif
