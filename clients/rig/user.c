/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A synthetic user; see user.h. */
#include "clients/rig/user.h"

#include <gsl/gsl_randist.h>
#include <math.h>
#include <string.h>

/* What being off costs in the end, per length^2 and with times for velocity and acceleration. */
#define END_VELOCITY_S 0.1
#define END_ACCELERATION 0.01 /* s^2 */
/* Squared jerk against squared error at the end, s^5 a second: small, so that goals are reached. */
#define EFFORT 1e-9
/* A plan that has run out is made anew where the goal is farther off than this many tolerances. */
#define FAR 1.5
/* Movements are never planned shorter than this part of duration_s. */
#define SHORTEST 0.4
/* Seen from outside, no cursor answers a user this slowly or this much. */
#define SMOOTHING_MAX 0.95
#define SMOOTHINGS 20 /* that are tried, from 0 */
#define GAIN_MIN 0.3
#define GAIN_MAX 3.0
#define LEARN_BINS 100
/* sd of a bin's step of b, of what the cursor does of its own accord in a bin. */
#define PULL_WALK 0.02
/* Variance of a sight that sees nothing. */
#define BLIND 1e12

void traj_user_options_default(struct traj_user_options *options)
{
    *options = (struct traj_user_options){
        .bin_s = 0.02,
        .reach = 100.0,
        .duration_s = 0.45,
        .reaction_s = {0.2, 0.3},
        .jump_reaction_s = 0.15,
        .correction_s = 0.3,
        .speed_max = 600.0,
        .sensory_delay_s = 0.12,
        .sight_noise = 1.0,
        .sight_velocity_noise = 20.0,
        .motor_cv = 0.1,
        .motor_floor = 4.0,
        .motor_tau_s = 0.06,
    };
}

static size_t bins_of(const struct traj_user *user, double seconds)
{
    return (size_t)lround(seconds / user->options.bin_s);
}

/* The whole loop on one axis: error of position, cursor's velocity, intent, its rate; input j. */
static struct traj_linear loop_of(const struct traj_user *user)
{
    double dt = user->options.bin_s, s = user->belief.smoothing;
    double g = (1.0 - s) * user->belief.gain;
    /* a' = a + dt j; u' = u + dt a'; w' = s w + g u'; p' = p + dt w' */
    return (struct traj_linear){
        .states = TRAJ_USER_STATES,
        .a = {1.0, dt * s, dt * g, dt * g * dt, /* p */
              0.0, s, g, g * dt,                /* w */
              0.0, 0.0, 1.0, dt,                /* u */
              0.0, 0.0, 0.0, 1.0},              /* a */
        .b = {dt * g * dt * dt, g * dt * dt, dt * dt, dt},
    };
}

void traj_user_believe(struct traj_user *user, const struct traj_belief *belief)
{
    const struct traj_user_options *o = &user->options;
    user->belief = *belief;
    struct traj_linear loop = loop_of(user);
    const double end[TRAJ_USER_STATES] = {1.0, END_VELOCITY_S * END_VELOCITY_S,
                                          END_VELOCITY_S * END_VELOCITY_S,
                                          END_ACCELERATION * END_ACCELERATION};
    traj_regulator_gains(&loop, end, EFFORT * o->bin_s, TRAJ_USER_STEPS, &user->gains[0][0]);
    double dt = o->bin_s, s = belief->smoothing, walk = PULL_WALK * belief->noise;
    const struct traj_linear cursor = {.states = 3,
                                       .a = {1.0, dt * s, dt, 0.0, s, 1.0, 0.0, 0.0, 1.0}};
    double moved = belief->noise * dt;
    const double process[3] = {moved * moved + 1e-6, belief->noise * belief->noise + 1e-6,
                               walk * walk + 1e-6};
    const double sight[3] = {o->sight_noise * o->sight_noise + 1e-6,
                             o->sight_velocity_noise * o->sight_velocity_noise + 1e-6, BLIND};
    traj_regulator_sight(&cursor, process, sight, user->sight);
}

