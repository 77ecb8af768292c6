/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What a simulated session must look like: its movements, its tasks, its units, and that one seed
 * makes it.
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

#include <gsl/gsl_linalg.h>

#include "clients/sim/population.h"
#include "clients/sim/simulate.h"
#include "clients/sim/stream.h"
#include "clients/sim/task.h"

static struct traj_session *simulate(const struct traj_sim_options *options)
{
    struct traj_error error = {{0}};
    struct traj_session *s = traj_simulate(options, &error);
    if (s == NULL)
        fail_msg("%s", error.text);
    assert_int_equal(traj_session_check(s, &error), 0);
    return s;
}

static struct traj_sim_options options_for(enum traj_sim_task task, uint64_t seed)
{
    struct traj_sim_options o;
    traj_sim_options_default(&o);
    o.units = 96; /* enough of them that the properties of a population can be measured */
    o.task = task;
    o.seed = seed;
    return o;
}

/* ---- seeds ------------------------------------------------------------------------------- */

static bool equal_sessions(const struct traj_session *a, const struct traj_session *b)
{
    return a->bins == b->bins && a->samples == b->samples && a->trials == b->trials &&
           memcmp(a->counts, b->counts, 2 * a->bins * a->units) == 0 &&
           memcmp(a->position, b->position, 16 * a->samples) == 0 &&
           memcmp(a->velocity, b->velocity, 16 * a->samples) == 0 &&
           memcmp(a->start, b->start, 8 * a->trials) == 0 &&
           memcmp(a->move, b->move, 8 * a->trials) == 0 &&
           memcmp(a->target, b->target, 4 * a->trials) == 0;
}

static void test_one_seed_one_session(void **state)
{
    (void)state;
    static const uint64_t other[] = {0, 1, 3, 2 + ((uint64_t)1 << 32), UINT64_MAX};
    for (int task = TRAJ_SIM_DELAY; task <= TRAJ_SIM_JUMP; task++) {
        struct traj_sim_options o = options_for((enum traj_sim_task)task, 2);
        o.trials_per_target = 3;
        struct traj_session *a = simulate(&o), *b = simulate(&o);
        assert_true(equal_sessions(a, b));
        traj_session_free(b);
        for (size_t i = 0; i < sizeof other / sizeof *other; i++) {
            o.seed = other[i];
            b = simulate(&o);
            assert_false(equal_sessions(a, b));
            traj_session_free(b);
        }
        traj_session_free(a);
    }
}

static double correlation(const double *a, const double *b, size_t count)
{
    double ma = 0, mb = 0, ab = 0, aa = 0, bb = 0;
    for (size_t i = 0; i < count; i++) {
        ma += a[i] / (double)count;
        mb += b[i] / (double)count;
    }
    for (size_t i = 0; i < count; i++) {
        ab += (a[i] - ma) * (b[i] - mb);
        aa += (a[i] - ma) * (a[i] - ma);
        bb += (b[i] - mb) * (b[i] - mb);
    }
    return ab / sqrt(aa * bb);
}

static void log_rates(const struct traj_session *s, double *rate)
{
    for (size_t n = 0; n < s->units; n++) {
        double spikes = 0.5;
        for (size_t i = 0; i < s->bins; i++)
            spikes += s->counts[i * s->units + n];
        rate[n] = log(spikes / (double)s->bins);
    }
}

static void test_population_outlasts_the_session(void **state)
{
    (void)state;
    double a[96], b[96], c[96];
    struct traj_sim_options o = options_for(TRAJ_SIM_DELAY, 11);
    o.population_seed = 77;
    o.trials_per_target = 5;
    struct traj_session *s = simulate(&o);
    log_rates(s, a);
    traj_session_free(s);
    o.seed = 12;
    o.task = TRAJ_SIM_RANDOM;
    o.trials_per_target = 12;
    s = simulate(&o);
    log_rates(s, b);
    traj_session_free(s);
    o.population_seed = 78;
    s = simulate(&o);
    log_rates(s, c);
    traj_session_free(s);
    print_message("log rates of the same units in two sessions correlate by %.3f, of others %.3f\n",
                  correlation(a, b, 96), correlation(a, c, 96));
    assert_true(correlation(a, b, 96) > 0.95);
    assert_true(fabs(correlation(a, c, 96)) < 0.5);
}

/* ---- courses ----------------------------------------------------------------------------- */

/* Third derivative by s of f, by central differences. */
static double jerk(double (*f)(double), double s)
{
    const double h = 2.5e-4;
    return (f(s + 2 * h) - 2 * f(s + h) + 2 * f(s - h) - f(s - 2 * h)) / (2 * h * h * h);
}

/*
 * Smooth, at rest to second order at both ends, and 0 at s = 1/2: leaves the via point where it is.
 */
static double nudge(double s)
{
    return s <= 0.0 || s >= 1.0 ? 0.0 : pow(s * (1.0 - s), 3.0) * (s - 0.5) * 64.0;
}

static double nudge_even(double s)
{
    return nudge(s) * (s - 0.5);
}

