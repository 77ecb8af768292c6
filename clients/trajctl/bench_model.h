/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What `trajctl bench` decodes: a filter over courses of any size, made by rule instead of trained
 * (training for 4096 units would take hours, and its numbers change nothing about the time that a
 * step takes), and frames that its own courses would give rise to.
 */
#ifndef TRAJCTL_BENCH_MODEL_H
#define TRAJCTL_BENCH_MODEL_H

#include <stdint.h>

#include "daemon/learn/error.h"
#include "traj/model.h"

struct bench_size {
    size_t units, targets;
    double bin; /* s */
};

/*
 * As train lays out a model of reaches in a plane: for each target a trunk up to movement onset and
 * then a branch for each of seven speeds, a node a bin as far as train goes with nodes, three slow
 * gains.  The same size gives the same model.  NULL with a sentence; traj_model_free gives it back.
 */
struct traj_model *bench_model_make(const struct bench_size *size, struct traj_error *error);

/* A cycle of frames: trials one after the other, to every target in turn. */
struct bench_frames {
    size_t units, count;
    uint16_t *counts; /* [count][units] */
    uint8_t *starts;  /* [count] 1 = a trial starts before this frame */
};

/*
 * Poisson counts along the courses of a model that bench_model_make made, or, where model is NULL,
 * of units that fire at 10 spikes/s.  0, or -1 with a sentence.
 */
int bench_frames_make(struct bench_frames *frames, const struct bench_size *size,
                      const struct traj_model *model, struct traj_error *error);
void bench_frames_free(struct bench_frames *frames);

#endif
