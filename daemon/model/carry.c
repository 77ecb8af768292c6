/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Courses and rates carried to new targets; see carry.h. */
#include "daemon/model/carry.h"

#include "daemon/model/elementary.h"
#include "daemon/model/linalg.h"

#include <math.h>
#include <string.h>

/* The kernel, in squared log rates, as the rates' own prior has them (learn/rate_kernel.c); NOISE
 * is what the targets' own fits may be off by. */
#define ONCE 0.16
#define TWICE 0.014
#define OWN 0.008
#define OWN_LENGTH 0.4 /* of the root mean square distance of the targets */
#define NOISE 0.002
#define RATE_RISE 1.0  /* by so much may a log rate pass those of all known targets */
#define TURN_LEAST 0.5 /* factors by which spreads may shrink and grow */
#define TURN_MOST 2.0
#define CENTRAL 0.05 /* of the distance: nearer targets have no direction to carry from */
/* As in learn/session_links.c: */
#define NEAR 0.3
#define NEAR_SHARE_MIN 1e-3
#define UNIT_VELOCITY 3.0 /* root mean squares of the velocity that are one unit of distance */

/* ---- room ---------------------------------------------------------------------------------- */

size_t traj_target_slots(const struct traj_dims *dims)
{
    if (dims->states == 0 || dims->targets == 0 || dims->targets > TRAJ_TARGETS_MAX)
        return dims->targets;
    return dims->targets > TRAJ_SLOTS_LEAST ? dims->targets : TRAJ_SLOTS_LEAST;
}

static size_t grown(size_t all, size_t targets, size_t slots)
{
    return all + (slots - targets) * ((all + targets - 1) / targets);
}

struct traj_dims traj_carry_room(const struct traj_dims *dims)
{
    struct traj_dims room = *dims;
    if (dims->states == 0 || dims->targets == 0)
        return room;
    room.targets = traj_target_slots(dims);
    room.states = grown(dims->states, dims->targets, room.targets);
    room.nodes = grown(dims->nodes, dims->targets, room.targets);
    /* A target may come to stand nearer to free places than those that were trained. */
    room.links = grown(dims->links + dims->links / 2, dims->targets, room.targets);
    return room;
}

void traj_carry_lay_out(struct traj_carry *carry, struct traj_arena *arena,
                        const struct traj_dims *dims)
{
    const struct traj_dims room = traj_carry_room(dims);
    const bool any = dims->states > 0 && dims->targets > 0;
    const size_t states = any ? room.states : 0, nodes = any ? room.nodes : 0;
    const size_t links = any ? room.links : 0, slots = any ? room.targets : 0;
    const size_t dim = dims->position, known = any ? dims->targets : 0;
    const size_t channels = dims->units + dims->features;
    carry->room = room;
    carry->factor = traj_arena_take(arena, known * known, sizeof(double));
    carry->weight = traj_arena_take(arena, known, sizeof(double));
    carry->map = traj_arena_take(arena, known * dim * dim, sizeof(double));
    carry->near = traj_arena_take(arena, states, sizeof(double));
    carry->target_position = traj_arena_take(arena, slots * dim, sizeof(double));
    carry->id = traj_arena_take(arena, slots, TRAJ_ID_SIZE);
    carry->position = traj_arena_take(arena, states * dim, sizeof(double));
    carry->velocity = traj_arena_take(arena, states * dim, sizeof(double));
    carry->position_spread = traj_arena_take(arena, states * dim * dim, sizeof(double));
    carry->velocity_spread = traj_arena_take(arena, states * dim * dim, sizeof(double));
    carry->progress = traj_arena_take(arena, states, sizeof(double));
    carry->eta = traj_arena_take(arena, states, sizeof(double));
    carry->share = traj_arena_take(arena, states, sizeof(double));
    carry->initial = traj_arena_take(arena, states, sizeof(double));
    carry->start = traj_arena_take(arena, states, sizeof(double));
    carry->emission_mean = traj_arena_take(arena, nodes * channels, sizeof(double));
    carry->emission_doubt = traj_arena_take(arena, nodes, sizeof(double));
    carry->link_prob = traj_arena_take(arena, TRAJ_CONTEXTS * links, sizeof(double));
    carry->recent_mean =
        traj_arena_take(arena, dims->stages > 0 ? states * 2 * dim : 0, sizeof(double));
    carry->target = traj_arena_take(arena, states, sizeof(int32_t));
    carry->node = traj_arena_take(arena, states, sizeof(int32_t));
    carry->group = traj_arena_take(arena, states, sizeof(int32_t));
    carry->link_first = traj_arena_take(arena, any ? states + 1 : 0, sizeof(int32_t));
    carry->link_to = traj_arena_take(arena, links, sizeof(int32_t));
    carry->place = traj_arena_take(arena, states, sizeof(uint8_t));
}

