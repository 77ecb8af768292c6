/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Smoothing: what is kept of every frame, and the filter over courses; see smooth.h. */
#include "daemon/learn/smooth.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/learn/smooth_mixture.h"
#include "daemon/model/internal.h"

/* States below this share are not kept: in a frame all of them together weigh nothing. */
#define KEPT_LEAST 1e-10
#define STEPS_MAX 4096u /* as the filter */

/* A frame: its posterior, and how the step to it from the one before was made. */
struct frame {
    size_t first, count; /* where its states lie in state[] and weight[] */
    size_t steps;
    enum traj_context context;
    bool begins;   /* nothing before it belongs to it */
    bool entering; /* a trial's start entered */
    size_t start;  /* where its start distribution lies in start[], if entering */
};

struct traj_smoother {
    struct traj_decoder *decoder;
    struct traj_smooth_mixture *mixture; /* NULL for the filter over courses */
    size_t states, frames, frames_cap, kept, kept_cap, starts, starts_cap;
    struct frame *frame;
    int32_t *state;
    double *weight;
    double *start; /* [starts][states], normalised distributions that trials entered with */
    size_t answers_cap;
    double *answer;    /* [frames][out + stages] what the recent past said, and how surely */
    double *prob;      /* [states] of the filter after the last frame */
    double *dense;     /* [6][states] scratch */
    struct frame next; /* the step that is being made */
    bool failed;       /* memory was short while the decoder was being watched */
};

static int grow(void **array, size_t *cap, size_t needed, size_t size)
{
    if (needed <= *cap)
        return 0;
    size_t more = *cap + *cap / 2 + 1024;
    more = more > needed ? more : needed;
    void *grown = realloc(*array, more * size);
    if (!grown)
        return -1;
    *array = grown;
    *cap = more;
    return 0;
}

/* ---- forward: what is kept ------------------------------------------------------------------- */

/* A prior that came after the last frame has changed the probabilities: its posterior follows. */
static void follow_priors(struct traj_smoother *s, const struct traj_course_filter *filter)
{
    struct frame *last = &s->frame[s->frames - 1];
    double *prob = s->dense;
    double sum = 0;
    traj_course_filter_spread(filter, prob);
    for (size_t i = last->first; i < last->first + last->count; i++) {
        size_t j = (size_t)s->state[i];
        if (s->prob[j] > 0)
            s->weight[i] *= prob[j] / s->prob[j];
        sum += s->weight[i];
    }
    for (size_t i = last->first; i < last->first + last->count && sum > 0; i++)
        s->weight[i] /= sum;
}

/* The distribution that a trial's start enters with. */
static int keep_start(struct traj_smoother *s)
{
    const struct traj_chain *chain = &s->decoder->model->chain;
    const double *belief = s->decoder->belief.total;
    size_t size = s->states * sizeof(double), cap = s->starts_cap;
    void *start = s->start;
    double sum = 0;
    if (grow(&start, &cap, s->starts + 1, size))
        return -1;
    s->start = start;
    s->starts_cap = cap;
    double *row = s->start + s->starts * s->states;
    for (size_t j = 0; j < s->states; j++) {
        row[j] = chain->start[j] * (chain->target[j] >= 0 ? exp(belief[chain->target[j]]) : 1);
        sum += row[j];
    }
    for (size_t j = 0; j < s->states; j++)
        row[j] /= sum;
    s->next.start = s->starts++;
    return 0;
}

/* The decoder is about to step. */
static void watch(void *context, size_t steps)
{
    struct traj_smoother *s = context;
    const struct traj_course_filter *filter = &s->decoder->filter;
    if (s->mixture) {
        traj_smooth_mixture_watch(s->mixture, steps);
        return;
    }
    s->next = (struct frame){.steps = steps,
                             .context = filter->context,
                             .begins = filter->fresh || s->frames == 0,
                             .entering = filter->entering};
    if (!s->next.begins)
        follow_priors(s, filter);
    if (s->next.entering && !s->next.begins && keep_start(s))
        s->failed = true;
}

/* What the recent past says of the frame that has just been decoded. */
static int keep_answer(struct traj_smoother *s, const struct traj_recent *recent)
{
    size_t width = recent->out + recent->stages;
    void *answer = s->answer;
    if (recent->stages == 0)
        return 0;
    int status = grow(&answer, &s->answers_cap, s->frames + 1, width * sizeof *s->answer);
    s->answer = answer;
    if (status)
        return -1;
    double *row = s->answer + s->frames * width;
    memcpy(row, recent->answer, recent->out * sizeof *row);
    memcpy(row + recent->out, recent->share, recent->stages * sizeof *row);
    return 0;
}

