/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * How well a model explains frames that are still to come: a pipeline of its own over a filter over
 * courses, and before each frame what its posterior expects of every channel.  With p_e the
 * posterior of the nodes after the frame before,
 *     Poisson    m_n = dt sum_e p_e rate_en,         l_n = y_n log m_n - m_n
 *     Gaussian   m_n = sum_e p_e mean_en + offset_n, l_n = -(s_n - m_n)^2 / (2 sd_n^2)
 * so that models with other tables compare channel by channel on the same numbers, whatever their
 * tempers and calibrations are.  Nobody is told of labels or movement.  Internal to this room.
 */
#ifndef TRAJ_LEARN_JUDGE_H
#define TRAJ_LEARN_JUDGE_H

#include <stdbool.h>
#include <stddef.h>

#include "daemon/core/pipeline.h"
#include "daemon/learn/error.h"

struct traj_judge {
    const struct traj_model *model; /* borrowed, or own where it is to be freed */
    struct traj_model *own;
    void *decoder_memory, *pipeline_memory;
    struct traj_decoder *decoder;
    struct traj_pipeline *pipeline;
    size_t channels;
    double *weight; /* [E] of the nodes, after the last frame */
    double *score;  /* [C] of the last frame; NaN where it was not observed */
    bool scored;    /* the last frame was foreseen: it came one bin after the one before */
    bool decoded;
    bool able; /* the decoder stands on the model's own targets */
};

/*
 * Takes over `own`, or borrows `model` where that is NULL.  from NULL = at the prior, with
 * settings; else it stands where `from` stands.  NULL with a sentence, and own is freed.
 */
struct traj_judge *traj_judge_new(const struct traj_model *model, struct traj_model *own,
                                  const struct traj_judge *from,
                                  const struct traj_pipeline_settings *settings,
                                  struct traj_error *error);
void traj_judge_free(struct traj_judge *judge); /* NULL is allowed */

/* Decodes a frame; judge->decoded, scored, score and weight tell what came of it. */
void traj_judge_frame(struct traj_judge *judge, const struct traj_frame *frame);

/* By how much one explains more than another: sums of differences over stretches of time. */
struct traj_lead {
    double open, since; /* of the stretch under way, and how long it is, s */
    double count, sum, square;
};
void traj_lead_clear(struct traj_lead *lead);
/* What was seen so far counts for half. */
void traj_lead_fade(struct traj_lead *lead);
/* Adds what `a` explains more than `b` of a frame of dt s; a channel counts only so much. */
void traj_lead_add(struct traj_lead *lead, const struct traj_judge *a, const struct traj_judge *b,
                   double dt);
/* Whether enough has been seen to say anything. */
bool traj_lead_known(const struct traj_lead *lead);
/* By how many standard errors the mean differs from 0; 0 where too few stretches have been seen. */
double traj_lead_surely(const struct traj_lead *lead);

#endif
