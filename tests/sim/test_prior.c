/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A wrong prior is survived: with 0.95, or all but the floor, on a wrong target from each trial's
 * start, and with a gaze at it, as many trials end on the right target as 95 % of those without any
 * prior; and a right one helps.
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

#define KEPT 0.95

enum kind { NONE, WRONG, CERTAIN, GAZE, RIGHT, KINDS };
static const char *const name[KINDS] = {"no prior", "0.95 on a wrong target", "1 on a wrong target",
                                        "gaze at a wrong target", "0.95 on the right one"};

struct told {
    enum kind kind;
    double right, early, trials;
};

/* After each trial's start. */
static void tell(struct driven *d, size_t bin)
{
    const struct told *told = d->context;
    const struct traj_session *s = d->session;
    const size_t r = driven_trial(s, bin);
    double prob[TRAJ_TARGETS_MAX], place[6] = {0};
    if (told->kind == NONE || r == (size_t)-1 || (bin > 0 && driven_trial(s, bin - 1) == r))
        return;
    const size_t own = (size_t)s->target[r], wrong = (own + 1 + r % (s->targets - 1)) % s->targets;
    const size_t on = told->kind == RIGHT ? own : wrong;
    for (size_t m = 0; m < s->targets; m++)
        prob[m] = told->kind == CERTAIN ? 0.0 : 0.05 / (double)(s->targets - 1);
    prob[on] = told->kind == CERTAIN ? 1.0 : 0.95;
    memcpy(place, s->target_position + 2 * on, 2 * sizeof *place);
    place[2] = place[5] = 15.0 * 15.0;
    const double t = s->start[r] + 1e-4;
    if (told->kind == GAZE)
        driven_send(d, TRAJ_EVENT_GAZE, t, place, 6, 2);
    else
        driven_send(d, TRAJ_EVENT_TARGET_PRIOR, t, prob, s->targets, 0);
}

static bool is_right(const struct traj_session *s, size_t r, const struct traj_intent *intent)
{
    size_t best = 0;
    for (size_t m = 1; m < intent->targets; m++)
        best = intent->target_prob[m] > intent->target_prob[best] ? m : best;
    return best == (size_t)s->target[r];
}

static void watch(struct driven *d, size_t bin, const struct traj_intent *intent)
{
    struct told *told = d->context;
    const struct traj_session *s = d->session;
    const size_t r = driven_trial(s, bin);
    if (r == (size_t)-1)
        return;
    if (fabs(s->t_end[bin] - s->move[r] - 0.1) <= s->dt[bin] / 2)
        told->early += is_right(s, r, intent);
    if (s->t_end[bin] + s->dt[bin] < s->stop[r])
        return;
    told->trials++;
    told->right += is_right(s, r, intent);
}

static void compare(bool unbroken)
{
    struct traj_sim_options options;
    struct told told[KINDS] = {{NONE, 0, 0, 0}};
    traj_sim_options_default(&options);
    options.units = unbroken ? 96 : 32;
    options.trials_per_target = unbroken ? 20 : 15;
    options.population_seed = 7;
    options.unbroken = unbroken;
    options.seed = 1;
    struct traj_session *known = driven_simulate(&options);
    options.seed = 2;
    struct traj_session *session = driven_simulate(&options);
    struct traj_model *model = driven_train(known, false);
    assert_true(model->dims.targets == session->targets);
    for (int k = 0; k < KINDS; k++) {
        told[k] = (struct told){(enum kind)k, 0, 0, 0};
        struct driven driven = {.model = model,
                                .session = session,
                                .trials = true,
                                .before = tell,
                                .after = watch,
                                .context = &told[k]};
        driven_run(&driven);
        print_message("%s, %s: right 0.1 s after onset %.1f %%, at the end %.1f %%\n",
                      unbroken ? "unbroken" : "trials cut out", name[k],
                      100 * told[k].early / told[k].trials, 100 * told[k].right / told[k].trials);
        if (k != NONE)
            assert_true(told[k].right >= KEPT * told[NONE].right);
    }
    assert_true(told[RIGHT].early >= told[NONE].early && told[WRONG].early < told[NONE].early);
    traj_model_free(model);
    traj_session_free(known);
    traj_session_free(session);
}

static void a_wrong_prior_is_survived_cut(void **state)
{
    (void)state;
    compare(false);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_wrong_prior_is_survived_cut)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
