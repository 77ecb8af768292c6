/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A small model for tests, made of static numbers: two dimensions (mm), position and velocity,
 * three targets on a ring and a free component, five units tuned to velocity, one of them with a
 * lag of one bin, bins of 20 ms.
 */
#ifndef TESTS_COMMON_TINY_MODEL_H
#define TESTS_COMMON_TINY_MODEL_H

#include "traj/model.h"

enum {
    TINY_DIM = 2,
    TINY_STATE = 4,
    TINY_UNITS = 5,
    TINY_TARGETS = 3,
    TINY_COMPONENTS = 4,
};
#define TINY_BIN 0.02

struct tiny_model {
    struct traj_model model; /* points into the rest: do not copy */
    double weight[TINY_UNITS][TINY_STATE];
    double offset[TINY_UNITS];
    int32_t lag[TINY_UNITS];
    double transition[TINY_COMPONENTS][TINY_STATE][TINY_STATE];
    double drift[TINY_COMPONENTS][TINY_STATE];
    double noise[TINY_COMPONENTS][TINY_STATE][TINY_STATE];
    double start[TINY_COMPONENTS][TINY_STATE];
    double start_cov[TINY_COMPONENTS][TINY_STATE][TINY_STATE];
    int32_t component_target[TINY_COMPONENTS];
    double component_prior[TINY_COMPONENTS];
    uint8_t trial_reset[TINY_COMPONENTS];
    double target_position[TINY_TARGETS][TINY_DIM];
    double plan_rate[TINY_TARGETS][TINY_UNITS];
    char target_id[TINY_TARGETS][TRAJ_ID_SIZE];
    char unit_name[TINY_UNITS][TRAJ_ID_SIZE];
};

/* Fills in the model, without a plan window and with no unit named. */
void tiny_model_init(struct tiny_model *tiny);

/* Adds a plan window of 100 ms with rates by target. */
void tiny_model_add_plan(struct tiny_model *tiny);

/* Names the units "u0" .. "u4". */
void tiny_model_name_units(struct tiny_model *tiny);

/*
 * Counts of the five units in frame `i` of a made-up recording: the same for the same seed and i,
 * 0 to 3 spikes, now and then a unit that was not observed.
 */
void tiny_counts(uint64_t seed, uint64_t i, uint16_t counts[TINY_UNITS]);

/* A number that looks random: one step of splitmix64. */
uint64_t tiny_random(uint64_t *state);

/* Evenly in [0, 1), and evenly among 0 .. n - 1. */
double tiny_uniform(uint64_t *state);
size_t tiny_choice(uint64_t *state, size_t n);

/* The seed of a randomised test: TRAJ_SEED from the environment, else 1; printed. */
uint64_t tiny_seed(void);

#endif