void traj_user_place(struct traj_user *user, const double *position)
{
    for (size_t d = 0; d < user->dim; d++) {
        user->here[d] = user->seen_p[d] = position[d];
        user->seen_w[d] = user->pull[d] = user->u[d] = user->a[d] = 0.0;
    }
    for (size_t k = 0; k < TRAJ_USER_MEMORY; k++) {
        memset(user->past[k], 0, sizeof user->past[k]);
        memset(user->screen[k], 0, sizeof user->screen[k]);
        memcpy(user->screen[k], position, user->dim * sizeof *position);
    }
}

void traj_user_init(struct traj_user *user, const struct traj_user_options *options, size_t dim,
                    const double *position, gsl_rng *rng)
{
    memset(user, 0, sizeof *user);
    user->options = *options;
    user->dim = dim;
    user->rng = rng;
    user->sensory = bins_of(user, options->sensory_delay_s);
    user->horizon = 1;
    user->tolerance = INFINITY;
    memcpy(user->goal, position, dim * sizeof *position);
    traj_user_place(user, position);
    for (size_t k = 0; k < 2; k++) {
        for (size_t d = 0; d < dim; d++) {
            user->noise[k][d] = gsl_ran_gaussian(rng, 1.0);
        }
    }
    const struct traj_belief faithful = {.gain = 1.0};
    traj_user_believe(user, &faithful);
}

static double distance(const double *a, const double *b, size_t dim)
{
    double sum = 0.0;
    for (size_t d = 0; d < dim; d++) {
        sum += (a[d] - b[d]) * (a[d] - b[d]);
    }
    return sqrt(sum);
}

/* Time is given to reach the goal from where the cursor is taken to be. */
static void plan(struct traj_user *user)
{
    const struct traj_user_options *o = &user->options;
    double way = sqrt(distance(user->here, user->goal, user->dim) / o->reach);
    user->horizon = bins_of(user, o->duration_s * fmax(way, SHORTEST));
    user->horizon = user->horizon < TRAJ_USER_STEPS ? user->horizon : TRAJ_USER_STEPS;
}

void traj_user_prepare(struct traj_user *user, const double *goal)
{
    memcpy(user->next, goal, user->dim * sizeof *goal);
    user->preparing = true;
}

void traj_user_aim(struct traj_user *user, const double *goal, double tolerance, enum traj_goal how)
{
    const struct traj_user_options *o = &user->options;
    const double *range = o->reaction_s;
    double wait = range[0] + (range[1] - range[0]) * gsl_rng_uniform(user->rng);
    memcpy(user->next, goal, user->dim * sizeof *goal);
    memset(user->drift, 0, sizeof user->drift);
    user->tolerance = tolerance;
    user->reaction = how == TRAJ_GOAL_NEW      ? bins_of(user, wait)
                     : how == TRAJ_GOAL_JUMPED ? bins_of(user, o->jump_reaction_s)
                                               : 0;
    user->waiting = true;
    user->preparing = false;
}

size_t traj_user_ahead(const struct traj_user *user)
{
    return user->belief.delay + bins_of(user, user->options.correction_s);
}

void traj_user_follow(struct traj_user *user, const double *goal, const double *velocity)
{
    size_t shortest = bins_of(user, user->options.correction_s);
    /* In coordinates that move along with the goal it stands still, where it would be now. */
    for (size_t d = 0; d < user->dim; d++) {
        user->goal[d] = goal[d] - velocity[d] * (double)shortest * user->options.bin_s;
        user->drift[d] = velocity[d];
    }
    user->horizon = shortest;
    user->waiting = user->preparing = false;
    user->tolerance = INFINITY;
}

