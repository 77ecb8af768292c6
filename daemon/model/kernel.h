/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The innermost loop of decoding: log likelihood of Poisson counts, its gradient and Hessian, over
 * a block of units.  It is compiled twice, for any x86-64 and for wide registers (AVX2), from one
 * source whose order of operations is written out: eight partial sums side by side, joined in a
 * fixed order, no fused multiply-add.  Both give the same bits (tests/unit/test_kernel.c).
 */
#ifndef TRAJ_MODEL_KERNEL_H
#define TRAJ_MODEL_KERNEL_H

#include <stddef.h>

#define TRAJ_LANES 8u         /* partial sums; part of what fixes the bits */
#define TRAJ_BLOCK_UNITS 128u /* at most so many units a call, a multiple of TRAJ_LANES */

struct traj_block {
    size_t state;           /* S */
    size_t units;           /* n, a multiple of TRAJ_LANES */
    size_t stride;          /* row length of weight */
    const double *weight;   /* [S][stride] tuning, a row a state variable */
    const double *offset;   /* [n] */
    const double *count;    /* [n] */
    const double *exposure; /* [n] s */
};

/*
 * sum_n [y_n eta_n - dt_n e^eta_n] at state x, eta_n = c_n' x + d_n, the exponential as described
 * in observe.h; adds to gradient[S] and to the upper triangle of the negative Hessian
 * information[S][S].
 */
typedef double traj_block_kernel(const struct traj_block *block, const double *x, double *gradient,
                                 double *information);

traj_block_kernel traj_block_plain;
traj_block_kernel
    traj_block_wide; /* the same as plain where the compiler knows no wide registers */

/*
 * Rows of a table, each with its factor: out[i] <- (..(out[i] + value[0] row[0][i]) + ..), in this
 * order for every i in [first, first + n), so that neither the width of registers nor how many are
 * asked for at a time shows.  Every row is read once.
 */
struct traj_rows {
    size_t count;
    const double *const *row;
    const double *value;
};
typedef void traj_rows_kernel(const struct traj_rows *rows, size_t first, size_t n, double *out);

traj_rows_kernel traj_rows_plain;
traj_rows_kernel traj_rows_wide;
traj_rows_kernel *traj_rows_choose(void);

/* The faster one that this processor can run. */
traj_block_kernel *traj_block_choose(void);

#endif
