/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Whether a model's numbers make sense, and the words for what is wrong. */
#include "daemon/model/linalg.h"
#include "traj/decoder.h"

#include <float.h>
#include <math.h>

/* Parts of R up to this size are tried for definiteness here; larger ones when a decoder is
 * made. */
#define NOISE_TRIED 64u

/* An asymmetry below this part of the diagonal is rounding. */
#define ASYMMETRY 1e-9

#define LOG_RATE_MOST 700.0 /* its exponential and its inverse's are finite */

struct complaint {
    const char *what;
    size_t index;
};

const char *traj_status_text(enum traj_status status)
{
    switch (status) {
    case TRAJ_OK:
        return "all is well";
    case TRAJ_E_DIMS:
        return "a size is 0, too large, or disagrees with another";
    case TRAJ_E_MEMORY:
        return "the block of memory is too small";
    case TRAJ_E_NONFINITE:
        return "a number is NaN or infinite";
    case TRAJ_E_NOT_PD:
        return "a covariance is not symmetric positive definite";
    case TRAJ_E_RANGE:
        return "a number lies outside its range";
    }
    return "an unknown status";
}

static enum traj_status complain(struct complaint *complaint, enum traj_status status,
                                 const char *what, size_t index)
{
    complaint->what = what;
    complaint->index = index;
    return status;
}

/* rows x columns numbers; the complaint's index is the row. */
static enum traj_status finite(struct complaint *complaint, const char *what, const double *x,
                               size_t rows, size_t columns)
{
    if (!x && rows > 0)
        return complain(complaint, TRAJ_E_DIMS, what, 0);
    for (size_t i = 0; i < rows; i++)
        if (!traj_all_finite(columns, x + i * columns))
            return complain(complaint, TRAJ_E_NONFINITE, what, i);
    return TRAJ_OK;
}

static bool symmetric(const double *a, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (!(a[i * n + i] > 0.0))
            return false;
        for (size_t j = 0; j < i; j++) {
            const double scale = sqrt(a[i * n + i]) * sqrt(a[j * n + j]);
            if (!(fabs(a[i * n + j] - a[j * n + i]) <= ASYMMETRY * scale) ||
                !(fabs(a[i * n + j]) < scale))
                return false;
        }
    }
    return true;
}

static enum traj_status covariances(struct complaint *complaint, const char *what, const double *a,
                                    size_t count, size_t n)
{
    double factor[TRAJ_STATE_MAX * TRAJ_STATE_MAX];
    const enum traj_status status = finite(complaint, what, a, count, n * n);
    if (status != TRAJ_OK)
        return status;
    for (size_t i = 0; i < count; i++)
        if (!symmetric(a + i * n * n, n) || !traj_cholesky(n, a + i * n * n, factor))
            return complain(complaint, TRAJ_E_NOT_PD, what, i);
    return TRAJ_OK;
}

static enum traj_status check_dims(struct complaint *complaint, const struct traj_dims *dims)
{
    const size_t d = dims->position;
    const char *what = NULL;
    if (d < 1 || d > TRAJ_DIM_MAX)
        what = "dims.position";
    else if (dims->state > TRAJ_STATE_MAX || (dims->state != 2 * d && dims->state != 3 * d))
        what = "dims.state";
    else if (dims->units > TRAJ_UNITS_MAX || (dims->units == 0 && dims->features == 0))
        what = "dims.units";
    else if (dims->features > TRAJ_UNITS_MAX)
        what = "dims.features";
    else if (dims->targets > TRAJ_TARGETS_MAX)
        what = "dims.targets";
    else if ((dims->components < 1) != (dims->states > 0) || dims->components > TRAJ_COMPONENTS_MAX)
        what = "dims.components";
    else if (dims->lag > TRAJ_LAG_MAX)
        what = "dims.lag";
    else if (dims->delay > TRAJ_DELAY_MAX)
        what = "dims.delay";
    else if (dims->tunings > dims->components)
        what = "dims.tunings";
    else if (dims->warps > dims->components)
        what = "dims.warps";
    else if (dims->states > TRAJ_STATES_MAX)
        what = "dims.states";
    else if (dims->nodes > TRAJ_STATES_MAX || (dims->nodes > 0) != (dims->states > 0))
        what = "dims.nodes";
    else if (dims->links > TRAJ_LINKS_MAX || (dims->links > 0) != (dims->states > 0))
        what = "dims.links";
    else if (dims->stages > TRAJ_STAGES_MAX || (dims->stages > 0 && dims->states == 0))
        what = "dims.stages";
    else if (dims->paces > TRAJ_PACES_MAX || (dims->paces > 0 && dims->states == 0))
        what = "dims.paces";
    else if (dims->gains > TRAJ_GAINS_MAX)
        what = "dims.gains";
    else if (dims->factors > dims->units + dims->features)
        what = "dims.factors";
    return what ? complain(complaint, TRAJ_E_DIMS, what, 0) : TRAJ_OK;
}

