/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A block of an experiment; see block.h. */
#include "clients/rig/block.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clients/rig/streams.h"

#define BOX 1.6          /* half the side of the cursor's box, reaches */
#define DELAY_MAX_S 0.4  /* the longest dead time a user thinks of */
#define TRACK_FROM_S 2.0 /* of a drawn figure, before tracking counts */
#define TOLD 0.999       /* probability of a target that the decoder is told of */
#define STILL 0.05       /* of the usual peak speed: less is no intent to move */
#define PEAK 1.875       /* speed of a minimum-jerk movement, of its mean */

/* Everything that a block needs while it runs. */
struct run {
    const struct traj_block_options *options;
    const struct traj_decoder_link *link;
    struct traj_block *block;
    gsl_rng *places, *task_rng, *user_rng, *changes_rng;
    struct traj_task task;
    struct traj_user user;
    struct traj_neurons neurons;
    struct traj_cursor cursor;  /* on the screen */
    struct traj_cursor decoded; /* as it would be while the user still moves by hand */
    struct traj_hand hand;
    double *wanted; /* [bins][dim] intended velocities, for the user's learning */
    double *moved;  /* [bins][dim] the cursor's */
    struct traj_event event;
    size_t bins, bin, dim;
    double tracked;
    size_t tracked_bins;
};

/* ---- beginning and end ----------------------------------------------------------------------- */

static int make_session(struct run *run, struct traj_error *error)
{
    const struct traj_block_options *o = run->options;
    struct traj_session *s = traj_session_new("rig");
    run->block->session = s;
    if (!s) {
        return traj_error_set(error, "memory is short");
    }
    (void)snprintf(s->subject, sizeof s->subject, "simulated");
    (void)snprintf(s->length_unit, sizeof s->length_unit, "mm");
    (void)snprintf(s->description, sizeof s->description,
                   "Closed-loop rig: task %s, seed %llu, %s.", traj_task_kind_name(o->task.kind),
                   (unsigned long long)o->seed, run->link ? "by decoder" : "by hand");
    if (traj_session_make_frames(s, run->bins, o->neurons.sim.units, 0, 0, error) != 0 ||
        traj_session_make_kinematics(s, run->bins, run->dim, 0, error) != 0) {
        return -1;
    }
    if (o->task.kind == TRAJ_TASK_DRAW) {
        return 0;
    }
    if (traj_session_make_targets(s, o->task.targets, run->dim, error) != 0) {
        return -1;
    }
    for (size_t m = 0; m < o->task.targets; m++) {
        memcpy(s->target_position + m * run->dim, run->task.place[m],
               run->dim * sizeof *s->target_position);
    }
    return 0;
}

static int open_run(struct run *run, struct traj_error *error)
{
    const struct traj_block_options *o = run->options;
    const double centre[TRAJ_RIG_DIM] = {0};
    run->dim = o->task.dim;
    run->bins = (size_t)lround(o->seconds / o->task.bin_s);
    run->places = traj_rig_stream(o->seed, 0, TRAJ_RIG_STREAM_PLACES);
    run->changes_rng = traj_rig_stream(o->seed, 0, TRAJ_RIG_STREAM_CHANGES);
    run->task_rng = traj_rig_stream(o->seed, o->block, TRAJ_RIG_STREAM_TASK);
    run->user_rng = traj_rig_stream(o->seed, o->block, TRAJ_RIG_STREAM_USER);
    run->wanted = calloc(run->bins * run->dim, sizeof *run->wanted);
    run->moved = calloc(run->bins * run->dim, sizeof *run->moved);
    run->block->goal = malloc(run->bins * run->dim * sizeof *run->block->goal);
    run->block->moving = calloc(run->bins, sizeof *run->block->moving);
    run->block->active = calloc(run->bins, sizeof *run->block->active);
    run->block->trial = calloc(run->bins + 1, sizeof *run->block->trial);
    if (!run->places || !run->changes_rng || !run->task_rng || !run->user_rng || !run->wanted ||
        !run->moved || !run->block->goal || !run->block->moving || !run->block->active ||
        !run->block->trial ||
        traj_neurons_init(&run->neurons, &o->neurons, o->seed, o->block) != 0) {
        return traj_error_set(error, "memory is short");
    }
    traj_task_init(&run->task, &o->task, run->places, run->task_rng);
    traj_user_init(&run->user, &o->user, run->dim, centre, run->user_rng);
    run->hand = (struct traj_hand){.delay_s = o->hand_delay_s, .smoothing_s = o->hand_smoothing_s};
    struct traj_belief arm = traj_hand_belief(&run->hand, o->task.bin_s);
    traj_user_believe(&run->user, &arm);
    run->cursor =
        (struct traj_cursor){.dim = run->dim, .bin_s = o->task.bin_s, .box = BOX * o->task.reach};
    run->decoded = run->cursor;
    return make_session(run, error);
}

