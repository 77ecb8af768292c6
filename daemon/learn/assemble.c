/* SPDX-License-Identifier: GPL-3.0-or-later */
/* From choices to a model. */
#include "daemon/learn/assemble.h"

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/learn/features.h"
#include "daemon/learn/model_file.h"
#include "daemon/learn/model_layout.h"
#include "daemon/learn/root_noise.h"
#include "traj/decoder.h"

#define SPEED_LIMIT 1.2 /* |s|: three times as fast, or as slow */

/* ---- fits ------------------------------------------------------------------------------------ */

static int fit_slot(struct traj_fits *fits, const struct traj_choice *choice, size_t slot,
                    struct traj_error *error)
{
    const struct traj_training *training = fits->training;
    size_t units = training->units, features = training->features, columns = fits->columns;
    unsigned without = slot < training->folds ? (unsigned)slot : TRAJ_FOLD_NONE;
    if (units > 0 &&
        traj_tuning_fit(training, columns, &choice->tuning, without,
                        fits->weight + slot * units * columns, fits->offset + slot * units, error))
        return -1;
    if (fits->root_noise &&
        traj_root_noise_fit(training, &choice->tuning, without,
                            fits->weight + slot * units * columns, fits->offset + slot * units,
                            fits->root_noise + slot * units,
                            fits->root_factor + slot * units * choice->tuning.rank, error))
        return -1;
    size_t sets = training->targets * units;
    if (fits->own_weight && traj_tuning_fit_own(training, columns, &choice->tuning, without,
                                                fits->own_weight + slot * sets * columns,
                                                fits->own_offset + slot * sets, error))
        return -1;
    if (features > 0 && traj_features_fit(training, columns, choice->to_diagonal, without,
                                          fits->feature_weight + slot * features * columns,
                                          fits->feature_offset + slot * features,
                                          fits->feature_noise + slot * features * features, error))
        return -1;
    return 0;
}

int traj_fits_make(struct traj_fits *fits, const struct traj_training *training,
                   const struct traj_choice *choice, struct traj_error *error)
{
    size_t slots = training->folds + 1, columns = choice->tuning.columns;
    size_t units = training->units, features = training->features;
    *fits = (struct traj_fits){.training = training, .columns = columns, .plan_end = -1};
    fits->weight = calloc(slots * units * columns + 1, sizeof(double));
    fits->offset = calloc(slots * units + 1, sizeof(double));
    fits->feature_weight = calloc(slots * features * columns + 1, sizeof(double));
    fits->feature_offset = calloc(slots * features + 1, sizeof(double));
    fits->feature_noise = calloc(slots * features * features + 1, sizeof(double));
    if (choice->tuning.root) {
        fits->root_noise = calloc(slots * units + 1, sizeof(double));
        fits->root_factor = calloc(slots * units * choice->tuning.rank + 1, sizeof(double));
        if (!fits->root_noise || !fits->root_factor)
            return traj_error_set(error, "no memory for the noise of %zu units", units);
    }
    size_t sets = slots * training->targets * units;
    if (choice->tuning.own) {
        fits->own_weight = calloc(sets * columns + 1, sizeof(double));
        fits->own_offset = calloc(sets + 1, sizeof(double));
        if (!fits->own_weight || !fits->own_offset)
            return traj_error_set(error, "no memory for the tuning of %zu targets",
                                  training->targets);
    }
    if (!fits->weight || !fits->offset || !fits->feature_weight || !fits->feature_offset ||
        !fits->feature_noise)
        return traj_error_set(error, "no memory for the fits of %zu folds", slots);
    for (size_t slot = 0; slot < slots; slot++)
        if (fit_slot(fits, choice, slot, error))
            return -1;
    return 0;
}

void traj_fits_free(struct traj_fits *fits)
{
    free(fits->weight);
    free(fits->offset);
    free(fits->own_weight);
    free(fits->own_offset);
    free(fits->root_noise);
    free(fits->root_factor);
    free(fits->feature_weight);
    free(fits->feature_offset);
    free(fits->feature_noise);
    traj_movement_free(fits->movement);
    traj_courses_free(fits->courses);
    traj_speeds_free(&fits->speeds);
    *fits = (struct traj_fits){.training = NULL};
}

