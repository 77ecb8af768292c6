/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A block of an experiment: bin by bin the user looks and intends, the units fire, a frame goes to
 * a decoder, its intent comes back and moves the cursor, and the task is judged.  Lock step:
 * nothing goes on before the intent of a frame is there, so that the result does not depend on how
 * fast anything runs.  By hand, for calibration, there is no decoder.
 */
#ifndef TRAJ_RIG_BLOCK_H
#define TRAJ_RIG_BLOCK_H

#include "clients/rig/neurons.h"
#include "clients/rig/plant.h"
#include "clients/rig/task.h"
#include "clients/rig/user.h"
#include "daemon/learn/session.h"
#include "proto/event.h"
#include "proto/frame.h"

#define TRAJ_BLOCK_CHANGES 16

/* Where frames and events go and intents come from.  All return 0, or -1 with a sentence. */
struct traj_decoder_link {
    void *self;
    int (*event)(void *self, const struct traj_event *event, struct traj_error *error);
    /* Sends a frame and waits for its intent. */
    int (*frame)(void *self, const struct traj_frame *frame, struct traj_answer *answer,
                 struct traj_error *error);
    /* Waits until `t` s after the block's beginning; NULL = as fast as it goes. */
    int (*pace)(void *self, double t, struct traj_error *error);
};

struct traj_block_options {
    struct traj_task_options task;
    struct traj_user_options user;
    struct traj_neurons_options neurons;
    struct traj_plant_options plant;
    double hand_delay_s, hand_smoothing_s;
    double seconds;    /* how long */
    double practice_s; /* of it, before anything counts */
    /*
     * Of the practice, the beginning: the user moves by hand once more and learns how the cursor
     * would have answered.  0 = the user goes on to believe in a hand.
     */
    double watch_s;
    double belief_gain, belief_turn; /* wrong belief: a factor on the gain that was learned, and an
                                        angle, rad, by which the cursor turns without the user
                                        knowing (in the first two dimensions) */
    bool marks;                      /* trial_start, go and trial_stop are sent */
    bool effector;                   /* the cursor's place is sent each bin */
    bool kinematics;                 /* so that a recording of the block can be learned from */
    double prior; /* probability that a target_prior event gives one target; 0 = none is sent */
    double prior_right; /* share of trials in which that is the right one, else a wrong one */
    bool tell_jumps;    /* a target_prior event says where the target jumped */
    size_t changes;
    struct traj_change change[TRAJ_BLOCK_CHANGES];
    uint64_t seed;  /* of units, places and the user */
    uint64_t block; /* number of the block in the seed: another one goes otherwise */
};

/* What a block leaves behind; traj_block_free. */
struct traj_block {
    struct traj_session *session; /* counts, cursor, trials, targets */
    double *goal;                 /* [bins][dim] what the user ought to go for; NaN = nothing */
    float *moving;                /* [bins] what the decoder said; NaN = nothing */
    bool *active;                 /* [bins] whether the user intended to move */
    size_t trials;                /* that were completed */
    struct traj_trial_result *trial;
    size_t counted;            /* index of the first trial after practice */
    double tracking;           /* rms distance to a drawn goal after practice; NaN where none */
    struct traj_belief belief; /* at the end */
};

/* Runs a block; link NULL = by hand.  0, or -1 with a sentence. */
int traj_block_run(const struct traj_block_options *options, const struct traj_decoder_link *link,
                   struct traj_block *block, struct traj_error *error);
void traj_block_free(struct traj_block *block);

#endif
