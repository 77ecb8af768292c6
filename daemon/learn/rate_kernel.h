/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The prior of a channel along courses, and its fit: a Gaussian process over target and phase,
 *     eta = eta0 + f,  f ~ N(0, K),
 *     K = J x (vb O + vt S) + C1 x (vc S4 + vct S) + C2 x (v2 S4 + v2t S) + I x (vi S4 + vit S)
 * (x: target by phase), J and O ones, I identity, S a squared exponential over phase of length
 * ell, S4 of four times that; with t a target's place from where reaches begin over the root mean
 * square of all, C1 = t.t', C2 = 2 (t.t')^2 - (2 / D) |t|^2 |t'|^2 + what distances add: on a ring
 * the cosines of once and twice the angle between the targets.
 *
 * Every term is a Kronecker product, so that only the phases are decomposed, never targets times
 * phases: f of target m at phase g is a row of `phase` times coefficients that the target factors
 * bring from what is shared, and times coefficients of its own.  The posterior's curvature has an
 * arrow's shape (shared, and one block a target), which the fit uses.  Internal to this room.
 */
#ifndef TRAJ_LEARN_RATE_KERNEL_H
#define TRAJ_LEARN_RATE_KERNEL_H

#include "daemon/learn/reach.h"

/* Parts of the kernel: what all targets share, what goes with the cosine, with twice the angle,
 * and what each has for itself. */
enum traj_rate_part { TRAJ_RATE_ALL, TRAJ_RATE_ONCE, TRAJ_RATE_TWICE, TRAJ_RATE_OWN };
#define TRAJ_RATE_SHARED 3 /* parts that are shared */
#define TRAJ_RATE_PARTS 4

struct traj_rate_kernel {
    size_t targets, phases;
    size_t columns[TRAJ_RATE_PARTS];  /* of the phase basis */
    size_t rank[TRAJ_RATE_SHARED];    /* of the target factor */
    size_t wide;                      /* columns of all shared parts */
    size_t own;                       /* columns of the last part */
    size_t shared;                    /* coefficients that are shared: sum of rank * columns */
    double *phase;                    /* [phases][wide + own] */
    double *target[TRAJ_RATE_SHARED]; /* [targets][rank] */
};

#define TRAJ_RATE_ELL_S 0.1 /* s, the usual length over which a channel's course is alike */

/* What may be learned about the prior itself: factors on the usual values. */
struct traj_rate_prior {
    double scale[TRAJ_RATE_PARTS]; /* on the parts' variances */
    double ell;                    /* on the length over which a channel's course is alike */
};
extern const struct traj_rate_prior traj_rate_prior_usual;

int traj_rate_kernel_init(struct traj_rate_kernel *kernel, const struct traj_reach *reach,
                          const struct traj_rate_prior *prior, struct traj_error *error);
void traj_rate_kernel_free(struct traj_rate_kernel *kernel);

/* The covariance itself, for tests: of targets a, b at phases g, h. */
double traj_rate_covariance(const struct traj_reach *reach, const struct traj_rate_prior *prior,
                            size_t a, size_t g, size_t b, size_t h);

/*
 * One channel: counts y[nodes] (nodes = targets * phases, target by target) in e[nodes] bins of
 * exposure are Poisson(e exp(eta)); or, gaussian, y sums of e values, each N(eta, 1).
 */
struct traj_rate_fit {
    const struct traj_rate_kernel *kernel;
    bool gaussian;
    double eta0;
    double *y, *e;                  /* [nodes] given */
    double *eta;                    /* [nodes] posterior mode */
    double *variance;               /* [nodes] posterior variance of eta (Laplace) */
    double square[TRAJ_RATE_PARTS]; /* sum of a part's squared coefficients at the mode */
    double known[TRAJ_RATE_PARTS];  /* how many of its coefficients the data determine: the sum of
                                       one less their posterior variance */
    double evidence;                /* log marginal likelihood but for what depends on y alone */
    double *block;                  /* workspace, owned */
    double *a, *b;                  /* coefficients: shared; [targets][own] */
    double *expected, *weight, *step, *step_own, *hessian, *inner, *cross, *solved, *last, *pool;
};

int traj_rate_fit_init(struct traj_rate_fit *fit, const struct traj_rate_kernel *kernel);
void traj_rate_fit_free(struct traj_rate_fit *fit);

/* Newton from a, b to the mode; then all that is posterior.  -1 where it has none. */
int traj_rate_fit_run(struct traj_rate_fit *fit);

#endif
