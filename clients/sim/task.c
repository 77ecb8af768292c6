/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What happens in a session: trials, their times and the movements made in them. */
#include "clients/sim/task.h"

#include <gsl/gsl_randist.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* When a target jumps: between these times after the movement began, and the hand answers so much
 * later. */
#define JUMP_FROM_S 0.05
#define JUMP_TO_S 0.20
#define JUMP_REACTION_S 0.12
/* A return is made at leisure: it takes so much longer than a reach. */
#define RETURN_FACTOR 1.3
/* Movements are never shorter than this part of the median, however near the target. */
#define DURATION_MIN 0.4
#define TWO_PI 6.283185307179586

static double uniform(gsl_rng *rng, const double range[2])
{
    return range[0] + (range[1] - range[0]) * gsl_rng_uniform(rng);
}

static double triangular(gsl_rng *rng, const double range[2])
{
    return 0.5 * (uniform(rng, range) + uniform(rng, range));
}

/* ---- targets and their order ------------------------------------------------------------- */

static void ring_of_targets(struct traj_sim_script *script, const struct traj_sim_options *o)
{
    for (size_t m = 0; m < script->targets; m++) {
        double angle = TWO_PI * (double)m / (double)script->targets;
        script->target_position[2 * m] = o->reach_mm * cos(angle);
        script->target_position[2 * m + 1] = o->reach_mm * sin(angle);
    }
}

static double distance_to_nearest(const double *position, size_t count, const double at[2])
{
    double nearest = INFINITY;
    for (size_t m = 0; m < count; m++)
        nearest = fmin(nearest, hypot(position[2 * m] - at[0], position[2 * m + 1] - at[1]));
    return nearest;
}

/* In a square, no two nearer than a packing allows; the demand is lowered when it finds no room. */
static void scattered_targets(struct traj_sim_script *script, const struct traj_sim_options *o,
                              gsl_rng *rng)
{
    double apart = 1.2 * o->reach_mm / sqrt((double)script->targets);
    for (size_t m = 0; m < script->targets; m++) {
        double *at = script->target_position + 2 * m;
        do {
            at[0] = o->reach_mm * (2.0 * gsl_rng_uniform(rng) - 1.0);
            at[1] = o->reach_mm * (2.0 * gsl_rng_uniform(rng) - 1.0);
            apart *= 0.999;
        } while (distance_to_nearest(script->target_position, m, at) < apart);
    }
}

/* Each target once in every block, in mixed order, never the same target twice in a row. */
static int draw_order(size_t *order, size_t targets, size_t blocks, gsl_rng *rng)
{
    size_t *block = malloc(targets * sizeof *block);
    if (block == NULL)
        return -1;
    for (size_t m = 0; m < targets; m++)
        block[m] = m;
    for (size_t b = 0; b < blocks; b++) {
        gsl_ran_shuffle(rng, block, targets, sizeof *block);
        if (b > 0 && targets > 1 && block[0] == order[b * targets - 1]) {
            size_t other = 1 + gsl_rng_uniform_int(rng, (unsigned long)(targets - 1));
            size_t first = block[0];
            block[0] = block[other];
            block[other] = first;
        }
        memcpy(order + b * targets, block, targets * sizeof *block);
    }
    free(block);
    return 0;
}

/* ---- movements --------------------------------------------------------------------------- */

struct scene { /* what changes as the session goes on */
    const struct traj_sim_options *options;
    gsl_rng *rng;
    struct traj_sim_script *script;
    double now;
    double hand[2]; /* where the hand will be when the movements so far are complete */
};

/* Appends a movement to a place near `to`, with the excursion `via` (mm, to the left) and its own
 * scatter. */
static struct traj_sim_movement *move_to(struct scene *scene, const double to[2], double via,
                                         double slowness)
{
    const struct traj_sim_options *o = scene->options;
    struct traj_sim_movement *m = &scene->script->movement[scene->script->movements++];
    for (int d = 0; d < 2; d++)
        m->step[d] = to[d] + gsl_ran_gaussian(scene->rng, o->endpoint_sd_mm) - scene->hand[d];
    double length = hypot(m->step[0], m->step[1]);
    double side = via + gsl_ran_gaussian(scene->rng, o->curvature_sd_mm);
    double relative = sqrt(length / o->reach_mm);
    side *= fmin(1.0, length / o->reach_mm);
    m->side[0] = length > 0.0 ? -side * m->step[1] / length : 0.0;
    m->side[1] = length > 0.0 ? side * m->step[0] / length : 0.0;
    m->begin = scene->now;
    m->duration = o->duration_s * slowness * fmax(relative, DURATION_MIN) *
                  exp(gsl_ran_gaussian(scene->rng, o->duration_spread));
    scene->hand[0] += m->step[0];
    scene->hand[1] += m->step[1];
    return m;
}