static enum traj_status check_tuning(struct complaint *complaint, const struct traj_model *model)
{
    const struct traj_dims *dims = &model->dims;
    const struct traj_tuning *tuning = &model->tuning;
    enum traj_status status =
        finite(complaint, "tuning.weight", tuning->weight, dims->units, dims->state);
    if (status == TRAJ_OK)
        status = finite(complaint, "tuning.offset", tuning->offset, dims->units, 1);
    if (status != TRAJ_OK)
        return status;
    if (!tuning->lag && dims->units > 0)
        return complain(complaint, TRAJ_E_DIMS, "tuning.lag", 0);
    if (dims->factors > 0) {
        status = finite(complaint, "tuning.noise", tuning->noise, dims->units, 1);
        if (status == TRAJ_OK)
            status = finite(complaint, "tuning.factor", tuning->factor, dims->units, dims->factors);
        if (status != TRAJ_OK)
            return status;
    }
    for (size_t n = 0; n < dims->units && dims->factors > 0; n++)
        if (!(tuning->noise[n] > 0.0))
            return complain(complaint, TRAJ_E_RANGE, "tuning.noise", n);
    for (size_t n = 0; n < dims->units; n++)
        if (tuning->lag[n] < 0 || (size_t)tuning->lag[n] > dims->lag)
            return complain(complaint, TRAJ_E_RANGE, "tuning.lag", n);
    return TRAJ_OK;
}

static enum traj_status check_own_tuning(struct complaint *complaint,
                                         const struct traj_model *model)
{
    const struct traj_dims *dims = &model->dims;
    const struct traj_tuning *tuning = &model->tuning;
    if (dims->tunings == 0)
        return TRAJ_OK;
    enum traj_status status = finite(complaint, "tuning.own_weight", tuning->own_weight,
                                     dims->tunings, dims->units * dims->state);
    if (status == TRAJ_OK)
        status =
            finite(complaint, "tuning.own_offset", tuning->own_offset, dims->tunings, dims->units);
    if (status != TRAJ_OK)
        return status;
    if (!tuning->own)
        return complain(complaint, TRAJ_E_DIMS, "tuning.own", 0);
    for (size_t k = 0; k < dims->components; k++)
        if (tuning->own[k] < -1 || tuning->own[k] >= (int32_t)dims->tunings)
            return complain(complaint, TRAJ_E_RANGE, "tuning.own", k);
    return TRAJ_OK;
}

static enum traj_status check_features(struct complaint *complaint, const struct traj_model *model)
{
    const size_t count = model->dims.features;
    const struct traj_feature_map *map = &model->feature;
    double factor[NOISE_TRIED * NOISE_TRIED];
    enum traj_status status =
        finite(complaint, "feature.weight", map->weight, count, model->dims.state);
    if (status == TRAJ_OK)
        status = finite(complaint, "feature.offset", map->offset, count, 1);
    if (status == TRAJ_OK)
        status = finite(complaint, "feature.noise", map->noise, count, count);
    if (status != TRAJ_OK || count == 0)
        return status;
    if (!symmetric(map->noise, count) ||
        (count <= NOISE_TRIED && !traj_cholesky(count, map->noise, factor)))
        return complain(complaint, TRAJ_E_NOT_PD, "feature.noise", 0);
    return TRAJ_OK;
}

static enum traj_status check_dynamics(struct complaint *complaint, const struct traj_model *model)
{
    const size_t count = model->dims.components;
    const size_t state = model->dims.state;
    const struct traj_dynamics *dynamics = &model->dynamics;
    enum traj_status status =
        finite(complaint, "dynamics.transition", dynamics->transition, count, state * state);
    if (status == TRAJ_OK)
        status = finite(complaint, "dynamics.drift", dynamics->drift, count, state);
    if (status == TRAJ_OK)
        status = finite(complaint, "dynamics.start", dynamics->start, count, state);
    if (status == TRAJ_OK)
        status = covariances(complaint, "dynamics.noise", dynamics->noise, count, state);
    if (status == TRAJ_OK)
        status = covariances(complaint, "dynamics.start_cov", dynamics->start_cov, count, state);
    return status;
}

