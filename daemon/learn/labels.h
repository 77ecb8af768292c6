/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Which place on which course the hand was at in every bin of an unbroken recording, told from the
 * kinematics and the trials: at rest where reaches begin, on the way out to a target, holding
 * there, on the way back, or anywhere else.  Places are numbered
 *     0 rest;  1 + target * row + g:  g = 0 .. steps - 1 out, g = steps hold,
 *     g = steps + 1 .. 2 steps back;  -1 elsewhere,  row = 2 steps + 1
 * and lie `step` seconds apart.  Internal to this room.
 */
#ifndef TRAJ_LEARN_LABELS_H
#define TRAJ_LEARN_LABELS_H

#include "daemon/learn/training.h"

#define TRAJ_LABEL_NONE (-1)
#define TRAJ_LABEL_REST 0

/* A reach and what follows it; bins of the training. */
struct traj_cycle {
    size_t trial;       /* index into the training's trials */
    size_t first, last; /* bins of the trial */
    size_t end;         /* the bin after the last that belongs to it: a gap or the next trial */
    size_t onset;       /* of the movement out */
    size_t back;        /* of the movement back, (size_t)-1 = none was seen */
    double arrival;     /* s from onset until near the target */
};

struct traj_labels {
    size_t targets, steps, row;
    size_t before; /* places before the onset of a movement */
    double step;   /* s */
    double reach;  /* length: median distance of the targets */
    double origin[TRAJ_DIM_MAX];
    size_t bins;
    int32_t *place; /* [bins] */
    size_t cycles;
    struct traj_cycle *cycle;
    double arrival; /* s, median */
};

/* Why there can be no courses in these data, in a few words; NULL if there can. */
const char *traj_labels_obstacle(const struct traj_training *training);

/* Labels for all bins; NULL with a sentence, or with error->text empty where too few reaches were
 * found to learn courses from. */
struct traj_labels *traj_labels_new(const struct traj_training *training, struct traj_error *error);
void traj_labels_free(struct traj_labels *labels);

/*
 * Mean position and velocity of every place on a course, mean[targets * row][2 dim], from the bins
 * outside fold `without`; drawn to the profile that is common to all targets, which turns with the
 * target.  -1 where memory is short.
 */
int traj_labels_courses(const struct traj_labels *labels, const struct traj_training *training,
                        unsigned without, double *mean);

/* How far a place moves on within one bin: probabilities to stay, go one on, and skip one. */
void traj_labels_pace(double bin, double step, double pace[3]);

#endif
