/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A small valid model with every array present, for tests of model files. */
#ifndef TESTS_COMMON_SMALL_MODEL_H
#define TESTS_COMMON_SMALL_MODEL_H

#include "daemon/learn/model_file.h"

/* Two dimensions, two targets and a free component, three units, two features; NULL without
 * memory. */
struct traj_model *small_model(void);

#endif