static enum traj_status check_warp(struct complaint *complaint, const struct traj_model *model)
{
    const struct traj_warp *warp = &model->warp;
    const size_t warps = model->dims.warps;
    const struct {
        const char *what;
        const double *x;
    } arrays[] = {{"warp.mean", warp->mean},
                  {"warp.variance", warp->variance},
                  {"warp.walk", warp->walk},
                  {"warp.limit", warp->limit}};
    if (warps == 0)
        return TRAJ_OK;
    enum traj_status status = TRAJ_OK;
    for (size_t i = 0; i < sizeof arrays / sizeof *arrays && status == TRAJ_OK; i++)
        status = finite(complaint, arrays[i].what, arrays[i].x, warps, 1);
    if (status != TRAJ_OK)
        return status;
    if (!warp->own)
        return complain(complaint, TRAJ_E_DIMS, "warp.own", 0);
    for (size_t w = 0; w < warps; w++) {
        if (!(warp->limit[w] >= 0.0 && warp->limit[w] <= TRAJ_WARP_MAX))
            return complain(complaint, TRAJ_E_RANGE, "warp.limit", w);
        if (!(fabs(warp->mean[w]) <= warp->limit[w]))
            return complain(complaint, TRAJ_E_RANGE, "warp.mean", w);
        if (!(warp->variance[w] >= 0.0))
            return complain(complaint, TRAJ_E_RANGE, "warp.variance", w);
        if (!(warp->walk[w] >= 0.0))
            return complain(complaint, TRAJ_E_RANGE, "warp.walk", w);
    }
    for (size_t k = 0; k < model->dims.components; k++)
        if (warp->own[k] < -1 || warp->own[k] >= (int32_t)warps)
            return complain(complaint, TRAJ_E_RANGE, "warp.own", k);
    return TRAJ_OK;
}

static enum traj_status check_components(struct complaint *complaint,
                                         const struct traj_model *model)
{
    const size_t count = model->dims.components;
    const size_t targets = model->dims.targets;
    enum traj_status status =
        finite(complaint, "component_prior", model->component_prior, count, 1);
    if (status == TRAJ_OK)
        status = finite(complaint, "target_position", model->target_position, targets,
                        model->dims.position);
    if (status != TRAJ_OK)
        return status;
    if (!model->component_target)
        return complain(complaint, TRAJ_E_DIMS, "component_target", 0);
    if (!model->trial_reset)
        return complain(complaint, TRAJ_E_DIMS, "trial_reset", 0);
    if (model->dims.delay > 0 && !model->component_delay)
        return complain(complaint, TRAJ_E_DIMS, "component_delay", 0);
    double sum = 0.0;
    for (size_t k = 0; k < count; k++) {
        const int32_t target = model->component_target[k];
        if (target < -1 || (target >= 0 && (size_t)target >= targets))
            return complain(complaint, TRAJ_E_RANGE, "component_target", k);
        if (model->dims.delay > 0 && (model->component_delay[k] < 0 ||
                                      (size_t)model->component_delay[k] > model->dims.delay))
            return complain(complaint, TRAJ_E_RANGE, "component_delay", k);
        if (model->trial_reset[k] > 1)
            return complain(complaint, TRAJ_E_RANGE, "trial_reset", k);
        if (!(model->component_prior[k] > 0.0))
            return complain(complaint, TRAJ_E_RANGE, "component_prior", k);
        sum += model->component_prior[k];
    }
    if (!(fabs(sum - 1.0) <= 1e-6))
        return complain(complaint, TRAJ_E_RANGE, "component_prior", 0);
    return TRAJ_OK;
}

/* Probabilities that are to sum to 1. */
static enum traj_status distribution(struct complaint *complaint, const char *what,
                                     const double *prob, size_t count, size_t index)
{
    double sum = 0.0;
    for (size_t i = 0; i < count; i++) {
        if (!(prob[i] >= 0.0))
            return complain(complaint, TRAJ_E_RANGE, what, index);
        sum += prob[i];
    }
    return fabs(sum - 1.0) <= 1e-6 ? TRAJ_OK : complain(complaint, TRAJ_E_RANGE, what, index);
}

