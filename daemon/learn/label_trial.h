/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The frames of a trial until it is known what it was for: then where they lay is told by a
 * posterior that knew the target from the start.  Internal to this room.
 */
#ifndef TRAJ_LEARN_LABEL_TRIAL_H
#define TRAJ_LEARN_LABEL_TRIAL_H

#include "daemon/learn/judge.h"
#include "daemon/learn/retune_fit.h"

#define TRAJ_LABEL_FRAMES 4096 /* of one trial that are kept; it goes on without what is beyond */

struct traj_label_trial {
    size_t units, features, nodes;
    size_t frames;
    bool open; /* it runs */
    uint16_t *counts;
    float *feature;
    double *dt;
    double *weight; /* [frames][nodes] as they were placed when they came */
    void *memory;   /* of a decoder that is told the target */
    struct traj_decoder *decoder;
    const struct traj_model *model; /* the decoder's */
    double *place;                  /* [nodes] scratch */
};

int traj_label_trial_init(struct traj_label_trial *trial, const struct traj_model *base,
                          struct traj_error *error);
void traj_label_trial_free(struct traj_label_trial *trial);

void traj_label_trial_begin(struct traj_label_trial *trial);
void traj_label_trial_frame(struct traj_label_trial *trial, const struct traj_frame *frame,
                            const double *weight);

/* Hands the trial over as it was placed when it came, and forgets it. */
void traj_label_trial_flush(struct traj_label_trial *trial, struct traj_retune_fit *fit);

/*
 * Hands it over as the tables in force place it when told the target from the start; false where
 * that cannot be, and then nothing has happened.
 */
bool traj_label_trial_label(struct traj_label_trial *trial, const struct traj_judge *in_force,
                            size_t target, struct traj_retune_fit *fit);

#endif
