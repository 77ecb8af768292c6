/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What the recent past of all channels says of the movement, by regression, and how the filter over
 * courses weighs it.
 *
 * A channel s_n less its mean is passed through a cascade of stages, each of which follows the one
 * before (gamma memory, de Vries and Principe 1992):
 *     z_0n = s_n - mean_n,  z_kn += follow (z_{k-1,n} - z_kn),
 * and position and velocity are regressed on all stages: f = offset + sum_kn w_kn z_kn.  In state j
 * the answer is expected at a_j, with noise Q, so that a state's probability is multiplied by
 *     exp(sure tau' (f' Q^-1 a_j - a_j' Q^-1 a_j / 2)).
 * What the posterior p leaves unexplained moves the published mean by a gain that was fitted and
 * that grows with the posterior's variance, as Kalman's does, and for the velocity with the speed
 * beside its uncertainty, so that a hand that rests stays quiet:
 *     position += s_p^2 sure G_p' (f - sum_j p_j a_j),  s_p^2 = tr C_p / D,
 *     velocity += s_v^2 |v| / (|v| + s_v) sure G_v' (f - sum_j p_j a_j).
 * A channel that is not observed counts as what the prediction expects of it; `sure`, 0 to 1, is
 * the share of the channels that was observed of late: it has the last stage's memory.
 */
#ifndef TRAJ_MODEL_RECENT_H
#define TRAJ_MODEL_RECENT_H

#include "daemon/model/arena.h"
#include "traj/model.h"

#include <stdbool.h>

struct traj_recent {
    const struct traj_model *model;
    size_t stages, channels, out; /* out = 2 D: position, velocity */
    double *stage;                /* [stages][C] */
    double *share;                /* [stages] of the channels that were observed */
    double *answer;               /* [out] f */
    double *factor;               /* [out][out] Cholesky factor of Q */
    double *table;                /* [J][out] Q^-1 a_j */
    double *half;                 /* [J] a_j' Q^-1 a_j / 2 */
    double *apart;                /* [out] scratch */
};

void traj_recent_lay_out(struct traj_recent *recent, struct traj_arena *arena,
                         const struct traj_dims *dims);

/* False where the noise is unusable.  Nothing to do without stages. */
bool traj_recent_init(struct traj_recent *recent, const struct traj_model *model);
void traj_recent_clear(struct traj_recent *recent);

/* Takes the channels s[C] of a frame `steps` bins after the last; those between were not seen.
 * observed: how many of the channels truly were. */
void traj_recent_step(struct traj_recent *recent, const double *s, size_t observed, size_t steps);

/* How much the answer can be trusted by what was observed, 0 to 1. */
double traj_recent_sure(const struct traj_recent *recent);

/* The logarithm of state j's factor but for its temper. */
double traj_recent_likelihood(const struct traj_recent *recent, size_t j);

/* f - sum_i weight_i a_active(i) times sure, out[2 D], over actives states. */
void traj_recent_unexplained(const struct traj_recent *recent, const double *weight,
                             const int32_t *active, size_t actives, double *out);

/* The factor before the gain for a covariance [D][D]: s_p^2, or with a velocity[D] that of the
 * velocity. */
double traj_recent_reach(const double *cov, const double *velocity, size_t dim);

/* Moves position[D] and velocity[D], with covariances [D][D], by what these weights leave
 * unexplained. */
void traj_recent_correct(const struct traj_recent *recent, const double *weight,
                         const int32_t *active, size_t actives, double *position,
                         const double *position_cov, double *velocity, const double *velocity_cov);

#endif