static int keep_filter(struct traj_smoother *s, const struct traj_estimate *estimate)
{
    const struct traj_course_filter *filter = &s->decoder->filter;
    size_t cap = s->kept_cap;
    void *frame = s->frame, *state = s->state, *weight = s->weight;
    int status = grow(&frame, &s->frames_cap, s->frames + 1, sizeof *s->frame);
    s->frame = frame;
    status = status || grow(&state, &cap, s->kept + s->states, sizeof *s->state);
    s->state = state;
    status = status || grow(&weight, &s->kept_cap, s->kept + s->states, sizeof *s->weight);
    s->weight = weight;
    if (status || s->failed || keep_answer(s, &filter->recent))
        return -1;
    struct frame *kept = &s->frame[s->frames++];
    *kept = s->next;
    kept->begins = kept->begins || (estimate->flags & TRAJ_FLAG_RECOVERED) != 0;
    kept->first = s->kept;
    for (size_t i = 0; i < filter->now.count; i++) {
        if (!(filter->weight[i] > KEPT_LEAST))
            continue;
        s->state[s->kept] = filter->now.active[i];
        s->weight[s->kept++] = filter->weight[i];
    }
    kept->count = s->kept - kept->first;
    traj_course_filter_spread(filter, s->prob);
    return 0;
}

int traj_smoother_keep(struct traj_smoother *s, const struct traj_estimate *estimate,
                       struct traj_error *error)
{
    int status =
        s->mixture ? traj_smooth_mixture_keep(s->mixture, estimate) : keep_filter(s, estimate);
    return status ? traj_error_set(error, "no memory to smooth so many frames") : 0;
}

/* ---- backward -------------------------------------------------------------------------------- */

/* to = from T over one training bin, or its adjoint T from. */
static void transit(const struct traj_smoother *s, enum traj_context context, bool adjoint,
                    const double *from, double *to)
{
    const struct traj_chain *chain = &s->decoder->model->chain;
    const double *prob = chain->link_prob + (size_t)context * s->decoder->model->dims.links;
    memset(to, 0, s->states * sizeof *to);
    for (size_t i = 0; i < s->states; i++)
        for (int32_t l = chain->link_first[i]; l < chain->link_first[i + 1]; l++) {
            size_t j = (size_t)chain->link_to[l];
            if (adjoint)
                to[i] += prob[l] * from[j];
            else
                to[j] += prob[l] * from[i];
        }
}

/* The change of targets is its own adjoint: p <- (1 - r) p + r (mean over the group). */
static void exchange(const struct traj_smoother *s, double *p, double *sum, double *members)
{
    const struct traj_chain *chain = &s->decoder->model->chain;
    if (!(chain->switch_prob > 0))
        return;
    memset(sum, 0, s->states * sizeof *sum);
    memset(members, 0, s->states * sizeof *members);
    for (size_t j = 0; j < s->states; j++)
        if (chain->group[j] >= 0) {
            sum[chain->group[j]] += p[j];
            members[chain->group[j]]++;
        }
    for (size_t j = 0; j < s->states; j++)
        if (chain->group[j] >= 0)
            p[j] = (1 - chain->switch_prob) * p[j] +
                   chain->switch_prob * sum[chain->group[j]] / members[chain->group[j]];
}

/* The distribution p one frame on; scratch has room for 3 states. */
static void forward(const struct traj_smoother *s, const struct frame *to, double *p,
                    double *scratch)
{
    for (size_t step = 0; step < to->steps && step < STEPS_MAX; step++) {
        transit(s, to->context, false, p, scratch);
        exchange(s, scratch, scratch + s->states, scratch + 2 * s->states);
        memcpy(p, scratch, s->states * sizeof *p);
    }
    double share = s->decoder->model->chain.start_share;
    for (size_t j = 0; to->entering && j < s->states; j++)
        p[j] = (1 - share) * p[j] + share * s->start[to->start * s->states + j];
}

