/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A small model made by rule; see tiny_model.h. */
#include "tests/system/tiny_model.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "daemon/learn/model_file.h"

#define BIN 0.02
#define TWO_PI 6.283185307179586
#define STATE 4

/* The model's arrays are const for everybody but who makes it. */
#define WRITABLE(pointer) ((double *)(pointer))

static void fill_tuning(struct traj_model *model, uint64_t seed)
{
    for (size_t n = 0; n < model->dims.units; n++) {
        double angle = TWO_PI * (double)n / (double)model->dims.units + 0.37 * (double)seed;
        double *weight = WRITABLE(model->tuning.weight) + n * STATE;

        weight[2] = 0.004 * cos(angle);
        weight[3] = 0.004 * sin(angle);
        WRITABLE(model->tuning.offset)[n] = log(12.0 + (double)(n % 5));
        ((int32_t *)model->tuning.lag)[n] = (int32_t)(n % (model->dims.lag + 1));
    }
}

/* One component: speed and place decay towards a point, which for a target is the target. */
static void fill_dynamics(struct traj_model *model, size_t k, const double *goal)
{
    const struct traj_dynamics *dynamics = &model->dynamics;
    double *a = WRITABLE(dynamics->transition) + k * STATE * STATE;
    double *q = WRITABLE(dynamics->noise) + k * STATE * STATE;
    double *v = WRITABLE(dynamics->start_cov) + k * STATE * STATE;

    for (size_t d = 0; d < 2; d++) {
        a[d * STATE + d] = 1.0;
        a[d * STATE + d + 2] = BIN;
        a[(d + 2) * STATE + d] = goal != NULL ? -0.3 : 0.0;
        a[(d + 2) * STATE + d + 2] = 0.9;
        WRITABLE(dynamics->drift)[k * STATE + d + 2] = goal != NULL ? 0.3 * goal[d] : 0.0;
        q[d * STATE + d] = 0.01;
        q[(d + 2) * STATE + d + 2] = 400.0;
        v[d * STATE + d] = 25.0;
        v[(d + 2) * STATE + d + 2] = 100.0;
    }
}

static void fill_targets(struct traj_model *model)
{
    size_t targets = model->dims.targets;

    for (size_t m = 0; m < targets; m++) {
        double *position = WRITABLE(model->target_position) + 2 * m;

        position[0] = 100.0 * cos(TWO_PI * (double)m / (double)targets);
        position[1] = 100.0 * sin(TWO_PI * (double)m / (double)targets);
        (void)snprintf((char *)model->about.target_id[m], TRAJ_ID_SIZE, "t%zu", m);
    }
    for (size_t k = 0; k <= targets; k++) {
        ((int32_t *)model->component_target)[k] = k < targets ? (int32_t)k : -1;
        ((uint8_t *)model->trial_reset)[k] = k < targets;
        WRITABLE(model->component_prior)[k] = 1.0 / (double)(targets + 1);
        fill_dynamics(model, k, k < targets ? model->target_position + 2 * k : NULL);
    }
}

struct traj_model *tiny_model(size_t units, size_t targets, uint64_t seed, struct traj_error *error)
{
    struct traj_dims dims = {.position = 2,
                             .state = STATE,
                             .units = units,
                             .targets = targets,
                             .components = targets + 1,
                             .lag = 2};
    struct traj_model *model = traj_model_new(&dims, 0, 0, error);

    if (model == NULL) {
        return NULL;
    }
    model->bin_width = BIN;
    model->switch_rate = 0.5;
    model->evidence_temper = 1.0;
    model->plan.temper = 1.0;
    model->calibration = (struct traj_calibration){1.0, 1.0, 1.0};
    (void)strcpy(model->about.family, "mixture");
    (void)strcpy(model->about.length_unit, "mm");
    (void)strcpy(model->about.subject, "tiny");
    (void)strcpy(model->about.target_set, "ring");
    fill_tuning(model, seed);
    fill_targets(model);
    return model;
}