/* The same without the zero: moves the via point, and so may well save jerk. */
static double push(double s)
{
    return s <= 0.0 || s >= 1.0 ? 0.0 : pow(s * (1.0 - s), 3.0) * 64.0;
}

/*
 * Cosine between the jerks of f and g over the movement: 0 says that g cannot make f any smoother.
 */
static double jerk_cosine(double (*f)(double), double (*g)(double))
{
    double fg = 0, ff = 0, gg = 0;
    for (int i = 0; i < 10000; i++) {
        double s = (i + 0.5) / 10000.0;
        if (s < 0.0005 || s > 0.9995) /* the differences must not straddle an end */
            continue;
        double a = jerk(f, s), b = jerk(g, s);
        fg += a * b;
        ff += a * a;
        gg += b * b;
    }
    return fg / sqrt(ff * gg);
}

static void test_courses_are_minimum_jerk(void **state)
{
    (void)state;
    assert_true(fabs(traj_sim_progress(0.5) - 0.5) < 1e-15);
    assert_true(fabs(traj_sim_progress_rate(0.5) - 1.875) < 1e-15);
    assert_true(fabs(traj_sim_excursion(0.5) - 1.0) < 1e-14);
    assert_true(fabs(traj_sim_excursion_rate(0.5)) < 1e-13);
    for (int i = 1; i < 200; i++) {
        double s = i / 200.0, h = 1e-6;
        double dp = (traj_sim_progress(s + h) - traj_sim_progress(s - h)) / (2 * h);
        double de = (traj_sim_excursion(s + h) - traj_sim_excursion(s - h)) / (2 * h);
        assert_true(fabs(dp - traj_sim_progress_rate(s)) < 1e-7);
        assert_true(fabs(de - traj_sim_excursion_rate(s)) < 1e-7);
        assert_true(traj_sim_progress(s) > traj_sim_progress(s - 0.005));
    }
    static const double outside[] = {-1.0, 0.0, 1.0, 2.0};
    for (int i = 0; i < 4; i++) {
        assert_true(fabs(traj_sim_progress(outside[i]) - (outside[i] >= 1.0 ? 1.0 : 0.0)) < 1e-15);
        assert_true(fabs(traj_sim_progress_rate(outside[i])) < 1e-15);
        assert_true(fabs(traj_sim_excursion(outside[i])) < 1e-15);
        assert_true(fabs(traj_sim_excursion_rate(outside[i])) < 1e-15);
    }
    double straight = jerk_cosine(traj_sim_progress, nudge);
    double via = jerk_cosine(traj_sim_excursion, nudge_even);
    double control = jerk_cosine(traj_sim_excursion, push);
    print_message("jerk cosines with a nudge: straight %.4f, via %.4f; with a push %.4f\n",
                  straight, via, control);
    assert_true(fabs(straight) < 0.01 && fabs(via) < 0.01 && control > 0.5);
}

static void test_movements_add_up(void **state)
{
    (void)state;
    const double origin[2] = {3.0, 4.0};
    const struct traj_sim_movement m[2] = {
        {0.1, 0.4, {10.0, 0.0}, {0.0, 2.0}},
        {0.3, 0.5, {0.0, -5.0}, {0.0, 0.0}}, /* begins while the first is under way */
    };
    struct traj_sim_course c = {0};
    double p[2], v[2], q[2], w[2];
    assert_int_equal(traj_sim_course_make(&c, origin, m, 2, 1.0), 0);
    traj_sim_course_at(&c, 0.05, p, v);
    assert_true(fabs(p[0] - 3.0) < 1e-12 && fabs(p[1] - 4.0) < 1e-12 && fabs(v[0]) < 1e-12);
    traj_sim_course_at(&c, 0.3, p, v);
    assert_true(fabs(p[0] - 8.0) < 1e-9 && fabs(p[1] - 6.0) < 1e-9);
    assert_true(fabs(v[0] - 1.875 * 10.0 / 0.4) < 1e-9);
    traj_sim_course_at(&c, 99.0, p, v);
    assert_true(fabs(p[0] - 13.0) < 1e-12 && fabs(p[1] + 1.0) < 1e-12 && fabs(v[1]) < 1e-12);
    for (double t = 0.0; t < 1.0; t += 0.0137) { /* velocity is the slope of position */
        traj_sim_course_at(&c, t - 0.005, p, v);
        traj_sim_course_at(&c, t + 0.005, q, w);
        double x[2], slope[2];
        traj_sim_course_at(&c, t, x, slope);
        assert_true(t < 0.005 || fabs((q[0] - p[0]) / 0.01 - slope[0]) < 0.5);
        assert_true(t < 0.005 || fabs((q[1] - p[1]) / 0.01 - slope[1]) < 0.5);
    }
    traj_sim_course_free(&c);
}

/* ---- tasks ------------------------------------------------------------------------------- */

static void kinematics(const struct traj_session *s, double t, double p[2], double v[2])
{
    assert_int_equal(traj_session_kinematics(s, t, 0.01, p, v), 0);
}

struct extent {
    double low, high, sum;
    size_t count;
};