/* ---- what the base is made of -------------------------------------------------------------- */

static size_t block_of(const struct traj_carry *carry, size_t m)
{
    return carry->blocks.state + m * carry->blocks.states;
}

static bool in_blocks(const struct traj_carry *carry, size_t j)
{
    return j >= carry->blocks.state &&
           j < carry->blocks.state + carry->base->dims.targets * carry->blocks.states;
}

/* Finds the first block; false where there is none. */
static bool find_first_block(struct traj_carry *carry)
{
    const struct traj_chain *c = &carry->base->chain;
    const size_t states = carry->base->dims.states;
    struct traj_carry_blocks *b = &carry->blocks;
    int32_t low = INT32_MAX, high = -1;
    b->state = 0;
    while (b->state < states && c->target[b->state] < 0)
        b->state++;
    b->states = 0;
    while (b->state + b->states < states && c->target[b->state + b->states] == 0) {
        const size_t j = b->state + b->states++;
        const int32_t last = c->node[j] + (c->share[j] > 0.0 ? 1 : 0);
        low = c->node[j] < low ? c->node[j] : low;
        high = last > high ? last : high;
    }
    if (b->states == 0)
        return false;
    b->node = (size_t)low;
    b->nodes = (size_t)(high - low) + 1;
    return true;
}

/* Whether state j is in every respect but its target's what its like in the first block is. */
static bool is_alike(const struct traj_carry *carry, size_t m, size_t o)
{
    const struct traj_chain *c = &carry->base->chain;
    const size_t first = carry->blocks.state + o, j = block_of(carry, m) + o;
    const size_t node = (size_t)c->node[first] + m * carry->blocks.nodes;
    if (c->target[j] != (int32_t)m || (size_t)c->node[j] != node || c->share[j] != c->share[first])
        return false;
    if (c->place[j] != c->place[first] || c->group[j] != c->group[first])
        return false;
    for (int32_t l = c->link_first[j]; l < c->link_first[j + 1]; l++) {
        const size_t to = (size_t)c->link_to[l];
        if (in_blocks(carry, to) && c->target[to] != (int32_t)m)
            return false;
    }
    return true;
}

static bool find_blocks(struct traj_carry *carry)
{
    const struct traj_dims *dims = &carry->base->dims;
    const struct traj_chain *c = &carry->base->chain;
    const struct traj_carry_blocks *b = &carry->blocks;
    if (dims->states == 0 || dims->targets == 0 || !find_first_block(carry))
        return false;
    if (b->state + dims->targets * b->states > dims->states ||
        b->node + dims->targets * b->nodes > dims->nodes)
        return false;
    for (size_t j = 0; j < dims->states; j++) {
        const size_t node = (size_t)c->node[j];
        const bool own = node >= b->node && node < b->node + dims->targets * b->nodes;
        if (in_blocks(carry, j) != (c->target[j] >= 0) || in_blocks(carry, j) != own)
            return false;
        if (!in_blocks(carry, j) && (c->group[j] >= 0 || c->share[j] > 0.0))
            return false;
    }
    for (size_t m = 0; m < dims->targets; m++)
        for (size_t o = 0; o < b->states; o++)
            if (!is_alike(carry, m, o))
                return false;
    return true;
}

static double length_of(size_t dim, const double *x)
{
    double sum = 0.0;
    for (size_t d = 0; d < dim; d++)
        sum += x[d] * x[d];
    return sqrt(sum);
}

/* u, from the origin. */
static double from_origin(const struct traj_carry *carry, const double *position, double *u)
{
    const size_t dim = carry->base->dims.position;
    for (size_t d = 0; d < dim; d++)
        u[d] = position[d] - carry->origin[d];
    return length_of(dim, u);
}

static double kernel(const struct traj_carry *carry, const double *a, const double *b)
{
    const size_t dim = carry->base->dims.position;
    double dot = 0.0, aa = 0.0, bb = 0.0, apart = 0.0;
    for (size_t d = 0; d < dim; d++) {
        const double s = (a[d] - carry->origin[d]) / carry->size;
        const double t = (b[d] - carry->origin[d]) / carry->size;
        dot += s * t;
        aa += s * s;
        bb += t * t;
        apart += (s - t) * (s - t);
    }
    const double twice = 2.0 * dot * dot - 2.0 / (double)dim * aa * bb + (aa - 1.0) * (bb - 1.0);
    return ONCE * dot + TWICE * twice + OWN * traj_exp(-0.5 * apart / (OWN_LENGTH * OWN_LENGTH));
}