/* What was on the screen a sensory delay ago enters; then all is carried forward. */
static void look(struct traj_user *user, const double *position, const double *velocity,
                 double ahead_p[], double ahead_w[])
{
    const struct traj_user_options *o = &user->options;
    const struct traj_belief *b = &user->belief;
    size_t k = user->bin, ahead = user->sensory + b->delay, dim = user->dim;
    double *shown = user->screen[k % TRAJ_USER_MEMORY];
    for (size_t d = 0; d < dim; d++) {
        shown[d] = position[d] + gsl_ran_gaussian(user->rng, o->sight_noise);
        shown[dim + d] = velocity[d] + gsl_ran_gaussian(user->rng, o->sight_velocity_noise);
    }
    /* Bins of the past before the first are at rest. */
    const double *old = user->screen[(k + TRAJ_USER_MEMORY - user->sensory) % TRAJ_USER_MEMORY];
    double push = (1.0 - b->smoothing) * b->gain;
    for (size_t d = 0; d < dim; d++) {
        /* past[k - i] drove the cursor delay + 1 bins later than it was intended at k - i - 1. */
        for (size_t i = ahead + 1; i-- > 0;) {
            double u = user->past[(k + TRAJ_USER_MEMORY - i) % TRAJ_USER_MEMORY][d];
            double *p = i == ahead ? &user->seen_p[d] : &ahead_p[d];
            double *w = i == ahead ? &user->seen_w[d] : &ahead_w[d];
            *w = b->smoothing * *w + push * u + user->pull[d];
            *p += o->bin_s * *w;
            if (i == ahead) {
                double ep = old[d] - *p, ew = old[dim + d] - *w;
                *p += user->sight[0] * ep + user->sight[1] * ew;
                *w += user->sight[3] * ep + user->sight[4] * ew;
                user->pull[d] += user->sight[6] * ep + user->sight[7] * ew;
                ahead_p[d] = *p;
                ahead_w[d] = *w;
            }
            if (i == b->delay) {
                user->here[d] = ahead_p[d];
            }
        }
    }
}

/* Whether a movement is being prepared, and the direction of the goal that it is for. */
static void prepare(const struct traj_user *user, double *out)
{
    double way = distance(user->next, user->here, user->dim);
    memset(out, 0, TRAJ_RIG_DIM * sizeof *out);
    for (size_t d = 0; (user->waiting || user->preparing) && way > 0.0 && d < user->dim; d++) {
        out[d] = (user->next[d] - user->here[d]) / way;
    }
}

static void advance_plan(struct traj_user *user)
{
    if (user->waiting && user->reaction == 0) {
        memcpy(user->goal, user->next, sizeof user->goal);
        user->waiting = false;
        plan(user);
        return;
    }
    user->reaction -= user->waiting ? 1 : 0;
    size_t shortest = bins_of(user, user->options.correction_s);
    if (user->horizon > shortest) {
        user->horizon--;
    } else if (distance(user->here, user->goal, user->dim) > FAR * user->tolerance) {
        plan(user);
    } else {
        user->horizon = shortest;
    }
}

/* AR(1) noise of unit variance. */
static void stir(struct traj_user *user)
{
    double keep = exp(-user->options.bin_s / user->options.motor_tau_s);
    double fresh = sqrt(1.0 - keep * keep);
    for (size_t k = 0; k < 2; k++) {
        for (size_t d = 0; d < user->dim; d++) {
            user->noise[k][d] = keep * user->noise[k][d] + fresh * gsl_ran_gaussian(user->rng, 1.0);
        }
    }
}

/* Nobody intends faster than speed_max. */
static void hold_back(struct traj_user *user, double share)
{
    for (size_t d = 0; d < user->dim && share < 1.0; d++) {
        user->u[d] *= share;
        user->a[d] = 0.0;
    }
}

