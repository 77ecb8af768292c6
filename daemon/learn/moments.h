/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Second moments of pairs of states one training bin apart: all that a regression of x_t on x_{t-1}
 * needs, so that folds and targets are added and taken away without another pass over the data.
 *
 * With u = (x, 1) of E = S + 1 numbers:
 *     past = sum u_{t-1} u_{t-1}',  across = sum u_{t-1} u_t',  next = sum u_t u_t'
 * and of first states:  first = sum u_1 u_1'.  Internal to this room.
 */
#ifndef TRAJ_LEARN_MOMENTS_H
#define TRAJ_LEARN_MOMENTS_H

#include <stddef.h>

struct traj_moments {
    size_t extended; /* E */
    /* [E][E] each; pairs = past[E-1][E-1], courses = first[E-1][E-1] */
    double *past, *across, *next, *first;
};

/* Doubles that the arrays of one set of moments take. */
static inline size_t traj_moments_size(size_t extended)
{
    return 4 * extended * extended;
}

/* Lays moments out in size(E) doubles of the caller, without clearing them. */
struct traj_moments traj_moments_in(double *memory, size_t extended);

void traj_moments_clear(struct traj_moments *moments);

/* Adds the pair (before, after) of states[E - 1], or a first state. */
void traj_moments_add_pair(struct traj_moments *moments, const double *before, const double *after);
void traj_moments_add_first(struct traj_moments *moments, const double *x);

/* Adds sums over a window, u of E numbers each (the last is the window's weight), and counts it in
 * `first`. */
void traj_moments_add_sums(struct traj_moments *moments, const double *before, const double *after);

/* sum += factor * moments. */
void traj_moments_add(struct traj_moments *sum, const struct traj_moments *moments, double factor);

/*
 * The moments of map u in place of u, for map[E][E] whose last row is (0, .., 0, 1); into out,
 * which must not overlap.  work[E][E].
 */
void traj_moments_map(const struct traj_moments *moments, const double *map,
                      struct traj_moments *out, double *work);

/*
 * sum (u_t - w' u_{t-1})(..)' over its first S rows and columns, for w[E][S]; out[S][S],
 * work[E][S].
 */
void traj_moments_scatter(const struct traj_moments *moments, const double *w, double *out,
                          double *work);

static inline double traj_moments_pairs(const struct traj_moments *moments)
{
    return moments->past[moments->extended * moments->extended - 1];
}

static inline double traj_moments_courses(const struct traj_moments *moments)
{
    return moments->first[moments->extended * moments->extended - 1];
}

#endif