static enum traj_status check_links(struct complaint *complaint, const struct traj_model *model)
{
    const struct traj_chain *chain = &model->chain;
    const size_t states = model->dims.states, links = model->dims.links;
    if (!chain->link_first || !chain->link_to || !chain->link_prob)
        return complain(complaint, TRAJ_E_DIMS, "chain.link_first", 0);
    if (chain->link_first[0] != 0 || chain->link_first[states] != (int32_t)links)
        return complain(complaint, TRAJ_E_RANGE, "chain.link_first", 0);
    for (size_t l = 0; l < links; l++)
        if (chain->link_to[l] < 0 || (size_t)chain->link_to[l] >= states)
            return complain(complaint, TRAJ_E_RANGE, "chain.link_to", l);
    enum traj_status status = TRAJ_OK;
    for (size_t j = 0; j < states && status == TRAJ_OK; j++) {
        const int32_t first = chain->link_first[j], last = chain->link_first[j + 1];
        if (first < 0 || first > last || (size_t)last > links)
            return complain(complaint, TRAJ_E_RANGE, "chain.link_first", j);
        for (size_t c = 0; c < TRAJ_CONTEXTS && status == TRAJ_OK; c++)
            status = distribution(complaint, "chain.link_prob",
                                  chain->link_prob + c * links + (size_t)first,
                                  (size_t)(last - first), j);
    }
    return status;
}

static enum traj_status check_states(struct complaint *complaint, const struct traj_model *model)
{
    const struct traj_chain *chain = &model->chain;
    const struct traj_dims *dims = &model->dims;
    if (!chain->target || !chain->place || !chain->node || !chain->group)
        return complain(complaint, TRAJ_E_DIMS, "chain.target", 0);
    for (size_t j = 0; j < dims->states; j++) {
        const size_t last = (size_t)chain->node[j] + (chain->share[j] > 0.0 ? 1 : 0);
        if (chain->target[j] < -1 || chain->target[j] >= (int32_t)dims->targets)
            return complain(complaint, TRAJ_E_RANGE, "chain.target", j);
        if (chain->place[j] >= TRAJ_PLACES)
            return complain(complaint, TRAJ_E_RANGE, "chain.place", j);
        if (chain->group[j] < -1 || chain->group[j] >= (int32_t)dims->states)
            return complain(complaint, TRAJ_E_RANGE, "chain.group", j);
        if (chain->node[j] < 0 || last >= dims->nodes)
            return complain(complaint, TRAJ_E_RANGE, "chain.node", j);
        if (!(chain->share[j] >= 0.0 && chain->share[j] < 1.0))
            return complain(complaint, TRAJ_E_RANGE, "chain.share", j);
    }
    return TRAJ_OK;
}

/* What the filter over courses makes of a channel's numbers is finite: its rates, or what its means
 * weigh against its noise. */
static enum traj_status check_scales(struct complaint *complaint, const struct traj_model *model,
                                     size_t channels)
{
    const struct traj_chain *chain = &model->chain;
    const bool gaussian = chain->gaussian != 0.0;
    for (size_t n = 0; gaussian && n < channels; n++)
        if (!(chain->emission_noise[n] > 0.0 && 1.0 / chain->emission_noise[n] <= DBL_MAX))
            return complain(complaint, TRAJ_E_RANGE, "chain.emission_noise", n);
    for (size_t i = 0; i < model->dims.nodes * channels; i++) {
        const double mean = chain->emission_mean[i];
        const bool sane = gaussian ? mean * mean / chain->emission_noise[i % channels] <= DBL_MAX
                                   : fabs(mean) <= LOG_RATE_MOST;
        if (!sane)
            return complain(complaint, TRAJ_E_RANGE, "chain.emission_mean", i / channels);
    }
    return TRAJ_OK;
}

