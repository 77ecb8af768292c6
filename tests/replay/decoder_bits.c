/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Hash of every number that the decoder gives in a fixed long run:  decoder_bits EXPECTED.  Builds
 * by any compiler, at any level of optimisation, on any x86-64 machine must find the one expected;
 * it changes only where the mathematics do.
 */
#include "tests/oracle/chain_model.h"
#include "tests/oracle/random_model.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* FNV-1a over the bytes of n doubles. */
static uint64_t hash(uint64_t seen, const double *number, size_t n)
{
    const unsigned char *byte = (const unsigned char *)number;
    for (size_t i = 0; i < n * sizeof *number; i++)
        seen = (seen ^ byte[i]) * 0x100000001b3u;
    return seen;
}

/*
 * Uniform draws alone: libm may differ from machine to machine, and is no part of what is asked.
 * Whole numbers divided by powers of two are the same everywhere.
 */
static double grain(struct random *random)
{
    return (double)(random_bits(random) % 2048u) / 1024.0 - 1.0;
}

static void fill(struct random_model *made, struct random *random)
{
    const struct traj_dims *d = &made->model.dims;
    const size_t s = d->state;
    for (size_t i = 0; i < d->units * s; i++)
        made->weight[i] = 0.25 * grain(random);
    for (size_t n = 0; n < d->units; n++)
        made->offset[n] = 2.5 + grain(random);
    for (size_t i = 0; i < d->features * s; i++)
        made->feature_weight[i] = grain(random);
    for (size_t f = 0; f < d->features; f++)
        made->feature_offset[f] = grain(random);
    for (size_t k = 0; k < d->components; k++) {
        for (size_t i = 0; i < s; i++) {
            made->drift[k * s + i] = 0.0625 * grain(random);
            made->start[k * s + i] = grain(random);
            for (size_t j = 0; j < s; j++) {
                const size_t at = k * s * s + i * s + j;
                made->transition[at] = (i == j ? 0.9375 : 0.0) + 0.03125 * grain(random);
                made->noise[at] = i == j ? 0.03125 : 0.001953125;
                made->start_cov[at] = i == j ? 0.25 : 0.03125;
            }
        }
        made->prior[k] = 1.0 / (double)d->components;
        made->warped[k] = k % 2 == 0 && d->warps > 0 ? 0 : -1;
    }
    for (size_t n = 0; n < d->units && d->factors > 0; n++) {
        made->root_noise[n] = 0.25;
        made->offset[n] = 0.75 + 0.125 * grain(random);
    }
    for (size_t i = 0; i < d->units * d->factors; i++)
        made->root_factor[i] = 0.25 * grain(random);
    for (size_t w = 0; w < d->warps; w++) {
        made->speed[w] = 0.125;
        made->speed_variance[w] = 0.0625;
        made->speed_walk[w] = 0.0009765625;
        made->speed_limit[w] = 0.75;
    }
    for (size_t i = 0; i < d->features * d->features; i++)
        made->feature_noise[i] = i % (d->features + 1) == 0 ? 1.25 : 0.25;
    for (size_t i = 0; i < d->targets * d->position; i++)
        made->position[i] = 2.0 * grain(random);
    for (size_t i = 0; i < d->targets * d->units; i++)
        made->rate[i] = 12.0 + 8.0 * grain(random);
}

static void frame_of(const struct traj_dims *dims, struct random *random, uint16_t *counts,
                     float *features)
{
    for (size_t n = 0; n < dims->units; n++) {
        const uint64_t bits = random_bits(random);
        counts[n] = bits % 50 == 0 ? TRAJ_COUNT_MISSING : (uint16_t)((bits >> 8) % 4 / 2);
    }
    for (size_t f = 0; f < dims->features; f++)
        features[f] = (float)grain(random);
    if (dims->features > 0 && random_bits(random) % 5 == 0)
        features[random_bits(random) % dims->features] = (float)strtod("nan", NULL);
}

static uint64_t run(const struct traj_dims *dims, size_t frames, uint64_t seen)
{
    struct random random = {dims->units + 7 * dims->features};
    struct random_model made;
    random_model_make(&made, &random, dims, 1);
    random.state = 20261123;
    fill(&made, &random);
    made.model.plan = (struct traj_plan){0.0, 0.1, made.rate, 0.5};
    made.model.switch_rate = 0.5;
    made.model.evidence_temper = 0.75;
    made.model.calibration = (struct traj_calibration){
        .position_scale = 1.25,
        .position_round = 0.25,
        .position_unmarked = -0.125,
        .velocity_scale = 0.75,
        .target_power = 0.625,
        .position_by_spread = {{1.0, 2.0, 3.0, 3.5, 3.75, 4.0}, {0.5, 0.25, 0, 0, -0.25, -1.0}},
        .velocity_by_spread = {{2.0, 3.0, 4.0, 5.0, 6.0, 7.0}, {1.0, 0.5, 0, 0, 0.5, 0.75}},
        .velocity_by_speed = {{-2.0, 0, 1.0, 2.0, 3.0, 4.0}, {-1.0, -0.5, 0, 0.25, 0.5, 0.5}}};
    struct traj_settings settings;
    traj_settings_default(&settings);
    settings.believe = dims->features > 0; /* these counts are wild */
    void *memory;
    struct traj_decoder *decoder = random_decoder(&made.model, &settings, &memory);
    uint16_t counts[128];
    float features[16];
    const double eyes[2] = {0.5, -0.25}, blur[4] = {1.0, 0.25, 0.25, 2.0};
    for (size_t i = 0; i < frames; i++) {
        frame_of(dims, &random, counts, features);
        if (i % 80 == 10)
            traj_decoder_trial_start(decoder);
        if (i % 80 == 30)
            traj_decoder_gaze(decoder, eyes, blur);
        if (i % 80 == 60)
            traj_decoder_trial_stop(decoder);
        if (i % 400 == 0)
            traj_decoder_marks(decoder, i % 800 == 0);
        const struct traj_observation frame = {counts, features, i % 3 ? 0.02 : 0.0213,
                                               i % 31 == 30 ? 12 : 1};
        struct traj_estimate estimate;
        traj_decoder_step(decoder, &frame, &estimate);
        traj_decoder_calibrate(decoder, &estimate);
        seen = hash(seen, estimate.position, 2);
        seen = hash(seen, estimate.position_cov, 4);
        seen = hash(seen, estimate.velocity, 2);
        seen = hash(seen, estimate.velocity_cov, 4);
        seen = hash(seen, estimate.target_prob, dims->targets);
        seen = hash(seen, &estimate.free_prob, 1);
        if (estimate.log_evidence == estimate.log_evidence)
            seen = hash(seen, &estimate.log_evidence, 1);
    }
    free(memory);
    random_model_free(&made);
    return seen;
}

