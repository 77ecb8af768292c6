/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Which family a component is of. */
#include "daemon/model/component.h"

#include "daemon/model/linear_gaussian.h"

const struct traj_component_table *traj_component_of(const struct traj_model *model, size_t k)
{
    (void)model;
    (void)k;
    return &traj_linear_gaussian;
}

size_t traj_component_size(const struct traj_dims *dims)
{
    return traj_linear_gaussian.size(dims);
}

size_t traj_component_scratch(const struct traj_dims *dims)
{
    return traj_linear_gaussian.scratch(dims);
}
