/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Switching: where no marks tell when a movement begins, the component may change in any bin, as
 * in interacting multiple models (Blom and Bar-Shalom 1988).  With r = 1 - exp(-rate k width),
 *     w_k <- (1 - r) w_k + r prior_k,
 * and the share r prior_k / w_k of component k are newcomers: at x_1 in the coming bin where the
 * component restarts, otherwise wherever the mixture now is.
 */
#include "daemon/model/mixture.h"

#include "daemon/model/elementary.h"

void traj_mixture_switch(struct traj_mixture *mixture, size_t steps)
{
    const struct traj_model *model = mixture->model;
    for (size_t k = 0; k < mixture->components; k++)
        if (mixture->component[k].fresh)
            return; /* nothing has moved yet */
    if (!(model->switch_rate > 0.0))
        return;
    const double moved = 1.0 - traj_exp(-model->switch_rate * model->bin_width * (double)steps);
    traj_mixture_moments(mixture);
    double total = 0.0;
    for (size_t k = 0; k < mixture->components; k++) {
        const int32_t target = model->component_target[k];
        const double belief = target < 0 ? 0.0 : mixture->belief->total[target];
        mixture->entering[k] = model->component_prior[k] * traj_exp(belief);
        total += mixture->entering[k];
    }
    for (size_t k = 0; k < mixture->components; k++) {
        struct traj_mixture_component *one = &mixture->component[k];
        const double entering = moved * (mixture->entering[k] / total);
        const double weight = (1.0 - moved) * mixture->weight[k] + entering;
        const double share = weight > 0.0 ? entering / weight : 0.0;
        mixture->log_weight[k] = traj_log(weight);
        mixture->entering[k] = one->restarts ? share : 0.0;
        if (!one->restarts && share > 0.0)
            one->table->enter(one->self, share, mixture->mean, mixture->cov);
    }
}
