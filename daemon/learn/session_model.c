/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The model of a filter over an unbroken recording; see session_model.h. */
#include "daemon/learn/session_model.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "daemon/learn/model_file.h"
#include "daemon/learn/model_layout.h"
#include "daemon/learn/session_steer.h"
#include "traj/decoder.h"

static double *writable(const double *array)
{
    return (double *)(uintptr_t)array;
}

static int32_t *writable_i(const int32_t *array)
{
    return (int32_t *)(uintptr_t)array;
}

/* What a state is called: its target, its kind, how far along it is. */
static void put_name(const struct traj_session_states *states, const struct traj_chain *chain,
                     size_t j)
{
    const struct traj_labels *labels = states->design->labels;
    uint8_t *place = (uint8_t *)(uintptr_t)chain->place + j;
    writable_i(chain->target)[j] = writable_i(chain->group)[j] = -1;
    writable(chain->progress)[j] = writable(chain->eta)[j] = -1;
    *place = j == 0 ? TRAJ_PLACE_REST : TRAJ_PLACE_FREE;
    if (j >= states->courses)
        *place = TRAJ_PLACE_FREE;
    if (j == 0 || j >= states->courses)
        return;
    size_t g = (j - 1) % labels->row;
    writable_i(chain->target)[j] = (int32_t)((j - 1) / labels->row);
    *place = g < labels->before   ? TRAJ_PLACE_PLAN
             : g < labels->steps  ? TRAJ_PLACE_MOVE
             : g == labels->steps ? TRAJ_PLACE_HOLD
                                  : TRAJ_PLACE_RETURN;
    if (g > labels->steps)
        return;
    writable_i(chain->group)[j] = (int32_t)g;
    double since = ((double)g - (double)labels->before) * labels->step;
    double all = fmax(labels->arrival, labels->step);
    writable(chain->progress)[j] = fmin(fmax(since / all, 0), 1);
    writable(chain->eta)[j] = fmax(all - since, 0);
}

static void put_states(const struct traj_session_states *states,
                       const struct traj_session_links *links, const struct traj_chain *chain)
{
    size_t dim = states->dim, square = dim * dim;
    for (size_t j = 0; j < states->states; j++) {
        const double *spread = states->spread + j * 2 * square;
        put_name(states, chain, j);
        memcpy(writable(chain->position) + j * dim, states->centre + j * 2 * dim,
               dim * sizeof(double));
        memcpy(writable(chain->velocity) + j * dim, states->centre + j * 2 * dim + dim,
               dim * sizeof(double));
        memcpy(writable(chain->position_spread) + j * square, spread, square * sizeof(double));
        memcpy(writable(chain->velocity_spread) + j * square, spread + square,
               square * sizeof(double));
        writable_i(chain->node)[j] = (int32_t)j;
        writable(chain->initial)[j] = links->initial[j];
        writable(chain->start)[j] = links->start[j];
    }
}

static void put_links(const struct traj_session_links *links, const struct traj_chain *chain)
{
    memcpy(writable_i(chain->link_first), links->first, (links->states + 1) * sizeof(int32_t));
    memcpy(writable_i(chain->link_to), links->to, links->links * sizeof(int32_t));
    memcpy(writable(chain->link_prob), links->prob, TRAJ_CONTEXTS * links->links * sizeof(double));
}

static void put_emission(const struct traj_session_states *states, const struct traj_chain *chain)
{
    size_t c = states->channels;
    memcpy(writable(chain->emission_mean), states->mean, states->states * c * sizeof(double));
    memcpy(writable(chain->emission_noise), states->noise, c * sizeof(double));
    if (states->rank > 0)
        memcpy(writable(chain->emission_factor), states->factor, c * states->rank * sizeof(double));
}

static bool remembers(const struct traj_session_states *states,
                      const struct traj_session_choice *choice)
{
    return states->answer && !choice->without_recent;
}

