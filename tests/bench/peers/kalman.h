/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A steady-state Kalman filter (Malik et al. 2011), as labs run it: position and velocity in a
 * plane, x <- G x + K z.  The numbers are made up; they cost what trained ones cost.
 */
#ifndef TRAJ_BENCH_KALMAN_H
#define TRAJ_BENCH_KALMAN_H

#include <math.h>
#include <stddef.h>
#include <stdint.h>

#define KALMAN_STATE 4
#define KALMAN_UNITS_MAX 8192

struct kalman {
    size_t units;
    double state[KALMAN_STATE];
    double gain[KALMAN_STATE * KALMAN_UNITS_MAX]; /* K [KALMAN_STATE][units] */
};

static inline void kalman_init(struct kalman *kalman, size_t units)
{
    kalman->units = units;
    for (size_t s = 0; s < KALMAN_STATE; s++) {
        kalman->state[s] = 0;
    }
    for (size_t i = 0; i < KALMAN_STATE * units; i++) {
        kalman->gain[i] = sin((double)(7 * i + 1)) / (double)units;
    }
}

static inline void kalman_step(struct kalman *kalman, const uint16_t *counts, double bin)
{
    static const double decay = 0.95;
    double *x = kalman->state;
    x[0] = decay * (x[0] + bin * x[2]);
    x[1] = decay * (x[1] + bin * x[3]);
    x[2] *= decay;
    x[3] *= decay;
    for (size_t s = 0; s < KALMAN_STATE; s++) {
        double sum = 0;
        for (size_t n = 0; n < kalman->units; n++) {
            sum += kalman->gain[s * kalman->units + n] * counts[n];
        }
        x[s] += sum;
    }
}

#endif
