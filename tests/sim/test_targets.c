/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Targets at places that were never trained: a decoder that learned eight targets is told of
 * sixteen, of which every second one is new to it.  Its error on reaches to the new ones is at most
 * 1.25 times that of a decoder trained on all sixteen, with as many trials a target.
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

#define WORSE 1.25
#define POPULATIONS 1

struct errors {
    bool told;
    double square, bins, right, trials;
};

static struct traj_sim_options options_of(uint64_t population, uint64_t seed, size_t targets,
                                          size_t per_target, double reach, bool unbroken)
{
    struct traj_sim_options options;
    traj_sim_options_default(&options);
    options.units = 48;
    options.targets = targets;
    options.trials_per_target = per_target;
    options.population_seed = population;
    options.seed = seed;
    options.reach_mm = reach;
    options.unbroken = unbroken;
    return options;
}

static void tell(struct driven *driven, size_t bin)
{
    const struct errors *errors = driven->context;
    if (bin == 0 && errors->told)
        driven_targets(driven, driven->session->t_end[0] - 1.0, driven->session);
}

/* Errors on trials to every second target. */
static void watch(struct driven *driven, size_t bin, const struct traj_intent *intent)
{
    struct errors *errors = driven->context;
    const struct traj_session *s = driven->session;
    const size_t r = driven_trial(s, bin);
    double position[TRAJ_DIM_MAX];
    size_t best = 0;
    if (r == (size_t)-1 || s->target[r] % 2 == 0 ||
        traj_session_kinematics(s, s->t_end[bin], 0.02, position, NULL))
        return;
    errors->bins++;
    for (size_t d = 0; d < intent->dim; d++)
        errors->square += pow(intent->position[d] - position[d], 2);
    if (s->t_end[bin] + s->dt[bin] < s->stop[r])
        return;
    for (size_t m = 1; m < intent->targets; m++)
        best = intent->target_prob[m] > intent->target_prob[best] ? m : best;
    errors->trials++;
    errors->right += best == (size_t)s->target[r];
}

static void measure(const struct traj_model *model, const struct traj_session *session, bool told,
                    struct errors *errors)
{
    errors->told = told;
    struct driven driven = {.model = model,
                            .session = session,
                            .trials = true,
                            .before = tell,
                            .after = watch,
                            .context = errors};
    driven_run(&driven);
}

static void compare(bool unbroken, double reach)
{
    struct errors carried = {.bins = 0}, retrained = {.bins = 0}, fixed = {.bins = 0};
    for (uint64_t p = 1; p <= POPULATIONS; p++) {
        const struct traj_sim_options known = options_of(p, 10 + p, 8, 20, 100.0, unbroken),
                                      all = options_of(p, 20 + p, 16, 15, reach, unbroken),
                                      test = options_of(p, 30 + p, 16, 6, reach, unbroken);
        struct traj_session *a = driven_simulate(&known), *b = driven_simulate(&all),
                            *session = driven_simulate(&test);
        struct traj_model *old = driven_train(a, false), *new = driven_train(b, false);
        assert_true(old->dims.targets == known.targets);
        measure(old, session, true, &carried);
        measure(old, session, false, &fixed);
        measure(new, session, false, &retrained);
        traj_model_free(old);
        traj_model_free(new);
        traj_session_free(a);
        traj_session_free(b);
        traj_session_free(session);
    }
    const double mine = sqrt(carried.square / carried.bins),
                 its = sqrt(retrained.square / retrained.bins);
    print_message(
        "%s, reach %.0f mm, populations 1 to %d: rmse %.2f mm carried (%.0f %% end right), "
        "%.2f mm retrained (%.0f %%), %.2f mm not told\n",
        unbroken ? "unbroken" : "trials cut out", reach, POPULATIONS, mine,
        100 * carried.right / carried.trials, its, 100 * retrained.right / retrained.trials,
        sqrt(fixed.square / fixed.bins));
    assert_true(mine <= WORSE * its);
}

static void directions_between_cut(void **state)
{
    (void)state;
    compare(false, 100.0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(directions_between_cut)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
