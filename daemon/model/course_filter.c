/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The filter over courses; see course_filter.h. */
#include "daemon/model/course_filter.h"

#include "daemon/model/course_tables.h"
#include "daemon/model/elementary.h"

#include <math.h>
#include <string.h>

#define STEPS_MAX 4096u /* transitions taken over one gap; by then the chain has forgotten */

static size_t channels_of(const struct traj_dims *dims)
{
    return dims->units + dims->features;
}

static size_t rounded(size_t n, size_t to)
{
    return (n + to - 1) / to * to;
}

/* ---- memory -------------------------------------------------------------------------------- */

static void lay_out_list(struct traj_course_states *list, struct traj_arena *arena, size_t room,
                         size_t width)
{
    list->active = traj_arena_take(arena, room, sizeof(int32_t));
    list->place = traj_arena_take(arena, room, sizeof(int32_t));
    list->prob = traj_arena_take(arena, room, sizeof(double));
    list->row = traj_arena_take(arena, room * width, sizeof(double));
}

/* What moves: a number a state that has probability, and what is gathered of every state. */
static void lay_out_states(struct traj_course_filter *f, struct traj_arena *arena)
{
    const size_t states = f->states, room = states > 0 ? states + 3 : 0;
    const size_t blocks = rounded(states, TRAJ_LANES) / TRAJ_LANES;
    lay_out_list(&f->now, arena, room, f->width);
    lay_out_list(&f->ahead, arena, room, f->width);
    f->weight = traj_arena_take(arena, room, sizeof(double));
    f->after = traj_arena_take(arena, room, sizeof(double));
    f->likely = traj_arena_take(arena, room, sizeof(double));
    f->evidence = traj_arena_take(arena, room, sizeof(double));
    f->low = traj_arena_take(arena, room, sizeof(int32_t));
    f->high = traj_arena_take(arena, room, sizeof(int32_t));
    f->share = traj_arena_take(arena, room, sizeof(double));
    f->factored = traj_arena_take(arena, f->gains > 0 ? room * f->width : 0, sizeof(double));
    f->next = traj_arena_take(arena, states * f->width, sizeof(double));
    f->reached = traj_arena_take(arena, blocks, sizeof(uint8_t));
    f->span = traj_arena_take(arena, 2 * blocks, sizeof(int32_t));
    f->members = traj_arena_take(arena, states, sizeof(double));
    f->node_after = traj_arena_take(arena, states, sizeof(int32_t));
    f->start = traj_arena_take(arena, states, sizeof(int32_t));
    f->shape = traj_arena_take(arena, f->dim == 2 ? states * TRAJ_SHAPE : 0, sizeof(double));
}

static void lay_out_tables(struct traj_course_filter *f, struct traj_arena *arena)
{
    const size_t channels = f->channels, stride = f->stride;
    const size_t rows = channels > f->nodes ? channels : f->nodes;
    const size_t summed = 1 + f->gains + f->tri + f->factors;
    f->observed = traj_arena_take(arena, channels, sizeof(uint8_t));
    f->table = traj_arena_take(arena, channels * stride, sizeof(double));
    /* Poisson rates: where there are factors of a noise there are none (check.c). */
    f->rate = traj_arena_take(arena, f->factors > 0 ? 0 : channels * stride, sizeof(double));
    f->offset = traj_arena_take(arena, stride, sizeof(double));
    f->node_row = traj_arena_take(arena, f->nodes * f->width, sizeof(double));
    f->sums = traj_arena_take(arena, summed * stride, sizeof(double));
    f->sums_of_all = traj_arena_take(arena, summed * stride, sizeof(double));
    f->log_likelihood = traj_arena_take(arena, stride, sizeof(double));
    f->needed = traj_arena_take(arena, stride / TRAJ_LANES, sizeof(uint8_t));
    f->noise_factor = traj_arena_take(arena, f->factors * f->factors, sizeof(double));
    f->precision = traj_arena_take(arena, channels, sizeof(double));
    f->scaled = traj_arena_take(arena, channels * f->factor_stride, sizeof(double));
    f->scaled_of = traj_arena_take(arena, channels * f->factors, sizeof(double));
    f->common = traj_arena_take(arena, f->factor_stride, sizeof(double));
    f->weighed = traj_arena_take(arena, channels, sizeof(double));
    f->least = traj_arena_take(arena, channels, sizeof(double));
    f->most = traj_arena_take(arena, channels, sizeof(double));
    f->farthest = traj_arena_take(arena, channels, sizeof(double));
    f->centre = traj_arena_take(arena, channels, sizeof(double));
    f->centred = traj_arena_take(arena, channels, sizeof(double));
    f->drifted = traj_arena_take(arena, channels, sizeof(double));
    f->seen = traj_arena_take(arena, channels, sizeof(double));
    f->node_weight = traj_arena_take(arena, stride, sizeof(double));
    f->expected = traj_arena_take(arena, channels, sizeof(double));
    f->row_of = traj_arena_take(arena, rows, sizeof(const double *));
    f->value_of = traj_arena_take(arena, rows, sizeof(double));
}

