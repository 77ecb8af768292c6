/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the subject is to do; see task.h. */
#include "clients/rig/task.h"

#include <gsl/gsl_randist.h>
#include <math.h>
#include <string.h>

#define TWO_PI 6.283185307179586
#define GOLDEN_ANGLE 2.399963229728653
/* Slowest and fastest sine of a drawn figure, Hz. */
#define DRAW_SLOW_HZ 0.08
#define DRAW_FAST_HZ 0.35
#define EPSILON_S 1e-9

static const char *const names[] = {"centre-out", "random", "jump", "via", "draw"};

const char *traj_task_kind_name(enum traj_task_kind kind)
{
    return names[kind];
}

int traj_task_kind_parse(const char *name, enum traj_task_kind *kind)
{
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (strcmp(name, names[i]) == 0) {
            *kind = (enum traj_task_kind)i;
            return 0;
        }
    }
    return -1;
}

void traj_task_options_default(struct traj_task_options *options)
{
    *options = (struct traj_task_options){
        .kind = TRAJ_TASK_CENTRE_OUT,
        .dim = 2,
        .targets = 8,
        .bin_s = 0.02,
        .reach = 100.0,
        .radius = 15.0,
        .hold_s = 0.4,
        .timeout_s = 4.0,
        .return_s = 4.0,
        .rest_s = {0.3, 0.6},
        .delay_s = {0.0, 0.0},
        .jump_share = 0.5,
        .jump_s = {0.25, 0.45},
        .via_mm = 35.0,
        .scale = 1.0,
        .draw_speed = 80.0,
    };
}

static double uniform(gsl_rng *rng, const double range[2])
{
    return range[0] + (range[1] - range[0]) * gsl_rng_uniform(rng);
}

static double distance(const double *a, const double *b, size_t dim)
{
    double sum = 0.0;
    for (size_t d = 0; d < dim; d++) {
        sum += (a[d] - b[d]) * (a[d] - b[d]);
    }
    return sqrt(sum);
}

/* ---- where things are ------------------------------------------------------------------------ */

/* A ring; on a sphere a spiral of golden angles. */
static void surround(struct traj_task *task)
{
    const struct traj_task_options *o = &task->options;
    for (size_t m = 0; m < o->targets; m++) {
        double angle = TWO_PI * (double)m / (double)o->targets, radius = 1.0;
        double *at = task->place[m];
        if (o->dim > 2) {
            angle = GOLDEN_ANGLE * (double)m;
            at[2] = 1.0 - (2.0 * (double)m + 1.0) / (double)o->targets;
            radius = sqrt(1.0 - at[2] * at[2]);
            at[2] *= o->reach;
        }
        at[0] = o->reach * radius * cos(angle);
        at[1] = o->reach * radius * sin(angle);
    }
}

/* In a square or cube, apart as far as there is room. */
static void scatter(struct traj_task *task, gsl_rng *rng)
{
    const struct traj_task_options *o = &task->options;
    double apart = 2.0 * o->reach / pow((double)o->targets, 1.0 / (double)o->dim);
    for (size_t m = 0; m < o->targets; m++) {
        double nearest;
        do {
            nearest = INFINITY;
            for (size_t d = 0; d < o->dim; d++) {
                task->place[m][d] = o->reach * (2.0 * gsl_rng_uniform(rng) - 1.0);
            }
            for (size_t k = 0; k < m; k++) {
                nearest = fmin(nearest, distance(task->place[k], task->place[m], o->dim));
            }
            apart *= 0.999;
        } while (nearest < apart);
    }
}

/* Targets elsewhere than they were learned: turned in the first two dimensions, and scaled. */
static void displace(struct traj_task *task)
{
    double c = cos(task->options.turn), s = sin(task->options.turn);
    for (size_t m = 0; m < task->options.targets; m++) {
        double *at = task->place[m], x = at[0];
        at[0] = c * x - s * at[1];
        at[1] = s * x + c * at[1];
        for (size_t d = 0; d < task->options.dim; d++) {
            at[d] *= task->options.scale;
        }
    }
}

