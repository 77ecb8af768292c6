/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Second moments of pairs of states. */
#include "daemon/learn/moments.h"

#include <string.h>

#include "daemon/learn/matrix.h"

struct traj_moments traj_moments_in(double *memory, size_t extended)
{
    size_t square = extended * extended;
    return (struct traj_moments){extended, memory, memory + square, memory + 2 * square,
                                 memory + 3 * square};
}

void traj_moments_clear(struct traj_moments *moments)
{
    memset(moments->past, 0, traj_moments_size(moments->extended) * sizeof *moments->past);
}

/* Element of (x, 1). */
static inline double element(const double *x, size_t i, size_t extended)
{
    return i + 1 < extended ? x[i] : 1.0;
}

static void add_outer(double *sum, const double *a, const double *b, size_t extended)
{
    for (size_t i = 0; i < extended; i++)
        for (size_t j = 0; j < extended; j++)
            sum[i * extended + j] += element(a, i, extended) * element(b, j, extended);
}

void traj_moments_add_pair(struct traj_moments *moments, const double *before, const double *after)
{
    add_outer(moments->past, before, before, moments->extended);
    add_outer(moments->across, before, after, moments->extended);
    add_outer(moments->next, after, after, moments->extended);
}

void traj_moments_add_first(struct traj_moments *moments, const double *x)
{
    add_outer(moments->first, x, x, moments->extended);
}

void traj_moments_add_sums(struct traj_moments *moments, const double *before, const double *after)
{
    size_t n = moments->extended;
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < n; j++) {
            moments->past[i * n + j] += before[i] * before[j];
            moments->across[i * n + j] += before[i] * after[j];
            moments->next[i * n + j] += after[i] * after[j];
        }
    moments->first[n * n - 1] += 1;
}

void traj_moments_add(struct traj_moments *sum, const struct traj_moments *moments, double factor)
{
    for (size_t i = 0; i < traj_moments_size(sum->extended); i++)
        sum->past[i] += factor * moments->past[i];
}

/* out = map a map' for any square a. */
static void map_one(const double *map, const double *a, size_t n, double *out, double *work)
{
    traj_matrix_multiply(map, a, n, n, n, work);
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < n; j++) {
            double sum = 0;
            for (size_t k = 0; k < n; k++)
                sum += work[i * n + k] * map[j * n + k];
            out[i * n + j] = sum;
        }
}

void traj_moments_map(const struct traj_moments *moments, const double *map,
                      struct traj_moments *out, double *work)
{
    size_t n = moments->extended;
    map_one(map, moments->past, n, out->past, work);
    map_one(map, moments->across, n, out->across, work);
    map_one(map, moments->next, n, out->next, work);
    map_one(map, moments->first, n, out->first, work);
}

void traj_moments_scatter(const struct traj_moments *moments, const double *w, double *out,
                          double *work)
{
    size_t n = moments->extended, state = n - 1;
    /* next - w' across - across' w + w' past w = next - w' (across - past w) - across' w */
    traj_matrix_multiply(moments->past, w, n, n, state, work);
    for (size_t i = 0; i < state; i++)
        for (size_t j = 0; j < state; j++) {
            double sum = moments->next[i * n + j];
            for (size_t k = 0; k < n; k++)
                sum -= w[k * state + i] * (moments->across[k * n + j] - work[k * state + j]) +
                       moments->across[k * n + i] * w[k * state + j];
            out[i * state + j] = sum;
        }
    for (size_t i = 0; i < state; i++)
        for (size_t j = 0; j < i; j++) {
            double mean = (out[i * state + j] + out[j * state + i]) / 2;
            out[i * state + j] = mean;
            out[j * state + i] = mean;
        }
}
