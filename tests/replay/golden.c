/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Writes a tiny model and a tiny session whose every number is made by integer arithmetic and exact
 * operations, so that they are the same on every machine: golden DIRECTORY makes model.tjm and
 * session.h5 there.  golden.sh decodes them and compares the intents with golden.jsonl.
 */
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clients/files/session_file.h"
#include "daemon/learn/model_file.h"

enum { D = 2, S = 4, N = 6, F = 2, M = 2, K = 3, LAG = 2, OWN = 1, BINS = 120, TRIALS = 3 };

static const double bin = 0.03125; /* s, a power of two: times add up without rounding */

static uint32_t seed = 20240611;

/* 0 .. bound - 1 from a linear congruence (Knuth, MMIX constants truncated to 32 bits). */
static uint32_t draw(uint32_t bound)
{
    seed = seed * 1664525u + 1013904223u;
    return (seed >> 16) % bound;
}

static void put(const double *array, size_t index, double value)
{
    ((double *)array)[index] = value;
}

static void fill_dynamics(struct traj_model *model)
{
    const struct traj_dynamics *dynamics = &model->dynamics;
    for (size_t k = 0; k < K; k++) {
        size_t square = k * S * S, row = k * S;
        double goal = k == 0 ? 64.0 : k == 1 ? -64.0 : 0.0;
        for (size_t i = 0; i < S; i++) {
            put(dynamics->transition, square + i * S + i, i < D ? 1.0 : 0.875);
            put(dynamics->noise, square + i * S + i, i < D ? 0.25 : 16.0);
            put(dynamics->start_cov, square + i * S + i, i < D ? 25.0 : 100.0);
        }
        for (size_t d = 0; d < D; d++) {
            put(dynamics->transition, square + d * S + D + d, bin);
            /* A target's component is drawn to its target. */
            put(dynamics->transition, square + (D + d) * S + d, k < M ? -0.25 : 0.0);
        }
        put(dynamics->drift, row + D, k < M ? 0.25 * goal : 0.0);
        ((int32_t *)model->component_target)[k] = k < M ? (int32_t)k : -1;
        put(model->component_prior, k, k < M ? 0.4375 : 0.125);
        ((uint8_t *)model->trial_reset)[k] = k < M;
    }
}

static void fill_observation(struct traj_model *model)
{
    for (size_t n = 0; n < N; n++) {
        put(model->tuning.offset, n, 3.25 + 0.125 * (double)n);
        put(model->tuning.weight, n * S + n % S, n % S < D ? 0.015625 : 0.0078125);
        ((int32_t *)model->tuning.lag)[n] = (int32_t)(n % (LAG + 1));
    }
    for (size_t m = 0; m < M; m++) {
        put(model->target_position, m * D, m == 0 ? 64.0 : -64.0);
        snprintf((char *)model->about.target_id[m], TRAJ_ID_SIZE, "%s", m == 0 ? "right" : "left");
        for (size_t n = 0; n < N; n++) {
            put(model->plan.rate, m * N + n, n % M == m ? 16.0 : 4.0);
        }
    }
    model->plan.begin = 0.0;
    model->plan.end = 0.5;
    model->plan.temper = 0.75;
}

/* Two features that see one axis each, a tuning set that belongs to the first target alone, and a
 * clock of its own for the second. */
static void fill_rest(struct traj_model *model)
{
    for (size_t f = 0; f < F; f++) {
        put(model->feature.weight, f * S + f, 0.03125);
        put(model->feature.noise, f * F + f, 2.0);
    }
    for (size_t n = 0; n < N; n++) {
        put(model->tuning.own_offset, n, 3.0 + 0.125 * (double)n);
        put(model->tuning.own_weight, n * S + n % S, n % S < D ? 0.0234375 : 0.00390625);
    }
    for (size_t k = 0; k < K; k++) {
        ((int32_t *)model->tuning.own)[k] = k == 0 ? 0 : -1;
        ((int32_t *)model->warp.own)[k] = k == 1 ? 0 : -1;
    }
    put(model->warp.variance, 0, 0.0625);
    put(model->warp.walk, 0, 0.0009765625);
    put(model->warp.limit, 0, 0.75);
}