int traj_fits_movement(struct traj_fits *fits, const struct traj_choice *choice,
                       struct traj_error *error)
{
    double plan_end = choice->plan.end;
    size_t memory = choice->dynamics.memory;
    size_t state = choice->state;
    if (fits->movement && fits->plan_end == plan_end && fits->memory == memory &&
        fits->state == state && fits->delays == choice->dynamics.delays)
        return 0;
    bool warped = choice->family == TRAJ_FAMILY_WARPED;
    if (warped && fits->plan_end != plan_end) {
        traj_speeds_free(&fits->speeds);
        if (traj_speeds_make(&fits->speeds, fits->training, plan_end, error))
            return -1;
    }
    traj_movement_free(fits->movement);
    traj_courses_free(fits->courses);
    fits->movement = traj_movement_new(fits->training, state, plan_end, memory, error);
    fits->courses = traj_courses_new(fits->training, state, plan_end, choice->dynamics.delays,
                                     warped ? &fits->speeds : NULL, error);
    fits->delays = choice->dynamics.delays;
    fits->plan_end = plan_end;
    fits->memory = memory;
    fits->state = state;
    return fits->movement && fits->courses ? 0 : -1;
}

/* ---- components ------------------------------------------------------------------------------ */

/* Arrays of a fresh model are reached through pointers to const; this room made them. */
static double *writable(const double *array)
{
    return (double *)(uintptr_t)array;
}

static struct traj_dynamics_part part_of(const struct traj_model *model, size_t k)
{
    size_t state = model->dims.state;
    const struct traj_dynamics *dynamics = &model->dynamics;
    return (struct traj_dynamics_part){
        writable(dynamics->transition) + k * state * state, writable(dynamics->drift) + k * state,
        writable(dynamics->noise) + k * state * state, writable(dynamics->start) + k * state,
        writable(dynamics->start_cov) + k * state * state};
}

static void scale_noise(const struct traj_model *model, const struct traj_dynamics_part *part,
                        double factor)
{
    for (size_t i = 0; i < model->dims.state * model->dims.state; i++) {
        part->noise[i] *= factor;
        part->start_cov[i] *= factor;
    }
}

/* How the components of a model are shared out. */
struct cast {
    size_t targets; /* components of targets come first, */
    size_t delays;  /* so many of each */
    bool single;    /* one component for all movements */
    bool walk;      /* a random walk */
    bool reset;     /* of the random walk: it starts anew with each trial */
    bool warped;    /* components of targets have clocks of their own */
};

static struct cast cast_of(const struct traj_training *training, const struct traj_choice *choice)
{
    bool trials = training->trials > 0;
    bool targets = training->labelled + training->taught > 0 && training->targets > 0;
    switch (choice->family) {
    case TRAJ_FAMILY_STM:
        return (struct cast){.delays = 1, .single = true};
    case TRAJ_FAMILY_RWM:
        return (struct cast){.delays = 1, .walk = true, .reset = trials};
    case TRAJ_FAMILY_AUTO:
    case TRAJ_FAMILY_COURSE:
    case TRAJ_FAMILY_PLACES:
    case TRAJ_FAMILY_MIXTURE:
    case TRAJ_FAMILY_WARPED:
        break;
    }
    size_t delays = choice->dynamics.course && targets ? choice->dynamics.delays : 1;
    return (struct cast){.targets = targets ? training->targets : 0,
                         .delays = delays,
                         .single = trials && !targets,
                         .walk = true,
                         .warped = targets && choice->family == TRAJ_FAMILY_WARPED};
}

static size_t cast_size(const struct cast *cast)
{
    return cast->targets * cast->delays + (cast->single ? 1u : 0u) + (cast->walk ? 1u : 0u);
}

static void put_component(const struct traj_model *model, size_t k, int32_t target, double prior,
                          bool reset)
{
    ((int32_t *)(uintptr_t)model->component_target)[k] = target;
    writable(model->component_prior)[k] = prior;
    ((uint8_t *)(uintptr_t)model->trial_reset)[k] = reset;
}

/* The speeds of training, for the components of targets; held where modes would run away. */
static void put_speeds(const struct traj_fits *fits, const struct traj_choice *choice,
                       unsigned without, const struct traj_course_shape *shape,
                       const struct traj_model *model)
{
    double mean, variance, limit = SPEED_LIMIT;
    traj_speeds_prior(&fits->speeds, fits->training, without, &mean, &variance);
    if (shape)
        limit = fmin(limit, traj_course_shape_limit(shape, choice->state / fits->training->dim,
                                                    fits->training->bin));
    limit = fmax(limit, 0);
    writable(model->warp.mean)[0] = fmin(fmax(mean, -limit), limit);
    writable(model->warp.variance)[0] = variance * choice->speed_spread * choice->speed_spread;
    writable(model->warp.walk)[0] = variance * choice->speed_walk;
    writable(model->warp.limit)[0] = limit;
    for (size_t k = 0; k < model->dims.components; k++)
        ((int32_t *)(uintptr_t)model->warp.own)[k] = model->component_target[k] >= 0 ? 0 : -1;
}