void traj_course_filter_lay_out(struct traj_course_filter *filter, struct traj_arena *arena,
                                const struct traj_dims *dims)
{
    const size_t gains = dims->gains;
    filter->states = dims->states;
    filter->nodes = dims->nodes;
    filter->stride = rounded(dims->nodes, TRAJ_LANES);
    filter->channels = dims->states ? channels_of(dims) : 0;
    filter->gains = gains;
    filter->factors = dims->factors;
    filter->factor_stride = rounded(dims->factors, TRAJ_LANES);
    filter->links = dims->links;
    filter->dim = dims->position;
    filter->tri = gains * (gains + 1) / 2;
    filter->width = gains ? rounded(1 + gains + filter->tri, 4) : 1;
    lay_out_states(filter, arena);
    lay_out_tables(filter, arena);
    traj_recent_lay_out(&filter->recent, arena, dims);
    traj_steer_lay_out(&filter->steer, arena, dims);
    filter->whole = traj_arena_take(arena, dims->stages ? filter->channels : 0, sizeof(double));
}

enum traj_status traj_course_filter_init(struct traj_course_filter *f,
                                         const struct traj_model *model)
{
    f->model = model;
    f->context = TRAJ_CONTEXT_BETWEEN;
    f->add_rows = traj_rows_choose();
    f->kernels = traj_course_kernels_choose();
    memset(f->observed, 1, f->channels);
    traj_course_tables_make(f);
    traj_steer_init(&f->steer, model);
    f->answers = f->recent.stages > 0 && model->recent.temper > 0.0;
    if (!traj_course_tables_follow(f) || !traj_recent_init(&f->recent, model))
        return TRAJ_E_NOT_PD;
    traj_course_filter_reset(f);
    return TRAJ_OK;
}

/* ---- trials -------------------------------------------------------------------------------- */

/* What was done ahead is forgotten: the next frame is not the one that was expected. */
static void discard(struct traj_course_filter *f)
{
    f->prepared = false;
}

void traj_course_filter_stand(struct traj_course_filter *f, const double *prob)
{
    struct traj_course_states *now = &f->now;
    discard(f);
    memset(f->owed, 0, sizeof f->owed);
    now->count = 0;
    for (size_t j = 0; j < f->states; j++) {
        if (!(prob[j] > 0.0))
            continue;
        double *row = now->row + now->count * f->width;
        memset(row, 0, f->width * sizeof(double));
        row[0] = 1.0;
        now->active[now->count] = (int32_t)j;
        now->place[now->count] = (int32_t)now->count;
        now->prob[now->count] = prob[j];
        f->weight[now->count++] = prob[j];
    }
}

/* Back to the initial distribution, weights included. */
static void forget(struct traj_course_filter *f)
{
    traj_course_filter_stand(f, f->model->chain.initial);
}

void traj_course_filter_reset(struct traj_course_filter *f)
{
    forget(f);
    memset(f->drifted, 0, f->channels * sizeof(double));
    traj_recent_clear(&f->recent);
    traj_steer_clear(&f->steer);
    f->steer.in_trial = false;
    f->fresh = true;
    f->entering = false;
    f->context = f->context == TRAJ_CONTEXT_UNMARKED ? TRAJ_CONTEXT_UNMARKED : TRAJ_CONTEXT_BETWEEN;
}

