/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Targets that jump while the hand is under way are followed: the median time until the
 * probability of the new target passes 0.5 is at most 200 ms longer than that of a decoder that is
 * told of the jump when it happens, by a target_prior.
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

#include "clients/sim/stream.h"
#include "clients/sim/task.h"
#include "daemon/learn/model_file.h"
#include "tests/common/driven.h"

#define REACTION_S                                                                                 \
    0.12           /* between a jump and the movement that answers it, as in clients/sim/task.c */
#define LATE_S 0.2 /* what the decoder that is not told may take longer */

struct jumps {
    struct traj_sim_script script;
    double *time;   /* [trials] of the jump, NaN = none */
    double *passed; /* [trials] s after it until the probability passed 0.5 for good, NaN = never */
    bool told;
};

static struct traj_sim_options options_of(uint64_t seed, size_t per_target, bool unbroken)
{
    struct traj_sim_options options;
    traj_sim_options_default(&options);
    options.task = TRAJ_SIM_JUMP;
    options.units = 96;
    options.trials_per_target = per_target;
    options.population_seed = 7;
    options.seed = seed;
    options.unbroken = unbroken;
    return options;
}

/* The simulation's own script tells when targets jumped. */
static void find_jumps(struct jumps *jumps, const struct traj_sim_options *options)
{
    gsl_rng *rng = traj_sim_stream_open(options->seed, TRAJ_SIM_STREAM_SCRIPT);
    assert_non_null(rng);
    assert_int_equal(traj_sim_script_make(&jumps->script, options, rng), 0);
    gsl_rng_free(rng);
    const struct traj_sim_script *script = &jumps->script;
    jumps->time = calloc(script->trials, sizeof(double));
    jumps->passed = calloc(script->trials, sizeof(double));
    for (size_t r = 0; r < script->trials; r++) {
        const struct traj_sim_trial *trial = &script->trial[r];
        jumps->time[r] = NAN;
        for (size_t i = 0; i < script->movements; i++)
            if (script->movement[i].begin > trial->move && script->movement[i].begin < trial->stop)
                jumps->time[r] = script->movement[i].begin - REACTION_S;
    }
}

static void tell(struct driven *driven, size_t bin)
{
    struct jumps *jumps = driven->context;
    const double t = driven->session->t_end[bin],
                 before = bin > 0 ? driven->session->t_end[bin - 1] : 0;
    double prob[TRAJ_TARGETS_MAX] = {0};
    for (size_t r = 0; jumps->told && r < driven->session->trials; r++) {
        if (!(jumps->time[r] >= before && jumps->time[r] < t))
            continue;
        prob[driven->session->target[r]] = 1.0;
        driven_send(driven, TRAJ_EVENT_TARGET_PRIOR, jumps->time[r], prob, driven->session->targets,
                    0);
    }
}

static void watch(struct driven *driven, size_t bin, const struct traj_intent *intent)
{
    struct jumps *jumps = driven->context;
    const size_t r = driven_trial(driven->session, bin);
    if (r == (size_t)-1 || isnan(jumps->time[r]) || intent->t < jumps->time[r])
        return;
    if (!(intent->target_prob[driven->session->target[r]] > 0.5))
        jumps->passed[r] = NAN;
    else if (isnan(jumps->passed[r]))
        jumps->passed[r] = intent->t - jumps->time[r];
}

/* Median over the jumps; those that were never followed took for ever. */
static double median_of(struct jumps *jumps, const struct traj_model *model,
                        const struct traj_session *session, bool told, size_t *never)
{
    struct driven driven = {.model = model,
                            .session = session,
                            .trials = true,
                            .before = tell,
                            .after = watch,
                            .context = jumps};
    double value[2048];
    size_t count = 0;
    *never = 0;
    jumps->told = told;
    for (size_t r = 0; r < session->trials; r++)
        jumps->passed[r] = NAN;
    driven_run(&driven);
    for (size_t r = 0; r < session->trials; r++) {
        if (isnan(jumps->time[r]))
            continue;
        *never += isnan(jumps->passed[r]) != 0;
        value[count++] = isnan(jumps->passed[r]) ? INFINITY : jumps->passed[r];
    }
    return driven_median(value, count);
}

static void run(bool unbroken)
{
    struct traj_sim_options training = options_of(1, 20, unbroken),
                            options = options_of(2, 20, unbroken);
    /* Of an unbroken recording of jumps free places alone are learned, which know no targets. */
    if (unbroken)
        training.task = TRAJ_SIM_DELAY;
    struct traj_session *known = driven_simulate(&training), *session = driven_simulate(&options);
    struct traj_model *model = driven_train(known, false);
    assert_true(model->dims.targets == session->targets);
    struct jumps jumps = {.told = false};
    size_t never[2];
    find_jumps(&jumps, &options);
    const double untold = median_of(&jumps, model, session, false, &never[0]);
    const double told = median_of(&jumps, model, session, true, &never[1]);
    print_message("%s, seeds 1, 2: new target's probability passes 0.5 after %.0f ms (never: %zu), "
                  "told of the jump %.0f ms (never: %zu)\n",
                  unbroken ? "unbroken" : "trials cut out", 1e3 * untold, never[0], 1e3 * told,
                  never[1]);
    assert_true(untold <= told + LATE_S);
    free(jumps.time);
    free(jumps.passed);
    traj_sim_script_free(&jumps.script);
    traj_model_free(model);
    traj_session_free(known);
    traj_session_free(session);
}

static void jumps_are_followed_cut(void **state)
{
    (void)state;
    run(false);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(jumps_are_followed_cut)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
