/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Synthetic sessions: from a script and a population to a recorded session. */
#include "clients/sim/simulate.h"

#include <gsl/gsl_randist.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clients/sim/population.h"
#include "clients/sim/stream.h"
#include "clients/sim/task.h"

/* The envelope of the plan: see simulate.h. */
#define PLAN_LATENCY_S 0.08
#define PLAN_RISE_S 0.06
#define PLAN_LEAD_S 0.1
#define PLAN_FALL_S 0.06
/* The largest count that a bin may hold; the highest one of the file means "not observed". */
#define COUNT_MAX 60000u
/* A session of more values than this is a mistyped option. */
#define VALUES_MAX 4e9

/* ---- options ----------------------------------------------------------------------------- */

void traj_sim_options_default(struct traj_sim_options *options)
{
    *options = (struct traj_sim_options){
        .task = TRAJ_SIM_DELAY,
        .seed = 1,
        .targets = 8,
        .units = 32,
        .trials_per_target = 20,
        .dim = 2,
        .bin_s = 0.02,
        .rate_hz = 12.0,
        .unbroken = true,
        .rate_spread = 0.9,
        .rate_max_hz = 250.0,
        .silent_share = 0.15,
        .depth = 0.4,
        .depth_spread = 0.8,
        .speed_depth = 0.35,
        .position_depth = 0.25,
        .plan_depth = 0.6,
        .lag_max_s = 0.15,
        .gain_sd = 0.2,
        .gain_rank = 2,
        .gain_tau_s = 6.0,
        .reach_mm = 100.0,
        .target_radius_mm = 12.0,
        .duration_s = 0.45,
        .duration_spread = 0.15,
        .endpoint_sd_mm = 4.0,
        .curvature_sd_mm = 5.0,
        .plan_sd_rad = 0.12,
        .via_mm = 35.0,
        .jump_share = 0.3,
        .delay_s = {0.4, 0.8},
        .reaction_s = {0.2, 0.35},
        .hold_s = {0.3, 0.4},
        .rest_s = {0.4, 0.8},
        .sample_s = 0.01,
    };
}

const char *traj_sim_task_name(enum traj_sim_task task)
{
    switch (task) {
    case TRAJ_SIM_DELAY:
        return "delay";
    case TRAJ_SIM_RANDOM:
        return "random";
    case TRAJ_SIM_CURVED:
        return "curved";
    case TRAJ_SIM_JUMP:
        return "jump";
    }
    return "unknown";
}

int traj_sim_task_parse(const char *name, enum traj_sim_task *task)
{
    for (int i = TRAJ_SIM_DELAY; i <= TRAJ_SIM_JUMP; i++)
        if (strcmp(name, traj_sim_task_name((enum traj_sim_task)i)) == 0) {
            *task = (enum traj_sim_task)i;
            return 0;
        }
    return -1;
}

struct bound {
    const char *name;
    double value, low, high;
};

static int check_bounds(const struct bound *bound, size_t count, struct traj_error *error)
{
    for (size_t i = 0; i < count; i++)
        if (!(bound[i].value >= bound[i].low && bound[i].value <= bound[i].high))
            return traj_error_set(error, "simulate: %s = %g lies outside %g to %g", bound[i].name,
                                  bound[i].value, bound[i].low, bound[i].high);
    return 0;
}

static int check_range(const char *name, const double range[2], double high,
                       struct traj_error *error)
{
    if (range[0] >= 0.0 && range[1] >= range[0] && range[1] <= high)
        return 0;
    return traj_error_set(error, "simulate: %s = %g to %g is not a range within 0 to %g", name,
                          range[0], range[1], high);
}

static int check_sizes(const struct traj_sim_options *o, struct traj_error *error)
{
    if (o->task < TRAJ_SIM_DELAY || o->task > TRAJ_SIM_JUMP)
        return traj_error_set(error, "simulate: there is no task %d", (int)o->task);
    size_t fewest = o->task == TRAJ_SIM_RANDOM || o->task == TRAJ_SIM_JUMP ? 2 : 1;
    if (o->targets < fewest || o->targets > TRAJ_TARGETS_MAX)
        return traj_error_set(error, "simulate: the task %s has %zu to %d targets, not %zu",
                              traj_sim_task_name(o->task), fewest, TRAJ_TARGETS_MAX, o->targets);
    if (o->units < 1 || o->units > TRAJ_UNITS_MAX)
        return traj_error_set(error, "simulate: there are 1 to %d units, not %zu", TRAJ_UNITS_MAX,
                              o->units);
    if (o->gain_rank > TRAJ_SIM_GAINS_MAX)
        return traj_error_set(error, "simulate: there are at most %d shared gains, not %zu",
                              TRAJ_SIM_GAINS_MAX, o->gain_rank);
    if (o->dim != 2)
        return traj_error_set(error, "simulate: sessions have 2 dimensions, not %zu", o->dim);
    if (o->trials_per_target < 1)
        return traj_error_set(error, "simulate: there is at least one trial a target");
    return 0;
}