static void widen(struct extent *e, double value)
{
    e->low = e->count == 0 ? value : fmin(e->low, value);
    e->high = e->count == 0 ? value : fmax(e->high, value);
    e->sum += value;
    e->count++;
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Time from movement onset until the hand is slow again. */
static double time_moving(const struct traj_session *s, size_t r)
{
    double p[2], v[2], t = s->move[r] + 0.1;
    do {
        t += 0.005;
        kinematics(s, t, p, v);
    } while (hypot(v[0], v[1]) > 5.0 && t < s->stop[r]);
    return t - s->move[r];
}

static void test_delay_task(void **state)
{
    (void)state;
    struct traj_sim_options o = options_for(TRAJ_SIM_DELAY, 5);
    struct traj_session *s = simulate(&o);
    struct extent delay = {0}, reaction = {0}, miss = {0}, rest = {0};
    double duration[160], p[2], v[2];
    size_t visits[8] = {0};
    assert_true(s->trials == 160 && s->targets == 8 && s->units == 96);
    for (size_t r = 0; r < s->trials; r++) {
        const double *target = s->target_position + 2 * s->target[r];
        visits[s->target[r]]++;
        widen(&delay, s->go[r] - s->start[r]);
        widen(&reaction, s->move[r] - s->go[r]);
        kinematics(s, s->start[r], p, v);
        assert_true(hypot(p[0], p[1]) < 20.0 && hypot(v[0], v[1]) < 1e-6);
        kinematics(s, s->move[r], p, v);
        assert_true(hypot(v[0], v[1]) < 15.0);
        kinematics(s, s->stop[r], p, v);
        assert_true(hypot(v[0], v[1]) < 1e-6);
        widen(&miss, hypot(p[0] - target[0], p[1] - target[1]));
        bool hit = hypot(p[0] - target[0], p[1] - target[1]) <= o.target_radius_mm;
        assert_true(hit == (s->rewarded[r] > 0.5));
        duration[r] = time_moving(s, r);
        if (r > 0)
            widen(&rest, s->start[r] - s->stop[r - 1]);
    }
    for (size_t m = 0; m < 8; m++)
        assert_true(visits[m] == 20);
    qsort(duration, 160, sizeof *duration, ascending);
    print_message(
        "delay %.2f-%.2f s, reaction %.2f-%.2f s, movement %.2f/%.2f/%.2f s (5/50/95 %%), "
        "mean miss %.1f mm, between trials %.2f-%.2f s\n",
        delay.low, delay.high, reaction.low, reaction.high, duration[8], duration[80],
        duration[152], miss.sum / 160.0, rest.low, rest.high);
    assert_true(delay.low >= 0.4 && delay.high <= 0.8 && delay.high - delay.low > 0.3);
    assert_true(reaction.low >= 0.2 && reaction.high <= 0.35);
    assert_true(fabs(duration[80] - o.duration_s) < 0.05);
    assert_true(duration[152] / duration[8] > 1.3 && duration[152] / duration[8] < 2.5);
    assert_true(fabs(miss.sum / 160.0 - 4.0 * 1.2533) < 0.8);
    assert_true(rest.low > 0.5); /* so that trials which are cut out have gaps between them */
    traj_session_free(s);
}

static void test_random_task(void **state)
{
    (void)state;
    struct traj_sim_options o = options_for(TRAJ_SIM_RANDOM, 5);
    struct traj_session *s = simulate(&o);
    double p[2], v[2], still = 0.0;
    for (size_t r = 0; r < s->trials; r++) {
        const double *target = s->target_position + 2 * s->target[r];
        kinematics(s, s->stop[r], p, v);
        assert_true(hypot(p[0] - target[0], p[1] - target[1]) < 25.0);
        assert_true(fabs(s->go[r] - s->start[r]) < 1e-12);
        if (r > 0) {
            assert_true(s->target[r] != s->target[r - 1]);
            assert_true(fabs(s->start[r] - s->stop[r - 1]) < 1e-12);
        }
        still += s->move[r] - s->start[r];
    }
    still /= s->stop[s->trials - 1] - s->start[0];
    print_message("random task: at rest %.0f %% of the time\n", 100.0 * still);
    assert_true(still < 0.5);
    traj_session_free(s);
}

/* Largest distance to the left of the straight line from movement onset to the hold. */
static double side_step(const struct traj_session *s, size_t r)
{
    double from[2], to[2], p[2], v[2], extreme = 0.0;
    kinematics(s, s->move[r], from, v);
    kinematics(s, s->stop[r], to, v);
    double length = hypot(to[0] - from[0], to[1] - from[1]);
    for (double t = s->move[r]; t < s->stop[r]; t += 0.005) {
        kinematics(s, t, p, v);
        double left = ((to[0] - from[0]) * (p[1] - from[1]) - (to[1] - from[1]) * (p[0] - from[0]));
        if (fabs(left / length) > fabs(extreme))
            extreme = left / length;
    }
    return extreme;
}

static void test_curved_task(void **state)
{
    (void)state;
    struct traj_sim_options o = options_for(TRAJ_SIM_CURVED, 5), straight;
    straight = options_for(TRAJ_SIM_DELAY, 5);
    struct traj_session *s = simulate(&o), *d = simulate(&straight);
    double bent = 0.0, slight = 0.0;
    for (size_t r = 0; r < s->trials; r++) {
        double side = side_step(s, r);
        assert_true((side > 0.0) == (s->target[r] % 2 == 0));
        bent += fabs(side) / (double)s->trials;
        slight += fabs(side_step(d, r)) / (double)d->trials;
    }
    print_message("mean excursion to the side: curved %.1f mm, delay %.1f mm\n", bent, slight);
    assert_true(fabs(bent - o.via_mm) < 2.0);
    assert_true(slight > 2.0 && slight < 6.0);
    traj_session_free(d);
    traj_session_free(s);
}

static void test_jump_task(void **state)
{
    (void)state;
    struct traj_sim_options o = options_for(TRAJ_SIM_JUMP, 5);
    struct traj_session *s = simulate(&o);
    size_t turned = 0;
    double p[2], v[2];
    for (size_t r = 0; r < s->trials; r++) {
        const double *target = s->target_position + 2 * s->target[r];
        kinematics(s, s->stop[r], p, v);
        assert_true(hypot(p[0] - target[0], p[1] - target[1]) < 25.0 && hypot(v[0], v[1]) < 1e-6);
        kinematics(s, s->move[r] + 0.12, p, v);
        double off =
            fabs(atan2(v[0] * target[1] - v[1] * target[0], v[0] * target[0] + v[1] * target[1]));
        turned += off > 0.39 ? 1 : 0; /* half the angle between neighbours */
    }
    print_message("target jumped in about %zu of %zu trials\n", turned, s->trials);
    assert_true(turned > 25 && turned < 75);
    traj_session_free(s);
}

static void test_trials_cut_out(void **state)
{
    (void)state;
    struct traj_sim_options o = options_for(TRAJ_SIM_DELAY, 5);
    o.trials_per_target = 4;
    struct traj_session *whole = simulate(&o);
    o.unbroken = false;
    struct traj_session *cut = simulate(&o);
    size_t inside = 0, gaps = 0;
    for (size_t i = 0; i < whole->bins; i++)
        inside += traj_session_trial_at(whole, whole->t_end[i]) != (size_t)-1 ? 1 : 0;
    for (size_t i = 1; i < cut->bins; i++)
        gaps += cut->t_end[i] - cut->t_end[i - 1] > 0.5 ? 1 : 0;
    assert_true(cut->bins == inside && cut->bins < whole->bins);
    assert_true(cut->trials == 32 && gaps == 31 && cut->samples < whole->samples);
    traj_session_free(cut);
    traj_session_free(whole);
}

/* ---- units ------------------------------------------------------------------------------- */

static void test_mean_rates(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 4; seed++) {
        struct traj_sim_options o = options_for((enum traj_sim_task)(seed - 1), seed);
        o.rate_hz = 6.0 * (double)seed;
        o.trials_per_target = 10;
        struct traj_session *s = simulate(&o);
        double spikes = 0.0;
        for (size_t i = 0; i < s->bins * s->units; i++)
            spikes += s->counts[i];
        double rate = spikes / ((double)s->bins * o.bin_s * (double)s->units);
        print_message("%s: asked for %.0f spikes/s, fired %.2f\n", traj_sim_task_name(o.task),
                      o.rate_hz, rate);
        assert_true(fabs(rate / o.rate_hz - 1.0) < 0.15);
        traj_session_free(s);
    }
}