void traj_user_act(struct traj_user *user, const double *position, const double *velocity,
                   struct traj_intention *intention)
{
    const struct traj_user_options *o = &user->options;
    double p[TRAJ_RIG_DIM], w[TRAJ_RIG_DIM], speed = 0.0;
    look(user, position, velocity, p, w);
    advance_plan(user);
    stir(user);
    memset(intention, 0, sizeof *intention);
    const double *gain = user->gains[(user->horizon > 0 ? user->horizon : 1) - 1];
    user->bin++;
    for (size_t d = 0; d < user->dim; d++) {
        /* What keeps the cursor with the goal, against its pull, in the end. */
        double drift = user->drift[d];
        double steady =
            (drift - user->pull[d] / (1.0 - user->belief.smoothing)) / user->belief.gain;
        double j = -(gain[0] * (p[d] - user->goal[d]) + gain[1] * (w[d] - drift) +
                     gain[2] * (user->u[d] - steady) + gain[3] * user->a[d]);
        user->a[d] += o->bin_s * j;
        user->u[d] += o->bin_s * user->a[d];
        speed += user->u[d] * user->u[d];
    }
    speed = fmax(sqrt(speed), 1e-9);
    hold_back(user, fmin(1.0, o->speed_max / speed));
    speed = fmin(speed, o->speed_max);
    for (size_t d = 0; d < user->dim; d++) {
        user->past[user->bin % TRAJ_USER_MEMORY][d] = user->u[d];
        intention->wanted[d] = user->u[d];
        intention->position[d] = user->here[d];
    }
    for (size_t d = 0; d < user->dim; d++) {
        intention->velocity[d] = user->u[d] + o->motor_cv * speed * user->noise[0][d] +
                                 o->motor_floor * user->noise[1][d];
    }
    prepare(user, intention->plan);
}

/* What the cursor would have done by itself: the gain that fits it best, and what is left over. */
struct answer_fit {
    double gain, left, noise; /* left: mean square; noise: sd of what is new in it each bin */
};

static struct answer_fit fit(const double *wanted, const double *cursor, size_t bins, size_t dim,
                             double smoothing, size_t delay)
{
    struct answer_fit f = {.gain = 1.0};
    /* Twice over the data: once for the gain, once for what it leaves. */
    double zz = 0.0, zw = 0.0, ee = 0.0, ed = 0.0;
    for (int pass = 0; pass < 2; pass++) {
        for (size_t d = 0; d < dim; d++) {
            double z = 0.0, before = 0.0;
            for (size_t k = delay; k < bins; k++) {
                z = smoothing * z + (1.0 - smoothing) * wanted[(k - delay) * dim + d];
                double w = cursor[k * dim + d], e = w - f.gain * z;
                zz += pass == 0 ? z * z : 0.0;
                zw += pass == 0 ? z * w : 0.0;
                ee += pass == 1 ? e * e : 0.0;
                ed += pass == 1 ? e * before : 0.0;
                before = e;
            }
        }
        f.gain = pass == 0 && zz > 0.0 ? zw / zz : f.gain;
    }
    double autocorrelation = ee > 0.0 ? ed / ee : 0.0;
    f.left = ee / (double)((bins - delay) * dim);
    f.noise = sqrt(f.left * fmax(0.0, 1.0 - autocorrelation * autocorrelation));
    return f;
}

void traj_belief_learn(struct traj_belief *belief, const double *wanted, const double *cursor,
                       size_t bins, size_t dim, size_t delay_max)
{
    double best = INFINITY;
    for (size_t delay = 0; bins > delay_max + LEARN_BINS && delay <= delay_max; delay++) {
        for (size_t k = 0; k < SMOOTHINGS; k++) {
            double smoothing = SMOOTHING_MAX * (double)k / (SMOOTHINGS - 1);
            struct answer_fit f = fit(wanted, cursor, bins, dim, smoothing, delay);
            if (f.left < best) {
                best = f.left;
                *belief = (struct traj_belief){.gain = fmin(GAIN_MAX, fmax(GAIN_MIN, f.gain)),
                                               .smoothing = smoothing,
                                               .delay = delay,
                                               .noise = f.noise};
            }
        }
    }
}