static enum traj_status check_emission(struct complaint *complaint, const struct traj_model *model)
{
    const struct traj_chain *chain = &model->chain;
    const struct traj_dims *dims = &model->dims;
    const bool gaussian = chain->gaussian != 0.0;
    const size_t channels = dims->units + dims->features;
    if ((chain->gaussian != 0.0 && chain->gaussian != 1.0) ||
        (!gaussian && (dims->features > 0 || dims->factors > 0)) || (gaussian && dims->gains > 0))
        return complain(complaint, TRAJ_E_RANGE, "chain.gaussian", 0);
    enum traj_status status =
        finite(complaint, "chain.emission_mean", chain->emission_mean, dims->nodes, channels);
    if (status == TRAJ_OK && chain->emission_doubt)
        status = finite(complaint, "chain.emission_doubt", chain->emission_doubt, dims->nodes, 1);
    for (size_t e = 0; status == TRAJ_OK && chain->emission_doubt && e < dims->nodes; e++)
        if (!(chain->emission_doubt[e] >= 0.0))
            return complain(complaint, TRAJ_E_RANGE, "chain.emission_doubt", e);
    if (status == TRAJ_OK && gaussian)
        status = finite(complaint, "chain.emission_noise", chain->emission_noise, channels, 1);
    if (status == TRAJ_OK)
        status = check_scales(complaint, model, channels);
    if (status == TRAJ_OK && dims->factors > 0)
        status = finite(complaint, "chain.emission_factor", chain->emission_factor, channels,
                        dims->factors);
    if (status == TRAJ_OK && dims->gains > 0)
        status = finite(complaint, "chain.gain", chain->gain, dims->units, dims->gains);
    return status;
}

static enum traj_status check_recent(struct complaint *complaint, const struct traj_model *model)
{
    const struct traj_recent_model *recent = &model->recent;
    const size_t out = 2 * model->dims.position, stages = model->dims.stages;
    const size_t channels = model->dims.units + model->dims.features;
    const struct {
        const char *what;
        const double *x;
        size_t rows, columns;
    } arrays[] = {{"recent.center", recent->center, channels, 1},
                  {"recent.weight", recent->weight, stages * channels, out},
                  {"recent.offset", recent->offset, out, 1},
                  {"recent.mean", recent->mean, model->dims.states, out},
                  {"recent.gain", recent->gain, out, out}};
    enum traj_status status = TRAJ_OK;
    if (stages > 0 && model->chain.gaussian == 0.0)
        return complain(complaint, TRAJ_E_DIMS, "dims.stages", 0);
    for (size_t i = 0; stages > 0 && i < sizeof arrays / sizeof *arrays && status == TRAJ_OK; i++)
        status = finite(complaint, arrays[i].what, arrays[i].x, arrays[i].rows, arrays[i].columns);
    if (status == TRAJ_OK && stages > 0)
        status = covariances(complaint, "recent.noise", recent->noise, 1, out);
    if (status == TRAJ_OK && stages > 0 && !(recent->follow > 0.0 && recent->follow <= 1.0))
        status = complain(complaint, TRAJ_E_RANGE, "recent.follow", 0);
    if (status == TRAJ_OK && !(recent->temper >= 0.0 && recent->temper <= 1.0))
        status = complain(complaint, TRAJ_E_RANGE, "recent.temper", 0);
    return status;
}

static enum traj_status check_steer(struct complaint *complaint, const struct traj_model *model)
{
    const struct traj_steer_model *steer = &model->steer;
    const size_t paces = model->dims.paces, dim = model->dims.position;
    const size_t channels = model->dims.units + model->dims.features;
    const struct {
        const char *what;
        double x, most;
        bool positive;
    } numbers[] = {{"steer.speed_most", steer->speed_most, INFINITY, true},
                   {"steer.velocity_spread", steer->velocity_spread, INFINITY, true},
                   {"steer.place_spread", steer->place_spread, INFINITY, true},
                   {"steer.close", steer->close, INFINITY, false},
                   {"steer.patience", steer->patience, INFINITY, false},
                   {"steer.mark", steer->mark, 1.0, false},
                   {"steer.change", steer->change, 1.0, false},
                   {"steer.change_unmarked", steer->change_unmarked, 1.0, false}};
    if (paces == 0)
        return TRAJ_OK;
    if (model->chain.gaussian == 0.0)
        return complain(complaint, TRAJ_E_DIMS, "dims.paces", 0);
    enum traj_status status =
        finite(complaint, "steer.tuning", steer->tuning, channels, 2 * dim + 2);
    if (status == TRAJ_OK)
        status = finite(complaint, "steer.pace", steer->pace, paces, 1);
    if (status == TRAJ_OK)
        status = finite(complaint, "steer.home", steer->home, 1, dim);
    for (size_t k = 0; k < paces && status == TRAJ_OK; k++) {
        if (!(steer->pace[k] >= 0.0) || (k == 0 && steer->pace[k] > 0.0))
            return complain(complaint, TRAJ_E_RANGE, "steer.pace", k);
        status = distribution(complaint, "steer.pace_prob", steer->pace_prob + k * paces, paces, k);
    }
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers && status == TRAJ_OK; i++) {
        const double x = numbers[i].x;
        if (!isfinite(x) || x < 0.0 || x > numbers[i].most || (numbers[i].positive && x == 0.0))
            return complain(complaint, TRAJ_E_RANGE, numbers[i].what, 0);
    }
    return status;
}