/* Where courses begin: the mean of their first places; and how far away the targets are. */
static bool measure(struct traj_carry *carry)
{
    const struct traj_model *base = carry->base;
    const size_t dim = base->dims.position, targets = base->dims.targets;
    double u[TRAJ_DIM_MAX], square = 0.0;
    for (size_t d = 0; d < dim; d++)
        for (size_t m = 0; m < targets; m++)
            carry->origin[d] +=
                base->chain.position[block_of(carry, m) * dim + d] / (double)targets;
    for (size_t m = 0; m < targets; m++) {
        const double length = from_origin(carry, base->target_position + m * dim, u);
        square += length * length / (double)targets;
    }
    carry->size = sqrt(square);
    if (!(carry->size > 0.0))
        return false;
    for (size_t m = 0; m < targets; m++)
        if (!(from_origin(carry, base->target_position + m * dim, u) > CENTRAL * carry->size))
            return false;
    for (size_t a = 0; a < targets; a++)
        for (size_t b = 0; b < targets; b++)
            carry->factor[a * targets + b] =
                kernel(carry, base->target_position + a * dim, base->target_position + b * dim) +
                (a == b ? NOISE : 0.0);
    return traj_cholesky(targets, carry->factor, carry->factor);
}

/* Root mean squares of position about its mean and of velocity, over the initial distribution. */
static void measure_units(struct traj_carry *carry)
{
    const struct traj_chain *c = &carry->base->chain;
    const size_t dim = carry->base->dims.position;
    double mean[TRAJ_DIM_MAX] = {0.0}, square[2] = {0.0, 0.0};
    for (size_t j = 0; j < carry->base->dims.states; j++)
        for (size_t d = 0; d < dim; d++)
            mean[d] += c->initial[j] * c->position[j * dim + d];
    for (size_t j = 0; j < carry->base->dims.states; j++)
        for (size_t d = 0; d < dim; d++) {
            const double p = c->position[j * dim + d] - mean[d], v = c->velocity[j * dim + d];
            square[0] += c->initial[j] * (p * p + c->position_spread[(j * dim + d) * dim + d]);
            square[1] += c->initial[j] * (v * v + c->velocity_spread[(j * dim + d) * dim + d]);
        }
    carry->unit[0] = sqrt(square[0]);
    carry->unit[1] = UNIT_VELOCITY * sqrt(square[1]);
}

void traj_carry_init(struct traj_carry *carry, const struct traj_model *base)
{
    carry->base = base;
    carry->able = false;
    memset(carry->origin, 0, sizeof carry->origin);
    if (!find_blocks(carry) || !measure(carry))
        return;
    measure_units(carry);
    carry->able = carry->unit[0] > 0.0 && carry->unit[1] > 0.0;
}

/* ---- interpolation ------------------------------------------------------------------------- */

int32_t traj_carry_known(const struct traj_model *base, const double *position)
{
    const size_t dim = base->dims.position;
    for (size_t m = 0; m < base->dims.targets; m++) {
        size_t d = 0;
        while (d < dim && base->target_position[m * dim + d] == position[d])
            d++;
        if (d == dim)
            return (int32_t)m;
    }
    return -1;
}

double traj_carry_weights(const struct traj_carry *carry, const double *position, double *weight)
{
    const struct traj_model *base = carry->base;
    const size_t dim = base->dims.position, targets = base->dims.targets;
    const int32_t known = traj_carry_known(base, position);
    double sum = 0.0, variance = kernel(carry, position, position);
    memset(weight, 0, targets * sizeof *weight);
    if (known >= 0) {
        weight[known] = 1.0;
        return 0.0;
    }
    for (size_t m = 0; m < targets; m++)
        weight[m] = kernel(carry, position, base->target_position + m * dim);
    traj_solve_lower(targets, carry->factor, weight);
    for (size_t m = 0; m < targets; m++)
        variance -= weight[m] * weight[m];
    traj_solve_lower_transposed(targets, carry->factor, weight);
    for (size_t m = 0; m < targets; m++)
        sum += weight[m];
    for (size_t m = 0; m < targets; m++)
        weight[m] += (1.0 - sum) / (double)targets;
    return variance > 0.0 ? variance : 0.0;
}

