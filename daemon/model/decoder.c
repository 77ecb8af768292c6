/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The public face of libtraj: memory, one step, what is published; see traj/decoder.h. */
#include "daemon/model/elementary.h"
#include "daemon/model/internal.h"
#include "daemon/model/linalg.h"

#include <float.h>
#include <math.h>
#include <string.h>

#define NEWTON_STEPS_MAX 1000u
#define HALVINGS_MAX 1000u

void traj_settings_default(struct traj_settings *settings)
{
    settings->newton_steps = 8;
    settings->halvings = 10;
    settings->newton_tolerance = 1e-10;
    settings->believe = false;
}

static bool settings_in_range(const struct traj_settings *settings)
{
    return settings->newton_steps <= NEWTON_STEPS_MAX && settings->halvings <= HALVINGS_MAX &&
           settings->newton_tolerance >= 0.0 && settings->newton_tolerance <= DBL_MAX;
}

static bool dims_in_range(const struct traj_dims *dims)
{
    const size_t order = dims->position ? dims->state / dims->position : 0;
    const bool filter = dims->states > 0;
    if (dims->states > TRAJ_STATES_MAX || dims->nodes > TRAJ_STATES_MAX ||
        dims->links > TRAJ_LINKS_MAX || dims->gains > TRAJ_GAINS_MAX ||
        dims->factors > dims->units + dims->features || filter != (dims->nodes > 0) ||
        filter != (dims->links > 0) || filter != (dims->components == 0))
        return false;
    return dims->position >= 1 && dims->position <= TRAJ_DIM_MAX && dims->state <= TRAJ_STATE_MAX &&
           (order == 2 || order == 3) && dims->state == order * dims->position &&
           dims->units <= TRAJ_UNITS_MAX && dims->features <= TRAJ_UNITS_MAX &&
           dims->units + dims->features >= 1 && dims->targets <= TRAJ_TARGETS_MAX &&
           dims->components <= TRAJ_COMPONENTS_MAX && dims->lag <= TRAJ_LAG_MAX &&
           dims->tunings <= dims->components && dims->warps <= dims->components &&
           dims->delay <= TRAJ_DELAY_MAX && dims->stages <= TRAJ_STAGES_MAX &&
           (dims->stages == 0 || filter) && dims->paces <= TRAJ_PACES_MAX &&
           (dims->paces == 0 || filter);
}

/* Where everything lies; returns the bytes used.  With arena->base NULL it only counts. */
static size_t lay_out(struct traj_decoder *decoder, struct traj_arena *arena,
                      const struct traj_dims *dims)
{
    const size_t dim = dims->position;
    const struct traj_dims room = traj_carry_room(dims);
    const size_t channels = dims->states > 0 ? dims->units + dims->features : 0;
    traj_health_lay_out(&decoder->health, arena, dims);
    traj_history_lay_out(&decoder->history, arena, dims);
    traj_observed_lay_out(&decoder->observed, arena, dims);
    traj_target_belief_lay_out(&decoder->belief, arena, &room);
    traj_opinion_lay_out(&decoder->opinion, arena, &room);
    traj_mixture_lay_out(&decoder->mixture, arena, dims);
    decoder->position = traj_arena_take(arena, dim, sizeof(double));
    decoder->position_cov = traj_arena_take(arena, dim * dim, sizeof(double));
    decoder->velocity = traj_arena_take(arena, dim, sizeof(double));
    decoder->velocity_cov = traj_arena_take(arena, dim * dim, sizeof(double));
    decoder->target_prob = traj_arena_take(arena, room.targets, sizeof(double));
    decoder->change = traj_arena_take(arena, room.targets, sizeof(double));
    traj_carry_lay_out(&decoder->carry, arena, dims);
    decoder->kept.prob = traj_arena_take(arena, room.states, sizeof(double));
    decoder->kept.drifted = traj_arena_take(arena, channels, sizeof(double));
    decoder->kept.stage = traj_arena_take(arena, dims->stages * channels, sizeof(double));
    decoder->kept.share = traj_arena_take(arena, dims->stages, sizeof(double));
    decoder->kept.target = traj_arena_take(arena, room.targets, sizeof(int32_t));
    /* Last, for it is laid out anew when the targets change. */
    decoder->block = arena->base;
    decoder->filter_at = arena->used;
    traj_course_filter_lay_out(&decoder->filter, arena, &room);
    return arena->used;
}

/* Bytes from an aligned beginning. */
static size_t aligned_size(const struct traj_dims *dims)
{
    struct traj_decoder counted;
    struct traj_arena arena = {NULL, 0};
    traj_arena_take(&arena, 1, sizeof(struct traj_decoder));
    return lay_out(&counted, &arena, dims);
}

