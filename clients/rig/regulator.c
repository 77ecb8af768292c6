/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Gains of linear-quadratic-Gaussian control; see regulator.h. */
#include "clients/rig/regulator.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>

#define SQUARE (TRAJ_REGULATOR_STATES * TRAJ_REGULATOR_STATES)
#define SIGHT_STEPS 5000
#define SIGHT_STILL 1e-10 /* change of a gain that is none */

/* c = a b, or a b' ; all [n][n]. */
static void multiply(const double *a, const double *b, bool transposed, size_t n, double *c)
{
    for (size_t i = 0; i < n; i++) {
        for (size_t j = 0; j < n; j++) {
            double sum = 0.0;
            for (size_t k = 0; k < n; k++) {
                sum += a[i * n + k] * (transposed ? b[j * n + k] : b[k * n + j]);
            }
            c[i * n + j] = sum;
        }
    }
}

void traj_regulator_gains(const struct traj_linear *system, const double *end, double effort,
                          size_t steps, double *gain)
{
    size_t n = system->states;
    double p[SQUARE] = {0}, pa[SQUARE], closed[SQUARE], at[SQUARE];
    for (size_t i = 0; i < n; i++) {
        p[i * n + i] = end[i];
        for (size_t j = 0; j < n; j++) {
            at[i * n + j] = system->a[j * n + i];
        }
    }
    for (size_t k = 0; k < steps; k++) {
        double pb[TRAJ_REGULATOR_STATES] = {0}, bpb = 0.0;
        multiply(p, system->a, false, n, pa);
        for (size_t i = 0; i < n; i++) {
            for (size_t j = 0; j < n; j++) {
                pb[i] += p[i * n + j] * system->b[j];
            }
            bpb += system->b[i] * pb[i];
        }
        for (size_t j = 0; j < n; j++) {
            double bpa = 0.0;
            for (size_t i = 0; i < n; i++) {
                bpa += system->b[i] * pa[i * n + j];
            }
            gain[k * n + j] = bpa / (effort + bpb);
        }
        for (size_t i = 0; i < n; i++) {
            for (size_t j = 0; j < n; j++) {
                closed[i * n + j] = pa[i * n + j] - pb[i] * gain[k * n + j];
            }
        }
        multiply(at, closed, false, n, p);
        for (size_t i = 0; i < n; i++) { /* symmetric in theory, held so in practice */
            for (size_t j = 0; j < i; j++) {
                p[i * n + j] = p[j * n + i] = 0.5 * (p[i * n + j] + p[j * n + i]);
            }
        }
    }
}

/*
 * One observation: gain = P (P + R)^-1 column by column (Gauss-Jordan; P + R is positive definite,
 * so no pivoting is needed), and P <- P - gain P.
 */
static void observe(const double *sight, size_t n, double *p, double *gain)
{
    double s[SQUARE], x[SQUARE];
    memcpy(s, p, n * n * sizeof *s);
    memcpy(x, p, n * n * sizeof *x);
    for (size_t i = 0; i < n; i++) {
        s[i * n + i] += sight[i];
    }
    for (size_t i = 0; i < n; i++) { /* x <- s^-1 P; both are symmetric, so gain = x' */
        double pivot = s[i * n + i];
        for (size_t j = 0; j < n; j++) {
            s[i * n + j] /= pivot;
            x[i * n + j] /= pivot;
        }
        for (size_t r = 0; r < n; r++) {
            double factor = s[r * n + i];
            for (size_t j = 0; r != i && j < n; j++) {
                s[r * n + j] -= factor * s[i * n + j];
                x[r * n + j] -= factor * x[i * n + j];
            }
        }
    }
    for (size_t i = 0; i < n; i++) {
        for (size_t j = 0; j < n; j++) {
            gain[i * n + j] = x[j * n + i];
        }
    }
    multiply(gain, p, false, n, x);
    for (size_t i = 0; i < n * n; i++) {
        p[i] -= x[i];
    }
}

void traj_regulator_sight(const struct traj_linear *system, const double *process,
                          const double *sight, double *gain)
{
    size_t n = system->states;
    double p[SQUARE] = {0}, t[SQUARE], before[SQUARE] = {0};
    for (size_t i = 0; i < n; i++) {
        p[i * n + i] = process[i] + 1.0;
    }
    for (size_t k = 0; k < SIGHT_STEPS; k++) {
        double change = 0.0;
        observe(sight, n, p, gain);
        multiply(system->a, p, false, n, t);
        multiply(t, system->a, true, n, p);
        for (size_t i = 0; i < n; i++) {
            p[i * n + i] += process[i];
        }
        for (size_t i = 0; i < n * n; i++) {
            change = fmax(change, fabs(gain[i] - before[i]));
            before[i] = gain[i];
        }
        if (k > 0 && change < SIGHT_STILL) {
            break;
        }
    }
}
