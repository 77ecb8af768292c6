/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Free places: clusters of position and velocity, how one leads to another, and a regression of the
 * channels on position and velocity.  Internal to this room.
 */
#ifndef TRAJ_LEARN_PLACES_H
#define TRAJ_LEARN_PLACES_H

#include "daemon/learn/training.h"

#define TRAJ_PLACE_UNUSED ((size_t)-1)

struct traj_places {
    size_t dim, places;
    double unit[2];  /* of position and velocity: what counts as one unit of distance */
    double *centre;  /* [places][2 dim] */
    double *count;   /* [places] bins of the training that are nearest */
    size_t *nearest; /* [bins] place of a bin, TRAJ_PLACE_UNUSED where it does not train */
    double *move;    /* [places][places] transition probabilities a bin */
};

/*
 * k-means with at most `places` clusters on the bins outside fold `without`: those that `apart`
 * (NULL = all) marks with 1 and half as many drawn from all.  -1 with a sentence.
 */
int traj_places_fit(struct traj_places *places, const struct traj_training *training,
                    unsigned without, size_t count, const uint8_t *apart, const double unit[2],
                    uint64_t seed, struct traj_error *error);
void traj_places_free(struct traj_places *places);

/* Squared distance of two states (position, velocity) in units. */
double traj_places_distance(const struct traj_places *places, const double *a, const double *b);

/* The regression's inputs at a state: 1, lengths, position and velocity in units, and products of
 * two; returns how many, at most traj_places_regressors(dim). */
size_t traj_places_regressors(size_t dim);
size_t traj_places_regress_on(const struct traj_places *places,
                              const struct traj_training *training, const double *x, double *out);

#endif