static void close_run(struct run *run)
{
    traj_neurons_free(&run->neurons);
    gsl_rng_free(run->places);
    gsl_rng_free(run->changes_rng);
    gsl_rng_free(run->task_rng);
    gsl_rng_free(run->user_rng);
    free(run->wanted);
    free(run->moved);
}

void traj_block_free(struct traj_block *block)
{
    traj_session_free(block->session);
    free(block->goal);
    free(block->moving);
    free(block->active);
    free(block->trial);
    *block = (struct traj_block){0};
}

/* The trials that were completed, into the session. */
static int fill_trials(struct run *run, struct traj_error *error)
{
    struct traj_session *s = run->block->session;
    bool cued = run->options->task.delay_s[1] > 0.0;
    if (run->block->trials == 0) {
        return 0;
    }
    if (traj_session_make_trials(s, run->block->trials,
                                 TRAJ_SESSION_TARGET | TRAJ_SESSION_REWARDED |
                                     (cued ? TRAJ_SESSION_GO : 0u),
                                 error) != 0) {
        return -1;
    }
    for (size_t r = 0; r < run->block->trials; r++) {
        const struct traj_trial_result *trial = &run->block->trial[r];
        s->start[r] = trial->start;
        s->stop[r] = trial->stop;
        s->target[r] = (int32_t)trial->target;
        s->rewarded[r] = trial->success ? 1.0 : 0.0;
        if (cued) {
            s->go[r] = trial->go;
        }
    }
    return 0;
}

/* ---- what is told ---------------------------------------------------------------------------- */

static int tell(struct run *run, struct traj_error *error)
{
    return run->link ? run->link->event(run->link->self, &run->event, error) : 0;
}

static int tell_mark(struct run *run, enum traj_event_kind kind, struct traj_error *error)
{
    if (!run->options->marks) {
        return 0;
    }
    run->event = (struct traj_event){.kind = kind, .t = run->task.now};
    return tell(run, error);
}

static int tell_session(struct run *run, struct traj_error *error)
{
    const struct traj_block_options *o = run->options;
    run->event =
        (struct traj_event){.kind = TRAJ_EVENT_SESSION, .t = NAN, .marks = o->marks, .text = "rig"};
    (void)snprintf(run->event.text, sizeof run->event.text, "rig %llu.%llu",
                   (unsigned long long)o->seed, (unsigned long long)o->block);
    (void)snprintf(run->event.length_unit, sizeof run->event.length_unit, "mm");
    (void)snprintf(run->event.subject, sizeof run->event.subject, "simulated");
    if (tell(run, error) != 0) {
        return -1;
    }
    const struct traj_session *s = run->block->session;
    bool elsewhere = o->task.turn != 0.0 || o->task.scale != 1.0;
    if (s->targets == 0 || !(o->kinematics || elsewhere)) {
        return 0;
    }
    run->event = (struct traj_event){.kind = TRAJ_EVENT_TARGETS,
                                     .t = 0.0,
                                     .dim = run->dim,
                                     .count = s->targets * run->dim,
                                     .ids = s->targets,
                                     .text = "rig"};
    memcpy(run->event.value, s->target_position, run->event.count * sizeof *run->event.value);
    for (size_t m = 0; m < s->targets; m++) {
        (void)snprintf(run->event.id[m], sizeof run->event.id[m], "%s", s->target_id[m]);
    }
    return tell(run, error);
}

