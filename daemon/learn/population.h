/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What a population of known units says about the tuning of a unit.  A unit is `rows` numbers (log
 * rates at the nodes of a filter over courses, or weights on the state); the known units are taken
 * as draws from
 *     theta ~ N(mean, F F' + level level' s^2)
 * F of low rank, by an eigendecomposition of the sample covariance, `level` the direction in which
 * the rate as a whole moves.  Given today's data, a unit's numbers are
 *     theta = base + [F level] a,  a ~ N(0, diag(scale^2))
 * with `base` what it was yesterday and a small scale where it is believed to be the same unit, and
 * `base` the mean and the whole scale where it may be any other.  Internal to this room.
 */
#ifndef TRAJ_LEARN_POPULATION_H
#define TRAJ_LEARN_POPULATION_H

#include <stddef.h>

#include "daemon/learn/error.h"

#define TRAJ_POPULATION_RANK 80 /* of F at most */

struct traj_population {
    size_t rows, columns; /* columns: those of F and level, the last */
    double *mean;         /* [rows] */
    double *factor;       /* [rows][columns] */
    double level_sd;      /* of the known units' means along level */
};

/* table[units][rows]; level[rows]; rank: of F at most.  0, or -1 without memory. */
int traj_population_make(struct traj_population *population, const double *table, size_t units,
                         size_t rows, const double *level, size_t rank, struct traj_error *error);
void traj_population_free(struct traj_population *population);

/*
 * What was observed of one unit, by rows of a design: row i has y[i] in e[i] of exposure and the
 * linear predictor base[i] + factor[i]' a.
 */
struct traj_unit_data {
    size_t rows, columns;
    const double *factor; /* [rows][columns] */
    const double *y, *e;  /* [rows] */
    double variance;      /* of one observation; 0 = Poisson, y counts in e seconds */
    double squares;       /* Gaussian: sum of the squared observations */
};

/* The posterior of a under one hypothesis, and room to compute it. */
struct traj_unit_fit {
    size_t columns;
    double *a;       /* [columns] mode */
    double *hessian; /* [columns][columns] Cholesky factor of the negative Hessian */
    double *work;    /* [columns] */
    double *whole;   /* [rows_max] scratch */
    double evidence; /* log p(data), Laplace, without what depends on the counts alone */
};
int traj_unit_fit_init(struct traj_unit_fit *fit, size_t rows_max, size_t columns);
void traj_unit_fit_free(struct traj_unit_fit *fit);

/*
 * Newton's method with halved steps where counts are Poisson, in one step where they are Gaussian.
 * base[rows]; scale[columns].  0, or -1 where the Hessian has no factor.
 */
int traj_unit_fit_run(struct traj_unit_fit *fit, const struct traj_unit_data *data,
                      const double *base, const double *scale);

/* Posterior mean of row' a and its variance. */
double traj_unit_fit_at(struct traj_unit_fit *fit, const double *row, double *variance);

#endif