/*
 * The truth behind a session: its script, course and population drawn anew from the same streams.
 */
struct truth {
    struct traj_sim_script script;
    struct traj_sim_course course;
    struct traj_sim_population population;
};

static void draw_truth(struct truth *truth, const struct traj_sim_options *o)
{
    *truth = (struct truth){0};
    gsl_rng *script = traj_sim_stream_open(o->seed, TRAJ_SIM_STREAM_SCRIPT);
    gsl_rng *population = traj_sim_stream_open(o->seed, TRAJ_SIM_STREAM_POPULATION);
    assert_non_null(script);
    assert_non_null(population);
    assert_int_equal(traj_sim_script_make(&truth->script, o, script), 0);
    assert_int_equal(traj_sim_population_draw(&truth->population, o, population), 0);
    assert_int_equal(traj_sim_course_make(&truth->course, truth->script.origin,
                                          truth->script.movement, truth->script.movements,
                                          truth->script.end + o->lag_max_s),
                     0);
    gsl_rng_free(script);
    gsl_rng_free(population);
}

static void free_truth(struct truth *truth)
{
    traj_sim_script_free(&truth->script);
    traj_sim_course_free(&truth->course);
    traj_sim_population_free(&truth->population);
}

static void test_counts_are_poisson_about_the_rates(void **state)
{
    (void)state;
    struct traj_sim_options o = options_for(TRAJ_SIM_DELAY, 21);
    const struct traj_sim_drive none = {{0}, {0}};
    struct truth truth;
    o.plan_depth = 0.0;
    o.gain_sd = 0.0;
    draw_truth(&truth, &o);
    struct traj_session *s = simulate(&o);
    double spikes = 0.0, expected = 0.0, chi = 0.0, values = 0.0;
    for (size_t i = 0; i < s->bins; i++)
        for (size_t n = 0; n < s->units; n++) {
            double t = s->t_end[i] - 0.5 * o.bin_s, y = s->counts[i * s->units + n];
            double mean = o.bin_s * traj_sim_rate(&truth.population, n, &truth.course, t, &none);
            spikes += y;
            expected += mean;
            if (mean > 0.05) {
                chi += (y - mean) * (y - mean) / mean;
                values += 1.0;
            }
        }
    print_message("%.0f spikes where %.0f are expected; dispersion %.4f over %.0f counts\n", spikes,
                  expected, chi / values, values);
    assert_true(fabs(spikes - expected) < 4.0 * sqrt(expected));
    assert_true(fabs(chi / values - 1.0) < 0.01);
    traj_session_free(s);
    free_truth(&truth);
}