/* Says that one target is likely; the others share what is left. */
static int tell_prior(struct run *run, size_t target, double prob, struct traj_error *error)
{
    size_t targets = run->options->task.targets;
    run->event =
        (struct traj_event){.kind = TRAJ_EVENT_TARGET_PRIOR, .t = run->task.now, .count = targets};
    for (size_t m = 0; m < targets; m++) {
        run->event.value[m] = m == target ? prob : (1.0 - prob) / (double)(targets - 1);
    }
    return tell(run, error);
}

/* A prior for the right target or for a wrong one. */
static int tell_guess(struct run *run, struct traj_error *error)
{
    const struct traj_block_options *o = run->options;
    size_t guess = run->task.result.target;
    if (!(o->prior > 0.0) || !run->link) {
        return 0;
    }
    if (gsl_rng_uniform(run->changes_rng) >= o->prior_right) {
        guess += 1 + gsl_rng_uniform_int(run->changes_rng, (unsigned long)(o->task.targets - 1));
    }
    return tell_prior(run, guess % o->task.targets, o->prior, error);
}

/* Where the cursor is, for the decoder and for a recording. */
static int tell_cursor(struct run *run, double t, struct traj_error *error)
{
    const struct traj_block_options *o = run->options;
    run->event = (struct traj_event){.t = t, .dim = run->dim, .count = run->dim};
    memcpy(run->event.value, run->cursor.position, run->dim * sizeof *run->event.value);
    run->event.kind = TRAJ_EVENT_EFFECTOR;
    if (o->effector && tell(run, error) != 0) {
        return -1;
    }
    run->event.kind = TRAJ_EVENT_KINEMATICS;
    return o->kinematics ? tell(run, error) : 0;
}

static int tell_trial(struct run *run, const struct traj_trial_result *trial,
                      struct traj_error *error)
{
    if (!run->options->kinematics) {
        return 0;
    }
    run->event = (struct traj_event){.kind = TRAJ_EVENT_TRIAL_LABEL,
                                     .t = trial->stop,
                                     .target = (int32_t)trial->target,
                                     .go = run->options->task.delay_s[1] > 0.0 ? trial->go : NAN,
                                     .rewarded = trial->success ? 1.0 : 0.0,
                                     .start = trial->start,
                                     .stop = trial->stop,
                                     .move = NAN};
    return tell(run, error);
}

/* ---- bin by bin ------------------------------------------------------------------------------ */

static void apply_changes(struct run *run, double t)
{
    const struct traj_block_options *o = run->options;
    for (size_t i = 0; i < o->changes; i++) {
        if (t - o->task.bin_s < o->change[i].at_s && t >= o->change[i].at_s) {
            traj_neurons_change(&run->neurons, &o->change[i], run->changes_rng);
        }
    }
}

static bool watching(const struct run *run)
{
    return run->link && (double)(run->bin + 1) * run->options->task.bin_s <= run->options->watch_s;
}

/* When the hand has done its last movement, the user knows how the cursor answers. */
static void learn(struct run *run)
{
    const struct traj_block_options *o = run->options;
    size_t watched = (size_t)lround(o->watch_s / o->task.bin_s);
    size_t delay = (size_t)lround(DELAY_MAX_S / o->task.bin_s);
    size_t room = TRAJ_USER_MEMORY - 2 - run->user.sensory;
    if (!run->link || watched == 0 || run->bin != watched) {
        return;
    }
    struct traj_belief belief = run->user.belief;
    traj_belief_learn(&belief, run->wanted, run->moved, run->bin, run->dim,
                      delay < room ? delay : room);
    belief.gain *= o->belief_gain;
    traj_user_believe(&run->user, &belief);
}