static void put_components(const struct traj_fits *fits, const struct traj_choice *choice,
                           unsigned without, const struct cast *cast, struct traj_model *model)
{
    size_t k = 0, directed = cast->targets * cast->delays + (cast->single ? 1 : 0);
    double walk_prior = directed == 0 ? 1 : cast->walk ? choice->free_prior : 0;
    double prior = directed > 0 ? (1 - walk_prior) / (double)directed : 0;
    struct traj_course_shape shape;
    bool course = choice->dynamics.course && cast->targets > 0 &&
                  traj_courses_shape(fits->courses, without, &shape) == 0;
    for (; k < cast->targets * cast->delays; k++) {
        size_t m = k / cast->delays;
        struct traj_dynamics_part part = part_of(model, k);
        if (course)
            traj_courses_target(fits->courses, &shape, choice->dynamics.shrinkage, without, m,
                                &part);
        else
            traj_dynamics_target(fits->movement, &choice->dynamics, without, m, &part);
        scale_noise(model, &part, choice->noise_scale);
        put_component(model, k, (int32_t)m, prior, true);
        if (model->dims.delay > 0)
            ((int32_t *)(uintptr_t)model->component_delay)[k] =
                (int32_t)traj_courses_delay(fits->courses, k % cast->delays);
    }
    if (cast->single) {
        struct traj_dynamics_part part = part_of(model, k);
        traj_dynamics_single(fits->movement, without, &part);
        scale_noise(model, &part, choice->noise_scale);
        put_component(model, k++, -1, prior, true);
    }
    if (cast->walk) {
        struct traj_dynamics_part part = part_of(model, k);
        bool everywhere = fits->training->unbroken && !cast->reset;
        struct traj_dynamics_choice walk = choice->dynamics;
        walk.settling = walk.settling && choice->family != TRAJ_FAMILY_RWM;
        traj_dynamics_walk(fits->movement, &walk, without, everywhere, &part);
        scale_noise(model, &part, cast->targets > 0 ? choice->walk_scale : choice->noise_scale);
        put_component(model, k, -1, walk_prior, cast->reset);
    }
    if (cast->warped)
        put_speeds(fits, choice, without, course ? &shape : NULL, model);
}

/* ---- the rest -------------------------------------------------------------------------------- */

/* Weights on the first columns of the state; those on the rest of it stay 0. */
static void put_weights(const double *from, size_t rows, size_t columns, size_t state, double *to)
{
    for (size_t i = 0; i < rows; i++)
        memcpy(to + i * state, from + i * columns, columns * sizeof *to);
}

/* Sets of their own: the components of target m have set m, the others share. */
static void put_own(const struct traj_fits *fits, size_t slot, const struct traj_model *model)
{
    size_t sets = model->dims.tunings * model->dims.units;
    if (sets == 0)
        return;
    put_weights(fits->own_weight + slot * sets * fits->columns, sets, fits->columns,
                model->dims.state, writable(model->tuning.own_weight));
    memcpy(writable(model->tuning.own_offset), fits->own_offset + slot * sets,
           sets * sizeof(double));
    for (size_t k = 0; k < model->dims.components; k++)
        ((int32_t *)(uintptr_t)model->tuning.own)[k] = model->component_target[k];
}