/*
 * Variance of 10-s counts of quiet units over their mean, pooled: 1 for Poisson counts without
 * gains.
 */
static double slow_dispersion(double gain_sd)
{
    struct traj_sim_options o = options_for(TRAJ_SIM_DELAY, 22);
    o.gain_sd = gain_sd;
    o.silent_share = 1.0;
    struct traj_session *s = simulate(&o);
    size_t window = 500, windows = s->bins / window;
    double ratio = 0.0;
    for (size_t n = 0; n < s->units; n++) {
        double sum = 0.0, squares = 0.0;
        for (size_t k = 0; k < windows; k++) {
            double y = 0.0;
            for (size_t i = k * window; i < (k + 1) * window; i++)
                y += s->counts[i * s->units + n];
            sum += y;
            squares += y * y;
        }
        double mean = sum / (double)windows;
        double variance = (squares - sum * mean) / (double)(windows - 1);
        ratio += variance / mean / (double)s->units;
    }
    traj_session_free(s);
    return ratio;
}

static void test_slow_gains_are_shared(void **state)
{
    (void)state;
    double without = slow_dispersion(0.0), with = slow_dispersion(0.2);
    print_message("variance over mean of 10-s counts: %.2f without gains, %.2f with\n", without,
                  with);
    assert_true(fabs(without - 1.0) < 0.15);
    assert_true(with > 1.5);
}

#define REGRESSORS 6

/* One Newton step of Poisson regression for unit n; returns the length of the step. */
static double newton_step(const struct traj_session *s, const double *x, size_t n, double dt,
                          double beta[REGRESSORS])
{
    double gradient[REGRESSORS] = {0}, hessian[REGRESSORS * REGRESSORS] = {0};
    for (size_t i = 0; i < s->bins; i++) {
        const double *row = x + REGRESSORS * i;
        double eta = 0.0;
        for (size_t j = 0; j < REGRESSORS; j++)
            eta += row[j] * beta[j];
        double mean = dt * exp(eta), rest = s->counts[i * s->units + n] - mean;
        for (size_t j = 0; j < REGRESSORS; j++) {
            gradient[j] += rest * row[j];
            for (size_t k = 0; k < REGRESSORS; k++)
                hessian[REGRESSORS * j + k] += mean * row[j] * row[k];
        }
    }
    gsl_matrix_view h = gsl_matrix_view_array(hessian, REGRESSORS, REGRESSORS);
    gsl_vector_view g = gsl_vector_view_array(gradient, REGRESSORS);
    assert_int_equal(gsl_linalg_cholesky_decomp1(&h.matrix), 0);
    assert_int_equal(gsl_linalg_cholesky_svx(&h.matrix, &g.vector), 0);
    double length = 0.0;
    for (size_t j = 0; j < REGRESSORS; j++) {
        beta[j] += fmax(-1.0, fmin(1.0, gradient[j]));
        length = fmax(length, fabs(gradient[j]));
    }
    return length;
}

/* Regressors at the middle of each bin: 1, velocity, speed, position, in the units of tuning. */
static double *regressors(const struct traj_session *s, const struct traj_sim_population *p,
                          double dt)
{
    double *x = calloc(s->bins, REGRESSORS * sizeof *x);
    assert_non_null(x);
    for (size_t i = 0; i < s->bins; i++) {
        double *row = x + REGRESSORS * i, position[2], velocity[2];
        kinematics(s, s->t_end[i] - 0.5 * dt, position, velocity);
        row[0] = 1.0;
        for (size_t d = 0; d < 2; d++) {
            row[1 + d] = velocity[d] / p->peak;
            row[4 + d] = position[d] / p->reach;
        }
        row[3] = hypot(velocity[0], velocity[1]) / p->peak;
    }
    return x;
}

