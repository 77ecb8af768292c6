/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A model of an unbroken recording, made larger than one can be trained in a minute. */
#ifndef TRAJ_BENCH_WIDE_MODEL_H
#define TRAJ_BENCH_WIDE_MODEL_H

#include "daemon/learn/error.h"
#include "traj/model.h"

/*
 * So many units, each like one of the model's, and its states and targets so many times, each time
 * with other units: the chain is as many chains side by side.  NULL with a sentence.
 */
struct traj_model *wide_model(const struct traj_model *model, size_t units, size_t copies,
                              struct traj_error *error);

#endif
