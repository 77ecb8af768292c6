/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Recalibration on line against a population that is known to the last number: frames are drawn
 * from the model itself, then a quarter of the units falls silent and a quarter fires twice as
 * much. Are the gains found; is nothing put in force that does not help, wrong labels included;
 * does what was put in force wrongly go by itself; do the same frames give the same numbers?
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "clients/trajctl/bench_model.h"
#include "daemon/learn/model_file.h"
#include "daemon/learn/recalibrate.h"
#include "daemon/learn/retune.h"
#include "tests/oracle/random_model.h"

#define UNITS 32
#define TARGETS 4
#define BIN 0.02
#define TRIAL_BINS 75

/* What happens in a run. */
struct run {
    struct traj_model *base;
    struct traj_recalibrator *self;
    struct random random;
    double gain[UNITS];
    bool labels, shuffled;
    uint64_t frames;
    size_t state; /* of the chain */
    uint16_t counts[UNITS];
    double *coefficient; /* in force; [UNITS][columns] */
    size_t columns;
    unsigned updates, undone;
};

static void begin(struct run *run, const struct traj_recalibrate_options *options, uint64_t seed)
{
    const struct bench_size size = {.units = UNITS, .targets = TARGETS, .bin = BIN};
    struct traj_error error = {{0}};
    memset(run, 0, sizeof *run);
    run->base = bench_model_make(&size, &error);
    assert_non_null(run->base);
    struct traj_model *named = traj_model_copy(run->base, "model", &error);
    assert_non_null(named);
    traj_model_free(run->base);
    run->base = named;
    run->columns = traj_retune_columns(run->base);
    run->coefficient = calloc(UNITS * run->columns, sizeof(double));
    assert_non_null(run->coefficient);
    run->self = traj_recalibrator_new(run->base, options, &error);
    assert_non_null(run->self);
    run->random.state = test_seed(seed);
    for (size_t n = 0; n < UNITS; n++)
        run->gain[n] = 1;
}

static void end(struct run *run)
{
    traj_recalibrator_free(run->self);
    traj_model_free(run->base);
    free(run->coefficient);
}

/* A state by these probabilities. */
static size_t draw(struct run *run, const double *prob, size_t count, double total)
{
    double at = total * random_uniform(&run->random);
    for (size_t i = 0; i + 1 < count; i++) {
        at -= prob[i];
        if (at < 0)
            return i;
    }
    return count - 1;
}

static size_t draw_start(struct run *run, int32_t target)
{
    const struct traj_chain *chain = &run->base->chain;
    double *prob = calloc(run->base->dims.states, sizeof *prob), total = 0;
    assert_non_null(prob);
    for (size_t j = 0; j < run->base->dims.states; j++) {
        prob[j] = chain->target[j] == target ? chain->start[j] : 0;
        total += prob[j];
    }
    size_t state = draw(run, prob, run->base->dims.states, total);
    free(prob);
    return state;
}

static void move_on(struct run *run)
{
    const struct traj_chain *chain = &run->base->chain;
    const double *link = chain->link_prob + (size_t)TRAJ_CONTEXT_TRIAL * run->base->dims.links;
    const size_t first = (size_t)chain->link_first[run->state];
    const size_t count = (size_t)chain->link_first[run->state + 1] - first;
    run->state = (size_t)chain->link_to[first + draw(run, link + first, count, 1)];
}

static void fire(struct run *run)
{
    const struct traj_chain *chain = &run->base->chain;
    const double *at = chain->emission_mean + (size_t)chain->node[run->state] * UNITS;
    for (size_t n = 0; n < UNITS; n++)
        run->counts[n] = (uint16_t)random_poisson(&run->random, run->gain[n] * exp(at[n]) * BIN);
}

static void obey(struct run *run, enum traj_recalibrate_order order)
{
    struct traj_error error = {{0}};
    size_t columns;
    uint64_t until;
    const double *wanted = traj_recalibrator_wanted(run->self, &columns, &until);
    if (order == TRAJ_RECALIBRATE_UPDATE) {
        assert_int_equal(columns, run->columns);
        assert_true(until < run->frames);
        memcpy(run->coefficient, wanted, UNITS * columns * sizeof *wanted);
        assert_int_equal(traj_recalibrator_moved(run->self, run->coefficient, &error), 0);
        run->updates++;
    } else if (order == TRAJ_RECALIBRATE_UNDO) {
        memset(run->coefficient, 0, UNITS * columns * sizeof *wanted);
        assert_int_equal(traj_recalibrator_moved(run->self, NULL, &error), 0);
        run->undone++;
    }
}

