/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A larger model by rule; see wide_model.h. */
#include "tests/bench/wide_model.h"

#include "daemon/learn/model_file.h"

#include <string.h>

#define TURN 13 /* units by which the next copy's are shifted */

/* Into a model under construction, whose arrays are const to everybody else: `copies` times. */
static void repeat(const double *to, const double *from, size_t count, size_t copies)
{
    for (size_t k = 0; count > 0 && k < copies; k++)
        memcpy((double *)(uintptr_t)to + k * count, from, count * sizeof *from);
}

static void repeat_whole(const int32_t *to, const int32_t *from, size_t count, size_t copies,
                         size_t step)
{
    int32_t *out = (int32_t *)(uintptr_t)to;
    for (size_t k = 0; k < copies; k++)
        for (size_t i = 0; i < count; i++)
            out[k * count + i] = from[i] + (from[i] >= 0 ? (int32_t)(k * step) : 0);
}

/* Rows of the units, `width` numbers each: those of the model's again and again. */
static void tile(const double *to, const double *from, size_t units, size_t all, size_t width,
                 size_t turn, double factor)
{
    double *out = (double *)(uintptr_t)to;
    for (size_t n = 0; n < all; n++)
        for (size_t i = 0; i < width; i++)
            out[n * width + i] = factor * from[(n + turn) % units * width + i];
}

static void put_states(const struct traj_model *from, const struct traj_model *to, size_t copies)
{
    const struct traj_chain *a = &from->chain, *b = &to->chain;
    const size_t states = from->dims.states, dim = from->dims.position, square = dim * dim;
    repeat(b->position, a->position, states * dim, copies);
    repeat(b->velocity, a->velocity, states * dim, copies);
    repeat(b->position_spread, a->position_spread, states * square, copies);
    repeat(b->velocity_spread, a->velocity_spread, states * square, copies);
    repeat(b->progress, a->progress, states, copies);
    repeat(b->eta, a->eta, states, copies);
    repeat(b->share, a->share, states, copies);
    repeat_whole(b->target, a->target, states, copies, from->dims.targets);
    repeat_whole(b->node, a->node, states, copies, from->dims.nodes);
    repeat_whole(b->group, a->group, states, copies, 0);
    for (size_t j = 0; j < copies * states; j++) {
        ((uint8_t *)(uintptr_t)b->place)[j] = a->place[j % states];
        ((double *)(uintptr_t)b->initial)[j] = a->initial[j % states] / (double)copies;
        ((double *)(uintptr_t)b->start)[j] = a->start[j % states] / (double)copies;
    }
    repeat(to->target_position, from->target_position, from->dims.targets * dim, copies);
}

static void put_links(const struct traj_model *from, const struct traj_model *to, size_t copies)
{
    const size_t links = from->dims.links;
    repeat_whole(to->chain.link_to, from->chain.link_to, links, copies, from->dims.states);
    repeat_whole(to->chain.link_first, from->chain.link_first, from->dims.states, copies, links);
    ((int32_t *)(uintptr_t)to->chain.link_first)[to->dims.states] = (int32_t)to->dims.links;
    for (size_t c = 0; c < TRAJ_CONTEXTS; c++)
        repeat(to->chain.link_prob + c * to->dims.links, from->chain.link_prob + c * links, links,
               copies);
}

static void put_units(const struct traj_model *from, const struct traj_model *to, size_t copies)
{
    const struct traj_chain *a = &from->chain, *b = &to->chain;
    const size_t few = from->dims.units, many = to->dims.units, nodes = from->dims.nodes;
    const size_t out = 2 * from->dims.position;
    tile(b->emission_noise, a->emission_noise, few, many, 1, 0, 1.0);
    tile(b->emission_factor, a->emission_factor, few, many, from->dims.factors, 0, 1.0);
    for (size_t k = 0; k < copies; k++)
        for (size_t e = 0; e < nodes; e++)
            tile(b->emission_mean + (k * nodes + e) * many, a->emission_mean + e * few, few, many,
                 1, k * TURN, 1.0);
    for (size_t s = 0; s < from->dims.stages; s++)
        tile(to->recent.weight + s * many * out, from->recent.weight + s * few * out, few, many,
             out, 0, (double)few / (double)many);
    if (from->dims.stages > 0)
        tile(to->recent.center, from->recent.center, few, many, 1, 0, 1.0);
    if (from->dims.paces > 0)
        tile(to->steer.tuning, from->steer.tuning, few, many, out + 2, 0, 1.0);
}

/* The numbers that are not of units or states. */
static void put_rest(const struct traj_model *from, struct traj_model *to, size_t copies)
{
    const size_t out = 2 * from->dims.position, paces = from->dims.paces;
    to->bin_width = from->bin_width;
    to->plan.temper = to->evidence_temper = 1.0;
    to->calibration = from->calibration;
    to->chain.start_share = from->chain.start_share;
    to->chain.switch_prob = from->chain.switch_prob;
    to->chain.temper = from->chain.temper;
    to->chain.gaussian = from->chain.gaussian;
    to->chain.drift = from->chain.drift;
    if (from->dims.stages > 0) {
        to->recent.follow = from->recent.follow;
        to->recent.temper = from->recent.temper;
        repeat(to->recent.offset, from->recent.offset, out, 1);
        repeat(to->recent.noise, from->recent.noise, out * out, 1);
        repeat(to->recent.gain, from->recent.gain, out * out, 1);
        repeat(to->recent.mean, from->recent.mean, from->dims.states * out, copies);
    }
    if (paces > 0) {
        const struct traj_steer_model made = to->steer;
        to->steer = from->steer;
        to->steer.tuning = made.tuning;
        to->steer.pace = made.pace;
        to->steer.pace_prob = made.pace_prob;
        to->steer.home = made.home;
        repeat(made.pace, from->steer.pace, paces, 1);
        repeat(made.pace_prob, from->steer.pace_prob, paces * paces, 1);
        repeat(made.home, from->steer.home, from->dims.position, 1);
    }
}

struct traj_model *wide_model(const struct traj_model *from, size_t units, size_t copies,
                              struct traj_error *error)
{
    struct traj_dims dims = from->dims;
    dims.units = units;
    dims.states *= copies;
    dims.nodes *= copies;
    dims.links *= copies;
    dims.targets *= copies;
    struct traj_model *to = traj_model_new(&dims, 0, 0, error);
    if (!to)
        return NULL;
    put_rest(from, to, copies);
    put_states(from, to, copies);
    put_links(from, to, copies);
    put_units(from, to, copies);
    return to;
}
