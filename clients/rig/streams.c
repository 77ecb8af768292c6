/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Random streams of an experiment. */
#include "clients/rig/streams.h"

#include "daemon/learn/random.h"

gsl_rng *traj_rig_stream(uint64_t seed, uint64_t block, enum traj_rig_stream stream)
{
    gsl_rng *rng = gsl_rng_alloc(gsl_rng_mt19937);
    if (rng) {
        /* Neighbouring numbers give unlike streams. */
        uint64_t state = seed;
        state = traj_random_next(&state) + block;
        state = traj_random_next(&state) + (uint64_t)stream;
        /* The twister's seed has 32 bits, and 0 would mean its default. */
        unsigned long start = (unsigned long)(traj_random_next(&state) & 0xffffffffu);
        gsl_rng_set(rng, start == 0 ? 1 : start);
    }
    return rng;
}