/* scale times the rotation in the plane of two unit vectors that brings `from` to `to`. */
static void turn(size_t dim, const double *from, const double *to, double scale, double *out)
{
    double dot = 0.0;
    size_t least = 0;
    for (size_t d = 0; d < dim; d++) {
        dot += from[d] * to[d];
        least = fabs(from[d]) < fabs(from[least]) ? d : least;
    }
    for (size_t i = 0; i < dim; i++)
        for (size_t j = 0; j < dim; j++)
            out[i * dim + j] = i == j ? scale : 0.0;
    if (dim == 1) {
        out[0] = dot < 0.0 ? -scale : scale;
        return;
    }
    if (dot > -1.0 + 1e-9) {
        /* I + K + K^2 / (1 + from.to), K = to from' - from to' (Rodrigues). */
        for (size_t i = 0; i < dim; i++)
            for (size_t j = 0; j < dim; j++) {
                const double k = to[i] * from[j] - from[i] * to[j];
                double square = 0.0;
                for (size_t l = 0; l < dim; l++)
                    square +=
                        (to[i] * from[l] - from[i] * to[l]) * (to[l] * from[j] - from[l] * to[j]);
                out[i * dim + j] += scale * (k + square / (1.0 + dot));
            }
        return;
    }
    /* Opposite: half a turn in the plane of `from` and the axis that it is least along. */
    double axis[TRAJ_DIM_MAX], length = sqrt(1.0 - from[least] * from[least]);
    for (size_t d = 0; d < dim; d++)
        axis[d] = ((d == least ? 1.0 : 0.0) - from[least] * from[d]) / length;
    for (size_t i = 0; i < dim; i++)
        for (size_t j = 0; j < dim; j++)
            out[i * dim + j] -= 2.0 * scale * (from[i] * from[j] + axis[i] * axis[j]);
}

/* A_m of every known target for a new one. */
static void make_maps(struct traj_carry *carry, const double *position)
{
    const struct traj_model *base = carry->base;
    const size_t dim = base->dims.position;
    double to[TRAJ_DIM_MAX], from[TRAJ_DIM_MAX];
    const double length = from_origin(carry, position, to);
    for (size_t m = 0; m < base->dims.targets; m++) {
        const double known = from_origin(carry, base->target_position + m * dim, from);
        for (size_t d = 0; d < dim; d++) {
            from[d] /= known;
            to[d] = length > 0.0 ? (position[d] - carry->origin[d]) / length : from[d];
        }
        turn(dim, from, to, length / known, carry->map + m * dim * dim);
    }
}

/* sum_m w_m A_m (x_m - about) + about of rows `stride` apart, x_m the m-th from x on. */
static void blend_vectors(const struct traj_carry *carry, const double *x, size_t stride,
                          const double *about, double *out)
{
    const size_t dim = carry->base->dims.position;
    double off[TRAJ_DIM_MAX], sum[TRAJ_DIM_MAX] = {0.0}, one[TRAJ_DIM_MAX];
    for (size_t m = 0; m < carry->base->dims.targets; m++) {
        if (carry->weight[m] == 0.0)
            continue;
        for (size_t d = 0; d < dim; d++)
            off[d] = x[m * stride + d] - (about ? about[d] : 0.0);
        traj_multiply_vector(dim, dim, carry->map + m * dim * dim, off, one);
        for (size_t d = 0; d < dim; d++)
            sum[d] += carry->weight[m] * one[d];
    }
    for (size_t d = 0; d < dim; d++)
        out[d] = sum[d] + (about ? about[d] : 0.0);
}

static size_t heaviest(const struct traj_carry *carry)
{
    size_t best = 0;
    for (size_t m = 1; m < carry->base->dims.targets; m++)
        best = carry->weight[m] > carry->weight[best] ? m : best;
    return best;
}

/* A covariance of the heaviest target, turned; it shrinks and grows with the course within
 * limits. */
static void turn_spread(const struct traj_carry *carry, size_t m, const double *spread, double *out)
{
    const size_t dim = carry->base->dims.position;
    double map[TRAJ_DIM_MAX * TRAJ_DIM_MAX], scratch[TRAJ_DIM_MAX * TRAJ_DIM_MAX];
    const double *of = carry->map + m * dim * dim;
    double scale = 0.0; /* A A' = scale^2 I */
    for (size_t d = 0; d < dim; d++)
        scale += of[d] * of[d];
    scale = sqrt(scale);
    const double held = scale < TURN_LEAST ? TURN_LEAST : scale > TURN_MOST ? TURN_MOST : scale;
    for (size_t i = 0; i < dim * dim; i++)
        map[i] = scale > 0.0 ? of[i] * (held / scale) : i % (dim + 1) == 0 ? held : 0.0;
    traj_congruence(dim, map, spread, out, scratch);
}

