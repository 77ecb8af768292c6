/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A small generator with a seed (splitmix64, Steele, Lea and Flood 2014), for dealing out folds. */
#ifndef TRAJ_LEARN_RANDOM_H
#define TRAJ_LEARN_RANDOM_H

#include <stddef.h>
#include <stdint.h>

static inline uint64_t traj_random_next(uint64_t *state)
{
    uint64_t z = (*state += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

/* Puts items into a random order (Fisher and Yates). */
static inline void traj_random_shuffle(uint64_t *state, size_t *item, size_t count)
{
    for (size_t i = count; i > 1; i--) {
        size_t j = (size_t)(traj_random_next(state) % i);
        size_t held = item[i - 1];
        item[i - 1] = item[j];
        item[j] = held;
    }
}

#endif
