/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A trial that waits for its label; see label_trial.h. */
#include "daemon/learn/label_trial.h"

#include <stdlib.h>
#include <string.h>

#include "daemon/model/internal.h"

#define FRAMES_MOST_BYTES ((size_t)64 << 20)

static size_t frames_most(const struct traj_label_trial *trial)
{
    size_t bytes = trial->nodes * sizeof(double) + 1;
    return FRAMES_MOST_BYTES / bytes < TRAJ_LABEL_FRAMES ? FRAMES_MOST_BYTES / bytes
                                                         : TRAJ_LABEL_FRAMES;
}

int traj_label_trial_init(struct traj_label_trial *trial, const struct traj_model *base,
                          struct traj_error *error)
{
    const struct traj_dims *dims = &base->dims;
    *trial = (struct traj_label_trial){
        .units = dims->units, .features = dims->features, .nodes = dims->nodes};
    const size_t frames = frames_most(trial);
    trial->counts = malloc((frames * dims->units + 1) * sizeof *trial->counts);
    trial->feature = malloc((frames * dims->features + 1) * sizeof *trial->feature);
    trial->dt = malloc((frames + 1) * sizeof *trial->dt);
    trial->weight = malloc((frames * dims->nodes + 1) * sizeof *trial->weight);
    trial->place = malloc((dims->nodes + 1) * sizeof *trial->place);
    trial->memory = malloc(traj_decoder_size(dims));
    if (trial->counts && trial->feature && trial->dt && trial->weight && trial->place &&
        trial->memory)
        return 0;
    traj_label_trial_free(trial);
    return traj_error_set(error, "no memory for the frames of a trial");
}

void traj_label_trial_free(struct traj_label_trial *trial)
{
    free(trial->counts);
    free(trial->feature);
    free(trial->dt);
    free(trial->weight);
    free(trial->place);
    free(trial->memory);
    *trial = (struct traj_label_trial){.frames = 0};
}

void traj_label_trial_begin(struct traj_label_trial *trial)
{
    trial->frames = 0;
    trial->open = true;
}

void traj_label_trial_frame(struct traj_label_trial *trial, const struct traj_frame *frame,
                            const double *weight)
{
    const size_t i = trial->frames;
    if (i == frames_most(trial))
        return;
    if (trial->units > 0)
        memcpy(trial->counts + i * trial->units, frame->counts,
               trial->units * sizeof *trial->counts);
    if (trial->features > 0)
        memcpy(trial->feature + i * trial->features, frame->feature,
               trial->features * sizeof *trial->feature);
    memcpy(trial->weight + i * trial->nodes, weight, trial->nodes * sizeof *weight);
    trial->dt[i] = frame->dt;
    trial->frames++;
}

static const uint16_t *counts_of(const struct traj_label_trial *trial, size_t i)
{
    return trial->units > 0 ? trial->counts + i * trial->units : NULL;
}

static const float *features_of(const struct traj_label_trial *trial, size_t i)
{
    return trial->features > 0 ? trial->feature + i * trial->features : NULL;
}

void traj_label_trial_flush(struct traj_label_trial *trial, struct traj_retune_fit *fit)
{
    for (size_t i = 0; i < trial->frames; i++)
        traj_retune_fit_add(fit, counts_of(trial, i), features_of(trial, i), trial->dt[i],
                            trial->weight + i * trial->nodes);
    trial->frames = 0;
    trial->open = false;
}

/* A decoder of the tables in force at the start of a trial to a known target. */
static bool begin_known(struct traj_label_trial *trial, const struct traj_judge *in_force,
                        size_t target)
{
    const struct traj_dims *dims = &in_force->model->dims;
    double prob[TRAJ_TARGETS_MAX] = {0};
    if (target >= dims->targets)
        return false;
    if (traj_decoder_init(trial->memory, traj_decoder_size(dims), in_force->model, NULL,
                          &trial->decoder) != TRAJ_OK)
        return false;
    trial->model = in_force->model;
    traj_decoder_marks(trial->decoder, true);
    /* What the channels have drifted by stays known. */
    memcpy(trial->decoder->filter.drifted, in_force->decoder->filter.drifted,
           (dims->units + dims->features) * sizeof(double));
    traj_decoder_trial_start(trial->decoder);
    prob[target] = 1;
    return traj_decoder_target_prior(trial->decoder, prob) == TRAJ_OK;
}

static void place_nodes(struct traj_label_trial *trial)
{
    const struct traj_course_filter *filter = &trial->decoder->filter;
    const struct traj_chain *chain = &trial->model->chain;
    memset(trial->place, 0, trial->nodes * sizeof *trial->place);
    for (size_t i = 0; i < filter->now.count; i++) {
        const size_t j = (size_t)filter->now.active[i];
        trial->place[chain->node[j]] += filter->weight[i] * (1 - chain->share[j]);
        trial->place[filter->node_after[j]] += filter->weight[i] * chain->share[j];
    }
}

bool traj_label_trial_label(struct traj_label_trial *trial, const struct traj_judge *in_force,
                            size_t target, struct traj_retune_fit *fit)
{
    if (trial->frames == 0 || !begin_known(trial, in_force, target))
        return false;
    for (size_t i = 0; i < trial->frames; i++) {
        const struct traj_observation seen = {counts_of(trial, i), features_of(trial, i),
                                              trial->dt[i], 1};
        struct traj_estimate ignored;
        const double *weight = trial->weight + i * trial->nodes;
        if (traj_decoder_step(trial->decoder, &seen, &ignored) == TRAJ_OK) {
            place_nodes(trial);
            weight = trial->place;
        }
        traj_retune_fit_add(fit, seen.counts, seen.features, trial->dt[i], weight);
    }
    trial->frames = 0;
    trial->open = false;
    return true;
}
