/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The innermost loop, twice; see kernel.h. */
#include "daemon/model/kernel.h"

#include "daemon/model/elementary.h"
#include "daemon/model/lanes.h"
#include "daemon/model/observe.h"

#define INLINE TRAJ_INLINE
#define WIDE TRAJ_WIDE

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
    return TRAJ_CAN_RUN_WIDE ? traj_block_wide : traj_block_plain;
}

/* So many fours at a time; what is summed stays in registers. */
#define FOURS 8u

INLINE void add_rows(const struct traj_rows *rows, size_t first, size_t n, double *out)
{
    size_t i = first;
    const size_t end = first + n;
    for (; i + 4 * FOURS <= end; i += 4 * FOURS) {
        traj_four sum[FOURS];
        for (size_t k = 0; k < FOURS; k++)
            sum[k] = traj_four_get(out + i + 4 * k);
        for (size_t r = 0; r < rows->count; r++) {
            const double *row = rows->row[r] + i;
            const double value = rows->value[r];
            for (size_t k = 0; k < FOURS; k++)
                sum[k] += value * traj_four_get(row + 4 * k);
        }
        for (size_t k = 0; k < FOURS; k++)
            traj_four_put(out + i + 4 * k, sum[k]);
    }
    for (; i + 8 <= end; i += 8) {
        traj_four low = traj_four_get(out + i), high = traj_four_get(out + i + 4);
        for (size_t r = 0; r < rows->count; r++) {
            low += rows->value[r] * traj_four_get(rows->row[r] + i);
            high += rows->value[r] * traj_four_get(rows->row[r] + i + 4);
        }
        traj_four_put(out + i, low);
        traj_four_put(out + i + 4, high);
    }
    for (; i < end; i++) {
        double sum = out[i];
        for (size_t r = 0; r < rows->count; r++)
            sum += rows->value[r] * rows->row[r][i];
        out[i] = sum;
    }
}

void traj_rows_plain(const struct traj_rows *rows, size_t first, size_t n, double *out)
{
    add_rows(rows, first, n, out);
}

WIDE void traj_rows_wide(const struct traj_rows *rows, size_t first, size_t n, double *out)
{
    add_rows(rows, first, n, out);
}

traj_rows_kernel *traj_rows_choose(void)
{
    return TRAJ_CAN_RUN_WIDE ? traj_rows_wide : traj_rows_plain;
}