size_t traj_decoder_size(const struct traj_dims *dims)
{
    return dims_in_range(dims) ? aligned_size(dims) + TRAJ_ALIGNMENT - 1 : 0;
}

enum traj_status traj_decoder_init(void *memory, size_t size, const struct traj_model *model,
                                   const struct traj_settings *settings,
                                   struct traj_decoder **decoder)
{
    struct traj_settings chosen;
    traj_settings_default(&chosen);
    if (settings)
        chosen = *settings;
    if (!settings_in_range(&chosen))
        return TRAJ_E_RANGE;
    const enum traj_status checked = traj_model_check(model, NULL, NULL);
    if (checked != TRAJ_OK)
        return checked;
    const size_t slack = (size_t)(-(uintptr_t)memory % TRAJ_ALIGNMENT);
    const size_t needed = aligned_size(&model->dims);
    if (!memory || size < slack || size - slack < needed)
        return TRAJ_E_MEMORY;
    struct traj_arena arena = {(unsigned char *)memory + slack, 0};
    memset(arena.base, 0, needed);
    struct traj_decoder *made = traj_arena_take(&arena, 1, sizeof *made);
    lay_out(made, &arena, &model->dims);
    made->model = model;
    made->settings = chosen;
    made->trial.marks = true;
    const enum traj_status observed = traj_observed_init(&made->observed, model);
    if (observed != TRAJ_OK)
        return observed;
    traj_health_init(&made->health, model);
    made->belief.targets = model->dims.targets;
    traj_target_belief_init(&made->belief, model);
    traj_carry_init(&made->carry, model);
    made->filter.opinion = &made->opinion;
    if (model->dims.states > 0) {
        struct traj_arena again = {made->block, made->filter_at};
        traj_course_filter_lay_out(&made->filter, &again, &model->dims);
        const enum traj_status filter = traj_course_filter_init(&made->filter, model);
        if (filter != TRAJ_OK)
            return filter;
    } else {
        traj_mixture_init(&made->mixture, model, &made->settings, &made->belief);
    }
    traj_decoder_reset(made);
    *decoder = made;
    return TRAJ_OK;
}

const struct traj_model *traj_decoder_model(const struct traj_decoder *decoder)
{
    return decoder->model;
}

void traj_decoder_reset(struct traj_decoder *decoder)
{
    decoder->trial.phase = TRAJ_PHASE_NONE;
    decoder->trial.elapsed = 0;
    traj_history_clear(&decoder->history);
    traj_target_belief_clear(&decoder->belief);
    traj_opinion_clear(&decoder->opinion);
    traj_health_expect(&decoder->health, decoder->model, decoder->model->dims.states);
    if (decoder->filter.states > 0)
        traj_course_filter_reset(&decoder->filter);
    else
        traj_mixture_reset(&decoder->mixture, !decoder->trial.marks);
}

void traj_decoder_believe(struct traj_decoder *decoder)
{
    traj_health_clear(&decoder->health);
    traj_opinion_forget(&decoder->opinion);
}

void traj_decoder_marks(struct traj_decoder *decoder, bool marks)
{
    if (marks == decoder->trial.marks)
        return;
    decoder->trial.marks = marks;
    if (decoder->filter.states > 0)
        traj_course_filter_marks(&decoder->filter, marks);
    else if (decoder->trial.phase == TRAJ_PHASE_NONE)
        traj_mixture_restarting(&decoder->mixture, !marks);
}

/* Moves the weights along with a belief that has changed; `change` holds what was believed. */
static void follow_belief(struct traj_decoder *decoder)
{
    if (decoder->filter.states == 0 && decoder->trial.phase == TRAJ_PHASE_PLAN) {
        traj_mixture_prior_weights(&decoder->mixture);
        return;
    }
    for (size_t m = 0; m < decoder->model->dims.targets; m++)
        decoder->change[m] = decoder->belief.total[m] - decoder->change[m];
    if (decoder->filter.states > 0)
        traj_course_filter_reweigh(&decoder->filter, decoder->change);
    else
        traj_mixture_reweigh(&decoder->mixture, decoder->change);
}

static void remember_belief(struct traj_decoder *decoder)
{
    for (size_t m = 0; m < decoder->model->dims.targets; m++)
        decoder->change[m] = decoder->belief.total[m];
}