void traj_course_filter_marks(struct traj_course_filter *f, bool marks)
{
    discard(f);
    f->steer.marked = marks;
    if (!marks)
        f->context = TRAJ_CONTEXT_UNMARKED;
    else if (f->context == TRAJ_CONTEXT_UNMARKED)
        f->context = TRAJ_CONTEXT_BETWEEN;
}

void traj_course_filter_trial_start(struct traj_course_filter *f, const double *belief)
{
    discard(f);
    traj_steer_trial_start(&f->steer, belief);
    f->entering = true;
    f->context = TRAJ_CONTEXT_TRIAL;
}

void traj_course_filter_trial_stop(struct traj_course_filter *f)
{
    discard(f);
    traj_steer_trial_stop(&f->steer);
    f->entering = false;
    if (f->context == TRAJ_CONTEXT_TRIAL)
        f->context = TRAJ_CONTEXT_BETWEEN;
}

void traj_course_filter_reweigh(struct traj_course_filter *f, const double *change)
{
    const int32_t *target = f->model->chain.target;
    discard(f);
    traj_steer_reweigh(&f->steer, change);
    for (size_t i = 0; i < f->now.count; i++) {
        const int32_t m = target[f->now.active[i]];
        if (m >= 0)
            f->now.prob[i] *= traj_exp(change[m]);
    }
}

size_t traj_course_filter_likeliest(const struct traj_course_filter *f)
{
    size_t best = f->states;
    double most = 0.0;
    for (size_t i = 0; i < f->now.count && !f->fresh; i++)
        if (f->weight[i] > most) {
            most = f->weight[i];
            best = (size_t)f->now.active[i];
        }
    return best;
}

void traj_course_filter_spread(const struct traj_course_filter *f, double *prob)
{
    memset(prob, 0, f->states * sizeof(double));
    for (size_t i = 0; i < f->now.count; i++)
        prob[f->now.active[i]] = f->now.prob[i];
}

/* ---- prediction ---------------------------------------------------------------------------- */

static void reach(struct traj_course_filter *f, size_t j)
{
    f->reached[j / TRAJ_LANES] = 1;
}

/* What is predicted from stands as it is: no time has passed. */
static void stay(struct traj_course_filter *f)
{
    const struct traj_course_states *now = &f->now;
    for (size_t i = 0; i < now->count; i++) {
        const size_t j = (size_t)now->active[i];
        const double *row = now->row + (size_t)now->place[i] * f->width;
        for (size_t k = 0; k < f->width; k++)
            f->next[j * f->width + k] = now->prob[i] * row[k];
        reach(f, j);
    }
}

/*
 * The target changes with probability switch_prob: a group's states (one a target, of the same
 * phase and warp) share that part of their probability evenly.  Groups are numbered below J, so
 * the rows ahead, which are not there yet, have room for their sums.
 */
static void exchange(struct traj_course_filter *f)
{
    const struct traj_chain *c = &f->model->chain;
    const size_t width = f->width;
    double *sum = f->ahead.row;
    memset(sum, 0, f->states * width * sizeof(double));
    for (size_t j = 0; j < f->states; j++)
        for (size_t k = 0; c->group[j] >= 0 && k < width; k++)
            sum[(size_t)c->group[j] * width + k] += f->next[j * width + k];
    for (size_t j = 0; j < f->states; j++) {
        if (c->group[j] < 0 || !(sum[(size_t)c->group[j] * width] > 0.0))
            continue;
        const size_t g = (size_t)c->group[j];
        const double share = c->switch_prob / f->members[g];
        for (size_t k = 0; k < width; k++)
            f->next[j * width + k] =
                (1.0 - c->switch_prob) * f->next[j * width + k] + share * sum[g * width + k];
        reach(f, j);
    }
}

/* A state's part of the trial's start, by what is believed of targets; not normalised. */
static double begins(const struct traj_course_filter *f, size_t j, const double *belief)
{
    const struct traj_chain *c = &f->model->chain;
    return c->start[j] * (c->target[j] >= 0 ? traj_exp(belief[c->target[j]]) : 1.0);
}