static int check_options(const struct traj_sim_options *o, struct traj_error *error)
{
    const struct bound bound[] = {
        {"bin_s", o->bin_s, 0.001, 1.0},
        {"rate_hz", o->rate_hz, 0.01, 1000.0},
        {"rate_spread", o->rate_spread, 0.0, 3.0},
        {"rate_max_hz", o->rate_max_hz, 1.0, 10000.0},
        {"silent_share", o->silent_share, 0.0, 1.0},
        {"depth", o->depth, 0.0, 2.0},
        {"depth_spread", o->depth_spread, 0.0, 3.0},
        {"speed_depth", o->speed_depth, 0.0, 2.0},
        {"position_depth", o->position_depth, 0.0, 2.0},
        {"plan_depth", o->plan_depth, 0.0, 2.0},
        {"lag_max_s", o->lag_max_s, 0.0, 1.0},
        {"gain_sd", o->gain_sd, 0.0, 2.0},
        {"gain_tau_s", o->gain_tau_s, 0.01, 1e6},
        {"reach_mm", o->reach_mm, 1.0, 10000.0},
        {"target_radius_mm", o->target_radius_mm, 0.0, 10000.0},
        {"duration_s", o->duration_s, 0.05, 10.0},
        {"duration_spread", o->duration_spread, 0.0, 1.0},
        {"endpoint_sd_mm", o->endpoint_sd_mm, 0.0, 1000.0},
        {"curvature_sd_mm", o->curvature_sd_mm, 0.0, 1000.0},
        {"plan_sd_rad", o->plan_sd_rad, 0.0, 3.2},
        {"via_mm", o->via_mm, 0.0, 10000.0},
        {"jump_share", o->jump_share, 0.0, 1.0},
        {"changed_share", o->changed_share, 0.0, 1.0},
        {"drift_sd", o->drift_sd, 0.0, 3.0},
        {"sample_s", o->sample_s, 0.001, 0.25},
        {"trials", (double)o->targets * (double)o->trials_per_target, 1.0, 1e6},
    };
    if (check_sizes(o, error) != 0 || check_bounds(bound, sizeof bound / sizeof *bound, error) != 0)
        return -1;
    if (check_range("delay_s", o->delay_s, 60.0, error) != 0 ||
        check_range("reaction_s", o->reaction_s, 60.0, error) != 0 ||
        check_range("hold_s", o->hold_s, 60.0, error) != 0)
        return -1;
    return check_range("rest_s", o->rest_s, 3600.0, error);
}

/* ---- firing ------------------------------------------------------------------------------ */

/* The direction of the plan times its envelope at t, in a trial or after it. */
static void plan_at(const struct traj_sim_trial *trial, double t, double plan[2])
{
    double seen = t - trial->start - PLAN_LATENCY_S, moving = t - (trial->move - PLAN_LEAD_S);
    double envelope = seen <= 0.0 ? 0.0 : 1.0 - exp(-seen / PLAN_RISE_S);
    if (moving > 0.0)
        envelope *= exp(-moving / PLAN_FALL_S);
    plan[0] = envelope * cos(trial->plan);
    plan[1] = envelope * sin(trial->plan);
}

static void draw_gains(struct traj_sim_drive *drive, size_t gains, double keep, bool first,
                       gsl_rng *rng)
{
    double fresh = sqrt(1.0 - keep * keep);
    for (size_t k = 0; k < gains; k++) {
        double noise = gsl_ran_gaussian(rng, 1.0);
        drive->gain[k] = first ? noise : keep * drive->gain[k] + fresh * noise;
    }
}

static uint16_t draw_count(gsl_rng *rng, double mean)
{
    unsigned count = gsl_ran_poisson(rng, mean);
    return (uint16_t)(count > COUNT_MAX ? COUNT_MAX : count);
}

