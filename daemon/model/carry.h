/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A filter over courses carried to targets that it was not trained on.
 *
 * With u_m the place of a known target from the origin (where courses begin) and u that of a new
 * one, what is known of the targets' courses is read as a function of the target and interpolated
 * by a Gaussian process over targets whose mean is that of the known ones,
 *     f(u) = sum_m w_m f(u_m),  w_m = (1 - sum_i a_i) / M + a_m,  a = (K + N)^-1 k(u),
 *     k(u, u') = c1 t.t' + c2 (2 (t.t')^2 - (2/D) |t|^2 |t'|^2 + (|t|^2 - 1) (|t'|^2 - 1))
 *                + c3 exp(-|t - t'|^2 / (2 l^2)),  t = u / root mean square |u_m|,
 * the kernel by which the courses' rates were shrunk (learn/rate_kernel.h): on a ring, the cosines
 * of once and twice the angle between targets, and what only neighbours share.  f is
 *   - what every channel does in each place on the course, as it is;
 *   - position from the origin, velocity, and the expected answer of the recent past (recent.h),
 *     each turned and scaled from its own target to the new one, A_m = |u| / |u_m| R(u_m -> u), R
 *     the rotation in the plane of both.
 * Spreads are those of the target of greatest weight, turned and scaled.  Rates are known less well
 * between targets: doubt grows by half the rates times the process's variance at u.  A new target
 * that stands where a known one stands is that target, to the bit.
 *
 * Nothing here allocates: arrays for as many targets as traj_target_slots says belong to the
 * decoder's block.
 */
#ifndef TRAJ_MODEL_CARRY_H
#define TRAJ_MODEL_CARRY_H

#include "daemon/model/arena.h"
#include "traj/decoder.h"

/* Which states and nodes of a model belong to its targets: M blocks, one after the other, that are
 * alike. */
struct traj_carry_blocks {
    size_t state, states; /* the first block's first state, and how many are in each */
    size_t node, nodes;   /* likewise */
};

struct traj_carry {
    const struct traj_model *base;
    bool able;               /* the base model's targets have blocks that are alike */
    struct traj_model model; /* the carried model; its arrays are those below or the base's */
    struct traj_dims room;   /* what the arrays below have room for */
    struct traj_carry_blocks blocks;
    double origin[TRAJ_DIM_MAX];
    double size;              /* root mean square distance of the base's targets */
    double unit[2];           /* of position and velocity, in which nearness is measured */
    double *factor;           /* [M][M] Cholesky factor of K + N of the base's targets */
    double *weight;           /* [M] of the target that is being carried to */
    double *map;              /* [M][D][D] A_m */
    double *near;             /* [J] scratch: how near a place is to each state */
    double *target_position;  /* [slots][D] */
    char (*id)[TRAJ_ID_SIZE]; /* [slots] */
    double *position, *velocity, *position_spread, *velocity_spread, *progress, *eta, *share;
    double *initial, *start, *emission_mean, *emission_doubt, *link_prob, *recent_mean;
    int32_t *target, *node, *group, *link_first, *link_to;
    uint8_t *place;
};

/* What a decoder of these sizes must have room for so that targets may come; the sizes themselves
 * where none may. */
struct traj_dims traj_carry_room(const struct traj_dims *dims);

void traj_carry_lay_out(struct traj_carry *carry, struct traj_arena *arena,
                        const struct traj_dims *dims);
void traj_carry_init(struct traj_carry *carry, const struct traj_model *base);

/*
 * Makes carry->model for targets position[count][D], named id[count] (borrowed while it is called)
 * of the set `name`.  TRAJ_E_DIMS where this model cannot be carried, TRAJ_E_MEMORY where there are
 * too many, TRAJ_E_NONFINITE; then carry->model is rubbish and the base is still whole.
 */
enum traj_status traj_carry_to(struct traj_carry *carry, const char *name, size_t count,
                               const char (*id)[TRAJ_ID_SIZE], const double *position);

/* The base's target that stands exactly at a position, or -1. */
int32_t traj_carry_known(const struct traj_model *base, const double *position);

/* Weights of the base's targets for a new one at position[D] into weight[M]; returns the variance
 * of the process there. */
double traj_carry_weights(const struct traj_carry *carry, const double *position, double *weight);

#endif