static void tell(struct run *run, enum traj_event_kind kind, double t, int32_t target)
{
    struct traj_event *event = calloc(1, sizeof *event);
    assert_non_null(event);
    event->kind = kind;
    event->t = t;
    event->target = target;
    event->go = event->rewarded = event->start = event->stop = event->move = NAN;
    traj_recalibrator_event(run->self, event);
    free(event);
}

static void run_trials(struct run *run, size_t trials)
{
    struct traj_error error = {{0}};
    for (size_t trial = 0; trial < trials; trial++) {
        const int32_t target = (int32_t)random_below(&run->random, TARGETS);
        tell(run, TRAJ_EVENT_TRIAL_START, (double)run->frames * BIN, -1);
        for (size_t b = 0; b < TRIAL_BINS; b++) {
            const struct traj_frame frame = {.seq = run->frames,
                                             .t = (double)(run->frames + 1) * BIN,
                                             .dt = BIN,
                                             .units = UNITS,
                                             .counts = run->counts};
            enum traj_recalibrate_order order;
            if (b == 0)
                run->state = draw_start(run, target);
            else
                move_on(run);
            fire(run);
            run->frames++;
            assert_int_equal(
                traj_recalibrator_frame(run->self, &frame, run->frames, &order, &error), 0);
            obey(run, order);
        }
        tell(run, TRAJ_EVENT_TRIAL_STOP, (double)run->frames * BIN, -1);
        if (run->labels)
            tell(run, TRAJ_EVENT_TRIAL_LABEL, (double)run->frames * BIN,
                 run->shuffled ? (int32_t)random_below(&run->random, TARGETS) : target);
    }
}

static void break_units(struct run *run)
{
    for (size_t n = 0; n < UNITS; n++)
        run->gain[n] = n % 4 == 0 ? 0 : n % 4 == 1 ? 2 : 1;
}

/* How the mean rate of unit n is changed by the tables in force. */
static double gain_found(const struct run *run, size_t n)
{
    struct traj_error error = {{0}};
    struct traj_model *model = traj_retune(run->base, run->coefficient, run->columns, &error);
    double now = 0, then = 0;
    assert_non_null(model);
    for (size_t e = 0; e < run->base->dims.nodes; e++) {
        now += exp(model->chain.emission_mean[e * UNITS + n]);
        then += exp(run->base->chain.emission_mean[e * UNITS + n]);
    }
    traj_model_free(model);
    return now / then;
}

/* Root mean square of the log gains' error over units that fire, and the largest of silent ones. */
static double gains_off(const struct run *run, double *silent)
{
    double square = 0, count = 0;
    *silent = 0;
    for (size_t n = 0; n < UNITS; n++) {
        const double found = gain_found(run, n);
        if (run->gain[n] > 0) {
            square += pow(log(found / run->gain[n]), 2);
            count++;
        } else {
            *silent = fmax(*silent, found);
        }
    }
    return sqrt(square / count);
}

static struct traj_recalibrate_options usual(void)
{
    struct traj_recalibrate_options options;
    traj_recalibrate_options_default(&options);
    return options;
}

/* ---- tests ----------------------------------------------------------------------------------- */

static void test_no_numbers_are_the_model_itself(void **state)
{
    struct traj_recalibrate_options options = usual();
    struct traj_error error = {{0}};
    struct run run;
    (void)state;
    begin(&run, &options, 1);
    struct traj_model *same = traj_retune(run.base, run.coefficient, run.columns, &error);
    assert_non_null(same);
    assert_string_equal(same->about.digest, run.base->about.digest);
    run.coefficient[3] = 1e-3;
    struct traj_model *other = traj_retune(run.base, run.coefficient, run.columns, &error);
    assert_non_null(other);
    assert_string_not_equal(other->about.digest, run.base->about.digest);
    assert_null(traj_retune(run.base, run.coefficient, run.columns - 1, &error));
    traj_model_free(same);
    traj_model_free(other);
    end(&run);
}

