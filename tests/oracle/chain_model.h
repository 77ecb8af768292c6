/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Small filters over courses with random numbers, stories of what was observed, and what a frame
 * says about a state, written out in long double; for the oracles.
 */
#ifndef TESTS_ORACLE_CHAIN_MODEL_H
#define TESTS_ORACLE_CHAIN_MODEL_H

#include "tests/oracle/random_model.h"
#include "traj/decoder.h"

#define STATES 5
#define NODES 4
#define UNITS 3
#define TARGETS 2
#define FRAMES 6
#define LINKS (STATES * STATES)
#define RANK 2
#define GAINS 2
#define STAGES 3
#define PACES 3
#define INPUTS 6 /* of the tuning of a steered effector */
#define OUT 4    /* position and velocity */

typedef long double real;

/* A chain with every transition possible, and what leads to its arrays. */
struct chain_model {
    struct traj_model model;
    double position[STATES * 2], velocity[STATES * 2], spread[STATES * 4];
    int32_t target[STATES], node[STATES], group[STATES], first[STATES + 1], to[LINKS];
    uint8_t place[STATES];
    double progress[STATES], eta[STATES], share[STATES];
    double mean[NODES * UNITS], doubt[NODES], noise[UNITS], factor[UNITS * RANK],
        gain[UNITS * GAINS];
    double link[TRAJ_CONTEXTS * LINKS], initial[STATES], start[STATES];
    double target_position[TARGETS * 2];
    double center[UNITS], weight[STAGES * UNITS * OUT], answer_offset[OUT], answer[STATES * OUT];
    double answer_noise[OUT * OUT], answer_gain[OUT * OUT];
};

/* What a subject that steers an effector does. */
struct chain_steering {
    double tuning[UNITS * INPUTS], pace[PACES], pace_prob[PACES * PACES], home[2];
};

/* What was observed, and what happened before it. */
struct story {
    uint16_t count[FRAMES][UNITS];
    double dt[FRAMES];
    size_t steps[FRAMES];
    size_t start_at;                /* a trial starts before this frame */
    real offset[FRAMES + 1][UNITS]; /* by which each unit has drifted before each frame */
};

/* A model with every transition possible; two targets; `gains` slow gains, at most GAINS. */
void chain_draw(struct chain_model *m, struct random *random, bool gaussian, size_t gains);
void chain_draw_story(struct story *s, struct random *random);

/* Gives a Gaussian model a regression on the recent past. */
void chain_remember(struct chain_model *m, struct random *random);

/* Gives a Gaussian model what it expects of a subject that steers; it points into s. */
void chain_add_steering(struct chain_model *m, struct chain_steering *s, struct random *random);

/* The transformed count of a unit. */
real chain_root(const struct chain_model *m, const struct story *s, size_t t, size_t n);

/* What is read of it: less what the unit has drifted by, and no further than 10 sd of its noise
 * from what all nodes expect. */
real chain_value(const struct chain_model *m, const struct story *s, size_t t, size_t n);

/* Every state leads to itself alone: paths that never meet. */
void chain_never_meet(struct chain_model *m);

/* Log likelihood of a frame in a state, but for what depends on the counts alone, not tempered. */
real chain_likelihood(const struct chain_model *m, const struct story *s, size_t t, size_t j);

/* What all states' log likelihoods lack of the log probability (of roots: density) of a frame. */
real chain_alone(const struct chain_model *m, const struct story *s, size_t t);

/* The offsets of the frame after t: they follow what the posterior leaves unexplained, no further
 * than 5 sd of a unit's noise. */
void chain_drift(const struct chain_model *m, struct story *s, size_t t, const real *posterior);

/* Rate of unit n in state j (interpolated between nodes, as the tables are). */
real chain_rate(const struct chain_model *m, size_t j, size_t n);

/* Probability of the state at frame t given that of the frame before (or the initial one); steps of
 * at most 2 bins. */
real chain_arrival(const struct chain_model *m, const struct story *s, size_t t, size_t from,
                   size_t to);

/* A decoder that believes every unit; and one that may set units aside. */
struct traj_decoder *chain_decoder(const struct traj_model *model, void **memory);
struct traj_decoder *chain_decoder_that(const struct traj_model *model, bool believes,
                                        void **memory);

#endif