/* ---- states -------------------------------------------------------------------------------- */

/* Where the states behind the blocks stand now. */
static size_t shifted(const struct traj_carry *carry, size_t j, size_t count)
{
    const size_t known = carry->base->dims.targets;
    return j < carry->blocks.state
               ? j
               : j + count * carry->blocks.states - known * carry->blocks.states;
}

static size_t shifted_node(const struct traj_carry *carry, size_t e, size_t count)
{
    const size_t known = carry->base->dims.targets;
    return e < carry->blocks.node ? e
                                  : e + count * carry->blocks.nodes - known * carry->blocks.nodes;
}

/* What stays what it is of state j of the base, as state k. */
static void copy_state(struct traj_carry *carry, size_t j, size_t k)
{
    const struct traj_model *base = carry->base;
    const struct traj_chain *c = &base->chain;
    const size_t dim = base->dims.position, square = dim * dim;
    memcpy(carry->position + k * dim, c->position + j * dim, dim * sizeof(double));
    memcpy(carry->velocity + k * dim, c->velocity + j * dim, dim * sizeof(double));
    memcpy(carry->position_spread + k * square, c->position_spread + j * square,
           square * sizeof(double));
    memcpy(carry->velocity_spread + k * square, c->velocity_spread + j * square,
           square * sizeof(double));
    carry->place[k] = c->place[j];
    carry->progress[k] = c->progress[j];
    carry->eta[k] = c->eta[j];
    carry->share[k] = c->share[j];
    carry->group[k] = c->group[j];
    carry->target[k] = c->target[j];
    if (base->dims.stages > 0)
        memcpy(carry->recent_mean + k * 2 * dim, base->recent.mean + j * 2 * dim,
               2 * dim * sizeof(double));
}

static void copy_node(struct traj_carry *carry, size_t e, size_t to)
{
    const struct traj_chain *c = &carry->base->chain;
    const size_t channels = carry->base->dims.units + carry->base->dims.features;
    memcpy(carry->emission_mean + to * channels, c->emission_mean + e * channels,
           channels * sizeof(double));
    if (c->emission_doubt)
        carry->emission_doubt[to] = c->emission_doubt[e];
}

static void copy_others(struct traj_carry *carry, size_t count)
{
    const struct traj_dims *dims = &carry->base->dims;
    const struct traj_carry_blocks *b = &carry->blocks;
    const struct traj_chain *c = &carry->base->chain;
    for (size_t j = 0; j < dims->states; j++) {
        if (in_blocks(carry, j))
            continue;
        const size_t k = shifted(carry, j, count);
        copy_state(carry, j, k);
        carry->node[k] = (int32_t)shifted_node(carry, (size_t)c->node[j], count);
        carry->initial[k] = c->initial[j];
        carry->start[k] = c->start[j];
    }
    for (size_t e = 0; e < dims->nodes; e++)
        if (e < b->node || e >= b->node + dims->targets * b->nodes)
            copy_node(carry, e, shifted_node(carry, e, count));
}

/* Place o on the way to new target m, whose weights and maps are made; `known` is the base's target
 * there, or -1. */
static void put_state(struct traj_carry *carry, size_t m, size_t o, size_t count, int32_t known)
{
    const struct traj_model *base = carry->base;
    const struct traj_chain *c = &base->chain;
    const struct traj_carry_blocks *b = &carry->blocks;
    const size_t dim = base->dims.position, square = dim * dim;
    const size_t source = known >= 0 ? (size_t)known : heaviest(carry);
    const size_t j = block_of(carry, source) + o, first = b->state + o;
    const size_t k = b->state + m * b->states + o;
    double start = 0.0, initial = 0.0;
    copy_state(carry, j, k);
    carry->target[k] = (int32_t)m;
    carry->node[k] = (int32_t)((size_t)c->node[first] + m * b->nodes);
    for (size_t i = 0; i < base->dims.targets; i++) {
        start += c->start[block_of(carry, i) + o];
        initial += c->initial[block_of(carry, i) + o];
    }
    carry->start[k] = start / (double)count;
    carry->initial[k] = initial / (double)count;
    if (known >= 0)
        return;
    blend_vectors(carry, c->position + first * dim, b->states * dim, carry->origin,
                  carry->position + k * dim);
    blend_vectors(carry, c->velocity + first * dim, b->states * dim, NULL,
                  carry->velocity + k * dim);
    turn_spread(carry, source, c->position_spread + j * square,
                carry->position_spread + k * square);
    turn_spread(carry, source, c->velocity_spread + j * square,
                carry->velocity_spread + k * square);
    if (base->dims.stages == 0)
        return;
    const double *answer = base->recent.mean + first * 2 * dim;
    blend_vectors(carry, answer, b->states * 2 * dim, carry->origin,
                  carry->recent_mean + k * 2 * dim);
    blend_vectors(carry, answer + dim, b->states * 2 * dim, NULL,
                  carry->recent_mean + k * 2 * dim + dim);
}

