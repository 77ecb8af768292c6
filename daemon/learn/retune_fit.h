/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The numbers by which tables are moved (retune.h), from where frames lay among the nodes:
 * recursive maximum likelihood, with what was seen long ago fading (Dangi, Gowda, Heliot and
 * Carmena 2011; Orsborn et al. 2012 for the batches), and shrunk to the model as it was loaded.
 * Each channel is fitted from the last moments alone and from a longer past; which of the two is
 * used, if any, is what foretold the channel best so far.  Internal to this room.
 */
#ifndef TRAJ_LEARN_RETUNE_FIT_H
#define TRAJ_LEARN_RETUNE_FIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/learn/error.h"
#include "daemon/learn/population.h"
#include "daemon/learn/retune.h"

/* What may be moved. */
enum traj_retune_what { TRAJ_RETUNE_LEVELS, TRAJ_RETUNE_GAINS, TRAJ_RETUNE_TUNING };

struct traj_retune_fit;

struct traj_retune_fit *traj_retune_fit_new(const struct traj_model *base,
                                            struct traj_error *error);
void traj_retune_fit_free(struct traj_retune_fit *fit); /* NULL is allowed */

/*
 * A frame of dt s: counts[N] and feature[F] (NULL where there are none), and the posterior of the
 * nodes it lay in, weight[E].
 */
void traj_retune_fit_add(struct traj_retune_fit *fit, const uint16_t *counts, const float *feature,
                         double dt, const double *weight);

/*
 * The end of an interval: what came in it decides between the fits made before it, then it is
 * learned from.  fade: what of the longer past stays; blend: how much of the numbers in force stays
 * in new ones (0 = none).  in_force[C][K] into wanted[C][K]; returns how many channels change.
 */
size_t traj_retune_fit_close(struct traj_retune_fit *fit, enum traj_retune_what what, double fade,
                             double blend, const double *in_force, double *wanted);

/* What foretold channels best is to be found anew: other numbers are in force. */
void traj_retune_fit_anew(struct traj_retune_fit *fit);

#endif
