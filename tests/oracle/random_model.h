/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Random decoder models and random frames for tests: every number drawn from one seed, nothing
 * round or symmetric, sizes and ingredients as asked.
 */
#ifndef TRAJ_TESTS_RANDOM_MODEL_H
#define TRAJ_TESTS_RANDOM_MODEL_H

#include "traj/decoder.h"

/* splitmix64: small, good enough, the same everywhere. */
struct random {
    uint64_t state;
};
uint64_t random_bits(struct random *random);
double random_uniform(struct random *random); /* [0, 1) */
double random_between(struct random *random, double low, double high);
double random_normal(struct random *random);
unsigned random_poisson(struct random *random, double mean);
size_t random_below(struct random *random, size_t n);

/* n x n, eigenvalues of the order of scale^2, condition number below some hundreds. */
void random_covariance(struct random *random, size_t n, double scale, double *out);

struct random_model {
    struct traj_model model;
    void *memory; /* the arrays; random_model_free gives them back */
    double *weight, *offset, *feature_weight, *feature_offset, *feature_noise;
    double *own_weight, *own_offset;
    int32_t *lag, *target, *own, *delay, *warped;
    double *transition, *drift, *noise, *start, *start_cov, *prior, *position, *rate;
    double *root_noise, *root_factor;
    double *speed, *speed_variance, *speed_walk, *speed_limit;
    uint8_t *restarts;
};

/*
 * A model of these sizes: stable dynamics near a random course, one component a target in turn and
 * the last `free_components` without target and trial_reset; rates of some spikes a bin.
 */
void random_model_make(struct random_model *made, struct random *random,
                       const struct traj_dims *dims, size_t free_components);
void random_model_free(struct random_model *made);

/* A frame of plausible numbers: some units and features missing with probability `missing`. */
void random_frame(const struct traj_model *model, struct random *random, double missing,
                  uint16_t *counts, float *features);

/* Block of memory and decoder; ends the program where that fails. */
struct traj_decoder *random_decoder(const struct traj_model *model,
                                    const struct traj_settings *settings, void **memory);

/* TRAJ_TEST_SEED from the environment or the default given; printed. */
uint64_t test_seed(uint64_t otherwise);

#endif