/* The trial's start: a share of the probability stands where trials begin. */
static void enter(struct traj_course_filter *f, const double *belief)
{
    const double share = f->model->chain.start_share;
    double total = 0.0;
    for (size_t i = 0; i < f->starts; i++)
        total += begins(f, (size_t)f->start[i], belief);
    for (size_t j = 0; j < f->states; j++) {
        double *row = f->next + j * f->width;
        if (!f->reached[j / TRAJ_LANES])
            continue;
        /* What is owed belongs to those that have been there alone. */
        for (size_t k = 1; k < f->width; k++)
            row[k] = (1.0 - share) * (row[k] + row[0] * f->owed[k]);
        row[0] *= 1.0 - share;
    }
    memset(f->owed, 0, sizeof f->owed);
    for (size_t i = 0; i < f->starts; i++) {
        const size_t j = (size_t)f->start[i];
        f->next[j * f->width] += share * begins(f, j, belief) / total;
        reach(f, j);
    }
    f->entering = false;
}

/* Marks the blocks of nodes that states of next may lie between. */
static void need_nodes(struct traj_course_filter *f)
{
    memset(f->needed, 0, f->stride / TRAJ_LANES);
    for (size_t block = 0; block * TRAJ_LANES < f->states; block++) {
        if (!f->reached[block])
            continue;
        for (int32_t at = f->span[2 * block]; at <= f->span[2 * block + 1]; at++)
            f->needed[at] = 1;
    }
}

/* One bin, whose states become those ahead once they are gathered. */
static void move(struct traj_course_filter *f)
{
    f->kernels->transition(f, f->model->chain.link_prob + (size_t)f->context * f->links);
    if (f->model->chain.switch_prob > 0.0)
        exchange(f);
}

/* next becomes the states ahead, with what a frame of length dt adds to them. */
static void arrive(struct traj_course_filter *f, double dt)
{
    need_nodes(f);
    f->kernels->gather(f, dt);
    if (f->gains > 0)
        f->kernels->factor(f);
}

/* Brings into the caches what the frame will need of the states ahead. */
static void fetch(const struct traj_course_filter *f)
{
    for (size_t i = 0; f->dim == 2 && i < f->ahead.count; i++) {
        const double *shape = f->shape + TRAJ_SHAPE * (size_t)f->ahead.active[i];
        __builtin_prefetch(shape);
        __builtin_prefetch(shape + TRAJ_SHAPE / 2);
    }
}

void traj_course_filter_prepare(struct traj_course_filter *f, double dt)
{
    if (f->prepared || f->fresh || f->entering)
        return;
    move(f);
    arrive(f, dt);
    fetch(f);
    f->prepared = true;
    f->prepared_dt = dt;
}

/* The states ahead, where they have not been prepared. */
static void predict(struct traj_course_filter *f, size_t steps, double dt, const double *belief)
{
    if (f->prepared && steps == 1 && dt == f->prepared_dt && !f->entering)
        return;
    if (f->fresh)
        stay(f);
    for (size_t s = f->fresh ? 1 : 0; s < steps && s < STEPS_MAX; s++) {
        if (s > 0) {
            const struct traj_course_states done = f->now;
            f->kernels->gather(f, 0.0);
            f->now = f->ahead;
            f->ahead = done;
            memset(f->owed, 0, sizeof f->owed);
        }
        move(f);
    }
    f->fresh = false;
    if (f->entering)
        enter(f, belief);
    arrive(f, dt);
}

/* ---- conditioning -------------------------------------------------------------------------- */

/* The transformed value of each channel into seen[], NaN where it was not observed. */
static void transform(struct traj_course_filter *f, const struct traj_observation *o)
{
    const size_t units = f->model->dims.units;
    const bool roots = f->model->chain.gaussian != 0.0;
    const double scale = f->model->bin_width / o->dt;
    for (size_t n = 0; n < units; n++) {
        const unsigned count = o->counts ? o->counts[n] : TRAJ_COUNT_MISSING;
        f->seen[n] = count == TRAJ_COUNT_MISSING ? NAN : (double)count;
    }
    for (size_t n = 0; roots && n < units; n++)
        f->seen[n] = sqrt(f->seen[n] * scale + 0.25);
    for (size_t n = units; n < f->channels; n++)
        f->seen[n] = o->features ? (double)o->features[n - units] : NAN;
}

/* The tables follow where others are observed than before. */
static void follow_observed(struct traj_course_filter *f, bool changed)
{
    if (!changed)
        return;
    discard(f);
    (void)traj_course_tables_follow(f); /* fewer channels leave the noise positive definite */
}

