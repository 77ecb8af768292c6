/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Small sessions with known truth for tests of learning. */
#include "tests/common/made_session.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/learn/random.h"

#define BIN 0.02
#define REACH 100.0  /* mm */
#define DURATION 0.5 /* s of a reach */
#define HOLD 0.1     /* s at the target before the trial stops */
#define REST 0.4     /* s between trials where they are recorded */
#define PAUSE 2.0    /* s between trials that are cut out */
#define REACTION 0.1 /* s from the go cue to movement */
#define TWO_PI 6.28318530717958647692

void made_options_default(struct made_options *options)
{
    *options = (struct made_options){.seed = 1,
                                     .dim = 2,
                                     .targets = 4,
                                     .trials_per_target = 8,
                                     .units = 20,
                                     .labels = true,
                                     .rate = 20,
                                     .depth = 1.2};
}

size_t made_lag(size_t unit)
{
    return unit % 5;
}

double made_uniform(uint64_t *random)
{
    return ((double)(traj_random_next(random) >> 11) + 0.5) / 9007199254740992.0;
}

double made_normal(uint64_t *random)
{
    double radius = sqrt(-2 * log(made_uniform(random)));
    return radius * cos(TWO_PI * made_uniform(random));
}

uint16_t made_poisson(uint64_t *random, double mean)
{
    double limit = exp(-mean), product = made_uniform(random);
    uint16_t count = 0;
    while (product > limit && count < 1000) {
        product *= made_uniform(random);
        count++;
    }
    return count;
}

/* One reach: where and when. */
struct reach {
    double onset, sign; /* sign -1: back to the origin */
    const double *target;
};

/* Position and velocity at t after all reaches so far, of which the last one counts. */
static void move_at(const struct reach *reach, size_t dim, double t, double *position,
                    double *velocity)
{
    double s = (t - reach->onset) / DURATION;
    s = s < 0 ? 0 : s > 1 ? 1 : s;
    double way = s * s * s * (10 - 15 * s + 6 * s * s);
    double speed = 30 * s * s * (1 - s) * (1 - s) / DURATION;
    for (size_t d = 0; d < dim; d++) {
        position[d] = reach->target[d] * (reach->sign > 0 ? way : 1 - way);
        velocity[d] = reach->sign * reach->target[d] * speed;
    }
}

/* Memory of everything; exit on failure, this is a test. */
static void *room(size_t count, size_t size)
{
    void *block = calloc(count > 0 ? count : 1, size);
    if (!block)
        abort();
    return block;
}

static void make_targets(struct traj_session *session, const struct made_options *o)
{
    session->targets = o->targets;
    session->target_dim = o->dim;
    session->target_position = room(o->targets * o->dim, sizeof(double));
    session->target_id = room(o->targets, TRAJ_ID_SIZE);
    for (size_t m = 0; m < o->targets; m++) {
        double angle = TWO_PI * (double)m / (double)o->targets;
        double *p = session->target_position + m * o->dim;
        const size_t ring = m / 2 + 1; /* on a line, targets lie in pairs about the start */
        p[0] = o->dim == 1 ? (m % 2 ? -REACH : REACH) / (double)ring : REACH * cos(angle);
        if (o->dim > 1)
            p[1] = REACH * sin(angle);
        (void)snprintf(session->target_id[m], TRAJ_ID_SIZE, "%zu", m);
    }
}