static void test_tuning_is_recovered_by_regression(void **state)
{
    (void)state;
    struct traj_sim_options o = options_for(TRAJ_SIM_DELAY, 23);
    struct truth truth;
    o.units = 24;
    o.trials_per_target = 40;
    o.lag_max_s = 0.0;
    o.gain_sd = 0.0;
    o.plan_depth = 0.0;
    o.rate_spread = 0.3;
    draw_truth(&truth, &o);
    struct traj_session *s = simulate(&o);
    double *x = regressors(s, &truth.population, o.bin_s);
    double worst = 0.0, asked[24 * 5], found[24 * 5];
    for (size_t n = 0; n < o.units; n++) {
        const struct traj_sim_unit *u = &truth.population.unit[n];
        const double want[REGRESSORS] = {u->base,  u->velocity[0], u->velocity[1],
                                         u->speed, u->position[0], u->position[1]};
        double beta[REGRESSORS] = {log(o.rate_hz), 0, 0, 0, 0, 0};
        for (int k = 0; k < 30 && newton_step(s, x, n, o.bin_s, beta) > 1e-9; k++)
            continue;
        for (size_t j = 0; j < REGRESSORS; j++)
            worst = fmax(worst, fabs(beta[j] - want[j]));
        memcpy(asked + 5 * n, want + 1, 5 * sizeof *want);
        memcpy(found + 5 * n, beta + 1, 5 * sizeof *beta);
    }
    print_message(
        "tuning of 24 units: correlation of found and true weights %.4f, worst error %.3f\n",
        correlation(asked, found, 24 * 5), worst);
    assert_true(correlation(asked, found, 24 * 5) > 0.98 && worst < 0.35);
    free(x);
    traj_session_free(s);
    free_truth(&truth);
}

static void test_depths_are_heavy_tailed(void **state)
{
    (void)state;
    struct traj_sim_options o = options_for(TRAJ_SIM_DELAY, 24);
    struct traj_sim_population p = {0};
    double depth[2000];
    o.units = 2000;
    gsl_rng *rng = traj_sim_stream_open(24, TRAJ_SIM_STREAM_POPULATION);
    assert_int_equal(traj_sim_population_draw(&p, &o, rng), 0);
    size_t silent = 0, late = 0;
    for (size_t n = 0; n < o.units; n++) {
        depth[n] = hypot(p.unit[n].velocity[0], p.unit[n].velocity[1]);
        silent += depth[n] < 1e-12 && fabs(p.unit[n].speed) < 1e-12 ? 1 : 0;
        assert_true(p.unit[n].lag >= 0.0 && p.unit[n].lag <= o.lag_max_s);
        late += p.unit[n].lag > 0.5 * o.lag_max_s ? 1 : 0;
    }
    qsort(depth, o.units, sizeof *depth, ascending);
    print_message("%zu of 2000 units carry nothing; depth %.2f/%.2f/%.2f (25/50/95 %%)\n", silent,
                  depth[500], depth[1000], depth[1900]);
    assert_true(silent > 250 && silent < 350 && late > 900 && late < 1100);
    assert_true(depth[1900] > 3.0 * depth[1000]);
    gsl_rng_free(rng);
    traj_sim_population_free(&p);
}

/* Another day has as many other units as was asked for; the rest are the same to the bit, or have
 * drifted as a whole; and which they are does not depend on the session. */
static void test_another_day_changes_a_share_of_the_units(void **state)
{
    (void)state;
    struct traj_sim_options o = options_for(TRAJ_SIM_DELAY, 26);
    struct traj_sim_population first = {0}, later = {0};
    o.units = 90;
    o.changed_share = 0.3;
    for (int drifts = 0; drifts < 2; drifts++) {
        size_t changed = 0, drifted = 0;
        o.drift_sd = drifts ? 0.2 : 0.0;
        gsl_rng *rng = traj_sim_stream_open(26, TRAJ_SIM_STREAM_POPULATION);
        gsl_rng *again = traj_sim_stream_open(26, TRAJ_SIM_STREAM_POPULATION);
        gsl_rng *day = traj_sim_stream_open(3, TRAJ_SIM_STREAM_CHANGED);
        assert_int_equal(traj_sim_population_draw(&first, &o, rng), 0);
        assert_int_equal(traj_sim_population_draw(&later, &o, again), 0);
        assert_int_equal(traj_sim_population_change(&later, &o, day), 0);
        for (size_t n = 0; n < o.units; n++) {
            const struct traj_sim_unit *a = &first.unit[n], *b = &later.unit[n];
            bool same = memcmp(a->velocity, b->velocity, sizeof a->velocity) == 0 &&
                        memcmp(a->plan, b->plan, sizeof a->plan) == 0 &&
                        fabs(a->lag - b->lag) < 1e-15;
            changed += b->changed;
            drifted += same && fabs(a->base - b->base) > 1e-12;
            assert_true(b->changed || same);
            assert_true(!b->changed || fabs(a->lag - b->lag) > 1e-12);
        }
        print_message("%zu of 90 units changed, %zu drifted\n", changed, drifted);
        assert_true(changed == 27 && drifted == (drifts ? 63u : 0u));
        gsl_rng_free(rng);
        gsl_rng_free(again);
        gsl_rng_free(day);
        traj_sim_population_free(&first);
        traj_sim_population_free(&later);
    }
}