/* What ratios r at frame `to` say about the states of the frame before. */
static void backward(const struct traj_smoother *s, const struct frame *to, double *r,
                     double *scratch)
{
    double share = s->decoder->model->chain.start_share, entered = 0;
    for (size_t j = 0; to->entering && j < s->states; j++)
        entered += s->start[to->start * s->states + j] * r[j];
    for (size_t j = 0; to->entering && j < s->states; j++)
        r[j] = (1 - share) * r[j] + share * entered;
    for (size_t step = 0; step < to->steps && step < STEPS_MAX; step++) {
        exchange(s, r, scratch + s->states, scratch + 2 * s->states);
        transit(s, to->context, true, r, scratch);
        memcpy(r, scratch, s->states * sizeof *r);
    }
}

static void spread_out(const struct traj_smoother *s, const struct frame *frame, double *dense)
{
    memset(dense, 0, s->states * sizeof *dense);
    for (size_t i = frame->first; i < frame->first + frame->count; i++)
        dense[s->state[i]] = s->weight[i];
}

/* The posterior of frame t from that of frame t + 1. */
static void smooth_frame(struct traj_smoother *s, size_t t)
{
    const struct frame *here = &s->frame[t], *later = &s->frame[t + 1];
    double *predicted = s->dense, *ratio = predicted + s->states, *scratch = ratio + s->states;
    double sum = 0;
    spread_out(s, here, predicted);
    forward(s, later, predicted, scratch);
    spread_out(s, later, ratio);
    for (size_t j = 0; j < s->states; j++)
        ratio[j] = predicted[j] > 0 ? ratio[j] / predicted[j] : 0;
    backward(s, later, ratio, scratch);
    for (size_t i = here->first; i < here->first + here->count; i++)
        sum += s->weight[i] * ratio[s->state[i]];
    /* Nothing of what was kept leads on: the filter's own posterior stands. */
    if (!(sum > 0) || !isfinite(sum))
        return;
    for (size_t i = here->first; i < here->first + here->count; i++)
        s->weight[i] *= ratio[s->state[i]] / sum;
}

int traj_smoother_run(struct traj_smoother *s, struct traj_error *error)
{
    if (s->mixture)
        return traj_smooth_mixture_run(s->mixture)
                   ? traj_error_set(error, "no memory to smooth a mixture")
                   : 0;
    for (size_t t = s->frames; t-- > 1;)
        if (!s->frame[t].begins)
            smooth_frame(s, t - 1);
    return 0;
}

/* ---- the smoother ---------------------------------------------------------------------------- */

size_t traj_smoother_frames(const struct traj_smoother *s)
{
    return s->mixture ? traj_smooth_mixture_frames(s->mixture) : s->frames;
}

void traj_smoother_show(struct traj_smoother *s, size_t t, struct traj_estimate *estimate)
{
    if (s->mixture) {
        traj_smooth_mixture_show(s->mixture, t, estimate);
        return;
    }
    struct traj_course_filter *filter = &s->decoder->filter;
    const struct traj_course_filter filtered = *filter;
    filter->weight = s->weight + s->frame[t].first;
    filter->now.active = s->state + s->frame[t].first;
    filter->now.count = s->frame[t].count;
    if (filter->recent.stages > 0) {
        filter->recent.answer = s->answer + t * (filter->recent.out + filter->recent.stages);
        filter->recent.share = filter->recent.answer + filter->recent.out;
    }
    traj_decoder_publish(s->decoder, estimate);
    *filter = filtered;
}

struct traj_smoother *traj_smoother_new(struct traj_decoder *decoder, struct traj_error *error)
{
    struct traj_smoother *s = calloc(1, sizeof *s);
    size_t states = decoder->filter.states;
    if (s) {
        s->decoder = decoder;
        s->states = states;
        s->prob = calloc(states + 1, sizeof *s->prob);
        s->dense = calloc(5 * states + 1, sizeof *s->dense);
        if (states == 0)
            s->mixture = traj_smooth_mixture_new(decoder);
    }
    if (!s || !s->prob || !s->dense || (states == 0 && !s->mixture)) {
        traj_smoother_free(s);
        traj_error_set(error, "no memory to smooth");
        return NULL;
    }
    decoder->watch = watch;
    decoder->watch_context = s;
    return s;
}

void traj_smoother_free(struct traj_smoother *s)
{
    if (!s)
        return;
    if (s->decoder)
        s->decoder->watch = NULL;
    traj_smooth_mixture_free(s->mixture);
    free(s->frame);
    free(s->state);
    free(s->weight);
    free(s->start);
    free(s->answer);
    free(s->prob);
    free(s->dense);
    free(s);
}
