/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Carves the caller's block into arrays.  The same code runs twice: with base NULL it only adds
 * up, so that the size asked for cannot differ from the size used.
 */
#ifndef TRAJ_MODEL_ARENA_H
#define TRAJ_MODEL_ARENA_H

#include <stddef.h>

#define TRAJ_ALIGNMENT 64u /* bytes: a cache line, and any vector register */

struct traj_arena {
    unsigned char *base; /* aligned, or NULL to count alone */
    size_t used;         /* bytes, a multiple of TRAJ_ALIGNMENT */
};

/* The next count elements of size bytes; NULL while counting. */
static inline void *traj_arena_take(struct traj_arena *arena, size_t count, size_t size)
{
    void *place = arena->base ? arena->base + arena->used : NULL;
    arena->used += (count * size + TRAJ_ALIGNMENT - 1) / TRAJ_ALIGNMENT * TRAJ_ALIGNMENT;
    return place;
}

#endif