/* Sines of random rates and phases, scaled to the asked speed. */
static void compose(struct traj_task *task, gsl_rng *rng)
{
    const struct traj_task_options *o = &task->options;
    for (size_t d = 0; d < o->dim; d++) {
        for (size_t k = 0; k < TRAJ_TASK_SINES; k++) {
            double hz = DRAW_SLOW_HZ * pow(DRAW_FAST_HZ / DRAW_SLOW_HZ, gsl_rng_uniform(rng));
            task->sine[d][k].rate = TWO_PI * hz;
            task->sine[d][k].phase = TWO_PI * gsl_rng_uniform(rng);
            /* Each sine gives the same mean square of speed: size^2 rate^2 / 2. */
            task->sine[d][k].size =
                fmin(o->reach / TRAJ_TASK_SINES,
                     o->draw_speed * sqrt(2.0 / (double)(TRAJ_TASK_SINES * o->dim)) /
                         task->sine[d][k].rate);
        }
    }
}

void traj_task_figure(const struct traj_task *task, double t, double *position, double *velocity)
{
    for (size_t d = 0; d < task->options.dim; d++) {
        position[d] = velocity[d] = 0.0;
        for (size_t k = 0; k < TRAJ_TASK_SINES; k++) {
            double angle = task->sine[d][k].rate * t + task->sine[d][k].phase;
            position[d] += task->sine[d][k].size * sin(angle);
            velocity[d] += task->sine[d][k].size * task->sine[d][k].rate * cos(angle);
        }
    }
}

/* ---- trials ---------------------------------------------------------------------------------- */

static void begin_phase(struct traj_task *task, enum traj_task_phase phase)
{
    task->phase = phase;
    task->since = task->now;
    task->inside = task->first_inside = NAN;
}

static void begin_rest(struct traj_task *task)
{
    begin_phase(task, TRAJ_TASK_REST);
    memset(task->goal, 0, sizeof task->goal);
    task->how = TRAJ_GOAL_NEW;
    task->wait = uniform(task->rng, task->options.rest_s);
}

void traj_task_init(struct traj_task *task, const struct traj_task_options *options,
                    gsl_rng *places, gsl_rng *rng)
{
    memset(task, 0, sizeof *task);
    task->options = *options;
    task->rng = rng;
    task->dealt = options->targets;
    task->jump_at = NAN;
    for (size_t m = 0; m < options->targets; m++) {
        task->order[m] = m;
    }
    if (options->kind == TRAJ_TASK_RANDOM) {
        scatter(task, places);
    } else {
        surround(task);
    }
    displace(task);
    compose(task, places);
    begin_rest(task);
}

/* Each target once in every round, in mixed order, never the same twice in a row. */
static size_t deal(struct traj_task *task)
{
    size_t targets = task->options.targets, last = task->order[targets - 1];
    if (task->dealt >= targets) {
        task->dealt = 0;
        do {
            gsl_ran_shuffle(task->rng, task->order, targets, sizeof *task->order);
        } while (targets > 1 && task->order[0] == last);
    }
    return task->order[task->dealt++];
}

/* Half way to the target and to the left for even targets, to the right for odd ones. */
static void via_point(const struct traj_task *task, double *out)
{
    const struct traj_task_options *o = &task->options;
    const double *to = task->place[task->result.target];
    double side = (task->result.target % 2 == 0 ? 1.0 : -1.0) * o->via_mm;
    double length = fmax(hypot(to[0] - task->from[0], to[1] - task->from[1]), EPSILON_S);
    for (size_t d = 0; d < o->dim; d++) {
        out[d] = 0.5 * (task->from[d] + to[d]);
    }
    out[0] -= side * (to[1] - task->from[1]) / length;
    out[1] += side * (to[0] - task->from[0]) / length;
}

/* The target is shown. */
static unsigned show(struct traj_task *task)
{
    begin_phase(task, TRAJ_TASK_DELAY);
    task->result = (struct traj_trial_result){.target = deal(task),
                                              .start = task->now,
                                              .go = NAN,
                                              .stop = NAN,
                                              .jump = NAN,
                                              .time_to_target = NAN,
                                              .dial_in = NAN,
                                              .follow = NAN,
                                              .path_efficiency = NAN};
    task->result.before_jump = task->result.target;
    task->wait =
        task->options.kind == TRAJ_TASK_RANDOM ? 0.0 : uniform(task->rng, task->options.delay_s);
    return TRAJ_TASK_SHOWN;
}

static unsigned go(struct traj_task *task, const double *cursor)
{
    const struct traj_task_options *o = &task->options;
    begin_phase(task, TRAJ_TASK_REACH);
    memcpy(task->from, cursor, o->dim * sizeof *cursor);
    task->result.go = task->now;
    task->result.distance = distance(cursor, task->place[task->result.target], o->dim);
    task->way = 0.0;
    task->via_done = o->kind != TRAJ_TASK_VIA;
    task->how = TRAJ_GOAL_NEW;
    if (task->via_done) {
        memcpy(task->goal, task->place[task->result.target], sizeof task->goal);
    } else {
        via_point(task, task->goal);
    }
    bool jumps = o->kind == TRAJ_TASK_JUMP && gsl_rng_uniform(task->rng) < o->jump_share;
    task->jump_at = jumps ? task->now + uniform(task->rng, o->jump_s) : NAN;
    return TRAJ_TASK_GO | TRAJ_TASK_GOAL;
}

