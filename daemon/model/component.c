/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Which family a component is of. */
#include "daemon/model/component.h"

#include "daemon/model/linear_gaussian.h"
#include "daemon/model/warped.h"

const struct traj_component_table *traj_component_of(const struct traj_model *model, size_t k)
{
    return model->dims.warps > 0 && model->warp.own[k] >= 0 ? &traj_warped : &traj_linear_gaussian;
}

static size_t larger(size_t a, size_t b)
{
    return a > b ? a : b;
}

size_t traj_component_size(const struct traj_dims *dims)
{
    const size_t linear = traj_linear_gaussian.size(dims);
    return dims->warps > 0 ? larger(linear, traj_warped.size(dims)) : linear;
}

size_t traj_component_scratch(const struct traj_dims *dims)
{
    const size_t linear = traj_linear_gaussian.scratch(dims);
    return dims->warps > 0 ? larger(linear, traj_warped.scratch(dims)) : linear;
}