static void put_observations(const struct traj_fits *fits, const struct traj_choice *choice,
                             unsigned without, struct traj_model *model)
{
    const struct traj_training *training = fits->training;
    size_t slot = without == TRAJ_FOLD_NONE ? training->folds : without;
    size_t units = training->units, features = training->features, columns = fits->columns;
    size_t state = model->dims.state;
    if (units > 0) {
        put_weights(fits->weight + slot * units * columns, units, columns, state,
                    writable(model->tuning.weight));
        memcpy(writable(model->tuning.offset), fits->offset + slot * units, units * sizeof(double));
        memcpy((int32_t *)(uintptr_t)model->tuning.lag, choice->tuning.lag,
               units * sizeof(int32_t));
        put_own(fits, slot, model);
        if (fits->root_noise) {
            size_t rank = model->dims.factors;
            memcpy(writable(model->tuning.noise), fits->root_noise + slot * units,
                   units * sizeof(double));
            memcpy(writable(model->tuning.factor), fits->root_factor + slot * units * rank,
                   units * rank * sizeof(double));
        }
    }
    if (features > 0) {
        put_weights(fits->feature_weight + slot * features * columns, features, columns, state,
                    writable(model->feature.weight));
        memcpy(writable(model->feature.offset), fits->feature_offset + slot * features,
               features * sizeof(double));
        memcpy(writable(model->feature.noise), fits->feature_noise + slot * features * features,
               features * features * sizeof(double));
    }
}

static void put_description(const struct traj_fits *fits, const struct traj_choice *choice,
                            const char *training_text, struct traj_model *model)
{
    const struct traj_session *session = fits->training->session[0];
    struct traj_description *about = &model->about;
    (void)snprintf(about->family, sizeof about->family, "%s", traj_family_name(choice->family));
    memcpy(about->length_unit, session->length_unit, sizeof about->length_unit);
    memcpy(about->subject, session->subject, sizeof about->subject);
    about->length_unit[sizeof about->length_unit - 1] = '\0';
    about->subject[sizeof about->subject - 1] = '\0';
    if (model->dims.targets > 0) {
        (void)snprintf(about->target_set, sizeof about->target_set, "default");
        memcpy((void *)(uintptr_t)about->target_id, session->target_id,
               model->dims.targets * TRAJ_ID_SIZE);
        memcpy(writable(model->target_position), session->target_position,
               model->dims.targets * model->dims.position * sizeof(double));
    }
    if (about->unit_name && session->unit_name)
        memcpy((void *)(uintptr_t)about->unit_name, session->unit_name,
               model->dims.units * TRAJ_ID_SIZE);
    if (about->training && training_text)
        memcpy((void *)(uintptr_t)about->training, training_text, strlen(training_text) + 1);
}

static int check(const struct traj_fits *fits, const struct traj_model *model,
                 struct traj_error *error)
{
    const char *what = NULL;
    size_t index = 0;
    enum traj_status status = traj_model_check(model, &what, &index);
    if (status != TRAJ_OK)
        return traj_error_set(error, "%s: what was fitted is no model: %s[%zu]: %s",
                              fits->training->session[0]->path, what ? what : "?", index,
                              traj_status_text(status));
    return 0;
}

struct traj_model *traj_assemble(struct traj_fits *fits, const struct traj_choice *choice,
                                 unsigned without, const char *training_text,
                                 struct traj_error *error)
{
    const struct traj_training *training = fits->training;
    struct cast cast = cast_of(training, choice);
    bool rates = cast.targets > 0 && choice->plan.rates && choice->plan.end > 0;
    struct traj_dims dims = {.position = training->dim,
                             .state = choice->state,
                             .units = training->units,
                             .features = training->features,
                             .targets = cast.targets,
                             .components = cast_size(&cast),
                             .lag = choice->tuning.lag_max,
                             .tunings = choice->tuning.own && fits->own_weight ? cast.targets : 0};
    dims.factors = fits->root_noise ? choice->tuning.rank : 0;
    if (traj_fits_movement(fits, choice, error))
        return NULL;
    if (cast.delays > 1 || cast.warped)
        dims.delay = traj_courses_delay(fits->courses, cast.delays - 1);
    dims.warps = cast.warped ? 1 : 0;
    struct traj_model *model =
        traj_model_make(&dims, rates, training->session[0]->unit_name != NULL,
                        training_text ? strlen(training_text) + 1 : 0, error);
    if (!model)
        return NULL;
    model->bin_width = training->bin;
    model->plan.begin = choice->plan.begin;
    model->plan.end = choice->plan.end;
    model->plan.temper = choice->plan.temper;
    model->switch_rate = choice->switch_rate;
    model->evidence_temper = choice->evidence_temper;
    model->calibration = choice->calibration;
    put_components(fits, choice, without, &cast, model);
    put_observations(fits, choice, without, model);
    put_description(fits, choice, training_text, model);
    int status = 0;
    if (rates)
        status =
            traj_plan_rates(training, &choice->plan, without, writable(model->plan.rate), error);
    if (status != 0 || check(fits, model, error)) {
        traj_model_free(model);
        return NULL;
    }
    return model;
}