/* What the channels do at node e of new target m's block. */
static void put_node(struct traj_carry *carry, size_t m, size_t e, double variance)
{
    const struct traj_model *base = carry->base;
    const struct traj_chain *c = &base->chain;
    const struct traj_carry_blocks *b = &carry->blocks;
    const size_t channels = base->dims.units + base->dims.features, targets = base->dims.targets;
    const bool rates = c->gaussian == 0.0;
    const size_t to = b->node + m * b->nodes + e;
    double *mean = carry->emission_mean + to * channels, doubt = 0.0;
    for (size_t n = 0; n < channels; n++) {
        double sum = 0.0, most = -INFINITY;
        for (size_t i = 0; i < targets; i++) {
            const double one = c->emission_mean[(b->node + i * b->nodes + e) * channels + n];
            most = one > most ? one : most;
            sum += carry->weight[i] * one;
        }
        mean[n] = rates && sum > most + RATE_RISE ? most + RATE_RISE : sum;
        doubt += rates ? 0.5 * variance * traj_exp(mean[n]) : 0.0;
    }
    if (!c->emission_doubt)
        return;
    for (size_t i = 0; i < targets; i++)
        doubt +=
            carry->weight[i] * carry->weight[i] * c->emission_doubt[b->node + i * b->nodes + e];
    carry->emission_doubt[to] = doubt;
}

static void put_target(struct traj_carry *carry, size_t m, size_t count, const double *position)
{
    const struct traj_carry_blocks *b = &carry->blocks;
    const int32_t known = traj_carry_known(carry->base, position);
    const double variance = traj_carry_weights(carry, position, carry->weight);
    if (known < 0)
        make_maps(carry, position);
    for (size_t o = 0; o < b->states; o++)
        put_state(carry, m, o, count, known);
    for (size_t e = 0; e < b->nodes; e++) {
        if (known >= 0)
            copy_node(carry, b->node + (size_t)known * b->nodes + e, b->node + m * b->nodes + e);
        else
            put_node(carry, m, e, variance);
    }
}

/* ---- transitions --------------------------------------------------------------------------- */

struct writer {
    struct traj_carry *carry;
    size_t count, next;
    double least; /* what is less near than this part of the nearest has no link */
    bool full;
};

/* A link whose probabilities are share times those of the base's link l, or added to them where
 * the last link leads there too. */
static void put_link(struct writer *w, size_t to, const double *prob)
{
    struct traj_carry *carry = w->carry;
    if (w->next >= carry->room.links) {
        w->full = true;
        return;
    }
    carry->link_to[w->next] = (int32_t)to;
    for (size_t c = 0; c < TRAJ_CONTEXTS; c++)
        carry->link_prob[c * carry->room.links + w->next] = prob[c];
    w->next++;
}

static bool is_free(const struct traj_carry *carry, size_t j)
{
    return carry->base->chain.target[j] < 0 && carry->base->chain.place[j] == TRAJ_PLACE_FREE;
}

static void link_prob(const struct traj_carry *carry, int32_t l, double *prob)
{
    const struct traj_model *base = carry->base;
    for (size_t c = 0; c < TRAJ_CONTEXTS; c++)
        prob[c] = base->chain.link_prob[c * base->dims.links + (size_t)l];
}

/* What row j of the base gives to free places, or to all that are not. */
static void total(const struct traj_carry *carry, size_t j, bool free, double *sum)
{
    const struct traj_chain *c = &carry->base->chain;
    double prob[TRAJ_CONTEXTS];
    memset(sum, 0, TRAJ_CONTEXTS * sizeof *sum);
    for (int32_t l = c->link_first[j]; l < c->link_first[j + 1]; l++) {
        link_prob(carry, l, prob);
        for (size_t i = 0; is_free(carry, (size_t)c->link_to[l]) == free && i < TRAJ_CONTEXTS; i++)
            sum[i] += prob[i];
    }
}