static int write_model(const char *path, struct traj_error *error)
{
    const struct traj_dims dims = {.position = D,
                                   .state = S,
                                   .units = N,
                                   .features = F,
                                   .targets = M,
                                   .components = K,
                                   .lag = LAG,
                                   .tunings = OWN,
                                   .warps = 1};
    struct traj_model *model = traj_model_new(&dims, 1, 0, error);
    if (!model) {
        return -1;
    }
    model->bin_width = bin;
    model->switch_rate = 0.25;
    model->evidence_temper = 0.875;
    model->calibration = (struct traj_calibration){
        .position_scale = 1.25,
        .position_round = 0.25,
        .position_unmarked = -0.125,
        .velocity_scale = 1.5,
        .target_power = 0.875,
        .position_by_spread = {{1.0, 2.0, 3.0, 3.5, 3.75, 4.0}, {0.5, 0.25, 0, 0, -0.25, -1.0}},
        .velocity_by_spread = {{2.0, 3.0, 4.0, 5.0, 6.0, 7.0}, {1.0, 0.5, 0, 0, 0.5, 0.75}},
        .velocity_by_speed = {{-2.0, 0, 1.0, 2.0, 3.0, 4.0}, {-1.0, -0.5, 0, 0.25, 0.5, 0.5}}};
    snprintf(model->about.family, sizeof model->about.family, "mixture");
    snprintf(model->about.length_unit, sizeof model->about.length_unit, "mm");
    snprintf(model->about.target_set, sizeof model->about.target_set, "golden");
    fill_dynamics(model);
    fill_observation(model);
    fill_rest(model);
    int result = traj_model_save(model, path, error);
    traj_model_free(model);
    return result;
}

/* Counts that lean to one target or the other, units that drop out, one frame that is missing. */
static void fill_frames(struct traj_session *session)
{
    for (size_t i = 0; i < BINS; i++) {
        size_t lost = i > 50 ? 1 : 0, gap = i > 80 ? 64 : 0; /* a lost frame, and a long gap */
        size_t step = i + lost + gap;
        session->t_end[i] = bin * (double)(step + 1);
        session->dt[i] = bin;
        for (size_t n = 0; n < N; n++) {
            uint32_t rate = n % M == i / 40 % M ? 4 : 2;
            session->counts[i * N + n] = draw(23) == 0 ? 65535 : (uint16_t)draw(rate);
            if (n == 2 && i / 6 == 5)
                session->counts[i * N + n] = 40; /* a unit that nobody can believe */
        }
        for (size_t f = 0; f < F; f++) {
            float size = (float)draw(128) / 64.0f;
            session->feature[i * F + f] = draw(17) == 0 ? (float)NAN : size;
        }
    }
}

static int write_session(const char *path, struct traj_error *error)
{
    static const double start[TRIALS] = {0.25, 1.5, 5.0}, stop[TRIALS] = {1.25, 2.5, 5.5};
    struct traj_session *session = traj_session_new(path);
    if (!session) {
        return traj_error_set(error, "memory is short");
    }
    snprintf(session->length_unit, sizeof session->length_unit, "mm");
    session->bins = BINS;
    session->units = N;
    session->features = F;
    session->feature = calloc(BINS * F, sizeof *session->feature);
    session->counts = calloc(BINS * N, sizeof *session->counts);
    session->t_end = calloc(BINS, sizeof *session->t_end);
    session->dt = calloc(BINS, sizeof *session->dt);
    session->trials = TRIALS;
    session->start = calloc(TRIALS, sizeof *session->start);
    session->stop = calloc(TRIALS, sizeof *session->stop);
    session->go = calloc(TRIALS, sizeof *session->go);
    int result = -1;
    if (session->counts && session->feature && session->t_end && session->dt && session->start &&
        session->stop && session->go) {
        memcpy(session->start, start, sizeof start);
        memcpy(session->stop, stop, sizeof stop);
        for (size_t r = 0; r < TRIALS; r++) {
            session->go[r] = start[r] + 0.375;
        }
        fill_frames(session);
        result = traj_session_write(session, path, error);
    }
    traj_session_free(session);
    return result;
}

int main(int argc, char **argv)
{
    char path[4096];
    struct traj_error error = {0};
    if (argc != 2) {
        fprintf(stderr, "usage: golden DIRECTORY\n");
        return 2;
    }
    snprintf(path, sizeof path, "%s/model.tjm", argv[1]);
    int result = write_model(path, &error);
    snprintf(path, sizeof path, "%s/session.h5", argv[1]);
    if (result == 0) {
        result = write_session(path, &error);
    }
    if (result != 0) {
        fprintf(stderr, "golden: %s\n", error.text);
    }
    return result == 0 ? 0 : 1;
}
