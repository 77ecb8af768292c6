/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A filter over courses (traj/model.h, struct traj_chain) from courses and rates: for each target a
 * lattice of places, one chain up to movement onset and from there one for each slowness, each
 * place one training bin after the last.  Internal to this room.
 */
#ifndef TRAJ_LEARN_CHAIN_H
#define TRAJ_LEARN_CHAIN_H

#include "daemon/learn/rates.h"

/* What cross-validation chooses about it. */
struct traj_chain_choice {
    double temper;
    double switch_prob; /* a bin */
    double wander;      /* how much the pace changes within a trial: 0 = not at all, 1 = as usual */
    struct traj_calibration calibration;
};

/*
 * A checked model.  training_text becomes about.training (NULL = none).  NULL with a sentence.
 */
struct traj_model *traj_chain_assemble(const struct traj_reach *reach,
                                       const struct traj_rates *rates,
                                       const struct traj_chain_choice *choice,
                                       const char *training_text, struct traj_error *error);

#endif