enum traj_status traj_decoder_target_prior(struct traj_decoder *decoder, const double *prob)
{
    remember_belief(decoder);
    const enum traj_status status = traj_target_belief_prior(&decoder->belief, prob);
    if (status == TRAJ_OK)
        follow_belief(decoder);
    return status;
}

enum traj_status traj_decoder_gaze(struct traj_decoder *decoder, const double *position,
                                   const double *cov)
{
    remember_belief(decoder);
    const enum traj_status status = traj_target_belief_gaze(&decoder->belief, position, cov);
    if (status == TRAJ_OK)
        follow_belief(decoder);
    return status;
}

enum traj_status traj_decoder_opinion(struct traj_decoder *decoder, enum traj_opinion_of of,
                                      const double *value, const double *cov)
{
    const size_t targets = decoder->model->dims.targets;
    if (of != TRAJ_OPINION_TARGETS)
        return traj_opinion_take(&decoder->opinion, of == TRAJ_OPINION_VELOCITY ? 1 : 0, value,
                                 cov);
    if (targets == 0)
        return TRAJ_E_DIMS;
    if (!traj_all_finite(targets, value))
        return TRAJ_E_NONFINITE;
    remember_belief(decoder);
    traj_opinion_targets(&decoder->opinion, targets, value);
    traj_target_belief_opinion(&decoder->belief, decoder->opinion.ratio);
    follow_belief(decoder);
    return TRAJ_OK;
}

enum traj_status traj_decoder_effector(struct traj_decoder *decoder, const double *position)
{
    if (!traj_all_finite(decoder->model->dims.position, position))
        return TRAJ_E_NONFINITE;
    traj_steer_effector(&decoder->filter.steer, position, decoder->belief.total);
    return TRAJ_OK;
}

/* The mixture's weights by target, before a frame has spoken. */
static void note_targets(struct traj_decoder *decoder)
{
    const struct traj_model *model = decoder->model;
    double *before = decoder->opinion.before;
    memset(before, 0, model->dims.targets * sizeof *before);
    traj_mixture_weights(&decoder->mixture);
    for (size_t k = 0; k < model->dims.components; k++)
        if (model->component_target[k] >= 0)
            before[model->component_target[k]] += decoder->mixture.weight[k];
}

/* Copies what an estimate shows, so that calibration never touches the posterior. */
static void publish(struct traj_decoder *decoder, struct traj_estimate *estimate)
{
    struct traj_mixture *mixture = &decoder->mixture;
    const struct traj_model *model = decoder->model;
    const size_t dim = model->dims.position;
    const size_t state = model->dims.state;
    traj_mixture_moments(mixture);
    for (size_t i = 0; i < dim; i++) {
        decoder->position[i] = mixture->mean[i];
        decoder->velocity[i] = mixture->mean[dim + i];
        for (size_t j = 0; j < dim; j++) {
            decoder->position_cov[i * dim + j] = mixture->cov[i * state + j];
            decoder->velocity_cov[i * dim + j] = mixture->cov[(dim + i) * state + dim + j];
        }
    }
    double free_prob = 0.0;
    for (size_t m = 0; m < model->dims.targets; m++)
        decoder->target_prob[m] = 0.0;
    for (size_t k = 0; k < model->dims.components; k++) {
        const int32_t target = model->component_target[k];
        if (target < 0)
            free_prob += mixture->weight[k];
        else
            decoder->target_prob[target] += mixture->weight[k];
    }
    estimate->position = decoder->position;
    estimate->position_cov = decoder->position_cov;
    estimate->velocity = decoder->velocity;
    estimate->velocity_cov = decoder->velocity_cov;
    estimate->target_prob = model->dims.targets ? decoder->target_prob : NULL;
    estimate->free_prob = free_prob;
    estimate->place_prob = NULL;
    estimate->progress = NAN;
    estimate->eta = NAN;
}

/* What the filter over courses shows; probability off every course is free. */
static void publish_filter(struct traj_decoder *decoder, struct traj_estimate *estimate)
{
    double on_course = 0.0;
    traj_course_filter_moments(&decoder->filter, decoder->position, decoder->position_cov,
                               decoder->velocity, decoder->velocity_cov, decoder->target_prob,
                               decoder->place, &estimate->progress, &estimate->eta);
    for (size_t m = 0; m < decoder->model->dims.targets; m++)
        on_course += decoder->target_prob[m];
    estimate->position = decoder->position;
    estimate->position_cov = decoder->position_cov;
    estimate->velocity = decoder->velocity;
    estimate->velocity_cov = decoder->velocity_cov;
    estimate->target_prob = decoder->model->dims.targets ? decoder->target_prob : NULL;
    estimate->place_prob = decoder->place;
    estimate->free_prob = on_course < 1.0 ? 1.0 - on_course : 0.0;
}