/*
 * Shares sum[] out to carried states by how near they are to state k: to free places, or to all
 * that are not.  Rarer ones are left out.
 */
static void put_near(struct writer *w, size_t k, bool free, const double *sum)
{
    struct traj_carry *carry = w->carry;
    const size_t dim = carry->base->dims.position, states = carry->model.dims.states;
    double most = 0.0, all = 0.0, prob[TRAJ_CONTEXTS];
    for (size_t i = 0; i < states; i++) {
        const bool is = carry->target[i] < 0 && carry->place[i] == TRAJ_PLACE_FREE;
        double apart = 0.0;
        carry->near[i] = 0.0;
        if (is != free)
            continue;
        for (size_t d = 0; d < dim; d++) {
            const double p = carry->position[i * dim + d] - carry->position[k * dim + d];
            const double v = carry->velocity[i * dim + d] - carry->velocity[k * dim + d];
            apart += p * p / (carry->unit[0] * carry->unit[0]) +
                     v * v / (carry->unit[1] * carry->unit[1]);
        }
        carry->near[i] = traj_exp(-0.5 * apart / (NEAR * NEAR)) + 1e-12;
        most = carry->near[i] > most ? carry->near[i] : most;
    }
    for (size_t i = 0; i < states; i++)
        all += carry->near[i] < w->least * most ? 0.0 : carry->near[i];
    for (size_t i = 0; i < states; i++) {
        if (carry->near[i] < w->least * most || !(carry->near[i] > 0.0))
            continue;
        for (size_t c = 0; c < TRAJ_CONTEXTS; c++)
            prob[c] = sum[c] * (carry->near[i] / all);
        put_link(w, i, prob);
    }
}

static bool any(const double *sum)
{
    return sum[0] > 0.0 || sum[1] > 0.0 || sum[2] > 0.0;
}

/* Row of place o on the way to new target m, from that of its like in the base. */
static void put_course_row(struct writer *w, size_t m, size_t o, size_t source)
{
    struct traj_carry *carry = w->carry;
    const struct traj_chain *c = &carry->base->chain;
    const size_t j = block_of(carry, source) + o,
                 block = carry->blocks.state + m * carry->blocks.states;
    double prob[TRAJ_CONTEXTS], sum[TRAJ_CONTEXTS];
    for (int32_t l = c->link_first[j]; l < c->link_first[j + 1]; l++) {
        const size_t to = (size_t)c->link_to[l];
        link_prob(carry, l, prob);
        if (in_blocks(carry, to))
            put_link(w, block + (to - block_of(carry, source)), prob);
        else if (!is_free(carry, to))
            put_link(w, shifted(carry, to, w->count), prob);
    }
    total(carry, j, true, sum);
    if (any(sum))
        put_near(w, block + o, true, sum);
}

/* Row of a state that belongs to no target and is no free place: what led to the targets leads to
 * all the new ones alike. */
static void put_rest_row(struct writer *w, size_t j)
{
    struct traj_carry *carry = w->carry;
    const struct traj_chain *c = &carry->base->chain;
    const struct traj_carry_blocks *b = &carry->blocks;
    double prob[TRAJ_CONTEXTS];
    for (int32_t l = c->link_first[j]; l < c->link_first[j + 1]; l++) {
        const size_t to = (size_t)c->link_to[l];
        link_prob(carry, l, prob);
        if (!in_blocks(carry, to)) {
            put_link(w, shifted(carry, to, w->count), prob);
            continue;
        }
        /* The targets lead off alike; each of them stands for as many as there are now. */
        for (size_t i = 0; i < TRAJ_CONTEXTS; i++)
            prob[i] /= (double)w->count;
        for (size_t m = 0; m < w->count; m++)
            put_link(w, b->state + m * b->states + (to - b->state) % b->states, prob);
    }
}

static void put_free_row(struct writer *w, size_t j)
{
    struct traj_carry *carry = w->carry;
    const struct traj_chain *c = &carry->base->chain;
    double prob[TRAJ_CONTEXTS], sum[TRAJ_CONTEXTS];
    for (int32_t l = c->link_first[j]; l < c->link_first[j + 1]; l++) {
        if (!is_free(carry, (size_t)c->link_to[l]))
            continue;
        link_prob(carry, l, prob);
        put_link(w, shifted(carry, (size_t)c->link_to[l], w->count), prob);
    }
    total(carry, j, false, sum);
    if (any(sum))
        put_near(w, shifted(carry, j, w->count), false, sum);
}

