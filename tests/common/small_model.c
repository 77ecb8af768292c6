/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A small valid model with every array present, for tests of model files. */
#include "tests/common/small_model.h"

#include <stdio.h>
#include <string.h>

#include "daemon/learn/model_layout.h"

static const char TRAINING[] = "{\"sessions\":[\"a \\\"b\\\".h5\"],\"trials\":2}";

static double *writable(const double *array)
{
    return (double *)(uintptr_t)array;
}

static void fill_dynamics(struct traj_model *model)
{
    size_t state = model->dims.state;
    for (size_t k = 0; k < model->dims.components; k++) {
        double *a = writable(model->dynamics.transition) + k * state * state;
        for (size_t i = 0; i < state; i++) {
            a[i * state + i] = i < 2 ? 1 : 0.9;
            writable(model->dynamics.noise)[(k * state + i) * state + i] = i < 2 ? 1e-3 : 2.5;
            writable(model->dynamics.start_cov)[(k * state + i) * state + i] = i < 2 ? 1 : 4;
            writable(model->dynamics.drift)[k * state + i] = 0.1 * (double)(i + k);
            writable(model->dynamics.start)[k * state + i] = -0.3 * (double)i;
        }
        a[2] = 0.02;
        a[state + 3] = 0.02;
        ((int32_t *)(uintptr_t)model->component_target)[k] = k < 2 ? (int32_t)k : -1;
        writable(model->component_prior)[k] = k < 2 ? 0.45 : 0.1;
        ((uint8_t *)(uintptr_t)model->trial_reset)[k] = k < 2;
    }
}

static void fill_observations(struct traj_model *model)
{
    for (size_t i = 0; i < 12; i++)
        writable(model->tuning.weight)[i] = 0.01 * (double)i - 0.05;
    for (size_t n = 0; n < 3; n++) {
        writable(model->tuning.offset)[n] = 1.0 / (double)(n + 3);
        ((int32_t *)(uintptr_t)model->tuning.lag)[n] = (int32_t)n;
        (void)snprintf((char *)(uintptr_t)model->about.unit_name[n], TRAJ_ID_SIZE, "unit %zu", n);
    }
    for (size_t f = 0; f < 2; f++) {
        writable(model->feature.noise)[3 * f] = 1;
        writable(model->feature.weight)[f] = 0.25;
    }
    for (size_t i = 0; i < 6; i++)
        writable(model->plan.rate)[i] = 4 + (double)i / 3;
}

struct traj_model *small_model(void)
{
    struct traj_dims dims = {.position = 2,
                             .state = 4,
                             .units = 3,
                             .features = 2,
                             .targets = 2,
                             .components = 3,
                             .lag = 2};
    struct traj_model *model = traj_model_make(&dims, true, true, sizeof TRAINING, NULL);
    if (!model)
        return NULL;
    fill_dynamics(model);
    fill_observations(model);
    for (size_t i = 0; i < 4; i++)
        writable(model->target_position)[i] = 80 * (double)i;
    memcpy((char *)(uintptr_t)model->about.target_id[0], "left \"\\", 8);
    memcpy((char *)(uintptr_t)model->about.target_id[1], "r\xc3\xa9\x01", 5);
    memcpy((char *)(uintptr_t)model->about.training, TRAINING, sizeof TRAINING);
    (void)snprintf(model->about.family, sizeof model->about.family, "mixture");
    (void)snprintf(model->about.length_unit, sizeof model->about.length_unit, "mm");
    (void)snprintf(model->about.subject, sizeof model->about.subject, "nobody");
    (void)snprintf(model->about.target_set, sizeof model->about.target_set, "default");
    model->bin_width = 0.02;
    model->plan.begin = 0.05;
    model->plan.end = 0.3;
    model->plan.temper = 0.5;
    model->switch_rate = 0.5;
    model->evidence_temper = 0.25;
    model->calibration = (struct traj_calibration){
        .position_scale = 1.25,
        .position_round = 0.25,
        .position_unmarked = -0.125,
        .velocity_scale = 0.75,
        .target_power = 1.0 / 3,
        .position_by_spread = {{1.0, 2.0, 3.0, 3.5, 3.75, 4.0}, {0.5, 0.25, 0, 0, -0.25, -1.0}},
        .velocity_by_spread = {{2.0, 3.0, 4.0, 5.0, 6.0, 7.0}, {1.0, 0.5, 0, 0, 0.5, 0.75}},
        .velocity_by_speed = {{-2.0, 0, 1.0, 2.0, 3.0, 4.0}, {-1.0, -0.5, 0, 0.25, 0.5, 0.5}}};
    return model;
}