static enum traj_status check_chain(struct complaint *complaint, const struct traj_model *model)
{
    const struct traj_chain *chain = &model->chain;
    const size_t states = model->dims.states, d = model->dims.position;
    const struct {
        const char *what;
        const double *x;
        size_t columns;
    } arrays[] = {{"chain.position", chain->position, d}, {"chain.velocity", chain->velocity, d},
                  {"chain.progress", chain->progress, 1}, {"chain.eta", chain->eta, 1},
                  {"chain.share", chain->share, 1},       {"chain.initial", chain->initial, 1},
                  {"chain.start", chain->start, 1}};
    enum traj_status status =
        finite(complaint, "target_position", model->target_position, model->dims.targets, d);
    for (size_t i = 0; i < sizeof arrays / sizeof *arrays && status == TRAJ_OK; i++)
        status = finite(complaint, arrays[i].what, arrays[i].x, states, arrays[i].columns);
    if (status == TRAJ_OK)
        status = covariances(complaint, "chain.position_spread", chain->position_spread, states, d);
    if (status == TRAJ_OK)
        status = covariances(complaint, "chain.velocity_spread", chain->velocity_spread, states, d);
    if (status == TRAJ_OK)
        status = check_states(complaint, model);
    if (status == TRAJ_OK)
        status = check_emission(complaint, model);
    if (status == TRAJ_OK)
        status = check_links(complaint, model);
    if (status == TRAJ_OK)
        status = distribution(complaint, "chain.initial", chain->initial, states, 0);
    if (status == TRAJ_OK)
        status = distribution(complaint, "chain.start", chain->start, states, 0);
    if (status == TRAJ_OK && !(chain->start_share > 0.0 && chain->start_share <= 1.0))
        status = complain(complaint, TRAJ_E_RANGE, "chain.start_share", 0);
    if (status == TRAJ_OK && !(chain->switch_prob >= 0.0 && chain->switch_prob < 1.0))
        status = complain(complaint, TRAJ_E_RANGE, "chain.switch_prob", 0);
    if (status == TRAJ_OK && !(chain->temper > 0.0 && chain->temper <= 1.0))
        status = complain(complaint, TRAJ_E_RANGE, "chain.temper", 0);
    if (status == TRAJ_OK && !(chain->drift >= 0.0 && chain->drift < 1.0))
        status = complain(complaint, TRAJ_E_RANGE, "chain.drift", 0);
    if (status == TRAJ_OK && chain->drift > 0.0 && chain->gaussian == 0.0)
        status = complain(complaint, TRAJ_E_RANGE, "chain.drift", 0);
    if (status == TRAJ_OK)
        status = check_recent(complaint, model);
    if (status == TRAJ_OK)
        status = check_steer(complaint, model);
    return status;
}

static enum traj_status check_plan(struct complaint *complaint, const struct traj_model *model)
{
    const struct traj_plan *plan = &model->plan;
    const size_t units = model->dims.units;
    const double longest = 1e9 * model->bin_width;
    if (!(plan->end >= 0.0 && plan->end <= longest))
        return complain(complaint, TRAJ_E_RANGE, "plan.end", 0);
    if (!(plan->begin >= 0.0 && (plan->end == 0.0 || plan->begin < plan->end)))
        return complain(complaint, TRAJ_E_RANGE, "plan.begin", 0);
    if (!plan->rate)
        return TRAJ_OK;
    if (!(plan->temper > 0.0 && plan->temper <= 1.0))
        return complain(complaint, TRAJ_E_RANGE, "plan.temper", 0);
    const enum traj_status status =
        finite(complaint, "plan.rate", plan->rate, model->dims.targets, units);
    if (status != TRAJ_OK)
        return status;
    for (size_t i = 0; i < model->dims.targets * units; i++)
        if (!(plan->rate[i] > 0.0))
            return complain(complaint, TRAJ_E_RANGE, "plan.rate", i / units);
    return TRAJ_OK;
}