/* What the goal of a drawn figure will be when the user can be there. */
static void follow_figure(struct run *run, double t)
{
    double goal[TRAJ_RIG_DIM], velocity[TRAJ_RIG_DIM];
    double ahead = (double)traj_user_ahead(&run->user) * run->options->task.bin_s;
    traj_task_figure(&run->task, t + ahead, goal, velocity);
    traj_user_follow(&run->user, goal, velocity);
}

/* The first two axes of what a decoder says, turned by what nobody told the user. */
static void turn(double angle, double *v)
{
    double x = v[0] * cos(angle) - v[1] * sin(angle);
    v[1] = v[0] * sin(angle) + v[1] * cos(angle);
    v[0] = x;
}

static int ask_decoder(struct run *run, double t, struct traj_answer *answer,
                       struct traj_error *error)
{
    const struct traj_block_options *o = run->options;
    const struct traj_frame frame = {.seq = run->bin,
                                     .t = t,
                                     .dt = o->task.bin_s,
                                     .units = o->neurons.sim.units,
                                     .counts = run->block->session->counts +
                                               run->bin * o->neurons.sim.units};
    if ((run->link->pace && run->link->pace(run->link->self, t, error) != 0) ||
        run->link->frame(run->link->self, &frame, answer, error) != 0) {
        return -1;
    }
    if (o->belief_turn != 0.0) {
        turn(o->belief_turn, answer->velocity);
        turn(o->belief_turn, answer->position);
    }
    return 0;
}

static int move_cursor(struct run *run, double t, const struct traj_intention *intention,
                       struct traj_answer *answer, struct traj_error *error)
{
    const struct traj_plant_options *plant = &run->options->plant;
    bool by_hand = !run->link || watching(run);
    if (run->link && ask_decoder(run, t, answer, error) != 0) {
        return -1;
    }
    if (by_hand) {
        traj_hand_step(&run->hand, intention->velocity, &run->cursor);
        traj_plant_step(plant, answer, &run->decoded);
    } else {
        traj_plant_step(plant, answer, &run->cursor);
        run->decoded = run->cursor;
    }
    return run->link ? tell_cursor(run, t, error) : 0;
}

static bool intends_to_move(const struct run *run, const struct traj_intention *intention)
{
    const struct traj_user_options *u = &run->options->user;
    double speed = 0.0;
    for (size_t d = 0; d < run->dim; d++) {
        speed += intention->wanted[d] * intention->wanted[d];
    }
    return sqrt(speed) > STILL * PEAK * u->reach / u->duration_s;
}

static void keep(struct run *run, double t, const struct traj_intention *intention,
                 const struct traj_answer *answer)
{
    struct traj_session *s = run->block->session;
    size_t at = run->bin * run->dim, size = run->dim * sizeof(double);
    s->t_end[run->bin] = s->kin_t[run->bin] = t;
    s->dt[run->bin] = run->options->task.bin_s;
    run->block->moving[run->bin] = (float)answer->moving;
    run->block->active[run->bin] = intends_to_move(run, intention);
    memcpy(s->position + at, run->cursor.position, size);
    memcpy(run->wanted + at, intention->wanted, size);
    memcpy(run->moved + at, run->decoded.velocity, size);
    if (run->options->task.kind == TRAJ_TASK_DRAW) {
        double goal[TRAJ_RIG_DIM], velocity[TRAJ_RIG_DIM];
        traj_task_figure(&run->task, t, goal, velocity);
        memcpy(run->block->goal + at, goal, size);
        for (size_t d = 0; d < run->dim && t > run->options->practice_s + TRACK_FROM_S; d++) {
            double off = run->cursor.position[d] - goal[d];
            run->tracked += off * off;
            run->tracked_bins += d == 0;
        }
    } else {
        memcpy(run->block->goal + at, run->user.goal, size);
    }
}

