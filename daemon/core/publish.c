/* SPDX-License-Identifier: GPL-3.0-or-later */
/* From the estimate to the intent. */
#include "daemon/core/publish.h"

#include <math.h>
#include <string.h>

#include "daemon/core/limits.h"

static bool all_finite(const double *value, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (!isfinite(value[i]))
            return false;
    }
    return true;
}

bool traj_publish_possible(const struct traj_estimate *estimate, const struct traj_dims *dims)
{
    size_t dim = dims->position;
    return estimate->position != NULL && all_finite(estimate->position, dim) &&
           (estimate->position_cov == NULL || all_finite(estimate->position_cov, dim * dim)) &&
           (estimate->velocity == NULL || all_finite(estimate->velocity, dim)) &&
           (estimate->velocity_cov == NULL || all_finite(estimate->velocity_cov, dim * dim)) &&
           (estimate->target_prob == NULL || all_finite(estimate->target_prob, dims->targets)) &&
           (estimate->place_prob == NULL || all_finite(estimate->place_prob, TRAJ_PLACES));
}

static double finite_or_nan(double value)
{
    return isfinite(value) ? value : (double)NAN;
}

/* The most probable target, the first of equals. */
static size_t most_probable(const double *prob, size_t targets)
{
    size_t best = 0;
    for (size_t m = 1; m < targets; m++) {
        if (prob[m] > prob[best])
            best = m;
    }
    return best;
}

static void publish_targets(const struct traj_model *model, const struct traj_estimate *estimate,
                            struct traj_intent *intent)
{
    size_t targets = model->dims.targets;
    intent->targets = targets;
    intent->free_prob = finite_or_nan(estimate->free_prob);
    if (targets == 0 || estimate->target_prob == NULL)
        return;
    intent->target_prob = estimate->target_prob;
    /* Between trials no target has any probability, and none is named. */
    const size_t best = most_probable(estimate->target_prob, targets);
    if (model->about.target_id != NULL && estimate->target_prob[best] > 0)
        intent->target = model->about.target_id[best];
    if (model->about.target_set[0] != '\0')
        intent->target_set = model->about.target_set;
}

/* Position and velocity; true if either is held at a limit.  While paused no speed is published. */
static bool publish_movement(size_t dim, const struct traj_estimate *estimate,
                             const struct traj_pipeline_settings *settings, bool paused,
                             struct traj_published *published, struct traj_intent *intent)
{
    bool limited = false;
    memcpy(published->position, estimate->position, dim * sizeof published->position[0]);
    intent->position = published->position;
    intent->position_cov = estimate->position_cov;
    if (settings->workspace)
        limited = traj_limit_workspace(published->position, dim, settings->low, settings->high);
    if (estimate->velocity == NULL)
        return limited;
    memcpy(published->velocity, estimate->velocity, dim * sizeof published->velocity[0]);
    intent->velocity = published->velocity;
    intent->velocity_cov = estimate->velocity_cov;
    if (settings->speed_limit > 0 && !paused &&
        traj_limit_speed(published->velocity, dim, settings->speed_limit))
        limited = true;
    return limited;
}

/* The most probable place, the first of equals; the places are the states on the wire. */
_Static_assert((int)TRAJ_PLACES == TRAJ_INTENT_STATES && (int)TRAJ_PLACE_REST == 0 &&
                   (int)TRAJ_PLACE_PLAN == 1 && (int)TRAJ_PLACE_MOVE == 2 &&
                   (int)TRAJ_PLACE_HOLD == 3 && (int)TRAJ_PLACE_RETURN == 4 &&
                   (int)TRAJ_PLACE_FREE == 5,
               "places stand in the order of traj_intent_state_name");

static const char *publish_places(const double *prob, struct traj_intent *intent)
{
    memcpy(intent->state_prob, prob, sizeof intent->state_prob);
    return traj_intent_state_name[most_probable(prob, TRAJ_PLACES)];
}

static const char *state_of(enum traj_phase phase)
{
    if (phase == TRAJ_PHASE_PLAN)
        return "plan";
    return phase == TRAJ_PHASE_MOVE ? "move" : NULL;
}

unsigned traj_publish(const struct traj_model *model, const struct traj_estimate *estimate,
                      const struct traj_pipeline_settings *settings, bool paused,
                      struct traj_published *published, struct traj_intent *intent)
{
    unsigned flags = 0;
    intent->dim = model->dims.position;
    intent->targets = model->dims.targets;
    intent->model = model->about.digest[0] != '\0' ? model->about.digest : NULL;
    intent->free_prob = (double)NAN;
    for (size_t i = 0; i < TRAJ_INTENT_STATES; i++)
        intent->state_prob[i] = (double)NAN;
    intent->progress = intent->eta = intent->log_evidence = (double)NAN;
    if (estimate != NULL) {
        if (publish_movement(model->dims.position, estimate, settings, paused, published, intent))
            flags |= TRAJ_INTENT_LIMITED;
        publish_targets(model, estimate, intent);
        intent->state = estimate->place_prob != NULL ? publish_places(estimate->place_prob, intent)
                                                     : state_of(estimate->phase);
        intent->progress = finite_or_nan(estimate->progress);
        intent->eta = finite_or_nan(estimate->eta);
        intent->log_evidence = finite_or_nan(estimate->log_evidence);
        intent->valid = true;
    }
    if (paused) {
        /* The estimator goes on underneath, so that the intent can go on at once after it. */
        memset(published->velocity, 0, sizeof published->velocity);
        intent->velocity = published->velocity;
        intent->valid = false;
        flags |= TRAJ_INTENT_PAUSED;
    }
    return flags;
}
