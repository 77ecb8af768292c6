/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Random streams of a simulation. */
#include "clients/sim/stream.h"

/* The step of SplitMix64 (Steele, Lea & Flood 2014): neighbouring seeds give unlike streams. */
static uint64_t mix(uint64_t z)
{
    z += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

gsl_rng *traj_sim_stream_open(uint64_t seed, enum traj_sim_stream stream)
{
    gsl_rng *rng = gsl_rng_alloc(gsl_rng_mt19937);
    if (rng != NULL) {
        /* The twister's seed has 32 bits, and 0 would mean its default. */
        unsigned long start = (unsigned long)(mix(mix(seed) + (uint64_t)stream) & 0xffffffffu);
        gsl_rng_set(rng, start == 0 ? 1 : start);
    }
    return rng;
}
