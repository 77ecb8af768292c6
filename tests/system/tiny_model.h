/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A small model made by rule, not fitted: what tests of the daemon decode with. */
#ifndef TRAJ_TESTS_TINY_MODEL_H
#define TRAJ_TESTS_TINY_MODEL_H

#include <stddef.h>
#include <stdint.h>

#include "daemon/learn/error.h"
#include "traj/model.h"

/*
 * A mixture in dim dimensions: one component a target, on a circle of radius 100 mm in the first
 * two, and a free one; units with cosine tuning for velocity; 20 ms bins.  seed varies the tuning,
 * so that two seeds are two models.  NULL with a sentence; to be freed by traj_model_free.
 */
struct traj_model *tiny_model(size_t units, size_t targets, size_t dim, uint64_t seed,
                              struct traj_error *error);

#endif