static void make_trials(struct traj_session *session, const struct made_options *o,
                        struct reach *reach, uint64_t *random)
{
    size_t trials = o->targets * o->trials_per_target;
    session->trials = trials;
    session->start = room(trials, sizeof(double));
    session->stop = room(trials, sizeof(double));
    session->target = o->labels ? room(trials, sizeof(int32_t)) : NULL;
    session->go = o->delay > 0 ? room(trials, sizeof(double)) : NULL;
    double t = 0.2;
    for (size_t r = 0; r < trials; r++) {
        size_t m = r % o->targets;
        double wait = o->delay > 0 ? o->delay + REACTION : REACTION;
        wait += BIN * floor(3 * made_uniform(random));
        session->start[r] = t;
        if (session->go)
            session->go[r] = t + o->delay;
        if (session->target)
            session->target[r] = (int32_t)m;
        const double *target = session->target_position + m * o->dim;
        reach[2 * r] = (struct reach){t + wait, 1, target};
        session->stop[r] = t + wait + DURATION + HOLD;
        reach[2 * r + 1] = (struct reach){session->stop[r] + 0.05, -1, target};
        t = session->stop[r] + (o->unbroken ? 0.05 + DURATION + REST : PAUSE);
        t = BIN * floor(t / BIN + 0.5);
    }
}

static bool recorded(const struct traj_session *session, const struct made_options *o, double t)
{
    return o->unbroken || traj_session_trial_at(session, t) != (size_t)-1;
}

/* Which reach counts at t. */
static const struct reach *reach_at(const struct reach *reach, size_t count, double t)
{
    size_t i = 0;
    while (i + 1 < count && reach[i + 1].onset <= t)
        i++;
    return &reach[i];
}

/* Direction in which unit or feature n likes to move. */
static double likes(size_t n, const double *velocity, size_t dim)
{
    double angle = TWO_PI * 0.381966 * (double)n;
    double sum = cos(angle) * velocity[0];
    if (dim > 1)
        sum += sin(angle) * velocity[1];
    return sum / (REACH * 1.875 / DURATION);
}

static void make_bins(struct traj_session *session, const struct made_options *o,
                      const struct reach *reach, uint64_t *random)
{
    double end = session->stop[session->trials - 1], position[3] = {0}, velocity[3] = {0};
    size_t bins = (size_t)(end / BIN + 1.5);
    session->counts = o->units > 0 ? room(bins * o->units, sizeof(uint16_t)) : NULL;
    session->feature = o->features > 0 ? room(bins * o->features, sizeof(float)) : NULL;
    session->t_end = room(bins, sizeof(double));
    session->dt = room(bins, sizeof(double));
    session->kin_t = room(bins, sizeof(double));
    session->position = room(bins * o->dim, sizeof(double));
    session->units = o->units;
    session->features = o->features;
    session->dim = o->dim;
    for (size_t i = 1; i <= bins; i++) {
        double t = BIN * (double)i;
        if (t > end + 1e-9 || !recorded(session, o, t))
            continue;
        size_t b = session->bins++;
        session->t_end[b] = t;
        session->dt[b] = BIN;
        session->kin_t[session->samples++] = t;
        for (size_t n = 0; n < o->units; n++) {
            double ahead = t + BIN * (double)made_lag(n);
            move_at(reach_at(reach, 2 * session->trials, ahead), o->dim, ahead, position, velocity);
            double rate = o->rate * exp(o->depth * likes(n, velocity, o->dim));
            session->counts[b * o->units + n] = made_poisson(random, rate * BIN);
        }
        move_at(reach_at(reach, 2 * session->trials, t), o->dim, t, position, velocity);
        memcpy(session->position + b * o->dim, position, o->dim * sizeof *position);
        for (size_t f = 0; f < o->features; f++)
            session->feature[b * o->features + f] =
                (float)(3 + 2 * likes(f, velocity, o->dim) + 0.3 * made_normal(random));
    }
}

struct traj_session *made_session(const struct made_options *options)
{
    struct traj_session *session = traj_session_new("made.h5");
    struct reach *reach = room(2 * options->targets * options->trials_per_target, sizeof *reach);
    uint64_t random = options->seed;
    if (!session)
        abort();
    (void)snprintf(session->length_unit, sizeof session->length_unit, "mm");
    (void)snprintf(session->subject, sizeof session->subject, "nobody");
    make_targets(session, options);
    make_trials(session, options, reach, &random);
    make_bins(session, options, reach, &random);
    free(reach);
    return session;
}
