/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The regression on the recent past, of a model that is adapted.  A channel says of movement what
 * it said yesterday as far as its table is like yesterday's, whatever its level: with t_e and y_e
 * the two tables less their means over nodes, its weights are multiplied by
 *     b = sum t_e y_e / sum t_e^2, 0 to 1,
 * which is 1 where nothing changed and little where another unit is there now.  (Whether it is the
 * same unit by its evidence, adapt_parts.h, will not do: a slow change of its rate is enough to
 * make it another.)  What the others used to say is then missing from the answer as well as from
 * what a state expects of it, and the answer is believed by the share of the signal that is left,
 * as the decoder does where channels are not observed (daemon/model/recent.h).
 */
#include <math.h>
#include <stdint.h>
#include <string.h>

#include "daemon/learn/adapt_parts.h"

/* What a channel of today has in common with the one of yesterday that it continues. */
struct likeness {
    double moved; /* of the table's mean */
    double slope; /* b */
    double share; /* of the variance over nodes that the two have in common */
};

/* How much yesterday's channel told of where a bin is: its table's variance over nodes by the
 * noise's. */
static double signal(const struct traj_model *from, size_t m)
{
    const size_t nodes = from->dims.nodes, rank = from->dims.factors;
    const size_t channels = from->dims.units + from->dims.features;
    const double *table = from->chain.emission_mean + m;
    const double *factor = from->chain.emission_factor + m * rank;
    double mean = 0, square = 0, noise = from->chain.emission_noise[m];
    for (size_t e = 0; e < nodes; e++)
        mean += table[e * channels] / (double)nodes;
    for (size_t e = 0; e < nodes; e++)
        square += (table[e * channels] - mean) * (table[e * channels] - mean);
    for (size_t k = 0; k < rank; k++)
        noise += factor[k] * factor[k];
    return noise > 0 ? square / noise : 0;
}

static double *writable(const double *array)
{
    return (double *)(uintptr_t)array;
}

static struct likeness compare(const struct traj_adapt *adapt, const struct traj_model *model,
                               size_t c)
{
    const size_t nodes = model->dims.nodes, channels = adapt->today->channels;
    const size_t before = adapt->from->dims.units + adapt->from->dims.features;
    const double *now = model->chain.emission_mean + c;
    const double *then = adapt->from->chain.emission_mean + adapt->today->was[c];
    double mean_now = 0, mean_then = 0, both = 0, of_now = 0, of_then = 0;
    for (size_t e = 0; e < nodes; e++) {
        mean_now += now[e * channels] / (double)nodes;
        mean_then += then[e * before] / (double)nodes;
    }
    for (size_t e = 0; e < nodes; e++) {
        const double a = now[e * channels] - mean_now, b = then[e * before] - mean_then;
        both += a * b;
        of_now += a * a;
        of_then += b * b;
    }
    struct likeness like = {mean_now - mean_then, 0, 0};
    if (both > 0 && of_now > 0 && of_then > 0) {
        like.slope = fmin(both / of_now, 1);
        like.share = both * both / (of_now * of_then);
    }
    return like;
}

/* Channel c reads as yesterday's did; returns the share of it that is left. */
static double put_channel(const struct traj_adapt *adapt, const struct traj_model *model, size_t c)
{
    const struct traj_recent_model *then = &adapt->from->recent;
    const size_t channels = adapt->today->channels, out = 2 * model->dims.position;
    const size_t before = adapt->from->dims.units + adapt->from->dims.features;
    const size_t was = adapt->today->was[c];
    struct likeness like = {0, 0, 0};
    if (was != TRAJ_UNIT_NEW)
        like = compare(adapt, model, c);
    writable(model->recent.center)[c] = was == TRAJ_UNIT_NEW ? 0 : then->center[was] + like.moved;
    for (size_t k = 0; k < model->dims.stages; k++)
        for (size_t o = 0; o < out; o++)
            writable(model->recent.weight)[(k * channels + c) * out + o] =
                was == TRAJ_UNIT_NEW ? 0 : like.slope * then->weight[(k * before + was) * out + o];
    return like.share;
}

void traj_adapt_recent(const struct traj_adapt *adapt, struct traj_model *model)
{
    const struct traj_recent_model *then = &adapt->from->recent;
    const size_t before = adapt->from->dims.units + adapt->from->dims.features;
    const size_t out = 2 * model->dims.position;
    double left = 0, whole = 0;
    if (model->dims.stages == 0)
        return;
    for (size_t m = 0; m < before; m++)
        whole += signal(adapt->from, m);
    for (size_t c = 0; c < adapt->today->channels; c++) {
        const double share = put_channel(adapt, model, c);
        if (share > 0)
            left += share * signal(adapt->from, adapt->today->was[c]);
    }
    left = whole > 0 ? fmin(left / whole, 1) : 0;
    for (size_t j = 0; j < model->dims.states; j++)
        for (size_t o = 0; o < out; o++)
            writable(model->recent.mean)[j * out + o] =
                then->offset[o] + left * (then->mean[j * out + o] - then->offset[o]);
    for (size_t i = 0; i < out * out; i++)
        writable(model->recent.gain)[i] = left * then->gain[i];
    model->recent.temper = left * then->temper;
}