/* Counts of all bins: the rate at the middle of a bin stands for the bin. */
static void fire(struct traj_session *session, const struct traj_sim_options *o,
                 const struct traj_sim_script *script, const struct traj_sim_course *course,
                 const struct traj_sim_population *population, gsl_rng *gains, gsl_rng *spikes)
{
    struct traj_sim_drive drive = {0};
    double keep = exp(-o->bin_s / o->gain_tau_s);
    size_t next = 0;
    for (size_t i = 0; i < session->bins; i++) {
        double t = ((double)i + 0.5) * o->bin_s;
        while (next < script->trials && script->trial[next].start <= t)
            next++;
        if (next > 0)
            plan_at(&script->trial[next - 1], t, drive.plan);
        draw_gains(&drive, population->gains, keep, i == 0, gains);
        for (size_t n = 0; n < session->units; n++) {
            double rate = traj_sim_rate(population, n, course, t, &drive);
            session->counts[i * session->units + n] = draw_count(spikes, rate * o->bin_s);
        }
    }
}

/* ---- the session ------------------------------------------------------------------------- */

static int fill_kinematics(struct traj_session *session, const struct traj_sim_options *o,
                           const struct traj_sim_course *course, double end,
                           struct traj_error *error)
{
    size_t samples = (size_t)floor(end / o->sample_s + 1e-6) + 1;
    if (traj_session_make_kinematics(session, samples, 2, TRAJ_SESSION_VELOCITY, error) != 0)
        return -1;
    for (size_t i = 0; i < samples; i++) {
        session->kin_t[i] = (double)i * o->sample_s;
        traj_sim_course_at(course, session->kin_t[i], session->position + 2 * i,
                           session->velocity + 2 * i);
    }
    return 0;
}

static int fill_trials(struct traj_session *session, const struct traj_sim_script *script,
                       struct traj_error *error)
{
    if (traj_session_make_trials(session, script->trials,
                                 TRAJ_SESSION_GO | TRAJ_SESSION_MOVE | TRAJ_SESSION_REWARDED |
                                     TRAJ_SESSION_TARGET,
                                 error) != 0 ||
        traj_session_make_targets(session, script->targets, 2, error) != 0)
        return -1;
    memcpy(session->target_position, script->target_position,
           2 * script->targets * sizeof *script->target_position);
    for (size_t r = 0; r < script->trials; r++) {
        const struct traj_sim_trial *trial = &script->trial[r];
        session->start[r] = trial->start;
        session->go[r] = trial->go;
        session->move[r] = trial->move;
        session->stop[r] = trial->stop;
        session->target[r] = (int32_t)trial->target;
        session->rewarded[r] = trial->rewarded ? 1.0 : 0.0;
    }
    return 0;
}

static void describe(struct traj_session *session, const struct traj_sim_options *o,
                     const struct traj_sim_population *population)
{
    (void)snprintf(session->subject, sizeof session->subject, "simulated");
    (void)snprintf(session->length_unit, sizeof session->length_unit, "mm");
    (void)snprintf(session->description, sizeof session->description,
                   "Simulated session: task %s, %zu targets, %zu trials a target, %zu units, "
                   "%g-ms bins, seed %llu, %s.",
                   traj_sim_task_name(o->task), o->targets, o->trials_per_target, o->units,
                   1000.0 * o->bin_s, (unsigned long long)o->seed,
                   o->unbroken ? "unbroken" : "trials cut out");
    for (size_t n = 0; n < session->units; n++)
        if (population->unit[n].changed && o->rename_changed)
            (void)snprintf(session->unit_name[n], TRAJ_ID_SIZE, "unit%03zu_%llu", n + 1,
                           (unsigned long long)o->day);
        else
            (void)snprintf(session->unit_name[n], TRAJ_ID_SIZE, "unit%03zu", n + 1);
}

/* Everything that a session is made of, so that it can be let go of in one place. */
struct workshop {
    gsl_rng *rng[TRAJ_SIM_STREAMS];
    struct traj_sim_script script;
    struct traj_sim_course course;
    struct traj_sim_population population;
    struct traj_session *session;
};