static void test_gains_are_found(void **state)
{
    const bool labels[] = {false, true};
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct traj_recalibrate_options options = usual();
        struct traj_recalibrate_state told;
        struct run run;
        double silent_before, silent, before, off;
        begin(&run, &options, 2 + i);
        run.labels = labels[i];
        run_trials(&run, 20);
        break_units(&run);
        before = gains_off(&run, &silent_before);
        run_trials(&run, 80); /* two minutes */
        off = gains_off(&run, &silent);
        traj_recalibrator_state(run.self, &told);
        print_message(
            "log gains %.2f off before, %.2f after; silent units at %.3f; %u updates, %zu "
            "channels\n",
            before, off, silent, run.updates, told.channels);
        assert_true(run.updates > 0);
        assert_true(told.channels >= UNITS / 2);
        assert_true(off < before / 2);
        assert_true(silent < 0.25);
        assert_true((told.labelled > 0) == labels[i]);
        end(&run);
    }
}

static void test_wrong_labels_put_nothing_worse_in_force(void **state)
{
    struct traj_recalibrate_options options = usual();
    struct traj_recalibrate_state told;
    struct run run;
    double silent;
    (void)state;
    begin(&run, &options, 5);
    run.labels = run.shuffled = true;
    run_trials(&run, 100);
    traj_recalibrator_state(run.self, &told);
    print_message("%llu candidates, %llu refused, %llu put in force, %llu undone; gains %.2f off\n",
                  (unsigned long long)told.candidates, (unsigned long long)told.refused,
                  (unsigned long long)told.updates, (unsigned long long)told.undone,
                  gains_off(&run, &silent));
    assert_true(told.labelled > 50);
    assert_true(told.refused > 0);
    /* What is in force explains no less than the model as it was loaded. */
    assert_false(told.loaded > 2);
    assert_true(run.updates == 0 || told.doubted || !(told.loaded > 1));
    end(&run);
}

/* Tables that somebody puts in force although they are bad go by themselves, and are flagged till
 * then. */
static void test_bad_tables_are_undone(void **state)
{
    struct traj_recalibrate_options options = usual();
    struct traj_error error = {{0}};
    struct run run;
    (void)state;
    begin(&run, &options, 6);
    run_trials(&run, 10);
    for (size_t n = 0; n < UNITS; n++)
        run.coefficient[n * run.columns] = n % 2 == 0 ? 1 : -1;
    assert_int_equal(traj_recalibrator_moved(run.self, run.coefficient, &error), 0);
    run_trials(&run, 15);
    assert_true(run.undone == 1 || run.updates > 0);
    end(&run);
}

static void test_frozen_it_only_doubts(void **state)
{
    struct traj_recalibrate_options options = usual();
    struct traj_recalibrate_state told;
    struct run run;
    (void)state;
    options.frozen = true;
    begin(&run, &options, 7);
    run_trials(&run, 20);
    break_units(&run);
    run_trials(&run, 40);
    traj_recalibrator_state(run.self, &told);
    assert_int_equal(run.updates, 0);
    assert_true(told.doubted);
    traj_recalibrator_freeze(run.self, false);
    run_trials(&run, 30);
    assert_true(run.updates > 0);
    end(&run);
}

static void test_the_same_frames_give_the_same_numbers(void **state)
{
    struct traj_recalibrate_options options = usual();
    double *first = NULL;
    (void)state;
    for (int i = 0; i < 2; i++) {
        struct run run;
        begin(&run, &options, 8);
        run.labels = true;
        break_units(&run);
        run_trials(&run, 40);
        assert_true(run.updates > 0);
        const size_t size = UNITS * run.columns * sizeof *first;
        if (first == NULL) {
            first = malloc(size);
            assert_non_null(first);
            memcpy(first, run.coefficient, size);
        }
        assert_memory_equal(first, run.coefficient, size);
        end(&run);
    }
    free(first);
}

static void test_other_families_are_refused(void **state)
{
    struct traj_recalibrate_options options = usual();
    struct random random = {test_seed(9)};
    const struct traj_dims dims = {
        .position = 2, .state = 4, .units = 3, .targets = 2, .components = 3};
    struct random_model made;
    struct traj_error error = {{0}};
    (void)state;
    random_model_make(&made, &random, &dims, 1);
    assert_null(traj_recalibrator_new(&made.model, &options, &error));
    assert_non_null(strstr(error.text, "course"));
    random_model_free(&made);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_no_numbers_are_the_model_itself),
        cmocka_unit_test(test_gains_are_found),
        cmocka_unit_test(test_wrong_labels_put_nothing_worse_in_force),
        cmocka_unit_test(test_bad_tables_are_undone),
        cmocka_unit_test(test_frozen_it_only_doubts),
        cmocka_unit_test(test_the_same_frames_give_the_same_numbers),
        cmocka_unit_test(test_other_families_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