static void put_recent(const struct traj_session_states *states,
                       const struct traj_session_choice *choice,
                       const struct traj_recent_model *recent)
{
    const struct traj_session_recent *fitted = states->design->recent;
    size_t out = fitted->out, last = fitted->inputs - 1;
    const double *weight = traj_session_recent_weight(fitted, states->without, states->without);
    memcpy(writable(recent->center), fitted->center, fitted->channels * sizeof(double));
    memcpy(writable(recent->weight), weight, last * out * sizeof(double));
    for (size_t o = 0; o < out; o++)
        writable(recent->offset)[o] =
            weight[last * out + o] + (o < states->dim ? states->design->training->center[o] : 0);
    memcpy(writable(recent->mean), states->answer, states->states * out * sizeof(double));
    memcpy(writable(recent->noise), states->answer_noise, out * out * sizeof(double));
    memcpy(writable(recent->gain), choice->gain, out * out * sizeof(double));
}

static void describe(const struct traj_session_states *states, const char *text,
                     struct traj_model *model)
{
    const struct traj_session *session = states->design->training->session[0];
    struct traj_description *about = &model->about;
    (void)snprintf(about->family, sizeof about->family, "%s",
                   states->courses > 0 ? "course" : "places");
    if (states->courses > 0) {
        (void)snprintf(about->target_set, sizeof about->target_set, "default");
        memcpy((void *)(uintptr_t)about->target_id, session->target_id,
               model->dims.targets * TRAJ_ID_SIZE);
        memcpy(writable(model->target_position), session->target_position,
               model->dims.targets * states->dim * sizeof(double));
    }
    memcpy(about->length_unit, session->length_unit, sizeof about->length_unit);
    memcpy(about->subject, session->subject, sizeof about->subject);
    about->length_unit[sizeof about->length_unit - 1] = '\0';
    about->subject[sizeof about->subject - 1] = '\0';
    if (about->unit_name && session->unit_name)
        memcpy((void *)(uintptr_t)about->unit_name, session->unit_name,
               model->dims.units * TRAJ_ID_SIZE);
    if (about->training && text)
        memcpy((void *)(uintptr_t)about->training, text, strlen(text) + 1);
}

struct traj_model *traj_session_model(const struct traj_session_states *states,
                                      const struct traj_session_links *links,
                                      const struct traj_session_choice *choice, const char *text,
                                      struct traj_error *error)
{
    const struct traj_training *training = states->design->training;
    struct traj_dims dims = {.position = states->dim,
                             .state = 2 * states->dim,
                             .units = training->units,
                             .features = training->features,
                             .targets = states->courses > 0 ? training->targets : 0,
                             .states = states->states,
                             .nodes = states->states,
                             .factors = states->rank,
                             .links = links->links,
                             .stages =
                                 remembers(states, choice) ? states->design->recent->stages : 0,
                             .paces = states->courses > 0 ? TRAJ_STEER_PACES : 0};
    bool named = training->units > 0 && training->session[0]->unit_name != NULL;
    struct traj_model *model =
        traj_model_make(&dims, false, named, text ? strlen(text) + 1 : 0, error);
    if (!model)
        return NULL;
    const char *what = NULL;
    size_t index = 0;
    describe(states, text, model);
    model->bin_width = training->bin;
    model->plan.temper = model->evidence_temper = 1;
    model->calibration = choice->calibration;
    model->chain.start_share = links->start_share;
    model->chain.temper = choice->temper;
    model->chain.switch_prob = 1 - exp(-choice->switch_rate * training->bin);
    model->chain.gaussian = 1;
    model->chain.drift = 1 - exp(-choice->drift_rate * training->bin);
    put_states(states, links, &model->chain);
    put_links(links, &model->chain);
    put_emission(states, &model->chain);
    if (remembers(states, choice)) {
        put_recent(states, choice, &model->recent);
        model->recent.follow = states->design->recent->follow;
        model->recent.temper = choice->answer_temper;
    }
    if (dims.paces > 0 && traj_session_steer(states, model)) {
        traj_error_set(error, "no memory for what is done while steering");
        traj_model_free(model);
        return NULL;
    }
    enum traj_status status = traj_model_check(model, &what, &index);
    if (status == TRAJ_OK)
        return model;
    traj_error_set(error, "%s: what was fitted is no model: %s[%zu]: %s",
                   training->session[0]->path, what ? what : "?", index, traj_status_text(status));
    traj_model_free(model);
    return NULL;
}