static unsigned jump(struct traj_task *task)
{
    size_t targets = task->options.targets;
    size_t other = 1 + gsl_rng_uniform_int(task->rng, (unsigned long)(targets - 1));
    task->result.target = (task->result.target + other) % targets;
    task->result.jumped = true;
    task->result.jump = task->now;
    task->jump_at = NAN;
    task->inside = task->first_inside = NAN;
    memcpy(task->goal, task->place[task->result.target], sizeof task->goal);
    task->how = TRAJ_GOAL_JUMPED;
    return TRAJ_TASK_GOAL | TRAJ_TASK_JUMPED;
}

static unsigned stop(struct traj_task *task, bool success)
{
    struct traj_trial_result *r = &task->result;
    r->success = success;
    r->stop = task->now;
    if (success) {
        double straight = r->distance - task->options.radius;
        r->time_to_target = task->inside - r->go;
        r->dial_in = task->inside - task->first_inside;
        r->path_efficiency =
            task->way_at_entry > 0.0 ? fmin(1.0, straight / task->way_at_entry) : 1.0;
    }
    if (task->options.kind == TRAJ_TASK_RANDOM) {
        return TRAJ_TASK_STOP;
    }
    begin_rest(task);
    return TRAJ_TASK_STOP | TRAJ_TASK_GOAL;
}

/* Keeps track of being within the radius of the goal; true when there for so long. */
static bool held(struct traj_task *task, const double *cursor, double seconds)
{
    const struct traj_task_options *o = &task->options;
    if (distance(cursor, task->goal, o->dim) > o->radius) {
        task->inside = NAN;
        return false;
    }
    if (isnan(task->inside)) {
        task->inside = task->now;
        task->way_at_entry = task->way;
        task->first_inside = isnan(task->first_inside) ? task->now : task->first_inside;
    }
    return task->now - task->inside > seconds - EPSILON_S;
}

static unsigned step_reach(struct traj_task *task, const double *cursor)
{
    const struct traj_task_options *o = &task->options;
    task->way += distance(cursor, task->last, o->dim);
    if (task->now - task->since > o->timeout_s - EPSILON_S) {
        return stop(task, false);
    }
    if (task->now > task->jump_at - EPSILON_S) {
        return jump(task);
    }
    if (!task->via_done) {
        if (!held(task, cursor, 0.0)) {
            return 0;
        }
        task->via_done = true;
        task->inside = task->first_inside = NAN;
        memcpy(task->goal, task->place[task->result.target], sizeof task->goal);
        task->how = TRAJ_GOAL_KNOWN;
        return TRAJ_TASK_GOAL;
    }
    return held(task, cursor, o->hold_s) ? stop(task, true) : 0;
}

unsigned traj_task_step(struct traj_task *task, double now, const double *cursor)
{
    const struct traj_task_options *o = &task->options;
    unsigned what = 0;
    task->now = now;
    if (o->kind == TRAJ_TASK_DRAW) {
        return 0;
    }
    if (task->phase == TRAJ_TASK_REACH) {
        what = step_reach(task, cursor);
        if ((what & TRAJ_TASK_STOP) && o->kind == TRAJ_TASK_RANDOM) {
            begin_phase(task, TRAJ_TASK_DELAY);
            task->wait = -1.0; /* the next one is shown in the next bin */
        }
    } else if (task->phase == TRAJ_TASK_REST) {
        bool rested = held(task, cursor, task->wait);
        if (rested || o->kind == TRAJ_TASK_RANDOM || now - task->since > o->return_s) {
            what = show(task);
        }
    } else if (task->wait < 0.0) {
        what = show(task);
    }
    if (task->phase == TRAJ_TASK_DELAY && task->wait >= 0.0 &&
        now - task->since > task->wait - EPSILON_S) {
        what |= go(task, cursor);
    }
    memcpy(task->last, cursor, o->dim * sizeof *cursor);
    return what;
}

bool traj_task_reaching(const struct traj_task *task)
{
    return task->phase == TRAJ_TASK_REACH;
}