static void look(struct traj_course_filter *f)
{
    bool changed = false;
    for (size_t n = 0; n < f->channels; n++) {
        const uint8_t seen = isfinite(f->seen[n]) ? 1 : 0;
        changed = changed || seen != f->observed[n];
        f->observed[n] = seen;
    }
    follow_observed(f, changed);
}

void traj_course_filter_observed(struct traj_course_filter *f, const uint8_t *seen)
{
    const bool changed = memcmp(f->observed, seen, f->channels) != 0;
    memcpy(f->observed, seen, f->channels);
    follow_observed(f, changed);
}

static double within(double x, double least, double most)
{
    return x > most ? most : x < least ? least : x;
}

/* What is left of the frame's values: 0 where a channel was not observed; G'y is owed.  Of a broken
 * sample, which would be remembered for long, no more is left than a channel can tell. */
static void subtract_drift(struct traj_course_filter *f)
{
    const double *gain = f->model->chain.gain;
    const bool gaussian = f->model->chain.gaussian != 0.0;
    memset(f->owed, 0, sizeof f->owed);
    for (size_t n = 0; n < f->channels; n++) {
        f->seen[n] = f->observed[n] ? f->seen[n] - f->drifted[n] : 0.0;
        if (gaussian && f->observed[n])
            f->seen[n] = within(f->seen[n], f->least[n], f->most[n]);
        for (size_t a = 0; a < f->gains && f->seen[n] != 0.0; a++)
            f->owed[1 + a] += f->seen[n] * gain[n * f->gains + a];
    }
}

/* l of the nodes that are needed, but for what all have alike (frame_alone). */
static void emit(struct traj_course_filter *f, double dt)
{
    const struct traj_rows rows = traj_course_tables_weigh(f, dt);
    const double exposure = f->model->chain.gaussian == 0.0 ? dt : 1.0;
    const size_t blocks = f->stride / TRAJ_LANES;
    for (size_t from = 0, to; from < blocks; from = to + 1) {
        for (to = from; to < blocks && f->needed[to]; to++)
            for (size_t e = to * TRAJ_LANES; e < (to + 1) * TRAJ_LANES; e++)
                f->log_likelihood[e] = -exposure * f->offset[e];
        if (to > from)
            f->add_rows(&rows, from * TRAJ_LANES, (to - from) * TRAJ_LANES, f->log_likelihood);
    }
}

/* What the nodes by their weights expect of the channels. */
static void expect_channels(struct traj_course_filter *f)
{
    const double *mean = f->model->chain.emission_mean;
    struct traj_rows rows = {0, f->row_of, f->value_of};
    memset(f->expected, 0, f->channels * sizeof(double));
    for (size_t e = 0; e < f->nodes; e++) {
        if (!(f->node_weight[e] > 0.0))
            continue;
        f->row_of[rows.count] = mean + e * f->channels;
        f->value_of[rows.count++] = f->node_weight[e];
    }
    f->add_rows(&rows, 0, f->channels, f->expected);
}

/* ---- the recent past ----------------------------------------------------------------------- */

/* Puts what the states ahead expect in place of the channels that were not observed. */
static void expect_unobserved(struct traj_course_filter *f)
{
    double sum = 0.0;
    memset(f->node_weight, 0, f->nodes * sizeof(double));
    for (size_t i = 0; i < f->ahead.count; i++) {
        const double prob = f->ahead.prob[i], share = f->share[i];
        sum += prob;
        f->node_weight[f->low[i]] += prob * (1.0 - share);
        f->node_weight[f->high[i]] += prob * share;
    }
    for (size_t e = 0; e < f->nodes && sum > 0.0; e++)
        f->node_weight[e] /= sum;
    expect_channels(f);
    for (size_t n = 0; n < f->channels; n++)
        f->whole[n] = f->observed[n] ? f->whole[n] : f->drifted[n] + f->expected[n];
}

/* What the recent past, this frame included, says of each state ahead. */
static void weigh_recent(struct traj_course_filter *f)
{
    const double temper = f->model->recent.temper;
    const size_t count = f->ahead.count;
    for (size_t i = 0; i < count; i++)
        f->evidence[i] = temper * traj_recent_likelihood(&f->recent, (size_t)f->ahead.active[i]);
    for (size_t fill = count; count > 0 && fill < count + 3; fill++)
        f->evidence[fill] = f->evidence[0];
}