/* The target moves to a neighbour while the hand is under way; returns the new target. */
static size_t jump(struct scene *scene, const struct traj_sim_movement *reach, size_t target)
{
    static const double when[2] = {JUMP_FROM_S, JUMP_TO_S};
    size_t targets = scene->script->targets;
    size_t turn = gsl_rng_uniform(scene->rng) < 0.5 ? 1 : targets - 1;
    size_t after = (target + turn) % targets;
    scene->now = reach->begin + uniform(scene->rng, when) + JUMP_REACTION_S;
    (void)move_to(scene, scene->script->target_position + 2 * after, 0.0, 1.0);
    return after;
}

static double movement_end(const struct traj_sim_movement *m)
{
    return m->begin + m->duration;
}

/* From target onset to the end of the hold. */
static void run_trial(struct scene *scene, struct traj_sim_trial *trial, size_t target)
{
    const struct traj_sim_options *o = scene->options;
    const double *to = scene->script->target_position + 2 * target;
    trial->target = target;
    trial->start = scene->now;
    trial->go = trial->start;
    if (o->task != TRAJ_SIM_RANDOM)
        trial->go += uniform(scene->rng, o->delay_s);
    trial->move = trial->go + triangular(scene->rng, o->reaction_s);
    trial->plan = atan2(to[1] - scene->hand[1], to[0] - scene->hand[0]) +
                  gsl_ran_gaussian(scene->rng, o->plan_sd_rad);
    scene->now = trial->move;
    double via = o->task == TRAJ_SIM_CURVED ? (target % 2 == 0 ? o->via_mm : -o->via_mm) : 0.0;
    const struct traj_sim_movement *reach = move_to(scene, to, via, 1.0);
    double done = movement_end(reach);
    if (o->task == TRAJ_SIM_JUMP && gsl_rng_uniform(scene->rng) < o->jump_share) {
        trial->target = jump(scene, reach, target);
        done = fmax(done, movement_end(reach + 1));
    }
    const double *aim = scene->script->target_position + 2 * trial->target;
    trial->rewarded =
        hypot(scene->hand[0] - aim[0], scene->hand[1] - aim[1]) <= o->target_radius_mm;
    trial->stop = done;
    if (o->task != TRAJ_SIM_RANDOM)
        trial->stop += uniform(scene->rng, o->hold_s);
    scene->now = trial->stop;
}

/* Back to the centre, and rest there. */
static void run_return(struct scene *scene)
{
    static const double centre[2] = {0.0, 0.0};
    const struct traj_sim_options *o = scene->options;
    scene->now += uniform(scene->rng, o->rest_s) / 3.0;
    scene->now = movement_end(move_to(scene, centre, 0.0, RETURN_FACTOR));
    scene->now += uniform(scene->rng, o->rest_s);
}

int traj_sim_script_make(struct traj_sim_script *script, const struct traj_sim_options *options,
                         gsl_rng *rng)
{
    script->targets = options->targets;
    script->trials = options->targets * options->trials_per_target;
    script->target_position = calloc(script->targets, 2 * sizeof *script->target_position);
    script->trial = calloc(script->trials, sizeof *script->trial);
    script->movement = calloc(script->trials, 3 * sizeof *script->movement);
    size_t *order = calloc(script->trials, sizeof *order);
    if (script->target_position == NULL || script->trial == NULL || script->movement == NULL ||
        order == NULL || draw_order(order, script->targets, options->trials_per_target, rng) != 0) {
        free(order);
        return -1;
    }
    if (options->task == TRAJ_SIM_RANDOM)
        scattered_targets(script, options, rng);
    else
        ring_of_targets(script, options);
    struct scene scene = {.options = options, .rng = rng, .script = script, .now = 1.0};
    for (size_t r = 0; r < script->trials; r++) {
        run_trial(&scene, &script->trial[r], order[r]);
        if (options->task != TRAJ_SIM_RANDOM)
            run_return(&scene);
    }
    script->end = scene.now + 0.5;
    free(order);
    return 0;
}

void traj_sim_script_free(struct traj_sim_script *script)
{
    free(script->target_position);
    free(script->trial);
    free(script->movement);
    *script = (struct traj_sim_script){0};
}
