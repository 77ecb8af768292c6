/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The innermost loop, twice; see kernel.h. */
#include "daemon/model/kernel.h"

#include "daemon/model/elementary.h"
#include "daemon/model/observe.h"

#if defined(__x86_64__) && defined(__GNUC__)
#define WIDE __attribute__((target("avx2")))
#define CAN_RUN_WIDE __builtin_cpu_supports("avx2")
#define INLINE static inline __attribute__((always_inline))
#else
#define WIDE
#define CAN_RUN_WIDE 0
#define INLINE static inline
#endif

INLINE double join(const double *part)
{
    return ((part[0] + part[4]) + (part[2] + part[6])) +
           ((part[1] + part[5]) + (part[3] + part[7]));
}

/* sum a_i b_i. */
INLINE double dot(size_t n, const double *a, const double *b)
{
    double part[TRAJ_LANES] = {0.0};
    for (size_t i = 0; i < n; i += TRAJ_LANES)
        for (size_t lane = 0; lane < TRAJ_LANES; lane++)
            part[lane] += a[i + lane] * b[i + lane];
    return join(part);
}

INLINE double sum_of(size_t n, const double *a)
{
    double part[TRAJ_LANES] = {0.0};
    for (size_t i = 0; i < n; i += TRAJ_LANES)
        for (size_t lane = 0; lane < TRAJ_LANES; lane++)
            part[lane] += a[i + lane];
    return join(part);
}

INLINE double evaluate(const struct traj_block *block, const double *x, double *gradient,
                       double *information)
{
    const size_t state = block->state;
    const size_t n = block->units;
    double eta[TRAJ_BLOCK_UNITS], value[TRAJ_BLOCK_UNITS], surprise[TRAJ_BLOCK_UNITS];
    double rate[TRAJ_BLOCK_UNITS], scaled[TRAJ_BLOCK_UNITS];
    for (size_t i = 0; i < n; i++)
        eta[i] = block->offset[i];
    for (size_t s = 0; s < state; s++)
        for (size_t i = 0; i < n; i++)
            eta[i] += block->weight[s * block->stride + i] * x[s];
    for (size_t i = 0; i < n; i++) {
        const double above = eta[i] - TRAJ_LOG_RATE_CEILING;
        const double excess = traj_choose(above > 0.0, above, 0.0);
        rate[i] = block->exposure[i] * traj_exp(eta[i] - excess);
        surprise[i] = block->count[i] - rate[i] * (1.0 + excess);
        value[i] = block->count[i] * eta[i] - rate[i] * (1.0 + excess * (1.0 + 0.5 * excess));
    }
    for (size_t s = 0; s < state; s++) {
        const double *weight = block->weight + s * block->stride;
        gradient[s] += dot(n, surprise, weight);
        for (size_t i = 0; i < n; i++)
            scaled[i] = rate[i] * weight[i];
        for (size_t t = s; t < state; t++)
            information[s * state + t] += dot(n, scaled, block->weight + t * block->stride);
    }
    return sum_of(n, value);
}

double traj_block_plain(const struct traj_block *block, const double *x, double *gradient,
                        double *information)
{
    return evaluate(block, x, gradient, information);
}

WIDE double traj_block_wide(const struct traj_block *block, const double *x, double *gradient,
                            double *information)
{
    return evaluate(block, x, gradient, information);
}

traj_block_kernel *traj_block_choose(void)
{
    return CAN_RUN_WIDE ? traj_block_wide : traj_block_plain;
}

INLINE void add_rows(const struct traj_rows *rows, size_t n, double *restrict out)
{
    size_t r = 0;
    for (; r + 4 <= rows->count; r += 4) {
        const double *restrict a = rows->row[r], *restrict b = rows->row[r + 1];
        const double *restrict c = rows->row[r + 2], *restrict d = rows->row[r + 3];
        const double u = rows->value[r], v = rows->value[r + 1];
        const double w = rows->value[r + 2], x = rows->value[r + 3];
        for (size_t i = 0; i < n; i++)
            out[i] = (((out[i] + u * a[i]) + v * b[i]) + w * c[i]) + x * d[i];
    }
    for (; r < rows->count; r++) {
        const double *restrict a = rows->row[r];
        const double u = rows->value[r];
        for (size_t i = 0; i < n; i++)
            out[i] += u * a[i];
    }
}

void traj_rows_plain(const struct traj_rows *rows, size_t n, double *out)
{
    add_rows(rows, n, out);
}

WIDE void traj_rows_wide(const struct traj_rows *rows, size_t n, double *out)
{
    add_rows(rows, n, out);
}

traj_rows_kernel *traj_rows_choose(void)
{
    return CAN_RUN_WIDE ? traj_rows_wide : traj_rows_plain;
}
