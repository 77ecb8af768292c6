/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Four numbers side by side, and exponential and logarithm of them: each lane goes through the
 * operations of traj_exp and traj_log in their order, so that the bits are those of the scalar
 * functions, whichever registers the compiler has (two of SSE2, one of AVX).
 */
#ifndef TRAJ_MODEL_LANES_H
#define TRAJ_MODEL_LANES_H

#include "daemon/model/elementary.h"

#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Everything here is inlined, so it does not matter how vectors would be passed to functions. */
#pragma GCC diagnostic ignored "-Wpsabi"

#define TRAJ_INLINE static inline __attribute__((always_inline))

/* A function that is compiled once more for wide registers, and whether this processor has them. */
#if defined(__x86_64__)
#define TRAJ_WIDE __attribute__((target("avx2")))
#define TRAJ_CAN_RUN_WIDE __builtin_cpu_supports("avx2")
#else
#define TRAJ_WIDE
#define TRAJ_CAN_RUN_WIDE 0
#endif

typedef double traj_four __attribute__((vector_size(32)));
typedef int64_t traj_four_mask __attribute__((vector_size(32))); /* all bits of a lane, or none */
typedef uint64_t traj_four_bits __attribute__((vector_size(32)));
/* Four numbers in memory, aligned as one is. */
typedef double traj_four_there __attribute__((vector_size(32), aligned(8), may_alias));

TRAJ_INLINE traj_four traj_four_all(double x)
{
    return (traj_four){x, x, x, x};
}

TRAJ_INLINE traj_four traj_four_of(double a, double b, double c, double d)
{
    return (traj_four){a, b, c, d};
}

TRAJ_INLINE traj_four traj_four_get(const double *from)
{
    return *(const traj_four_there *)from;
}

TRAJ_INLINE void traj_four_put(double *to, traj_four x)
{
    *(traj_four_there *)to = x;
}

/* The first two change places, and so do the last two. */
TRAJ_INLINE traj_four traj_four_swap(traj_four x)
{
    return traj_four_of(x[1], x[0], x[3], x[2]);
}

/* mask ? a : b. */
TRAJ_INLINE traj_four traj_four_choose(traj_four_mask mask, traj_four a, traj_four b)
{
    return (traj_four)(((traj_four_mask)a & mask) | ((traj_four_mask)b & ~mask));
}

/* The greater one; b where either is NaN. */
TRAJ_INLINE traj_four traj_four_greater(traj_four a, traj_four b)
{
    return traj_four_choose(a > b, a, b);
}

/* The sum of the lanes, in an order of its own. */
TRAJ_INLINE double traj_four_sum(traj_four x)
{
    return (x[0] + x[2]) + (x[1] + x[3]);
}

/* The greatest of the lanes that are numbers; -infinity where none is. */
TRAJ_INLINE double traj_four_most(traj_four x)
{
    double most = -INFINITY;
    for (size_t lane = 0; lane < 4; lane++)
        most = x[lane] > most ? x[lane] : most;
    return most;
}

/* As traj_power_of_two. */
TRAJ_INLINE traj_four traj_four_power_of_two(traj_four rounded)
{
    return (traj_four)(((traj_four_bits)rounded + 1023u) << 52);
}

/* As traj_exp. */
TRAJ_INLINE traj_four traj_four_exp(traj_four x)
{
    x = traj_four_choose(x > 710.0, traj_four_all(710.0), x);
    x = traj_four_choose(x < -746.0, traj_four_all(-746.0), x);
    const traj_four k = (x * TRAJ_LOG2_E + TRAJ_ROUNDER) - TRAJ_ROUNDER;
    const traj_four r = (x - k * TRAJ_LN2_HIGH) - k * TRAJ_LN2_LOW;
    traj_four sum = traj_four_all(TRAJ_EXP_13);
    sum = sum * r + TRAJ_EXP_12;
    sum = sum * r + TRAJ_EXP_11;
    sum = sum * r + TRAJ_EXP_10;
    sum = sum * r + TRAJ_EXP_9;
    sum = sum * r + TRAJ_EXP_8;
    sum = sum * r + TRAJ_EXP_7;
    sum = sum * r + TRAJ_EXP_6;
    sum = sum * r + TRAJ_EXP_5;
    sum = sum * r + TRAJ_EXP_4;
    sum = sum * r + TRAJ_EXP_3;
    sum = sum * r + 0.5;
    sum = 1.0 + (r + r * r * sum);
    const traj_four half = k * 0.5 + TRAJ_ROUNDER;
    const traj_four rest = (k - (half - TRAJ_ROUNDER)) + TRAJ_ROUNDER;
    return sum * traj_four_power_of_two(half) * traj_four_power_of_two(rest);
}

/* As traj_log, of normal positive numbers; infinity at infinity, NaN for everything else. */
TRAJ_INLINE traj_four traj_four_log(traj_four x)
{
    const traj_four_bits bits = (traj_four_bits)x;
    /* The exponent as a number: in the lowest bits of 2^52. */
    const traj_four exponent = (traj_four)((bits >> 52) | 0x4330000000000000u) - 0x1p52;
    traj_four power = exponent - 1023.0;
    traj_four m = (traj_four)((bits & 0xfffffffffffffu) | 0x3ff0000000000000u);
    const traj_four_mask high = m > TRAJ_LOG_SPLIT;
    m = traj_four_choose(high, m * 0.5, m);
    power = traj_four_choose(high, power + 1.0, power);
    const traj_four f = m - 1.0;
    const traj_four s = f / (2.0 + f);
    const traj_four z = s * s;
    traj_four sum = traj_four_all(2.0 / 23.0);
    for (int odd = 21; odd >= 3; odd -= 2)
        sum = sum * z + 2.0 / (double)odd;
    const traj_four half = 0.5 * f * f;
    const traj_four value =
        power * TRAJ_LN2_HIGH - ((half - (s * (half + sum * z) + power * TRAJ_LN2_LOW)) - f);
    const traj_four_mask normal = (x >= 0x1p-1022) & (x <= 0x1.fffffffffffffp1023);
    const traj_four other = traj_four_choose(x > 1.0, traj_four_all(INFINITY), traj_four_all(NAN));
    return traj_four_choose(normal, value, other);
}

#endif
