/* SPDX-License-Identifier: GPL-3.0-or-later */
/* How well a model explains frames that are still to come; see judge.h. */
#include "daemon/learn/judge.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/learn/model_file.h"
#include "daemon/model/internal.h"

#define STRETCH_S 0.5    /* over which neighbouring frames' differences are summed */
#define STRETCHES 8.0    /* below which nothing is said */
#define CHANNEL_MOST 3.0 /* nats a frame by which one channel counts at most */
#define COUNT_LEAST 1e-4 /* expected of a bin */

struct traj_judge *traj_judge_new(const struct traj_model *model, struct traj_model *own,
                                  const struct traj_judge *from,
                                  const struct traj_pipeline_settings *settings,
                                  struct traj_error *error)
{
    struct traj_judge *judge = calloc(1, sizeof *judge);
    const struct traj_model *used = own ? own : model;
    size_t size = traj_decoder_size(&used->dims);
    if (!judge) {
        traj_model_free(own);
        traj_error_set(error, "no memory to recalibrate");
        return NULL;
    }
    judge->model = used;
    judge->own = own;
    judge->channels = used->dims.units + used->dims.features;
    judge->decoder_memory = malloc(size);
    judge->pipeline_memory = malloc(traj_pipeline_size());
    judge->weight = calloc(used->dims.nodes + judge->channels, sizeof *judge->weight);
    if (judge->decoder_memory && judge->pipeline_memory && judge->weight &&
        traj_decoder_init(judge->decoder_memory, size, used, NULL, &judge->decoder) == TRAJ_OK) {
        judge->score = judge->weight + used->dims.nodes;
        judge->pipeline = from ? traj_pipeline_fork(judge->pipeline_memory, traj_pipeline_size(),
                                                    from->pipeline, judge->decoder)
                               : traj_pipeline_init(judge->pipeline_memory, traj_pipeline_size(),
                                                    judge->decoder, settings);
    }
    if (!judge->pipeline) {
        traj_judge_free(judge);
        traj_error_set(error, "no memory to recalibrate");
        return NULL;
    }
    if (from)
        memcpy(judge->weight, from->weight, used->dims.nodes * sizeof *judge->weight);
    return judge;
}

void traj_judge_free(struct traj_judge *judge)
{
    if (!judge)
        return;
    traj_model_free(judge->own);
    free(judge->decoder_memory);
    free(judge->pipeline_memory);
    free(judge->weight);
    free(judge);
}

static void score_counts(struct traj_judge *judge, const struct traj_frame *frame)
{
    const struct traj_course_filter *filter = &judge->decoder->filter;
    for (size_t n = 0; n < judge->channels; n++) {
        const double *rate = filter->rate + n * filter->stride;
        double mean = 0;
        judge->score[n] = NAN;
        if (frame->counts[n] == TRAJ_COUNT_MISSING)
            continue;
        for (size_t e = 0; e < filter->nodes; e++)
            if (judge->weight[e] > 0)
                mean += judge->weight[e] * rate[e];
        mean = fmax(mean * frame->dt, COUNT_LEAST);
        judge->score[n] = frame->counts[n] * log(mean) - mean;
    }
}

static double root(const struct traj_judge *judge, const struct traj_frame *frame, size_t n)
{
    if (n >= frame->units)
        return frame->feature[n - frame->units];
    return frame->counts[n] == TRAJ_COUNT_MISSING
               ? NAN
               : sqrt(frame->counts[n] * judge->model->bin_width / frame->dt + 0.25);
}

static void score_roots(struct traj_judge *judge, const struct traj_frame *frame)
{
    const struct traj_chain *chain = &judge->model->chain;
    const size_t rank = judge->model->dims.factors;
    for (size_t n = 0; n < judge->channels; n++) {
        double mean = judge->decoder->filter.drifted[n], variance = chain->emission_noise[n];
        for (size_t e = 0; e < judge->model->dims.nodes; e++)
            if (judge->weight[e] > 0)
                mean += judge->weight[e] * chain->emission_mean[e * judge->channels + n];
        for (size_t k = 0; k < rank; k++)
            variance += chain->emission_factor[n * rank + k] * chain->emission_factor[n * rank + k];
        double off = root(judge, frame, n) - mean;
        judge->score[n] = -off * off / (2 * variance);
    }
}

/* Posterior of the nodes after a step. */
static void weigh_nodes(struct traj_judge *judge)
{
    const struct traj_course_filter *filter = &judge->decoder->filter;
    const struct traj_chain *chain = &judge->model->chain;
    memset(judge->weight, 0, judge->model->dims.nodes * sizeof *judge->weight);
    for (size_t i = 0; i < filter->now.count; i++) {
        const size_t j = (size_t)filter->now.active[i];
        judge->weight[chain->node[j]] += filter->weight[i] * (1 - chain->share[j]);
        judge->weight[filter->node_after[j]] += filter->weight[i] * chain->share[j];
    }
}

void traj_judge_frame(struct traj_judge *judge, const struct traj_frame *frame)
{
    const double before = traj_pipeline_time(judge->pipeline);
    const struct traj_dims *dims = &judge->model->dims;
    struct traj_intent intent;
    bool fits = frame->units == dims->units && frame->features == dims->features;
    /* Tables that are carried to other targets have other nodes than those that are judged. */
    judge->able = judge->decoder->model == judge->model;
    judge->scored = judge->able && fits && frame->t - before > 0 &&
                    frame->t - before < 1.5 * frame->dt && !judge->decoder->filter.fresh;
    if (judge->scored && judge->model->chain.gaussian != 0)
        score_roots(judge, frame);
    else if (judge->scored)
        score_counts(judge, frame);
    judge->decoded =
        traj_pipeline_frame(judge->pipeline, frame, (double)NAN, &intent, NULL) == TRAJ_DECODED;
    judge->able = judge->able && judge->decoder->model == judge->model;
    judge->scored = judge->scored && judge->decoded && judge->able;
    if (judge->decoded && judge->able)
        weigh_nodes(judge);
    else if (!judge->able)
        memset(judge->weight, 0, judge->model->dims.nodes * sizeof *judge->weight);
}

/* ---- leads ----------------------------------------------------------------------------------- */

void traj_lead_clear(struct traj_lead *lead)
{
    *lead = (struct traj_lead){0, 0, 0, 0, 0};
}

void traj_lead_fade(struct traj_lead *lead)
{
    lead->count /= 2;
    lead->sum /= 2;
    lead->square /= 2;
}

void traj_lead_add(struct traj_lead *lead, const struct traj_judge *a, const struct traj_judge *b,
                   double dt)
{
    if (!a->scored || !b->scored)
        return;
    for (size_t n = 0; n < a->channels; n++)
        if (!isnan(a->score[n]) && !isnan(b->score[n]))
            lead->open += fmin(fmax(a->score[n] - b->score[n], -CHANNEL_MOST), CHANNEL_MOST);
    lead->since += dt;
    if (lead->since < STRETCH_S)
        return;
    lead->count += 1;
    lead->sum += lead->open;
    lead->square += lead->open * lead->open;
    lead->open = lead->since = 0;
}

bool traj_lead_known(const struct traj_lead *lead)
{
    return lead->count >= STRETCHES;
}

double traj_lead_surely(const struct traj_lead *lead)
{
    if (!traj_lead_known(lead))
        return 0;
    double mean = lead->sum / lead->count;
    double variance = fmax(lead->square / lead->count - mean * mean, 1e-12);
    return mean / sqrt(variance / (lead->count - 1));
}