static void test_other_units_may_have_other_names(void **state)
{
    (void)state;
    struct traj_sim_options o = options_for(TRAJ_SIM_DELAY, 27);
    o.changed_share = 0.5;
    o.day = 4;
    struct traj_session *kept = simulate(&o);
    o.rename_changed = true;
    struct traj_session *renamed = simulate(&o);
    size_t other = 0;
    for (size_t n = 0; n < o.units; n++)
        other += strcmp(kept->unit_name[n], renamed->unit_name[n]) != 0;
    assert_int_equal(other, (o.units + 1) / 2);
    assert_memory_equal(kept->counts, renamed->counts,
                        kept->bins * kept->units * sizeof *kept->counts);
    traj_session_free(kept);
    traj_session_free(renamed);
}

/*
 * Sum over units of rate times plan times tuning, relative to the lengths: movement does not read
 * the plan.
 */
static void test_plan_lies_in_the_null_space(void **state)
{
    (void)state;
    struct traj_sim_options o = options_for(TRAJ_SIM_DELAY, 25);
    struct traj_sim_population p = {0};
    o.rate_spread = 0.0; /* all units weigh the same */
    gsl_rng *rng = traj_sim_stream_open(25, TRAJ_SIM_STREAM_POPULATION);
    assert_int_equal(traj_sim_population_draw(&p, &o, rng), 0);
    double worst = 0.0, plan = 0.0;
    for (size_t i = 0; i < 2; i++)
        for (size_t j = 0; j < 2; j++) {
            double velocity = 0.0, position = 0.0;
            for (size_t n = 0; n < o.units; n++) {
                velocity += p.unit[n].plan[i] * p.unit[n].velocity[j];
                position += p.unit[n].plan[i] * p.unit[n].position[j];
                plan += p.unit[n].plan[i] * p.unit[n].plan[i];
            }
            worst = fmax(worst, fmax(fabs(velocity), fabs(position)));
        }
    assert_true(plan > 10.0 && worst < 1e-9);
    gsl_rng_free(rng);
    traj_sim_population_free(&p);
}

/* ---- what the delay tells ---------------------------------------------------------------- */

#define FOLDS 10

/* Spikes of each unit between from and to after the start of each trial. */
static double *windows(const struct traj_session *s, double from, double to)
{
    double *spikes = calloc(s->trials, s->units * sizeof *spikes);
    assert_non_null(spikes);
    for (size_t i = 0; i < s->bins; i++) {
        size_t r = traj_session_trial_at(s, s->t_end[i]);
        if (r == (size_t)-1)
            continue;
        double since = s->t_end[i] - s->start[r];
        for (size_t n = 0; since > from && since <= to && n < s->units; n++)
            spikes[r * s->units + n] += s->counts[i * s->units + n];
    }
    return spikes;
}

/*
 * Mean spikes of each target and unit over the trials outside fold k, shrunk by two trials to the
 * mean.
 */
static void learn_means(const struct traj_session *s, const double *spikes, size_t k, double *mean)
{
    for (size_t n = 0; n < s->units; n++) {
        double all = 0.0, trials = 0.0, sum[8] = {0}, count[8] = {0};
        for (size_t r = 0; r < s->trials; r++) {
            if (r % FOLDS == k)
                continue;
            sum[s->target[r]] += spikes[r * s->units + n];
            count[s->target[r]] += 1.0;
            all += spikes[r * s->units + n];
            trials += 1.0;
        }
        for (size_t m = 0; m < 8; m++)
            mean[m * s->units + n] = (sum[m] + 2.0 * all / trials + 0.05) / (count[m] + 2.0);
    }
}

/* Share of trials whose target a maximum-likelihood classifier of the window names, ten-fold. */
static double plan_accuracy(const struct traj_session *s, double from, double to)
{
    double *spikes = windows(s, from, to), right = 0.0;
    double *mean = calloc(8, s->units * sizeof *mean);
    assert_non_null(mean);
    for (size_t k = 0; k < FOLDS; k++) {
        learn_means(s, spikes, k, mean);
        for (size_t r = k; r < s->trials; r += FOLDS) {
            double best = -INFINITY;
            int32_t named = -1;
            for (size_t m = 0; m < 8; m++) {
                double score = 0.0;
                for (size_t n = 0; n < s->units; n++)
                    score += spikes[r * s->units + n] * log(mean[m * s->units + n]) -
                             mean[m * s->units + n];
                if (score > best) {
                    best = score;
                    named = (int32_t)m;
                }
            }
            right += named == s->target[r] ? 1.0 : 0.0;
        }
    }
    free(spikes);
    free(mean);
    return right / (double)s->trials;
}