/* False where the links are more than there is room for. */
static bool fill_links(struct traj_carry *carry, size_t count, double least)
{
    const struct traj_model *base = carry->base;
    const struct traj_carry_blocks *b = &carry->blocks;
    struct writer w = {carry, count, 0, least, false};
    const size_t states = carry->model.dims.states, after = b->state + count * b->states;
    for (size_t k = 0; k < states; k++) {
        carry->link_first[k] = (int32_t)w.next;
        if (k >= b->state && k < after) {
            const size_t m = (k - b->state) / b->states;
            const double *at = carry->target_position + m * base->dims.position;
            const int32_t known = traj_carry_known(base, at);
            put_course_row(&w, m, (k - b->state) % b->states, known >= 0 ? (size_t)known : 0);
            continue;
        }
        const size_t j = k < b->state ? k : k + base->dims.targets * b->states - count * b->states;
        if (is_free(carry, j))
            put_free_row(&w, j);
        else
            put_rest_row(&w, j);
    }
    carry->link_first[states] = (int32_t)w.next;
    carry->model.dims.links = w.next;
    /* Contexts one after the other, as the filter reads them. */
    for (size_t c = 1; c < TRAJ_CONTEXTS && !w.full; c++)
        memmove(carry->link_prob + c * w.next, carry->link_prob + c * carry->room.links,
                w.next * sizeof(double));
    return !w.full;
}

/* Targets may come to stand where more places are near than there is room for links to: then the
 * nearest alone have one.  False where not even these have. */
static bool put_links(struct traj_carry *carry, size_t count)
{
    for (double least = NEAR_SHARE_MIN; least < 2.0; least *= 4.0)
        if (fill_links(carry, count, least < 1.0 ? least : 1.0))
            return true;
    return false;
}

/* ---- the model ----------------------------------------------------------------------------- */

/* The base, with the arrays of this decoder in place of those that depend on targets. */
static void point(struct traj_carry *carry, const char *name, size_t count)
{
    const struct traj_carry_blocks *b = &carry->blocks;
    const size_t known = carry->base->dims.targets;
    struct traj_model *model = &carry->model;
    *model = *carry->base;
    model->dims.targets = count;
    model->dims.states = carry->base->dims.states + count * b->states - known * b->states;
    model->dims.nodes = carry->base->dims.nodes + count * b->nodes - known * b->nodes;
    model->target_position = carry->target_position;
    model->about.target_id = (const char(*)[TRAJ_ID_SIZE])carry->id;
    memset(model->about.target_set, 0, TRAJ_ID_SIZE);
    for (size_t i = 0; i + 1 < TRAJ_ID_SIZE && name[i] != '\0'; i++)
        model->about.target_set[i] = name[i];
    model->chain.position = carry->position;
    model->chain.velocity = carry->velocity;
    model->chain.position_spread = carry->position_spread;
    model->chain.velocity_spread = carry->velocity_spread;
    model->chain.target = carry->target;
    model->chain.place = carry->place;
    model->chain.progress = carry->progress;
    model->chain.eta = carry->eta;
    model->chain.node = carry->node;
    model->chain.share = carry->share;
    model->chain.group = carry->group;
    model->chain.emission_mean = carry->emission_mean;
    if (carry->base->chain.emission_doubt)
        model->chain.emission_doubt = carry->emission_doubt;
    model->chain.link_first = carry->link_first;
    model->chain.link_to = carry->link_to;
    model->chain.link_prob = carry->link_prob;
    model->chain.initial = carry->initial;
    model->chain.start = carry->start;
    if (carry->base->dims.stages > 0)
        model->recent.mean = carry->recent_mean;
}

enum traj_status traj_carry_to(struct traj_carry *carry, const char *name, size_t count,
                               const char (*id)[TRAJ_ID_SIZE], const double *position)
{
    const size_t dim = carry->base->dims.position;
    if (!carry->able || count == 0)
        return TRAJ_E_DIMS;
    if (count > carry->room.targets)
        return TRAJ_E_MEMORY;
    if (!traj_all_finite(count * dim, position))
        return TRAJ_E_NONFINITE;
    point(carry, name, count);
    memcpy(carry->target_position, position, count * dim * sizeof(double));
    memcpy(carry->id, id, count * sizeof *id);
    copy_others(carry, count);
    for (size_t m = 0; m < count; m++)
        put_target(carry, m, count, position + m * dim);
    return put_links(carry, count) ? TRAJ_OK : TRAJ_E_MEMORY;
}
