/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The linear-Gaussian families on a new day. */
#include "daemon/learn/adapt_parts.h"

static int prepare(struct traj_adapt *adapt, void **self)
{
    *self = NULL;
    return traj_error_set(adapt->error, "%s: a model of the family \"%s\" cannot be adapted",
                          adapt->today->session[0]->path, adapt->from->about.family);
}

static int fill(void *self, unsigned without, struct traj_model *model)
{
    (void)self;
    (void)without;
    (void)model;
    return -1;
}

static void release(void *self)
{
    (void)self;
}

const struct traj_adapt_family traj_adapt_linear = {prepare, fill, release};
