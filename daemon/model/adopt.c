/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A decoder that goes on where another stands: the same states under other rates.  What is believed
 * of the states, of the trial, of targets and of units is taken over; tables are those of the new
 * model.
 */
#include "daemon/model/internal.h"

#include <string.h>

static void copy(double *to, const double *from, size_t count)
{
    if (count > 0)
        memcpy(to, from, count * sizeof(double));
}

static bool same_dims(const struct traj_dims *a, const struct traj_dims *b)
{
    return a->position == b->position && a->state == b->state && a->units == b->units &&
           a->features == b->features && a->targets == b->targets && a->states == b->states &&
           a->nodes == b->nodes && a->gains == b->gains && a->links == b->links &&
           a->factors == b->factors && a->stages == b->stages && a->paces == b->paces;
}

/* The states that have probability, and the rows that go along with them. */
static void adopt_states(struct traj_course_filter *f, const struct traj_course_filter *from)
{
    const struct traj_course_states *old = &from->now;
    size_t rows = 0;
    for (size_t i = 0; i < old->count; i++)
        rows = (size_t)old->place[i] >= rows ? (size_t)old->place[i] + 1 : rows;
    /* Behind the last there is room for three, which some kernels look at. */
    f->now.count = old->count;
    memcpy(f->now.active, old->active, (old->count + 3) * sizeof *old->active);
    memcpy(f->now.place, old->place, (old->count + 3) * sizeof *old->place);
    copy(f->now.prob, old->prob, old->count + 3);
    copy(f->now.row, old->row, rows * f->width);
    copy(f->weight, from->weight, old->count + 3);
    memcpy(f->owed, from->owed, sizeof f->owed);
    f->fresh = from->fresh;
    f->entering = from->entering;
    f->context = from->context;
    f->prepared = false;
}

/* An offset less what the tables have taken over of it, but not beyond 0. */
static double less(double offset, double taken)
{
    if (offset > 0.0 && taken > 0.0)
        return offset > taken ? offset - taken : 0.0;
    if (offset < 0.0 && taken < 0.0)
        return offset < taken ? offset - taken : 0.0;
    return offset;
}

/*
 * Offsets follow what the tables leave unexplained; where the new tables, over the states that are
 * believed in, explain a part of it themselves, it must not be counted twice.
 */
static void adopt_drift(struct traj_course_filter *f, const struct traj_course_filter *from)
{
    const struct traj_chain *now = &f->model->chain, *old = &from->model->chain;
    copy(f->drifted, from->drifted, f->channels);
    if (!(now->drift > 0.0) || !(old->drift > 0.0))
        return;
    memset(f->node_weight, 0, f->stride * sizeof(double));
    for (size_t i = 0; i < f->now.count; i++) {
        const size_t j = (size_t)f->now.active[i];
        f->node_weight[now->node[j]] += f->weight[i] * (1.0 - now->share[j]);
        f->node_weight[f->node_after[j]] += f->weight[i] * now->share[j];
    }
    memset(f->expected, 0, f->channels * sizeof(double));
    for (size_t e = 0; e < f->nodes; e++)
        for (size_t n = 0; f->node_weight[e] > 0.0 && n < f->channels; n++)
            f->expected[n] += f->node_weight[e] * (now->emission_mean[e * f->channels + n] -
                                                   old->emission_mean[e * f->channels + n]);
    for (size_t n = 0; n < f->channels; n++)
        f->drifted[n] = less(f->drifted[n], f->expected[n]);
}

/* A memory of channels about one centre becomes one about another. */
static void adopt_recent(struct traj_recent *recent, const struct traj_recent *from)
{
    for (size_t k = 0; k < recent->stages; k++) {
        double *to = recent->stage + k * recent->channels;
        const double *old = from->stage + k * recent->channels;
        recent->share[k] = from->share[k];
        for (size_t n = 0; n < recent->channels; n++)
            to[n] = old[n] + (from->model->recent.center[n] - recent->model->recent.center[n]) *
                                 from->share[k];
    }
    if (recent->stages > 0)
        copy(recent->answer, from->answer, recent->out);
}

static void adopt_belief(struct traj_target_belief *belief, const struct traj_target_belief *from,
                         size_t targets)
{
    copy(belief->prior, from->prior, targets);
    copy(belief->gaze, from->gaze, targets);
    copy(belief->plan, from->plan, targets);
    copy(belief->opinion, from->opinion, targets);
    copy(belief->total, from->total, targets);
    copy(belief->likelihood, from->likelihood, targets);
}

/* What another decoder's opinions are worth, and those that wait or are in force. */
static void adopt_opinion(struct traj_opinion *opinion, const struct traj_opinion *from,
                          size_t targets)
{
    const struct traj_opinion own = *opinion;
    *opinion = *from;
    opinion->log = own.log;
    opinion->root = own.root;
    opinion->loglik = own.loglik;
    opinion->ratio = own.ratio;
    opinion->trial = own.trial;
    opinion->before = own.before;
    opinion->after = own.after;
    copy(opinion->loglik, from->loglik, targets);
    copy(opinion->ratio, from->ratio, targets);
    copy(opinion->before, from->before, targets);
    copy(opinion->after, from->after, targets);
}

/* Stands on the targets that `from` stands on. */
static enum traj_status adopt_targets(struct traj_decoder *decoder, const struct traj_decoder *from)
{
    const struct traj_model *on = from->model;
    if (on == from->carry.base)
        return traj_decoder_targets(decoder, NULL, 0, NULL, NULL);
    return traj_decoder_targets(decoder, on->about.target_set, on->dims.targets,
                                on->about.target_id, on->target_position);
}

enum traj_status traj_decoder_adopt(struct traj_decoder *decoder, const struct traj_decoder *from)
{
    struct traj_course_filter *f = &decoder->filter;
    if (decoder->carry.base->dims.states == 0 ||
        !same_dims(&decoder->carry.base->dims, &from->carry.base->dims) ||
        adopt_targets(decoder, from) != TRAJ_OK)
        return TRAJ_E_DIMS;
    const struct traj_dims *dims = &decoder->model->dims;
    if (!same_dims(dims, &from->model->dims))
        return TRAJ_E_DIMS;
    decoder->trial = from->trial;
    decoder->last_dt = from->last_dt;
    adopt_belief(&decoder->belief, &from->belief, dims->targets);
    adopt_opinion(&decoder->opinion, &from->opinion, dims->targets);
    copy(decoder->health.excess, from->health.excess, dims->units);
    copy(decoder->health.silence, from->health.silence, dims->units);
    copy(decoder->health.unanswered, from->health.unanswered, dims->units);
    copy(decoder->health.expected, from->health.expected, dims->units);
    adopt_states(f, &from->filter);
    adopt_drift(f, &from->filter);
    adopt_recent(&f->recent, &from->filter.recent);
    traj_steer_adopt(&f->steer, &from->filter.steer);
    traj_course_filter_observed(f, from->filter.observed);
    return TRAJ_OK;
}
