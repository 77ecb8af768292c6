/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Deals the training data out to folds.  Internal to this room. */
#ifndef TRAJ_LEARN_FOLDS_H
#define TRAJ_LEARN_FOLDS_H

#include "daemon/learn/training.h"

/*
 * Gives every bin, state and trial its fold.  Sessions that hold rests and returns too are cut into
 * contiguous blocks between trials; trials that were cut out are dealt one by one, each target's
 * evenly.  Sets training->folds (0 where fewer than two trials or blocks exist) and ->unbroken.
 */
int traj_folds_deal(struct traj_training *training, size_t folds, uint64_t seed,
                    struct traj_error *error);

#endif