void traj_decoder_publish(struct traj_decoder *decoder, struct traj_estimate *estimate)
{
    if (decoder->filter.states > 0)
        publish_filter(decoder, estimate);
    else
        publish(decoder, estimate);
}

static void step_filter(struct traj_decoder *decoder, const struct traj_observation *observation,
                        struct traj_estimate *estimate)
{
    bool recovered;
    estimate->log_evidence =
        traj_course_filter_step(&decoder->filter, observation, decoder->belief.total, &recovered);
    estimate->phase = decoder->trial.phase;
    estimate->flags = (recovered ? TRAJ_FLAG_RECOVERED : 0u) |
                      (decoder->filter.steer.steered ? TRAJ_FLAG_STEERED : 0u);
    publish_filter(decoder, estimate);
    if (!decoder->settings.believe)
        traj_health_expect(&decoder->health, decoder->model,
                           decoder->filter.steer.steered
                               ? decoder->model->dims.states
                               : traj_course_filter_likeliest(&decoder->filter));
    traj_opinion_note(&decoder->opinion, decoder->position, decoder->position_cov,
                      decoder->velocity, decoder->velocity_cov);
    if (decoder->opinion.told && !recovered)
        traj_opinion_learn_targets(&decoder->opinion, decoder->model->dims.targets);
}

enum traj_status traj_decoder_step(struct traj_decoder *decoder,
                                   const struct traj_observation *observation,
                                   struct traj_estimate *estimate)
{
    const struct traj_model *model = decoder->model;
    struct traj_mixture *mixture = &decoder->mixture;
    const size_t steps = observation->steps;
    if (!(observation->dt > 0.0 && observation->dt <= DBL_MAX) || steps == 0)
        return TRAJ_E_RANGE;
    const uint16_t *counts = model->dims.units ? observation->counts : NULL;
    if (!decoder->settings.believe)
        counts = traj_health_judge(&decoder->health, counts, observation->dt);
    if (decoder->watch && decoder->filter.states > 0)
        decoder->watch(decoder->watch_context, steps);
    decoder->last_dt = observation->dt;
    if (decoder->filter.states > 0) {
        struct traj_observation believed = *observation;
        believed.counts = counts;
        step_filter(decoder, &believed, estimate);
        return TRAJ_OK;
    }
    const struct traj_trial_frame frame = traj_trial_advance(decoder, steps);
    const enum traj_phase phase = decoder->trial.phase;
    const float *features = model->dims.features ? observation->features : NULL;
    if (frame.plan)
        traj_target_belief_plan(&decoder->belief, counts, observation->dt);
    if (phase == TRAJ_PHASE_PLAN)
        traj_mixture_prior_weights(mixture);
    else if (!decoder->trial.marks)
        traj_mixture_switch(mixture, steps);
    if (decoder->watch)
        decoder->watch(decoder->watch_context, steps);
    traj_history_push(&decoder->history, counts, observation->dt, steps, frame.plan);
    traj_observed_prepare(&decoder->observed, &decoder->history, phase != TRAJ_PHASE_MOVE,
                          features);
    if (decoder->opinion.told)
        note_targets(decoder);
    bool recovered;
    estimate->log_evidence =
        traj_mixture_step(mixture, &decoder->observed, steps, frame.fresh_steps,
                          phase != TRAJ_PHASE_PLAN, &recovered);
    estimate->phase = phase;
    estimate->flags = recovered ? TRAJ_FLAG_RECOVERED : 0u;
    publish(decoder, estimate);
    if (decoder->opinion.told && !recovered) {
        memcpy(decoder->opinion.after, decoder->target_prob, model->dims.targets * sizeof(double));
        traj_opinion_learn_targets(&decoder->opinion, model->dims.targets);
    }
    return TRAJ_OK;
}

void traj_decoder_prepare(struct traj_decoder *decoder)
{
    if (decoder->filter.states > 0 && decoder->last_dt > 0.0)
        traj_course_filter_prepare(&decoder->filter, decoder->last_dt);
}

enum traj_status traj_decoder_component(const struct traj_decoder *decoder, size_t k,
                                        double *log_weight, double *mean, double *cov)
{
    if (k >= decoder->mixture.components)
        return TRAJ_E_RANGE;
    const struct traj_mixture_component *one = &decoder->mixture.component[k];
    *log_weight = decoder->mixture.log_weight[k];
    one->table->moments(one->self, mean, cov);
    return TRAJ_OK;
}
