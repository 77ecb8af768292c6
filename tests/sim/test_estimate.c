/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Estimates of another decoder as events: one that is useless, biased or far too sure of itself
 * costs at most 2 % of the error; a good one, though biased, late and too sure of itself, helps;
 * target log likelihoods likewise.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "daemon/learn/model_file.h"
#include "tests/common/driven.h"
#include "tests/oracle/random_model.h"

#define COST 1.02

enum kind {
    NONE,
    NOISE,     /* of position, of nothing, and sure of it */
    BIASED,    /* right but for 60 mm, and sure of it */
    OVERSURE,  /* right to 40 mm, stated as 2 mm */
    CONSTANT,  /* always the same place, and sure of it */
    GOOD,      /* right to 8 mm, 20 mm off, 80 ms late, stated as 2 mm */
    VELOCITY,  /* right to 60 mm/s, stated as 10 mm/s */
    WRONG_ONE, /* log likelihoods for a target drawn anew in every trial */
    RIGHT_ONE, /* for the trial's own, in nine trials of ten */
    KINDS
};
static const char *const name[KINDS] = {"none",     "noise",        "biased",
                                        "too sure", "constant",     "good",
                                        "velocity", "wrong target", "right target"};

struct caller {
    struct random random;
    enum kind kind;
    size_t trial, said; /* the target that is said in this trial */
    double square, bins, right, trials;
};

static double normal(struct caller *c)
{
    return random_normal(&c->random);
}

static void send_place(struct driven *d, size_t bin, double lag, double bias, double sd,
                       double stated, bool velocity)
{
    struct caller *c = d->context;
    const struct traj_session *s = d->session;
    double position[TRAJ_DIM_MAX], speed[TRAJ_DIM_MAX], value[6] = {0};
    const double t = s->t_end[bin - 1];
    if (traj_session_kinematics(s, t - lag, 0.02, position, speed))
        return;
    for (size_t k = 0; k < 2; k++)
        value[k] = (velocity ? speed[k] : position[k]) + (k == 0 ? bias : 0.0) + sd * normal(c);
    value[2] = value[5] = stated * stated;
    if (c->kind == NOISE || c->kind == CONSTANT)
        for (size_t k = 0; k < 2; k++)
            value[k] = c->kind == CONSTANT ? 30.0 : 60.0 * normal(c);
    /* The event's kind of quantity stands in `of`. */
    driven_estimate(d, velocity ? TRAJ_ESTIMATE_VELOCITY : TRAJ_ESTIMATE_POSITION, t + 0.001, value,
                    6, 2);
}

static void send_targets(struct driven *d, size_t bin, bool right)
{
    struct caller *c = d->context;
    const struct traj_session *s = d->session;
    const size_t r = driven_trial(s, bin);
    double loglik[TRAJ_TARGETS_MAX] = {0};
    if (r == (size_t)-1 || s->t_end[bin] < s->start[r] + 0.1)
        return;
    if (r != c->trial) {
        c->trial = r;
        c->said = right && random_between(&c->random, 0, 1) < 0.9
                      ? (size_t)s->target[r]
                      : random_below(&c->random, (uint32_t)s->targets);
    }
    loglik[c->said] = 6.0;
    driven_estimate(d, TRAJ_ESTIMATE_TARGETS, s->t_end[bin - 1] + 0.001, loglik, s->targets, 0);
}

static void call(struct driven *d, size_t bin)
{
    struct caller *c = d->context;
    if (bin == 0 || c->kind == NONE)
        return;
    switch (c->kind) {
    case BIASED:
        send_place(d, bin, 0.0, 60.0, 5.0, 1.0, false);
        break;
    case OVERSURE:
        send_place(d, bin, 0.0, 0.0, 40.0, 2.0, false);
        break;
    case GOOD:
        send_place(d, bin, 0.08, 20.0, 8.0, 2.0, false);
        break;
    case VELOCITY:
        send_place(d, bin, 0.0, 0.0, 60.0, 10.0, true);
        break;
    case WRONG_ONE:
    case RIGHT_ONE:
        send_targets(d, bin, c->kind == RIGHT_ONE);
        break;
    default:
        send_place(d, bin, 0.0, 0.0, 0.0, 2.0, false);
        break;
    }
}

static void watch(struct driven *d, size_t bin, const struct traj_intent *intent)
{
    struct caller *c = d->context;
    const struct traj_session *s = d->session;
    double position[TRAJ_DIM_MAX];
    const size_t r = driven_trial(s, bin);
    if (traj_session_kinematics(s, s->t_end[bin], 0.02, position, NULL))
        return;
    c->bins++;
    for (size_t k = 0; k < 2; k++)
        c->square += pow(intent->position[k] - position[k], 2);
    if (r == (size_t)-1 || fabs(s->t_end[bin] - s->start[r] - 0.6) > s->dt[bin] / 2)
        return;
    size_t best = 0;
    for (size_t m = 1; m < intent->targets; m++)
        best = intent->target_prob[m] > intent->target_prob[best] ? m : best;
    c->trials++;
    c->right += best == (size_t)s->target[r];
}

static void compare(bool unbroken)
{
    struct traj_sim_options options;
    double rmse[KINDS], right[KINDS];
    traj_sim_options_default(&options);
    options.units = unbroken ? 96 : 32;
    options.trials_per_target = 20;
    options.population_seed = 7;
    options.unbroken = unbroken;
    options.seed = 1;
    struct traj_session *known = driven_simulate(&options);
    options.seed = 2;
    struct traj_session *session = driven_simulate(&options);
    struct traj_model *model = driven_train(known, false);
    for (int k = 0; k < KINDS; k++) {
        struct caller caller = {.random = {17}, .kind = (enum kind)k, .trial = (size_t)-1};
        struct driven driven = {.model = model,
                                .session = session,
                                .trials = true,
                                .before = call,
                                .after = watch,
                                .context = &caller};
        if (model->dims.targets == 0 && k >= WRONG_ONE)
            break;
        driven_run(&driven);
        rmse[k] = sqrt(caller.square / caller.bins);
        right[k] = caller.trials > 0 ? caller.right / caller.trials : 0.0;
        print_message("%s, %s: rmse %.3f mm, target right after 0.6 s %.3f\n",
                      unbroken ? "unbroken" : "trials cut out", name[k], rmse[k], right[k]);
    }
    for (int k = NOISE; k < KINDS; k++) {
        if (model->dims.targets == 0 && k >= WRONG_ONE)
            break;
        assert_true(rmse[k] <= COST * rmse[NONE]);
    }
    assert_true(rmse[GOOD] < rmse[NONE]);
    traj_model_free(model);
    traj_session_free(known);
    traj_session_free(session);
}

static void estimates_in_cut_trials(void **state)
{
    (void)state;
    compare(false);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(estimates_in_cut_trials)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