static void test_plan_is_informative_but_imperfect(void **state)
{
    (void)state;
    double early = 0.0, late = 0.0;
    for (uint64_t seed = 1; seed <= 5; seed++) {
        struct traj_sim_options o = options_for(TRAJ_SIM_DELAY, seed);
        o.units = 98;
        struct traj_session *s = simulate(&o);
        double a = plan_accuracy(s, 0.1, 0.3), b = plan_accuracy(s, 0.1, 0.5);
        print_message("seed %llu: target from 200 ms of plan %.3f, from 400 ms %.3f\n",
                      (unsigned long long)seed, a, b);
        early += a / 5.0;
        late += b / 5.0;
        traj_session_free(s);
    }
    print_message("mean: %.3f and %.3f (chance 0.125)\n", early, late);
    assert_true(early > 0.75 && early < 0.93 && late > 0.88 && late < 0.99);
    struct traj_sim_options o = options_for(TRAJ_SIM_DELAY, 1);
    o.plan_depth = 0.0;
    struct traj_session *s = simulate(&o);
    double none = plan_accuracy(s, 0.1, 0.4);
    print_message("without plan activity: %.3f\n", none);
    assert_true(none < 0.3);
    traj_session_free(s);
}

/* ---- options ----------------------------------------------------------------------------- */

static void assert_refused(const struct traj_sim_options *o, const char *sentence)
{
    struct traj_error error = {{0}};
    assert_null(traj_simulate(o, &error));
    assert_string_equal(error.text, sentence);
}

static void test_options_are_checked(void **state)
{
    (void)state;
    struct traj_sim_options good = options_for(TRAJ_SIM_DELAY, 1), o;
    o = good;
    o.bin_s = 0.0;
    assert_refused(&o, "simulate: bin_s = 0 lies outside 0.001 to 1");
    o = good;
    o.depth = NAN;
    assert_refused(&o, "simulate: depth = nan lies outside 0 to 2");
    o = good;
    o.task = TRAJ_SIM_JUMP;
    o.targets = 1;
    assert_refused(&o, "simulate: the task jump has 2 to 256 targets, not 1");
    o = good;
    o.units = 8193;
    assert_refused(&o, "simulate: there are 1 to 8192 units, not 8193");
    o = good;
    o.trials_per_target = 0;
    assert_refused(&o, "simulate: there is at least one trial a target");
    o = good;
    o.gain_rank = 9;
    assert_refused(&o, "simulate: there are at most 8 shared gains, not 9");
    o = good;
    o.delay_s[1] = 0.3;
    assert_refused(&o, "simulate: delay_s = 0.4 to 0.3 is not a range within 0 to 60");
    o = good;
    o.trials_per_target = 1000000;
    assert_refused(&o, "simulate: trials = 8e+06 lies outside 1 to 1e+06");
}

static void test_extremes_are_possible(void **state)
{
    (void)state;
    struct traj_sim_options o = options_for(TRAJ_SIM_DELAY, 1);
    o.targets = o.units = o.trials_per_target = 1;
    o.gain_rank = 0;
    traj_session_free(simulate(&o));
    o = options_for(TRAJ_SIM_RANDOM, 1);
    o.targets = 256;
    o.trials_per_target = 1;
    o.units = 2;
    traj_session_free(simulate(&o));
    o = options_for(TRAJ_SIM_JUMP, 1);
    o.targets = 2;
    o.trials_per_target = 2;
    o.bin_s = 0.001;
    o.rate_hz = 1000.0;
    o.units = 16;
    traj_session_free(simulate(&o));
}

static void test_task_names(void **state)
{
    (void)state;
    for (int i = TRAJ_SIM_DELAY; i <= TRAJ_SIM_JUMP; i++) {
        enum traj_sim_task task = TRAJ_SIM_DELAY;
        assert_int_equal(traj_sim_task_parse(traj_sim_task_name((enum traj_sim_task)i), &task), 0);
        assert_true((int)task == i);
    }
    enum traj_sim_task task = TRAJ_SIM_CURVED;
    assert_int_equal(traj_sim_task_parse("circle", &task), -1);
    assert_true(task == TRAJ_SIM_CURVED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_seed_one_session),
        cmocka_unit_test(test_population_outlasts_the_session),
        cmocka_unit_test(test_courses_are_minimum_jerk),
        cmocka_unit_test(test_movements_add_up),
        cmocka_unit_test(test_delay_task),
        cmocka_unit_test(test_random_task),
        cmocka_unit_test(test_curved_task),
        cmocka_unit_test(test_jump_task),
        cmocka_unit_test(test_trials_cut_out),
        cmocka_unit_test(test_mean_rates),
        cmocka_unit_test(test_counts_are_poisson_about_the_rates),
        cmocka_unit_test(test_slow_gains_are_shared),
        cmocka_unit_test(test_tuning_is_recovered_by_regression),
        cmocka_unit_test(test_depths_are_heavy_tailed),
        cmocka_unit_test(test_another_day_changes_a_share_of_the_units),
        cmocka_unit_test(test_other_units_may_have_other_names),
        cmocka_unit_test(test_plan_lies_in_the_null_space),
        cmocka_unit_test(test_plan_is_informative_but_imperfect),
        cmocka_unit_test(test_options_are_checked),
        cmocka_unit_test(test_extremes_are_possible),
        cmocka_unit_test(test_task_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
