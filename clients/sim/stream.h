/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Random streams of a simulation.  Internal to clients/sim. */
#ifndef TRAJ_SIM_STREAM_H
#define TRAJ_SIM_STREAM_H

#include <gsl/gsl_rng.h>
#include <stdint.h>

/* What is drawn from a stream of its own, so that a change of one leaves the others as they are. */
enum traj_sim_stream {
    TRAJ_SIM_STREAM_POPULATION,
    TRAJ_SIM_STREAM_SCRIPT,
    TRAJ_SIM_STREAM_GAINS,
    TRAJ_SIM_STREAM_SPIKES,
    TRAJ_SIM_STREAM_CHANGED,
    TRAJ_SIM_STREAMS
};

/*
 * A Mersenne twister for the seed and the stream; NULL when memory is short; free by gsl_rng_free.
 */
gsl_rng *traj_sim_stream_open(uint64_t seed, enum traj_sim_stream stream);

#endif