/* The single numbers, each with its range. */
static enum traj_status check_numbers(struct complaint *complaint, const struct traj_model *model)
{
    const struct {
        const char *what;
        double value;
        double least; /* excluded where `open` */
        double most;
        bool open;
    } numbers[] = {
        {"bin_width", model->bin_width, 0.0, 1e6, true},
        {"switch_rate", model->switch_rate, 0.0, 1e12, false},
        {"evidence_temper", model->evidence_temper, 0.0, 1.0, true},
        {"calibration.position_scale", model->calibration.position_scale, 0.0, 1e12, true},
        {"calibration.velocity_scale", model->calibration.velocity_scale, 0.0, 1e12, true},
        {"calibration.position_round", model->calibration.position_round, 0.0, 1.0, false},
        {"calibration.position_unmarked", model->calibration.position_unmarked, -50.0, 50.0, false},
        {"calibration.target_power", model->calibration.target_power, 0.0, 1e6, true},
        {"calibration.target_rise", model->calibration.target_rise, 0.0, 1e6, false},
        {"calibration.free_bias", model->calibration.free_bias, -50.0, 0.0, false},
    };
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        const double value = numbers[i].value;
        if (!traj_all_finite(1, &value))
            return complain(complaint, TRAJ_E_NONFINITE, numbers[i].what, 0);
        if (value < numbers[i].least || value > numbers[i].most ||
            (numbers[i].open && value == numbers[i].least))
            return complain(complaint, TRAJ_E_RANGE, numbers[i].what, 0);
    }
    return TRAJ_OK;
}

/* Knots in order, and factors of sizes that leave a covariance usable. */
static enum traj_status check_curve(struct complaint *complaint, const char *what,
                                    const struct traj_curve *curve)
{
    for (size_t i = 0; i < TRAJ_CURVE_KNOTS; i++) {
        if (!traj_all_finite(1, &curve->at[i]) || !traj_all_finite(1, &curve->value[i]))
            return complain(complaint, TRAJ_E_NONFINITE, what, i);
        if (fabs(curve->value[i]) > 50.0 || (i > 0 && curve->at[i] < curve->at[i - 1]))
            return complain(complaint, TRAJ_E_RANGE, what, i);
    }
    return TRAJ_OK;
}

static enum traj_status check_curves(struct complaint *complaint,
                                     const struct traj_calibration *calibration)
{
    enum traj_status status =
        check_curve(complaint, "calibration.position_by_spread", &calibration->position_by_spread);
    if (status == TRAJ_OK)
        status = check_curve(complaint, "calibration.velocity_by_spread",
                             &calibration->velocity_by_spread);
    if (status == TRAJ_OK)
        status = check_curve(complaint, "calibration.velocity_by_speed",
                             &calibration->velocity_by_speed);
    return status;
}

static enum traj_status check_component_family(struct complaint *complaint,
                                               const struct traj_model *model)
{
    enum traj_status status = check_tuning(complaint, model);
    if (status == TRAJ_OK)
        status = check_own_tuning(complaint, model);
    if (status == TRAJ_OK)
        status = check_features(complaint, model);
    if (status == TRAJ_OK)
        status = check_dynamics(complaint, model);
    if (status == TRAJ_OK)
        status = check_warp(complaint, model);
    if (status == TRAJ_OK)
        status = check_components(complaint, model);
    return status;
}

enum traj_status traj_model_check(const struct traj_model *model, const char **what, size_t *index)
{
    struct complaint complaint = {NULL, 0};
    enum traj_status status = check_dims(&complaint, &model->dims);
    if (status == TRAJ_OK)
        status = check_numbers(&complaint, model);
    if (status == TRAJ_OK)
        status = check_curves(&complaint, &model->calibration);
    if (status == TRAJ_OK)
        status = model->dims.states > 0 ? check_chain(&complaint, model)
                                        : check_component_family(&complaint, model);
    if (status == TRAJ_OK)
        status = check_plan(&complaint, model);
    if (what)
        *what = complaint.what;
    if (index)
        *index = complaint.index;
    return status;
}