static uint64_t see(const struct traj_estimate *estimate, uint64_t seen)
{
    seen = hash(seen, estimate->position, 2);
    seen = hash(seen, estimate->position_cov, 4);
    seen = hash(seen, estimate->velocity, 2);
    seen = hash(seen, estimate->velocity_cov, 4);
    seen = hash(seen, estimate->target_prob, TARGETS);
    seen = hash(seen, estimate->place_prob, TRAJ_PLACES);
    return hash(seen, &estimate->log_evidence, 1);
}

/* A filter over courses. */
static uint64_t run_chain(bool gaussian, size_t gains, size_t frames, uint64_t seen)
{
    struct random random = {gains + (gaussian ? 7 : 0)};
    struct chain_model m;
    void *memory;
    chain_draw(&m, &random, gaussian, gains);
    random.state = 20261124;
    for (size_t i = 0; i < NODES * UNITS; i++)
        m.mean[i] = gaussian ? 1.0 + 0.5 * grain(&random) : 2.5 + grain(&random);
    for (size_t i = 0; i < UNITS * RANK; i++)
        m.factor[i] = 0.25 * grain(&random);
    for (size_t i = 0; i < UNITS * gains; i++)
        m.gain[i] = 0.25 * grain(&random);
    for (size_t i = 0; i < STATES * 2; i++) {
        m.position[i] = 8.0 * grain(&random);
        m.velocity[i] = 64.0 * grain(&random);
    }
    m.model.chain.temper = 0.625;
    m.model.chain.switch_prob = 0.0625;
    m.group[1] = m.group[2] = 0;
    struct traj_decoder *decoder = chain_decoder(&m.model, &memory);
    for (size_t i = 0; i < frames; i++) {
        struct traj_estimate estimate;
        uint16_t counts[UNITS];
        frame_of(&m.model.dims, &random, counts, NULL);
        if (i % 80 == 10)
            traj_decoder_trial_start(decoder);
        if (i % 80 == 60)
            traj_decoder_trial_stop(decoder);
        const struct traj_observation frame = {counts, NULL, i % 3 ? 0.02 : 0.0213,
                                               i % 31 == 30 ? 12 : 1};
        traj_decoder_step(decoder, &frame, &estimate);
        seen = see(&estimate, seen);
    }
    free(memory);
    return seen;
}

int main(int argc, char **argv)
{
    const struct traj_dims counts = {
        .position = 2, .state = 6, .units = 98, .targets = 8, .components = 9, .lag = 5};
    const struct traj_dims features = {
        .position = 2, .state = 4, .features = 12, .targets = 8, .components = 9};
    const struct traj_dims both = {.position = 2,
                                   .state = 6,
                                   .units = 21,
                                   .features = 5,
                                   .targets = 4,
                                   .components = 5,
                                   .lag = 3};
    const struct traj_dims warped = {.position = 2,
                                     .state = 6,
                                     .units = 40,
                                     .targets = 4,
                                     .components = 5,
                                     .lag = 3,
                                     .delay = 2,
                                     .warps = 1};
    const struct traj_dims roots = {.position = 2,
                                    .state = 6,
                                    .units = 40,
                                    .targets = 4,
                                    .components = 5,
                                    .lag = 3,
                                    .factors = 5};
    uint64_t seen = 0xcbf29ce484222325u;
    seen = run(&counts, 2000, seen);
    seen = run(&features, 2000, seen);
    seen = run(&both, 2000, seen);
    seen = run(&warped, 2000, seen);
    seen = run_chain(false, 0, 2000, seen);
    seen = run_chain(false, 2, 2000, seen);
    seen = run_chain(true, 0, 2000, seen);
    seen = run(&roots, 2000, seen);
    char text[17];
    snprintf(text, sizeof text, "%016" PRIx64, seen);
    printf("%s\n", text);
    if (argc == 2 && strcmp(argv[1], text) != 0) {
        printf("the bits are not those expected, %s\n", argv[1]);
        return 1;
    }
    return 0;
}
