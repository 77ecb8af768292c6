/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Targets that change while the decoder runs (traj/decoder.h).  The filter over courses is laid out
 * anew in its own part of the block for the carried model (carry.h); what is known of the channels
 * stays, and so does the posterior, as far as its states still are.
 */
#include "daemon/model/internal.h"
#include "daemon/model/linalg.h"

#include <string.h>

static bool is_name(const char *a, const char *b)
{
    size_t i = 0;
    while (i < TRAJ_ID_SIZE && a[i] == b[i] && a[i] != '\0')
        i++;
    return i == TRAJ_ID_SIZE || a[i] == b[i];
}

static bool stands_where(const struct traj_model *model, size_t m, const double *position)
{
    const size_t dim = model->dims.position;
    for (size_t d = 0; d < dim; d++)
        if (model->target_position[m * dim + d] != position[d])
            return false;
    return true;
}

/* The same name, where both have one; else the same place. */
static bool is_same(const struct traj_model *model, size_t m, const char *id,
                    const double *position)
{
    if (model->about.target_id)
        return is_name(model->about.target_id[m], id);
    return stands_where(model, m, position);
}
/* Whether a set is the model's own, one by one. */
static bool is_set_of(const struct traj_model *model, size_t count, const char (*id)[TRAJ_ID_SIZE],
                      const double *position)
{
    const size_t dim = model->dims.position;
    if (count != model->dims.targets)
        return false;
    for (size_t m = 0; m < count; m++)
        if (!is_same(model, m, id[m], position + m * dim) ||
            !stands_where(model, m, position + m * dim))
            return false;
    return true;
}

/* ---- what outlasts the change -------------------------------------------------------------- */

/* Which of the targets to come each of those in force is, -1 = none. */
static void match(struct traj_decoder *decoder, size_t count, const char (*id)[TRAJ_ID_SIZE],
                  const double *position)
{
    const struct traj_model *model = decoder->model;
    for (size_t m = 0; m < model->dims.targets; m++) {
        decoder->kept.target[m] = -1;
        for (size_t i = 0; i < count && decoder->kept.target[m] < 0; i++)
            if (is_same(model, m, id[i], position + i * model->dims.position))
                decoder->kept.target[m] = (int32_t)i;
    }
}

/* What the filter knows, by the states of the targets to come; the rest of the probability is
 * lost. */
static void keep(struct traj_decoder *decoder, size_t count)
{
    const struct traj_course_filter *f = &decoder->filter;
    const struct traj_carry_blocks *b = &decoder->carry.blocks;
    const size_t after = b->state + decoder->model->dims.targets * b->states;
    struct traj_kept *kept = &decoder->kept;
    memset(kept->prob, 0, decoder->carry.room.states * sizeof *kept->prob);
    for (size_t i = 0; i < f->now.count; i++) {
        const size_t j = (size_t)f->now.active[i];
        size_t to = j < b->state ? j : j - after + b->state + count * b->states;
        if (j >= b->state && j < after) {
            const int32_t m = kept->target[(j - b->state) / b->states];
            if (m < 0)
                continue;
            to = b->state + (size_t)m * b->states + (j - b->state) % b->states;
        }
        kept->prob[to] = f->weight[i];
    }
    memcpy(kept->drifted, f->drifted, f->channels * sizeof *kept->drifted);
    if (f->recent.stages > 0) {
        memcpy(kept->stage, f->recent.stage, f->recent.stages * f->channels * sizeof *kept->stage);
        memcpy(kept->share, f->recent.share, f->recent.stages * sizeof *kept->share);
    }
    kept->fresh = f->fresh;
    kept->entering = f->entering;
    kept->context = f->context;
}

/* Puts it back; what was lost is spread as at the very beginning. */
static void restore(struct traj_decoder *decoder)
{
    struct traj_course_filter *f = &decoder->filter;
    const struct traj_kept *kept = &decoder->kept;
    const double *initial = f->model->chain.initial;
    double sum = 0.0;
    f->context = kept->context;
    f->steer.marked = kept->context != TRAJ_CONTEXT_UNMARKED;
    f->steer.in_trial = kept->context == TRAJ_CONTEXT_TRIAL;
    f->entering = kept->entering;
    f->fresh = kept->fresh;
    memcpy(f->drifted, kept->drifted, f->channels * sizeof *kept->drifted);
    if (f->recent.stages > 0) {
        memcpy(f->recent.stage, kept->stage, f->recent.stages * f->channels * sizeof *kept->stage);
        memcpy(f->recent.share, kept->share, f->recent.stages * sizeof *kept->share);
    }
    if (kept->fresh)
        return;
    for (size_t j = 0; j < f->states; j++)
        sum += kept->prob[j];
    const double lost = sum < 1.0 ? 1.0 - sum : 0.0;
    for (size_t j = 0; j < f->states; j++)
        kept->prob[j] += lost * initial[j];
    traj_course_filter_stand(f, kept->prob);
}

/* ---- the change ---------------------------------------------------------------------------- */

static enum traj_status stand_on(struct traj_decoder *decoder, const struct traj_model *model)
{
    struct traj_arena arena = {decoder->block, decoder->filter_at};
    decoder->model = model;
    decoder->belief.model = model;
    decoder->belief.targets = model->dims.targets;
    traj_target_belief_clear(&decoder->belief);
    decoder->opinion.told = false;
    traj_course_filter_lay_out(&decoder->filter, &arena, &model->dims);
    memset(decoder->block + decoder->filter_at, 0, arena.used - decoder->filter_at);
    return traj_course_filter_init(&decoder->filter, model);
}

size_t traj_decoder_slots(const struct traj_decoder *decoder)
{
    return decoder->carry.able ? decoder->carry.room.targets : 0;
}

enum traj_status traj_decoder_targets(struct traj_decoder *decoder, const char *name, size_t count,
                                      const char (*id)[TRAJ_ID_SIZE], const double *position)
{
    const struct traj_model *base = decoder->carry.base;
    enum traj_status status = TRAJ_OK;
    if (!decoder->carry.able)
        return count == 0 ? TRAJ_OK : TRAJ_E_DIMS;
    if (count > decoder->carry.room.targets)
        return TRAJ_E_MEMORY;
    if (count > 0 && !traj_all_finite(count * base->dims.position, position))
        return TRAJ_E_NONFINITE;
    const bool own = count == 0 || is_set_of(base, count, id, position);
    if (own && decoder->model == base)
        return TRAJ_OK;
    if (own) {
        count = base->dims.targets;
        id = base->about.target_id ? base->about.target_id : (const char(*)[TRAJ_ID_SIZE])id;
        position = base->target_position;
    }
    if (id)
        match(decoder, count, id, position);
    else
        memset(decoder->kept.target, 0xff, decoder->carry.room.targets * sizeof(int32_t));
    keep(decoder, count);
    if (!own)
        status = traj_carry_to(&decoder->carry, name, count, id, position);
    if (status == TRAJ_OK && stand_on(decoder, own ? base : &decoder->carry.model) == TRAJ_OK) {
        restore(decoder);
        return TRAJ_OK;
    }
    /* Too many transitions: back to the targets of the model, as after a reset. */
    (void)stand_on(decoder, base);
    traj_course_filter_marks(&decoder->filter, decoder->trial.marks);
    traj_decoder_reset(decoder);
    return TRAJ_E_MEMORY;
}