/* After subtract_drift, and before the states ahead are weighed. */
static void follow_recent(struct traj_course_filter *f, size_t steps)
{
    size_t observed = 0;
    for (size_t n = 0; n < f->channels; n++) {
        observed += f->observed[n];
        f->whole[n] = f->seen[n] + f->drifted[n];
    }
    if (observed < f->channels)
        expect_unobserved(f);
    traj_recent_step(&f->recent, f->whole, observed, steps);
    if (f->answers)
        weigh_recent(f);
}

/* ---- one step ------------------------------------------------------------------------------ */

/* The channels' offsets follow what the posterior leaves unexplained; what is no noise of the
 * channel's, a broken sample, moves its offset no further than the largest noise would. */
static void follow_drift(struct traj_course_filter *f)
{
    const struct traj_chain *c = &f->model->chain;
    memset(f->node_weight, 0, f->nodes * sizeof(double));
    for (size_t i = 0; i < f->now.count; i++) {
        const size_t j = (size_t)f->now.active[i];
        f->node_weight[c->node[j]] += f->weight[i] * (1.0 - c->share[j]);
        f->node_weight[f->node_after[j]] += f->weight[i] * c->share[j];
    }
    expect_channels(f);
    traj_steer_expect(&f->steer, f->expected);
    for (size_t n = 0; n < f->channels; n++)
        if (f->observed[n])
            f->drifted[n] +=
                c->drift * within(f->seen[n] - f->expected[n], -f->farthest[n], f->farthest[n]);
}

/* Probability of each target over a list of states, the gains' factors left out: before and after a
 * frame alike. */
static void sum_targets(const struct traj_course_filter *f, const struct traj_course_states *list,
                        double *out)
{
    const int32_t *target = f->model->chain.target;
    double sum = 0.0;
    memset(out, 0, f->model->dims.targets * sizeof *out);
    for (size_t i = 0; i < list->count; i++) {
        const int32_t m = target[list->active[i]];
        sum += list->prob[i];
        if (m >= 0)
            out[m] += list->prob[i];
    }
    for (size_t m = 0; m < f->model->dims.targets && sum > 0.0; m++)
        out[m] /= sum;
}

/* Probability of states in which every course is over: nowhere on one, or at its end where the
 * trial goes on, or back home where the effector is not. */
static double share_over(const struct traj_course_filter *f)
{
    const uint8_t *place = f->model->chain.place;
    const bool trial = f->context == TRAJ_CONTEXT_TRIAL;
    const bool astray = !trial && traj_steer_astray(&f->steer);
    double sum = 0.0;
    for (size_t i = 0; i < f->now.count; i++) {
        const uint8_t at = place[f->now.active[i]];
        if (at == TRAJ_PLACE_FREE || (trial && at == TRAJ_PLACE_HOLD) ||
            (astray && at == TRAJ_PLACE_REST))
            sum += f->weight[i];
    }
    return sum;
}

double traj_course_filter_step(struct traj_course_filter *f,
                               const struct traj_observation *observation, const double *belief,
                               bool *recovered)
{
    double evidence = NAN;
    transform(f, observation);
    look(f);
    predict(f, observation->steps, observation->dt, belief);
    subtract_drift(f);
    emit(f, observation->dt);
    f->kernels->observe(f, f->owed);
    if (f->recent.stages > 0)
        follow_recent(f, observation->steps);
    if (traj_opinion_waits(f->opinion))
        traj_opinion_weigh(f->opinion, f->model, observation->steps, f->ahead.active,
                           f->ahead.count, f->likely, f->ahead.prob);
    if (f->opinion->told)
        sum_targets(f, &f->ahead, f->opinion->before);
    traj_steer_step(&f->steer, f->seen, observation->steps);
    *recovered = !f->kernels->weigh(f, &evidence);
    discard(f);
    if (f->steer.told && !*recovered)
        traj_steer_wait(&f->steer, share_over(f), observation->steps);
    if (f->opinion->told && !*recovered)
        sum_targets(f, &f->now, f->opinion->after);
    if (*recovered)
        forget(f);
    else if (f->model->chain.drift > 0.0)
        follow_drift(f);
    return *recovered ? NAN : evidence + f->frame_alone;
}