/* Whether the decoder has come to believe in the target that was jumped to. */
static void watch_jump(struct run *run, const struct traj_answer *answer)
{
    struct traj_trial_result *r = &run->task.result;
    if (traj_task_reaching(&run->task) && r->jumped && isnan(r->follow) &&
        r->target < answer->targets && answer->target_prob[r->target] > 0.5) {
        r->follow = run->task.now - r->jump;
    }
}

/* Tells the user, the decoder and the record what the task did. */
static int pass_on(struct run *run, unsigned what, struct traj_error *error)
{
    const struct traj_block_options *o = run->options;
    if (what & TRAJ_TASK_STOP) {
        struct traj_block *b = run->block;
        b->trial[b->trials] = run->task.result;
        if (tell_mark(run, TRAJ_EVENT_TRIAL_STOP, error) != 0 ||
            tell_trial(run, &b->trial[b->trials], error) != 0) {
            return -1;
        }
        b->counted += run->task.result.start < o->practice_s;
        b->trials++;
    }
    if (what & TRAJ_TASK_SHOWN) {
        traj_user_prepare(&run->user, run->task.place[run->task.result.target]);
        if (tell_mark(run, TRAJ_EVENT_TRIAL_START, error) != 0 || tell_guess(run, error) != 0) {
            return -1;
        }
    }
    if ((what & TRAJ_TASK_GO) && o->task.delay_s[1] > 0.0 &&
        tell_mark(run, TRAJ_EVENT_GO, error) != 0) {
        return -1;
    }
    if ((what & TRAJ_TASK_JUMPED) && o->tell_jumps &&
        tell_prior(run, run->task.result.target, TOLD, error) != 0) {
        return -1;
    }
    if (what & TRAJ_TASK_GOAL) {
        traj_user_aim(&run->user, run->task.goal, o->task.radius, run->task.how);
    }
    return 0;
}

static int step(struct run *run, struct traj_error *error)
{
    double t = (double)(run->bin + 1) * run->options->task.bin_s;
    struct traj_intention intention;
    struct traj_answer answer = {.valid = false, .moving = NAN};
    apply_changes(run, t);
    learn(run);
    if (run->options->task.kind == TRAJ_TASK_DRAW) {
        follow_figure(run, t);
    }
    traj_user_act(&run->user, run->cursor.position, run->cursor.velocity, &intention);
    traj_neurons_fire(&run->neurons, &intention,
                      run->block->session->counts + run->bin * run->options->neurons.sim.units);
    if (move_cursor(run, t, &intention, &answer, error) != 0) {
        return -1;
    }
    keep(run, t, &intention, &answer);
    unsigned what = traj_task_step(&run->task, t, run->cursor.position);
    watch_jump(run, &answer);
    run->bin++;
    return pass_on(run, what, error);
}

int traj_block_run(const struct traj_block_options *options, const struct traj_decoder_link *link,
                   struct traj_block *block, struct traj_error *error)
{
    struct run *run = calloc(1, sizeof *run);
    *block = (struct traj_block){.tracking = NAN};
    if (!run) {
        return traj_error_set(error, "memory is short");
    }
    *run = (struct run){.options = options, .link = link, .block = block};
    int result = open_run(run, error);
    result = result == 0 ? tell_session(run, error) : result;
    while (result == 0 && run->bin < run->bins) {
        result = step(run, error);
    }
    if (result == 0) {
        result = fill_trials(run, error);
        block->belief = run->user.belief;
        block->tracking =
            run->tracked_bins > 0 ? sqrt(run->tracked / (double)run->tracked_bins) : NAN;
    }
    close_run(run);
    free(run);
    return result;
}