static int make_parts(struct workshop *shop, const struct traj_sim_options *o,
                      struct traj_error *error)
{
    uint64_t units = o->population_seed != 0 ? o->population_seed : o->seed;
    for (int i = 0; i < TRAJ_SIM_STREAMS; i++) {
        uint64_t seed = i == TRAJ_SIM_STREAM_POPULATION ? units
                        : i == TRAJ_SIM_STREAM_CHANGED  ? units + 1000003 * o->day
                                                        : o->seed;
        shop->rng[i] = traj_sim_stream_open(seed, (enum traj_sim_stream)i);
        if (shop->rng[i] == NULL)
            return traj_error_set(error, "simulate: no memory");
    }
    if (traj_sim_script_make(&shop->script, o, shop->rng[TRAJ_SIM_STREAM_SCRIPT]) != 0 ||
        traj_sim_population_draw(&shop->population, o, shop->rng[TRAJ_SIM_STREAM_POPULATION]) !=
            0 ||
        traj_sim_population_change(&shop->population, o, shop->rng[TRAJ_SIM_STREAM_CHANGED]) != 0)
        return traj_error_set(error, "simulate: no memory");
    double values = shop->script.end * ((double)o->units / o->bin_s + 4.0 / TRAJ_SIM_GRID_S);
    if (values > VALUES_MAX)
        return traj_error_set(error,
                              "simulate: %.0f s of %zu units in bins of %g s are more than this "
                              "program makes at a time",
                              shop->script.end, o->units, o->bin_s);
    if (traj_sim_course_make(&shop->course, shop->script.origin, shop->script.movement,
                             shop->script.movements, shop->script.end + o->lag_max_s) != 0)
        return traj_error_set(error, "simulate: no memory for %.0f s", shop->script.end);
    return 0;
}

static int make_session(struct workshop *shop, const struct traj_sim_options *o,
                        struct traj_error *error)
{
    shop->session = traj_session_new("simulated");
    if (shop->session == NULL)
        return traj_error_set(error, "simulate: no memory");
    size_t bins = (size_t)floor(shop->script.end / o->bin_s);
    if (traj_session_make_frames(shop->session, bins, o->units, 0, TRAJ_SESSION_UNIT_NAME, error) !=
            0 ||
        fill_kinematics(shop->session, o, &shop->course, shop->script.end, error) != 0 ||
        fill_trials(shop->session, &shop->script, error) != 0)
        return -1;
    for (size_t i = 0; i < bins; i++) {
        shop->session->t_end[i] = (double)(i + 1) * o->bin_s;
        shop->session->dt[i] = o->bin_s;
    }
    describe(shop->session, o, &shop->population);
    fire(shop->session, o, &shop->script, &shop->course, &shop->population,
         shop->rng[TRAJ_SIM_STREAM_GAINS], shop->rng[TRAJ_SIM_STREAM_SPIKES]);
    return 0;
}

/* Keeps the trials alone. */
static int cut_trials_out(struct workshop *shop, struct traj_error *error)
{
    struct traj_session *whole = shop->session;
    struct traj_span *span = malloc(whole->trials * sizeof *span);
    if (span == NULL)
        return traj_error_set(error, "simulate: no memory for %zu trials", whole->trials);
    for (size_t r = 0; r < whole->trials; r++)
        span[r] = (struct traj_span){whole->start[r], whole->stop[r]};
    shop->session = traj_session_cut(whole, span, whole->trials, error);
    free(span);
    traj_session_free(whole);
    return shop->session != NULL ? 0 : -1;
}

static void close_workshop(struct workshop *shop)
{
    for (int i = 0; i < TRAJ_SIM_STREAMS; i++)
        if (shop->rng[i] != NULL)
            gsl_rng_free(shop->rng[i]);
    traj_sim_script_free(&shop->script);
    traj_sim_course_free(&shop->course);
    traj_sim_population_free(&shop->population);
}

struct traj_session *traj_simulate(const struct traj_sim_options *options, struct traj_error *error)
{
    struct workshop shop = {.session = NULL};
    if (check_options(options, error) != 0)
        return NULL;
    int status = make_parts(&shop, options, error);
    if (status == 0)
        status = make_session(&shop, options, error);
    if (status == 0 && !options->unbroken)
        status = cut_trials_out(&shop, error);
    if (status == 0)
        status = traj_session_check(shop.session, error);
    close_workshop(&shop);
    if (status != 0) {
        traj_session_free(shop.session);
        return NULL;
    }
    return shop.session;
}
