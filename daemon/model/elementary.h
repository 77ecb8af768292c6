/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Exponential and logarithm of the decode path, written out so that every compiler, at every
 * optimisation level, gives the same bits: IEEE 754 additions, multiplications and divisions in a
 * fixed order, no fused multiply-add, no table, no libm.  Rounding to nearest is taken for granted.
 *
 * Relative errors (tests/unit/test_elementary.c measures them against long double):
 *     traj_exp  below 2.3e-16 where the result is normal, half a unit of the last place of the
 *               subnormals more where it is not
 *     traj_log  below 2.3e-16, near 1 too
 */
#ifndef TRAJ_MODEL_ELEMENTARY_H
#define TRAJ_MODEL_ELEMENTARY_H

#include <stdint.h>
#include <string.h>

/* ln 2 in two parts; the first has 21 bits, so that its product with an exponent is exact. */
#define TRAJ_LN2_HIGH 0x1.62e42p-1
#define TRAJ_LN2_LOW 0x1.fdf473de6af28p-22
#define TRAJ_LOG2_E 0x1.71547652b82fep+0

/* Adding it to a number below 2^51 leaves the nearest whole number in the lowest bits. */
#define TRAJ_ROUNDER 0x1.8p52

/* The Taylor series of e^r: 1 / n!, n = 13..3. */
#define TRAJ_EXP_13 1.6059043836821613e-10
#define TRAJ_EXP_12 2.08767569878681e-09
#define TRAJ_EXP_11 2.505210838544172e-08
#define TRAJ_EXP_10 2.755731922398589e-07
#define TRAJ_EXP_9 2.7557319223985893e-06
#define TRAJ_EXP_8 2.48015873015873e-05
#define TRAJ_EXP_7 0.0001984126984126984
#define TRAJ_EXP_6 0.001388888888888889
#define TRAJ_EXP_5 0.008333333333333333
#define TRAJ_EXP_4 0.041666666666666664
#define TRAJ_EXP_3 0.16666666666666666

/* Halfway, as factors go: mantissas above it are halved before their logarithm is taken. */
#define TRAJ_LOG_SPLIT 0x1.6a09e667f3bcdp0

/* 2^k, where k stands in the lowest bits of a number to which TRAJ_ROUNDER has been added. */
static inline double traj_power_of_two(double rounded)
{
    uint64_t bits;
    memcpy(&bits, &rounded, sizeof bits);
    bits = (bits + 1023u) << 52;
    double power;
    memcpy(&power, &bits, sizeof power);
    return power;
}

/* test ? a : b by masks: where compilers see a condition they may branch, and then not
 * vectorise. */
static inline double traj_choose(int test, double a, double b)
{
    const uint64_t mask = (uint64_t)0 - (uint64_t)(test != 0);
    uint64_t bits_a, bits_b;
    memcpy(&bits_a, &a, sizeof bits_a);
    memcpy(&bits_b, &b, sizeof bits_b);
    bits_a = (bits_a & mask) | (bits_b & ~mask);
    memcpy(&a, &bits_a, sizeof a);
    return a;
}

/*
 * e^x.  0 below -745.2, infinity above 709.8, NaN for NaN.  Without a branch, so that a loop over
 * it becomes vector code: x = k ln 2 + r with |r| <= ln 2 / 2, the Taylor series of e^r to r^13
 * (remainder 4e-18), and 2^k in two factors, so that subnormal results are rounded once.
 */
static inline double traj_exp(double x)
{
    x = traj_choose(x > 710.0, 710.0, x);
    x = traj_choose(x < -746.0, -746.0, x);
    const double k = (x * TRAJ_LOG2_E + TRAJ_ROUNDER) - TRAJ_ROUNDER;
    const double r = (x - k * TRAJ_LN2_HIGH) - k * TRAJ_LN2_LOW;
    double sum = TRAJ_EXP_13;
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
    const double half = k * 0.5 + TRAJ_ROUNDER;
    const double rest = (k - (half - TRAJ_ROUNDER)) + TRAJ_ROUNDER;
    return sum * traj_power_of_two(half) * traj_power_of_two(rest);
}

/* Natural logarithm: -infinity at 0, NaN below 0 and for NaN, infinity at infinity. */
double traj_log(double x);

/* log(n!), as the Poisson probability of n needs it; relative error below 5e-16. */
double traj_log_factorial(unsigned n);

#endif
